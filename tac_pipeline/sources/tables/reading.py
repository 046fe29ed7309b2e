"""Reading the columns of a table that are ours, whatever its form."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tac_pipeline.sources.tables.columns import PARQUET_SUFFIX, TextTable, plain_name, table_kind, usual_names
from tac_pipeline.sources.tables.parquet import is_text_like, parquet_schema, read_parquet
from tac_pipeline.sources.tables.texts import read_text


def read_text_table(path: Path, *, wanted: Sequence[str], required: Sequence[str] = ()) -> TextTable:
    """Read those of the wanted columns that are there.

    Parameters
    ----------
    wanted : sequence of str
        Keys of COLUMN_NAMES.
    required : sequence of str
        Those that must be there.

    Raises
    ------
    SourceError
        The file cannot be read, a required column is not there, or two columns could be the same one of ours.
    """
    table = TextTable(path)
    read = read_parquet if table_kind(path) == PARQUET_SUFFIX else read_text
    read(table, wanted=wanted, required=required)
    return table


def table_columns(path: Path) -> tuple[str, ...]:
    """The columns of a table that can be read as text; `label` is among them when one has another usual name for it.

    Raises
    ------
    SourceError
        The file cannot be read.
    """
    if table_kind(path) == PARQUET_SUFFIX:
        schema = parquet_schema(path)
        names = [name for name, kind in zip(schema.names, schema.types, strict=True) if is_text_like(name, kind)]
    else:
        names = read_text_table(path, wanted=()).names
    usual = {plain_name(name) for name in usual_names("label")}
    has_label = "label" not in names and any(plain_name(name) in usual for name in names)
    return ("label", *names) if has_label else tuple(names)
