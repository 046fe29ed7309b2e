"""Data sets in which images are rows of a few files, as a source: pickles, binaries, Parquet shards, Arrow files.

An image has the id `data_batch_1#row=000000017` and the uri `/…/data_batch_1#row=17`, with rows from 0, as a row of a
Parquet manifest. What must stay out: the forms of the files (cifar.py, stl10.py, huggingface.py).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from tac_pipeline.errors import SourceError
from tac_pipeline.sources.layouts.labeled import plain_words, read_text_file
from tac_pipeline.sources.listing import (
    LABEL,
    LABELS_KEY,
    ImageFiles,
    Listing,
    ListingBuilder,
    as_text,
    file_version,
    labels_table,
    unknown_column,
)
from tac_pipeline.sources.streaming import OverLimit
from tac_pipeline.sources.tables.images import place_in_table

BESIDE = "a file of the data set beside its images"
Values = Sequence[str | None]


@dataclass(frozen=True)
class RowFile:
    """A file in which every row is an image.

    Attributes
    ----------
    path : Path
    name : str
        The path below the source.
    count : int
        How many rows there are.
    read : callable
        The image file of a row, as bytes; OSError when it cannot be had.
    values : callable
        The values of a column, one a row; SourceError when they cannot be read.
    size : int or None
        Bytes of an image file, where all have the same.
    empty : iterable of int
        Rows without an image.
    """

    path: Path
    name: str
    count: int
    read: Callable[[int], bytes]
    values: Callable[[str], Values]
    size: int | None = None
    empty: frozenset[int] = frozenset()


@dataclass
class RowSet:
    """What is in a data set of rows.

    Attributes
    ----------
    name : str
        As messages call it.
    columns : tuple of str
    files : list of RowFile
    problems : list of (path, reason)
    notes : list of str
    """

    name: str
    columns: tuple[str, ...]
    files: list[RowFile] = field(default_factory=list)
    problems: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class RowSource(ImageFiles):
    """A data set in which images are rows of files.

    Parameters
    ----------
    location : Path
        A folder, or one file.
    open_set : callable
        Looks into the files; called again for every listing.
    """

    location: Path
    open_set: Callable[[], RowSet] = field(compare=False, repr=False)
    _opened: dict[str, RowSet] = field(default_factory=dict, init=False, compare=False, repr=False)

    def listing(self) -> Listing:
        """See ImageSource."""
        self._opened.clear()  # the files may have been written again
        rows, found = self._rows(), ListingBuilder()
        for path, reason in rows.problems:
            found.report(path, reason)
        for file in rows.files:
            status = file.path.stat()
            version = file_version(status.st_mtime_ns, status.st_size)
            for row in range(file.count):
                if row in file.empty:
                    found.report(f"{file.name}, row {row}", "holds no image")
                    continue
                found.add_image(row_id(file.name, row), uri=f"{file.path}#row={row}", size=file.size, version=version)
        for name in self._others(rows):
            found.pass_over(name, BESIDE)
        found.note(f"{self.location.name} is read as {rows.name}; its columns are {', '.join(rows.columns)}")
        found.note(*rows.notes, *self._missing(rows))
        return found.finish(where=str(self.location), empty=f"{self.location} ({rows.name}) holds no images")

    def columns(self) -> tuple[str, ...]:
        """See ImageSource."""
        return self._rows().columns

    def labels(
        self, image_ids: Sequence[str], kind: str, *, column: str = LABEL, key: str = LABELS_KEY
    ) -> pl.DataFrame:
        """See ImageSource; rows of files have labels of kind column alone."""
        rows = self._rows()
        if kind == "folder":
            raise SourceError(f"{key}: folder needs image files; {self.location} is {rows.name}. Use column.")
        if column not in rows.columns:
            raise unknown_column(column, rows.columns, where=f"{self.location} ({rows.name})", key=key)
        files = {file.name: file for file in rows.files}
        values: dict[str, Values] = {}
        pairs = []
        for image_id in image_ids:
            name, _, row = image_id.rpartition("#row=")
            file = files.get(name)
            if file is None or not row.isdecimal() or int(row) >= file.count:
                continue
            if name not in values:
                values[name] = file.values(column)
            value = values[name][int(row)]
            if value is not None:
                pairs.append((image_id, value))
        return labels_table(pairs)

    def read(self, uri: str, *, limit: int | None = None) -> bytes:
        """See ByteReader."""
        place = place_in_table(uri)
        file = (
            None if place is None else next((file for file in self._rows().files if str(file.path) == place[0]), None)
        )
        if place is None or file is None:
            raise FileNotFoundError(f"{uri} is no image of {self.location}")
        if place[1] >= file.count:
            raise OSError(f"{file.path} ends before row {place[1]}: it has {file.count:,} rows")
        if limit is not None and file.size is not None and file.size > limit:
            raise OverLimit(file.size, limit)
        data = file.read(place[1])
        if limit is not None and len(data) > limit:
            raise OverLimit(len(data), limit)
        return data

    def _rows(self) -> RowSet:
        if "set" not in self._opened:
            self._opened["set"] = self.open_set()
        return self._opened["set"]

    def _others(self, rows: RowSet) -> Iterator[str]:
        """The files of the folder that hold no images."""
        taken = {file.path for file in rows.files}
        if self.location.is_file():
            return
        for folder, _, names in os.walk(self.location):
            for name in sorted(names):
                path = Path(folder, name)
                if path not in taken:
                    yield as_text(str(path.relative_to(self.location)))

    def _missing(self, rows: RowSet) -> Iterator[str]:
        """How many images have no value in a usual column."""
        total = sum(file.count for file in rows.files)
        for column in (name for name in rows.columns if name in ("label", "coarse", "split")):
            try:
                without = sum(value is None for file in rows.files for value in file.values(column))
            except SourceError as error:
                yield str(error)
                continue
            if without:
                yield f"{without:,} of {total:,} images have no {column}"


def row_id(name: str, row: int) -> str:
    """The id of a row; the digits before the number make the order of the ids the order of the rows."""
    return f"{name}#row={row:09d}"


def constant(value: str | None, count: int) -> Values:
    """The same value in every row."""
    return [value] * count


def named(numbers: Iterable[int], names: Sequence[str], *, first: int = 0) -> Values:
    """The names of numbered classes, None for a number that has none."""
    last = first + len(names) - 1
    return [names[number - first] if first <= number <= last else None for number in numbers]


def read_at(path: Path, offset: int, size: int) -> bytes:
    """A part of a file; OSError unless all of it is there."""
    with path.open("rb") as file:
        file.seek(offset)
        data = file.read(size)
    if len(data) != size:
        raise OSError(f"{path} is cut short: {size:,} bytes wanted at {offset:,}, {len(data):,} there")
    return data


def picture_file(pixels: npt.NDArray[np.uint8]) -> bytes:
    """An image file of uint8 (height, width, 3): PPM, which is written and read faster than BMP or PNG."""
    height, width, _ = pixels.shape
    return b"P6 %d %d 255\n" % (width, height) + np.ascontiguousarray(pixels).tobytes()


def picture_size(side: int) -> int:
    """Bytes of the image file of a square."""
    return len(picture_file(np.zeros((side, side, 3), dtype=np.uint8)))


# Names are texts of a few bytes.
MAX_NAMES_BYTES = 64 << 10


def wrong_md5(path: Path, count: int, published: dict[str, tuple[int, str]]) -> Iterator[tuple[str, str]]:
    """A problem, if a file has as many rows as the published one and other bytes."""
    known = published.get(path.name)
    if known is None or known[0] != count:
        return
    with path.open("rb") as file:
        found = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    if found != known[1]:
        yield (
            path.name,
            f"is not the file that is published: its md5 must be {known[1]}; it is {found}. It is read all the same; "
            "download it again unless you changed it.",
        )


def read_names(path: Path) -> list[str]:
    """The names of classes, one a line, as words."""
    return [plain_words(line) for line in read_text_file(path, limit=MAX_NAMES_BYTES).splitlines() if line.strip()]


def out_of_range(
    name: str, numbers: Sequence[int], values: Values, column: str, *, first: int = 0, last: int
) -> Iterator[tuple[str, str]]:
    """A problem, if some numbers have no name."""
    wrong = [row for row, value in enumerate(values) if value is None]
    if wrong:
        yield (
            name,
            f"must have values of {column} from {first} to {last}; {len(wrong):,} rows have others, such as row "
            f"{wrong[0]} with {numbers[wrong[0]]}. They have none.",
        )
