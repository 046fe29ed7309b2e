"""Building the Dagster definitions of one store. What must stay out: computation (tac_pipeline)."""

import json
import multiprocessing
import os
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg

from assets.engine.execute import execute
from assets.engine.step import Step
from assets.graph import GROWTH, STEPS, observed_sources, steps_of
from assets.images import IMAGE_STORE, image_manifest, observed_version, training_set
from assets.orchestration.automation import (
    build_schedules,
    build_sensors,
    is_overtaken,
    only_grows,
    refresh_condition,
    require_schedule,
)
from assets.orchestration.catalog.about import About, freshness_of, shown_of
from assets.orchestration.catalog.code import code_references
from assets.orchestration.catalog.columns import published_columns
from assets.orchestration.checks import build_check, build_checks
from assets.orchestration.dagster_internals import requested_by_a_change
from assets.orchestration.locations.instances import tell_instance
from assets.orchestration.manual_jobs import build_manual_jobs
from assets.orchestration.metadata import asset_key, describe_step, outcome_metadata, refusals
from assets.orchestration.publishing import PARTS, PUBLISHED, decision_metadata, publish, readers_are_current
from assets.orchestration.run_liveness import (
    LEARNING_POOL,
    LIFE_RESOURCE,
    LOCK_RESOURCE,
    build_lock,
    build_sign_of_life,
    run_tags,
)
from assets.orchestration.upkeep.unfinished import GROW, RECLUSTER
from assets.people.written import CORRECTIONS_FILE, observed_corrections, require_corrections
from tac_pipeline.digest import digest
from tac_pipeline.errors import ArtifactMissing, ArtifactOutdated, SettingsError
from tac_pipeline.settings.keys import Settings
from tac_pipeline.settings.project import Project, load_project

# Where the processes of a code location find the settings that it was loaded with: a variable for each settings file.
AS_LOADED = "TAC_SETTINGS_AS_LOADED_"
# The system refuses to start a process with a longer text in its environment.
LONGEST_TEXT = 100_000
# Of a run that learns again on request: a lost training set is then drawn anew, and not made as it was.
RECLUSTER_TAG = "tac/recluster"


def build_definitions(
    settings_path: str | Path,
    *,
    owners: Iterable[str] = (),
    images_within: timedelta | None = None,
    beside: int = 0,
) -> dg.Definitions:
    """The assets, checks and jobs of the store that a settings file describes, and of its groupings.

    Keys are [store, asset]. The jobs and the automation take the groupings along.

    Parameters
    ----------
    settings_path : path
    owners : e-mail addresses, or teams such as team:vision
        Whom Dagster's catalog names as the owners of the assets.
    images_within : timedelta, optional
        New images are expected so often: image_manifest then has a freshness policy.
    beside : int
        How many other stores the code location has; beyond a few, their sensors look less often.

    Raises
    ------
    SettingsError
        The file cannot be used; the code location shows the message. In the process of a run it is the run's failure.
    """
    project, refused = _open_project(Path(settings_path).expanduser().absolute())
    about = About(tuple(owners), images_within, told=tell_instance(project))
    jobs, family, before = build_jobs(project), project.family, look_first(project, refused)
    # Some of the automation is beta in Dagster; docs/decisions/0050 says why we use it.
    warnings.filterwarnings("ignore", category=dg.BetaWarning)
    return dg.Definitions(
        assets=[asset for one in family for asset in build_assets(one, refused, about, before=before)],
        asset_checks=[check for one in family for check in (*build_checks(one), build_readers_check(one))],
        jobs=[*jobs.values(), *build_manual_jobs(project)],
        schedules=build_schedules(project, jobs),
        sensors=build_sensors(project, beside=beside),
        resources={LOCK_RESOURCE: build_lock(project), LIFE_RESOURCE: build_sign_of_life(project)},
        # A spawned step needs seconds to import torch again, so the steps share one process.
        executor=dg.in_process_executor,
    )


def build_assets(
    project: Project,
    refused: SettingsError | None,
    about: About,
    *,
    before: Callable[[dg.AssetExecutionContext], None],
) -> list[dg.AssetsDefinition | dg.SourceAsset]:
    """The assets of a store, or of one of its groupings; `before` is called before a step does anything."""
    return [
        *observe_sources(project, refused, about),
        *(build_asset(step, project, about, before=before) for step in steps_of(project)),
        build_published(project, refused, about),
    ]


def build_readers_check(project: Project) -> dg.AssetChecksDefinition:
    """The check that readers have the current result."""
    about, look = readers_are_current.__doc__, partial(readers_are_current, project)
    return build_check(PUBLISHED, readers_are_current.__name__, about, look, project)


def _open_project(path: Path) -> tuple[Project, SettingsError | None]:
    """The project of a settings file, and what is wrong with the file now.

    The process of a run cannot say why the file is refused until it has definitions: without them, Dagster marks the
    run as failed from outside. So it gets those that its code location was loaded with, and fails by the reason.
    """
    variable = AS_LOADED + digest(str(path))[:16]
    try:
        project = load_project(path)
        require_schedule(project)
    except SettingsError as error:
        # The processes of runs are children of the code server, which has none above it that is known here.
        if multiprocessing.parent_process() is None or variable not in os.environ:
            raise
        return Project(Settings.model_validate(json.loads(os.environ[variable])), path), error
    text = json.dumps(project.settings.model_dump(mode="json"))
    if len(text) < LONGEST_TEXT:
        os.environ[variable] = text
    return project, None


def _raise(refused: SettingsError | None) -> None:
    """Fail a step of a run whose settings file is broken."""
    if refused is not None:
        raise refused


def observe_sources(project: Project, refused: SettingsError | None, about: About) -> list[dg.SourceAsset]:
    """What people change outside Dagster: the images, and the file of corrections if the settings name one."""
    places = ", ".join(project.settings.images.places)
    said = {
        IMAGE_STORE: f"The images at {places}. Observing it digests their listing; no image is read, "
        "except with images.compare: content (then all are).",
        CORRECTIONS_FILE: f"{project.settings.corrections}: names, merges and pins. Observing it digests the file.",
    }
    looks: dict[str, Callable[[], str]] = {
        IMAGE_STORE: lambda: observed_version(project, now=time.time()),
        CORRECTIONS_FILE: lambda: observed_corrections(project),
    }
    shown = {IMAGE_STORE: {**about.warning, **code_references(observed_version, project)}}
    shown[CORRECTIONS_FILE] = code_references(observed_corrections, project)
    return [
        _observed(name, said[name], looks[name], project, refused, metadata=shown[name])
        for name in observed_sources(project)
    ]


def _observed(
    name: str,
    description: str,
    look: Callable[[], str],
    project: Project,
    refused: SettingsError | None,
    *,
    metadata: Mapping[str, Any],
) -> dg.SourceAsset:
    warnings.filterwarnings("ignore", category=dg.BetaWarning)

    @dg.observable_source_asset(
        key=asset_key(name, project),
        group_name="images" if name == IMAGE_STORE else "results",
        description=description,
        metadata=metadata,
        required_resource_keys={LIFE_RESOURCE},
    )
    def observe_source() -> dg.DataVersion:
        with refusals(project):
            _raise(refused)
            return dg.DataVersion(look())

    return observe_source


def look_first(project: Project, refused: SettingsError | None) -> Callable[[dg.AssetExecutionContext], None]:
    """What every step does first: it refuses what cannot be used, before hours of work.

    That is a settings file that was broken meanwhile, and files of corrections. A run that a change requested is not
    requested again when the corrections are mended, so it does what it can: only the step that reads the file refuses.
    """
    checked: set[str] = set()

    def check(context: dg.AssetExecutionContext) -> None:
        _raise(refused)
        if context.run.run_id not in checked and not requested_by_a_change(context.run):
            for one in project.family:
                require_corrections(one)
            checked.add(context.run.run_id)

    return check


def build_asset(
    step: Step, project: Project, about: About, *, before: Callable[[dg.AssetExecutionContext], None]
) -> dg.AssetsDefinition:
    """The Dagster asset of a step; `before` is called before the step does anything."""
    above = [asset_key(dep.name, project) for dep in step.reads(project.settings)]
    observed = [asset_key(step.observes, project)] if step.observes in observed_sources(project) else []
    above += observed

    @dg.asset(
        key=asset_key(step.name, project),
        deps=above,
        group_name=step.group.replace(" ", "_"),
        description=describe_step(step),
        code_version=step.version(project.settings),
        kinds=set(step.kinds),
        tags={"tac/part": step.part},
        pool=LEARNING_POOL if step.part == "learning" else None,
        owners=list(about.owners),
        freshness_policy=freshness_of(step.name, project, about),
        metadata=shown_of(step, project),
        # A file of corrections that nobody has looked at yet is read all the same.
        automation_condition=refresh_condition(step, optional=observed if step.observes == CORRECTIONS_FILE else ()),
        required_resource_keys={LOCK_RESOURCE},
        # A run that was overtaken leaves what it cannot build to the next one, and does not fail.
        output_required=False,
    )
    def materialize_step(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[Any]]:
        grows, anew = only_grows(context.run), RECLUSTER_TAG in context.run.tags
        with refusals(project):
            before(context)
            try:
                outcome = execute(step, project, log=context.log.info, in_force=grows, anew=anew)
            except (ArtifactMissing, ArtifactOutdated) as error:
                if not is_overtaken(context.run, project):
                    raise
                context.log.info(f"left to the run of the settings that were edited meanwhile: {error}")
                return
        yield dg.MaterializeResult(
            data_version=dg.DataVersion(outcome.artifact.content), metadata=dict(outcome_metadata(outcome))
        )

    return materialize_step


def build_published(project: Project, refused: SettingsError | None, about: About) -> dg.AssetsDefinition:
    """The asset that readers build on: it follows the results when the checks and holds allow it."""
    shown = {**published_columns(project), **code_references(publish, project), **about.warning}

    @dg.asset(
        key=asset_key(PUBLISHED, project),
        deps=[asset_key(step.name, project) for step in PARTS],
        # Chained like a step's, so that an edit marks the published asset together with its inputs.
        code_version=digest([PUBLISHED, *(step.version(project.settings) for step in PARTS)]),
        group_name="results",
        description="What readers build on: the assignments and clusters in numbered versions. A new version comes "
        "when the checks pass (`publication.mode: auto`) or somebody publishes it (`tac publish`, the job publish).",
        kinds={"parquet"},
        tags={"tac/part": "growth"},
        owners=list(about.owners),
        freshness_policy=freshness_of(PUBLISHED, project, about),
        metadata=shown,
        automation_condition=refresh_condition(None),
        required_resource_keys={LOCK_RESOURCE},
    )
    def published(context: dg.AssetExecutionContext) -> dg.MaterializeResult[Any]:
        with refusals(project):
            _raise(refused)
            decision = publish(project, by_hand=False, log=context.log.info)
        if not decision.moved or (decision.elsewhere is not None and decision.elsewhere.failed):
            context.log.warning(decision.told)
        number = decision.version.number if decision.version else 0
        return dg.MaterializeResult(data_version=dg.DataVersion(str(number)), metadata=decision_metadata(decision))

    return published


def build_jobs(project: Project) -> dict[str, Any]:
    """The jobs: `observe` looks at the source, `grow` assigns new images, `recluster` learns the groups again."""
    tags = run_tags(project)

    def assets(names: Iterable[str]) -> dg.AssetSelection:
        keys = [asset_key(name, one) for name in names for one in project.family]
        return dg.AssetSelection.assets(*dict.fromkeys(keys))

    growth = assets([*(step.name for step in GROWTH), PUBLISHED])
    # Where looks pass over what is in unchanged folders, learning again begins with a full listing.
    first = image_manifest if project.settings.images.compare == "folders" else training_set
    relearned = assets([first.name]).downstream()
    # The nouns depend only on settings and are reused at no cost, so a first run needs no other job.
    nouns = assets(step.name for step in STEPS if step.group == "nouns")
    looked_at = [asset_key(name, one) for one in project.family for name in observed_sources(one)]
    return {
        "observe": dg.define_asset_job(
            "observe",
            selection=dg.AssetSelection.assets(*looked_at),
            tags=run_tags(project, looks=True),
            description="Digest the listing of the image store, and the file of corrections; changes in them are then "
            "processed automatically.",
        ),
        GROW: dg.define_asset_job(
            GROW,
            selection=growth,
            tags=tags,
            description="Read and assign the new images of the store; nothing is learned again.",
        ),
        RECLUSTER: dg.define_asset_job(
            RECLUSTER,
            selection=relearned | nouns,
            tags={**tags, RECLUSTER_TAG: "yes"},
            description="Learn the groups again from the images that the store holds now, and assign every image.",
        ),
    }
