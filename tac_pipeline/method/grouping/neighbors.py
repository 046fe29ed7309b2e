"""Step 7: each image's nearest images, by exact inner product.

The index is faiss's; all code that uses faiss is here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from tac_pipeline.arrays import FloatMatrix, IntMatrix, row_chunks
from tac_pipeline.errors import InputError, MissingDependency


def build_index(rows: FloatMatrix) -> Any:
    """An exact inner-product index (faiss.IndexFlatIP) over unit rows, float32 (n_rows, dim); it holds a copy."""
    index = _faiss().IndexFlatIP(rows.shape[1])
    index.add(np.ascontiguousarray(rows))
    return index


def nearest_neighbors(
    rows: FloatMatrix,
    *,
    count: int,
    index: Any | None = None,
    chunk_rows: int = 4096,
    progress: Callable[[int, int], None] | None = None,
) -> IntMatrix:
    """The neighbor table: for each row the rows with the highest cosine, itself excluded (paper step 7).

    Parameters
    ----------
    rows : float32 (n_rows, dim), unit rows
    count : int >= 1
        Neighbors of each row; n_rows - 1 if that is less.
    index : faiss index, optional
        From `build_index` of the same rows; built here if not given.
    chunk_rows : int
        Bounds memory, to chunk_rows x count hits; which of equally near rows come first may depend on it.
    progress : callable, optional
        Told after each chunk how many rows are done.

    Returns
    -------
    int64 (n_rows, count), nearest first, no row in its own line and none twice

    Raises
    ------
    InputError
        There is only one row, count is below 1, or the index holds other rows.
    MissingDependency
        faiss is not installed.
    """
    if len(rows) < 2:
        raise InputError(f"neighbors need at least two images; got {len(rows)}")
    if count < 1:
        raise InputError(f"the count of neighbors must be at least 1; got {count}")
    index = build_index(rows) if index is None else index
    if (index.ntotal, index.d) != rows.shape:
        raise InputError(f"the index must hold the rows searched, shape {rows.shape}; it holds {index.ntotal, index.d}")
    count = min(count, len(rows) - 1)
    index = _on_gpu(index)
    neighbors = np.empty((len(rows), count), dtype=np.int64)
    for chunk in row_chunks(len(rows), chunk_rows):
        _, hits = index.search(np.ascontiguousarray(rows[chunk]), count + 1)
        neighbors[chunk] = _without_self(hits, np.arange(chunk.start, chunk.stop))
        if progress is not None:
            progress(chunk.stop, len(rows))
    return neighbors


def _without_self(hits: IntMatrix, own: IntMatrix) -> IntMatrix:
    """Drop each row's own number from its hits, or its last hit if exact duplicates have replaced it."""
    drop = hits == own[:, np.newaxis]
    drop[~drop.any(axis=1), -1] = True
    kept: IntMatrix = hits[~drop].reshape(len(hits), -1)
    return kept


@dataclass(frozen=True)
class Neighbors:
    """A neighbor table, int64 (n_images, count), nearest first, and the faiss index that it was found with."""

    table: IntMatrix
    index: Any


def find_neighbors(rows: FloatMatrix, *, count: int, progress: Callable[[int, int], None] | None = None) -> Neighbors:
    """The nearest rows of each row, and the index that finds more; see nearest_neighbors."""
    index = build_index(rows)
    return Neighbors(nearest_neighbors(rows, count=count, index=index, progress=progress), index)


def no_neighbors(n_rows: int) -> Neighbors:
    """A table without neighbors, for a method that asks for none; it has no index."""
    return Neighbors(np.empty((n_rows, 0), dtype=np.int64), None)


def write_index(path: Path, index: Any) -> None:
    """Write an index to a file."""
    _faiss().write_index(index, str(path))


def _on_gpu(index: Any) -> Any:
    """The index on the first GPU if this faiss has one, else the index itself."""
    faiss = _faiss()
    if faiss.get_num_gpus() == 0:
        return index
    return faiss.index_cpu_to_gpu(faiss.StandardGpuResources(), 0, index)


def _faiss() -> ModuleType:
    try:
        import faiss
    except ImportError as error:
        raise MissingDependency(
            "nearest neighbors need faiss. Install tac-pipeline[cpu], or tac-pipeline[gpu] on a machine with a GPU, "
            "never both: they overwrite each other."
        ) from error
    module: ModuleType = faiss
    return module
