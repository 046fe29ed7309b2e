"""The few array operations that every step shares: unit rows, row chunks, and the checks at the edges.

What belongs here: functions that know nothing of clustering. What must stay out: files, tables, settings.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from tac_pipeline.errors import InputError

FloatMatrix = npt.NDArray[np.float32]
IntMatrix = npt.NDArray[np.int64]
FloatVector = npt.NDArray[np.float32]
IntVector = npt.NDArray[np.int64]

# Below this length a row has no direction that float32 could tell from rounding.
SHORTEST_ROW = 1e-6


def row_chunks(n_rows: int, chunk_rows: int) -> Iterator[slice]:
    """Consecutive slices of at most chunk_rows that cover range(n_rows)."""
    for start in range(0, n_rows, chunk_rows):
        yield slice(start, min(start + chunk_rows, n_rows))


def unit_rows(matrix: npt.NDArray[np.floating]) -> FloatMatrix:
    """Each row divided by its length, float32 (n_rows, dim); a zero row stays zero."""
    rows = np.asarray(matrix, dtype=np.float32)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    unit: FloatMatrix = rows / np.maximum(lengths, np.finfo(np.float32).tiny)
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
        rows = np.asarray(matrix, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} must be a matrix of numbers; got {type(matrix).__name__} ({error})") from error
    if rows.ndim != 2 or rows.shape[0] == 0 or rows.shape[1] == 0:
        raise InputError(f"{name} must be a matrix with at least one row and one column; got shape {rows.shape}")
    finite = np.isfinite(rows).all(axis=1)
    if not finite.all():
        bad = np.flatnonzero(~finite)
        raise InputError(
            f"{name} must be finite; {len(bad)} of {len(rows)} rows hold NaN or infinity, the first is row {bad[0]}. "
            "Drop those rows or compute them again."
        )
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    short = np.flatnonzero(lengths[:, 0] < SHORTEST_ROW)
    if len(short):
        raise InputError(
            f"{name} must not hold zero vectors; {len(short)} of {len(rows)} rows are zero, "
            f"the first is row {short[0]}. Drop those rows or compute them again."
        )
    unit: FloatMatrix = rows / lengths
    return unit


def require_same_width(left: FloatMatrix, right: FloatMatrix, *, names: tuple[str, str]) -> None:
    """Raise InputError unless both matrices have the same number of columns."""
    if left.shape[1] != right.shape[1]:
        raise InputError(
            f"{names[0]} and {names[1]} must have the same width; got {left.shape[1]} and {right.shape[1]}. "
            "Both must come from the same encoder."
        )
