"""Finding the number of clusters: k-means for a grid of K on one half of the images, judged by the other half.

What must stay out: labels, and criteria that are only compared with this one (benchmarks/count_criteria.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tac_pipeline.arrays import FloatMatrix, IntVector, row_chunks, unit_rows
from tac_pipeline.errors import InputError
from tac_pipeline.method.grouping.spherical_kmeans import KMeansResult, refine_centers, spherical_kmeans
from tac_pipeline.tensors import group_sums

FloatVector = npt.NDArray[np.float64]

# Each tried K is about this many times the one before: 34 of them from 2 to 200.
GRID_STEP = 1.15
# The knee is searched between 2 and this, or the most allowed clusters if that is more. A knee depends on the numbers
# that are tried, so the user's bounds must not change this range. Small halves take at most a third of their images as
# clusters.
WIDEST_SEARCH = 200
IMAGES_PER_CLUSTER = 3
# More images are sampled down: 50 for each of 200 clusters in each half.
MAX_IMAGES = 20_000
ITERATIONS, REFINEMENTS = 20, 10


@dataclass(frozen=True)
class CountEstimate:
    """The number of clusters, and why.

    Attributes
    ----------
    count : int
        K.
    unbounded : int
        The number without bounds.
    counts : int64 (n_counts,), ascending
        The tried numbers.
    held_out : float64 (n_counts,)
        Mean cosine of the images of one half to the nearest of that many centers of the other half.
    excess : float64 (n_counts,)
        How far `held_out` is above the straight line over log K from its first to its last value, as a share of its
        whole rise; the chosen K has the largest.
    images : int
        Images that were used.
    """

    count: int
    unbounded: int
    counts: IntVector
    held_out: FloatVector
    excess: FloatVector
    images: int


def estimate_cluster_count(
    image_embeddings: FloatMatrix,
    *,
    fewest: int,
    most: int,
    seed: int,
    progress: Callable[[int, int], None] | None = None,
) -> CountEstimate:
    """Find the number of clusters without labels: the knee of the cosine to centers learned from other images.

    The images are divided into two random halves. For every K of a geometric grid, each half is compared with the
    spherical k-means centers of the other half (cross-validation, as in Smyth, 1996). While K is below the number of
    groups, each doubling helps much. Above it, centers divide groups, which helps the other half little. K is the knee
    over log K, the point farthest above the chord (Satopaa et al., 2011).
    docs/decisions/0070-the-number-of-clusters.md compares it with eight other criteria.

    Parameters
    ----------
    image_embeddings : float32 (n_images, dim), unit rows
        At most 20,000 of them, drawn at random, are used.
    fewest, most : int
        2 <= fewest <= most, fewest at most n_images.
    seed : int >= 0
    progress : callable, optional
        Told how many of the fits are done.

    Raises
    ------
    InputError
        The bounds are not such.
    """
    if not 2 <= fewest <= min(most, len(image_embeddings)):
        raise InputError(
            "the bounds of the number of clusters must be 2 <= min <= max, min at most the number of images; "
            f"got {fewest}, {most} and {len(image_embeddings)} images"
        )
    generator = np.random.default_rng(seed)
    drawn = generator.permutation(len(image_embeddings))[:MAX_IMAGES]
    halves = [image_embeddings[np.sort(part)] for part in np.array_split(drawn, 2)]
    largest = max(2, min(max(most, WIDEST_SEARCH), len(halves[1]) // IMAGES_PER_CLUSTER))
    if len(halves[1]) < 2:
        counts, held_out = np.array([2]), np.array([1.0])
    else:
        counts = count_grid(2, largest, step=GRID_STEP)
        held_out = _held_out_cosines(halves, counts, seed=seed, progress=progress)
    excess = _above_the_chord(np.log(counts), held_out)
    unbounded = int(counts[np.argmax(excess)])
    bounded = int(np.clip(unbounded, fewest, min(most, len(image_embeddings))))
    return CountEstimate(bounded, unbounded, counts, held_out, excess, len(drawn))


def _held_out_cosines(
    halves: list[FloatMatrix], counts: IntVector, *, seed: int, progress: Callable[[int, int], None] | None
) -> FloatVector:
    """Mean over both directions, float64 (n_counts,)."""
    totals = np.zeros(len(counts))
    for turn, (own, other) in enumerate([halves, halves[::-1]]):

        def report(done: int, _: int, turn: int = turn) -> None:
            if progress is not None:
                progress(turn * len(counts) + done, 2 * len(counts))

        fits = nested_kmeans(
            own, counts, seed=seed + turn, max_iterations=ITERATIONS, refinements=REFINEMENTS, progress=report
        )
        totals += [nearest_cosine(other, fits[int(count)].centers) for count in counts]
    return totals / 2


def nearest_cosine(rows: FloatMatrix, centers: FloatMatrix, *, chunk_rows: int = 4096) -> float:
    """The mean cosine of rows to the nearest of the centers; chunk_rows bounds memory and never changes the result."""
    best = [(rows[chunk] @ centers.T).max(axis=1) for chunk in row_chunks(len(rows), chunk_rows)]
    return float(np.concatenate(best).mean(dtype=np.float64))


def _above_the_chord(x: FloatVector, y: FloatVector) -> FloatVector:
    """How far a curve is above the line from its first to its last point, as a share of its rise; 0 if it is flat."""
    rise = y[-1] - y[0]
    # A curve that ends lower than it began has no knee, so its peak is used.
    if len(x) < 3 or rise <= 0:
        return np.asarray(y - y[0], dtype=np.float64)
    above: FloatVector = (y - y[0]) / rise - (x - x[0]) / (x[-1] - x[0])
    return above


def count_grid(fewest: int, most: int, *, step: float) -> IntVector:
    """The numbers of clusters to try: geometric from fewest to most, both included, int64 ascending.

    Parameters
    ----------
    fewest, most : int
        1 <= fewest <= most.
    step : float > 1
        Each number is about this many times the one before.

    Raises
    ------
    InputError
        The bounds are not such.
    """
    if not 1 <= fewest <= most:
        raise InputError(f"the bounds of the number of clusters must be 1 <= min <= max; got {fewest} and {most}")
    n_steps = max(1, round(np.log(most / fewest) / np.log(step)))
    found: IntVector = np.unique(np.round(np.geomspace(fewest, most, n_steps + 1)).astype(np.int64))
    return found


def nested_kmeans(
    rows: FloatMatrix,
    counts: IntVector,
    *,
    seed: int,
    max_iterations: int,
    refinements: int,
    progress: Callable[[int, int], None] | None = None,
) -> dict[int, KMeansResult]:
    """Spherical k-means for several numbers of clusters at little more than the cost of the largest.

    Only the largest is seeded. Each smaller one starts from the next larger one's clusters: those that lose least are
    joined (Ward's rule on the sphere: |a| + |b| - |a + b| of the sums of their rows), and the result is refined.

    Parameters
    ----------
    rows : float32 (n_rows, dim), unit rows
    counts : int64, ascending, from 1 to n_rows
    seed : int >= 0
    max_iterations : int >= 1
        Rounds for the largest number.
    refinements : int >= 1
        Rounds for each of the others.
    progress : callable, optional
        Told after each number how many are done.
    """
    found = spherical_kmeans(rows, n_clusters=int(counts[-1]), restarts=1, max_iterations=max_iterations, seed=seed)
    results = {int(counts[-1]): found}
    for count in counts[-2::-1]:
        merged = merge_clusters(_sums(rows, found), int(count))
        found = refine_centers(rows, merged, max_iterations=refinements)
        results[int(count)] = found
        if progress is not None:
            progress(len(results), len(counts))
    return dict(sorted(results.items()))


def merge_clusters(sums: npt.NDArray[np.floating], count: int) -> FloatMatrix:
    """Join clusters until count are left, always the two that lose least cosine: float32 (count, dim), unit rows.

    Parameters
    ----------
    sums : float (n_clusters, dim)
        The sum of each cluster's rows.
    count : int
        From 1 to n_clusters.
    """
    sums = np.array(sums, dtype=np.float64)
    lengths = np.linalg.norm(sums, axis=1)
    products = sums @ sums.T
    loss = lengths[:, np.newaxis] + lengths - _lengths_of_sums(lengths[:, np.newaxis], lengths, products)
    np.fill_diagonal(loss, np.inf)
    kept = np.ones(len(sums), dtype=bool)
    for _ in range(len(sums) - count):
        one, other = np.unravel_index(np.argmin(loss), loss.shape)
        sums[one] += sums[other]
        kept[other] = False
        lengths[one] = np.linalg.norm(sums[one])
        anew = lengths[one] + lengths - _lengths_of_sums(lengths[one], lengths, sums @ sums[one])
        anew[~kept] = np.inf
        anew[one] = np.inf
        loss[one], loss[:, one] = anew, anew
        loss[other], loss[:, other] = np.inf, np.inf
    return unit_rows(sums[kept])


def _lengths_of_sums(
    left: npt.NDArray[np.floating], right: npt.NDArray[np.floating], product: npt.NDArray[np.floating]
) -> FloatVector:
    """|a + b| from |a|, |b| and their product; rounding can make the square negative when they cancel out."""
    lengths: FloatVector = np.sqrt(np.maximum(left**2 + right**2 + 2 * product, 0)).astype(np.float64)
    return lengths


def _sums(rows: FloatMatrix, found: KMeansResult) -> FloatVector:
    return group_sums(rows.astype(np.float64), found.assignment, n_groups=len(found.centers))
