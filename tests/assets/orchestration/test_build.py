"""Several stores in one deployment: nouns are embedded once, and each store is its own code location."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from assets_helpers import computed, materialize
from colored_store import colored_store, edit  # noqa: F401 - a fixture
from ruamel.yaml import YAML

from assets.engine.execute import open_store
from assets.orchestration import build
from assets.orchestration.instance import dagster_home
from assets.orchestration.locations.workspace import write_workspace
from assets.orchestration.metadata import asset_key
from tac_pipeline.errors import SettingsError
from tac_pipeline.settings.project import load_project

pytestmark = pytest.mark.filterwarnings("ignore::tac_pipeline.errors.TacWarning")

NOUNS = ["candidate_nouns", "noun_embeddings"]


def another(path: Path, name: str, **changes: Any) -> Path:
    """The settings of a second store."""
    tree = {**YAML(typ="safe").load(path.read_text()), **{"store": name, **changes}}
    other = path.with_name(f"{name}.yaml")
    with other.open("w") as file:
        YAML().dump(tree, file)
    return other


def test_a_second_store_with_the_same_encoder_and_nouns_embeds_none(store: Path) -> None:
    first = materialize(store, NOUNS)
    assert computed(first) == set(NOUNS)
    second = materialize(another(store, "second", clusters={"count": 2}), NOUNS)
    assert computed(second) == set()
    assert second["noun_embeddings"].artifact.folder == first["noun_embeddings"].artifact.folder


def test_stores_with_other_nouns_keep_their_own_beside_each_other(store: Path) -> None:
    path = another(store, "second")
    materialize(store, NOUNS)
    (store.parent / "other_nouns.txt").write_text("dog\ncat\nwheel\n")
    assert computed(materialize(edit(path, "nouns.source", "other_nouns.txt"), NOUNS)) == set(NOUNS)
    assert computed(materialize(store, NOUNS)) == set()
    assert computed(materialize(path, NOUNS)) == set()


def test_pruning_in_one_store_leaves_what_another_uses(store: Path) -> None:
    path = another(store, "second", keep_versions=1)
    kept = materialize(store, NOUNS)["noun_embeddings"].artifact
    for number in range(3):
        (store.parent / "other_nouns.txt").write_text(f"dog\ncat\nwheel {number}\n")
        materialize(edit(path, "nouns.source", "other_nouns.txt"), NOUNS)
    current = open_store(load_project(store)).require_current("noun_embeddings").artifact
    assert (current.recipe, current.damage()) == (kept.recipe, None)


def test_a_workspace_names_a_location_for_every_store(store: Path) -> None:
    projects = [load_project(path) for path in (store, another(store, "second"))]
    found = json.loads(write_workspace(projects).read_text())["load_from"]
    assert [entry["python_file"]["location_name"] for entry in found] == ["pictures", "second"]
    for entry, project in zip(found, projects, strict=True):
        code = Path(entry["python_file"]["relative_path"]).read_text()
        assert f"build_definitions({str(project.path)!r})" in code


def test_stores_that_cannot_be_opened_together_are_told_why(store: Path) -> None:
    first = load_project(store)
    with pytest.raises(SettingsError, match="must have different names; got pictures, pictures"):
        write_workspace([first, load_project(another(store, "copy", store="pictures"))])
    elsewhere = load_project(another(store, "far", data="elsewhere"))
    assert dagster_home(elsewhere) != dagster_home(first)
    with pytest.raises(SettingsError, match="must share one data folder"):
        write_workspace([first, elsewhere])


def test_a_run_that_finds_broken_settings_fails_by_the_reason(
    vector_store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without definitions, Dagster would only mark the run as failed from outside."""
    path = vector_store()
    # As the code server loads it, whose process then starts that of the run.
    build.build_definitions(path)
    vector_store({"retrieval.tau": -1})
    with pytest.raises(SettingsError, match=r"retrieval\.tau must be > 0"):
        build.build_definitions(path)
    monkeypatch.setattr(build.multiprocessing, "parent_process", lambda: object())
    for job, step in (("observe", "image_store"), ("grow", "image_manifest")):
        found = build.build_definitions(path).resolve_job_def(job)
        result = found.execute_in_process(raise_on_error=False)
        failures = result.get_step_failure_events()
        assert step in {str(failure.step_key).removeprefix("small__") for failure in failures}
        for failure in failures:
            said = failure.step_failure_data.user_failure_data
            assert said is not None and str(said.description).startswith("retrieval.tau must be > 0; got -1 (tac.yaml")
    with pytest.raises(SettingsError, match=r"retrieval\.tau must be > 0"):
        build.build_definitions(path.rename(path.with_name("never-loaded.yaml")))


def test_settings_that_were_mended_are_used_again(vector_store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build.multiprocessing, "parent_process", lambda: object())
    project, refused = build._open_project(vector_store())
    broken, told = build._open_project(vector_store({"schedule.observe": "whenever"}))
    assert refused is None and broken.settings == project.settings
    assert str(told).startswith("schedule.observe must be a cron")
    mended, refused = build._open_project(vector_store({"schedule.observe": None}))
    assert refused is None and mended.settings.schedule.observe is None


def test_a_criterion_is_above_what_reads_it_where_there_is_one(vector_store: Callable[..., Path]) -> None:
    def above(path: Path, name: str) -> set[str]:
        graph = build.build_definitions(path).get_repository_def().asset_graph
        return {key.path[-1] for key in graph.get(asset_key(name, load_project(path))).parent_keys}

    path = vector_store()
    assert "criterion" not in above(path, "whitening") | above(path, "assignments")
    path = vector_store({"group_by": "style"})
    assert above(path, "criterion") == {"training_set", "noun_embeddings"}
    assert "criterion" in above(path, "whitening") & above(path, "assignments")
