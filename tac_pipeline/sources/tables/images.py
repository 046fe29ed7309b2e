"""Images that are cells of a Parquet table, as Hugging Face's datasets hold them: found, and read in place.

Rows are read block by block, with the last blocks kept, so memory does not grow with the table or its row groups. Rows
that are asked for in their order are each read once.
"""

from __future__ import annotations

import re
import threading
from bisect import bisect_right
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from tac_pipeline.errors import SourceError
from tac_pipeline.sources.tables.parquet import IMAGE_NAMES, PARQUET_ERRORS, is_bytes

BLOCK_BYTES = 8 << 20
BLOCK_ROWS = 1024
# Threads ask for rows a little out of order.
KEPT_BLOCKS = 4
_PLACE = re.compile(r"(?P<table>.+)#row=(?P<row>\d+)", flags=re.DOTALL)


class ImageColumn(NamedTuple):
    """A column of images: the paths of its leaves in the file; path is None where there are only bytes."""

    name: str
    data: str
    path: str | None


def image_column(schema: pa.Schema, *, where: Path) -> ImageColumn | None:
    """The column of a table that holds the bytes of images: Hugging Face's struct, or plain bytes with a usual name.

    Raises
    ------
    SourceError
        There are several, and none has a usual name.
    """
    found = []
    for name, kind in zip(schema.names, schema.types, strict=True):
        if pa.types.is_struct(kind):
            fields = {part.name: part.type for part in kind}
            if "bytes" in fields and is_bytes(fields["bytes"]):
                found.append(ImageColumn(name, f"{name}.bytes", f"{name}.path" if "path" in fields else None))
        elif is_bytes(kind) and name.lower() in IMAGE_NAMES:
            found.append(ImageColumn(name, name, None))
    named = [column for column in found if column.name.lower() in IMAGE_NAMES]
    if named:
        return min(named, key=lambda column: IMAGE_NAMES.index(column.name.lower()))
    if len(found) > 1:
        names = " and ".join(repr(column.name) for column in found)
        raise SourceError(f"{where}: one column must hold the images; {names} could. Name it image.")
    return found[0] if found else None


def place_in_table(uri: str) -> tuple[str, int] | None:
    """The table and the row (from 0) that an image's uri names; None for other uris."""
    found = _PLACE.fullmatch(uri)
    return None if found is None else (found["table"], int(found["row"]))


class TableImages:
    """The images of one Parquet table.

    Parameters
    ----------
    path : Path
        The table. It is opened when first read from.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._file: pq.ParquetFile | None = None
        self._blocks: dict[int, list[bytes | None]] = {}  # by their first row, the last used at the end
        self._stream: Iterator[tuple[int, list[bytes | None]]] = iter(())
        self._group, self._next = -1, 0  # the stream's row group, and the first row that it has not given

    def read(self, row: int) -> bytes:
        """The bytes of a row's image; OSError when it has none or the table cannot be read."""
        with self._lock:
            try:
                data = self._find(row)
            except PARQUET_ERRORS as error:
                raise OSError(str(error)) from error
        if data is None:
            raise OSError(f"row {row} of {self._path} holds no image")
        return data

    def rows_with_images(self) -> Iterator[bool]:
        """Of every row, whether it holds the bytes of an image; read from the file's statistics where it has them."""
        file = self._open()
        for number in range(file.num_row_groups):
            group = file.metadata.row_group(number)
            chunk = self._chunk(group)
            nulls = chunk.statistics.null_count if chunk.statistics and chunk.statistics.has_null_count else None
            if nulls in (0, group.num_rows):
                yield from [nulls == 0] * group.num_rows
            else:
                for _, block in self._blocks_of(number):
                    yield from (data is not None for data in block)

    def _open(self) -> pq.ParquetFile:
        if self._file is None:
            # Without a buffer the whole row group would be read at once.
            self._file = pq.ParquetFile(self._path, buffer_size=1 << 20, pre_buffer=False)
            column = image_column(self._file.schema_arrow, where=self._path)
            if column is None:
                raise SourceError(f"{self._path} holds no images")
            self._column = column
            groups = [self._file.metadata.row_group(number).num_rows for number in range(self._file.num_row_groups)]
            self._starts = list(accumulate(groups, initial=0))
        return self._file

    def _chunk(self, group: Any) -> Any:
        for number in range(group.num_columns):
            chunk = group.column(number)
            if chunk.path_in_schema == self._column.data:
                return chunk
        raise SourceError(f"{self._path} is damaged: its end does not name {self._column.data}")

    def _find(self, row: int) -> bytes | None:
        self._open()
        if row >= self._starts[-1]:
            return None
        for start, block in self._blocks.items():
            if start <= row < start + len(block):
                self._blocks[start] = self._blocks.pop(start)
                return block[row - start]
        group = bisect_right(self._starts, row) - 1
        if group != self._group or row < self._next:
            self._group, self._stream = group, self._blocks_of(group)
        for start, block in self._stream:
            self._next = start + len(block)
            self._blocks[start] = block
            if len(self._blocks) > KEPT_BLOCKS:
                del self._blocks[next(iter(self._blocks))]
            if row < self._next:
                return block[row - start]
        raise OSError(f"{self._path} ends before row {row}")

    def _blocks_of(self, group: int) -> Iterator[tuple[int, list[bytes | None]]]:
        """The first row and the images of each block of a row group."""
        file = self._open()
        facts = file.metadata.row_group(group)
        mean = self._chunk(facts).total_uncompressed_size // max(1, facts.num_rows)
        rows = max(1, min(BLOCK_ROWS, BLOCK_BYTES // max(1, mean)))
        start = self._starts[group]
        for batch in file.iter_batches(
            batch_size=rows, row_groups=[group], columns=[self._column.data], use_threads=False
        ):
            column = batch.column(0)
            cells = column.to_pylist()
            yield start, [cell["bytes"] if isinstance(cell, dict) else cell for cell in cells]
            start += len(cells)
