"""Which run is building: one run at a time holds a store, and dead runs are reported as failed.

Dagster keeps a killed run as `started`, and automation then waits for it forever. So the process of a run holds a lock
file with the run's name; the system releases it when the process ends in any way.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
from dagster import DagsterRunStatus
from filelock import FileLock, Timeout

from assets.engine.execute import open_store
from assets.engine.step import Log
from assets.orchestration.dagster_internals import kept_open, report_failed, tag_run
from tac_pipeline.errors import StoreError
from tac_pipeline.settings.project import Project

STORE_TAG = "tac/store"
# Looking at the source takes no lock: it does not wait for builds, only for another look.
OBSERVE_TAG = "tac/observe"
# Two projects on one Dagster home may have stores of one name; their data folders differ.
DATA_TAG = "tac/data"
# Of the stores of an instance, one learns at a time: its dagster.yaml has the limit.
LEARNING_POOL = "learning"
LOCK_RESOURCE, LIFE_RESOURCE = "store_lock", "sign_of_life"
# A run is marked as started some seconds before it has its file, because it must load the definitions first.
STARTING_SECONDS = 300.0
UNKNOWN_SECONDS = 24 * 3600.0
WITHOUT_A_WORD = (
    "The process of this run ended without a word: it was killed, as a machine does that runs out of memory, or the "
    "machine went down. Its finished work is kept, and the next run continues from there."
)
_UNFINISHED = (DagsterRunStatus.STARTING, DagsterRunStatus.STARTED, DagsterRunStatus.CANCELING)

# The locks of this process's runs, held until it ends: a run is marked as finished only after its resources are gone,
# and must not look dead before that.
_living: dict[Path, FileLock] = {}


def run_tags(project: Project, *, looks: bool = False) -> dict[str, str]:
    """The tags of a run that builds a store, or only looks at its source: the store's name, and where its data is."""
    return {OBSERVE_TAG if looks else STORE_TAG: project.root.settings.store, DATA_TAG: _data(project)}


@contextmanager
def holding_store(project: Project, instance: dg.DagsterInstance, run_id: str, log: Log) -> Iterator[None]:
    """Hold a store for one run from its first step to its last; no other run builds it meanwhile."""
    _declare_living(project, instance, run_id)
    with open_store(project).lock(on_wait=log):
        fail_dead_runs(project, instance)
        yield


def fail_dead_runs(project: Project, instance: dg.DagsterInstance) -> list[str]:
    """Report runs of a store as failed when their process has ended; returns their ids."""
    dead = []
    for path in sorted(open_store(project.root).runs_folder.glob("*.lock")):
        # First look whether the process lives, then at its status: a good end is written before the process ends.
        run_id = path.stem
        if _lives(path):
            continue
        if instance.get_run_by_id(run_id) is None:
            # Another instance's, which looks for it too; or the run is not in the history any more.
            if time.time() - path.stat().st_mtime > UNKNOWN_SECONDS:
                path.unlink(missing_ok=True)
            continue
        if _fail(instance, run_id):
            dead.append(run_id)
        path.unlink(missing_ok=True)
    # Runs that died before they had a lock file.
    for record in instance.get_run_records(dg.RunsFilter(statuses=list(_UNFINISHED))):
        run = record.dagster_run
        quiet = time.time() - record.update_timestamp.timestamp()
        if works_on(run, project) and quiet > STARTING_SECONDS and not _lock_path(project, run.run_id).exists():
            dead += [run.run_id] if _fail(instance, run.run_id) else []
    return dead


def _fail(instance: dg.DagsterInstance, run_id: str) -> bool:
    """Report a run as failed unless it has ended; returns whether it was reported."""
    run = instance.get_run_by_id(run_id)
    if run is None or run.status not in _UNFINISHED:
        return False
    report_failed(instance, run, WITHOUT_A_WORD)
    return True


def _declare_living(project: Project, instance: dg.DagsterInstance, run_id: str) -> None:
    """Hold a run's lock file until this process ends, and tell where its data is."""
    path = _lock_path(project, run_id)
    if path in _living:
        return
    run = instance.get_run_by_id(run_id)
    # Runs that somebody starts by selecting assets have no tags of ours.
    if run is not None and DATA_TAG not in run.tags:
        tag_run(instance, run_id, {DATA_TAG: _data(project)})
    # It gets its name only when it is already locked, so that nobody finds it free.
    aside = path.with_suffix(".new")
    lock = FileLock(aside)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
        aside.rename(path)
    except OSError as error:
        raise StoreError(
            f"cannot write to {path.parent}: {error.strerror}. The data folder must be on a disk or volume that this "
            "user may write to"
        ) from error
    _living[path] = lock


def _lives(path: Path) -> bool:
    """Whether a process holds this lock file."""
    try:
        with FileLock(path, timeout=0):
            return False
    except Timeout:
        return True


def _lock_path(project: Project, run_id: str) -> Path:
    return open_store(project.root).runs_folder / f"{run_id}.lock"


def drop_sign_of_life(project: Project, run_id: str) -> None:
    """Remove the lock file of a run that is over, and that the history no longer has."""
    _lock_path(project, run_id).unlink(missing_ok=True)


def works_on(run: dg.DagsterRun, project: Project) -> bool:
    """Whether a run builds this store or looks at it, from its tags or its selected assets."""
    if DATA_TAG in run.tags:
        return run.tags[DATA_TAG] == _data(project)
    # Not yet told: it has no process yet, or an earlier version started it.
    store, family = project.root.settings.store, {one.settings.store for one in project.family}
    picked = any(key.path[0] in family for key in run.asset_selection or ())
    return picked or store in (run.tags.get(STORE_TAG), run.tags.get(OBSERVE_TAG))


def _data(project: Project) -> str:
    return str(project.root.store_folder.resolve())


def build_lock(project: Project) -> dg.ResourceDefinition:
    """The resource that every step of a store requires: held from the run's first step to its last."""

    @dg.resource(description="One run at a time builds the store; a second one waits.")
    def store_lock(context: dg.InitResourceContext) -> Iterator[None]:
        instance, run, log = context.instance, context.run, context.log
        if instance is None or run is None or log is None:
            yield
            return
        with kept_open(instance), holding_store(project, instance, run.run_id, log.info):
            yield

    return store_lock


def build_sign_of_life(project: Project) -> dg.ResourceDefinition:
    """The resource that every step without the lock requires: it shows that a run that observes or edits is alive."""

    @dg.resource(description="Shows that the process of a run is alive.")
    def sign_of_life(context: dg.InitResourceContext) -> None:
        if context.run is not None and context.instance is not None:
            _declare_living(project, context.instance, context.run.run_id)

    return sign_of_life


def build_watchman(project: Project, *, pace: float = 1.0) -> dg.SensorDefinition:
    """The sensor that looks for dead runs, so that automation continues after a crash without help."""

    @dg.sensor(
        name="dead_runs",
        minimum_interval_seconds=round(30 * pace),
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Reports runs as failed when their process has ended; Dagster would wait for them forever.",
        target=None,
    )
    def dead_runs(context: dg.SensorEvaluationContext) -> Any:
        dead = fail_dead_runs(project, context.instance)
        return dg.SkipReason(f"reported as failed: {', '.join(dead)}" if dead else "every started run is alive")

    return dead_runs
