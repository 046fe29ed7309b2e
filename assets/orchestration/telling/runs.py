"""What came of finished runs, for those who are told: which steps failed and why, and which succeeded since."""

import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

import dagster as dg
from dagster import DagsterEventType, DagsterRunStatus

from assets.orchestration.dagster_internals import failed_outside_steps, innermost_message, reported_why
from assets.orchestration.metadata import step_names
from assets.orchestration.run_liveness import WITHOUT_A_WORD, works_on
from tac_pipeline.alerts.book import FAILED, KEPT_RUNS, Book, Cause, failure_key
from tac_pipeline.settings.project import Project

_ENDED = [DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED]
# Clocks of databases and of this machine differ, and a status is written a little after its time.
OVERLAP = 60.0  # seconds


def note_runs(book: Book, project: Project, instance: dg.DagsterInstance) -> None:
    """Enter the runs of a store that ended since the last look: failures, and what succeeded again."""
    since = datetime.fromtimestamp(book.looked_at - OVERLAP, UTC)
    now, known = time.time(), set(book.runs)
    filters = dg.RunsFilter(statuses=_ENDED, updated_after=since)
    records = instance.get_run_records(filters, limit=KEPT_RUNS, order_by="update_timestamp", ascending=True)
    names = step_names(project)
    for record in records:
        run = record.dagster_run
        if run.run_id in known or not works_on(run, project):
            continue
        at = record.update_timestamp.timestamp()
        # What succeeded comes first: a step that failed in the same run did so after.
        if book.failures:
            book.done(_succeeded(instance, run), at=at)
        if run.status == DagsterRunStatus.FAILURE:
            book.note(_failure(instance, run, project, names, at=at))
        book.runs.append(run.run_id)
    # The next look begins with the newest of these, should there be more.
    book.looked_at = now if len(records) < KEPT_RUNS else records[-1].update_timestamp.timestamp()


def _job(run: dg.DagsterRun) -> str:
    return f"job {run.job_name}"


def _steps(instance: dg.DagsterInstance, run: dg.DagsterRun, kind: DagsterEventType) -> list[str]:
    return [entry.step_key for entry in instance.all_logs(run.run_id, of_type=kind) if entry.step_key]


def _succeeded(instance: dg.DagsterInstance, run: dg.DagsterRun) -> list[str]:
    done = _steps(instance, run, DagsterEventType.STEP_SUCCESS)
    return [*done, _job(run)] if run.status == DagsterRunStatus.SUCCESS else done


def _failure(
    instance: dg.DagsterInstance, run: dg.DagsterRun, project: Project, names: Mapping[str, str], *, at: float
) -> Cause:
    found = _failed_steps(instance, run)
    if found:
        steps = list(found)
        first = steps[0]
        sentence = f"{names.get(first, first)}: {found[first]}"
    else:
        steps, sentence = _unfinished(instance, run) or [_job(run)], _why_outside(instance, run)
    key = failure_key(sentence, steps)
    return Cause(FAILED, project.settings.store, key, sentence, at, at, waits_for=steps, run=run.run_id)


def _failed_steps(instance: dg.DagsterInstance, run: dg.DagsterRun) -> dict[str, str]:
    """Why each step failed that did, in words."""
    found = {}
    for entry in instance.all_logs(run.run_id, of_type=DagsterEventType.STEP_FAILURE):
        if entry.step_key and entry.dagster_event is not None:
            failure = entry.dagster_event.step_failure_data
            told = failure.user_failure_data.description if failure.user_failure_data is not None else None
            found[entry.step_key] = told or ("" if failure.error is None else innermost_message(failure.error))
    return found


def _unfinished(instance: dg.DagsterInstance, run: dg.DagsterRun) -> list[str]:
    """The steps that a run was at when its process ended."""
    ended = {
        step
        for kind in (DagsterEventType.STEP_SUCCESS, DagsterEventType.STEP_FAILURE)
        for step in _steps(instance, run, kind)
    }
    return [step for step in _steps(instance, run, DagsterEventType.STEP_START) if step not in ended]


def _why_outside(instance: dg.DagsterInstance, run: dg.DagsterRun) -> str:
    told: Iterable[dg.EventLogEntry] = instance.all_logs(run.run_id, of_type=DagsterEventType.RUN_FAILURE)
    for entry in told:
        if entry.dagster_event is not None:
            error = failed_outside_steps(entry.dagster_event)
            if error is not None:
                return innermost_message(error)
            # The code server sees first that a process is gone, and does not say so.
            return reported_why(entry.dagster_event) or WITHOUT_A_WORD
    return "the run failed, and says nothing of why"
