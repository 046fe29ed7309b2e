"""Choosing the weight of the text without labels, by its effect on images that look alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tac_pipeline.arrays import FloatMatrix, IntMatrix, IntVector
from tac_pipeline.method.grouping.blend import blend_rows
from tac_pipeline.method.grouping.spherical_kmeans import spherical_kmeans
from tac_pipeline.method.values.published import KMEANS_ITERATIONS
from tac_pipeline.method.values.trained import (
    HEAVIEST_FOR_KMEANS,
    KEPT_BY_HEADS,
    KEPT_BY_KMEANS,
    TEXT_WEIGHTS,
    WEIGHT_RESTARTS,
)
from tac_pipeline.method.words.noun_fit import NounFit


@dataclass(frozen=True)
class Trial:
    """One text weight, and the share of the images' nearest images that are in the same cluster with it."""

    weight: float
    together: float


@dataclass(frozen=True)
class TextWeight:
    """The chosen weights, and why.

    Attributes
    ----------
    heads : float
        For the rows that the text head sees.
    training_free : float
        For the training-free clusters.
    trials : tuple of Trial
        The images alone (weight 0) first; empty when nothing was tried.
    sentence : str
        The choice in words.
    fit : NounFit, optional
        How much the nouns say of the images, where that was measured.
    """

    heads: float
    training_free: float
    trials: tuple[Trial, ...]
    sentence: str
    fit: NounFit | None = None


def share_together(neighbors: IntMatrix, assignment: IntVector) -> float:
    """How often an image and one of its nearest images share a cluster.

    Parameters
    ----------
    neighbors : int64 (n_images, count)
    assignment : int64 (n_images,)
    """
    return float((assignment[neighbors] == assignment[:, None]).mean())


def choose_text_weight(
    image_embeddings: FloatMatrix,
    text_counterparts: FloatMatrix,
    neighbors: IntMatrix,
    *,
    n_clusters: int,
    seed: int,
    levels: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> TextWeight:
    """The largest text weight with which images that look alike stay together.

    Text that fits the images divides them differently than the images alone, but keeps most neighbors together; text
    that does not fit separates them. For each weight the rows are clustered. A weight is accepted when the share of
    neighbors in one cluster stays above a fixed part of the share for the images alone. The first weight that is not
    accepted ends the search.

    Parameters
    ----------
    image_embeddings, text_counterparts : float32 (n_images, dim), unit rows, in the same order
    neighbors : int64 (n_images, count)
        Each image's nearest images by image embedding, itself excluded.
    n_clusters : int
        From 1 to n_images.
    seed : int >= 0
    levels : int, optional
        See spherical_kmeans.
    progress : callable, optional
        Told after each weight how many of them are done.
    """
    trials: list[Trial] = []
    for weight in (0.0, *TEXT_WEIGHTS):
        found = spherical_kmeans(
            blend_rows(image_embeddings, text_counterparts, text_weight=weight),
            n_clusters=n_clusters,
            restarts=WEIGHT_RESTARTS,
            max_iterations=KMEANS_ITERATIONS,
            seed=seed,
            levels=levels,
        )
        trials.append(Trial(weight, share_together(neighbors, found.assignment)))
        if progress is not None:
            progress(len(trials), 1 + len(TEXT_WEIGHTS))
        if trials[-1].together < KEPT_BY_HEADS * trials[0].together:
            break
    heads = largest_weight_kept(trials, kept=KEPT_BY_HEADS)
    free = min(largest_weight_kept(trials, kept=KEPT_BY_KMEANS), HEAVIEST_FOR_KMEANS)
    return TextWeight(heads, free, tuple(trials), _sentence(trials, heads))


def given_text_weight(weight: float) -> TextWeight:
    """The weight that the settings give."""
    return TextWeight(weight, weight, (), f"the settings give the words weight {weight:g}")


def published_text_weight() -> TextWeight:
    """The published method's weights: the text head sees only text, training-free counts text and image equally."""
    return TextWeight(1.0, 1.0, (), "as published: the text head sees the words alone, whatever they do to the images")


def largest_weight_kept(trials: list[Trial], *, kept: float) -> float:
    """The last weight before the first under which less than `kept` of the first trial's share is left."""
    weight = trials[0].weight
    for trial in trials[1:]:
        if trial.together < kept * trials[0].together:
            break
        weight = trial.weight
    return weight


def _sentence(trials: list[Trial], weight: float) -> str:
    alone = trials[0].together
    refused = next((trial for trial in trials if trial.weight > weight), None)
    if weight == 0:
        lightest = f"{trials[1].together:.0%} under the lightest weight, {trials[1].weight:g}"
        return (
            f"the words were set aside: of an image's nearest images {alone:.0%} share its cluster by the images "
            f"alone, {lightest}"
        )
    borne = next(trial.together for trial in trials if trial.weight == weight)
    why = f"of an image's nearest images {borne:.0%} still share its cluster ({alone:.0%} by the images alone)"
    if refused is not None:
        why += f", under weight {refused.weight:g} only {refused.together:.0%}"
    strength = "helped" if refused is None or weight > TEXT_WEIGHTS[0] else "were heard softly"
    return f"the words {strength}: weight {weight:g}, because {why}"
