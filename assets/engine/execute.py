"""Making a step current: find its recipe on disk, or compute it."""

import time
from dataclasses import dataclass

from assets.engine.recipe import resolve_recipe, usable
from assets.engine.required import known_versions, require_inputs
from assets.engine.step import Inputs, Log, Output, Step
from tac_pipeline.files import full_disk_told
from tac_pipeline.settings.project import Project
from tac_pipeline.store.artifacts import Artifact, Store


@dataclass(frozen=True)
class Outcome:
    """The outcome of a step: its artifact, whether it was used again, and how many seconds it took."""

    artifact: Artifact
    reused: bool
    seconds: float


def open_store(project: Project) -> Store:
    """The store of a project."""
    return Store(project.store_folder)


def execute(asset: Step, project: Project, *, log: Log = lambda _: None, in_force: bool = False) -> Outcome:
    """Make an asset current: find its recipe on disk, or compute it, validate it and make it current.

    With `in_force`, a step of growth reads what was learned last, also when the settings of learning have changed
    since; it then stays stale for the new settings.

    Raises
    ------
    ArtifactMissing, ArtifactOutdated, ArtifactDamaged
        An asset that it reads must be built first; the message names it.
    TacError
        The computation refuses something. What was current does not change.
    """
    started = time.monotonic()
    store = open_store(project)
    with store.building(shared=asset.shared, on_wait=log):
        known = known_versions(asset, store, in_force=in_force)
        inputs = Inputs(project, require_inputs(asset, project, store, log, known), log)
        recipe = resolve_recipe(asset, inputs)
        artifact = usable(store.find(asset.name, recipe))
        reused = artifact is not None
        if artifact is None:
            artifact = _build(asset, inputs, store, recipe, started)
        settings = project.settings
        store.make_current(artifact, version=asset.version(settings, known), written=asset.written(settings))
        # What the groups in force were learned from is needed until others are learned, however few versions are kept.
        store.prune(asset.name, keep=settings.keep_versions, shared=asset.shared, in_use=asset.part == "learning")
        if asset.cleanup is not None:
            asset.cleanup(store)
    return Outcome(artifact, reused, time.monotonic() - started)


def _build(asset: Step, inputs: Inputs, store: Store, recipe: str, started: float) -> Artifact:
    store.sweep_scratch(shared=asset.shared)
    with store.scratch(asset.name, shared=asset.shared) as folder:
        out = Output(folder, asset.schema)
        with full_disk_told(store.folder, kept=f"{asset.name} was not changed"):
            asset.build(inputs, out, **asset.sections(inputs.project.settings))
        record = {
            "content": out.content,
            "links": out.links,
            "values": inputs.values,
            "inputs": {dep.name: inputs.artifact(dep).content for dep in asset.deps},
            "facts": out.facts,
            "rows": out.rows,
            "notes": out.notes,
            "seconds": time.monotonic() - started,
        }
        return store.commit(asset.name, recipe, folder, record, shared=asset.shared)
