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
from tac_pipeline.tensors import group_sums_on, multiplies_bfloat16, or_on_the_cpu, tensor_of

if TYPE_CHECKING:
    import torch

# A restart ends once fewer than this share of the rows move: what later rounds still gain is a tenth of what separates
# one restart from the next (docs/decisions/0010-fast-k-means.md).
MOVING_SHARE = 1e-3
# Products held at once, in elements; bounds memory and never changes the result.
CHUNK_ELEMENTS = 2**21
# On a GPU small products would wait for their launches: 256 MB in float32.
GPU_CHUNK_ELEMENTS = 2**26


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
    device: str = "cpu",
    progress: Callable[[int, int], None] | None = None,
) -> KMeansResult:
    """Cluster unit rows by cosine; the restart with the best objective wins.

    Each restart is seeded by greedy k-means++ and has its own random stream, so restart r does not depend on the
    number of restarts. A cluster that loses all rows restarts at the row farthest from its center; clusters stay empty
    only if there are fewer distinct rows than clusters. On processors with bfloat16 products the rounds use them, on
    CUDA float16; the final rounds, the assignment and the objective are float32 everywhere. Beside `rows` this holds a
    copy of them in half precision and one float32 per row and restart; on CUDA all of it, and the rows, on the card.

    Parameters
    ----------
    rows : float32 (n_rows, dim), unit rows
    n_clusters : int
        From 1 to n_rows.
    restarts : int >= 1
    max_iterations : int >= 1
        A bound for each restart; most end earlier, once fewer than 0.1 % of the rows move.
    seed : int >= 0
    device : str, optional
        Where the products are computed: cuda or cuda:N; the CPU for every other device, and when the card is too small.
        Results differ between devices by rounding.
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

    def found_on(place: str) -> KMeansResult:
        streams = [np.random.default_rng([seed, restart]) for restart in range(restarts)]
        prepared = _prepare(rows, place)
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

    return or_on_the_cpu(found_on, device=_used(device), what="k-means")


def refine_centers(
    rows: FloatMatrix,
    centers: FloatMatrix,
    *,
    max_iterations: int,
    known: IntVector | None = None,
    device: str = "cpu",
) -> KMeansResult:
    """Continue from given centers, without restarts: for centers that are nearly right, such as merged ones.

    Parameters
    ----------
    rows : float32 (n_rows, dim), unit rows
    centers : float32 (n_clusters, dim), unit rows, from 1 to n_rows of them
    max_iterations : int >= 1
    known : int64 (n_rows,), optional
        The cluster that a row is in, whatever is near; -1 where nobody knows.
    device : str, optional
        As in spherical_kmeans.

    Raises
    ------
    InputError
        The number of centers or max_iterations is out of range.
    """
    _require_count("the number of centers", len(centers), most=len(rows))
    _require_count("max_iterations", max_iterations, most=None)

    def found_on(place: str) -> KMeansResult:
        prepared = _prepare(rows, place)
        return _improve(prepared.exact, prepared.draft, centers, max_iterations=max_iterations, known=known)

    return or_on_the_cpu(found_on, device=_used(device), what="k-means")


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
    prepared = _prepare(rows, "cpu")
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


def _used(device: str) -> str:
    """The device where k-means computes: CUDA's cards alone are tried."""
    return device if device.startswith("cuda") else "cpu"


def _chunk_elements(rows: torch.Tensor) -> int:
    return GPU_CHUNK_ELEMENTS if rows.is_cuda else CHUNK_ELEMENTS


@dataclass(frozen=True)
class _Rows:
    """The rows in full precision, and as a draft in the precision that this device multiplies fastest."""

    exact: torch.Tensor  # float32 (n_rows, dim)
    draft: torch.Tensor  # float16, bfloat16 or float32 (n_rows, dim)
    mean: torch.Tensor  # float32 (dim,)
    apart: torch.Tensor  # float32 (n_rows, 1): 1 - product with the mean

    def distances(self, to_rows: torch.Tensor) -> Iterator[tuple[slice, torch.Tensor]]:
        """1 - cosine of every row to some of them, by chunks: float32 (chunk, len(to_rows)), never negative."""
        # Of the targets less the mean, the products are small and lose little to rounding (see _nearest_center).
        targets = (self.exact[to_rows] - self.mean).to(self.draft.dtype).T
        for chunk in row_chunks(len(self.exact), max(1, _chunk_elements(self.exact) // len(to_rows))):
            yield chunk, (self.apart[chunk] - self.draft[chunk] @ targets).clamp_(min=0)


def _prepare(rows: FloatMatrix, device: str) -> _Rows:
    import torch

    exact = tensor_of(rows).to(device)
    mean = exact.mean(dim=0)
    on_cpu = torch.bfloat16 if multiplies_bfloat16() else torch.float32
    draft = exact.to(torch.float16 if exact.is_cuda else on_cpu)
    return _Rows(exact, draft, mean, 1 - (exact @ mean)[:, None])


def _seed_rows(rows: _Rows, *, n_clusters: int, streams: list[np.random.Generator]) -> IntMatrix:
    """Greedy k-means++ for all restarts side by side: row numbers, int64 (restarts, n_clusters).

    The next center of a restart is the best of 2 + ln(n_clusters) rows, each drawn with a probability in proportion
    to 1 - cosine to the nearest center so far, which is half the squared distance. Side by side, because one pass
    over the rows then serves every restart.
    """
    import torch

    n_rows, restarts = len(rows.exact), len(streams)
    n_trials, device = 2 + int(np.log(n_clusters)), rows.exact.device
    chosen = torch.empty((restarts, n_clusters), dtype=torch.int64, device=device)
    chosen[:, 0] = torch.tensor([stream.integers(n_rows) for stream in streams], device=device)
    distance = torch.full((restarts, n_rows), torch.inf, device=device)
    _shorten(distance, rows, chosen[:, 0])
    every = torch.arange(restarts, device=device)
    for place in range(1, n_clusters):
        points = torch.from_numpy(np.stack([stream.random(n_trials) for stream in streams])).to(device)
        trials = torch.stack([_draw(own, drawn) for own, drawn in zip(distance, points, strict=True)])
        left = _distance_left(distance, rows, trials)  # (restarts, n_trials)
        chosen[:, place] = trials[every, left.argmin(dim=1)]
        _shorten(distance, rows, chosen[:, place])
    found: IntMatrix = chosen.cpu().numpy()
    return found


def _draw(distance: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
    """Row numbers drawn in proportion to distance by points in [0, 1); evenly where every distance is zero."""
    import torch

    total = distance.cumsum(0, dtype=torch.float64)
    # right=True never lands on a row whose own distance is zero.
    drawn = torch.searchsorted(total, points * total[-1], right=True).clamp_(max=len(distance) - 1)
    # Not an if: a GPU would wait for the number.
    return torch.where(total[-1] > 0, drawn, (points * len(distance)).long())


def _shorten(distance: torch.Tensor, rows: _Rows, newest: torch.Tensor) -> None:
    """Take each restart's newest center into its row of `distance`, in place."""
    import torch

    for chunk, to_newest in rows.distances(newest):
        torch.minimum(distance[:, chunk], to_newest.T, out=distance[:, chunk])
    # Rounding leaves a center a little away from itself, and it could be drawn again.
    distance[torch.arange(len(newest), device=newest.device), newest] = 0


def _distance_left(distance: torch.Tensor, rows: _Rows, trials: torch.Tensor) -> torch.Tensor:
    """The total distance if a trial row became a center, float64 (restarts, n_trials)."""
    import torch

    left = torch.zeros(trials.shape, dtype=torch.float64, device=trials.device)
    for chunk, to_trials in rows.distances(trials.ravel()):
        shortened = to_trials.reshape(-1, *trials.shape)  # (chunk, restarts, n_trials)
        torch.minimum(shortened, distance.T[chunk, :, None], out=shortened)
        left += shortened.sum(dim=0, dtype=torch.float64)
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
            means[empty] = rows[torch.from_numpy(worst).to(rows.device)].cpu().numpy()
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
    targets = torch.from_numpy(centers - centers.mean(axis=0)).to(rows.device, rows.dtype).T
    chunks = row_chunks(len(rows), max(1, _chunk_elements(rows) // len(centers)))
    # max, not argmax: the same choice, and several times faster on a CPU.
    nearest = torch.cat([(rows[chunk] @ targets).max(dim=1).indices for chunk in chunks])
    assignment: IntVector = nearest.cpu().numpy()
    return assignment


def _own_cosine(rows: torch.Tensor, assignment: IntVector, centers: FloatMatrix) -> npt.NDArray[np.float32]:
    """Cosine of each row to its own center, float32 (n_rows,)."""
    chunks = row_chunks(len(rows), max(1, _chunk_elements(rows) // centers.shape[1]))
    if rows.is_cuda:
        import torch

        near, own = torch.from_numpy(centers).to(rows.device), torch.from_numpy(assignment).to(rows.device)
        found = torch.cat([(rows[chunk] * near[own[chunk]]).sum(dim=1) for chunk in chunks])
        cosines: npt.NDArray[np.float32] = found.cpu().numpy()
        return cosines
    exact = rows.numpy()
    cosine = np.empty(len(rows), dtype=np.float32)
    for chunk in chunks:
        cosine[chunk] = np.einsum("ij,ij->i", exact[chunk], centers[assignment[chunk]])
    return cosine


def _unit_means(rows: torch.Tensor, assignment: IntVector, centers: FloatMatrix) -> FloatMatrix:
    """The unit mean of each cluster's rows; a cluster without rows, or whose rows cancel out, keeps its center."""
    totals: FloatMatrix = group_sums_on(rows, tensor_of(assignment), n_groups=len(centers)).cpu().numpy()
    vanished = np.linalg.norm(totals, axis=1) < SHORTEST_ROW
    return np.where(vanished[:, np.newaxis], centers, unit_rows(totals))
