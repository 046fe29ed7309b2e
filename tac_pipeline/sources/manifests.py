"""Manifests as sources: tables that say where the images are, or hold their bytes.

One row never stops the others: a row that cannot be used is a problem with its place, and a file that is not there
stays a row, which reading reports. What must stay out: the forms of tables (tables.py).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

import polars as pl
import pyarrow.parquet as pq

from tac_pipeline.errors import SourceError
from tac_pipeline.sources.listing import (
    LABEL,
    LABELS_KEY,
    ImageFiles,
    Listing,
    ListingBuilder,
    as_path,
    file_version,
    folder_labels,
)
from tac_pipeline.sources.remote import TIMEOUT, read_url
from tac_pipeline.sources.streaming import OverLimit, read_local
from tac_pipeline.sources.tables.columns import (
    PARQUET_SUFFIX,
    RowProblems,
    TextTable,
    plain_name,
    refuse_repeats,
    table_kind,
)
from tac_pipeline.sources.tables.images import ImageColumn, TableImages, image_column, place_in_table
from tac_pipeline.sources.tables.parquet import PARQUET_BATCH_ROWS, PARQUET_ERRORS, column_texts, parquet_schema
from tac_pipeline.sources.tables.reading import read_text_table, table_columns

NOTED_ROWS = 3


@dataclass(frozen=True)
class ManifestSource(ImageFiles):
    """A table with a uri for every image, or with the images themselves, and optionally image_id and label.

    Text with separators, JSON lines, a list of paths, or Parquet (TABLE_SUFFIXES). A relative path resolves against the
    manifest's folder and must stay inside it; absolute paths and URLs are used unchanged. An image that is a cell of a
    Parquet table has the uri `table.parquet#row=17`, with rows from 0.

    Attributes
    ----------
    path : Path
    timeout : float
        Seconds after which reading a remote image is given up.
    """

    path: Path
    timeout: float = TIMEOUT
    _tables: dict[str, TableImages] = field(default_factory=dict, init=False, compare=False, repr=False)

    def listing(self) -> Listing:
        """See ImageSource; without a column image_id the uri, as written, is the id."""
        self._tables.clear()  # a table may have been written again
        table, inside = self._table("uri", "image_id", "label")
        found, problems, kept = ListingBuilder(), RowProblems(), _Kept()
        for place, reason in table.problems:
            problems.add(place, reason)
        places = Places(self.path.parent)
        of_table = _status(str(self.path))
        version = "unknown" if of_table is None else file_version(of_table.st_mtime_ns, of_table.st_size)
        uris, ids = _column(table, "uri"), table.values.get("image_id")
        for row, (written, here) in enumerate(zip(uris, inside, strict=True)):
            number = table.numbers[row]
            # Digits before the number make the order of the ids the order of the rows, in which they read fastest.
            own_id = ids[row] if ids is not None else f"{self.path.name}#row={number:09d}" if here else written
            try:
                if here:
                    uri, size, known = f"{self.path}#row={number}", None, version
                else:
                    uri, size, known = places.find(written)
                if own_id is None:
                    raise UnusableRow("image_id must not be empty")
            except UnusableRow as error:
                problems.add(table.place(row), str(error))
                continue
            if places.remark:
                problems.add(table.place(row), places.remark)
            kept.add(own_id, row)
            found.add_image(own_id, uri=uri, size=size, version=known)
        refuse_repeats(kept.image_ids, lambda at: table.place(kept.rows[at]), where=self.path)
        problems.tell(found)
        found.note(*table.notes, *places.notes)
        return found.finish(where=str(self.path), empty=f"the manifest {self.path} has no rows that can be used")

    def labels(
        self, image_ids: Sequence[str], kind: str, *, column: str = LABEL, key: str = LABELS_KEY
    ) -> pl.DataFrame:
        """See ImageSource."""
        if kind == "folder":
            return folder_labels(image_ids, kind, where=str(self.path))
        table, inside = self._table("uri", "image_id", column)
        ids = table.values.get("image_id")
        if ids is None:
            rows = zip(table.numbers, _column(table, "uri"), inside, strict=True)
            ids = [f"{self.path.name}#row={number:09d}" if here else uri for number, uri, here in rows]
        return column_labels(table, ids, image_ids, column=column, key=key)

    def columns(self) -> tuple[str, ...]:
        """See ImageSource; the table's columns."""
        return table_columns(self.path)

    def read(self, uri: str, *, limit: int | None = None) -> bytes:
        """See ByteReader; an image in a cell is read before it is known how large it is."""
        place = place_in_table(uri)
        if place is not None:
            data = self._tables.setdefault(place[0], TableImages(Path(place[0]))).read(place[1])
            if limit is not None and len(data) > limit:
                raise OverLimit(len(data), limit)
            return data
        if "://" in uri:
            return read_url(uri, limit=limit, timeout=self.timeout)
        return read_local(Path(as_path(uri)), limit)

    def _table(self, *wanted: str) -> tuple[TextTable, list[bool]]:
        """The table, and whether each row holds its image."""
        images = None
        if table_kind(self.path) == PARQUET_SUFFIX:
            schema = parquet_schema(self.path)
            images = (
                None
                if any(plain_name(name) == "uri" for name in schema.names)
                else image_column(schema, where=self.path)
            )
        if images is None:
            table = read_text_table(self.path, wanted=wanted, required=("uri",))
            return table, [False] * len(table.numbers)
        table = read_text_table(self.path, wanted=[name for name in wanted if name != "uri"])
        table.notes.insert(0, f"the images are in the column {images.name} of the table itself")
        try:
            if images.path is not None:
                table.values["uri"] = list(_paths_of(self.path, images))
            return table, list(TableImages(self.path).rows_with_images())
        except PARQUET_ERRORS as error:
            raise SourceError(f"cannot read {self.path}: {error}") from error


def column_labels(
    table: TextTable,
    ids: Sequence[str | None],
    image_ids: Sequence[str],
    *,
    column: str = LABEL,
    key: str = LABELS_KEY,
) -> pl.DataFrame:
    """Columns image_id, label of the wanted images, from a table with a column of labels.

    Raises
    ------
    SourceError
        The table has no such column.
    """
    if column not in table.values:
        also = " (or class, category)" if column == LABEL else ""
        raise SourceError(f"{key} needs a column {column}{also} in {table.path}; it has {table.names}")
    schema = {"image_id": pl.String, "label": pl.String}
    labels = pl.DataFrame({"image_id": ids, "label": table.values[column]}, schema=schema)
    # A row that is no image may have the id of one.
    known = labels.drop_nulls().unique("image_id", keep="first", maintain_order=True)
    wanted = pl.DataFrame({"image_id": image_ids}, schema={"image_id": pl.String})
    return wanted.join(known, on="image_id", how="inner").sort("image_id")


def _column(table: TextTable, name: str) -> list[str | None]:
    return table.values.get(name, [None] * len(table.numbers))


def _paths_of(path: Path, images: ImageColumn) -> Iterator[str | None]:
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=PARQUET_BATCH_ROWS, columns=[images.path]):
            yield from column_texts(batch.column(0).field("path"))


class UnusableRow(Exception):
    """A row of a table cannot be used; the message says why."""


@dataclass
class _Kept:
    """The rows of a table that became images."""

    image_ids: list[str] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)

    def add(self, image_id: str, row: int) -> None:
        self.image_ids.append(image_id)
        self.rows.append(row)


def folders_of(written: pl.Series) -> list[str]:
    """The folders of paths that are relative, as a table writes them; each once, sorted."""
    relative = written.filter(~written.str.contains("://", literal=True) & ~written.str.starts_with("/"))
    return relative.str.extract(r"^(.*)/", 1).fill_null("").unique().sort().to_list()


class Places:
    """Finds the files that a table names.

    Parameters
    ----------
    folder : Path
        The table's folder, against which relative paths resolve.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = str(folder.resolve())
        self._windows: list[str] = []
        self._there: dict[str, bool] = {}
        self._count = 0
        # What is worth a report about the last row, although it is an image.
        self.remark = ""

    @property
    def notes(self) -> list[str]:
        """What was read in another way than it is written."""
        if not self._count:
            return []
        shown = ", ".join(self._windows)
        return [f"{self._count:,} paths are written with \\ and were found with /: {shown}"]

    def find(self, written: str | None) -> tuple[str, int | None, str]:
        """The uri, size and version of a row's file; UnusableRow when it names none."""
        self.remark = ""
        if written is None:
            raise UnusableRow("uri must not be empty")
        if written[:5].lower() == "file:":
            return self._local(written, _path_of_url(written))
        if "://" in written:
            # Remote files are not asked one by one; they count as unchanged.
            return written, None, "unknown"
        return self._local(written, written)

    def beside(self, written: str) -> str:
        """The absolute path of a relative one that names a file; everything else as it is written."""
        if "://" in written or written.startswith("/") or not self._folder_there(written):
            return written
        target = self._inside(written)
        return target if target is not None and _status(target) is not None else written

    def folder_there(self, folder: str) -> bool:
        """Whether a folder of `folders_of` is there, in which relative paths may name files."""
        return self._folder_there(f"{folder}/file" if folder else "file")

    def _folder_there(self, path: str) -> bool:
        """Whether there is a folder in which a relative path may name a file; each folder is looked for once."""
        folder, _, name = path.rpartition("/")
        if name in ("", ".", ".."):
            return True
        if folder not in self._there:
            target = self._inside(folder)
            status = None if target is None else _status(target)
            self._there[folder] = status is not None and stat.S_ISDIR(status.st_mode)
        return self._there[folder]

    def _local(self, written: str, path: str) -> tuple[str, int | None, str]:
        target = self._absolute(path)
        status = _status(target)
        if status is None and "\\" in path:
            posix = self._inside(path.replace("\\", "/"))
            found = None if posix is None else _status(posix)
            if posix is not None and found is not None:
                target, status = posix, found
                self._count += 1
                self._windows += [written] if len(self._windows) < NOTED_ROWS else []
        if status is None:
            self._remark_decoded(path)
            return target, None, "unknown"
        if not stat.S_ISREG(status.st_mode):
            kind = "a folder" if stat.S_ISDIR(status.st_mode) else "a named pipe, a socket or a device"
            raise UnusableRow(f"uri must name a file; {written!r} is {kind}")
        return target, status.st_size, file_version(status.st_mtime_ns, status.st_size)

    def _absolute(self, path: str) -> str:
        inside = self._inside(path)
        if path.startswith("~") and (inside is None or not os.path.lexists(inside)):
            inside = os.path.expanduser(path)  # noqa: PTH111 - it leaves an unknown user as it is
            inside = inside if os.path.isabs(inside) else self._inside(path)  # noqa: PTH117 - of a text
        if inside is None:
            raise UnusableRow(
                f"a relative path must stay below the manifest's folder; got {path!r}. Write it as an absolute path if "
                "it is meant"
            )
        return inside

    def _inside(self, path: str) -> str | None:
        """The path from the manifest's folder; None when it leads out of it."""
        if path.startswith("/"):
            return path
        target = os.path.normpath(os.path.join(self._folder, path))  # noqa: PTH118 - a Path each is slow
        below = target == self._folder or target.startswith(self._folder.rstrip("/") + "/")
        return target if below else None

    def _remark_decoded(self, path: str) -> None:
        decoded = unquote(path)
        target = self._inside(decoded) if decoded != path else None
        if target is not None and _status(target) is not None:
            self.remark = (
                f"a plain path is taken as written; nothing is at {path!r}, but {target!r} exists. Write it without "
                "percent codes, or as a file:// URL"
            )


def local_path(uri: str) -> str:
    """The path that a uri names on this machine; OSError for one that is elsewhere."""
    if uri[:5].lower() == "file:":
        try:
            return _path_of_url(uri)
        except UnusableRow as error:
            raise FileNotFoundError(str(error)) from error
    if "://" in uri:
        raise FileNotFoundError("it is not on this machine")
    return uri


def _path_of_url(url: str) -> str:
    """The local path that a file URL names."""
    rest = url[5:]
    if rest.startswith("//"):
        host, slash, path = rest[2:].partition("/")
        if host.lower() not in ("", "localhost") or not slash:
            raise UnusableRow(
                f"a file URL must have the form file:///folder/image.jpg; got {url!r}. Write a path without file:"
            )
        rest = slash + path
    decoded = unquote(rest)
    if not decoded.startswith("/"):
        raise UnusableRow(f"a file URL must have the form file:///folder/image.jpg; got {url!r}")
    # Some programs write file:// before a path without encoding it.
    return rest if _status(decoded) is None and _status(rest) is not None else decoded


def _status(path: str) -> os.stat_result | None:
    try:
        return os.stat(as_path(path))  # noqa: PTH116 - a Path each is slow
    except (OSError, ValueError):
        return None
