"""Who is building: one run at a time holds a store, and runs that died are declared failed.

A run that was killed stays `started` in Dagster's books, and automation then waits for it for ever. So each run holds a
lock file of its own while it lives; the system frees the lock when the process ends, however it ends.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
from dagster import DagsterRunStatus
from filelock import FileLock, Timeout

from assets.step import Log, open_store
from tac_pipeline.settings import Project

STORE_TAG = "tac/store"
LOCK_RESOURCE = "store_lock"
# A run is marked started some seconds before it takes its lock: it has to import and load the definitions first.
STARTING_SECONDS = 300.0
_UNFINISHED = [DagsterRunStatus.STARTING, DagsterRunStatus.STARTED, DagsterRunStatus.CANCELING]


@contextmanager
def holding_store(project: Project, instance: dg.DagsterInstance, run_id: str, log: Log) -> Iterator[None]:
    """Hold a store for one run from its first step to its last; no other run builds it meanwhile."""
    store, path = open_store(project), _lock_path(project, run_id)
    path.parent.mkdir(parents=True, exist_ok=True)
    living = FileLock(path)
    with living:
        try:
            with store.lock(on_wait=log):
                fail_dead_runs(project, instance)
                yield
        finally:
            path.unlink(missing_ok=True)


def fail_dead_runs(project: Project, instance: dg.DagsterInstance) -> list[str]:
    """Report the runs of a store as failed whose process has ended; returns their ids."""
    dead = []
    for record in instance.get_run_records(dg.RunsFilter(statuses=_UNFINISHED)):
        run = record.dagster_run
        if not _builds(run, project):
            continue
        path = _lock_path(project, run.run_id)
        age = dg._check.not_none(record.update_timestamp).timestamp()
        if _is_dead(path, seconds=time.time() - age):
            instance.report_run_failed(
                run, "The process of this run ended without a word: it was killed, or the machine went down. "
                "What it had finished is kept, and the next run goes on from there.",
            )  # fmt: skip
            path.unlink(missing_ok=True)
            dead.append(run.run_id)
    return dead


def _is_dead(path: Path, *, seconds: float) -> bool:
    if not path.exists():
        return seconds > STARTING_SECONDS
    try:
        with FileLock(path, timeout=0):
            return True
    except Timeout:
        return False


def _lock_path(project: Project, run_id: str) -> Path:
    return open_store(project).runs_folder / f"{run_id}.lock"


def _builds(run: dg.DagsterRun, project: Project) -> bool:
    """Whether a run is of this store: by its tag, or by the assets that somebody picked."""
    store = project.settings.store
    picked = run.asset_selection or set()
    return run.tags.get(STORE_TAG) == store or any(key.path[0] == store for key in picked)


def build_lock(project: Project) -> dg.ResourceDefinition:
    """The resource that every step of a store asks for: held from the run's first step to its last."""

    @dg.resource(description="One run at a time builds the store; a second one waits.")
    def store_lock(context: dg.InitResourceContext) -> Iterator[None]:
        instance, run, log = context.instance, context.run, context.log
        if instance is None or run is None or log is None:
            yield
            return
        with holding_store(project, instance, run.run_id, log.info):
            yield

    return store_lock


def build_watchman(project: Project) -> dg.SensorDefinition:
    """The sensor that looks for dead runs, so that automation goes on after a crash without anybody's help."""

    @dg.sensor(
        name="dead_runs",
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Reports runs as failed whose process has ended; Dagster would wait for them for ever.",
        target=None,
    )
    def dead_runs(context: dg.SensorEvaluationContext) -> Any:
        dead = fail_dead_runs(project, context.instance)
        return dg.SkipReason(f"reported as failed: {', '.join(dead)}" if dead else "every run that is started lives")

    return dead_runs
