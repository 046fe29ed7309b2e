"""Materializing in this process: the command line's way into Dagster."""

import logging
import threading
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg
from dagster import DagsterEventType

from assets.engine.execute import open_store
from assets.engine.step import Step
from assets.orchestration.build import RECLUSTER_TAG, build_definitions
from assets.orchestration.dagster_internals import (
    failed_outside_steps,
    find_asset_job,
    find_job,
    innermost_message,
    listen,
    open_instance_for_a_terminal,
    report_canceled,
    was_interrupted,
)
from assets.orchestration.instance import prepare_home
from assets.orchestration.metadata import asset_key, step_names
from assets.orchestration.publishing import PUBLISHED
from assets.orchestration.run_liveness import fail_dead_runs, run_tags
from assets.orchestration.telling.alerts import look_and_tell
from assets.orchestration.upkeep.history import Pruned, prune_history
from tac_pipeline.failures import TRACES_NAME, in_words, keep_trace
from tac_pipeline.files import full_disk_told
from tac_pipeline.settings.project import Project


@dataclass(frozen=True)
class Progress:
    """An event of a step: it started, logged something, or ended."""

    step: str
    event: str  # started | said | reused | computed | published | held | unsent | failed
    text: str = ""
    seconds: float = 0.0
    rows: int | None = None


Listener = Callable[[Progress], None]


def run_steps(
    project: Project, steps: Iterable[Step], *, listener: Listener, publish: bool = False, anew: bool = False
) -> bool:
    """Like run_parts, for one store or one grouping."""
    return run_parts([(project, steps)], listener=listener, publish=publish, anew=anew)


def run_parts(
    parts: Sequence[tuple[Project, Iterable[Step]]], *, listener: Listener, publish: bool = False, anew: bool = False
) -> bool:
    """Materialize steps of a store and its groupings in this process, and report each event; True if all succeeded.

    With `publish`, it then publishes each result if checks and settings allow it; `anew` learns again on request.
    """
    project, last = parts[0][0].root, [PUBLISHED] if publish else []
    keys = [asset_key(name, one) for one, steps in parts for name in (*(step.name for step in steps), *last)]
    job = find_asset_job(build_definitions(project.path))
    tags = {RECLUSTER_TAG: "yes"} if anew else {}
    return _execute(project, job, listener, tags, asset_selection=keys)


def run_job(project: Project, name: str, *, listener: Listener) -> bool:
    """Run one of the store's jobs in this process, as the UI would, and report each event; True when all succeeded."""
    return _execute(project, find_job(build_definitions(project.path), name), listener, {})


def prune_now(project: Project) -> str:
    """Remove all that is old from the history of runs; what was removed, in words."""
    with full_disk_told(project.store_folder, kept="nothing was removed"):
        home = prepare_home(project)
        runs = looks = 0
        with open_instance_for_a_terminal(home) as instance:
            while (pruned := prune_history(project, instance)).more:
                runs, looks = runs + pruned.runs, looks + pruned.looks
    return Pruned(runs + pruned.runs, looks + pruned.looks, more=False).sentence


def _execute(
    project: Project, job: dg.JobDefinition, listener: Listener, tags: dict[str, str], **selection: Any
) -> bool:
    """Hold the store's lock throughout, so that no other run changes what one step left for the next.

    Raises
    ------
    KeyboardInterrupt
        Ctrl-C ended the run.
    """
    with full_disk_told(project.store_folder, kept="no run was started"):
        home = prepare_home(project)
    run_id, interrupted = str(uuid.uuid4()), threading.Event()
    store = open_store(project)
    # Those who cannot be told now are told at the end.
    _tell(project, home, listener, patient=True)
    with (
        full_disk_told(store.folder, kept="the run ends here"),
        store.lock(on_wait=lambda text: listener(Progress("", "said", text))),
        open_instance_for_a_terminal(home) as instance,
    ):
        traces, names = project.data_folder / TRACES_NAME, step_names(project)
        listen(instance, run_id, partial(_hear, listener=listener, interrupted=interrupted, traces=traces, names=names))
        result = job.execute_in_process(
            instance=instance,
            run_id=run_id,
            raise_on_error=False,
            # The listener reports what a user needs; the UI shows everything.
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            # The user of the command sees it fail, so the daemon does not run it again.
            tags={**run_tags(project), "tac/origin": "command line", "dagster/max_retries": "0", **tags},
            **selection,
        )
        if interrupted.is_set():
            report_canceled(instance, run_id)
        else:
            _prune(project, instance, listener)
    if interrupted.is_set():
        raise KeyboardInterrupt
    _tell(project, home, listener)
    return result.success


def _tell(project: Project, home: Path, listener: Listener, *, patient: bool = False) -> None:
    """Tell those that `alerts` names what is up: before a run of those that were killed, and then of this one."""
    if project.root.settings.alerts.asked:
        with open_instance_for_a_terminal(home) as instance:
            fail_dead_runs(project, instance)
            look_and_tell(project, instance, log=lambda text: listener(Progress("", "said", text)), patient=patient)


def _prune(project: Project, instance: dg.DagsterInstance, listener: Listener) -> None:
    """Keep the history small where nobody starts the UI, whose sensor does it; never fails the run that is over."""
    try:
        prune_history(project, instance)
    except Exception as error:  # noqa: BLE001 - whatever it is, it waits for the next time
        listener(Progress("", "said", f"the history of runs was not pruned: {in_words(error)}"))


def _hear(
    entry: dg.EventLogEntry,
    *,
    listener: Listener,
    interrupted: threading.Event,
    traces: Path,
    names: Mapping[str, str],
) -> None:
    if was_interrupted(entry):
        interrupted.set()
        return
    told = _translate(entry, traces, names)
    if told is not None:
        listener(told)


def _translate(entry: dg.EventLogEntry, traces: Path, names: Mapping[str, str]) -> Progress | None:
    key = entry.step_key or ""
    step = names.get(key, key.split("__", 1)[-1])
    event = entry.dagster_event
    if event is None:
        # Lines that a step logs; Dagster's own lines about steps that cannot run have another level.
        return Progress(step, "said", entry.user_message) if step and entry.level == logging.INFO else None
    if event.event_type == DagsterEventType.STEP_START:
        return Progress(step, "started")
    if event.event_type == DagsterEventType.ASSET_MATERIALIZATION:
        metadata: dict[str, Any] = {
            name: value.value for name, value in event.step_materialization_data.materialization.metadata.items()
        }
        if "decision" in metadata:
            ended = "published" if metadata["is this result"] else "held"
            return Progress(step, "unsent" if metadata.get("did not get there") else ended, metadata["decision"])
        return Progress(
            step,
            "reused" if metadata["reused"] else "computed",
            seconds=metadata["seconds"],
            rows=metadata.get("dagster/row_count"),
        )
    if event.event_type == DagsterEventType.STEP_FAILURE:
        failure = event.step_failure_data
        if failure.user_failure_data is not None:
            return Progress(step, "failed", failure.user_failure_data.description or "")
        return Progress(step, "failed", _around_a_step(failure.error, traces) if failure.error else "")
    outside = failed_outside_steps(event)
    # No step began: the store's lock could not be had, for instance.
    return None if outside is None else Progress("the run", "failed", _around_a_step(outside, traces))


def _around_a_step(error: Any, traces: Path) -> str:
    """What failed around a step, such as the store's lock: the innermost cause, and where the trace is."""
    kept = keep_trace(error.to_string(), traces)
    return innermost_message(error) + (f" The trace is in {kept}." if kept else "")
