"""Large tables of an artifact as several files, so that a new version shares those that did not change with the last.

A table of at most SEGMENT_ROWS rows is one file. A larger one is cut where its rows say so: before a row with a digest
of its key that is divisible by MEAN_ROWS, and after SEGMENT_ROWS rows. So the same rows are cut in the same way
whatever the store was before, and a row that comes or goes changes the segment that it is in. The name of a segment
has its number, and a digest of its rows by which the next version finds it; an equal one is a hard link.

    assignments-00000-3f0c....parquet
    assignments-00001-91ab....parquet

What must stay out: what a table means (schemas.py), and when an artifact is whole (artifact.py).
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Callable, Iterable
from itertools import pairwise
from pathlib import Path
from zlib import crc32

import numpy as np
import polars as pl
import pyarrow as pa

from tac_pipeline.store.digests import NAME_DIGITS
from tac_pipeline.store.parquet import TableSchema, save_table

SEGMENT_ROWS = 1_000_000
MEAN_ROWS = 262_144

# From the rows' digest to a whole file with them; None where there is none.
Find = Callable[[str], "Path | None"]


def write_segments(folder: Path, schema: TableSchema, table: pa.Table, *, find: Find) -> None:
    """Write a table of checked_table in one file, or in segments.

    Parameters
    ----------
    find : callable
        Takes the end of a segment's name, and gives the file of an earlier version with that end.
    """
    if not schema.grows or len(table) <= SEGMENT_ROWS:
        save_table(folder / schema.file_name, schema, table)
        return
    bounds = cut(table.column(schema.key))
    for number, (start, end) in enumerate(pairwise(bounds)):
        rows = table.slice(start, end - start).combine_chunks()
        ending = f"-{_digest(rows)}.parquet"
        path, known = folder / f"{schema.name}-{number:05d}{ending}", find(ending)
        if known is None:
            save_table(path, schema, rows)
        else:
            _share(known, path)


def segments_of(schema: TableSchema, names: Iterable[str]) -> list[str]:
    """The files of a table among those of an artifact, in their order."""
    segment = re.compile(rf"{schema.name}-\d{{5}}-[0-9a-f]{{{NAME_DIGITS}}}\.parquet")
    return sorted(name for name in names if segment.fullmatch(name)) or [schema.file_name]


def cut(keys: pa.ChunkedArray) -> list[int]:
    """Where segments begin, and the number of rows: ascending, from 0."""
    texts = pl.Series(pl.from_arrow(keys)).cast(pl.Binary).to_list()
    marks = np.fromiter(map(crc32, texts), dtype=np.uint32, count=len(texts))
    wanted = [int(row) for row in np.flatnonzero(marks % MEAN_ROWS == 0) if row]
    bounds = [0]
    for row in (*wanted, len(keys)):
        while row - bounds[-1] > SEGMENT_ROWS:
            bounds.append(bounds[-1] + SEGMENT_ROWS)
        bounds.append(row)
    return bounds


def _digest(rows: pa.Table) -> str:
    """A digest of the values, whatever wrote them before."""
    hashed = _Hashed()
    with pa.ipc.new_stream(pa.PythonFile(hashed, mode="w"), rows.schema) as writer:
        writer.write_table(rows)
    return hashed.sha256.hexdigest()[:NAME_DIGITS]


class _Hashed:
    """A file that keeps a digest of what is written to it."""

    closed = False

    def __init__(self) -> None:
        self.sha256 = hashlib.sha256()

    def write(self, data: pa.Buffer) -> int:
        self.sha256.update(data)
        return len(data)

    def flush(self) -> None:
        pass

    def close(self) -> None:
        pass


def _share(known: Path, path: Path) -> None:
    try:
        os.link(known, path)
    except OSError:  # a disk without hard links
        shutil.copyfile(known, path)
