"""Building the Dagster definitions of one store. What must stay out: computation (tac_pipeline)."""

import time
import warnings
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg

from assets.clustering import cluster_ids
from assets.engine.execute import execute
from assets.engine.step import Step
from assets.graph import GROWTH, STEPS
from assets.images import IMAGE_STORE, observed_version, training_set
from assets.orchestration.automation import build_schedules, build_sensors, refresh_condition
from assets.orchestration.checks import build_check, build_checks
from assets.orchestration.manual_jobs import build_manual_jobs
from assets.orchestration.metadata import column_schema, describe_step, outcome_metadata, refusals
from assets.orchestration.publishing import PUBLISHED, decision_metadata, publish, readers_are_current
from assets.orchestration.run_liveness import (
    LIFE_RESOURCE,
    LOCK_RESOURCE,
    OBSERVE_TAG,
    STORE_TAG,
    build_lock,
    build_sign_of_life,
)
from assets.results import assignments, clusters
from tac_pipeline.digest import digest
from tac_pipeline.settings.project import Project, load_project
from tac_pipeline.store.schemas import PUBLISHED_ASSIGNMENTS

# Of a run that learns again on request: a lost training set is then drawn anew, and not made as it was.
RECLUSTER_TAG = "tac/recluster"


def build_definitions(settings_path: str | Path) -> dg.Definitions:
    """The assets, checks and jobs of the store that a settings file describes; keys are [store, asset].

    Raises
    ------
    SettingsError
        The file cannot be used; the code location shows the message.
    """
    project = load_project(settings_path)
    jobs = build_jobs(project)
    about, look = readers_are_current.__doc__, partial(readers_are_current, project)
    readers = build_check(PUBLISHED, readers_are_current.__name__, about, look, project)
    # Some of the automation is beta in Dagster; docs/decisions/0050 says why we use it.
    warnings.filterwarnings("ignore", category=dg.BetaWarning)
    return dg.Definitions(
        assets=[
            observe_image_store(project),
            *(build_asset(step, project) for step in STEPS),
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


def observe_image_store(project: Project) -> dg.SourceAsset:
    """The source itself: observing it digests its listing, which changes when images come or go."""

    source = ", ".join(project.settings.images.places)
    warnings.filterwarnings("ignore", category=dg.BetaWarning)

    @dg.observable_source_asset(
        key=asset_key(IMAGE_STORE, project),
        group_name="images",
        description=f"The images at {source}. Observing it digests their listing; no image is read, "
        "except with images.compare: content (then all are).",
        required_resource_keys={LIFE_RESOURCE},
    )
    def image_store() -> dg.DataVersion:
        with refusals():
            return dg.DataVersion(observed_version(project, now=time.time()))

    return image_store


def build_asset(step: Step, project: Project) -> dg.AssetsDefinition:
    """The Dagster asset of a step."""
    above = [asset_key(dep.name, project) for dep in step.upstream]
    if step.observes is not None:
        above.append(asset_key(step.observes, project))

    @dg.asset(
        key=asset_key(step.name, project),
        deps=above,
        group_name=step.group.replace(" ", "_"),
        description=describe_step(step),
        code_version=step.version(project.settings),
        kinds=set(step.kinds),
        tags={"tac/part": step.part},
        metadata={"dagster/column_schema": column_schema(step.schema)},
        automation_condition=refresh_condition(step),
        required_resource_keys={LOCK_RESOURCE},
    )
    def materialize_step(context: dg.AssetExecutionContext) -> dg.MaterializeResult[Any]:
        with refusals():
            outcome = execute(step, project, log=context.log.info, anew=RECLUSTER_TAG in context.run.tags)
        return dg.MaterializeResult(
            data_version=dg.DataVersion(outcome.artifact.content), metadata=dict(outcome_metadata(outcome))
        )

    return materialize_step


def build_published(project: Project) -> dg.AssetsDefinition:
    """The asset that readers build on: it follows the results when the checks and holds allow it."""
    schema, above = column_schema(PUBLISHED_ASSIGNMENTS), (assignments, clusters, cluster_ids)

    @dg.asset(
        key=asset_key(PUBLISHED, project),
        deps=[asset_key(step.name, project) for step in above],
        # Chained like a step's, so that an edit marks the published asset together with its inputs.
        code_version=digest([PUBLISHED, *(step.version(project.settings) for step in above)]),
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
            selection=assets([IMAGE_STORE]),
            tags={OBSERVE_TAG: project.settings.store},
            description="Digest the listing of the image store; changes in it are then processed automatically.",
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
            tags={**tags, RECLUSTER_TAG: "yes"},
            description="Learn the groups again from the images that the store holds now, and assign every image.",
        ),
    }
