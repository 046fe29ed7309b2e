"""Building the Dagster definitions of one store. What must stay out: computation (tac_pipeline)."""

import time
import warnings
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg

from assets.clustering import CORRECTIONS_FILE, observed_corrections, require_corrections
from assets.engine.execute import execute
from assets.engine.step import Step
from assets.graph import GROWTH, STEPS
from assets.images import IMAGE_STORE, observed_version, training_set
from assets.orchestration.automation import build_schedules, build_sensors, refresh_condition
from assets.orchestration.checks import build_check, build_checks
from assets.orchestration.dagster_internals import requested_by_a_change
from assets.orchestration.manual_jobs import build_manual_jobs
from assets.orchestration.metadata import column_schema, describe_step, outcome_metadata, refusals
from assets.orchestration.publishing import PARTS, PUBLISHED, decision_metadata, publish, readers_are_current
from assets.orchestration.run_liveness import (
    LIFE_RESOURCE,
    LOCK_RESOURCE,
    OBSERVE_TAG,
    STORE_TAG,
    build_lock,
    build_sign_of_life,
)
from tac_pipeline.digest import digest
from tac_pipeline.settings.project import Project, load_project
from tac_pipeline.store.schemas import PUBLISHED_ASSIGNMENTS


def build_definitions(settings_path: str | Path) -> dg.Definitions:
    """The assets, checks and jobs of the store that a settings file describes; keys are [store, asset].

    Raises
    ------
    SettingsError
        The file cannot be used; the code location shows the message.
    """
    project = load_project(settings_path)
    jobs, before = build_jobs(project), check_corrections_first(project)
    about, look = readers_are_current.__doc__, partial(readers_are_current, project)
    readers = build_check(PUBLISHED, readers_are_current.__name__, about, look, project)
    # Some of the automation is beta in Dagster; docs/decisions/0050 says why we use it.
    warnings.filterwarnings("ignore", category=dg.BetaWarning)
    return dg.Definitions(
        assets=[
            *observe_sources(project),
            *(build_asset(step, project, before=before) for step in STEPS),
            build_published(project),
        ],
        asset_checks=[*build_checks(project), readers],
        jobs=[*jobs.values(), *build_manual_jobs(project)],
        schedules=build_schedules(project, jobs),
        sensors=build_sensors(project),
        resources={LOCK_RESOURCE: build_lock(project), LIFE_RESOURCE: build_sign_of_life(project)},
        # A spawned step needs seconds to import torch again, so the steps share one process.
        executor=dg.in_process_executor,
    )


def asset_key(name: str, project: Project) -> dg.AssetKey:
    """[store, asset]: keys are global to a Dagster instance, so two stores never share one."""
    return dg.AssetKey([project.settings.store, name])


def observe_sources(project: Project) -> list[dg.SourceAsset]:
    """What people change outside Dagster: the images, and the file of corrections if the settings name one."""
    places = ", ".join(project.settings.images.places)
    about = {
        IMAGE_STORE: f"The images at {places}. Observing it digests their listing; no image is read, "
        "except with images.compare: content (then all are).",
        CORRECTIONS_FILE: f"{project.settings.corrections}: names, merges and pins. Observing it digests the file.",
    }
    looks: dict[str, Callable[[], str]] = {
        IMAGE_STORE: lambda: observed_version(project, now=time.time()),
        CORRECTIONS_FILE: lambda: observed_corrections(project),
    }
    return [_observed(name, about[name], looks[name], project) for name in _sources(project)]


def _sources(project: Project) -> list[str]:
    return [IMAGE_STORE] if project.corrections_file is None else [IMAGE_STORE, CORRECTIONS_FILE]


def _observed(name: str, description: str, look: Callable[[], str], project: Project) -> dg.SourceAsset:
    warnings.filterwarnings("ignore", category=dg.BetaWarning)

    @dg.observable_source_asset(
        key=asset_key(name, project),
        group_name="images" if name == IMAGE_STORE else "results",
        description=description,
        required_resource_keys={LIFE_RESOURCE},
    )
    def observe_source() -> dg.DataVersion:
        with refusals():
            return dg.DataVersion(look())

    return observe_source


def check_corrections_first(project: Project) -> Callable[[dg.AssetExecutionContext], None]:
    """What the first step of a run does: a file of corrections that cannot be used is refused before hours of work.

    A run that a change requested is not requested again when the file is mended, so it does what it can: only the step
    that reads the file refuses.
    """
    checked: set[str] = set()

    def check(context: dg.AssetExecutionContext) -> None:
        if context.run.run_id not in checked and not requested_by_a_change(context.run):
            require_corrections(project)
            checked.add(context.run.run_id)

    return check


def build_asset(
    step: Step, project: Project, *, before: Callable[[dg.AssetExecutionContext], None]
) -> dg.AssetsDefinition:
    """The Dagster asset of a step; `before` is called before the step does anything."""
    above = [asset_key(dep.name, project) for dep in step.upstream]
    observed = [asset_key(step.observes, project)] if step.observes in _sources(project) else []
    above += observed

    @dg.asset(
        key=asset_key(step.name, project),
        deps=above,
        group_name=step.group.replace(" ", "_"),
        description=describe_step(step),
        code_version=step.version(project.settings),
        kinds=set(step.kinds),
        tags={"tac/part": step.part},
        metadata={"dagster/column_schema": column_schema(step.schema)},
        # A file of corrections that nobody has looked at yet is read all the same.
        automation_condition=refresh_condition(step, optional=observed if step.observes == CORRECTIONS_FILE else ()),
        required_resource_keys={LOCK_RESOURCE},
    )
    def materialize_step(context: dg.AssetExecutionContext) -> dg.MaterializeResult[Any]:
        with refusals():
            before(context)
            outcome = execute(step, project, log=context.log.info)
        return dg.MaterializeResult(
            data_version=dg.DataVersion(outcome.artifact.content), metadata=dict(outcome_metadata(outcome))
        )

    return materialize_step


def build_published(project: Project) -> dg.AssetsDefinition:
    """The asset that readers build on: it follows the results when the checks and holds allow it."""
    schema = column_schema(PUBLISHED_ASSIGNMENTS)

    @dg.asset(
        key=asset_key(PUBLISHED, project),
        deps=[asset_key(step.name, project) for step in PARTS],
        # Chained like a step's, so that an edit marks the published asset together with its inputs.
        code_version=digest([PUBLISHED, *(step.version(project.settings) for step in PARTS)]),
        group_name="results",
        description="What readers build on: the assignments and clusters in numbered versions. A new version comes "
        "when the checks pass (`publish: auto`) or somebody publishes it (`tac publish`, the job publish).",
        kinds={"parquet"},
        tags={"tac/part": "growth"},
        metadata={"dagster/column_schema": schema},
        automation_condition=refresh_condition(None),
        required_resource_keys={LOCK_RESOURCE},
    )
    def published(context: dg.AssetExecutionContext) -> dg.MaterializeResult[Any]:
        with refusals():
            decision = publish(project, by_hand=False, log=context.log.info)
        if not decision.moved:
            context.log.warning(decision.sentence)
        number = decision.version.number if decision.version else 0
        return dg.MaterializeResult(data_version=dg.DataVersion(str(number)), metadata=decision_metadata(decision))

    return published


def build_jobs(project: Project) -> dict[str, Any]:
    """The jobs: `observe` looks at the source, `grow` assigns new images, `recluster` learns the groups again."""
    tags = {STORE_TAG: project.settings.store}

    def assets(names: Iterable[str]) -> dg.AssetSelection:
        return dg.AssetSelection.assets(*(asset_key(name, project) for name in names))

    growth = assets([*(step.name for step in GROWTH), PUBLISHED])
    relearned = dg.AssetSelection.assets(asset_key(training_set.name, project)).downstream()
    # The nouns depend only on settings and are reused at no cost, so a first run needs no other job.
    nouns = assets(step.name for step in STEPS if step.group == "nouns")
    return {
        "observe": dg.define_asset_job(
            "observe",
            selection=assets(_sources(project)),
            tags={OBSERVE_TAG: project.settings.store},
            description="Digest the listing of the image store, and the file of corrections; changes in them are then "
            "processed automatically.",
        ),
        "grow": dg.define_asset_job(
            "grow",
            selection=growth,
            tags=tags,
            description="Read and assign the new images of the store; nothing is learned again.",
        ),
        "recluster": dg.define_asset_job(
            "recluster",
            selection=relearned | nouns,
            tags=tags,
            description="Learn the groups again from the images that the store holds now, and assign every image.",
        ),
    }
