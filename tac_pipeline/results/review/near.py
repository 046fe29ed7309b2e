"""Near-duplicates among any number of images: short codes of vectors, cells, and the pairs in a cell.

Vectors are turned so that their first numbers say most, and kept as one byte a number. The first SKETCH numbers and the
length of the rest are a sketch: two sketches are never farther apart than the vectors. Cells are around centers of
sketches. An image is at home in the nearest cell, and a guest in those to which its border is near, so that the two of
a pair are in one cell although a border is between them. Which pairs are found depends on the images alone, and not on
their order. Pure functions on arrays; what is kept of them is in near_index.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from tac_pipeline.arrays import FloatMatrix, FloatVector, IntMatrix, IntVector, row_chunks
from tac_pipeline.method.grouping.neighbors import Index, build_index, cell_centers

Codes = npt.NDArray[np.int8]
Mask = npt.NDArray[np.bool_]

# Numbers of a vector that are compared before all of them are.
SKETCH = 64
# Up to so many images every pair is compared.
EXACT_IMAGES = 10_000
# Above, there are so many cells for the square root of the images.
CELLS_PER_ROOT = 2
# An image is a guest where the border is nearer than this share of the distance that near-duplicates may have, in at
# most so many cells (docs/decisions/0169-near-duplicates-of-the-whole-store.md).
NEAR_BORDER, GUEST_CELLS = 0.15, 3
SAMPLE_PER_CELL, LARGEST_SAMPLE = 40, 131_072
# A byte stands for so many standard deviations at most. What is beyond is cut off, in both images of a pair.
DEVIATIONS = 4.0
# The deviation in each direction that is taken for granted, as a share of that of vectors that have nothing in common.
LEAST_SPREAD = 0.5
# An image is joined with its nearest ones alone: in thousands of frames of one film that is enough for one group.
NEAREST, LOOKED_AT = 4, 16
# What float32 may lose of a product of sketches.
SLACK = 1e-5


@dataclass(frozen=True)
class Cells:
    """How vectors become codes, and codes are put into cells.

    Attributes
    ----------
    basis : float32 (dim, dim)
        Directions, in columns; vectors differ most along the first.
    middle, step : float32 (dim,)
        Of the turned vectors: where 0 is, and what one unit of a code stands for.
    centers : float32 (n_cells, width of a sketch)
    """

    basis: FloatMatrix
    middle: FloatVector
    step: FloatVector
    centers: FloatMatrix

    @cached_property
    def _index(self) -> Index:
        lengths = np.einsum("nd,nd->n", self.centers, self.centers)
        # The largest inner product of these is the smallest distance.
        wide = np.concatenate([self.centers, -lengths[:, np.newaxis] / 2], axis=1)
        return build_index(wide, count=min(GUEST_CELLS, len(wide) - 1), exact_rows=1000)

    @property
    def rounding(self) -> float:
        """What rounding adds to the squared distance of two decoded vectors, on average."""
        return float((self.step**2).sum() / 6)

    def code(self, vectors: FloatMatrix) -> Codes:
        """Codes of unit rows, int8 (n_rows, dim)."""
        turned = (vectors @ self.basis - self.middle) / self.step
        codes: Codes = np.clip(np.rint(turned), -127, 127).astype(np.int8)
        return codes

    def decode(self, codes: Codes) -> FloatMatrix:
        """The vectors of codes, turned and moved, float32 (n_rows, dim): their distances are those of the vectors."""
        decoded: FloatMatrix = codes * self.step
        return decoded

    def places(self, codes: Codes, *, similarity: float) -> IntMatrix:
        """The cells of codes: home first, then those where it is a guest, int64 (n_rows, 1 + GUEST_CELLS), -1 = none.

        Parameters
        ----------
        similarity : float
            The least cosine of near-duplicates.
        """
        count = min(1 + GUEST_CELLS, len(self.centers))
        sketches = sketch(self.decode(codes))
        if count == 1:
            return np.zeros((len(codes), 1), dtype=np.int64)
        wide = np.concatenate([sketches, np.ones((len(sketches), 1), dtype=np.float32)], axis=1)
        score, cells = self._index.faiss.search(wide, count)
        home = self.centers[cells[:, :1]]  # (n_rows, 1, width)
        apart = np.linalg.norm(self.centers[cells] - home, axis=2)  # (n_rows, count)
        with np.errstate(divide="ignore", invalid="ignore"):
            border = (score[:, :1] - score) / apart
        far = ~(border <= NEAR_BORDER * (2 - 2 * similarity) ** 0.5)
        far[:, 0] = False
        found: IntMatrix = np.where(far, -1, cells)
        return found


def make_cells(sample: FloatMatrix, *, n_images: int) -> Cells:
    """Codes and cells that suit a store.

    Parameters
    ----------
    sample : float32 (n_sample, dim), unit rows
        Of the store's images (`sample_size`).
    n_images : int
        Of the store.
    """
    moved = sample - sample.mean(axis=0)
    _, directions = np.linalg.eigh((moved.T @ moved).astype(np.float64))
    basis = np.ascontiguousarray(directions[:, ::-1], dtype=np.float32)
    turned = sample @ basis
    middle = turned.mean(axis=0)
    # Images that come later may differ where the sample does not: all directions have room.
    spread = turned.std(axis=0)
    least = max(float(np.sqrt((spread**2).mean())), LEAST_SPREAD / sample.shape[1] ** 0.5)
    step = np.maximum(spread, least) * DEVIATIONS / 127
    cells = Cells(basis, middle, step.astype(np.float32), np.zeros((1, 0), dtype=np.float32))
    count = cell_count(n_images)
    if count > 1:
        sketches = sketch(cells.decode(cells.code(sample)))
        cells = Cells(basis, middle, cells.step, cell_centers(sketches, count=min(count, len(sketches))))
    return cells


def cell_count(n_images: int) -> int:
    """How many cells a store has."""
    return 1 if n_images <= EXACT_IMAGES else round(CELLS_PER_ROOT * n_images**0.5)


def sample_size(n_images: int) -> int:
    """How many images the cells are made from."""
    return min(n_images, LARGEST_SAMPLE, max(EXACT_IMAGES, SAMPLE_PER_CELL * cell_count(n_images)))


def sketch(decoded: FloatMatrix) -> FloatMatrix:
    """The first numbers of decoded vectors and the length of the rest, float32 (n_rows, at most SKETCH + 1)."""
    if decoded.shape[1] <= SKETCH + 1:
        return decoded
    rest = np.linalg.norm(decoded[:, SKETCH:], axis=1, keepdims=True)
    return np.concatenate([decoded[:, :SKETCH], rest], axis=1)


def pairs_in_cell(
    decoded: FloatMatrix, home: Mask, new: Mask, *, similarity: float, rounding: float = 0.0, chunk_rows: int = 512
) -> tuple[IntMatrix, FloatVector]:
    """Near-duplicates in one cell of which at least one is new and at least one is at home.

    Parameters
    ----------
    decoded : float32 (n_rows, dim)
        See Cells.decode.
    home, new : bool (n_rows,)
    similarity : float
        The least cosine.
    rounding : float
        See Cells.rounding.
    chunk_rows : int
        Bounds memory, to chunk_rows x n_rows; never changes the result.

    Returns
    -------
    pairs : int64 (n_pairs, 2)
        Of rows: each new one with the NEAREST ones and the first of all.
    cosines : float32 (n_pairs,)
    """
    every = np.arange(len(decoded))
    # What is at home and new meets all; a new guest meets who was at home before, as new ones at home meet it.
    meets = [(every[home & new], every), (every[~home & new], every[home & ~new])]
    # Equal vectors have equal codes: the nearer, the less rounding adds.
    rounding = min(rounding, 2 - 2 * similarity)
    short, most = sketch(decoded), 2 - 2 * similarity + rounding
    left, right = _both_sides(short)
    found, distances = [np.empty((0, 2), dtype=np.int64)], [np.empty(0, dtype=np.float32)]
    for asking, asked in meets:
        if not len(asking) or not len(asked):
            continue
        columns = np.ascontiguousarray(right[asked].T)
        for rows in row_chunks(len(asking), chunk_rows):
            own = asking[rows]
            nearness = left[own] @ columns  # (chunk, n_asked); minus half the squared distance of sketches
            nearness[asked == own[:, np.newaxis]] = -np.inf
            hit = np.flatnonzero(nearness.max(axis=1) >= -most / 2 - SLACK)
            if len(hit):
                pairs, squared = _nearest(decoded, own[hit], asked, nearness[hit], most=most)
                found.append(pairs)
                distances.append(squared)
    return np.concatenate(found), np.minimum(1 - (np.concatenate(distances) - rounding) / 2, 1)


def _both_sides(sketches: FloatMatrix) -> tuple[FloatMatrix, FloatMatrix]:
    """Rows of which the product is minus half the squared distance."""
    half = np.einsum("nd,nd->n", sketches, sketches)[:, np.newaxis] / 2
    one = np.ones_like(half)
    return np.concatenate([sketches, -half, one], axis=1), np.concatenate([sketches, one, -half], axis=1)


def _nearest(
    decoded: FloatMatrix, own: IntVector, asked: IntVector, nearness: FloatMatrix, *, most: float
) -> tuple[IntMatrix, FloatVector]:
    """The nearest near-duplicates of some rows, and the first of all: pairs, and their squared distances."""
    count = min(LOOKED_AT, len(asked))
    near = np.argpartition(-nearness, count - 1, axis=1)[:, :count] if count < len(asked) else _all_columns(nearness)
    # One image that all of a film's frames are joined with keeps them in one group.
    first = np.argmax(nearness >= -most / 2 - SLACK, axis=1)[:, np.newaxis]
    places = np.concatenate([first, near], axis=1)  # (n_own, 1 + count)
    squared = np.empty(places.shape, dtype=np.float32)
    for rows in row_chunks(len(own), max(1, 2**22 // (places.shape[1] * decoded.shape[1]))):
        apart = decoded[asked[places[rows]]] - decoded[own[rows], np.newaxis]
        squared[rows] = np.einsum("nkd,nkd->nk", apart, apart)
    squared[~np.isfinite(np.take_along_axis(nearness, places, axis=1))] = np.inf
    nearest = np.argsort(squared[:, 1:], axis=1, kind="stable")[:, :NEAREST] + 1
    kept = np.zeros(places.shape, dtype=bool)
    np.put_along_axis(kept, nearest, True, axis=1)
    kept[:, 0] = True
    kept &= squared <= most + 2 * SLACK
    row, column = np.nonzero(kept)
    return np.stack([own[row], asked[places[row, column]]], axis=1), squared[row, column]


def _all_columns(matrix: npt.NDArray[Any]) -> IntMatrix:
    return np.broadcast_to(np.arange(matrix.shape[1]), matrix.shape).copy()
