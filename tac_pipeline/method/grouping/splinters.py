"""Splinters: clusters of a few odd rows, which k-means keeps while another cluster holds two groups."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tac_pipeline.arrays import FloatMatrix, IntVector
from tac_pipeline.method.grouping.spherical_kmeans import KMeansResult, kmeans_from, own_cosines, spherical_kmeans
from tac_pipeline.method.values.published import KMEANS_ITERATIONS
from tac_pipeline.method.values.trained import HALVING_RESTARTS, MENDING_ROUNDS


def mend_splinters(rows: FloatMatrix, found: KMeansResult, *, least: float, seed: int) -> KMeansResult:
    """Continue from a clustering without its splinters.

    A small cluster is dissolved into the nearest larger ones, and one of the clusters that lose most cosine is cut in
    two instead, if the cut gains more cosine than the dissolving costs; Lloyd's rounds follow. A true small group
    stays, because dissolving it costs more than halving a whole group gains. This leaves optima that Lloyd's rounds
    alone cannot leave (docs/EXPERIMENTS.md). Memory holds, beside the arguments, a copy of the small clusters' rows and
    of the cluster that is being cut.

    Parameters
    ----------
    rows : float32 (n_rows, dim), unit rows
    found : KMeansResult
        Of these rows.
    least : float
        A cluster with fewer rows may be a splinter; one with fewer than twice as many is not cut.
    seed : int >= 0

    Returns
    -------
    KMeansResult
        With an objective at least as high; `found` itself when nothing is repaired.
    """
    n_clusters = len(found.centers)
    for _ in range(MENDING_ROUNDS):
        start = _mended(rows, found, least=least, seed=seed)
        if start is None:
            break
        found = kmeans_from(rows, start, n_clusters=n_clusters, max_iterations=KMEANS_ITERATIONS)
    return found


def _mended(rows: FloatMatrix, found: KMeansResult, *, least: float, seed: int) -> IntVector | None:
    """The assignment after all exchanges that gain; None when there is none."""
    sizes = np.bincount(found.assignment, minlength=len(found.centers))
    small, large = np.flatnonzero(sizes < least), np.flatnonzero(sizes >= max(least, 1))
    if not len(small) or not len(large):
        return None
    cosines = own_cosines(rows, found)
    moved = np.flatnonzero(np.isin(found.assignment, small))
    products = rows[moved] @ found.centers[large].T
    cost = np.bincount(found.assignment[moved], weights=cosines[moved] - products.max(axis=1), minlength=len(sizes))[
        small
    ]
    lost = np.bincount(found.assignment, weights=1 - cosines, minlength=len(sizes))
    loosest = large[np.argsort(-lost[large], kind="stable")]
    loosest = loosest[sizes[loosest] >= max(2 * least, 2)][: len(small)]
    halves = [_cut(rows, cosines, found.assignment, cluster, seed=seed) for cluster in loosest]
    halves.sort(key=lambda half: -half[1])
    start = found.assignment.copy()
    nearest = np.full(len(rows), -1)
    nearest[moved] = large[products.argmax(axis=1)]
    for splinter, (half, gain) in zip(np.argsort(cost, kind="stable"), halves, strict=False):
        if gain <= cost[splinter]:
            break
        freed = small[splinter]
        start[found.assignment == freed] = nearest[found.assignment == freed]
        start[half] = freed
    return None if np.array_equal(start, found.assignment) else start


def _cut(
    rows: FloatMatrix, cosines: npt.NDArray[np.float32], assignment: IntVector, cluster: int, *, seed: int
) -> tuple[IntVector, float]:
    """The rows of one half of a cluster, and how much cosine all of its rows gain by the cut."""
    members = np.flatnonzero(assignment == cluster)
    halves = spherical_kmeans(
        rows[members], n_clusters=2, restarts=HALVING_RESTARTS, max_iterations=KMEANS_ITERATIONS, seed=seed
    )
    gain = halves.objective * len(members) - float(cosines[members].sum(dtype=np.float64))
    return members[halves.assignment == 1], gain
