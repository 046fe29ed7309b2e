"""Spherical k-means: the clustering of steps 3 and 6, and of the image k-means that results are compared with.

What must stay out: which rows are clustered and how often (semantic_centers.py, training_free.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from tac_pipeline.arrays import FloatMatrix, IntMatrix, IntVector, unit_mean
from tac_pipeline.errors import InputError
from tac_pipeline.method.grouping.lloyd.rounds import (
    KMeansResult,
    Rows,
    improve,
    own_cosine,
    prepare,
    unit_means,
    used_device,
)
from tac_pipeline.method.grouping.lloyd.two_levels import cluster_in_two_levels
from tac_pipeline.tensors import or_on_the_cpu, tensor_of

if TYPE_CHECKING:
    import torch

__all__ = ["KMeansResult", "kmeans_from", "own_cosines", "refine_centers", "spherical_kmeans"]


def spherical_kmeans(
    rows: FloatMatrix,
    *,
    n_clusters: int,
    restarts: int,
    max_iterations: int,
    seed: int,
    levels: int = 1,
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
    levels : int, optional
        2 finds many clusters on two levels, each with these restarts; see cluster_in_two_levels.
    device : str, optional
        Where the products are computed: cuda or cuda:N; the CPU for every other device, and when the card is too small.
        Results differ between devices by rounding.
    progress : callable, optional
        Told after each restart how many of them are done; on two levels, of the cells.

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

    def flat(part: FloatMatrix, *, n_clusters: int, seed: int) -> KMeansResult:
        return spherical_kmeans(
            part, n_clusters=n_clusters, restarts=restarts, max_iterations=max_iterations, seed=seed, device=device
        )

    if levels > 1:
        return cluster_in_two_levels(
            rows,
            n_clusters=n_clusters,
            flat=flat,
            max_iterations=max_iterations,
            seed=seed,
            device=device,
            progress=progress,
        )

    def found_on(place: str) -> KMeansResult:
        streams = [np.random.default_rng([seed, restart]) for restart in range(restarts)]
        prepared = prepare(rows, place)
        starts = _seed_rows(prepared, n_clusters=n_clusters, streams=streams)

        def restarted() -> Iterator[KMeansResult]:
            for done, start in enumerate(starts, start=1):
                yield improve(prepared.exact, prepared.draft, rows[start], max_iterations=max_iterations)
                if progress is not None:
                    progress(done, restarts)

        best = max(restarted(), key=lambda result: result.objective)
        # The winner continues in full precision from where the rounding of the draft stopped it.
        final = improve(prepared.exact, prepared.exact, best.centers, max_iterations=max_iterations - best.iterations)
        return replace(final, iterations=best.iterations + final.iterations)

    return or_on_the_cpu(found_on, device=used_device(device), what="k-means")


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
        prepared = prepare(rows, place)
        return improve(prepared.exact, prepared.draft, centers, max_iterations=max_iterations, known=known)

    return or_on_the_cpu(found_on, device=used_device(device), what="k-means")


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
    prepared = prepare(rows, "cpu")
    start = unit_means(prepared.exact, assignment, np.repeat(unit_mean(rows), n_clusters, axis=0))
    return improve(prepared.exact, prepared.exact, start, max_iterations=max_iterations)


def own_cosines(rows: FloatMatrix, found: KMeansResult) -> npt.NDArray[np.float32]:
    """Cosine of each row to the center of its cluster, float32 (n_rows,)."""
    return own_cosine(tensor_of(rows), found.assignment, found.centers)


def _require_count(name: str, value: int, *, most: int | None) -> None:
    """Raise InputError unless value is in 1..most."""
    if value < 1 or (most is not None and value > most):
        bound = "at least 1" if most is None else f"from 1 to the number of rows, {most}"
        raise InputError(f"{name} must be {bound}; got {value}")


def _seed_rows(rows: Rows, *, n_clusters: int, streams: list[np.random.Generator]) -> IntMatrix:
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


def _shorten(distance: torch.Tensor, rows: Rows, newest: torch.Tensor) -> None:
    """Take each restart's newest center into its row of `distance`, in place."""
    import torch

    for chunk, to_newest in rows.distances(newest):
        torch.minimum(distance[:, chunk], to_newest.T, out=distance[:, chunk])
    # Rounding leaves a center a little away from itself, and it could be drawn again.
    distance[torch.arange(len(newest), device=newest.device), newest] = 0


def _distance_left(distance: torch.Tensor, rows: Rows, trials: torch.Tensor) -> torch.Tensor:
    """The total distance if a trial row became a center, float64 (restarts, n_trials)."""
    import torch

    left = torch.zeros(trials.shape, dtype=torch.float64, device=trials.device)
    for chunk, to_trials in rows.distances(trials.ravel()):
        shortened = to_trials.reshape(-1, *trials.shape)  # (chunk, restarts, n_trials)
        torch.minimum(shortened, distance.T[chunk, :, None], out=shortened)
        left += shortened.sum(dim=0, dtype=torch.float64)
    return left
