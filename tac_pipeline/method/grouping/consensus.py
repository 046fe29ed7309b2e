"""Joining several clusterings into one: match columns, add votes, join each image's vote with its neighbors'."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.optimize import linear_sum_assignment

from tac_pipeline.arrays import FloatMatrix, IntMatrix, IntVector, unit_rows
from tac_pipeline.errors import InputError
from tac_pipeline.method.grouping.spherical_kmeans import kmeans_from, spherical_kmeans
from tac_pipeline.method.grouping.splinters import mend_splinters
from tac_pipeline.method.values.published import KMEANS_ITERATIONS


def align_columns(reference: FloatMatrix, soft: FloatMatrix) -> FloatMatrix:
    """The soft assignment with its columns in the order of the reference columns that they overlap most.

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


def join_members(
    members: Sequence[FloatMatrix],
    rows: FloatMatrix,
    *,
    rows_weight: float,
    restarts: int,
    smallest_share: float,
    seed: int,
) -> FloatMatrix:
    """One soft assignment out of several; their columns need not match.

    The roots of all soft assignments are joined into one row per image. The cosine of two rows says how similar the
    members see two images. The images' own rows, less their mean, are appended, so that clusters may be as unequal as
    the images are. Spherical k-means on these rows starts at random and from each member's clusters; splinters are
    repaired. It finds clusters that most members keep together. For an image's soft assignment every column of every
    member votes by the share of its weight in each cluster. If the votes lead to another cluster than k-means, the
    cluster of k-means gets half of the weight.

    Parameters
    ----------
    members : sequence of float32 (n_images, n_clusters), rows sum to 1
    rows : float32 (n_images, width), unit rows
    rows_weight : float >= 0
        Weight of the product of two rows, beside the mean of the members' products.
    restarts : int >= 0
        Random starts of k-means.
    smallest_share : float, 0 to 1
        Share of an even cluster's size: a smaller cluster may be a splinter.
    seed : int >= 0

    Returns
    -------
    float32 (n_images, n_clusters), rows sum to 1
    """
    if not members:
        raise InputError("there must be at least one soft assignment to join")
    n_clusters = members[0].shape[1]
    own = np.float32(np.sqrt(rows_weight)) * (rows - rows.mean(axis=0))
    alike = unit_rows(np.hstack([*(np.sqrt(soft / len(members)) for soft in members), own]))
    found = _cluster_alike(alike, members, restarts=restarts, smallest_share=smallest_share, seed=seed)
    together = one_hot(found, n_clusters=n_clusters)
    votes = np.zeros_like(together)
    for soft in members:
        shared = soft.T @ together  # (columns, clusters)
        votes += soft @ (shared / np.maximum(shared.sum(axis=1, keepdims=True), np.finfo(np.float32).tiny))
    votes /= votes.sum(axis=1, keepdims=True)
    led_away = votes.argmax(axis=1) != found
    votes[led_away] = (votes[led_away] + together[led_away]) / 2
    return votes


def _cluster_alike(
    alike: FloatMatrix, members: Sequence[FloatMatrix], *, restarts: int, smallest_share: float, seed: int
) -> IntVector:
    """The best k-means from random starts and from each member's clusters, all mended."""
    n_clusters = members[0].shape[1]
    seeds = np.random.default_rng(seed).integers(2**31, size=restarts)
    found = [
        kmeans_from(alike, soft.argmax(axis=1), n_clusters=n_clusters, max_iterations=KMEANS_ITERATIONS)
        for soft in members
    ] + [
        spherical_kmeans(alike, n_clusters=n_clusters, restarts=1, max_iterations=KMEANS_ITERATIONS, seed=int(own))
        for own in seeds
    ]
    least = smallest_share * len(alike) / n_clusters
    mended = [mend_splinters(alike, each, least=least, seed=seed) for each in found]
    return max(mended, key=lambda result: result.objective).assignment


def agreement(members: Sequence[FloatMatrix]) -> float:
    """How often two members give an image the same cluster, their columns matched; 1 for a single member."""
    shares = []
    for first in range(len(members)):
        own = members[first].argmax(axis=1)
        for second in range(first):
            shares.append(float((align_columns(members[first], members[second]).argmax(axis=1) == own).mean()))
    return float(np.mean(shares)) if shares else 1.0


def join_neighbors(votes: FloatMatrix, neighbors: IntMatrix, *, rounds: int, own: float) -> FloatMatrix:
    """Each image's vote joined with its neighbors': own x its vote + (1 - own) x the mean of theirs, in some rounds.

    Parameters
    ----------
    votes : float32 (n_images, n_clusters)
    neighbors : int64 (n_images, count)
    rounds : int >= 0
        Each round uses the neighbors' votes of the round before.
    own : float, 0 to 1
    """
    joined = votes
    for _ in range(rounds):
        around = np.zeros_like(votes)
        for column in neighbors.T:
            around += joined[column]
        joined = own * votes + (1 - own) / neighbors.shape[1] * around
    return joined
