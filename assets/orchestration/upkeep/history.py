"""The history of runs stays small: old runs go, and so do all but the newest MOST_RUNS, and looks that found nothing.

Kept for good are the last run of each asset and of each check, and the last look at the source: Dagster decides by them
what is stale. What a store holds is not in the history, so nothing of it is lost.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import dagster as dg

from assets.graph import STEPS, observed_sources
from assets.orchestration.dagster_internals import forget_run, latest_check_runs, shrink_books
from assets.orchestration.metadata import asset_key
from assets.orchestration.publishing import PUBLISHED
from assets.orchestration.run_liveness import DATA_TAG, OBSERVE_TAG, drop_sign_of_life, run_tags, works_on
from tac_pipeline.settings.project import Project

EVERY_SECONDS = 600
DAY = 24 * 3600.0
# At once: the first look at a history that was never pruned must not hold up anything else for long.
MOST_AT_ONCE = 200
# However young: a run takes about 0.8 MiB, and a busy store has a hundred a day.
MOST_RUNS = 500
# Older ones go by their age.
COMPARED_LOOKS = 1000
# Looks that failed, as while a disk is away: so many show since when.
FAILED_LOOKS = 20
_ENDED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]


@dataclass(frozen=True)
class Pruned:
    """How many runs and looks were removed, and whether there are more."""

    runs: int
    looks: int
    more: bool

    @property
    def sentence(self) -> str:
        """What was done, in words."""
        more = "; more are left for the next time" if self.more else ""
        return f"{self.runs:,} old runs and {self.looks:,} looks that found nothing were removed{more}"


def prune_history(
    project: Project, instance: dg.DagsterInstance, *, now: float | None = None, most: int | None = None
) -> Pruned:
    """Remove a store's old runs, and its looks that found nothing, from Dagster's books.

    Holds one record per run that is removed. Runs of other stores and projects on the instance are not touched.
    """
    now, most = time.time() if now is None else now, most or MOST_AT_ONCE
    looks = _idle_looks(project, instance, most=most)
    old = _old_runs(project, instance, before=now - project.settings.history_days * DAY, most=most)
    for run_id in (*looks, *old):
        forget_run(instance, run_id)
        drop_sign_of_life(project, run_id)
    if looks or old:
        shrink_books(instance)
    return Pruned(len(old), len(looks), len(looks) >= most or len(old) >= most)


def _idle_looks(project: Project, instance: dg.DagsterInstance, *, most: int) -> list[str]:
    """Looks, never the last one, that saw what the look before had seen; and all but the last failed ones."""
    idle: set[str] = set()
    telling: set[str] = set()
    for key in _keys(project, observed_sources):
        records = instance.fetch_observations(key, limit=COMPARED_LOOKS).records
        seen = [(record.run_id, _version(record)) for record in records]
        # Dagster decides by the last look at each source.
        telling |= {run_id for run_id, _ in seen[:1]}
        for newer, older in pairwise(seen):
            (idle if newer[1] == older[1] else telling).add(newer[0])
    found = [run_id for run_id in idle - telling if _is_look(project, instance, run_id)]
    tags = {OBSERVE_TAG: project.settings.store}
    failed = instance.get_run_records(
        dg.RunsFilter(tags=tags, statuses=[dg.DagsterRunStatus.FAILURE]), limit=FAILED_LOOKS + most
    )
    ours = [record.dagster_run.run_id for record in failed if works_on(record.dagster_run, project)]
    return [*found, *ours[FAILED_LOOKS:]][:most]


def _version(record: dg.EventLogRecord) -> str | None:
    observed = record.event_log_entry.asset_observation
    return None if observed is None else observed.data_version


def _is_look(project: Project, instance: dg.DagsterInstance, run_id: str) -> bool:
    """Whether a run looked at the source and did nothing else, and is over."""
    run = instance.get_run_by_id(run_id)
    return run is not None and OBSERVE_TAG in run.tags and works_on(run, project) and run.status in _ENDED


def _old_runs(project: Project, instance: dg.DagsterInstance, *, before: float, most: int) -> list[str]:
    """Ended runs from before a time, the oldest first; and those beyond the newest MOST_RUNS."""
    spared = _last_runs(project, instance)
    found: list[str] = []
    cursor, ended = None, dg.RunsFilter(statuses=_ENDED, created_before=datetime.fromtimestamp(before, UTC))
    while len(found) < most:
        records = instance.get_run_records(ended, limit=most, cursor=cursor, ascending=True)
        if not records:
            break
        runs = [record.dagster_run for record in records]
        found += [run.run_id for run in runs if run.run_id not in spared and works_on(run, project)]
        cursor = runs[-1].run_id
    newest = instance.get_run_records(
        dg.RunsFilter(statuses=_ENDED, tags={DATA_TAG: run_tags(project)[DATA_TAG]}), limit=MOST_RUNS + most
    )
    too_many = [record.dagster_run.run_id for record in newest[MOST_RUNS:]]
    found += [run_id for run_id in too_many if run_id not in spared and run_id not in found]
    return found[:most]


def _last_runs(project: Project, instance: dg.DagsterInstance) -> set[str]:
    """The last run of every asset and check of a store."""
    keys = [*_keys(project, observed_sources), *_keys(project, lambda _: (*(step.name for step in STEPS), PUBLISHED))]
    found = set(latest_check_runs(instance, keys))
    for record in instance.get_asset_records(keys):
        entry = record.asset_entry
        events = (entry.last_materialization_record, entry.last_observation_record)
        found |= {event.run_id for event in events if event is not None}
        found |= {run_id for run_id in (entry.last_run_id,) if run_id is not None}
    return found


def _keys(project: Project, names: Callable[[Project], Iterable[str]]) -> list[dg.AssetKey]:
    """The keys of assets with these names, of a store and all its groupings."""
    return list(dict.fromkeys(asset_key(name, one) for one in project.family for name in names(one)))


def build_history_sensor(project: Project, *, pace: float = 1.0) -> dg.SensorDefinition:
    """The sensor that keeps the history small while a daemon runs."""

    @dg.sensor(
        name="history",
        minimum_interval_seconds=round(EVERY_SECONDS * pace),
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Removes runs older than {project.settings.history_days} days (history_days), all but the "
        f"newest {MOST_RUNS}, and looks that found nothing; the last run of each asset stays.",
        target=None,
    )
    def history(context: dg.SensorEvaluationContext) -> Any:
        return dg.SkipReason(prune_history(project, context.instance).sentence)

    return history
