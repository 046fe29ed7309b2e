"""Jobs for people who use only the UI: edit the settings, publish, roll back; values come from its launchpad."""

import json
from collections.abc import Collection
from functools import cache, partial
from typing import Any

import dagster as dg
from pydantic import Field

from assets.orchestration.automation import require_schedule
from assets.orchestration.instance import dagster_home
from assets.orchestration.metadata import refusals
from assets.orchestration.publishing import Decision, decision_event, publish, rollback
from assets.orchestration.run_liveness import LIFE_RESOURCE, LOCK_RESOURCE, build_lock, build_sign_of_life, run_tags
from assets.orchestration.webserver import reload_location
from assets.people.written import require_corrections
from tac_pipeline.errors import SettingsError
from tac_pipeline.settings.editing import edit_settings
from tac_pipeline.settings.keys import SettingsKey, settings_keys, split_grouping
from tac_pipeline.settings.project import Project


@cache
def edit_schema() -> dict[str, dg.Field]:
    """What the launchpad asks for before it edits the settings: any of their keys; it shows and completes all.

    A class of dg.Config could not say it: a name has a dot, null is a value, and what is left out is no value.
    Keys of groupings, such as `groupings.style.clusters.count`, are not listed and are taken too.
    """
    fields = {
        key.name: dg.Field(dg.Any, is_required=False, description=f"{key.description}{_default(key)}")
        for key in settings_keys()
    }
    return {
        "changes": dg.Field(
            dg.Permissive(fields),  # type: ignore[no-untyped-call]
            description="Settings keys and their new values, such as {retrieval.tau: 0.01, clusters.count: 40}.",
        )
    }


def _default(key: SettingsKey) -> str:
    if key.required:
        return ""
    return f" (default: {key.default if isinstance(key.default, str) else json.dumps(key.default)}; {key.affects} key)"


class Which(dg.Config):
    """What the launchpad asks for before it publishes."""

    grouping: str | None = Field(default=None, description="One of the groupings; empty: the store's own groups.")

    def of(self, project: Project) -> Project:
        """The project of the grouping."""
        return project if self.grouping is None else project.find_grouping(self.grouping)


class Target(Which):
    """What the launchpad asks for before it rolls back."""

    version: int | None = Field(default=None, description="The published version to go back to; empty: the one before.")


def require_usable(changed: Collection[str], project: Project) -> None:
    """Refuse an edit of the settings that only a run could refuse otherwise: of a schedule, or of the corrections.

    Raises
    ------
    TacError
    """
    require_schedule(project)
    # A file that went missing meanwhile must not stand in the way of other edits.
    if any(split_grouping(key)[1] == "corrections" for key in changed):
        for one in project.family:
            require_corrections(one)


def build_manual_jobs(project: Project) -> list[dg.JobDefinition]:
    """The jobs `set_settings`, `publish` and `rollback` of a store."""
    return [_set_settings_job(project), _publish_job(project), _rollback_job(project)]


def _set_settings_job(project: Project) -> dg.JobDefinition:
    @dg.op(
        name="edit",
        description=f"Edits {project.path}.",
        config_schema=edit_schema(),
        required_resource_keys={LIFE_RESOURCE},
    )
    def edit(context: dg.OpExecutionContext) -> None:
        changes: dict[str, Any] = context.op_config["changes"]
        with refusals(project):
            if not changes:
                raise SettingsError("changes must name at least one settings key, such as {retrieval.tau: 0.01}")
            for done in edit_settings(project.path, changes, accept=partial(require_usable, changes)):
                context.log.info(done.sentence)
        context.log.info(
            reload_location(dagster_home(project), project.settings.store)
            or "no UI was found to reload: press Reload definitions"
        )

    @dg.job(
        description="Edit the settings file, comments kept, and read it again.",
        resource_defs={LIFE_RESOURCE: build_sign_of_life(project)},
    )
    def set_settings() -> None:
        edit()

    return set_settings


def _publish_job(project: Project) -> dg.JobDefinition:
    @dg.op(required_resource_keys={LOCK_RESOURCE})
    def publish_result(context: dg.OpExecutionContext, config: Which) -> None:
        with refusals(project):
            one = config.of(project)
            _note(context, one, publish(one, by_hand=True, log=context.log.info))

    @dg.job(
        name="publish",
        description="Let readers have the current result, whatever the checks say.",
        tags=run_tags(project),
        resource_defs={LOCK_RESOURCE: build_lock(project)},
    )
    def publish_job() -> None:
        publish_result()

    return publish_job


def _rollback_job(project: Project) -> dg.JobDefinition:
    @dg.op(required_resource_keys={LOCK_RESOURCE})
    def roll_back(context: dg.OpExecutionContext, config: Target) -> None:
        with refusals(project):
            one = config.of(project)
            _note(context, one, rollback(one, config.version, log=context.log.info))

    @dg.job(
        name="rollback",
        description="Let readers have an older version, and hold there.",
        tags=run_tags(project),
        resource_defs={LOCK_RESOURCE: build_lock(project)},
    )
    def rollback_job() -> None:
        roll_back()

    return rollback_job


def _note(context: dg.OpExecutionContext, project: Project, decision: Decision) -> None:
    """Tell what was decided in the run's log, and to Dagster's books."""
    context.log.info(decision.told)
    context.log_event(decision_event(project, decision))
