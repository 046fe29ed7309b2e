"""Groups of images by what they show and by what nouns say of them, without training.

Images and text counterparts are each whitened by their scatter within groups and put side by side; k-means from Ward's
start groups them. Then the nouns of the groups are the vocabulary, the groups' own scatter and that among the nearest
side by side whiten, and the images are grouped again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tac_pipeline.arrays import FloatMatrix, IntMatrix, IntVector, unit_rows
from tac_pipeline.method.clusters.teaching import Lessons, teach_groups
from tac_pipeline.method.grouping.blend import blend_rows
from tac_pipeline.method.grouping.neighbors import nearest_neighbors
from tac_pipeline.method.grouping.spherical_kmeans import KMeansResult
from tac_pipeline.method.grouping.ward import ward_kmeans
from tac_pipeline.method.grouping.whitening import whiten_within
from tac_pipeline.method.values.robust import MOVED_CENTERS, TEACHING_PULL, TEACHING_ROUNDS
from tac_pipeline.method.words.group_nouns import nouns_of_groups
from tac_pipeline.method.words.noun_shortlist import CandidateVectors
from tac_pipeline.method.words.text_counterparts import retrieve_text_counterparts
from tac_pipeline.tensors import group_sums


@dataclass(frozen=True)
class Recipe:
    """How much of everything the grouping takes.

    Attributes
    ----------
    tau : float > 0
        Of the text counterparts.
    text_weight : float >= 0
        Of the text beside the image's 1; at 0 no noun is read.
    rounds : int >= 0
        Groupings after the first.
    nouns_per_group : int >= 1
    group_share, shrinkage : float
        See whiten_within.
    scatter_images : int
        Of larger sets so many images, evenly taken, stand for all where the scatter around neighbors is measured.
    """

    tau: float
    text_weight: float
    rounds: int
    nouns_per_group: int
    group_share: float
    shrinkage: float
    scatter_images: int


def group_by_words(
    image_embeddings: FloatMatrix,
    text_counterparts: FloatMatrix,
    candidates: CandidateVectors,
    neighbors: IntMatrix,
    *,
    n_clusters: int,
    recipe: Recipe,
    seed: int,
    known: IntVector | None = None,
    levels: int = 1,
    device: str = "cpu",
    progress: Callable[[int, int], None] | None = None,
) -> KMeansResult:
    """Group images by image and text, and again by the nouns and the scatter of the groups.

    At once this holds the images and texts, each as they are and whitened, both side by side, and an index of these.

    Parameters
    ----------
    image_embeddings, text_counterparts : float32 (n_images, dim), unit rows, in the same order
        The counterparts of the first vocabulary; later ones are retrieved here.
    candidates : CandidateVectors
    neighbors : int64 (n_images, count)
        By image; later ones are found among image and text side by side.
    n_clusters : int
        From 1 to n_images.
    seed : int >= 0
    known : int64 (n_images,), optional
        The known class that each image is an example of, or -1; see ward_kmeans.
    levels : int, optional
        Of k-means; see ward_kmeans.
    device : str, optional
        Of k-means and of the search for neighbors; see spherical_kmeans.
    progress : callable, optional
        Told after each grouping how many of them are done.

    Returns
    -------
    KMeansResult of the last grouping, its centers in the space of image and text side by side
    """
    images, texts = image_embeddings, text_counterparts
    some = np.arange(0, len(images), -(-len(images) // recipe.scatter_images))
    near = neighbors[some]

    groups: IntVector | None = None
    for turn in range(recipe.rounds + 1):
        rows = _side_by_side(images, texts, near, some, groups, recipe)
        found = ward_kmeans(rows, n_clusters=n_clusters, seed=seed, known=known, levels=levels, device=device)
        groups = found.assignment
        if turn < recipe.rounds:
            near = nearest_neighbors(rows, count=near.shape[1], of=some, device=device)
        del rows  # the next ones are as large
        if turn < recipe.rounds and recipe.text_weight > 0:
            chosen = nouns_of_groups(
                images, candidates, groups, n_groups=n_clusters, nouns_per_group=recipe.nouns_per_group
            )
            texts = retrieve_text_counterparts(images, candidates.vectors[chosen], tau=recipe.tau)
        if progress is not None:
            progress(turn + 1, recipe.rounds + 1)
    return found


def group_as_taught(
    image_embeddings: FloatMatrix,
    candidates: CandidateVectors,
    neighbors: IntMatrix,
    lessons: Lessons,
    *,
    recipe: Recipe,
) -> KMeansResult:
    """Group images again from the groups before, as people corrected them, instead of from Ward's tree.

    The nouns and the scatter of the groups before make the space. So each group keeps its place, and its id.

    Parameters
    ----------
    image_embeddings : float32 (n_images, dim), unit rows
    candidates : CandidateVectors
    neighbors : int64 (n_images, count)
        By image.
    lessons : Lessons
        Of these images.

    Returns
    -------
    KMeansResult in the order of lessons.group_of
    """
    images, groups = image_embeddings, lessons.groups
    some = np.arange(0, len(images), -(-len(images) // recipe.scatter_images))
    near, texts = neighbors[some], images
    if recipe.text_weight > 0:
        chosen = nouns_of_groups(
            images, candidates, groups, n_groups=lessons.n_groups, nouns_per_group=recipe.nouns_per_group
        )
        texts = retrieve_text_counterparts(images, candidates.vectors[chosen], tau=recipe.tau)
    rows = _side_by_side(images, texts, near, some, groups, recipe)
    near = nearest_neighbors(rows, count=near.shape[1], of=some)
    rows = _side_by_side(images, texts, near, some, groups, recipe)
    taught = teach_groups(rows, lessons, rounds=TEACHING_ROUNDS, pull=TEACHING_PULL, moved_centers=MOVED_CENTERS)
    centers = unit_rows(group_sums(rows, taught.groups, n_groups=len(taught.group_of)))
    objective = float(np.einsum("ij,ij->i", rows, centers[taught.groups]).mean())
    return KMeansResult(centers, taught.groups, objective, taught.rounds)


def _side_by_side(
    images: FloatMatrix,
    texts: FloatMatrix,
    neighbors: IntMatrix,
    of: IntVector,
    groups: IntVector | None,
    recipe: Recipe,
) -> FloatMatrix:
    """Image and text, each whitened within groups, as one unit row each."""

    def whitened(rows: FloatMatrix) -> FloatMatrix:
        fitted = whiten_within(
            rows, neighbors, groups, of=of, group_share=recipe.group_share, shrinkage=recipe.shrinkage
        )
        return fitted.apply(rows)

    if recipe.text_weight == 0:
        return whitened(images)
    return blend_rows(whitened(images), whitened(texts), text_weight=recipe.text_weight)
