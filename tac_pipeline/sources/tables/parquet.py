"""Tables that are Parquet: their schema, and their columns as text."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from tac_pipeline.errors import SourceError
from tac_pipeline.sources.tables.columns import TextTable, choose_columns, text_or_none

PARQUET_BATCH_ROWS = 65_536
# What reading a damaged file raises; names that are no text, for one, are a ValueError.
PARQUET_ERRORS = (OSError, ValueError, LookupError, pa.ArrowException, pl.exceptions.PolarsError)
# Names of columns in which bytes are images.
IMAGE_NAMES = ("image", "img", "jpg", "jpeg", "png", "webp", "bytes", "image_bytes")


def parquet_schema(path: Path) -> pa.Schema:
    """The schema of a Parquet file.

    Raises
    ------
    SourceError
        It is none, or it cannot be read.
    """
    try:
        return pq.read_schema(path)
    except PARQUET_ERRORS as error:
        raise SourceError(f"{path} must be a whole Parquet file: {error}") from error


def is_text_like(name: str, kind: pa.DataType) -> bool:
    """Whether the values of a column can be read as text: text of any kind, numbers, dates.

    Bytes are text too, as old programs write it, unless the name is that of an image.
    """
    if pa.types.is_dictionary(kind):
        return is_text_like(name, kind.value_type)
    return not pa.types.is_nested(kind) and not (is_bytes(kind) and name.lower() in IMAGE_NAMES)


def is_bytes(kind: pa.DataType) -> bool:
    """Whether a column holds bytes."""
    return bool(
        pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_binary_view(kind)
        or pa.types.is_fixed_size_binary(kind)
    )


def text_columns(
    schema: pa.Schema, *, wanted: Sequence[str], required: Sequence[str], path: Path
) -> tuple[dict[str, str], list[str]]:
    """The names of the wanted columns, and notes; see columns.choose_columns."""
    kinds = zip(schema.names, schema.types, strict=True)
    skipped = {place for place, (name, kind) in enumerate(kinds) if not is_text_like(name, kind)}
    chosen, notes = choose_columns(schema.names, wanted=wanted, required=required, path=path, skipped=skipped)
    return {ours: schema.names[place] for ours, place in chosen.items()}, notes


def read_parquet(table: TextTable, *, wanted: Sequence[str], required: Sequence[str]) -> None:
    """Read the wanted columns of a Parquet file into a table; see reading.read_text_table."""
    schema = parquet_schema(table.path)
    table.names = list(schema.names)
    columns, table.notes = text_columns(schema, wanted=wanted, required=required, path=table.path)
    named = class_labels(schema)
    for ours in columns:
        table.values[ours] = []
    try:
        with pq.ParquetFile(table.path) as file:
            table.numbers = list(range(file.metadata.num_rows))
            if columns:
                for batch in file.iter_batches(batch_size=PARQUET_BATCH_ROWS, columns=list(columns.values())):
                    for ours, name in columns.items():
                        table.values[ours] += column_texts(batch.column(name))
        for ours, names in {ours: named[name] for ours, name in columns.items() if name in named}.items():
            table.values[ours], wrong = name_classes(table.values[ours], names)
            table.notes += [f"{ours}: {wrong}"] if wrong else []
    except PARQUET_ERRORS as error:
        raise SourceError(f"cannot read {table.path}: {error}") from error


def class_labels(schema: pa.Schema) -> dict[str, list[str]]:
    """The names of numbered classes, by column, as Hugging Face's datasets write them into a file's metadata."""
    try:
        info = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
        return names_of_features(info["info"]["features"])
    except (ValueError, LookupError, TypeError, RecursionError):
        return {}


def names_of_features(features: Any) -> dict[str, list[str]]:
    """The names of numbered classes, by column, among Hugging Face's features; none where they are no features."""
    if not isinstance(features, dict):
        return {}
    found = {}
    for column, feature in features.items():
        names = feature.get("names") if isinstance(feature, dict) and feature.get("_type") == "ClassLabel" else None
        if isinstance(names, list) and all(isinstance(name, str) for name in names):
            found[column] = names
    return found


def name_classes(texts: Sequence[str | None], names: Sequence[str]) -> tuple[list[str | None], str]:
    """The names of numbers, and what is wrong with those that have none; -1 is Hugging Face's number for no class."""
    known = {str(number): name for number, name in enumerate(names)}
    wrong = [text for text in texts if text is not None and text != "-1" and text not in known]
    told = (
        f"{len(wrong):,} rows have a number that is not from 0 to {len(names) - 1}, such as {wrong[0]}" if wrong else ""
    )
    return [None if text is None else known.get(text) for text in texts], told


def column_texts(column: pa.Array) -> list[str | None]:
    """The values of a column as text; None for a null or a blank. Bytes that are no UTF-8 are escaped."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if is_bytes(column.type) or not _is_valid(column):
        cells = column.cast(pa.large_binary()).to_pylist()
        return [None if cell is None else text_or_none(cell.decode("utf-8", "backslashreplace")) for cell in cells]
    texts = pl.Series(pl.from_arrow(column)).cast(pl.String, strict=False).to_list()
    return [None if text is None else text_or_none(text) for text in texts]


def _is_valid(column: pa.Array) -> bool:
    """Whether texts are UTF-8, as Parquet promises; polars does not survive others."""
    try:
        column.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True
