"""Jobs for people who never leave the UI: edit the settings, publish, roll back; values come from its launchpad."""

from typing import Any

import dagster as dg

from assets.orchestration.automation import require_schedule
from assets.orchestration.instance import dagster_home
from assets.orchestration.publishing import Decision, decision_event, publish, rollback
from assets.orchestration.refusals import refusals
from assets.orchestration.run_liveness import LIFE_RESOURCE, LOCK_RESOURCE, STORE_TAG, build_lock, build_sign_of_life
from assets.orchestration.webserver import reload_location
from tac_pipeline.errors import SettingsError
from tac_pipeline.settings.editing import edit_settings
from tac_pipeline.settings.project import Project


def build_manual_jobs(project: Project) -> list[dg.JobDefinition]:
    """The jobs `set_settings`, `publish` and `rollback` of a store."""
    tags, lock = {STORE_TAG: project.settings.store}, {LOCK_RESOURCE: build_lock(project)}

    @dg.op(
        name="edit",
        required_resource_keys={LIFE_RESOURCE},
        config_schema={
            "changes": dg.Field(
                dg.Permissive(),
                description="Settings keys and their new values, such as {retrieval.tau: 0.01, clusters.count: 40}.",
            )
        },
    )
    def edit(context: dg.OpExecutionContext) -> None:
        changes: dict[str, Any] = dict(context.op_config["changes"])
        with refusals():
            if not changes:
                raise SettingsError("changes must name at least one settings key, such as {retrieval.tau: 0.01}")
            for done in edit_settings(project.path, changes, accept=require_schedule):
                context.log.info(done.sentence)
        context.log.info(
            reload_location(dagster_home(project), project.settings.store)
            or "no UI was found to reload: press Reload definitions"
        )

    def note(context: dg.OpExecutionContext, decision: Decision) -> None:
        context.log.info(decision.sentence)
        context.log_event(decision_event(project, decision))

    @dg.op(required_resource_keys={LOCK_RESOURCE})
    def publish_result(context: dg.OpExecutionContext) -> None:
        with refusals():
            note(context, publish(project, by_hand=True, log=context.log.info))

    @dg.op(
        config_schema={"version": dg.Field(dg.Noneable(int), default_value=None, is_required=False)},
        required_resource_keys={LOCK_RESOURCE},
    )
    def roll_back(context: dg.OpExecutionContext) -> None:
        with refusals():
            note(context, rollback(project, context.op_config["version"], log=context.log.info))

    @dg.job(
        name="set_settings",
        description="Edit the settings file, comments kept, and read it again.",
        resource_defs={LIFE_RESOURCE: build_sign_of_life(project)},
    )
    def set_settings_job() -> None:
        edit()

    @dg.job(
        name="publish",
        description="Let readers have the current result, whatever the checks say.",
        tags=tags,
        resource_defs=lock,
    )
    def publish_job() -> None:
        publish_result()

    @dg.job(
        name="rollback",
        description="Let readers have an older version, and hold there.",
        tags=tags,
        resource_defs=lock,
    )
    def rollback_job() -> None:
        roll_back()

    return [set_settings_job, publish_job, rollback_job]
