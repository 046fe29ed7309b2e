"""Reading the columns of a table that are ours, whatever its form."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tac_pipeline.sources.tables.columns import PARQUET_SUFFIX, TextTable, table_kind
from tac_pipeline.sources.tables.parquet import read_parquet
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
