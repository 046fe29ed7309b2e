"""Whitening: vectors in a space where directions that say nothing of the groups do not drown those that do.

CLIP's vectors are in a narrow cone, and a few directions hold most of their spread. Whitening by the total scatter
evens the directions out; whitening by the scatter within groups (Fisher's discriminant, without the reduction)
shrinks the directions in which members of one group differ. Nobody knows the groups beforehand: an image's nearest
images stand in for its group at first, and the groups that were found do so later.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tac_pipeline.arrays import FloatMatrix, IntMatrix, IntVector, require_same_width, row_chunks, unit_rows
from tac_pipeline.errors import InputError
from tac_pipeline.tensors import group_sums

# Principal directions whose singular value is below this share of the largest are treated as if they had this share:
# rows fewer than directions, and directions without spread, would be scaled up without bound.
FLOOR = 1e-3
# Times 10 neighbors and 512 numbers, float32: 40 MB.
CHUNK_ROWS = 2048


@dataclass(frozen=True)
class Whitening:
    """An affine map to another space, followed by scaling to unit length.

    Attributes
    ----------
    mean : float32 (dim,)
    matrix : float32 (dim, dim)
    """

    mean: FloatMatrix
    matrix: FloatMatrix

    def apply(self, rows: FloatMatrix) -> FloatMatrix:
        """The rows in the whitened space, float32 (n_rows, dim), unit rows; a row at the mean stays where it is.

        Raises
        ------
        InputError
            The rows are not as wide as the rows that it was fitted to.
        """
        require_same_width(self.mean[None], rows, names=("the whitening", "the rows"))
        whitened = np.empty((len(rows), self.matrix.shape[1]), dtype=np.float32)
        for part in row_chunks(len(rows), CHUNK_ROWS):
            moved = (rows[part] - self.mean) @ self.matrix
            lengths = np.linalg.norm(moved, axis=1, keepdims=True)
            # A row at the mean has no direction here: its own one keeps it a unit row.
            whitened[part] = np.where(lengths > 0, unit_rows(moved), rows[part])
        return whitened


def whiten_by_total(rows: FloatMatrix, *, power: float) -> Whitening:
    """Each principal direction of the centered rows times its singular value to the power -power.

    Parameters
    ----------
    rows : float32 (n_rows, dim), unit rows
    power : float >= 0
        0 only centers the rows; 1 gives every direction the same spread.
    """
    if not len(rows):
        raise InputError("a whitening needs at least one row")
    mean = rows.mean(axis=0)
    # Of the dim x dim matrix, so that the number of rows does not matter; float64 because eigenvalues are squares.
    values, vectors = np.linalg.eigh(_products(rows, mean))
    spread = np.sqrt(np.maximum(values, 0))
    if not spread[-1] > 0:  # all rows equal: any map is as good
        return Whitening(mean, np.eye(rows.shape[1], dtype=np.float32))
    scales = (np.maximum(spread, FLOOR * spread[-1]) / spread[-1]) ** -power
    return Whitening(mean, (vectors * scales).astype(np.float32))


def whiten_within(
    rows: FloatMatrix,
    neighbors: IntMatrix,
    groups: IntVector | None = None,
    *,
    of: IntVector | None = None,
    group_share: float,
    shrinkage: float,
) -> Whitening:
    """An inverse root of the scatter within groups, shrunk towards the identity.

    The scatter is that of each row around the mean of its neighbors; with groups, its average with the scatter around
    the means of the groups, each scaled to the same trace. Any root serves: all have the same cosines.

    Parameters
    ----------
    rows : float32 (n_rows, dim), unit rows
    neighbors : int64 (n_rows, count)
    groups : int64 (n_rows,), optional
    of : int64 (n_known,), optional
        The rows whose neighbors these are, when they are not those of all rows.
    group_share : float, from 0 to 1
        Of the scatter around groups beside that around neighbors.
    shrinkage : float, above 0 and at most 1
        Of the identity beside the scatter; it keeps directions without spread finite.
    """
    if not 0 < shrinkage <= 1:
        raise InputError(f"shrinkage must be above 0 and at most 1; got {shrinkage}")
    mean = rows.mean(axis=0)

    def among_neighbors(part: slice) -> FloatMatrix:
        means: FloatMatrix = rows[neighbors[part]].mean(axis=1, dtype=np.float32)
        return means

    within = _unit_trace(_scatter_around(rows if of is None else rows[of], among_neighbors))
    if groups is not None and group_share > 0:
        n_groups = int(groups.max()) + 1
        sizes = np.maximum(np.bincount(groups, minlength=n_groups), 1)
        means = (group_sums(rows, groups, n_groups=n_groups) / sizes[:, None]).astype(np.float32)
        own = _unit_trace(_scatter_around(rows, lambda part: means[groups[part]]))
        within = (1 - group_share) * within + group_share * own
    mixed = (1 - shrinkage) * within + shrinkage * np.eye(len(within))
    lower = np.linalg.cholesky(mixed)
    return Whitening(mean, np.linalg.inv(lower).T.astype(np.float32))


def _products(rows: FloatMatrix, mean: FloatMatrix) -> npt.NDArray[np.float64]:
    total = np.zeros((rows.shape[1], rows.shape[1]))
    for part in row_chunks(len(rows), CHUNK_ROWS):
        centered = rows[part] - mean
        total += centered.T @ centered
    return total


def _scatter_around(rows: FloatMatrix, centers_of: Callable[[slice], FloatMatrix]) -> npt.NDArray[np.float64]:
    """Sum of the outer products of the rows less their centers, float64 (dim, dim)."""
    total = np.zeros((rows.shape[1], rows.shape[1]))
    for part in row_chunks(len(rows), CHUNK_ROWS):
        residuals = rows[part] - centers_of(part)
        total += residuals.T @ residuals
    return total


def _unit_trace(scatter: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The scatter with a mean eigenvalue of 1; the identity where there is no scatter."""
    trace = float(np.trace(scatter))
    return scatter * (len(scatter) / trace) if trace > 0 else np.eye(len(scatter))
