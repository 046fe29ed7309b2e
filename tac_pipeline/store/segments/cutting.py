"""Large tables of an artifact as several files, so that a new version shares those that did not change with the last.

A table of at most SEGMENT_ROWS rows is one file. A larger one is cut where its rows say so: before a row with a digest
of its key that is divisible by MEAN_ROWS, and after SEGMENT_ROWS rows. So the same rows are cut in the same way
whatever the store was before, and a row that comes or goes changes the segment that it is in. The name of a segment
has its number, and a digest of its rows by which the next version finds it; an equal one is a hard link.

    assignments-00000-3f0c....parquet
    assignments-00001-91ab....parquet

What must stay out: what a table means (schemas.py), how segments are read (reading.py), and when an artifact is whole
(artifact.py).
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
import pyarrow.compute as pc

from tac_pipeline.arrays import row_chunks
from tac_pipeline.store.digests import NAME_DIGITS
from tac_pipeline.store.parquet import TableSchema, checked_table, save_table

SEGMENT_ROWS = 1_000_000
MEAN_ROWS = 262_144
CHUNK_ROWS = 65_536
# In the place of a null, in a digest.
_EMPTY: dict[str, object] = {"string": "", "bool": False}

# From the digest of rows to a whole file with them; None where there is none.
Find = Callable[[str], "Path | None"]


def write_segments(folder: Path, schema: TableSchema, table: pa.Table, *, find: Find) -> None:
    """Write a table of checked_table in one file, or in segments.

    Parameters
    ----------
    find : callable
        Takes the digest of a segment's rows, and gives the file of an earlier version that has them.
    """
    if not schema.grows or len(table) <= SEGMENT_ROWS:
        save_table(folder / schema.file_name, schema, table)
        return
    bounds = cut(table.column(schema.key))
    for number, (start, end) in enumerate(pairwise(bounds)):
        write_segment(folder, schema, table.slice(start, end - start), number=number, find=find)


def write_segment(folder: Path, schema: TableSchema, rows: pa.Table, *, number: int, find: Find) -> str:
    """Write one segment of a table, or share an equal one; returns the digest of its rows."""
    rows = rows.combine_chunks()
    digest = rows_digest(rows)
    known = find(digest)
    if known is None:
        save_table(segment_path(folder, schema, number, digest), schema, rows)
    else:
        share(known, segment_path(folder, schema, number, digest))
    return digest


def segment_path(folder: Path, schema: TableSchema, number: int, digest: str) -> Path:
    """The file of a segment."""
    return folder / f"{schema.name}-{number:05d}-{digest}.parquet"


def segments_of(schema: TableSchema, names: Iterable[str]) -> list[str]:
    """The files of a table among those of an artifact, in their order."""
    segment = re.compile(rf"{schema.name}-\d{{5}}-[0-9a-f]{{{NAME_DIGITS}}}\.parquet")
    return sorted(name for name in names if segment.fullmatch(name)) or [schema.file_name]


def is_marked(key: str) -> bool:
    """Whether a segment begins at a row with this key, whatever is before it."""
    return crc32(key.encode()) % MEAN_ROWS == 0


def cut(keys: pa.ChunkedArray) -> list[int]:
    """Where segments begin, and the number of rows: ascending, from 0."""
    texts, marks = pl.Series(pl.from_arrow(keys)), np.empty(len(keys), dtype=np.uint32)
    # Texts as objects of Python take many times as much memory: not all at once.
    for rows in row_chunks(len(keys), CHUNK_ROWS):
        chunk = texts[rows].cast(pl.Binary).to_list()
        marks[rows] = np.fromiter(map(crc32, chunk), dtype=np.uint32, count=len(chunk))
    wanted = [int(row) for row in np.flatnonzero(marks % MEAN_ROWS == 0) if row]
    bounds = [0]
    for row in (*wanted, len(keys)):
        while row - bounds[-1] > SEGMENT_ROWS:
            bounds.append(bounds[-1] + SEGMENT_ROWS)
        bounds.append(row)
    return bounds


def cut_digests(schema: TableSchema, table: pl.DataFrame) -> list[str] | None:
    """The digests of the segments that a table would have; None of one that is one file."""
    if len(table) <= SEGMENT_ROWS:
        return None
    bounds = cut(table[str(schema.key)].to_arrow())
    return [frame_digest(schema, table.slice(start, end - start)) for start, end in pairwise(bounds)]


def frame_digest(schema: TableSchema, rows: pl.DataFrame) -> str:
    """The digest of the segment with these rows."""
    return rows_digest(checked_table(schema, rows).combine_chunks())


def rows_digest(rows: pa.Table) -> str:
    """A digest of the values of rows, whatever wrote them before.

    Not of Arrow's own form: that has what is in memory behind the last row too, and in the place of a null.
    """
    hashed = hashlib.sha256(f"{rows.schema.to_string(show_schema_metadata=False)} {len(rows)}".encode())
    for column in rows.columns:
        array = column.combine_chunks()
        array = array.chunk(0) if isinstance(array, pa.ChunkedArray) else array
        if array.null_count:
            hashed.update(array.is_valid().to_numpy(zero_copy_only=False).tobytes())
            array = pc.fill_null(array, _EMPTY.get(str(array.type), 0))
        if pa.types.is_string(array.type):
            # Lengths, and the texts one after the other.
            hashed.update(pc.binary_length(array).to_numpy().tobytes())
            _, offsets, texts = array.buffers()
            ends = np.frombuffer(offsets, dtype=np.int32)[array.offset : array.offset + len(array) + 1]
            if texts is not None and len(array):
                hashed.update(memoryview(texts)[ends[0] : ends[-1]])
        else:
            hashed.update(array.to_numpy(zero_copy_only=False).tobytes())
    return hashed.hexdigest()[:NAME_DIGITS]


def share(known: Path, path: Path) -> None:
    """Give a file a second name, in the version that is written."""
    try:
        os.link(known, path)
    except OSError:  # a disk without hard links
        shutil.copyfile(known, path)
