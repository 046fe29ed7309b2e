"""What happens automatically while the daemon runs: looking at the source, refreshing stale assets, learning again.

Growth follows the images: the schedule `observe` digests the source's listing, and the sensor `refresh` requests
everything that a change makes stale, in one run. Learning follows its own schedule, `recluster`: training_set does not
react to image_embeddings. A failed step is not requested again until something changes, but what a run left undone is
taken up later (upkeep/unfinished.py).
"""

from collections.abc import Iterable, Mapping
from typing import Any
from zoneinfo import ZoneInfo

import dagster as dg
from dagster import AutomationCondition

from assets.engine.step import Step
from assets.graph import LEARNING, STEPS
from assets.orchestration.run_liveness import build_watchman, run_tags
from assets.orchestration.telling.alerts import build_alert_sensors
from assets.orchestration.upkeep.history import build_history_sensor
from assets.orchestration.upkeep.unfinished import AUTOMATIC_TAG, GROW, build_unfinished_sensor
from assets.orchestration.upkeep.uploads import build_upload_sensors
from tac_pipeline.digest import digest
from tac_pipeline.errors import SettingsError
from tac_pipeline.settings.project import Project

TICK_SECONDS = 15
# A look at one store takes the daemon and its code server some tenths of a second, whether anything happened or not.
STORES_AT_FULL_PACE = 5
# The settings that a run was asked for with.
VERSIONS_TAG = "tac/versions"


def refresh_condition(step: Step | None, *, optional: Iterable[dg.AssetKey] = ()) -> AutomationCondition[dg.AssetKey]:
    """When an asset is requested: something that it reads was updated, or its settings or code changed.

    The condition includes changed settings, which plain `eager` ignores. An existing training set does not react to
    new images. Nothing is requested twice for one cause, so a failed step is not tried again until something changes.
    Sources that are optional need not have been looked at.
    """
    updated: AutomationCondition[Any] = AutomationCondition.any_deps_updated()
    if step is not None and step.ignores_growth:
        updated = updated & AutomationCondition.missing()
    # Assets of a new store are missing at the first look, so they are built.
    missing = AutomationCondition.newly_missing() | (
        AutomationCondition.initial_evaluation() & AutomationCondition.missing()
    )
    handled = AutomationCondition.newly_requested() | AutomationCondition.newly_updated()
    # An edit counts even if it comes in the same tick as a request, or while the run of a request is still going.
    changed = AutomationCondition.code_version_changed()
    edited = changed.since(AutomationCondition.newly_requested() & ~changed)
    cause = (missing | updated).since(handled) | edited
    missing_above = AutomationCondition.any_deps_missing()
    if optional:
        missing_above = missing_above.ignore(dg.AssetSelection.assets(*optional))
    # What reads a source waits for the end of a look at it. A run of all else that the same edit changed would fail.
    held_above = AutomationCondition.any_deps_match(edited & ~AutomationCondition.will_be_requested())
    return (
        cause
        & ~held_above
        & ~missing_above
        & ~AutomationCondition.any_deps_in_progress()
        & ~AutomationCondition.in_progress()
    ).with_label("refresh")


def only_grows(run: dg.DagsterRun) -> bool:
    """Whether a run takes images through growth, whatever the state of learning.

    A person who asks for single assets is told instead when what they read is not there for the settings of today.
    """
    learning = {step.name for step in LEARNING}
    chosen = {key.path[-1] for key in run.asset_selection or ()}
    return run.job_name == GROW or (AUTOMATIC_TAG in run.tags and chosen.isdisjoint(learning))


def build_sensors(project: Project, *, beside: int = 0) -> list[dg.SensorDefinition]:
    """The sensors of a store, switched on unless schedule.refresh says otherwise.

    The stores beside it in one code location take turns: beyond a few of them, each is looked at less often.
    """
    refresh, pace = project.settings.schedule.refresh, max((beside + 1) / STORES_AT_FULL_PACE, 1.0)
    return [
        dg.AutomationConditionSensorDefinition(
            "refresh",
            target=dg.AssetSelection.all(),
            default_status=dg.DefaultSensorStatus.RUNNING if refresh else dg.DefaultSensorStatus.STOPPED,
            minimum_interval_seconds=round(TICK_SECONDS * pace),
            run_tags=run_tags(project) | {AUTOMATIC_TAG: "refresh", VERSIONS_TAG: versions_of(project)},
            description="Materializes what new images or edited settings make stale, in one run.",
        ),
        build_unfinished_sensor(project, pace=pace),
        build_watchman(project, pace=pace),
        build_history_sensor(project, pace=pace),
        *build_upload_sensors(project, pace=pace),
        *build_alert_sensors(project, pace=pace),
    ]


def versions_of(project: Project) -> str:
    """A digest of what every asset is made with: settings and code."""
    return digest([_versions_of(one) for one in project.family])


def _versions_of(project: Project) -> list[str]:
    known: dict[str, str] = {}
    return [step.version(project.settings, known) for step in STEPS]


def is_overtaken(run: dg.DagsterRun, project: Project) -> bool:
    """Whether the settings were edited between the request for a run and its start.

    Such a run was asked for less than the settings of now need. The edit asks for another run, which has everything.
    """
    return run.tags.get(VERSIONS_TAG, "") not in ("", versions_of(project))


def require_schedule(project: Project) -> None:
    """Refuse the settings of a schedule that cannot be used.

    Raises
    ------
    SettingsError
        A cron or the time zone is invalid.
    """
    settings, place = project.settings.schedule, project.path.name
    try:
        ZoneInfo(settings.timezone)
    except (KeyError, ValueError, OSError) as error:
        raise SettingsError(
            f"schedule.timezone must be a name such as Europe/Berlin; got {settings.timezone!r} ({place})"
        ) from error
    for name, cron in (("observe", settings.observe), ("recluster", settings.recluster)):
        if cron is not None and not _is_cron(cron):
            raise SettingsError(
                f"schedule.{name} must be a cron of five fields, such as '0 3 * * 0', or null; got {cron!r} ({place})"
            )


def _is_cron(text: str) -> bool:
    """Whether Dagster takes a text as the cron of a schedule; to make one is the public way to ask."""
    try:
        dg.ScheduleDefinition("tried", cron_schedule=text, job_name="none")
    except dg.DagsterInvalidDefinitionError:
        return False
    return True


def build_schedules(project: Project, jobs: Mapping[str, Any]) -> list[dg.ScheduleDefinition]:
    """The schedules `observe` and `recluster`, switched on; a schedule that the settings leave out is missing.

    Raises
    ------
    SettingsError
        A cron or the time zone cannot be used.
    """
    require_schedule(project)
    settings = project.settings.schedule
    schedules = []
    for name, cron in (("observe", settings.observe), ("recluster", settings.recluster)):
        if cron is None:
            continue
        schedules.append(
            dg.ScheduleDefinition(
                name=f"{name}_on_schedule",
                job=jobs[name],
                cron_schedule=cron,
                execution_timezone=settings.timezone,
                default_status=dg.DefaultScheduleStatus.RUNNING,
                description=jobs[name].description,
            )
        )
    return schedules
