"""Step 7: each image's nearest images by inner product, exactly in stores of ordinary size.

The indexes are faiss's; all code that uses faiss is here.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from tac_pipeline.arrays import FloatMatrix, IntMatrix, IntVector, row_chunks
from tac_pipeline.errors import InputError, MissingDependency
from tac_pipeline.tensors import or_on_the_cpu, tensor_of

# Up to so many rows every pair is compared; the time of that grows with the square of the rows.
EXACT_ROWS = 50_000
# Above, rows are put into 2 sqrt(n) lists around k-means centers, and the lists nearest to a row are searched: as many
# as it takes to find this share of the true nearest ones of a sample of rows.
RECALL, RECALL_ROWS = 0.99, 1000
LISTS_PER_ROOT, ROWS_PER_LIST, LIST_ROUNDS = 2, 40, 6
FIRST_PROBES = 4
# Cosines held at once on a GPU; 1 GB.
PRODUCTS = 2**28
# faiss refuses to look for more on a GPU.
GPU_HITS = 2048

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Index:
    """A faiss index over unit rows, and how well it finds their nearest ones.

    Attributes
    ----------
    faiss : faiss.Index
        By inner product; it holds a copy of the rows.
    recall : float
        The share of the true nearest rows that it finds, measured on a sample; 1 when every pair is compared.
    sentence : str
        The same in words.
    """

    faiss: Any
    recall: float
    sentence: str


def exact_index(rows: FloatMatrix) -> Index:
    """An index that compares every pair (IndexFlatIP), over unit rows, float32 (n_rows, dim)."""
    index = _faiss().IndexFlatIP(rows.shape[1])
    index.add(np.ascontiguousarray(rows))
    return Index(index, 1.0, f"exact: each of {len(rows):,} rows was compared with all others")


def build_index(rows: FloatMatrix, *, count: int, exact_rows: int = EXACT_ROWS) -> Index:
    """The index for so many rows: exact up to exact_rows, above with inverted lists (IndexIVFFlat).

    Parameters
    ----------
    rows : float32 (n_rows, dim), unit rows
    count : int >= 1
        Neighbors of a row that recall is measured with.
    exact_rows : int

    Returns
    -------
    Index with a recall of at least 0.99; an exact one where even a quarter of the lists does not reach that
    """
    if len(rows) <= exact_rows:
        return exact_index(rows)
    faiss, (n_rows, dim) = _faiss(), rows.shape
    rows = np.ascontiguousarray(rows)
    n_lists = round(LISTS_PER_ROOT * n_rows**0.5)
    index = faiss.IndexIVFFlat(faiss.IndexFlatIP(dim), dim, n_lists, faiss.METRIC_INNER_PRODUCT)
    index.cp.niter, index.cp.min_points_per_centroid = LIST_ROUNDS, 1
    index.train(rows[_sample(n_rows, ROWS_PER_LIST * n_lists)])
    index.add(rows)
    tried, count = rows[_sample(n_rows, RECALL_ROWS)], min(count, n_rows - 1)
    # What is as near as the last true neighbor is as good, equal rows above all. Each row also finds itself.
    bounds = _exact_hits(rows, tried, count + 1)[0][:, -1:] - 1e-5
    index.nprobe = FIRST_PROBES
    while index.nprobe <= n_lists // 4:
        recall = float((index.search(tried, count + 1)[0][:, 1:] >= bounds).mean())
        if recall >= RECALL:
            sentence = (
                f"the {index.nprobe} nearest of {n_lists:,} lists were searched for each row: that finds {recall:.1%} "
                f"of the true {count} nearest of {len(tried):,} rows"
            )
            return Index(index, recall, sentence)
        index.nprobe *= 2
    return exact_index(rows)


def nearest_neighbors(
    rows: FloatMatrix,
    *,
    count: int,
    index: Index | None = None,
    of: IntVector | None = None,
    device: str = "cpu",
    chunk_rows: int = 4096,
    progress: Callable[[int, int], None] | None = None,
) -> IntMatrix:
    """The neighbor table: for each row the rows with the highest cosine, itself excluded (paper step 7).

    Parameters
    ----------
    rows : float32 (n_rows, dim), unit rows
    count : int >= 1
        Neighbors of each row; n_rows - 1 if that is less.
    index : Index, optional
        Of the same rows; by default the one that build_index makes of them.
    of : int64 (n_wanted,), optional
        The rows whose neighbors are wanted; by default all.
    device : str, optional
        Without an index, cuda or cuda:N compares every pair on that card, as long as the rows fit its memory.
    chunk_rows : int
        Bounds memory, to chunk_rows x count hits; which of equally near rows come first may depend on it.
    progress : callable, optional
        Told after each chunk how many rows are done.

    Returns
    -------
    int64 (n_wanted, count), nearest first, no row in its own line and none twice

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
    own = np.arange(len(rows)) if of is None else of
    if index is None and device.startswith("cuda"):

        def found_on(place: str) -> IntMatrix:
            if place == "cpu":
                return nearest_neighbors(rows, count=count, of=of, chunk_rows=chunk_rows, progress=progress)
            return _compared_on(place, rows, own, count=min(count, len(rows) - 1), progress=progress)

        return or_on_the_cpu(found_on, device=device, what="the search for neighbors")
    searched = (build_index(rows, count=count) if index is None else index).faiss
    if (searched.ntotal, searched.d) != rows.shape:
        held = (searched.ntotal, searched.d)
        raise InputError(f"the index must hold the rows searched, shape {rows.shape}; it holds {held}")
    count = min(count, len(rows) - 1)
    searched = _on_gpu(searched, count=count + 1)
    neighbors = np.empty((len(own), count), dtype=np.int64)
    for chunk in row_chunks(len(own), chunk_rows):
        wanted = np.ascontiguousarray(rows[own[chunk]])
        _, hits = searched.search(wanted, count + 1)
        short = hits[:, -1] < 0  # the lists that were searched hold too few rows
        if short.any():
            hits[short] = _exact_hits(rows, wanted[short], count + 1)[1]
        neighbors[chunk] = _without_self(hits, own[chunk])
        if progress is not None:
            progress(chunk.stop, len(own))
    return neighbors


def _compared_on(
    device: str, rows: FloatMatrix, own: IntVector, *, count: int, progress: Callable[[int, int], None] | None
) -> IntMatrix:
    """The neighbors of some rows by their products with all, on a device that holds the rows."""
    import torch

    held = tensor_of(rows).to(device)
    neighbors = np.empty((len(own), count), dtype=np.int64)
    for chunk in row_chunks(len(own), max(1, PRODUCTS // len(rows))):
        wanted = held[torch.from_numpy(own[chunk]).to(device)]
        hits = (wanted @ held.T).topk(count + 1, dim=1).indices
        neighbors[chunk] = _without_self(hits.cpu().numpy(), own[chunk])
        if progress is not None:
            progress(chunk.stop, len(own))
    return neighbors


def _without_self(hits: IntMatrix, own: IntVector) -> IntMatrix:
    """Drop each row's own number from its hits, or its last hit if exact duplicates have replaced it."""
    drop = hits == own[:, np.newaxis]
    drop[~drop.any(axis=1), -1] = True
    kept: IntMatrix = hits[~drop].reshape(len(hits), -1)
    return kept


def _exact_hits(rows: FloatMatrix, wanted: FloatMatrix, count: int) -> tuple[FloatMatrix, IntMatrix]:
    """Cosines with the nearest rows, and which they are, each (n_wanted, count), best first."""
    faiss = _faiss()
    cosines, hits = faiss.knn(wanted, np.ascontiguousarray(rows), count, metric=faiss.METRIC_INNER_PRODUCT)
    return cosines, hits


def _sample(n_rows: int, count: int) -> IntVector:
    """Some row numbers, ascending; all if there are no more."""
    return np.sort(np.random.default_rng(0).choice(n_rows, min(n_rows, count), replace=False))


@dataclass(frozen=True)
class Neighbors:
    """A neighbor table, int64 (n_images, count), nearest first, and the index that it was found with."""

    table: IntMatrix
    index: Index | None


def find_neighbors(
    rows: FloatMatrix, *, count: int, exact: bool = False, progress: Callable[[int, int], None] | None = None
) -> Neighbors:
    """The nearest rows of each row, and the index that finds more; see build_index and nearest_neighbors."""
    index = exact_index(rows) if exact else build_index(rows, count=count)
    return Neighbors(nearest_neighbors(rows, count=count, index=index, progress=progress), index)


def no_neighbors(n_rows: int) -> Neighbors:
    """A table without neighbors, for a method that asks for none; it has no index."""
    return Neighbors(np.empty((n_rows, 0), dtype=np.int64), None)


def cell_centers(rows: FloatMatrix, *, count: int) -> FloatMatrix:
    """Centers of so many cells by k-means, float32 (count, dim), of rows of any length, float32 (n_rows, dim)."""
    found = _faiss().Kmeans(
        rows.shape[1], count, niter=LIST_ROUNDS, seed=0, min_points_per_centroid=1, max_points_per_centroid=10**6
    )
    found.train(np.ascontiguousarray(rows))
    return np.asarray(found.centroids, dtype=np.float32)


def write_index(path: Path, index: Index) -> None:
    """Write an index to a file."""
    _faiss().write_index(index.faiss, str(path))


def read_index(path: Path) -> Any:
    """The faiss index of a file that write_index wrote."""
    return _faiss().read_index(str(path))


def nearest_rows(index: Any, wanted: FloatMatrix) -> IntVector:
    """The row of a faiss index nearest to each of other rows, int64 (n_wanted,)."""
    hits: IntMatrix = index.search(np.ascontiguousarray(wanted), 1)[1]
    return hits[:, 0]


def _on_gpu(index: Any, *, count: int) -> Any:
    """The index on the first GPU if this faiss has one and its memory is enough, else the index itself."""
    faiss = _faiss()
    if faiss.get_num_gpus() == 0:
        _tell_of_a_gpu()
        return index
    if count > GPU_HITS:
        return index
    try:
        return faiss.index_cpu_to_gpu(faiss.StandardGpuResources(), 0, index)
    except RuntimeError as error:
        _LOG.warning("neighbors are searched on the CPU, because the GPU takes no copy of the index: %s", error)
        return index


@functools.cache
def _tell_of_a_gpu() -> None:
    """Say once that a GPU has nothing to do, if one is there."""
    import torch

    if torch.cuda.is_available():
        _LOG.warning(
            "there is a GPU, but this faiss is the one for CPUs: neighbors are searched on the CPU. For the GPU, "
            "uninstall faiss-cpu and install tac-pipeline[gpu]."
        )


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
