"""The artifacts that a step reads: they must exist, be whole, have these settings, and be made from each other.

Learning replaces its artifacts one by one. When it failed halfway, the current training set has no groups yet. Results
then read the training set that the cluster ids in force were learned from, and everything made from that one.
"""

from collections.abc import Collection, Iterable, Mapping

from assets.engine.recipe import resolve_recipe, usable
from assets.engine.step import Inputs, Log, Step
from tac_pipeline.errors import ArtifactDamaged, ArtifactMissing, ArtifactOutdated, TacError
from tac_pipeline.settings.project import Project
from tac_pipeline.store.artifacts import Artifact, Store


def require_inputs(asset: Step, project: Project, store: Store, log: Log) -> dict[str, Artifact]:
    """The artifacts above a step (see require_current); call it with the store's lock held."""
    artifacts = require_current(asset.name, asset.upstream, project, store, as_of=asset.as_of)
    for name, artifact in artifacts.items():
        if artifact.recipe != store.require_current(name).artifact.recipe:
            log(f"{name}: the version that the groups were learned from; the current one has no groups yet")
    return artifacts


def require_current(
    reader: str, steps: Iterable[Step], project: Project, store: Store, *, as_of: Step | None = None
) -> dict[str, Artifact]:
    """The current artifacts of some steps, checked to be whole and made for these settings and from each other.

    Parameters
    ----------
    as_of : Step, optional
        If an asset that this step was made from has been replaced since, the old version is read, and so is everything
        between the two.

    Raises
    ------
    ArtifactMissing, ArtifactOutdated, ArtifactDamaged
    """
    steps = tuple(steps)
    due = _not_current(steps, project, store)
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
    _require_made_from_each_other(reader, artifacts)
    return artifacts


def _not_built(reader: str, above: Step, due: Collection[str], store: Store) -> TacError:
    """The refusal of a step that must be built first, and what else must be."""
    missing = store.current(above.name) is None
    what = "has not been materialized" if missing else "was made for other settings"
    return (ArtifactMissing if missing else ArtifactOutdated)(
        f"{reader} reads {above.name}, which {what}. Build first: {', '.join(due)} "
        f"(`tac run` does, or `tac run --select {','.join(due)}`)."
    )


def _require_made_from_each_other(reader: str, artifacts: Mapping[str, Artifact]) -> None:
    for above, artifact in artifacts.items():
        for name, content in artifact.record["inputs"].items():
            if name in artifacts and artifacts[name].content != content:
                raise ArtifactOutdated(
                    f"{reader} reads {name} and {above}, but {above} was made from another version of "
                    f"{name}. Build {above} first: `tac run`."
                )


def _not_current(steps: Iterable[Step], project: Project, store: Store) -> dict[str, Step]:
    """The steps, and all upstream of them, that are missing or made for other settings, in the order to build."""
    due: dict[str, Step] = {}
    looked_at: set[str] = set()
    versions: dict[str, str] = {}

    def look(step: Step) -> None:
        if step.name in looked_at:
            return
        looked_at.add(step.name)
        for above in step.upstream:
            look(above)
        current = store.current(step.name)
        outdated = current is None or current.version != step.version(project.settings, versions)
        if outdated or any(above.name in due for above in step.upstream):
            due[step.name] = step

    for step in steps:
        look(step)
    return due


def _as_of(reader: str, anchor: Step, steps: Iterable[Step], project: Project, store: Store) -> dict[str, Artifact]:
    """The old artifacts that the anchor was made from, and the steps' made from these; empty if all is current."""
    current = store.current(anchor.name)
    if current is None:
        return {}
    contents: dict[str, str] = current.artifact.record["inputs"]
    if all(store.require_current(name).artifact.content == content for name, content in contents.items()):
        return {}
    found = {anchor.name: current.artifact}
    for name, content in contents.items():
        artifact = store.find_content(name, content)
        if artifact is None:
            raise _gone(reader, name, anchor)
        found[name] = artifact
    roots = frozenset(contents)

    def find(step: Step) -> Artifact:
        if step.name not in found:
            if not _reads(step, roots) or _reads(step, {anchor.name}):
                found[step.name] = store.require_current(step.name).artifact
            else:
                inputs = Inputs(project, {above.name: find(above) for above in step.upstream})
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
    return any(above.name in names or _reads(above, names) for above in step.upstream)


def _gone(reader: str, name: str, anchor: Step) -> ArtifactOutdated:
    return ArtifactOutdated(
        f"{reader} reads {name}, which was made again after {anchor.name}, and the version that {anchor.name} was made "
        "from is no longer kept: learning did not finish. Finish it: `tac run`."
    )
