"""What nouns say of each group: by the mean of its images, and by each of its images alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tac_pipeline.arrays import (
    FloatMatrix,
    FloatVector,
    IntMatrix,
    IntVector,
    require_assignment,
    require_same_width,
    row_chunks,
    unit_rows,
)
from tac_pipeline.method.words.noun_shortlist import CandidateVectors
from tac_pipeline.method.words.text_counterparts import require_tau
from tac_pipeline.tensors import group_sums

# Nouns that are weighed for each group. The weights of those beyond are nearly nothing.
NOUNS_WEIGHED = 60


@dataclass(frozen=True)
class GroupEvidence:
    """The nouns nearest to each group and what each weighs.

    Attributes
    ----------
    rows : int64 (n_groups, count)
        Candidates, the nearest to the group first.
    weights : float64 (n_groups, count)
        Rows sum to 1; to 0 for a group without images.
    """

    rows: IntMatrix
    weights: npt.NDArray[np.float64]

    def of_nouns_heard(self) -> tuple[IntVector, GroupEvidence]:
        """The candidates that any group has, ascending; and the same evidence with rows that count among these."""
        heard, places = np.unique(self.rows, return_inverse=True)
        return heard, GroupEvidence(places.reshape(self.rows.shape).astype(np.int64), self.weights)

    def preferring(self, factors: FloatVector) -> GroupEvidence:
        """The evidence with each weight times its noun's factor, float32 (n_nouns,) over 0; rows sum to 1 again."""
        weights = self.weights * factors[self.rows]
        sums = weights.sum(axis=1, keepdims=True)
        return GroupEvidence(self.rows, weights / np.where(sums > 0, sums, 1))


def weigh_nouns(
    image_embeddings: FloatMatrix,
    candidates: CandidateVectors,
    assignment: IntVector,
    *,
    n_groups: int,
    temperature: float,
    chunk_groups: int = 256,
) -> GroupEvidence:
    """Weigh the nouns nearest to each group: half by how near they are, half by how many of its images are for them.

    Both sides are centered, images on the mean of all images and nouns on that of all nouns: this takes off what all
    images and all words share, so that a noun is near a group when it says how the group differs from the others. One
    half of a noun's weight is its share of a softmax over cosines with the group's mean. The other half is the share of
    the group's images that are nearest to it among the nouns weighed. The mean tells near nouns apart; the images tell
    whether the group is one thing. At once this holds chunk_groups x n_nouns cosines, and those of one group's images.

    Parameters
    ----------
    image_embeddings : float32 (n_images, dim), unit rows
    candidates : CandidateVectors, n_nouns of them
    assignment : int64 (n_images,)
        From 0 to n_groups - 1.
    n_groups : int
    temperature : float > 0
        Of the softmax over cosines.
    chunk_groups : int
        Bounds memory; never changes the result.

    Raises
    ------
    InputError
        The assignment is of other images or of groups that do not exist, the widths differ, or the temperature is not
        above 0.
    """
    require_same_width(image_embeddings, candidates.vectors, names=("image_embeddings", "candidates"))
    require_tau(temperature)
    require_assignment(assignment, n_images=len(image_embeddings), n_groups=n_groups)
    sizes = np.bincount(assignment, minlength=n_groups)
    means = group_sums(image_embeddings, assignment, n_groups=n_groups) / np.maximum(sizes, 1)[:, None]
    # One group has nothing to differ from: then the images are taken as they are.
    center = image_embeddings.mean(axis=0) if np.count_nonzero(sizes) > 1 else np.zeros_like(candidates.mean)
    nouns = candidates.centered()
    rows, cosines = _nearest(unit_rows(means - center), nouns, chunk_groups=chunk_groups)
    # exp stays finite at small temperatures only if each row's maximum is taken off first.
    by_mean = np.exp((cosines - cosines[:, :1]).astype(np.float64) / temperature)
    by_mean /= by_mean.sum(axis=1, keepdims=True)
    weights = np.zeros_like(by_mean)
    order = np.argsort(assignment, kind="stable")
    ends = np.cumsum(sizes)
    for group in np.flatnonzero(sizes):
        members = order[ends[group] - sizes[group] : ends[group]]
        said = ((image_embeddings[members] - center) @ nouns[rows[group]].T).argmax(axis=1)
        by_images = np.bincount(said, minlength=rows.shape[1]) / len(members)
        weights[group] = (by_mean[group] + by_images) / 2
    return GroupEvidence(rows, weights)


def _nearest(groups: FloatMatrix, nouns: FloatMatrix, *, chunk_groups: int) -> tuple[IntMatrix, FloatMatrix]:
    """The nearest nouns of each group and their cosines, the nearest first; ties go to the earlier noun."""
    count = min(NOUNS_WEIGHED, len(nouns))
    rows = np.empty((len(groups), count), dtype=np.int64)
    cosines = np.empty((len(groups), count), dtype=np.float32)
    for chunk in row_chunks(len(groups), chunk_groups):
        every = groups[chunk] @ nouns.T  # (chunk, n_nouns)
        some = np.sort(np.argpartition(-every, count - 1, axis=1)[:, :count], axis=1)
        near = np.take_along_axis(every, some, axis=1)
        order = np.argsort(-near, axis=1, kind="stable")
        rows[chunk] = np.take_along_axis(some, order, axis=1)
        cosines[chunk] = np.take_along_axis(near, order, axis=1)
    return rows, cosines
