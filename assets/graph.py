"""The graph: every step in the order to run, and which of them belong to growth, learning and the UI's jobs."""

import difflib
from collections.abc import Iterable

from assets.clustering import cluster_heads, cluster_ids, image_kmeans, training_free_clusters
from assets.engine.step import Step
from assets.evaluation import evaluation
from assets.images import (
    IMAGE_STORE,
    image_embeddings,
    image_labels,
    image_manifest,
    image_splits,
    known_labels,
    training_set,
)
from assets.map import image_map, map_layout
from assets.neighbors import image_neighbors, text_neighbors, text_weight, whitening
from assets.nouns import candidate_nouns, noun_embeddings
from assets.people.corrections import corrections
from assets.people.lessons import lessons
from assets.people.written import CORRECTIONS_FILE
from assets.report import report
from assets.results import assignments, clusters
from assets.review import review
from assets.text_space import (
    cluster_count,
    criterion,
    noun_shortlist,
    noun_vocabulary,
    semantic_centers,
    text_counterparts,
)
from assets.tree import cluster_tree
from tac_pipeline.errors import InputError
from tac_pipeline.settings.keys import Settings
from tac_pipeline.settings.project import IMAGE_ASSETS, Project

STEPS: tuple[Step, ...] = (
    image_manifest,
    image_labels,
    image_splits,
    image_embeddings,
    known_labels,
    training_set,
    lessons,
    candidate_nouns,
    noun_embeddings,
    criterion,
    cluster_count,
    semantic_centers,
    noun_shortlist,
    noun_vocabulary,
    text_counterparts,
    whitening,
    image_neighbors,
    text_weight,
    text_neighbors,
    image_kmeans,
    training_free_clusters,
    cluster_heads,
    cluster_ids,
    corrections,
    assignments,
    clusters,
    cluster_tree,
    evaluation,
    map_layout,
    image_map,
    review,
    report,
)

# The steps that new images pass through every day; nothing is learned again.
GROWTH: tuple[Step, ...] = tuple(step for step in STEPS if step.part == "growth")
# The steps that are learned from a training set, on their own schedule.
LEARNING: tuple[Step, ...] = tuple(step for step in STEPS if step.part == "learning")


def steps_of(project: Project) -> list[Step]:
    """The steps that a store has of its own: a grouping has none of those that are about the images."""
    return [step for step in STEPS if project.base is None or step.name not in IMAGE_ASSETS]


def descendants(roots: Iterable[Step], settings: Settings | None = None) -> list[Step]:
    """The steps and everything downstream, in the order to run; with settings, what is so in a store that has these."""
    found = set(roots)
    for step in STEPS:
        if found.intersection(_above(step, settings)):
            found.add(step)
    return [step for step in STEPS if step in found]


def ancestors(leaves: Iterable[Step], settings: Settings | None = None) -> list[Step]:
    """The steps and everything upstream, in the order to run; with settings, what is so in a store that has these."""
    found = set(leaves)
    for step in reversed(STEPS):
        if step in found:
            found.update(_above(step, settings))
    return [step for step in STEPS if step in found]


def _above(step: Step, settings: Settings | None) -> tuple[Step, ...]:
    return (*step.upstream, *step.optional) if settings is None else step.reads(settings)


def select(text: str, settings: Settings | None = None) -> list[Step]:
    """Steps by name, comma-separated: `name+` adds everything downstream, `+name` everything upstream, `*` is all.

    With settings, what only other stores read is left out.

    Raises
    ------
    InputError
        A name is unknown; the nearest is suggested.
    """
    found: set[Step] = set()
    for part in (piece.strip() for piece in text.split(",")):
        if part == "*":
            return list(STEPS)
        chosen = [find(part.strip("+"))]
        found.update(chosen)
        if part.endswith("+"):
            found.update(descendants(chosen, settings))
        if part.startswith("+"):
            found.update(ancestors(chosen, settings))
    return [step for step in STEPS if step in found]


def find(name: str) -> Step:
    """The step with a name."""
    by_name = {step.name: step for step in STEPS}
    if name not in by_name:
        near = difflib.get_close_matches(name, by_name, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(by_name)}"
        raise InputError(f"there is no asset {name!r}; {hint}")
    return by_name[name]


def observed_sources(project: Project) -> list[str]:
    """What people change outside Dagster: the images of a store, and the file of corrections if the settings name one.

    A grouping has no images of its own.
    """
    images = [IMAGE_STORE] if project.base is None else []
    return images if project.corrections_file is None else [*images, CORRECTIONS_FILE]
