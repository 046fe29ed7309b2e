"""Several answers joined into one: columns matched, votes added, each image's vote joined with its neighbors'."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.optimize import linear_sum_assignment

from tac_pipeline.errors import InputError
from tac_pipeline.method.arrays import FloatMatrix, IntMatrix, IntVector


def align_columns(reference: FloatMatrix, soft: FloatMatrix) -> FloatMatrix:
    """The soft assignment with its columns in the order of those of the reference that they overlap most.

    Parameters
    ----------
    reference, soft : float32 (n_images, n_clusters), rows sum to 1
        The overlap of two columns is the sum of sqrt(a x b) over the images; the one-to-one matching with the largest
        total is taken.
    """
    if reference.shape != soft.shape:
        raise InputError(f"soft assignments that are joined must have one shape; got {reference.shape}, {soft.shape}")
    overlap = np.sqrt(reference).T @ np.sqrt(soft)
    return soft[:, linear_sum_assignment(-overlap)[1]]


def one_hot(assignment: IntVector, *, n_clusters: int) -> FloatMatrix:
    """A hard assignment as a soft one, float32 (n_images, n_clusters)."""
    return np.eye(n_clusters, dtype=np.float32)[assignment]


def average_members(members: Sequence[FloatMatrix]) -> FloatMatrix:
    """The mean of soft assignments, all aligned to the one that agrees with the others best.

    Parameters
    ----------
    members : sequence of float32 (n_images, n_clusters), rows sum to 1

    Returns
    -------
    float32 (n_images, n_clusters), rows sum to 1
    """
    if not members:
        raise InputError("there must be at least one soft assignment to average")
    center = members[central_member(members)]
    total = np.zeros_like(center)
    for soft in members:
        total += align_columns(center, soft)
    mean: FloatMatrix = total / len(members)
    return mean


def central_member(members: Sequence[FloatMatrix]) -> int:
    """The member whose matched overlap with all others is largest; the first of several."""
    roots = [np.sqrt(soft) for soft in members]
    total = np.zeros(len(members))
    for first in range(len(members)):
        for second in range(first):
            overlap = roots[first].T @ roots[second]
            shared = overlap[linear_sum_assignment(-overlap)].sum()
            total[[first, second]] += shared
    return int(total.argmax())


def agreement(members: Sequence[FloatMatrix]) -> float:
    """How often two members give an image the same cluster, their columns matched; 1 for a single member."""
    shares = []
    for first in range(len(members)):
        own = members[first].argmax(axis=1)
        for second in range(first):
            shares.append(float((align_columns(members[first], members[second]).argmax(axis=1) == own).mean()))
    return float(np.mean(shares)) if shares else 1.0


def join_neighbors(votes: FloatMatrix, neighbors: IntMatrix, *, rounds: int, own: float) -> FloatMatrix:
    """Each image's vote joined with its neighbors': own x its vote + (1 - own) x the mean of theirs, so many rounds.

    Parameters
    ----------
    votes : float32 (n_images, n_clusters)
    neighbors : int64 (n_images, count)
    rounds : int >= 0
        In each, the neighbors' votes are those of the round before.
    own : float, 0 to 1
    """
    joined = votes
    for _ in range(rounds):
        around = np.zeros_like(votes)
        for column in neighbors.T:
            around += joined[column]
        joined = own * votes + (1 - own) / neighbors.shape[1] * around
    return joined
