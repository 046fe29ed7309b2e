"""A version that did not get to readers elsewhere is brought there later by the daemon."""

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster import DagsterRun, DagsterRunStatus
from made_versions import publish

from assets.orchestration.publishing import PUBLISHED
from assets.orchestration.run_liveness import STORE_TAG, run_tags
from assets.orchestration.upkeep.unfinished import AUTOMATIC_TAG
from assets.orchestration.upkeep.uploads import bring_again, build_upload_sensors
from tac_pipeline.settings.project import Project, load_project
from tac_pipeline.store.artifacts import open_store
from tac_pipeline.store.publication import Publication
from tac_pipeline.store.publishing.brought import Elsewhere, write_elsewhere

Writer = Callable[..., Path]


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as found:
        yield found


@pytest.fixture
def project(vector_store: Writer) -> Project:
    """A store with a published version that nobody brought anywhere."""
    found = load_project(vector_store({"publication.to": "shared"}))
    publish(Publication(open_store(found).published_folder), {"x": 0})
    return found


def know(project: Project, there: Elsewhere) -> None:
    write_elsewhere(open_store(project).telling_folder, there)


def place(project: Project) -> str:
    return f"{project.path.parent}/shared/small"


def why(answer: dg.RunRequest | dg.SkipReason) -> str:
    assert isinstance(answer, dg.SkipReason)
    return str(answer.skip_message)


def test_what_a_killed_writer_left_is_brought_at_once(project: Project, instance: dg.DagsterInstance) -> None:
    request = bring_again(project, instance, now=100.0)
    assert isinstance(request, dg.RunRequest)
    assert request.asset_selection == [dg.AssetKey(["small", PUBLISHED])]
    assert request.tags == run_tags(project) | {AUTOMATIC_TAG: "uploads"}
    know(project, Elsewhere(place(project), 1, 50.0))
    assert why(bring_again(project, instance, now=100.0)) == "readers elsewhere have what is published"


def test_a_failure_is_tried_again_ever_later(project: Project, instance: dg.DagsterInstance) -> None:
    there, keys = Elsewhere(place(project)), set()
    for pause in (60, 120, 240):
        there = there.failing("no bucket", now=1000.0)
        know(project, there)
        assert why(bring_again(project, instance, now=1000.0 + pause - 1)) == f"{place(project)} is tried again in 1 s"
        request = bring_again(project, instance, now=1000.0 + pause)
        assert isinstance(request, dg.RunRequest)
        keys.add(request.run_key)
    assert len(keys) == 3, "Dagster drops a request with a key that it knows"


def test_a_run_of_the_store_is_not_disturbed(project: Project, instance: dg.DagsterInstance) -> None:
    instance.add_run(
        DagsterRun("grow", run_id=str(uuid.uuid4()), status=DagsterRunStatus.STARTED, tags={STORE_TAG: "small"})
    )
    assert why(bring_again(project, instance, now=1.0)) == "a run of the store is not over yet"


def test_what_cannot_be_read_waits(project: Project, instance: dg.DagsterInstance) -> None:
    (open_store(project).published_folder / "v000001" / "version.json").write_text("{")
    assert "version.json cannot be read" in why(bring_again(project, instance, now=1.0))


def test_the_sensor_is_there_where_a_place_is_named(project: Project, vector_store: Writer) -> None:
    [sensor] = build_upload_sensors(project)
    assert sensor.name == "uploads"
    assert sensor.default_status == dg.DefaultSensorStatus.RUNNING
    [stopped] = build_upload_sensors(load_project(vector_store({"schedule.refresh": False})))
    assert stopped.default_status == dg.DefaultSensorStatus.STOPPED
    assert build_upload_sensors(load_project(vector_store({"publication.to": None}))) == []
    grouped = vector_store({"groupings": {"style": {"publication": {"to": "shared"}}}})
    assert len(build_upload_sensors(load_project(grouped))) == 1
