"""Several groupings of one store: what each has for itself, what they share, and that they grow together."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import numpy as np
import polars as pl
import pytest
from command_line import tac, told
from ready_store import ready
from small_store import write_vectors
from two_facts import agree, two_facts, write_two_facts

from assets.engine.execute import execute, open_store
from assets.graph import STEPS, find, observed_sources, steps_of
from assets.lookups.readiness import plan_all
from assets.lookups.status import State, family_status
from assets.orchestration.build import build_definitions
from assets.orchestration.in_process import Progress, run_parts
from assets.orchestration.metadata import asset_key
from assets.orchestration.publishing import PUBLISHED
from tac_pipeline.settings.project import IMAGE_ASSETS, Project, load_project
from tac_pipeline.store.ledger import Ledger
from tac_pipeline.store.publication import Publication
from tac_pipeline.store.schemas import IMAGE_EMBEDDINGS

Writer = Callable[..., Path]
TIME = {"group_by": ["day", "night"], "clusters": {"count": 2}}


@pytest.fixture
def store(vector_store: Writer, tmp_path: Path) -> Writer:
    """Writes the settings of a store that is grouped by thing, and by time in a grouping."""
    write_two_facts(tmp_path)

    def write(changes: dict[str, object] | None = None, **own: object) -> Path:
        return vector_store({"groupings": {"time": {**TIME, **own}}, "keep_versions": 1, **(changes or {})})

    return write


def pair(path: Path) -> tuple[Project, Project]:
    """The store, and its grouping."""
    base, time = load_project(path).family
    return base, time


def grow(path: Path, n: int) -> list[Progress]:
    """Have so many images in the source, and run."""
    vectors, thing, _ = two_facts(n)
    ids = [f"{number:03d}" for number in range(n)]
    write_vectors(path.parent / "images.parquet", ids, vectors, [f"thing {n}" for n in thing])
    told: list[Progress] = []
    parts = [(one, plan.steps) for one, plan in plan_all(load_project(path))]
    assert run_parts(parts, listener=told.append, publish=True)
    return told


def states(path: Path) -> list[set[State]]:
    """The states of the assets of the store, and of those of its grouping."""
    return [{status.state for status in found} for _, found in family_status(load_project(path))]


def test_a_store_is_grouped_in_two_ways_of_the_same_vectors(store: Writer) -> None:
    _, thing, time = two_facts()
    base, other = pair(ready(store()))
    assert agree(base, thing)
    assert agree(other, time)
    assert other.settings.store == "small.time"
    for name in IMAGE_ASSETS:
        assert not (other.store_folder / name).exists()
    assert not list(other.store_folder.glob("shards*"))
    for one, count in ((base, 3), (other, 2)):
        folder = open_store(one).published_folder
        published = Publication(folder).latest()
        assert published is not None
        assert len(published.clusters) == count
        [entry] = Ledger(open_store(one).ledger_folder).entries()
        assert sorted(entry.ids["cluster_id"].to_list()) == list(range(count)), "each counts for itself"


def test_new_images_are_read_once_and_come_into_all_groupings(store: Writer) -> None:
    path = ready(store())
    found = grow(path, 72)
    done = {entry.step for entry in found if entry.event == "computed"}
    assert {"image_embeddings", "assignments", "time: assignments"} <= done
    assert not {"time: image_embeddings", "training_set", "time: training_set", "time: cluster_heads"} & done
    _, thing, time = two_facts(72)
    base, other = pair(path)
    assert agree(base, thing)
    assert agree(other, time)
    assert states(path) == [{State.FRESH}, {State.FRESH}]


def test_settings_of_one_leave_the_other_as_it_was(store: Writer) -> None:
    ready(store())
    path = store({"clusters.count": 4, "groupings": {"time": {**TIME, "clusters": {"count": 2}}}})
    base, other = states(path)
    assert State.STALE in base
    assert other == {State.FRESH}
    path = store({"clusters.count": 3, "groupings": {"time": {**TIME, "clusters": {"count": 3}}}})
    base, other = states(path)
    assert base == {State.FRESH}
    assert State.STALE in other


def test_a_grouping_follows_the_settings_of_the_store_that_it_does_not_set(store: Writer) -> None:
    ready(store())
    base, other = states(store({"seed": 5}))
    assert State.STALE in base
    assert State.STALE in other


def test_learning_again_and_pruning_the_store_takes_nothing_from_its_groupings(store: Writer) -> None:
    path = ready(store())
    grow(path, 72)
    base, other = pair(path)
    assert run_parts([(base, STEPS)], listener=lambda _: None, anew=True)
    assert not {entry.step for entry in grow(path, 72) if entry.event == "computed" and ":" in entry.step}
    assert agree(other, two_facts(72)[2])


def test_a_damaged_shard_that_a_grouping_meets_is_made_again_where_it_was(store: Writer) -> None:
    path = ready(store())
    base, other = pair(path)
    [shard] = open_store(base).shards_folder.glob("*/*.parquet")
    whole = shard.read_bytes()
    middle = len(whole) // 2
    shard.write_bytes(whole[:middle] + bytes(64) + whole[middle + 64 :])
    for folder in (open_store(other).folder / "training_set", open_store(other).folder / "ledger"):
        shutil.rmtree(folder)
    assert execute(find("training_set"), other).artifact.rows == 60
    assert not any((other.store_folder / name).exists() for name in IMAGE_ASSETS)
    view = open_store(base).require_current("image_embeddings").artifact
    assert view.damage() is None
    assert len(view.frame(IMAGE_EMBEDDINGS, columns=["image_id"])) == 60


def test_a_grouping_before_its_store_says_what_to_build(store: Writer) -> None:
    result = tac("run", "-s", store(), "--grouping", "time")
    assert result.exit_code == 1
    assert "reads image_embeddings, which has not been materialized" in told(result)


def test_the_ui_has_the_assets_of_all_and_one_key_for_the_images(store: Writer) -> None:
    path = store()
    base, other = pair(path)
    graph = build_definitions(path).resolve_asset_graph()
    keys = graph.get_all_asset_keys()
    assert asset_key("image_embeddings", other) == dg.AssetKey(["small", "image_embeddings"])
    wanted = {asset_key(name, one) for one in (base, other) for name in (*(step.name for step in STEPS), PUBLISHED)}
    assert keys == wanted | {asset_key(name, base) for name in observed_sources(base)}
    above = graph.get(dg.AssetKey(["small.time", "training_set"])).parent_keys
    assert above == {dg.AssetKey(["small", "image_embeddings"])}
    assert graph.get(dg.AssetKey(["small.time", "cluster_ids"])).parent_keys >= {
        dg.AssetKey(["small.time", "cluster_heads"])
    }


@pytest.mark.parametrize("job", ["grow", "recluster"])
def test_the_jobs_take_the_groupings_along(store: Writer, job: str) -> None:
    path = store()
    found = build_definitions(path).resolve_job_def(job).asset_layer.executable_asset_keys
    names = {step.name for step in STEPS if job == "recluster" or step.part == "growth"} | {PUBLISHED}
    of_base = {key.path[-1] for key in found if key.path[0] == "small"}
    of_grouping = {key.path[-1] for key in found if key.path[0] == "small.time"}
    # What it is grouped by is learned too.
    assert of_grouping - {"criterion"} == of_base - {*IMAGE_ASSETS, "criterion"}
    assert of_grouping <= names


def test_a_store_without_groupings_has_the_versions_that_it_had(store: Writer, vector_store: Writer) -> None:
    base, other = pair(store())
    alone = load_project(vector_store({"groupings": {}}))
    for step in STEPS:
        assert step.version(base.settings) == step.version(alone.settings)
    assert [step.name for step in steps_of(other)] == [step.name for step in STEPS if step.name not in IMAGE_ASSETS]
    assert {step.name for step in STEPS} >= set(IMAGE_ASSETS)


def test_the_commands_speak_of_one_grouping_or_of_all(store: Writer, tmp_path: Path) -> None:
    path = ready(store())
    names = json.loads(tac("clusters", "-s", path, "--json", "-g", "time").stdout)
    assert {row["name"] for row in names} == {"day", "night"}
    status = json.loads(tac("status", "-s", path, "--json").stdout)
    assert [one["store"] for one in status["groupings"]] == ["small.time"]
    assert "grouping time" in tac("status", "-s", path).stdout
    table = tmp_path / "times.csv"
    assert tac("export", table, "-f", "csv", "-s", path, "-g", "time").exit_code == 0
    assert set(pl.read_csv(table)["cluster_name"]) == {"day", "night"}
    assert "there are time" in told(tac("clusters", "-s", path, "-g", "tme"))
    path.write_text(path.read_text(encoding="utf-8").replace("  time:", "  other:"), encoding="utf-8")
    assert "small.time holds a grouping that the settings no longer name" in tac("status", "-s", path).stdout


def test_a_check_and_a_backup_are_of_all(store: Writer, tmp_path: Path) -> None:
    path = ready(store())
    whole = tac("check", "-s", path)
    assert whole.exit_code == 0, whole.output
    assert "0 foreign" not in whole.output
    assert "written by nothing" not in whole.output
    base, other = pair(path)
    assert tac("backup", tmp_path / "kept.tar", "-s", path).exit_code == 0
    assert (tmp_path / "kept.time.tar").is_file()
    ledgers = [open_store(one).ledger_folder for one in (base, other)]
    before = [Ledger(folder).entries()[0].ids for folder in ledgers]
    for folder in ledgers:
        shutil.rmtree(folder)
    result = tac("restore", tmp_path / "kept.tar", "-s", path, "--force")
    assert result.exit_code == 0, result.output
    for folder, ids in zip(ledgers, before, strict=True):
        assert Ledger(folder).entries()[0].ids.equals(ids)
    damaged = next(open_store(other).folder.glob("training_set/*/*.parquet"))
    damaged.write_bytes(damaged.read_bytes()[:-9])
    result = tac("check", "-s", path)
    assert result.exit_code == 1
    assert "small.time" in result.output


def test_a_grouping_by_words_keeps_classes_that_are_known(store: Writer, tmp_path: Path) -> None:
    _, _, time = two_facts()
    known = {"image_id": [f"{number:03d}" for number in range(8)], "label": [f"time {n}" for n in time[:8]]}
    pl.DataFrame(known).write_csv(tmp_path / "known.csv")
    _, other = pair(ready(store(known={"file": "known.csv"})))
    assert agree(other, time)
    names = json.loads(tac("clusters", "-s", other.path, "--json", "-g", "time").stdout)
    assert {row["name"] for row in names} == {"time 0", "time 1"}


def test_corrections_are_of_one_grouping(store: Writer, tmp_path: Path) -> None:
    (tmp_path / "times.yaml").write_text("names: {0: by sun}\n", encoding="utf-8")
    path = ready(store(corrections="times.yaml"))
    base, other = pair(path)
    assert base.corrections_file is None
    found = json.loads(tac("clusters", "-s", path, "--json", "-g", "time").stdout)
    assert "by sun" in {row["name"] for row in found}
    assert "by sun" not in tac("clusters", "-s", path).stdout
    (tmp_path / "times.yaml").write_text("names: {99: nobody}\n", encoding="utf-8")
    result = tac("run", "-s", path)
    assert result.exit_code == 1, "told before any work"
    assert "computed" not in result.stdout
    spared = tac("export", tmp_path / "times.yaml", "-f", "csv", "--overwrite", "-s", path)
    assert "the file of corrections" in told(spared)
    assert np.array_equal(observed_sources(other), ["corrections_file"])
