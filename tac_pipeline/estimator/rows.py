"""Vectors as people have them: arrays, tensors, lists, and data frames."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from tac_pipeline.arrays import FloatMatrix, require_unit_rows
from tac_pipeline.errors import InputError, first_few


def unit_rows_of(given: Any, *, name: str) -> FloatMatrix:
    """Vectors in any usual form as float32 (n_rows, dim), unit rows; a new array.

    Parameters
    ----------
    given : array, torch tensor, list of lists, or data frame or column of polars or pandas
        A frame has one column of vectors, or one column of numbers for each dimension.
    name : str
        The caller's name for it; messages begin with it.

    Raises
    ------
    InputError
        It is none of these, or holds no rows, NaN, infinity or zero rows.
    """
    array = _as_array(given, name)
    if array.dtype.kind in "US":
        raise InputError(
            f"{name} must be vectors; got texts such as {str(array.flat[0])!r}. tac_pipeline.embed_images and "
            "embed_words make vectors of files and of words"
        )
    if array.dtype == object and array.ndim == 1:
        raise InputError(f"{name} must be a matrix of numbers; its rows are not equally long, or some are missing")
    if array.dtype == object and array.ndim == 0:
        raise InputError(f"{name} must be a matrix; got {type(given).__name__}")
    if array.dtype.kind == "c":
        raise InputError(f"{name} must be real numbers. Complex data not supported; got {array.dtype}")
    if array.ndim == 1:
        raise InputError(
            f"{name} must be a matrix; got a list of {len(array)}. Reshape your data: array.reshape(1, -1) is one row"
        )
    if array.ndim == 2 and 0 in array.shape:
        found = f"{array.shape[0]} sample(s)" if array.shape[0] == 0 else f"0 feature(s) (shape={array.shape})"
        raise InputError(
            f"{name} must have at least one row and one column; got {found} while a minimum of 1 is required."
        )
    return require_unit_rows(array, name=name)


def has_named_columns(given: Any) -> bool:
    """Whether it is a frame with one column for each dimension, so that the names of its columns mean something."""
    columns = getattr(given, "columns", None)
    return columns is not None and not (len(columns) == 1 and _vectors_in(given[columns[0]]) is not None)


def _as_array(given: Any, name: str) -> npt.NDArray[Any]:
    if hasattr(given, "detach"):  # a tensor, perhaps of bfloat16, which numpy has not
        given = given.detach().cpu()
        return np.asarray(given.float().numpy() if given.is_floating_point() else given.numpy())
    if hasattr(given, "toarray") or type(given).__module__.startswith("scipy.sparse"):
        raise TypeError(f"{name} must be dense: sparse data is not supported, because vectors of encoders are not")
    columns = getattr(given, "columns", None)
    if columns is not None:
        return _frame_array(given, list(columns), name)
    stacked = _vectors_in(given) if hasattr(given, "to_numpy") else None
    if stacked is not None:
        return stacked
    try:
        return np.asarray(given)
    except ValueError as error:
        raise InputError(f"{name} must be a matrix of numbers; its rows are not equally long ({error})") from error


def _frame_array(frame: Any, columns: list[Any], name: str) -> npt.NDArray[Any]:
    vectors = {column: _vectors_in(frame[column]) for column in columns}
    with_vectors = [column for column, found in vectors.items() if found is not None]
    if len(columns) == 1 and with_vectors:
        return np.asarray(vectors[columns[0]])
    if with_vectors:
        raise InputError(
            f"{name} must be a frame of one column with vectors, or of one column for each dimension; got columns "
            f"{', '.join(map(str, columns[:5]))}. Give the column alone: frame[{with_vectors[0]!r}]"
        )
    array = np.asarray(frame.to_numpy())
    if array.dtype.kind not in "biuf":
        other = [column for column in columns if np.asarray(frame[column].to_numpy()).dtype.kind not in "biuf"]
        raise InputError(
            f"{name} must have a number in every cell, or one column of vectors that are equally long; look at "
            f"{first_few(other or columns, 3)}, of {len(columns)} columns"
        )
    return array


def _vectors_in(column: Any) -> npt.NDArray[Any] | None:
    """A column of vectors as a matrix; None where it holds something else, or vectors that are not equally long."""
    values = column.to_numpy()
    if values.ndim == 2:
        return np.asarray(values)
    if values.dtype != object or not len(values) or not hasattr(values[0], "__len__") or isinstance(values[0], str):
        return None
    try:
        stacked = np.stack([np.asarray(value, dtype=np.float32) for value in values])
    except (TypeError, ValueError):
        return None
    return stacked if stacked.ndim == 2 else None
