"""What the UI shows of a materialization: numbers that it can plot, and pictures that decide nothing."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path

import dagster as dg
import pytest
from assets_helpers import materialize

from assets.engine.execute import Outcome, open_store
from assets.graph import STEPS
from assets.orchestration.metadata import outcome_metadata
from assets.results import clusters
from tac_pipeline.settings.project import load_project
from tac_pipeline.store.artifacts import Store

Writer = Callable[..., Path]


def shown(outcome: Outcome) -> Mapping[str, dg.MetadataValue]:
    """The metadata of a materialization as Dagster keeps it."""
    return dg.AssetMaterialization("asset", metadata=dict(outcome_metadata(outcome))).metadata


def test_every_number_that_an_asset_records_can_be_plotted(vector_store: Writer) -> None:
    plotted: dict[str, int] = {}
    for name, outcome in materialize(vector_store()).items():
        metadata = shown(outcome)
        numbers = [fact for fact, value in outcome.artifact.facts.items() if type(value) in (int, float)]
        plotted[name] = len(numbers)
        for fact in numbers:
            label = (f"number of {fact[2:]}" if fact.startswith("n_") else fact).replace("_", " ")
            assert isinstance(metadata[label], dg.FloatMetadataValue | dg.IntMetadataValue), (name, fact)
    assert min(plotted[name] for name in ("assignments", "clusters", "cluster_heads", "cluster_ids", "evaluation")) >= 2


def test_clusters_show_their_typical_images(pictures: Path) -> None:
    project = load_project(pictures)
    artifact = open_store(project).require_current(clusters.name).artifact
    sheet = shown(Outcome(artifact, True, 0.0))["contact sheet"]
    assert isinstance(sheet, dg.MarkdownMetadataValue)
    rows = (sheet.md_str or "").splitlines()[2:]
    assert len(rows) == 4
    assert all(re.search(r"\\| !\[\]\(data:image/webp;base64,[A-Za-z0-9+/=]+\) \\|$", row) for row in rows)


def test_the_page_s_asset_shows_the_map_and_the_text_whether_tau_fits(vector_store: Writer) -> None:
    outcomes = materialize(vector_store())
    picture = shown(outcomes["report"])["map"]
    assert isinstance(picture, dg.MarkdownMetadataValue)
    assert "data:image/png;base64," in (picture.md_str or "")
    metadata = shown(outcomes["text_counterparts"])
    heard = outcomes["text_counterparts"].artifact.facts["nouns_heard"]
    assert metadata["nouns heard"].value == pytest.approx(heard, abs=1e-3)
    assert f"made of {heard:.1f} nouns" in str(metadata["does tau fit"].value)
    assert 1 <= heard <= outcomes["noun_vocabulary"].artifact.rows


def test_a_store_of_vectors_has_no_pictures(vector_store: Writer) -> None:
    outcomes = materialize(vector_store())
    assert set(outcomes) == {step.name for step in STEPS}
    assert "contact sheet" not in shown(outcomes["clusters"])


def test_what_people_look_at_is_no_part_of_the_content(tmp_path: Path) -> None:
    store = Store(tmp_path / "small")
    record = {"content": None, "links": {}, "values": {}, "inputs": {}, "facts": {}, "rows": 1, "notes": {}}
    contents = []
    for number, page in enumerate(["one picture", "another"]):
        with store.scratch("clusters") as folder:
            (folder / "clusters.parquet").write_text("the same")
            (folder / "contact_sheet.md").write_text(page)
            (folder / "sizes.png").write_text(page)
            contents.append(store.commit("clusters", f"recipe-{number}", folder, record).content)
    assert contents[0] == contents[1]
