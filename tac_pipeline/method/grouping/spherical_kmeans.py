"""Spherical k-means: the clustering of steps 3 and 6, and of the image k-means that results are compared with.

What must stay out: which rows are clustered and how often (semantic_centers.py, training_free.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from tac_pipeline.arrays import SHORTEST_ROW, FloatMatrix, IntMatrix, IntVector, row_chunks, unit_mean, unit_rows
from tac_pipeline.errors import InputError
from tac_pipeline.tensors import group_sums, multiplies_bfloat16, tensor_of

if TYPE_CHECKING:
    import torch

# A restart ends once fewer than this share of the rows move: what later rounds still gain is a tenth of what separates
# one restart from the next (docs/decisions/0010-fast-k-means.md).
MOVING_SHARE = 1e-3
# Products held at once, in elements; bounds memory and never changes the result.
CHUNK_ELEMENTS = 2**21


@dataclass(frozen=True)
class KMeansResult:
    """The best restart of spherical k-means.

    Attributes
    ----------
    centers : float32 (n_clusters, dim), unit rows
    assignment : int64 (n_rows,)
        The nearest center of each row, the first of several equally near.
    objective : float
        Mean cosine of a row to its center; at most 1, more is better.
    iterations : int
        Rounds of assignment and update that this restart took.
    """

    centers: FloatMatrix
    assignment: IntVector
    objective: float
    iterations: int


def spherical_kmeans(
    rows: FloatMatrix,
    *,
    n_clusters: int,
    restarts: int,
    max_iterations: int,
    seed: int,
    progress: Callable[[int, int], None] | None = None,
) -> KMeansResult:
    """Cluster unit rows by cosine; the restart with the best objective wins.

    Each restart is seeded by greedy k-means++ and has its own random stream, so restart r does not depend on the
    number of restarts. A cluster that loses all rows restarts at the row farthest from its center; clusters stay empty
    only if there are fewer distinct rows than clusters. On processors with bfloat16 products the rounds use them; the
    final rounds, the assignment and the objective are float32 everywhere. Beside `rows` this holds a bfloat16 copy of
    them and one float32 per row and restart.

    Parameters
    ----------
    rows : float32 (n_rows, dim), unit rows
    n_clusters : int
        From 1 to n_rows.
    restarts : int >= 1
    max_iterations : int >= 1
        A bound for each restart; most end earlier, once fewer than 0.1 % of the rows move.
    seed : int >= 0
    progress : callable, optional
        Told after each restart how many of them are done.

    Raises
    ------
    InputError
        n_clusters, restarts or max_iterations is out of range.
    """
    for name, value, most in (
        ("n_clusters", n_clusters, len(rows)),
        ("restarts", restarts, None),
        ("max_iterations", max_iterations, None),
    ):
        _require_count(name, value, most=most)
    streams = [np.random.default_rng([seed, restart]) for restart in range(restarts)]
    prepared = _prepare(rows)
    starts = _seed_rows(prepared, n_clusters=n_clusters, streams=streams)

    def restarted() -> Iterator[KMeansResult]:
        for done, start in enumerate(starts, start=1):
            yield _improve(prepared.exact, prepared.draft, rows[start], max_iterations=max_iterations)
            if progress is not None:
                progress(done, restarts)

    best = max(restarted(), key=lambda result: result.objective)
    # The winner continues in full precision from where the rounding of the draft stopped it.
    final = _improve(prepared.exact, prepared.exact, best.centers, max_iterations=max_iterations - best.iterations)
    return replace(final, iterations=best.iterations + final.iterations)


def refine_centers(
    rows: FloatMatrix, centers: FloatMatrix, *, max_iterations: int, known: IntVector | None = None
) -> KMeansResult:
    """Continue from given centers, without restarts: for centers that are nearly right, such as merged ones.

    Parameters
    ----------
    rows : float32 (n_rows, dim), unit rows
    centers : float32 (n_clusters, dim), unit rows, from 1 to n_rows of them
    max_iterations : int >= 1
    known : int64 (n_rows,), optional
        The cluster that a row is in, whatever is near; -1 where nobody knows.

    Raises
    ------
    InputError
        The number of centers or max_iterations is out of range.
    """
    _require_count("the number of centers", len(centers), most=len(rows))
    _require_count("max_iterations", max_iterations, most=None)
    prepared = _prepare(rows)
    return _improve(prepared.exact, prepared.draft, centers, max_iterations=max_iterations, known=known)


def kmeans_from(rows: FloatMatrix, assignment: IntVector, *, n_clusters: int, max_iterations: int) -> KMeansResult:
    """Spherical k-means that starts from another clustering: its unit means are the first centers.

    Parameters
    ----------
    rows : float32 (n_rows, dim), unit rows
    assignment : int64 (n_rows,)
        A cluster of n_clusters for each row; one without rows starts at the rows' mean.
    n_clusters, max_iterations
        As in spherical_kmeans.
    """
    _require_count("n_clusters", n_clusters, most=len(rows))
    _require_count("max_iterations", max_iterations, most=None)
    prepared = _prepare(rows)
    start = _unit_means(prepared.exact, assignment, np.repeat(unit_mean(rows), n_clusters, axis=0))
    return _improve(prepared.exact, prepared.exact, start, max_iterations=max_iterations)


def own_cosines(rows: FloatMatrix, found: KMeansResult) -> npt.NDArray[np.float32]:
    """Cosine of each row to the center of its cluster, float32 (n_rows,)."""
    return _own_cosine(tensor_of(rows), found.assignment, found.centers)


def _require_count(name: str, value: int, *, most: int | None) -> None:
    """Raise InputError unless value is in 1..most."""
    if value < 1 or (most is not None and value > most):
        bound = "at least 1" if most is None else f"from 1 to the number of rows, {most}"
        raise InputError(f"{name} must be {bound}; got {value}")


@dataclass(frozen=True)
class _Rows:
    """The rows in full precision, and as a draft in the precision that this processor multiplies fastest."""

    exact: torch.Tensor  # float32 (n_rows, dim)
    draft: torch.Tensor  # bfloat16 or float32 (n_rows, dim)
    mean: torch.Tensor  # float32 (dim,)
    apart: torch.Tensor  # float32 (n_rows, 1): 1 - product with the mean

    def distances(self, to_rows: IntVector) -> Iterator[tuple[slice, FloatMatrix]]:
        """1 - cosine of every row to some of them, by chunks: float32 (chunk, len(to_rows)), never negative."""
        import torch

        # Of the targets less the mean, the products are small and lose little to rounding (see _nearest_center).
        targets = (self.exact[torch.from_numpy(to_rows)] - self.mean).to(self.draft.dtype).T
        for chunk in row_chunks(len(self.exact), max(1, CHUNK_ELEMENTS // len(to_rows))):
            yield chunk, (self.apart[chunk] - self.draft[chunk] @ targets).clamp_(min=0).numpy()


def _prepare(rows: FloatMatrix) -> _Rows:
    import torch

    exact = tensor_of(rows)
    mean = exact.mean(dim=0)
    draft = exact.to(torch.bfloat16) if multiplies_bfloat16() else exact
    return _Rows(exact, draft, mean, 1 - (exact @ mean)[:, None])


def _seed_rows(rows: _Rows, *, n_clusters: int, streams: list[np.random.Generator]) -> IntMatrix:
    """Greedy k-means++ for all restarts side by side: row numbers, int64 (restarts, n_clusters).

    The next center of a restart is the best of 2 + ln(n_clusters) rows, each drawn with a probability in proportion
    to 1 - cosine to the nearest center so far, which is half the squared distance. Side by side, because one pass
    over the rows then serves every restart.
    """
    n_rows, restarts = len(rows.exact), len(streams)
    n_trials = 2 + int(np.log(n_clusters))
    chosen = np.empty((restarts, n_clusters), dtype=np.int64)
    chosen[:, 0] = [stream.integers(n_rows) for stream in streams]
    distance = np.full((restarts, n_rows), np.inf, dtype=np.float32)
    _shorten(distance, rows, chosen[:, 0])
    for place in range(1, n_clusters):
        trials = np.stack([_draw(own, n_trials, stream) for own, stream in zip(distance, streams, strict=True)])
        left = _distance_left(distance, rows, trials)  # (restarts, n_trials)
        chosen[:, place] = trials[np.arange(restarts), left.argmin(axis=1)]
        _shorten(distance, rows, chosen[:, place])
    return chosen


def _draw(distance: npt.NDArray[np.float32], count: int, stream: np.random.Generator) -> IntVector:
    """Row numbers drawn in proportion to distance; evenly where every distance is zero."""
    total = np.cumsum(distance, dtype=np.float64)
    points = stream.random(count)
    if total[-1] <= 0:
        return (points * len(distance)).astype(np.int64)
    # side="right" never lands on a row whose own distance is zero.
    drawn: IntVector = np.searchsorted(total, points * total[-1], side="right")
    return np.minimum(drawn, len(distance) - 1)


def _shorten(distance: FloatMatrix, rows: _Rows, newest: IntVector) -> None:
    """Take each restart's newest center into its row of `distance`, in place."""
    for chunk, to_newest in rows.distances(newest):
        np.minimum(distance[:, chunk], to_newest.T, out=distance[:, chunk])
    # Rounding leaves a center a little away from itself, and it could be drawn again.
    distance[np.arange(len(newest)), newest] = 0


def _distance_left(distance: FloatMatrix, rows: _Rows, trials: IntMatrix) -> npt.NDArray[np.float64]:
    """The total distance if a trial row became a center, float64 (restarts, n_trials)."""
    left = np.zeros(trials.shape)
    for chunk, to_trials in rows.distances(trials.ravel()):
        shortened = to_trials.reshape(-1, *trials.shape)  # (chunk, restarts, n_trials)
        np.minimum(shortened, distance.T[chunk, :, np.newaxis], out=shortened)
        left += shortened.sum(axis=0, dtype=np.float64)
    return left


def _improve(
    rows: torch.Tensor,
    draft: torch.Tensor,
    centers: FloatMatrix,
    *,
    max_iterations: int,
    known: IntVector | None = None,
) -> KMeansResult:
    """Lloyd's rounds from the given centers: choices by the draft's products, means and the result by the rows."""
    import torch

    pinned = np.empty(0, dtype=np.int64) if known is None else np.flatnonzero(known >= 0)

    def choose(seen: torch.Tensor) -> IntVector:
        chosen = _nearest_center(seen, centers)
        if known is not None:
            chosen[pinned] = known[pinned]
        return chosen

    previous = np.full(len(rows), -1)
    rounds = 0
    while rounds < max_iterations:
        assignment = choose(draft)
        moved = np.count_nonzero(assignment != previous)
        empty = np.flatnonzero(np.bincount(assignment, minlength=len(centers)) == 0)
        if moved == 0 or (moved < MOVING_SHARE * len(rows) and len(empty) == 0):
            break
        means = _unit_means(rows, assignment, centers)
        if len(empty):
            # The rows farthest from their centers become centers; the sort is stable: equal rows go by number.
            nearness = _own_cosine(rows, assignment, centers)
            nearness[pinned] = np.inf  # they would not stay
            worst = np.argsort(nearness, kind="stable")[: len(empty)]
            means[empty] = rows[torch.from_numpy(worst)].numpy()
        centers, previous = means, assignment
        rounds += 1
    assignment = choose(rows)
    objective = float(_own_cosine(rows, assignment, centers).mean(dtype=np.float64))
    return KMeansResult(centers, assignment, objective, rounds)


def _nearest_center(rows: torch.Tensor, centers: FloatMatrix) -> IntVector:
    """The nearest center of each row, the first of several equally near."""
    import torch

    # Subtracting the same vector from all centers changes no choice, and the products become small. CLIP's vectors are
    # in a narrow cone, where bfloat16 could not distinguish cosines of 0.90 and 0.901.
    targets = torch.from_numpy(centers - centers.mean(axis=0)).to(rows.dtype).T
    assignment = np.empty(len(rows), dtype=np.int64)
    for chunk in row_chunks(len(rows), max(1, CHUNK_ELEMENTS // len(centers))):
        # max, not argmax: the same choice, and several times faster on a CPU.
        assignment[chunk] = (rows[chunk] @ targets).max(dim=1).indices.numpy()
    return assignment


def _own_cosine(rows: torch.Tensor, assignment: IntVector, centers: FloatMatrix) -> npt.NDArray[np.float32]:
    """Cosine of each row to its own center, float32 (n_rows,)."""
    exact = rows.numpy()
    cosine = np.empty(len(rows), dtype=np.float32)
    for chunk in row_chunks(len(rows), max(1, CHUNK_ELEMENTS // centers.shape[1])):
        cosine[chunk] = np.einsum("ij,ij->i", exact[chunk], centers[assignment[chunk]])
    return cosine


def _unit_means(rows: torch.Tensor, assignment: IntVector, centers: FloatMatrix) -> FloatMatrix:
    """The unit mean of each cluster's rows; a cluster without rows, or whose rows cancel out, keeps its center."""
    totals = group_sums(rows.numpy(), assignment, n_groups=len(centers))
    vanished = np.linalg.norm(totals, axis=1) < SHORTEST_ROW
    return np.where(vanished[:, np.newaxis], centers, unit_rows(totals))
