"""Splinters: clusters of a few odd rows, which k-means keeps while another cluster holds two groups."""

from __future__ import annotations

import numpy as np

from tac_pipeline.method.arrays import FloatMatrix, IntVector
from tac_pipeline.method.published import KMEANS_ITERATIONS
from tac_pipeline.method.spherical_kmeans import KMeansResult, kmeans_from, spherical_kmeans

# Restarts of the k-means that cuts a cluster in two.
HALVING_RESTARTS = 3


def count_splinters(assignment: IntVector, *, n_clusters: int, least: float) -> int:
    """How many of the clusters have fewer than `least` rows."""
    return int((np.bincount(assignment, minlength=n_clusters) < least).sum())


def mend_splinters(rows: FloatMatrix, found: KMeansResult, *, least: float, rounds: int, seed: int) -> KMeansResult:
    """Go on from a clustering without its splinters.

    The rows of every splinter go to the nearest other center, and the cluster that loses most cosine over all its
    rows is cut in two instead; Lloyd's rounds follow. That leads out of optima that Lloyd's rounds alone cannot
    leave, mostly into better ones (docs/EXPERIMENTS.md).

    Parameters
    ----------
    rows : float32 (n_rows, dim), unit rows
    found : KMeansResult
        Of these rows.
    least : float
        A cluster with fewer rows is a splinter; one with fewer than twice as many is not cut.
    rounds : int >= 0
        At most; none is needed where there is no splinter.
    seed : int >= 0

    Returns
    -------
    KMeansResult
        Without splinters, or what the rounds came to.
    """
    n_clusters = len(found.centers)
    for _ in range(rounds):
        sizes = np.bincount(found.assignment, minlength=n_clusters)
        splinters = np.flatnonzero(sizes < least)
        lost = np.bincount(found.assignment, weights=1 - _own_cosines(rows, found), minlength=n_clusters)
        whole = np.flatnonzero(sizes >= max(2 * least, 2))
        loosest = whole[np.argsort(-lost[whole], kind="stable")][: len(splinters)]
        if not len(splinters) or not len(loosest):
            break
        start = _without(rows, found, splinters)
        for cluster, freed in zip(loosest, splinters, strict=False):
            members = np.flatnonzero(found.assignment == cluster)
            halves = spherical_kmeans(
                rows[members], n_clusters=2, restarts=HALVING_RESTARTS, max_iterations=KMEANS_ITERATIONS, seed=seed
            )
            start[members[halves.assignment == 1]] = freed
        found = kmeans_from(rows, start, n_clusters=n_clusters, max_iterations=KMEANS_ITERATIONS)
    return found


def _own_cosines(rows: FloatMatrix, found: KMeansResult) -> FloatMatrix:
    cosines: FloatMatrix = np.einsum("ij,ij->i", rows, found.centers[found.assignment])
    return cosines


def _without(rows: FloatMatrix, found: KMeansResult, splinters: IntVector) -> IntVector:
    """The assignment with the splinters' rows at the nearest center of another cluster."""
    kept = np.setdiff1d(np.arange(len(found.centers)), splinters)
    moved = np.flatnonzero(np.isin(found.assignment, splinters))
    assignment = found.assignment.copy()
    assignment[moved] = kept[(rows[moved] @ found.centers[kept].T).argmax(axis=1)]
    return assignment
