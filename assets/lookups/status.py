"""What a run would do: the state of every asset, from the settings, the source and the artifacts on disk.

Computes nothing; the source is listed once. No image is read, except with images.compare: content (then all are).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from assets.engine.execute import open_store
from assets.engine.recipe import resolve_recipe, usable
from assets.engine.step import Inputs, Step
from assets.graph import GROWTH, LEARNING, STEPS, descendants, steps_of
from assets.images import image_embeddings
from tac_pipeline.errors import TacError
from tac_pipeline.settings.keys import settings_keys
from tac_pipeline.settings.project import IMAGE_ASSETS, Project
from tac_pipeline.store.artifacts import Artifact, Current


class State(StrEnum):
    """The state of an asset."""

    FRESH = "fresh"
    REUSABLE = "stale but reusable"
    STALE = "stale"
    MISSING = "missing"


@dataclass(frozen=True)
class Status:
    """The state of one asset, the reason, its current version, and the error that a run would raise at once.

    `carry` is what was looked up to know, such as the listing of the source.
    """

    step: Step
    state: State
    why: str
    current: Current | None
    refusal: TacError | None = None
    carry: Mapping[str, Any] = field(default_factory=dict)


def all_status(project: Project, steps: Sequence[Step] | None = None) -> list[Status]:
    """The state of every asset, or of some whose upstream is among them, in the order to run.

    A training set that is only older than the store counts as fresh, and so does everything learned from it: growth
    does not renew it, `recluster` does. Of a grouping, what is about the images is looked at, and not told.
    """
    found = _all_status(project, STEPS if steps is None else steps, {})
    return [status for status in found if project.owner_of(status.step.name) is project]


def family_status(project: Project) -> list[tuple[Project, list[Status]]]:
    """The state of every asset of a store and of each of its groupings; the source is listed once for all.

    Of a grouping, its own alone.
    """
    if project.base is not None:
        return [(project, all_status(project))]
    predicted: dict[str, Artifact] = {}
    found = [(project, _all_status(project, STEPS, predicted))]
    images = {name: predicted[name] for name in IMAGE_ASSETS if name in predicted}
    return [*found, *((one, _all_status(one, steps_of(one), dict(images))) for one in project.groupings)]


def _all_status(project: Project, steps: Sequence[Step], predicted: dict[str, Artifact]) -> list[Status]:
    """The state of steps; `predicted` are the artifacts that a run would make current, and collects theirs."""
    store, found = open_store(project), []
    for step in steps:
        current = store.current(step.name)
        status, artifact = _status(step, project, predicted, current)
        if artifact is not None:
            predicted[step.name] = artifact
        found.append(status)
    return found


def steps_to_run(project: Project, *, recluster: bool = False) -> list[Step]:
    """The steps of `tac run` for one store or grouping.

    Growth always; learning when it is missing or its settings changed, or on request.

    Raises
    ------
    TacError
        A step would refuse at once, such as for a missing source or an unknown encoder.
    """
    return choose_steps(all_status(project), project, recluster=recluster)


def choose_steps(found: list[Status], project: Project, *, recluster: bool = False) -> list[Step]:
    """The steps of `tac run`, from the state of every asset (see steps_to_run)."""
    refusal = next((status.refusal for status in found if status.refusal), None)
    if refusal is not None:
        # Refused before a run spends minutes on steps that do not depend on it.
        raise refusal
    if recluster:
        return steps_of(project)
    due = [status.step for status in found if status.step in LEARNING and status.state != State.FRESH]
    chosen = {*GROWTH, *descendants(due, project.settings)}
    return [step for step in steps_of(project) if step in chosen]


def _status(
    step: Step, project: Project, predicted: Mapping[str, Artifact], current: Current | None
) -> tuple[Status, Artifact | None]:
    """The state of a step, and the artifact that a run would make current, if it is known before the run."""
    store = open_store(project)
    version = step.version(project.settings)
    if current is not None and current.version == version:
        damage = current.artifact.damage()
        if damage:
            return Status(step, State.STALE, damage, current), None
        if step.ignores_growth:
            return Status(step, State.FRESH, _lag(step, project, current, predicted), current), current.artifact
    missing_state = State.MISSING if current is None else State.STALE
    read = step.reads(project.settings)
    unknown = [above.name for above in read if above.name not in predicted]
    if unknown:
        why = _why_settings(step, project, current) or f"waits for {', '.join(unknown)}"
        return Status(step, missing_state, why, current), None
    inputs = Inputs(project, {above.name: predicted[above.name] for above in read})
    try:
        recipe = resolve_recipe(step, inputs)
    except TacError as error:
        return Status(step, missing_state, f"cannot be built: {error}", current, error), None
    same = current is not None and (current.version, current.artifact.recipe) == (version, recipe)
    if current is not None and same and usable(current.artifact):
        return Status(step, State.FRESH, "", current), current.artifact
    kept = usable(store.find(step.name, recipe))
    if kept is not None:
        why = _why_settings(step, project, current) or "made before from the same inputs"
        return Status(step, State.REUSABLE, why, current), kept
    return Status(step, missing_state, _why(step, project, inputs, current), current, carry=inputs.carry), None


def _lag(step: Step, project: Project, current: Current, predicted: Mapping[str, Artifact]) -> str:
    """Whether what a step that ignores growth was made from has changed since, in words."""
    images = predicted.get(image_embeddings.name)
    if step.lag is not None:
        return "" if images is None else step.lag(Inputs(project, {image_embeddings.name: images}), current.artifact)
    if images is not None and images.content == current.artifact.record["inputs"][image_embeddings.name]:
        return ""
    return "the store has changed since; `tac run --recluster` learns from it again"


def _why(step: Step, project: Project, inputs: Inputs, current: Current | None) -> str:
    if current is None:
        return ""
    settings = _why_settings(step, project, current)
    if settings:
        return settings
    if current.artifact.facts.get("try_again"):
        return "some images could not be reached; they are retried"
    old, new = current.artifact.record["values"], inputs.values
    if "listing" in new:
        same = old.get("listing") == new.get("listing")
        return "what is passed over, or cannot be looked at, has changed" if same else "the source has changed"
    recorded = current.artifact.record["inputs"]
    changed = [name for name, content in inputs.contents(step).items() if recorded.get(name) != content]
    if changed:
        return f"{', '.join(changed)} changed"
    differ = [f"{name}: {old.get(name)} -> {new.get(name)}" for name in new if old.get(name) != new.get(name)]
    return ", ".join(differ) or "the code that makes it has changed"


def _why_settings(step: Step, project: Project, current: Current | None) -> str:
    """The settings of this step that changed since its current version was made."""
    if current is None or current.version == step.version(project.settings):
        return ""
    now, then = step.written(project.settings), current.written
    # An added key is written only while it is set.
    unset = [key.name for key in settings_keys() if key.added and key.name in then and key.name not in now]
    changed = [
        f"{name}: {then.get(name)} -> {now.get(name)}" for name in [*now, *unset] if then.get(name) != now.get(name)
    ]
    return ", ".join(changed)
