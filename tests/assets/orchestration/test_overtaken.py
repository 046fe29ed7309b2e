"""Settings that are edited again before the run of the edit before has started."""

from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pytest
from assets_helpers import materialize

from assets.orchestration.automation import VERSIONS_TAG, is_overtaken, versions_of
from assets.orchestration.build import build_definitions
from assets.orchestration.dagster_internals import find_asset_job
from assets.orchestration.run_liveness import STORE_TAG
from tac_pipeline.settings.project import load_project

Writer = Callable[..., Path]
HEADS = ["cluster_heads", "cluster_ids", "assignments"]


def run(path: Path, names: list[str], instance: dg.DagsterInstance, **tags: str) -> dg.ExecuteInProcessResult:
    """A run of some assets in this process, as the sensor would ask for it."""
    job = find_asset_job(build_definitions(path))
    keys = [dg.AssetKey(["small", name]) for name in names]
    tags = {STORE_TAG: "small"} | tags
    return job.execute_in_process(instance=instance, raise_on_error=False, asset_selection=keys, tags=tags)


@pytest.fixture
def versions_of_an_earlier_edit(vector_store: Writer) -> str:
    """A store that was learned; its settings were edited, and a run was asked for, and then they were edited again."""
    materialize(vector_store())
    asked = versions_of(load_project(vector_store({"heads.epochs": 50})))
    vector_store({"semantic_centers.images_per_center": 12})
    return asked


def test_a_run_that_later_edits_overtook_leaves_the_work_to_the_next_one(
    vector_store: Writer, versions_of_an_earlier_edit: str
) -> None:
    path = vector_store()
    with dg.DagsterInstance.ephemeral() as instance:
        done = run(path, HEADS, instance, **{VERSIONS_TAG: versions_of_an_earlier_edit})
        assert done.success
        assert done.asset_materializations_for_node("small__cluster_heads") == []
        said = [entry.user_message for entry in instance.all_logs(done.run_id)]
    assert any("left to the run of the settings that were edited meanwhile" in text for text in said)


def test_a_run_of_the_settings_of_now_is_told_what_is_missing(
    vector_store: Writer, versions_of_an_earlier_edit: str
) -> None:
    path = vector_store()
    project = load_project(path)
    with dg.DagsterInstance.ephemeral() as instance:
        assert not run(path, HEADS, instance, **{VERSIONS_TAG: versions_of(project)}).success
        assert not run(path, HEADS, instance).success, "a person who asks gets an answer"


def test_versions_change_with_settings_and_come_back(vector_store: Writer) -> None:
    before = versions_of(load_project(vector_store()))
    after = load_project(vector_store({"retrieval.tau": 0.02}))
    asked = dg.DagsterRun(job_name="any", tags={VERSIONS_TAG: before})
    assert is_overtaken(asked, after)
    assert not is_overtaken(asked, load_project(vector_store({"retrieval.tau": None})))
    assert not is_overtaken(dg.DagsterRun(job_name="any"), after)
