"""The artifacts that a step reads: they must exist, be whole, have these settings, and be made from each other.

Learning replaces its artifacts one by one. When it failed halfway, or was stopped, some of them have no groups yet.
Results then read what the cluster ids in force were learned from. A growth run does so even when the settings of
learning have been edited since: readers need not wait for a learning that is still to come.
"""

from collections import deque
from collections.abc import Collection, Iterable, Mapping

from assets.engine.recipe import resolve_recipe, usable
from assets.engine.step import Inputs, Log, Step
from tac_pipeline.errors import ArtifactDamaged, ArtifactMissing, ArtifactOutdated, TacError
from tac_pipeline.settings.project import Project
from tac_pipeline.store.artifacts import Artifact, Store

Versions = dict[str, str]


def known_versions(step: Step, store: Store, *, in_force: bool) -> Versions:
    """The chained versions to start from, by name: none, or with `in_force` those of all that is there now.

    A learning that stopped halfway leaves versions of two settings side by side. What goes together then is decided by
    the contents that each artifact was made from.
    """
    known: Versions = {}

    def look(above: Step) -> None:
        if above.name in known:
            return
        current = store.current(above.name)
        if current is not None:
            known[above.name] = current.version
        else:
            for other in (*above.upstream, *above.optional):
                look(other)

    if in_force and step.part == "growth":
        for above in (*step.upstream, *step.optional):
            look(above)
    return known


def require_inputs(asset: Step, project: Project, store: Store, log: Log, known: Versions) -> dict[str, Artifact]:
    """The artifacts above a step (see require_current); call it with the store's lock held."""
    read = _read_by(asset, project, store)
    artifacts = require_current(asset.name, read, project, store, as_of=asset.as_of, known=known)
    for above in read:
        if artifacts[above.name].recipe != store.require_current(above.name).artifact.recipe:
            log(f"{above.name}: the version that the groups were learned from; the current one has no groups yet")
        elif known.get(above.name, "") not in ("", above.version(project.settings)):
            log(
                f"{above.name}: as it was last learned; the settings have changed since, and are learned by another run"
            )
    return artifacts


def _read_by(asset: Step, project: Project, store: Store) -> tuple[Step, ...]:
    """What a step reads in this store: by its settings, or by what the groups in force were learned from."""
    if asset.as_of is None or not asset.optional or store.current(asset.as_of.name) is None:
        return _there(asset, project, store)
    # Nothing is learned from what follows the source: there the settings decide.
    learned = [above for above in asset.optional if above.part == "learning"]
    growing = [above for above in asset.reads(project.settings) if above.part == "growth"]
    return tuple(dict.fromkeys((*asset.upstream, *growing, *behind(asset.as_of, learned, store))))


def _there(step: Step, project: Project, store: Store) -> tuple[Step, ...]:
    """What a step reads with these settings; what is empty in most stores may never have been made."""
    read = step.reads(project.settings)
    return tuple(above for above in read if above not in step.deps_if_any or store.current(above.name) is not None)


def behind(anchor: Step, optional: Iterable[Step], store: Store) -> list[Step]:
    """Those of some optional assets that the current version of a step was learned from."""
    found, gone = learned_from(anchor, store)
    return [above for above in optional if above.name in found or above.name in gone]


def require_current(
    reader: str,
    steps: Iterable[Step],
    project: Project,
    store: Store,
    *,
    as_of: Step | None = None,
    known: Versions | None = None,
) -> dict[str, Artifact]:
    """The current artifacts of some steps, checked to be whole and made for these settings and from each other.

    Parameters
    ----------
    as_of : Step, optional
        If something that this step was made from has been replaced since, the old version is read, and so is
        everything between the two.
    known : dict of name to version, optional
        Versions that count as these settings' (see known_versions).

    Raises
    ------
    ArtifactMissing, ArtifactOutdated, ArtifactDamaged
    """
    steps = tuple(steps)
    due = _not_current(steps, project, store, dict(known or {}))
    if due:
        raise _not_built(reader, next(above for above in steps if above.name in due), due, store)
    earlier = {} if as_of is None else _as_of(reader, as_of, steps, project, store)
    artifacts: dict[str, Artifact] = {}
    for above in steps:
        artifact = earlier.get(above.name) or store.require_current(above.name).artifact
        damage = artifact.damage()
        if damage:
            raise ArtifactDamaged(f"{damage}. Materialize {above.name} again: `tac run --select {above.name}`.")
        artifacts[above.name] = artifact
    _require_made_from_each_other(reader, steps, artifacts)
    return artifacts


def _not_built(reader: str, above: Step, due: Collection[str], store: Store) -> TacError:
    """The refusal of a step that must be built first, and what else must be."""
    missing = store.current(above.name) is None
    what = "has not been materialized" if missing else "was made for other settings"
    return (ArtifactMissing if missing else ArtifactOutdated)(
        f"{reader} reads {above.name}, which {what}. Build first: {', '.join(due)} "
        f"(`tac run` does, or `tac run --select {','.join(due)}`)."
    )


def _require_made_from_each_other(reader: str, steps: Iterable[Step], artifacts: Mapping[str, Artifact]) -> None:
    grows = {step.name for step in steps if step.part == "growth"}
    for above in steps:
        for name, content in artifacts[above.name].record["inputs"].items():
            # What ignores growth is right to be older than what grows.
            older = above.ignores_growth and name in grows
            if name in artifacts and artifacts[name].content != content and not older:
                raise ArtifactOutdated(
                    f"{reader} reads {name} and {above.name}, but {above.name} was made from another version of "
                    f"{name}. Build {above.name} first: `tac run`."
                )


def _not_current(steps: Iterable[Step], project: Project, store: Store, versions: Versions) -> dict[str, Step]:
    """The steps, and all upstream of them, that are missing or made for other settings, in the order to build."""
    due: dict[str, Step] = {}
    looked_at: set[str] = set()
    given = frozenset(versions)

    def look(step: Step) -> None:
        if step.name in looked_at:
            return
        looked_at.add(step.name)
        if step.name in given:
            return
        above_it = _there(step, project, store)
        for above in above_it:
            look(above)
        current = store.current(step.name)
        outdated = current is None or current.version != step.version(project.settings, versions)
        if outdated or any(above.name in due for above in above_it):
            due[step.name] = step

    for step in steps:
        look(step)
    return due


def learned_from(anchor: Step, store: Store) -> tuple[dict[str, Artifact], set[str]]:
    """What the current version of a step was made from, by name, and the names of what is no longer kept.

    Every learned artifact upstream is followed by the contents in the records. Contents of growth are left out: the
    images that a store has now are read as they are now.
    """
    current = store.current(anchor.name)
    if current is None:
        return {}, set()
    wanted, found = {anchor.name: current.artifact.content}, {anchor.name: current.artifact}
    # Nearest first: equal contents may have been made again from newer ones, and lead there.
    waiting = deque([anchor])
    while waiting:
        step = waiting.popleft()
        contents = found[step.name].record["inputs"]
        deps = (*step.deps, *step.optional)
        new = [above for above in deps if above.part == "learning" and above.name not in wanted]
        new = [above for above in new if above.name in contents]
        wanted |= {above.name: contents[above.name] for above in new}
        for above in new:
            artifact = _made_from(above.name, wanted, store)
            if artifact is not None:
                found[above.name] = artifact
                waiting.append(above)
    return found, set(wanted) - set(found)


def _made_from(name: str, wanted: Versions, store: Store) -> Artifact | None:
    """A whole version with the wanted content, if possible one that was made from the other wanted contents."""

    def differs(artifact: Artifact) -> bool:
        return any(wanted.get(above, content) != content for above, content in artifact.record["inputs"].items())

    return min(store.find_contents(name, wanted[name]), key=differs, default=None)


def _as_of(reader: str, anchor: Step, steps: Iterable[Step], project: Project, store: Store) -> dict[str, Artifact]:
    """The old artifacts that the anchor was made from, and the steps' made from these; empty if all is current."""
    found, gone = learned_from(anchor, store)
    if not gone and all(store.require_current(name).artifact.recipe == kept.recipe for name, kept in found.items()):
        return {}
    roots = frozenset(found)

    def find(step: Step) -> Artifact:
        if step.name in gone:
            raise _gone(reader, step.name, anchor)
        if step.name not in found:
            if step.part == "growth" or not _reads(step, roots) or _reads(step, {anchor.name}):
                found[step.name] = store.require_current(step.name).artifact
            else:
                above_it = (*step.upstream, *(above for above in step.optional if above.name in roots))
                inputs = Inputs(project, {above.name: find(above) for above in above_it})
                artifact = usable(store.find(step.name, resolve_recipe(step, inputs)))
                if artifact is None:
                    raise _gone(reader, step.name, anchor)
                found[step.name] = artifact
        return found[step.name]

    for step in steps:
        find(step)
    for artifact in found.values():
        # They count as used while the results depend on them, so that they are not pruned.
        store.note_use(artifact)
    return found


def _reads(step: Step, names: Collection[str]) -> bool:
    """Whether one of these assets is upstream of a step."""
    return any(above.name in names or _reads(above, names) for above in (*step.upstream, *step.optional))


def _gone(reader: str, name: str, anchor: Step) -> ArtifactOutdated:
    return ArtifactOutdated(
        f"{reader} reads {name}, which was made again after {anchor.name}, and the version that {anchor.name} was made "
        "from is no longer kept: learning did not finish. Finish it: `tac run`."
    )
