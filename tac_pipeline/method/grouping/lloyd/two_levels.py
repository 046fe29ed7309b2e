"""k-means on two levels, for many clusters: coarse cells, clusters within each, and rounds in which all move.

Flat k-means compares each row with each center, in every round and for every center that it draws: with as many rows
for each cluster, its time grows with the square of the clusters. Here a row is compared with about sqrt(K) cells, and
with the centers in the few cells that are nearest to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from tac_pipeline.arrays import FloatMatrix, IntMatrix, IntVector, row_chunks
from tac_pipeline.method.grouping.lloyd.rounds import (
    CHUNK_ELEMENTS,
    KMeansResult,
    chunk_elements,
    improve,
    move_centers,
    nearest_center,
    own_cosine,
    prepare,
    used_device,
)
from tac_pipeline.tensors import or_on_the_cpu, tensor_of

if TYPE_CHECKING:
    import torch

# More clusters than this are found on two levels (docs/decisions/0168-many-clusters.md). Up to here one level takes
# seconds for 20 rows each, and what stores have stays as it was.
MANY_CLUSTERS = 1000
# A row is compared with the centers in so many cells, the nearest to it. For 90 to 99 rows in 100 these hold its
# nearest center; the last rounds find that of the others.
NEAR_CELLS = 8
# Rows for each cell that the cells are found with: as many as faiss takes for each of its lists.
ROWS_PER_CELL = 256
# Rounds at the end in which each row is compared with all centers, at most: a row has then missed none.
WHOLE_ROUNDS = 5


class Flat(Protocol):
    """k-means on one level: what both levels call."""

    def __call__(self, rows: FloatMatrix, /, *, n_clusters: int, seed: int) -> KMeansResult:
        """Cluster unit rows, float32 (n_rows, dim)."""
        ...


class Within(Protocol):
    """Finds the clusters within the cells."""

    def __call__(self, members: Sequence[IntVector], counts: IntVector) -> Iterator[FloatMatrix]:
        """Of the row numbers in each cell and about how many clusters each should have: the centers of cell after cell.

        All cells together have counts.sum() clusters.
        """
        ...


def count_levels(n_clusters: int) -> int:
    """The levels on which so many clusters are found: 1 up to MANY_CLUSTERS, else 2."""
    return 2 if n_clusters > MANY_CLUSTERS else 1


def cluster_in_two_levels(
    rows: FloatMatrix,
    *,
    n_clusters: int,
    flat: Flat,
    max_iterations: int,
    seed: int,
    device: str,
    within: Within | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> KMeansResult:
    """Cluster unit rows by cosine, into so many clusters that to compare each row with each center takes long.

    sqrt(n_clusters) cells are found among a sample of the rows. Each cell gets a share of the clusters, in proportion
    to what its rows lose, and these are found within it. Then the centers of all cells move together, while a row is
    compared with the centers in the NEAR_CELLS cells that are nearest to it. In the last rounds each row is compared
    with all centers, so that the result is as exact as that of one level. The seed decides everything.

    Parameters
    ----------
    rows : float32 (n_rows, dim), unit rows
    n_clusters : int
        From 1 to n_rows.
    flat : Flat
        Finds the cells, and the clusters within each.
    max_iterations : int >= 1
        Of the rounds in which all centers move.
    seed : int >= 0
    device : str
        See spherical_kmeans.
    within : Within, optional
        By default `flat`, cell by cell, with the counts as they are.
    progress : callable, optional
        Told after each cell how many of them are done.
    """
    cells = find_cells(rows, n_clusters=n_clusters, flat=flat, seed=seed)
    near = nearest_cells(rows, cells, count=NEAR_CELLS, device=device)
    members = _split(near[:, 0], len(cells))
    lost = np.bincount(near[:, 0], weights=1 - own_cosine(tensor_of(rows), near[:, 0], cells), minlength=len(cells))
    counts = share_out(np.array([len(own) for own in members]), lost.astype(np.float64), n_clusters)
    seeds = np.random.default_rng(seed).integers(2**31, size=len(cells))

    def cell_by_cell(members: Sequence[IntVector], counts: IntVector) -> Iterator[FloatMatrix]:
        for own, count, own_seed in zip(members, counts.tolist(), seeds.tolist(), strict=True):
            if count:
                yield flat(rows[own], n_clusters=count, seed=own_seed).centers

    starts: list[FloatMatrix] = []
    for centers in (within or cell_by_cell)(members, counts):
        starts.append(centers)
        if progress is not None:
            progress(len(starts), int(np.count_nonzero(counts)))

    def found_on(place: str) -> KMeansResult:
        prepared = prepare(rows, place)
        search = NearSearch(near, cells, device=place)
        centers, rounds = move_centers(
            prepared.exact, prepared.draft, np.concatenate(starts), max_iterations=max_iterations, nearest=search
        )
        found = improve(prepared.exact, prepared.draft, centers, max_iterations=WHOLE_ROUNDS)
        return replace(found, iterations=rounds + found.iterations)

    return or_on_the_cpu(found_on, device=used_device(device), what="k-means")


def share_out(sizes: IntVector, lost: npt.NDArray[np.float64], total: int) -> IntVector:
    """How many clusters each cell gets, int64 (n_cells,): in proportion to what its rows lose.

    At least one where there are rows, never more than these.

    Parameters
    ----------
    sizes : int64 (n_cells,)
        The rows of each cell.
    lost : float64 (n_cells,)
        The sum of 1 - cosine of these rows with the cell's center.
    total : int
        From the number of cells with rows to the number of rows.
    """
    # Where nothing is lost, all rows of a cell are equal, and any shares serve.
    weights = np.where(sizes > 0, np.maximum(lost, 0), 0) if (lost > 0).any() else sizes
    quota = total * weights / weights.sum()
    counts: IntVector = np.clip(np.floor(quota).astype(np.int64), np.minimum(sizes, 1), sizes)
    while (left := total - int(counts.sum())) != 0:
        step = 1 if left > 0 else -1
        free = np.flatnonzero(counts < sizes if step > 0 else counts > 1)
        owed = step * (quota - counts)[free]
        counts[free[np.argsort(-owed, kind="stable")[: abs(left)]]] += step
    return counts


def find_cells(rows: FloatMatrix, *, n_clusters: int, flat: Flat, seed: int) -> FloatMatrix:
    """The centers of the cells for so many clusters, about their root: float32 (n_cells, dim), unit rows."""
    n_cells = max(1, round(n_clusters**0.5))
    n_some = min(len(rows), ROWS_PER_CELL * n_cells)
    some = np.sort(np.random.default_rng(seed).choice(len(rows), n_some, replace=False))
    return flat(rows[some], n_clusters=n_cells, seed=seed).centers


def nearest_cells(rows: FloatMatrix, cells: FloatMatrix, *, count: int, device: str) -> IntMatrix:
    """The cells nearest to each row, nearest first, int64 (n_rows, at most count)."""
    import torch

    def found_on(place: str) -> IntMatrix:
        targets = torch.from_numpy(cells - cells.mean(axis=0)).to(place).T
        given = tensor_of(rows)
        chunks = row_chunks(len(rows), max(1, CHUNK_ELEMENTS // max(cells.shape)))
        best = [(given[part].to(place) @ targets).topk(min(count, len(cells))).indices.cpu() for part in chunks]
        near: IntMatrix = torch.cat(best).numpy()
        return near

    return or_on_the_cpu(found_on, device=used_device(device), what="k-means")


def _split(numbers: IntVector, count: int) -> list[IntVector]:
    """The places of each number from 0 to count - 1, ascending."""
    ends = np.cumsum(np.bincount(numbers, minlength=count))
    return np.split(np.argsort(numbers, kind="stable"), ends[:-1])


class NearSearch:
    """The nearest center of each row among those in the cells that are nearest to the row.

    Parameters
    ----------
    near : int64 (n_rows, count)
        The cells of each row.
    cells : float32 (n_cells, dim), unit rows
        A center is in the cell that is nearest to it, wherever it moves.
    device : str
        Where the rows are that are searched.
    """

    def __init__(self, near: IntMatrix, cells: FloatMatrix, *, device: str) -> None:
        import torch

        places = _split(near.ravel(), len(cells))
        self._members = [torch.from_numpy(own // near.shape[1]).to(device) for own in places]
        self._cells = cells

    def __call__(self, rows: torch.Tensor, centers: FloatMatrix) -> IntVector:
        """The number of the center of each row, int64 (n_rows,)."""
        import torch

        owner = torch.from_numpy(nearest_center(tensor_of(centers), self._cells)).to(rows.device)
        # As in nearest_center: all less the same vector.
        targets = torch.from_numpy(centers - centers.mean(axis=0)).to(rows.device, rows.dtype)
        best = torch.full((len(rows),), -torch.inf, dtype=rows.dtype, device=rows.device)
        chosen = torch.zeros(len(rows), dtype=torch.int64, device=rows.device)
        for cell, members in enumerate(self._members):
            inside = (owner == cell).nonzero()[:, 0]
            if not len(inside):
                continue
            held = targets[inside].T
            for chunk in row_chunks(len(members), max(1, chunk_elements(rows) // max(held.shape))):
                part = members[chunk]
                products, place = (rows[part] @ held).max(dim=1)
                nearer = products > best[part]
                best[part] = torch.where(nearer, products, best[part])
                chosen[part] = torch.where(nearer, inside[place], chosen[part])
        found: IntVector = chosen.cpu().numpy()
        lost = (best == -torch.inf).nonzero()[:, 0]  # none of their cells has a center
        if len(lost):
            found[lost.cpu().numpy()] = nearest_center(rows[lost], centers)
        return found
