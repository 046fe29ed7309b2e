"""Alerts of real runs: each cause is told once, by the command line or the daemon's sensor, and that it is over."""

import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pytest
from alert_server import AlertServer
from assets_helpers import materialize
from command_line import tac, told
from dagster import DagsterRun, DagsterRunStatus
from filelock import FileLock
from small_store import grouped_vectors, write_vectors

from assets.engine.execute import open_store
from assets.graph import GROWTH
from assets.orchestration import publishing
from assets.orchestration.automation import build_sensors
from assets.orchestration.instance import prepare_home
from assets.orchestration.run_liveness import STORE_TAG, fail_dead_runs
from assets.orchestration.telling import alerts
from assets.orchestration.telling.alerts import build_alert_sensors, look_and_tell
from assets.orchestration.telling.summary import Summary
from tac_pipeline.alerts.book import read_book
from tac_pipeline.settings.project import Project, load_project

Writer = Callable[..., Path]
# In the environment, so that the settings of all tests are the same, and their stores are made once.
HOOK = {"alerts.webhook": "env:TAC_TEST_HOOK"}
FAILED, OVER = ("failed", "open"), ("failed", "over")


@pytest.fixture
def told_store(vector_store: Writer, alert_server: AlertServer, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The settings of a small store that tells a server on this machine."""
    monkeypatch.setenv("TAC_TEST_HOOK", alert_server.url())
    return vector_store(HOOK)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as found:
        yield found


def look(path: Path, instance: dg.DagsterInstance) -> list[str]:
    """Look and tell; what was logged."""
    said: list[str] = []
    look_and_tell(load_project(path), instance, log=said.append)
    return said


def test_a_failed_run_is_told_once_and_that_it_is_over(told_store: Path, alert_server: AlertServer) -> None:
    def run() -> int:
        return tac("run", "-s", told_store, "--select", "image_manifest").exit_code

    images = told_store.parent / "images.parquet"
    assert run() == 0
    away = images.rename(told_store.parent / "away.parquet")
    assert [run(), run()] == [1, 1]
    assert alert_server.causes == [FAILED]
    [first] = alert_server.told
    assert first["title"] == "small: a run failed"
    assert first["sentence"].startswith("image_manifest: ")
    assert str(images) in first["sentence"]
    assert first["run"]
    shown = tac("alerts", "-s", told_store)
    assert "webhook" in shown.stdout and "image_manifest: " in shown.stdout
    away.rename(images)
    assert run() == 0
    assert alert_server.causes == [FAILED, OVER]
    assert alert_server.told[1]["sentence"] == f"It is over. It was: {first['sentence']}"
    assert tac("alerts", "-s", told_store).stdout == "nothing is up\n"
    assert run() == 0
    assert len(alert_server.told) == 2


def test_what_keeps_a_run_from_starting_is_told_too(
    vector_store: Writer, told_store: Path, alert_server: AlertServer
) -> None:
    path = vector_store({"corrections": "corrections.yaml"})
    for _ in range(2):
        assert "corrections" in told(tac("run", "-s", path))
    assert alert_server.causes == [FAILED]
    assert alert_server.told[0]["run"] is None
    alerts.note_start(load_project(path), log=print)
    assert alert_server.causes == [FAILED, OVER]


def test_a_server_that_hangs_is_logged_and_ends_no_run(
    vector_store: Writer, told_store: Path, alert_server: AlertServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = vector_store({"alerts.timeout": 0.3})
    monkeypatch.setenv("TAC_TEST_HOOK", alert_server.url("hang"))
    assert tac("run", "-s", path, "--select", "image_manifest").exit_code == 0
    (path.parent / "images.parquet").rename(path.parent / "away.parquet")
    result = tac("run", "-s", path, "--select", "image_manifest")
    assert result.exit_code == 1, "of the run itself"
    assert "alerts.webhook was not told (small: a run failed): " in result.stdout
    assert "It is tried again at the next occasion" in result.stdout
    assert "s3cret" not in result.output
    monkeypatch.setenv("TAC_TEST_HOOK", alert_server.url())
    (path.parent / "away.parquet").rename(path.parent / "images.parquet")
    assert tac("run", "-s", path, "--select", "image_manifest").exit_code == 0
    assert alert_server.causes == [OVER], "a cause that nobody heard of is told as over"


def killed_run(project: Project, instance: dg.DagsterInstance) -> str:
    """A run that Dagster sees as started, and that no process holds."""
    run = DagsterRun("grow", run_id=str(uuid.uuid4()), status=DagsterRunStatus.STARTED, tags={STORE_TAG: "small"})
    instance.add_run(run)
    path = open_store(project).runs_folder / f"{run.run_id}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return run.run_id


def watchman_looks(project: Project, instance: dg.DagsterInstance, run_id: str) -> None:
    assert fail_dead_runs(project, instance) == [run_id]


def code_server_looks(project: Project, instance: dg.DagsterInstance, run_id: str) -> None:
    """As Dagster's code server does it, without a reason."""
    run = instance.get_run_by_id(run_id)
    assert run is not None
    instance.report_run_failed(run)


@pytest.mark.parametrize("look", [watchman_looks, code_server_looks])
def test_a_killed_run_is_told_by_the_sensor(
    told_store: Path, alert_server: AlertServer, instance: dg.DagsterInstance, look: Callable[..., None]
) -> None:
    project = load_project(told_store)
    [sensor] = build_alert_sensors(project)

    def tick() -> str:
        [answer] = [sensor(dg.build_sensor_context(instance=instance))]
        assert isinstance(answer, dg.SkipReason)
        return str(answer.skip_message)

    assert tick() == "everybody knows what is up"
    run_id = killed_run(project, instance)
    assert tick() == "everybody knows what is up", "nobody has looked yet whether it lives"
    look(project, instance, run_id)
    tick(), tick()
    assert alert_server.causes == [FAILED]
    assert alert_server.told[0]["sentence"].startswith("The process of this run ended without a word")
    assert alert_server.told[0]["run"] == run_id
    instance.add_run(
        DagsterRun("grow", run_id=str(uuid.uuid4()), status=DagsterRunStatus.SUCCESS, tags={STORE_TAG: "small"})
    )
    tick(), tick()
    assert alert_server.causes == [FAILED, OVER]


def test_a_command_tells_of_the_run_that_was_killed_before_it(told_store: Path, alert_server: AlertServer) -> None:
    project = load_project(told_store)
    assert tac("run", "-s", told_store, "--select", "image_manifest").exit_code == 0
    with dg.DagsterInstance.from_config(str(prepare_home(project))) as home:
        killed_run(project, home)
    assert tac("run", "-s", told_store, "--select", "image_manifest").exit_code == 0
    assert alert_server.causes == [FAILED], "another job's success does not mend it"


def test_runs_of_others_and_of_long_ago_are_not_told(
    told_store: Path, alert_server: AlertServer, instance: dg.DagsterInstance
) -> None:
    def failed(**tags: str) -> None:
        instance.add_run(DagsterRun("grow", run_id=str(uuid.uuid4()), status=DagsterRunStatus.FAILURE, tags=tags))

    failed(**{STORE_TAG: "another"})
    assert look(told_store, instance) == []
    assert alert_server.told == []
    book = read_book(open_store(load_project(told_store)).telling_folder)
    assert book is not None and book.causes == []


def test_where_nobody_is_named_nothing_is_kept(vector_store: Writer, instance: dg.DagsterInstance) -> None:
    path = vector_store()
    assert look(path, instance) == []
    assert not open_store(load_project(path)).telling_folder.exists()
    assert build_alert_sensors(load_project(path)) == []
    assert "`alerts` names nobody to tell" in tac("alerts", "-s", path).stdout
    assert "alerts must name somebody to tell" in told(tac("alerts", "--test", "-s", path))


def test_the_sensors_of_a_store_that_tells(told_store: Path) -> None:
    assert [sensor.name for sensor in build_sensors(load_project(told_store))][-1] == "alerts"


def test_two_processes_do_not_tell_the_same(
    told_store: Path, alert_server: AlertServer, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = load_project(told_store)
    killed_run(project, instance)
    look(told_store, instance)
    fail_dead_runs(project, instance)
    folder = open_store(project).telling_folder
    monkeypatch.setattr(alerts, "FileLock", lambda path, timeout: FileLock(path, timeout=0.01))
    with FileLock(folder / alerts.LOCK_NAME):
        [said] = look(told_store, instance)
    assert said.startswith("nobody was told what is up: another process is telling")
    assert alert_server.told == []
    look(told_store, instance)
    assert alert_server.causes == [FAILED]


def test_what_goes_wrong_while_telling_is_said_and_nothing_more(
    told_store: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise OSError("no room")

    monkeypatch.setattr(alerts, "note_runs", broken)
    [said] = look(told_store, instance)
    assert said.startswith("nobody was told what is up: OSError: no room")


def grow(path: Path, ids: list[str], vectors: np.ndarray) -> None:
    write_vectors(path.parent / "images.parquet", ids, vectors, ["x"] * len(ids))
    materialize(path, [step.name for step in GROWTH])


def test_held_results_and_drift_are_told_and_that_they_are_over(
    vector_store: Writer, told_store: Path, alert_server: AlertServer, instance: dg.DagsterInstance
) -> None:
    materialize(told_store)
    vector_store({"images.max_loss": 1})
    project = load_project(told_store)
    publishing.publish(project, by_hand=False)
    assert look(told_store, instance) == []
    vectors, _ = grouped_vectors()
    ids = [f"image-{number:03d}" for number in range(60)]
    # Most images are new, all in one group, and farther from it than its own.
    odd = np.repeat((vectors[:1] + 0.5 * np.eye(16, dtype=np.float32)[9]), 900, axis=0)
    grow(told_store, [*ids, *(f"new-{number:04d}" for number in range(900))], np.concatenate([vectors, odd]))
    for _ in range(2):
        assert not publishing.publish(project, by_hand=False).moved
        look(told_store, instance)
    assert sorted(alert_server.causes) == [("drift", "open"), ("held", "open")]
    by_cause = {one["cause"]: one["sentence"] for one in alert_server.told}
    assert by_cause["held"].startswith("Clusters far above their even share: ")
    assert "A re-clustering is worth it" in by_cause["drift"]
    alert_server.told.clear()
    assert "version 2 is published" in tac("publish", "-s", told_store).stdout
    assert alert_server.causes == [("held", "over")], "readers have it, and the images still do not fit"
    alert_server.told.clear()
    grow(told_store, ids, vectors)
    publishing.publish(project, by_hand=True)
    look(told_store, instance)
    assert alert_server.causes == [("drift", "over")]


def test_what_people_chose_is_not_told(
    vector_store: Writer, told_store: Path, alert_server: AlertServer, instance: dg.DagsterInstance
) -> None:
    path = vector_store({"publication.mode": "manual"})
    materialize(path)
    assert not publishing.publish(load_project(path), by_hand=False).moved
    look(path, instance)
    assert alert_server.told == []


def test_a_version_that_did_not_get_there_is_told(
    vector_store: Writer, told_store: Path, alert_server: AlertServer, instance: dg.DagsterInstance
) -> None:
    path = vector_store({"publication.to": "shared"})
    materialize(path)
    (path.parent / "shared").write_text("in the way")
    for _ in range(2):
        assert publishing.publish(load_project(path), by_hand=False).moved
        look(path, instance)
    assert alert_server.causes == [("upload", "open")]
    assert "cannot be written to" in alert_server.told[0]["sentence"]
    (path.parent / "shared").unlink()
    publishing.publish(load_project(path), by_hand=False)
    look(path, instance)
    assert alert_server.causes == [("upload", "open"), ("upload", "over")]


def test_only_wanted_causes_and_shares_are_told(
    vector_store: Writer, told_store: Path, alert_server: AlertServer, instance: dg.DagsterInstance
) -> None:
    def summarized(share: float, path: Path) -> None:
        numbers = {"share of unreadable images": share}
        found = Summary("key", numbers, unreadable="3 of 60 images", drift="They drift.", at=time.time())
        monkeypatch.setattr(alerts, "read_summary", lambda _: found)
        look(path, instance)

    with pytest.MonkeyPatch.context() as monkeypatch:
        path = vector_store({"alerts.causes": ["unreadable"], "alerts.unreadable": 0.05})
        summarized(0.05, path)
        assert alert_server.told == []
        summarized(0.06, path)
        assert alert_server.causes == [("unreadable", "open")]
        assert alert_server.told[0]["sentence"] == "3 of 60 images"
        summarized(0.01, path)
        assert alert_server.causes == [("unreadable", "open"), ("unreadable", "over")]


def test_a_test_says_who_was_reached(
    vector_store: Writer, told_store: Path, alert_server: AlertServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert tac("alerts", "--test", "-s", told_store).stdout == "alerts.webhook: sent\n"
    assert alert_server.causes == [("test", "open")]
    monkeypatch.setenv("TAC_TEST_HOOK", alert_server.url("500"))
    result = tac("alerts", "--test", "-s", told_store)
    assert (result.exit_code, result.stdout) == (1, "alerts.webhook: not sent, the server answered 500\n")
