"""Which run builds: the next process reports a dead run, never a living one, and two never build at once."""

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from command_line import ALL
from dagster import DagsterRun, DagsterRunStatus
from ruamel.yaml import YAML
from small_store import REPOSITORY
from staleness import COUNTERPARTS_DOWN
from ui_server import clean_environment
from waiting import PATIENCE

from assets.engine.execute import open_store
from assets.graph import STEPS, find
from assets.lookups.status import State, all_status, steps_to_run
from assets.orchestration import run_liveness
from assets.orchestration.build import build_definitions
from assets.orchestration.in_process import run_steps
from assets.orchestration.instance import INSTANCE_SETTINGS, prepare_home
from assets.orchestration.run_liveness import (
    DATA_TAG,
    LIFE_RESOURCE,
    LOCK_RESOURCE,
    OBSERVE_TAG,
    STORE_TAG,
    build_watchman,
    fail_dead_runs,
    holding_store,
    run_tags,
)
from tac_pipeline.errors import StoreError
from tac_pipeline.settings.editing import edit_settings
from tac_pipeline.settings.project import Project, load_project

Writer = Callable[..., Path]


@pytest.fixture
def project(vector_store: Writer) -> Project:
    return load_project(vector_store())


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as found:
        yield found


def start(instance: dg.DagsterInstance, **changes: Any) -> str:
    """A run that Dagster sees as started; returns its id."""
    run = DagsterRun(job_name="grow", run_id=str(uuid.uuid4()), status=DagsterRunStatus.STARTED, **changes)
    instance.add_run(run)
    return run.run_id


def status(instance: dg.DagsterInstance, run_id: str) -> DagsterRunStatus:
    run = instance.get_run_by_id(run_id)
    assert run is not None
    return run.status


def lock_file(project: Project, run_id: str) -> Path:
    path = open_store(project).runs_folder / f"{run_id}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def test_a_run_that_cannot_write_to_its_store_says_so(project: Project, instance: dg.DagsterInstance) -> None:
    runs = open_store(project).runs_folder
    runs.parent.mkdir(parents=True, exist_ok=True)
    runs.write_text("in the way, as a disk that is read-only would be")
    with (
        pytest.raises(StoreError, match=r"cannot write to .*: File exists. The data folder must be"),
        holding_store(project, instance, start(instance), lambda _: None),
    ):
        pass


def another_store(project: Project) -> Project:
    return replace(project, settings=project.settings.model_copy(update={"store": "another"}))


OURS = {STORE_TAG: "small"}


def test_a_run_whose_process_has_ended_is_told_once(project: Project, instance: dg.DagsterInstance) -> None:
    run_id = start(instance, tags=OURS)
    lock_file(project, run_id).touch()
    assert fail_dead_runs(another_store(project), instance) == []
    assert fail_dead_runs(project, instance) == [run_id]
    assert status(instance, run_id) == DagsterRunStatus.FAILURE
    assert not lock_file(project, run_id).exists()
    assert fail_dead_runs(project, instance) == []
    messages = [entry.message for entry in instance.all_logs(run_id)]
    assert any("ended without a word" in message for message in messages)


def test_a_run_that_holds_its_lock_is_never_told(
    project: Project, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_liveness, "STARTING_SECONDS", -1.0)
    run_id = start(instance, tags=OURS)
    with holding_store(project, instance, run_id, print):
        assert fail_dead_runs(project, instance) == []
    # Its resources are gone, but Dagster has not yet recorded that it succeeded.
    assert fail_dead_runs(project, instance) == []
    assert status(instance, run_id) == DagsterRunStatus.STARTED


def test_the_lock_file_of_a_run_that_nobody_knows_any_more_goes_after_a_day(
    project: Project, instance: dg.DagsterInstance
) -> None:
    fresh, old = (lock_file(project, str(uuid.uuid4())) for _ in range(2))
    for path in (fresh, old):
        path.touch()
    os.utime(old, (0, 0))
    assert fail_dead_runs(project, instance) == []
    assert fresh.exists() and not old.exists()


def test_the_lock_file_of_a_run_that_ended_well_is_swept(project: Project, instance: dg.DagsterInstance) -> None:
    run_id = start(instance, tags=OURS)
    lock_file(project, run_id).touch()
    instance.report_run_failed(instance.get_run_by_id(run_id))  # type: ignore[arg-type]
    told = len(instance.all_logs(run_id))
    assert fail_dead_runs(project, instance) == []
    assert not lock_file(project, run_id).exists()
    assert len(instance.all_logs(run_id)) == told


def test_a_run_of_another_instance_is_left_to_that(project: Project, instance: dg.DagsterInstance) -> None:
    lock_file(project, "unknown-here").touch()
    assert fail_dead_runs(project, instance) == []
    assert lock_file(project, "unknown-here").exists()


@pytest.mark.parametrize(
    ("changes", "ours"),
    [
        ({"tags": OURS}, True),
        ({"tags": {STORE_TAG: "another"}}, False),
        ({"asset_selection": frozenset({dg.AssetKey(["small", "clusters"])})}, True),
        ({"asset_selection": frozenset({dg.AssetKey(["another", "clusters"])})}, False),
        ({"asset_selection": frozenset({dg.AssetKey(["small", "image_store"])})}, True),
        ({"tags": {OBSERVE_TAG: "small"}}, True),
        ({"tags": {OBSERVE_TAG: "another"}}, False),
        ({}, False),
    ],
)
def test_a_run_that_never_got_its_lock_is_told_after_a_while(
    project: Project, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], ours: bool
) -> None:
    run_id = start(instance, **changes)
    assert fail_dead_runs(project, instance) == [], "it may just be starting"
    monkeypatch.setattr(run_liveness, "STARTING_SECONDS", -1.0)
    assert fail_dead_runs(project, instance) == ([run_id] if ours else [])


def elsewhere(project: Project) -> Project:
    """Another project with a store of the same name."""
    return replace(project, path=project.path.parent / "other" / "tac.yaml")


def test_a_living_run_of_a_store_of_the_same_name_elsewhere_is_left_alone(
    project: Project, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On one Dagster home the name of a store does not tell two projects apart; their data folders do."""
    monkeypatch.setattr(run_liveness, "STARTING_SECONDS", -1.0)
    ours, theirs = start(instance, tags=run_tags(project)), start(instance, tags=run_tags(elsewhere(project)))
    looking = start(instance, tags=run_tags(elsewhere(project), looks=True))
    assert fail_dead_runs(project, instance) == [ours]
    assert {status(instance, run_id) for run_id in (theirs, looking)} == {DagsterRunStatus.STARTED}


def test_a_run_without_tags_of_ours_tells_where_its_data_is_when_it_begins(
    project: Project, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when somebody selects assets in the UI."""
    monkeypatch.setattr(run_liveness, "STARTING_SECONDS", -1.0)
    picked = start(instance, asset_selection=frozenset({dg.AssetKey(["small", "clusters"])}))
    with holding_store(elsewhere(project), instance, picked, print):
        assert fail_dead_runs(project, instance) == []
    run = instance.get_run_by_id(picked)
    assert run is not None and run.tags[DATA_TAG] == str(elsewhere(project).store_folder)


def test_every_job_and_sensor_tells_where_the_data_is(project: Project) -> None:
    definitions = build_definitions(project.path)
    tags = {name: definitions.resolve_job_def(name).tags for name in ("observe", "grow", "recluster", "publish")}
    assert {name: found[DATA_TAG] for name, found in tags.items()} == dict.fromkeys(tags, str(project.store_folder))


def test_every_step_of_every_job_shows_that_its_run_lives(project: Project) -> None:
    """The observation, the checks and the edit of settings too, which take no lock."""
    shown = {}
    for job in build_definitions(project.path).get_repository_def().get_all_jobs():
        for node in job.graph.nodes:
            assert isinstance(node.definition, dg.OpDefinition)
            shown[f"{job.name}.{node.name}"] = set(node.definition.required_resource_keys)
    assert {name.split(".")[0] for name in shown} >= {"observe", "grow", "recluster", "set_settings", "publish"}
    assert any(name.endswith("drift") for name in shown), "checks are among them"
    assert {name for name, keys in shown.items() if not keys & {LIFE_RESOURCE, LOCK_RESOURCE}} == set()


def test_a_run_that_observes_lives_and_is_told_when_it_dies(
    project: Project, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_liveness, "STARTING_SECONDS", -1.0)
    job = build_definitions(project.path).resolve_job_def("observe")
    assert job.tags[OBSERVE_TAG] == "small"
    run_id = job.execute_in_process(instance=instance).run_id
    path = lock_file(project, run_id)
    assert path.exists()
    # Another process sees it as started, with its file held, then free.
    slow = start(instance, tags={OBSERVE_TAG: "small"})
    path.rename(lock_file(project, slow))
    assert fail_dead_runs(project, instance) == []
    run_liveness._living.pop(path).release()
    lock_file(project, slow).touch()
    assert fail_dead_runs(project, instance) == [slow]


def test_the_queue_starts_one_build_and_one_look_a_store_at_a_time() -> None:
    limits = YAML(typ="safe").load(INSTANCE_SETTINGS)["concurrency"]["runs"]["tag_concurrency_limits"]
    assert [(entry["key"], entry["limit"]) for entry in limits] == [(STORE_TAG, 1), (OBSERVE_TAG, 1)]
    assert all(entry["value"] == {"applyLimitPerUniqueValue": True} for entry in limits)


def test_the_sensor_says_what_it_found(project: Project, instance: dg.DagsterInstance) -> None:
    def look() -> str:
        with dg.build_sensor_context(instance=instance) as context:
            return str(build_watchman(project)(context).skip_message)

    assert look() == "every started run is alive"
    run_id = start(instance, tags=OURS)
    lock_file(project, run_id).touch()
    assert look() == f"reported as failed: {run_id}"


def test_a_settings_edit_while_a_run_is_under_way_is_for_the_next_run(vector_store: Writer) -> None:
    """The run continues with the settings that it was loaded with, and its artifacts are marked as made for these."""
    path = vector_store({"method": "trained"})
    project = load_project(path)

    def edit(told: Any) -> None:
        if (told.step, told.event) == ("text_counterparts", "started"):
            edit_settings(path, {"retrieval.tau": 0.02, "heads.epochs": 20})

    assert run_steps(project, STEPS, listener=edit, publish=True)
    store, now = open_store(project), load_project(path)
    assert now.settings.retrieval.tau == 0.02
    for step in STEPS:
        assert store.require_current(step.name).version == step.version(project.settings)
    assert store.require_current("text_counterparts").artifact.record["values"] == {"retrieval.tau": 0.005}
    assert store.require_current("cluster_heads").artifact.record["values"]["epochs"] == 60
    assert {entry.step.name for entry in all_status(now) if entry.state != State.FRESH} == COUNTERPARTS_DOWN
    assert run_steps(now, steps_to_run(now), listener=lambda _: None)
    assert {entry.state for entry in all_status(now)} == {State.FRESH}


class TacRun:
    """`tac run` in its own process."""

    def __init__(self, path: Path, log: Path) -> None:
        self._log = log
        command = [sys.executable, "-m", "tac_pipeline.cli", "run", "-s", str(path)]
        environment = clean_environment(COLUMNS="200")
        with log.open("w") as file:
            self.process = subprocess.Popen(
                command, cwd=REPOSITORY, env=environment, stdout=file, stderr=subprocess.STDOUT
            )

    @property
    def output(self) -> str:
        return self._log.read_text()

    def wait_for(self, found: Callable[[], Any]) -> Any:
        """The first result of a check, while the process is alive."""
        deadline = time.monotonic() + PATIENCE
        while not (value := found()):
            assert self.process.poll() is None, self.output
            assert time.monotonic() < deadline, f"it took too long: {self.output}"
            time.sleep(0.1)
        return value

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


@pytest.fixture
def killed(vector_store: Writer) -> Iterator[tuple[Project, str]]:
    """A store after its `tac run` was killed during training, and the id of that run."""
    path = vector_store({"method": "trained", "heads.epochs": 10_000_000})
    project, run = load_project(path), TacRun(path, path.parent / "run.log")
    try:
        (lock,) = run.wait_for(lambda: list(open_store(project).runs_folder.glob("*.lock")))
        # The step before the endless one.
        run.wait_for(lambda: open_store(project).current("text_neighbors"))
        prepare_home(project)
        with dg.DagsterInstance.get() as instance:
            assert fail_dead_runs(project, instance) == [], "it lives"
            assert status(instance, lock.stem) == DagsterRunStatus.STARTED
    finally:
        run.kill()
    yield load_project(vector_store({"heads.epochs": 20})), lock.stem


def test_a_killed_run_is_told_by_the_next_one_which_goes_on_from_there(killed: tuple[Project, str]) -> None:
    project, run_id = killed
    reused: list[str] = []

    def hear(told: Any) -> None:
        if told.event == "reused":
            reused.append(told.step)

    with dg.DagsterInstance.get() as instance:
        assert fail_dead_runs(another_store(project), instance) == []
        assert status(instance, run_id) == DagsterRunStatus.STARTED
        names = ["image_kmeans", "text_neighbors", "training_free_clusters", "cluster_heads"]
        assert run_steps(project, [find(name) for name in names], listener=hear)
        assert status(instance, run_id) == DagsterRunStatus.FAILURE
        assert fail_dead_runs(project, instance) == []
        unfinished = dg.RunsFilter(statuses=[DagsterRunStatus.STARTED, DagsterRunStatus.STARTING])
        assert instance.get_run_records(unfinished) == []
    assert "text_neighbors" in reused


def test_two_runs_at_once_build_one_after_the_other(vector_store: Writer) -> None:
    path = vector_store()
    project = load_project(path)
    with open_store(project).lock():
        both = [TacRun(path, path.parent / f"run{number}.log") for number in range(2)]
        try:
            for run in both:
                run.wait_for(lambda run=run: f"lock: process {os.getpid()} is building in" in run.output)
        except AssertionError:
            for run in both:
                run.kill()
            raise
    assert [run.process.wait(timeout=PATIENCE) for run in both] == [0, 0], [run.output for run in both]
    first, second = sorted((run.output for run in both), key=lambda output: f"{ALL} computed" not in output)
    assert f"{ALL} computed, 0 reused" in first
    assert " computed, 0 reused" not in second, "what the first one built is found"
    prepare_home(project)
    with dg.DagsterInstance.get() as instance:
        records = sorted(instance.get_run_records(), key=lambda record: record.start_time or 0)
    assert [record.dagster_run.status for record in records] == [DagsterRunStatus.SUCCESS] * 2
    assert records[0].end_time <= records[1].start_time, "they never build at the same time"  # type: ignore[operator]


OPENING = """
import sys, time
from pathlib import Path
from assets.orchestration.instance import prepare_home
from tac_pipeline.settings.project import load_project
import dagster as dg
project = load_project(sys.argv[1])
print("ready", flush=True)
sys.stdin.read(1)
with dg.DagsterInstance.from_config(str(prepare_home(project))) as instance:
    print(len(instance.get_runs()), flush=True)
"""


def test_processes_that_open_a_new_instance_at_once_do_not_break_it(vector_store: Writer) -> None:
    path = vector_store()
    command = [sys.executable, "-c", OPENING, str(path)]
    streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    started = [subprocess.Popen(command, cwd=REPOSITORY, text=True, **streams) for _ in range(3)]  # type: ignore[call-overload]
    for process in started:
        assert process.stdout.readline() == "ready\n"
    for process in started:
        process.stdin.write("x")
        process.stdin.flush()
    ends = [process.communicate(timeout=PATIENCE) for process in started]
    assert [out for out, _ in ends] == ["0\n"] * 3, [err[-2000:] for _, err in ends]
