"""One segment of a table after the other, so that work is in proportion to the segments that changed.

A table of one file is one segment, and what is said of many holds for it. What must stay out: where tables are cut
(cutting.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import polars as pl
import pyarrow.parquet as pq

from tac_pipeline.arrow import frame_of
from tac_pipeline.store.digests import NAME_DIGITS
from tac_pipeline.store.parquet import TableSchema, read_frame
from tac_pipeline.store.segments.cutting import segments_of

if TYPE_CHECKING:
    from tac_pipeline.store.artifact import Artifact


class Rows(Protocol):
    """Some rows of a table, on disk or in memory.

    Attributes
    ----------
    digest : str
        Of the rows: equal rows have equal digests.
    alone : bool
        Whether these are all rows of the table.
    """

    @property
    def digest(self) -> str:
        """See above."""

    @property
    def alone(self) -> bool:
        """See above."""

    def frame(self, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """The rows, or some columns of them."""


@dataclass(frozen=True)
class Segment:
    """One file of a table of an artifact."""

    artifact: Artifact
    schema: TableSchema
    name: str
    digest: str
    alone: bool

    @property
    def path(self) -> Path:
        """The file."""
        return self.artifact.folder / self.name

    @property
    def rows(self) -> int:
        """How many it has."""
        return int(self._footer.num_rows)

    @cached_property
    def bounds(self) -> tuple[str, str]:
        """The first and the last key; empty of a segment without rows."""
        if not self.rows:
            return "", ""
        place = self._footer.schema.names.index(self.schema.key)
        groups = (0, self._footer.num_row_groups - 1)
        ends = [self._footer.row_group(group).column(place).statistics for group in groups]
        if all(found is not None and found.has_min_max for found in ends):
            return ends[0].min, ends[1].max
        keys = self.frame([str(self.schema.key)]).to_series()
        return keys[0], keys[-1]

    @cached_property
    def _footer(self) -> pq.FileMetaData:
        return pq.read_metadata(self.artifact.file(self.name))

    def frame(self, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """See Rows; the digest of the file is compared."""
        return frame_of(self.artifact.part(self.name, self.schema, columns=columns, checked=True))


@dataclass(frozen=True)
class HeldRows:
    """Rows in memory."""

    table: pl.DataFrame
    digest: str
    alone: bool

    def frame(self, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """See Rows."""
        return self.table if columns is None else self.table.select(columns)


@dataclass(frozen=True)
class FileRows:
    """A segment of an artifact that is being built."""

    path: Path
    schema: TableSchema
    digest: str
    alone: bool = False

    def frame(self, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """See Rows."""
        return read_frame(self.path, self.schema, columns=columns)


def segments(artifact: Artifact, schema: TableSchema) -> list[Segment]:
    """The segments of a table, in its order."""
    files = artifact.record["files"]
    names = segments_of(schema, files)
    if names == [schema.file_name]:
        return [Segment(artifact, schema, names[0], str(files[names[0]]["sha256"])[:NAME_DIGITS], alone=True)]
    return [Segment(artifact, schema, name, digest_in(name), alone=False) for name in names]


def digest_in(name: str) -> str:
    """The digest of its rows that the name of a segment has."""
    return name.rpartition("-")[2].removesuffix(".parquet")


def with_keys(parts: Sequence[Segment], keys: pl.Series) -> list[Segment]:
    """The segments whose keys may include some of these."""
    ordered = keys.unique().sort()
    if len(parts) == 1 or ordered.is_empty():
        return list(parts[:1]) if len(ordered) else []
    texts = np.array(ordered.to_list(), dtype=object)
    found = []
    for part in parts:
        first, last = part.bounds
        if np.searchsorted(texts, first) < np.searchsorted(texts, last, side="right"):
            found.append(part)
    return found


def rows_beside(parts: Sequence[Segment], part: Segment, columns: Sequence[str] | None = None) -> pl.DataFrame:
    """The rows of a table with keys from the first to the last of a segment of another table."""
    if part.alone:
        return pl.concat(other.frame(columns) for other in parts)
    first, last = part.bounds
    near = [other for other in parts if other.alone or (other.bounds[0] <= last and first <= other.bounds[1])]
    found = pl.concat(other.frame(columns) for other in near or parts[:1])
    return found.filter(pl.col(str(parts[0].schema.key)).is_between(pl.lit(first), pl.lit(last)))


def rows_between(table: pl.DataFrame, part: Segment) -> pl.DataFrame:
    """The rows of a table sorted by image_id that are between the first and the last key of a segment."""
    if part.alone or table.is_empty():
        return table
    ids, (first, last) = table["image_id"], part.bounds
    start = ids.search_sorted(first)
    return table.slice(start, ids.search_sorted(last, side="right") - start)


def rows_with(parts: Sequence[Segment], keys: pl.Series, columns: Sequence[str] | None = None) -> pl.DataFrame:
    """The rows with these keys, in the table's order; only segments that may have some are read."""
    key = str(parts[0].schema.key)
    wanted = None if columns is None else list(dict.fromkeys([*columns, key]))
    near = with_keys(parts, keys) or parts[:1]
    table = pl.concat(part.frame(wanted).filter(pl.col(key).is_in(keys.implode())) for part in near)
    return table if columns is None else table.select(columns)
