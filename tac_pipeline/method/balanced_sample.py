"""A balanced sample: coarse cells of the vectors, of which a large one gives no more images than the next.

The cells are only a means of drawing; no group is made of them. What must stay out: where the vectors are, and what is
kept of a sample (assets/images/sampled.py).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tac_pipeline.arrays import FloatMatrix, IntVector
from tac_pipeline.method.grouping.lloyd.rounds import nearest_center
from tac_pipeline.method.grouping.spherical_kmeans import spherical_kmeans
from tac_pipeline.tensors import tensor_of

# The cells come from so many images: a group of 1 in 10,000 then has about ten of them.
FIRST_SAMPLE = 100_000
# Cells must be more than the groups, or small groups are in the cells of large ones. Measured: benchmarks/sampling.py.
IMAGES_PER_CELL, MOST_CELLS = 3, 2_000
ROUNDS = 20
Cells = npt.NDArray[np.int32]
Order = npt.NDArray[np.uint64]


def count_cells(n_drawn: int, n_first: int) -> int:
    """How many cells a sample of n_drawn images is balanced by, at most one for each image of the first sample."""
    return max(1, min(n_drawn // IMAGES_PER_CELL, MOST_CELLS, n_first))


def find_cells(rows: FloatMatrix, *, n_cells: int, seed: int) -> FloatMatrix:
    """The centers of coarse cells, float32 (n_cells, dim), unit rows: spherical k-means, once and not to its end.

    Parameters
    ----------
    rows : float32 (n_rows, dim), unit rows
        A first sample, uniform.
    n_cells : int
        From 1 to n_rows.
    """
    return spherical_kmeans(rows, n_clusters=n_cells, restarts=1, max_iterations=ROUNDS, seed=seed).centers


def nearest_cells(rows: FloatMatrix, centers: FloatMatrix) -> Cells:
    """The cell of each row, int32 (n_rows,); the first of several equally near."""
    return nearest_center(tensor_of(rows), centers).astype(np.int32)


def draw_evenly(cells: Cells, order: Order, *, count: int, first: npt.NDArray[np.bool_] | None = None) -> IntVector:
    """Draw from every cell as many rows as from the next, until count are drawn; a small cell gives all it has.

    Each cell's rows are ranked by `order`. The rows with the lowest ranks are drawn, and among equal ranks those that
    come first: so a row that is added to a cell takes the place of at most one other row of the sample.

    Parameters
    ----------
    cells : int32 (n_rows,)
    order : uint64 (n_rows,)
        A seeded hash of each row; the sample is uniform within a cell.
    count : int
        At most n_rows.
    first : bool (n_rows,), optional
        Rows that are drawn before all others, and count as their cell's; at most `count`.

    Returns
    -------
    int64 (count,), ascending
    """
    later = np.zeros(len(cells), dtype=bool) if first is None else ~first
    by_cell = np.lexsort((order, later, cells))
    starts = np.flatnonzero(np.diff(cells[by_cell], prepend=-1))
    sizes = np.diff(np.append(starts, len(cells)))
    rank = np.empty(len(cells), dtype=np.int64)
    rank[by_cell] = np.arange(len(cells)) - np.repeat(starts, sizes)
    drawn: IntVector = np.sort(np.lexsort((order, rank, later))[:count])
    return drawn
