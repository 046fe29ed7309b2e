"""Other criteria for the number of clusters, to compare with the chosen one; each gives one K for a table.

All but the first and the last two read the same nested k-means fits. What must stay out: labels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.metrics import (
    adjusted_mutual_info_score,
    adjusted_rand_score,
    calinski_harabasz_score,
    davies_bouldin_score,
    silhouette_score,
)

from tac_pipeline.arrays import FloatMatrix, IntVector, row_chunks, unit_rows
from tac_pipeline.method.grouping.cluster_count import count_grid
from tac_pipeline.method.grouping.neighbors import nearest_neighbors
from tac_pipeline.method.grouping.spherical_kmeans import KMeansResult, refine_centers, spherical_kmeans
from tac_pipeline.tensors import group_sums

Fits = dict[int, KMeansResult]
FloatVector = npt.NDArray[np.float64]

SILHOUETTE_ROWS = 2_000
# As published: the largest K with clusters that are predicted this well (Tibshirani and Walther, 2005).
STRONG = 0.8
MODE_NEIGHBORS = 20
# The knee: grid, range, images per center of a half, and the most images.
KNEE_STEP, KNEE_RANGE, KNEE_IMAGES, KNEE_MOST = 1.15, 200, 3, 20_000


@dataclass(frozen=True)
class Halves:
    """Two halves of the rows and the fits of both."""

    rows: FloatMatrix
    own: tuple[IntVector, IntVector]
    fits: tuple[Fits, Fits]


def fit_halves(rows: FloatMatrix, counts: IntVector, *, seed: int) -> Halves:
    """Nested k-means of two random halves."""
    own = np.array_split(np.random.default_rng(seed).permutation(len(rows)), 2)
    first, second = (
        nested_kmeans(rows[part], counts, seed=seed + turn, max_iterations=20, refinements=10)
        for turn, part in enumerate(own)
    )
    return Halves(rows, (own[0], own[1]), (first, second))


def silhouette(rows: FloatMatrix, fits: Fits, *, seed: int) -> int:
    """The highest mean silhouette by cosine, over sampled rows (Rousseeuw, 1987)."""
    drawn = np.random.default_rng(seed).permutation(len(rows))[:SILHOUETTE_ROWS]
    apart = np.maximum(1 - rows[drawn] @ rows[drawn].T, 0)
    np.fill_diagonal(apart, 0)

    def of(fit: KMeansResult) -> float:
        return float(silhouette_score(apart, fit.assignment[drawn], metric="precomputed"))

    return max(fits, key=lambda count: of(fits[count]))


def calinski_harabasz(rows: FloatMatrix, fits: Fits) -> int:
    """The highest ratio of the spread between clusters to the spread inside (Calinski and Harabasz, 1974)."""
    return max(fits, key=lambda count: float(calinski_harabasz_score(rows, fits[count].assignment)))


def davies_bouldin(rows: FloatMatrix, fits: Fits) -> int:
    """The lowest mean similarity of a cluster to its most similar one (Davies and Bouldin, 1979)."""
    return min(fits, key=lambda count: float(davies_bouldin_score(rows, fits[count].assignment)))


def von_mises_fisher_bic(rows: FloatMatrix, fits: Fits) -> int:
    """The best BIC of a hard mixture of von Mises-Fisher directions of one concentration, as in X-means (2000)."""
    n_rows, dim = rows.shape

    def bic(fit: KMeansResult) -> float:
        count, mean = len(fit.centers), fit.objective
        kappa = (mean * dim - mean**3) / (1 - mean**2)  # Banerjee et al., 2005
        shares = np.bincount(fit.assignment, minlength=count) / n_rows
        entropy = -float(np.sum(shares[shares > 0] * np.log(shares[shares > 0])))
        likelihood = n_rows * (_log_normalizer(kappa, dim) + kappa * mean - entropy)
        return likelihood - 0.5 * count * dim * np.log(n_rows)

    return max(fits, key=lambda count: bic(fits[count]))


def _log_normalizer(kappa: float, dim: int) -> float:
    """The von Mises-Fisher density's constant, by the uniform expansion of the Bessel function for large orders."""
    order = dim / 2 - 1
    root = np.sqrt(1 + (kappa / order) ** 2)
    eta = root + np.log(kappa / order / (1 + root))
    log_bessel = order * eta - 0.5 * np.log(2 * np.pi * order * root)
    return float(order * np.log(kappa) - dim / 2 * np.log(2 * np.pi) - log_bessel)


def stability(halves: Halves) -> int:
    """The K at which centers of two halves group all rows most alike, by adjusted Rand index (Ben-Hur et al., 2002)."""

    def alike(count: int) -> float:
        return float(adjusted_rand_score(*(_nearest(halves.rows, fits[count]) for fits in halves.fits)))

    return max(halves.fits[0], key=alike)


def prediction_strength(halves: Halves) -> int:
    """The largest K at which the weakest cluster of one half is predicted well by the other."""
    strong = [count for count in halves.fits[0] if _weakest(halves, count) >= STRONG]
    return max(strong, default=min(halves.fits[0]))


def _weakest(halves: Halves, count: int) -> float:
    """The least share of a cluster's pairs that the other half's centers keep together."""
    rows = halves.rows[halves.own[1]]
    own, other = (_nearest(rows, fits[count]) for fits in (halves.fits[1], halves.fits[0]))
    together = np.zeros((count, count))
    np.add.at(together, (own, other), 1)
    sizes = together.sum(axis=1)
    pairs = (together * (together - 1)).sum(axis=1) / np.maximum(sizes * (sizes - 1), 1)
    return float(pairs[sizes > 1].min(initial=1.0))


def _nearest(rows: FloatMatrix, fit: KMeansResult) -> IntVector:
    nearest: IntVector = (rows @ fit.centers.T).argmax(axis=1)
    return nearest


def image_text_agreement(image_fits: Fits, text_fits: Fits) -> int:
    """The K at which k-means on images and on their text counterparts agree most, by adjusted mutual information."""

    def agreement(count: int) -> float:
        return float(adjusted_mutual_info_score(image_fits[count].assignment, text_fits[count].assignment))

    return max(image_fits, key=agreement)


def density_modes(rows: FloatMatrix) -> int:
    """Rows in a denser place than all of their nearest rows: the modes of a neighbor graph (Koontz et al., 1976)."""
    neighbors = nearest_neighbors(rows, count=MODE_NEIGHBORS)
    density = np.array([float((rows[near] @ row).mean()) for row, near in zip(rows, neighbors, strict=True)])
    return int((density > density[neighbors].max(axis=1)).sum())


def held_out_knee(rows: FloatMatrix, *, seed: int) -> int:
    """The knee over log K of the cosine to centers of the other half: the chosen rule of 0.1.0 (decision 0070)."""
    drawn = np.random.default_rng(seed).permutation(len(rows))[:KNEE_MOST]
    halves = [rows[np.sort(part)] for part in np.array_split(drawn, 2)]
    counts = count_grid(2, max(2, min(KNEE_RANGE, len(halves[1]) // KNEE_IMAGES)), step=KNEE_STEP)
    held_out = np.zeros(len(counts))
    for turn, (own, other) in enumerate([halves, halves[::-1]]):
        fits = nested_kmeans(own, counts, seed=seed + turn, max_iterations=20, refinements=10)
        held_out += [nearest_cosine(other, fits[int(count)].centers) for count in counts]
    return int(counts[np.argmax(_above_the_chord(np.log(counts), held_out))])


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
        regrouped = lengths[one] + lengths - _lengths_of_sums(lengths[one], lengths, sums @ sums[one])
        regrouped[~kept] = np.inf
        regrouped[one] = np.inf
        loss[one], loss[:, one] = regrouped, regrouped
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
