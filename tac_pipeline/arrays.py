"""The few array operations that every step shares: unit rows, row chunks, and the checks at the edges.

What belongs here: functions that know nothing of clustering. What must stay out: files, tables, settings.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from tac_pipeline.errors import InputError

FloatMatrix = npt.NDArray[np.float32]
IntMatrix = npt.NDArray[np.int64]
FloatVector = npt.NDArray[np.float32]
IntVector = npt.NDArray[np.int64]

# A sum of unit rows below this length has no direction that float32 could tell from rounding.
SHORTEST_ROW = 1e-6
# Below this length the squares of a row lose digits in float32.
SHORTEST_SQUARED = 1e-15


def row_chunks(n_rows: int, chunk_rows: int) -> Iterator[slice]:
    """Consecutive slices of at most chunk_rows that cover range(n_rows)."""
    for start in range(0, n_rows, chunk_rows):
        yield slice(start, min(start + chunk_rows, n_rows))


def unit_rows(matrix: npt.NDArray[np.floating]) -> FloatMatrix:
    """Each row divided by its length, float32 (n_rows, dim); a zero row stays zero, any other finite row is unit."""
    return _divided(np.asarray(matrix))


def scaled_unit_rows(matrix: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Like unit_rows, in float64: the squares of very long rows are infinite, and those of very short ones are zero."""
    rows = np.array(matrix, dtype=np.float64)
    peaks = np.abs(rows).max(axis=1, keepdims=True)
    rows /= np.where(peaks > 0, peaks, 1)
    rows /= np.where(peaks > 0, np.linalg.norm(rows, axis=1, keepdims=True), 1)
    return rows


def _divided(given: npt.NDArray[Any]) -> FloatMatrix:
    """Rows divided by their lengths in float32; those with squares beyond float32 in float64."""
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        rows = given.astype(np.float32, copy=False)
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        unit: FloatMatrix = rows / np.maximum(lengths, np.finfo(np.float32).tiny)
    odd = np.flatnonzero((lengths[:, 0] < SHORTEST_SQUARED) | np.isinf(lengths[:, 0]))
    odd = odd[np.isfinite(given[odd]).all(axis=1)] if len(odd) else odd
    if len(odd):
        unit[odd] = scaled_unit_rows(given[odd])
    return unit


def unit_mean(rows: FloatMatrix) -> FloatMatrix:
    """The mean of some rows, float32 (1, dim), as a unit row."""
    return unit_rows(rows.mean(axis=0, keepdims=True))


def require_unit_rows(matrix: npt.ArrayLike, *, name: str) -> FloatMatrix:
    """Validate vectors at an edge and return them as float32 unit rows.

    Parameters
    ----------
    matrix : (n_rows, dim), any real dtype, rows of any length but zero
    name : str
        The caller's name for the matrix; messages begin with it.

    Returns
    -------
    float32 (n_rows, dim), unit rows

    Raises
    ------
    InputError
        Not two-dimensional, no rows, no columns, or a row that is NaN, infinite or zero (the first such row is named).
    """
    try:
        given = np.asarray(matrix)
        if given.dtype.kind not in "biuf":
            given = np.asarray(matrix, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} must be a matrix of numbers; got {type(matrix).__name__} ({error})") from error
    if given.ndim != 2 or given.shape[0] == 0 or given.shape[1] == 0:
        raise InputError(f"{name} must be a matrix with at least one row and one column; got shape {given.shape}")
    finite = np.isfinite(given).all(axis=1)
    if not finite.all():
        bad = np.flatnonzero(~finite)
        raise InputError(
            f"{name} must be finite; {len(bad)} of {len(given)} rows hold NaN or infinity, the first is row {bad[0]}. "
            "Drop those rows or compute them again."
        )
    zero = np.flatnonzero(~given.any(axis=1))
    if len(zero):
        raise InputError(
            f"{name} must not hold zero vectors; {len(zero)} of {len(given)} rows are zero, "
            f"the first is row {zero[0]}. Drop those rows or compute them again."
        )
    return _divided(given)


def require_same_width(left: FloatMatrix, right: FloatMatrix, *, names: tuple[str, str]) -> None:
    """Raise InputError unless both matrices have the same number of columns."""
    if left.shape[1] != right.shape[1]:
        raise InputError(
            f"{names[0]} and {names[1]} must have the same width; got {left.shape[1]} and {right.shape[1]}. "
            "Both must come from the same encoder."
        )


def require_assignment(assignment: IntVector, *, n_images: int, n_groups: int) -> None:
    """Raise InputError when an assignment is of other images, or names a group that does not exist."""
    if len(assignment) != n_images:
        raise InputError(f"the assignment must have one entry per image; got {len(assignment)} for {n_images} images")
    if len(assignment) and not 0 <= assignment.min() <= assignment.max() < n_groups:
        raise InputError(f"the assignment must lie in 0..{n_groups - 1}; got {assignment.min()}..{assignment.max()}")
