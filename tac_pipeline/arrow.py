"""Turning Arrow tables into frames and matrices, and reading the encoder that a table of vectors names."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from tac_pipeline.errors import EncoderError, InputError

# The metadata key for the encoder that made the vectors of a file.
ENCODER_KEY = b"tac.encoder"

# The encoder of given vectors when their file does not name one.
UNSTATED_ENCODER = "unstated"
# Ends the fingerprint of images encoded in 8 bits. Raise the number when encoders/int8_layers.py gives others.
INT8_MARK = ":int8-1"
# What a fingerprint of image vectors may end in, and that of the texts in the same space never does.
_IMAGE_MARKS = re.compile(r"(:resize-\d+)?(:int8-\d+)?$")


def frame_of(table: pa.Table) -> pl.DataFrame:
    """An Arrow table as a polars frame, without a copy when both use the same layout."""
    return pl.DataFrame(pl.from_arrow(table))


def matrix_of(column: pa.ChunkedArray) -> np.ndarray[Any, Any]:
    """A column of fixed-size lists as (n_rows, width), in its own float type."""
    # .flatten() and not .values: the latter ignores slices.
    parts = [chunk.flatten().to_numpy(zero_copy_only=False) for chunk in column.chunks]
    flat = np.concatenate(parts) if parts else np.empty(0, dtype=np.float16)
    return flat.reshape(-1, column.type.list_size)


def matrix_of_lists(column: pa.ChunkedArray, *, where: str) -> np.ndarray[Any, Any]:
    """A column of lists of one width, fixed-size or not, as a matrix (n_rows, width).

    Raises
    ------
    InputError
        Not lists of numbers, a null, or rows of different width.
    """
    kind = column.type
    lists = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    if not lists or not (pa.types.is_floating(kind.value_type) or pa.types.is_integer(kind.value_type)):
        raise InputError(f"{where} must hold lists of numbers; got {kind}")
    if column.null_count:
        first = column.is_null().index(True).as_py()
        raise InputError(
            f"{where} must not be null; {column.null_count} of {len(column)} rows are, the first is row {first}"
        )
    if pa.types.is_fixed_size_list(kind):
        return matrix_of(column)
    widths = pc.list_value_length(column).to_numpy()
    if len(np.unique(widths)) > 1:
        odd = int(np.flatnonzero(widths != widths[0])[0])
        raise InputError(f"{where} must have one width; row 0 has {widths[0]}, row {odd} has {widths[odd]}")
    flat = np.concatenate([chunk.flatten().to_numpy(zero_copy_only=False) for chunk in column.chunks])
    return flat.reshape(len(column), widths[0])


def encoder_of(table: pa.Table) -> str:
    """The fingerprint of the encoder that made the table's vectors."""
    return str((table.schema.metadata or {}).get(ENCODER_KEY, UNSTATED_ENCODER.encode()).decode())


def require_same_space(images: str, nouns: str) -> None:
    """Raise EncoderError when image and noun vectors are in different spaces; how images are seen does not count."""
    require_same_encoder(_IMAGE_MARKS.sub("", images), _IMAGE_MARKS.sub("", nouns))


def require_same_encoder(images: str, nouns: str) -> None:
    """Raise EncoderError when two stated encoders differ: their vectors are in different spaces."""
    if UNSTATED_ENCODER not in (images, nouns) and images != nouns:
        raise EncoderError(
            f"image and noun vectors must come from the same encoder; the images' is {images}, the nouns' is {nouns}. "
            "Set `encoder` to the one that made the given vectors, or embed both here."
        )
