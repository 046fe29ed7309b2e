"""What was found in each folder of a local source, so that a folder that is as it was is not listed again.

A folder's time changes when a name in it comes, goes or is another file. It does not when a file is overwritten in
place: only a full listing sees that. A folder is kept only when nothing in it has just changed, because a clock has
grains, and because files that are being written grow without a trace in their folder's time.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import NamedTuple

import polars as pl

from tac_pipeline.sources.listing import ListingBuilder, as_text

# Raise it when the same folder gives other rows than before: what was kept is then made again.
KEPT_CODE = 1
# What changed more recently, or is as far in the future, is listed once more.
QUIET_SECONDS = 600
KEPT = {"kind": pl.Int8, "path": pl.String, "size": pl.Int64, "version": pl.String, "note": pl.String}
# Rows that are held as Python's own objects.
_OPEN_ROWS = 65_536


class Kind(IntEnum):
    """What a row stands for. The rows of what is in a folder come first, and then its own."""

    FOLDER = 0  # version: its stamp; note: the rule, where the folder itself is passed over for what it holds
    COUNTED = 1  # a folder that is passed over, and how many files (size) are in it; version: its stamp
    INNER = 2  # a folder in it; note: the rule that passes it over
    IMAGE = 3
    ARCHIVE = 4
    PASSED = 5  # a file that is passed over; note: the rule
    PROBLEM = 6  # note: what is wrong


class KeptFolder(NamedTuple):
    """A folder as it was found: see Kind. `start` and `stop` are its rows."""

    stamp: str
    rule: str | None
    files: int
    start: int
    stop: int
    inner: list[tuple[str, str | None]]


_Row = tuple[int, str, "int | None", "str | None", "str | None"]


@dataclass
class _Open:
    """The folder that is being listed, where its first row is, and its rows that fill tables."""

    kind: Kind
    below: str
    stamp: str
    start: int
    parts: list[pl.DataFrame] = field(default_factory=list)


class KeptFolders:
    """The folders of a source: those that are as they were, and what is found in the others.

    Parameters
    ----------
    before : DataFrame or None
        What `rows` gave last time.
    """

    def __init__(self, before: pl.DataFrame | None) -> None:
        self._before = pl.DataFrame(schema=KEPT) if before is None else before
        self._known = _folders_of(self._before)
        self._same: list[list[int]] = []
        self._parts: list[pl.DataFrame] = []
        self._rows: list[_Row] = []
        self._open: _Open | None = None

    def begin(self, path: str, below: str, *, counted: bool = False) -> KeptFolder | None:
        """What was found in a folder that is as it was; else what is added until `end` is what is found in it now."""
        try:
            # Before the folder is listed: what changes meanwhile gives it another stamp than this one.
            status = os.stat(path)  # noqa: PTH116 - a path of undecodable bytes
        except OSError:
            self._open = None
            return None
        kind, stamp = Kind.COUNTED if counted else Kind.FOLDER, _stamp(status)
        known = self._known.get((kind, below))
        if known is not None and known.stamp == stamp:
            if self._same and self._same[-1][1] == known.start:
                self._same[-1][1] = known.stop
            else:
                self._same.append([known.start, known.stop])
            return known
        # File systems that know no times say 0.
        self._open = _Open(kind, below, stamp, len(self._rows)) if status.st_mtime_ns > 0 else None
        self.require_name(below)
        self.require_quiet(status)
        return None

    def add(
        self, kind: Kind, path: str, *, size: int | None = None, version: str | None = None, note: str | None = None
    ) -> None:
        """Something in the folder; see Kind."""
        opened = self._open
        if opened is None:
            return
        self._rows.append((kind, path, size, version, note))
        if len(self._rows) >= _OPEN_ROWS:
            self._parts += _frames(self._rows[: opened.start])
            opened.parts += _frames(self._rows[opened.start :])
            self._rows, opened.start = [], 0

    def doubt(self) -> None:
        """The folder's time does not tell what is in it: it is listed again next time."""
        if self._open is not None:
            del self._rows[self._open.start :]
            self._open = None

    def require_quiet(self, status: os.stat_result) -> None:
        """Doubt the folder where something has just changed, or is still being written."""
        now, quiet = time.time_ns(), QUIET_SECONDS * 1_000_000_000
        if abs(now - status.st_mtime_ns) < quiet or abs(now - status.st_ctime_ns) < quiet:
            self.doubt()

    def require_name(self, name: str) -> None:
        """Doubt the folder where tables cannot hold a name as it is."""
        if as_text(name) != name:
            self.doubt()

    def end(self, *, files: int = 0, rule: str | None = None) -> None:
        """The folder was listed to its end; files is what Kind.COUNTED says, and rule what Kind.FOLDER says."""
        if self._open is not None:
            self.add(self._open.kind, self._open.below, size=files, version=self._open.stamp, note=rule)
            self._parts += self._open.parts
            self._open = None

    def add_unchanged(self, found: ListingBuilder, *, uri_of_root: str) -> list[str]:
        """Add what was found in the folders that are as they were to a listing; the paths of their archives."""
        same = self._unchanged()
        of_kind = {kind: same.filter(pl.col("kind") == kind) for kind in (Kind.IMAGE, Kind.PASSED, Kind.PROBLEM)}
        above = uri_of_root if uri_of_root.endswith("/") else f"{uri_of_root}/"
        found.add_images(
            of_kind[Kind.IMAGE].select(
                image_id="path", uri=pl.lit(above) + pl.col("path"), size="size", version="version"
            )
        )
        for path, rule in of_kind[Kind.PASSED].select("path", "note").iter_rows():
            found.pass_over(path, rule)
        for path, reason in of_kind[Kind.PROBLEM].select("path", "note").iter_rows():
            found.report(path, reason)
        return same.filter(pl.col("kind") == Kind.ARCHIVE)["path"].to_list()

    def rows(self) -> pl.DataFrame | None:
        """What to keep for the next time; None when it is what was kept before."""
        new = [*self._parts, *_frames(self._rows)]
        # Rows of folders that are gone are harmless: no folder names them.
        return pl.concat([self._unchanged(), *new]) if new else None

    def _unchanged(self) -> pl.DataFrame:
        return pl.concat([self._before.clear(), *(self._before[start:stop] for start, stop in self._same)])


def _stamp(status: os.stat_result) -> str:
    """Changes when a name in a folder comes or goes, when it is another folder, and when its rights change.

    The time of the last change of any kind tells even where a program has set the folder's time back.
    """
    return f"{status.st_dev}-{status.st_ino}-{status.st_mtime_ns}-{status.st_ctime_ns}"


def _frames(rows: Sequence[_Row]) -> list[pl.DataFrame]:
    return [pl.DataFrame(rows, schema=KEPT, orient="row")] if rows else []


def _folders_of(rows: pl.DataFrame) -> dict[tuple[int, str], KeptFolder]:
    """The folders of kept rows, by kind and path."""
    of_folders = pl.col("kind").is_in([Kind.FOLDER, Kind.COUNTED, Kind.INNER])
    found: dict[tuple[int, str], KeptFolder] = {}
    inner: list[tuple[str, str | None]] = []
    start = 0
    for at, kind, path, size, version, note in rows.with_row_index("at").filter(of_folders).iter_rows():
        if kind == Kind.INNER:
            inner.append((path, note))
        else:
            found[kind, path] = KeptFolder(version or "", note, size or 0, start, at + 1, inner)
            start, inner = at + 1, []
    return found
