"""Making a step current: find its recipe on disk, or compute it."""

import time
from dataclasses import dataclass

from assets.engine.recipe import resolve_recipe, usable
from assets.engine.required import known_versions, require_inputs
from assets.engine.step import AsItWas, Inputs, Log, Output, Step
from tac_pipeline.errors import ArtifactDamaged
from tac_pipeline.files import full_disk_told
from tac_pipeline.settings.project import Project
from tac_pipeline.store.artifacts import CURRENT_NAME, Artifact, Store
from tac_pipeline.store.artifacts import open_store as open_store


@dataclass(frozen=True)
class Outcome:
    """The outcome of a step: its artifact, whether it was used again, and how many seconds it took."""

    artifact: Artifact
    reused: bool
    seconds: float


def execute(
    asset: Step, project: Project, *, log: Log = lambda _: None, in_force: bool = False, anew: bool = False
) -> Outcome:
    """Make an asset current: find its recipe on disk, or compute it, validate it and make it current.

    A file with wrong bytes that it meets, and that can be computed again, is set aside and made again.

    Parameters
    ----------
    in_force : bool
        A step of growth reads what was learned last, also when the settings of learning have changed since; it then
        stays stale for the new settings.
    anew : bool
        Somebody asked to learn again: what ignores growth is made from what the store holds now, even when what was
        lost could be made as it was.

    Raises
    ------
    ArtifactMissing, ArtifactOutdated, ArtifactDamaged
        An asset that it reads must be built first; the message names it.
    TacError
        The computation refuses something. What was current does not change.
    """
    project = project.owner_of(asset.name)
    store = open_store(project)
    with store.building(shared=asset.shared, on_wait=log):
        while True:
            try:
                return _execute(asset, project, store, log, in_force=in_force, anew=anew)
            except ArtifactDamaged as error:
                # Ends, because every time one file fewer is there.
                if error.file is None or not store.set_aside(error.file):
                    raise
                log(f"{error.file} has not the bytes that were written. It is set aside, and made again")
                _make_again(asset, project, store, log)


def _make_again(asset: Step, project: Project, store: Store, log: Log) -> None:
    """Make what a step reads whole again, after a file of it was set aside."""
    for above in asset.reads(project.settings):
        current = store.current(above.name)
        if current is not None and current.artifact.damage():
            execute(above, project, log=log)


def _execute(asset: Step, project: Project, store: Store, log: Log, *, in_force: bool, anew: bool) -> Outcome:
    started = time.monotonic()
    known = known_versions(asset, store, in_force=in_force)
    inputs = Inputs(project, require_inputs(asset, project, store, log, known), log, anew=anew)
    lost = None if anew or asset.as_it_was is None else asset.as_it_was(inputs)
    recipe = resolve_recipe(asset, inputs) if lost is None else lost.recipe
    kept = usable(store.find(asset.name, recipe))
    if store.has_bad_pointer(asset.name):
        log(f"{asset.name}: its {CURRENT_NAME} could not be read, and is written again")
    artifact = kept or _build(asset, inputs, store, recipe, started, lost)
    settings = project.settings
    store.make_current(artifact, version=asset.version(settings, known), written=asset.written(settings))
    # What the groups in force were learned from is needed until others are learned, however few versions are kept.
    store.prune(
        asset.name,
        keep=settings.keep_versions,
        keep_days=settings.keep_days,
        shared=asset.shared,
        in_use=asset.part == "learning",
    )
    if asset.cleanup is not None:
        asset.cleanup(store)
    return Outcome(artifact, kept is not None, time.monotonic() - started)


def _build(asset: Step, inputs: Inputs, store: Store, recipe: str, started: float, lost: AsItWas | None) -> Artifact:
    store.sweep_scratch(shared=asset.shared)
    with store.scratch(asset.name, shared=asset.shared) as folder:
        current = store.current(asset.name)
        out = Output(folder, asset.schema, before=None if current is None else current.artifact)
        with full_disk_told(store.folder, kept=f"{asset.name} was not changed"):
            if lost is None:
                asset.build(inputs, out, **asset.sections(inputs.project.settings))
            else:
                lost.build(inputs, out)
        record = {
            "content": out.content,
            "links": out.links,
            "values": inputs.values,
            "inputs": inputs.contents(asset),
            "facts": out.facts,
            "rows": out.rows,
            "notes": out.notes,
            "seconds": time.monotonic() - started,
        }
        if out.segments:
            record["segments"] = out.segments
        if lost is not None:
            record |= lost.record
        return store.commit(asset.name, recipe, folder, record, shared=asset.shared)
