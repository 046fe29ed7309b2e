"""What was stopped or failed is taken up again, some times and ever later, without anybody asking.

An edit of the settings, the weekly schedule, or a new image asks for a run once. A learning that did not come to its
end is asked for as a whole. Growth goes on meanwhile with what was learned before (assets/engine/required.py), so
readers do not wait for it; and where a run that only grows did not come to its end, growth alone is asked for.
"""

import time
from collections.abc import Collection, Sequence
from typing import Any

import dagster as dg
from dagster import DagsterRunStatus

from assets.engine.step import Step
from assets.graph import GROWTH, LEARNING
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
GROW = "grow"
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
        description=f"Takes up a learning or growth that was stopped or failed: at the next look, then after 2, 4, 8 "
        f"and 16 looks; {MAX_ATTEMPTS} times, until something changes.",
    )
    def unfinished(context: dg.SensorEvaluationContext) -> Any:
        return take_up(project, context.instance, now=time.time())

    return unfinished


def take_up(project: Project, instance: dg.DagsterInstance, *, now: float) -> dg.RunRequest | dg.SkipReason:
    """A request for what the last runs left undone, or the reason why none is made now."""
    records = _last_runs(project, instance)
    if any(record.dagster_run.status in _UNFINISHED for record in records):
        return dg.SkipReason("a run of the store is not over yet")
    answer: dg.RunRequest | dg.SkipReason = dg.SkipReason("no run was left unfinished")
    for learning, last in (
        (False, _unfinished_growth(records, project)),
        (True, _unfinished_learning(records, project)),
    ):
        if last is not None:
            answer = _answer(project, last, learning=learning, now=now)
            if isinstance(answer, dg.RunRequest):
                break
    return answer


def _answer(project: Project, last: dg.RunRecord, *, learning: bool, now: float) -> dg.RunRequest | dg.SkipReason:
    """A request for what a run left undone, or the reason why none is made now."""
    what, run_id = "learning" if learning else "growth", last.dagster_run.run_id
    attempt = int(last.dagster_run.tags.get(ATTEMPT_TAG, "0")) + 1
    if attempt > MAX_ATTEMPTS:
        return dg.SkipReason(
            f"the {what} was taken up {MAX_ATTEMPTS} times and failed each time: see run {run_id}. It is tried again "
            f"when {'settings change, on schedule.recluster' if learning else 'images or settings change'}, or by "
            "`tac run`."
        )
    due = _due_at(project, last.end_time or last.update_timestamp.timestamp(), looks=2 ** (attempt - 1))
    if now < due:
        return dg.SkipReason(f"the {what} of run {run_id} is taken up in {due - now:,.0f} s")
    return _request(project, run_id, attempt, learning=learning)


def is_busy(project: Project, instance: dg.DagsterInstance) -> bool:
    """Whether a run that builds the store is not over yet."""
    return any(record.dagster_run.status in _UNFINISHED for record in _last_runs(project, instance))


def _last_runs(project: Project, instance: dg.DagsterInstance) -> list[dg.RunRecord]:
    records = instance.get_run_records(dg.RunsFilter(tags={STORE_TAG: project.settings.store}), limit=LOOKED_AT)
    return [record for record in records if works_on(record.dagster_run, project)]


def _request(project: Project, last: str, attempt: int, *, learning: bool) -> dg.RunRequest | dg.SkipReason:
    try:
        chosen = _to_learn(project) if learning else [(one, GROWTH) for one in project.family]
    except TacError as error:
        return dg.SkipReason(f"an unfinished learning waits: {error}")
    if not chosen:
        return dg.SkipReason("what a run left unfinished is done")
    return dg.RunRequest(
        run_key=f"take up {last}",
        asset_selection=[
            asset_key(name, one) for one, steps in chosen for name in (*(step.name for step in steps), PUBLISHED)
        ],
        tags=run_tags(project) | {AUTOMATIC_TAG: "unfinished", ATTEMPT_TAG: str(attempt)},
    )


def _to_learn(project: Project) -> list[tuple[Project, Sequence[Step]]]:
    """The steps of a store and its groupings that `tac run` would take; empty where nothing is to be learned."""
    found = family_status(project)
    if not any(status.step in LEARNING and status.state != State.FRESH for _, own in found for status in own):
        return []
    return [(one, choose_steps(own, one)) for one, own in found]


def _unfinished_learning(records: Sequence[dg.RunRecord], project: Project) -> dg.RunRecord | None:
    return _unfinished([(record, _made_by(record, project, LEARNING, (RECLUSTER,))) for record in records])


def _unfinished_growth(records: Sequence[dg.RunRecord], project: Project) -> dg.RunRecord | None:
    """Of the runs that only grow. Learning that is taken up takes the growth of its run along."""
    wanted = []
    for record in records:
        succeeded = record.dagster_run.status == DagsterRunStatus.SUCCESS
        if succeeded or not _made_by(record, project, LEARNING, (RECLUSTER,)):
            wanted.append((record, _made_by(record, project, GROWTH, (RECLUSTER, GROW))))
    return _unfinished(wanted)


def _unfinished(found: Sequence[tuple[dg.RunRecord, set[tuple[str, str]]]]) -> dg.RunRecord | None:
    """The newest run that did not succeed, unless all that it was asked for was made since."""
    made: set[tuple[str, str]] = set()
    for record, wanted in found:
        if record.dagster_run.status == DagsterRunStatus.SUCCESS:
            made |= wanted
        elif wanted - made:
            return record
        elif wanted:
            return None
    return None


def _made_by(
    record: dg.RunRecord, project: Project, steps: Collection[Step], jobs: Collection[str]
) -> set[tuple[str, str]]:
    """Those of some assets that a run was asked for, each with its store or grouping; these jobs make all of them."""
    run = record.dagster_run
    every = {(one.settings.store, step.name) for one in project.family for step in steps}
    if run.job_name in jobs:
        return every
    return every & {(key.path[0], key.path[-1]) for key in run.asset_selection or ()}


def _due_at(project: Project, ended: float, *, looks: int) -> float:
    """The time of a later look at the source, in seconds since 1970."""
    schedule = project.settings.schedule
    return next_times(schedule.observe or HOURLY, schedule.timezone, after=ended, count=looks)[-1]
