"""A published version that did not reach the readers of another place is brought there later, ever more patiently."""

import time
from typing import Any

import dagster as dg

from assets.engine.execute import open_store
from assets.orchestration.metadata import asset_key
from assets.orchestration.publishing import PUBLISHED
from assets.orchestration.run_liveness import run_tags
from assets.orchestration.upkeep.unfinished import AUTOMATIC_TAG, is_busy
from tac_pipeline.errors import TacError
from tac_pipeline.settings.project import Project
from tac_pipeline.store.publication import Publication
from tac_pipeline.store.publishing.elsewhere import known_elsewhere


def build_upload_sensors(project: Project, *, pace: float = 1.0) -> list[dg.SensorDefinition]:
    """The sensor that brings what readers elsewhere lack; none where the settings name no other place.

    `pace` is how many times as long it waits between two looks where a location has many stores.
    """
    if not any(one.settings.publication.to for one in project.family):
        return []
    refresh = project.settings.schedule.refresh

    @dg.sensor(
        name="uploads",
        minimum_interval_seconds=round(30 * pace),
        default_status=dg.DefaultSensorStatus.RUNNING if refresh else dg.DefaultSensorStatus.STOPPED,
        target=dg.AssetSelection.assets(*(asset_key(PUBLISHED, one) for one in project.family)),
        description="Brings a published version to publication.to that did not get there: after a minute, then after "
        "2, 4, 8 minutes and so on, at least every hour.",
    )
    def uploads(context: dg.SensorEvaluationContext) -> Any:
        return bring_again(project, context.instance, now=time.time())

    return [uploads]


def bring_again(project: Project, instance: dg.DagsterInstance, *, now: float) -> dg.RunRequest | dg.SkipReason:
    """A request to bring what readers elsewhere lack, or the reason why none is made now."""
    lacking, waits = [], 0.0
    for one in project.family:
        try:
            store = open_store(one)
            there, latest = known_elsewhere(one, store), Publication(store.published_folder).latest()
        except TacError as error:
            return dg.SkipReason(str(error))
        if there is not None and (there.lacks(latest) or there.failed):
            lacking.append((one, there))
            waits = max(waits, there.due_at() - now)
    if not lacking:
        return dg.SkipReason("readers elsewhere have what is published")
    if waits > 0:
        return dg.SkipReason(f"{lacking[0][1].to} is tried again in {waits:,.0f} s")
    if is_busy(project, instance):
        return dg.SkipReason("a run of the store is not over yet")
    tries = "-".join(f"{there.version}.{there.tries}.{there.tried_at:.0f}" for _, there in lacking)
    return dg.RunRequest(
        run_key=f"bring {tries}",
        asset_selection=[asset_key(PUBLISHED, one) for one, _ in lacking],
        tags=run_tags(project) | {AUTOMATIC_TAG: "uploads"},
    )
