"""Learning that was stopped or that failed is taken up again, some times and ever later, without anybody asking.

An edit of the settings, or the weekly schedule, asks for a learning once. Growth goes on meanwhile with what was
learned before (assets/engine/required.py), so readers do not wait for it.
"""

import time
from collections.abc import Sequence
from typing import Any

import dagster as dg
from dagster import DagsterRunStatus

from assets.graph import LEARNING
from assets.lookups.status import State, choose_steps, family_status
from assets.orchestration.dagster_internals import next_times
from assets.orchestration.metadata import asset_key
from assets.orchestration.publishing import PUBLISHED
from assets.orchestration.run_liveness import STORE_TAG, run_tags, works_on
from tac_pipeline.errors import TacError
from tac_pipeline.settings.project import Project

# Runs that nobody chose the assets of, and what asked for them.
AUTOMATIC_TAG = "tac/automatic"
ATTEMPT_TAG = "tac/attempt"
RECLUSTER = "recluster"
MAX_ATTEMPTS = 5
# Without a schedule of looks.
HOURLY = "0 * * * *"
LOOKED_AT = 50
_UNFINISHED = (
    DagsterRunStatus.QUEUED,
    DagsterRunStatus.NOT_STARTED,
    DagsterRunStatus.STARTING,
    DagsterRunStatus.STARTED,
    DagsterRunStatus.CANCELING,
)


def build_unfinished_sensor(project: Project, *, pace: float = 1.0) -> dg.SensorDefinition:
    """The sensor that asks for a learning again which did not come to its end."""
    refresh = project.settings.schedule.refresh

    @dg.sensor(
        name="unfinished",
        minimum_interval_seconds=round(30 * pace),
        default_status=dg.DefaultSensorStatus.RUNNING if refresh else dg.DefaultSensorStatus.STOPPED,
        target=dg.AssetSelection.all(),
        description=f"Takes up a learning that was stopped or failed: at the next look, then after 2, 4, 8 and 16 "
        f"looks; {MAX_ATTEMPTS} times, until something changes.",
    )
    def unfinished(context: dg.SensorEvaluationContext) -> Any:
        return take_up(project, context.instance, now=time.time())

    return unfinished


def take_up(project: Project, instance: dg.DagsterInstance, *, now: float) -> dg.RunRequest | dg.SkipReason:
    """A request for what the last learning left undone, or the reason why none is made now."""
    records = _last_runs(project, instance)
    if any(record.dagster_run.status in _UNFINISHED for record in records):
        return dg.SkipReason("a run of the store is not over yet")
    last = _unfinished(records, project)
    if last is None:
        return dg.SkipReason("no learning was left unfinished")
    attempt = int(last.dagster_run.tags.get(ATTEMPT_TAG, "0")) + 1
    if attempt > MAX_ATTEMPTS:
        return dg.SkipReason(
            f"the learning was taken up {MAX_ATTEMPTS} times and failed each time: see run {last.dagster_run.run_id}. "
            "It is tried again when settings change, on schedule.recluster, or by `tac run`."
        )
    due = _due_at(project, last.end_time or last.update_timestamp.timestamp(), looks=2 ** (attempt - 1))
    if now < due:
        return dg.SkipReason(f"the learning of run {last.dagster_run.run_id} is taken up in {due - now:,.0f} s")
    return _request(project, last.dagster_run.run_id, attempt)


def is_busy(project: Project, instance: dg.DagsterInstance) -> bool:
    """Whether a run that builds the store is not over yet."""
    return any(record.dagster_run.status in _UNFINISHED for record in _last_runs(project, instance))


def _last_runs(project: Project, instance: dg.DagsterInstance) -> list[dg.RunRecord]:
    records = instance.get_run_records(dg.RunsFilter(tags={STORE_TAG: project.settings.store}), limit=LOOKED_AT)
    return [record for record in records if works_on(record.dagster_run, project)]


def _request(project: Project, last: str, attempt: int) -> dg.RunRequest | dg.SkipReason:
    try:
        found = family_status(project)
        if not any(status.step in LEARNING and status.state != State.FRESH for _, own in found for status in own):
            return dg.SkipReason("what a run left unfinished is done")
        chosen = [(one, choose_steps(own, one)) for one, own in found]
    except TacError as error:
        return dg.SkipReason(f"an unfinished learning waits: {error}")
    return dg.RunRequest(
        run_key=f"take up {last}",
        asset_selection=[
            asset_key(name, one) for one, steps in chosen for name in (*(step.name for step in steps), PUBLISHED)
        ],
        tags=run_tags(project) | {AUTOMATIC_TAG: "unfinished", ATTEMPT_TAG: str(attempt)},
    )


def _unfinished(records: Sequence[dg.RunRecord], project: Project) -> dg.RunRecord | None:
    """The newest learning that did not succeed, unless all that it was asked for was learned since."""
    learned: set[tuple[str, str]] = set()
    for record in records:
        wanted = _learned_by(record.dagster_run, project)
        if record.dagster_run.status == DagsterRunStatus.SUCCESS:
            learned |= wanted
        elif wanted - learned:
            return record
        elif wanted:
            return None
    return None


def _learned_by(run: dg.DagsterRun, project: Project) -> set[tuple[str, str]]:
    """The assets of learning that a run was asked for, each with its store or grouping."""
    learning = {(one.settings.store, step.name) for one in project.family for step in LEARNING}
    if run.job_name == RECLUSTER:
        return learning
    return learning & {(key.path[0], key.path[-1]) for key in run.asset_selection or ()}


def _due_at(project: Project, ended: float, *, looks: int) -> float:
    """The time of a later look at the source, in seconds since 1970."""
    schedule = project.settings.schedule
    return next_times(schedule.observe or HOURLY, schedule.timezone, after=ended, count=looks)[-1]
