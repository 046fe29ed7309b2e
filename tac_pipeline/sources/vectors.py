"""Tables of vectors that are already computed, as sources: one file, or several files that are one table.

A row with a vector that cannot be used stays an image, with the reason as its error. Vectors are read in batches and
never unpickled. What must stay out: encoding (encoders/).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import polars as pl

from tac_pipeline.arrays import FloatMatrix
from tac_pipeline.arrow import UNSTATED_ENCODER
from tac_pipeline.digest import digest
from tac_pipeline.errors import SourceError
from tac_pipeline.sources.archives import ListingCache
from tac_pipeline.sources.listing import LABEL, LABELS_KEY, PASSED_OVER, PROBLEMS, Listing, ListingBuilder, as_path
from tac_pipeline.sources.manifests import Places, column_labels, folders_of, local_path
from tac_pipeline.sources.streaming import read_local
from tac_pipeline.sources.tables.columns import RowProblems, refuse_repeats
from tac_pipeline.sources.tables.reading import read_text_table, table_columns
from tac_pipeline.sources.tables.vectors import (
    RowBatch,
    VectorPart,
    Widths,
    find_vector_files,
    open_part,
    table_beside,
)

# Raise it when the code finds other rows in a file than before: kept rows are then made again.
_ROWS_CODE = 1
_ROWS = {"row": pl.Int64, "image_id": pl.String, "uri": pl.String, "version": pl.String, "width": pl.Int32}
# More folders of pictures than these are not looked for one by one.
MOST_FOLDERS = 1_000


class VectorBatch(NamedTuple):
    """Some rows of a vector table.

    Attributes
    ----------
    image_ids : list of str
    digests : list of str
        Of each vector as it is stored.
    vectors : float32 (n_rows, dim), unit rows; zero where there is an error
    errors : list
        Why a row's vector cannot be used; None where it can.
    """

    image_ids: list[str]
    digests: list[str]
    vectors: FloatMatrix
    errors: list[str | None]


class NamedPictures:
    """Reads the local pictures that rows of vectors name by their uri; they are for people, and nothing is fetched."""

    def read(self, uri: str, *, limit: int | None = None) -> bytes:
        """See ByteReader."""
        path = Path(as_path(local_path(uri)))
        if not path.is_absolute():
            raise FileNotFoundError("its vector names no picture on this machine")
        return read_local(path, limit)


@dataclass(frozen=True)
class VectorSource:
    """Vectors that are already computed, each with an image_id or a uri, and optionally a label.

    Parameters
    ----------
    path : Path
        A .parquet with a column of vectors; a .npy beside a table with as many rows; a folder of such files, or
        clip-retrieval's folder, or a pattern of such files: they are one table.
    listings : ListingCache, optional
        Keeps the ids and digests of each file, so that only new and changed files are read.
    """

    path: Path
    listings: ListingCache | None = field(default=None, compare=False, repr=False)
    _widths: list[int] = field(default_factory=list, init=False, compare=False, repr=False)

    def listing(self) -> Listing:
        """See ImageSource; version is a digest of the vector as it is stored."""
        found, widths, problems = ListingBuilder(), Widths(), RowProblems()
        parts = self._parts(found)
        rows = [self._rows(part, found, alone=len(parts) == 1) for part in parts]
        for part, table in zip(parts, rows, strict=True):
            widths.count(table["width"].to_numpy())
            for row in table.filter(pl.col("image_id").is_null())["row"]:
                problems.add(f"{part.path.name}, row {row}", "image_id must not be empty")
        listed = pl.concat(table.with_columns(part=pl.lit(number)) for number, table in enumerate(rows))
        listed = listed.drop_nulls("image_id")
        del rows
        found.add_images(self._images(listed))
        ids = listed["image_id"]
        refuse_repeats(
            ids, lambda at: f"{parts[listed['part'][at]].path.name}, row {listed['row'][at]}", where=self.path
        )
        problems.tell(found)
        if len(ids):
            self._widths[:] = [widths.common(self.path)]
        found.note(*(note for part in parts for note in part.notes))
        return found.finish(where=str(self.path), empty=f"the vector table {self.path} has no rows that can be used")

    def _rows(self, part: VectorPart, found: ListingBuilder, *, alone: bool) -> pl.DataFrame:
        """Columns of the table vector_rows: what is in one file, kept or read; a damaged file is reported."""
        name = _kept_name(part.path)
        known = None if self.listings is None else self.listings.find_rows(name)
        if known is not None:
            return known
        read, whole = [pl.DataFrame(schema=_ROWS)], True
        try:
            read += [_table_of(batch) for batch in part.batches()]
        except SourceError as error:
            if alone:
                raise
            whole = False
            found.report(part.path.name, str(error))
        table = pl.concat(read)
        if whole and self.listings is not None:
            self.listings.keep_rows(name, table)
        return table

    def _images(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Rows with an image_id as images of a listing."""
        places = Places(self.path if self.path.is_dir() else self.path.parent)
        uris = rows["uri"]
        if any(map(places.folder_there, folders_of(uris))):
            uris = pl.Series("uri", [places.beside(uri) for uri in uris], dtype=pl.String)
        return rows.select("image_id", uris, size=pl.lit(None, dtype=pl.Int64), version="version")

    def kept_parts(self) -> list[str]:
        """The names under which the rows of each file are kept: a file that changes gets another."""
        return [_kept_name(path) for path in find_vector_files(self.path) or [self.path]]

    def images_of(self, names: Sequence[str]) -> Listing | None:
        """The images of some files alone, by their kept names; None where the whole source must be listed.

        Raises
        ------
        SourceError
            None of these rows can be used.
        """
        if self.listings is None:
            return None
        new, found = [name for name in names if not self.listings.has_rows(name)], ListingBuilder()
        for path in find_vector_files(self.path) or [self.path]:
            if _kept_name(path) in new:
                self._rows(open_part(path), found, alone=True)
        tables = [self.listings.find_rows(name) for name in names]
        rows = pl.concat([pl.DataFrame(schema=_ROWS), *(table for table in tables if table is not None)])
        if (
            any(table is None for table in tables)
            or rows["image_id"].null_count()
            or rows["image_id"].is_duplicated().any()
        ):
            return None
        images = self._images(rows).sort("image_id")
        empty = pl.DataFrame(schema=PASSED_OVER)
        return Listing(images, empty, pl.DataFrame(schema=PROBLEMS))

    def forget_other_parts(self) -> None:
        """Let go of the kept rows of files that are not there, or that have changed."""
        if self.listings is not None:
            self.listings.forget_rows_but(self.kept_parts())

    def absent_folders(self, uris: pl.Series, known: Sequence[str] = ()) -> list[str] | None:
        """The folders beside the table that rows name and that are not there; None where one is, or they are many.

        `known` has folders that other rows name.
        """
        places = Places(self.path if self.path.is_dir() else self.path.parent)
        folders = sorted({*folders_of(uris), *known})
        return None if len(folders) > MOST_FOLDERS or any(map(places.folder_there, folders)) else folders

    def list_images(self) -> pl.DataFrame:
        """See ImageSource."""
        return self.listing().images

    def labels(
        self, image_ids: Sequence[str], kind: str, *, column: str = LABEL, key: str = LABELS_KEY
    ) -> pl.DataFrame:
        """See ImageSource; a vector table has labels of kind column alone."""
        if kind == "folder":
            raise SourceError(f"images.labels: folder needs image files; {self.path} is a vector table. Use column.")
        tables = [read_text_table(part.table, wanted=("image_id", "uri", column)) for part in self._parts()]
        # A part without labels is no reason as long as another has them.
        tables = [table for table in tables if column in table.values] or tables[:1]
        parts = []
        for table in tables:
            ids = table.values.get("image_id", table.values.get("uri", []))
            parts.append(column_labels(table, ids, image_ids, column=column, key=key))
        return pl.concat(parts).sort("image_id")

    def columns(self) -> tuple[str, ...]:
        """See ImageSource; the columns of its tables."""
        return tuple(dict.fromkeys(name for part in self._parts() for name in table_columns(part.table)))

    def vectors(self, among: Collection[str] | None = None) -> Iterator[VectorBatch]:
        """Batches in file order, of the images with an id in `among` or of all.

        Raises
        ------
        SourceError
            The file cannot be read, or no width is common to at least half of the vectors.
        """
        width = self.width
        for _, batch in self._batches([part for part in self._parts() if among is None or _holds_any(part, among)]):
            named = [(row, image_id) for row, image_id in enumerate(batch.image_ids) if image_id is not None]
            kept = named if among is None else [(row, image_id) for row, image_id in named if image_id in among]
            if not kept:
                continue
            rows = batch.vectors.take([row for row, _ in kept])
            vectors, errors = rows.unit(width)
            ids = [image_id for _, image_id in kept]
            yield VectorBatch(ids, [rows.digest(row) for row in range(len(rows))], vectors, errors)

    @property
    def width(self) -> int:
        """How many numbers a vector has: the width of most rows."""
        stated = {part.width for part in self._parts()} if not self._widths else set()
        if len(stated) == 1 and None not in stated:
            self._widths[:] = [width for width in stated if width is not None]
        if not self._widths:
            widths = Widths()
            for _, batch in self._batches(self._parts()):
                widths.add(batch.vectors)
            self._widths[:] = [widths.common(self.path)]
        return self._widths[0]

    @property
    def reader(self) -> None:
        """See ImageSource; there are no image files."""
        return

    @property
    def encoder(self) -> str:
        """The encoder that the files' metadata name; `unstated` if they name none.

        Raises
        ------
        SourceError
            Two files name different encoders: their vectors are in different spaces.
        """
        names: dict[str, Path] = {}
        for part in self._parts():
            names.setdefault(part.encoder, part.path)
        names.pop(UNSTATED_ENCODER, None)
        if len(names) > 1:
            told = " and ".join(f"{name} ({path.name})" for name, path in names.items())
            raise SourceError(f"{self.path}: all vectors must come from one encoder; they come from {told}")
        return next(iter(names), UNSTATED_ENCODER)

    def _parts(self, found: ListingBuilder | None = None) -> list[VectorPart]:
        """The files that can be read, the others reported; SourceError when there is none."""
        files = find_vector_files(self.path) or [self.path]
        parts: list[VectorPart] = []
        errors: list[SourceError] = []
        for path in files:
            try:
                parts.append(open_part(path))
            except SourceError as error:
                errors.append(error)
                if found is not None:
                    found.report(path.name, str(error))
        if not parts:
            raise errors[0]
        return parts

    def _batches(
        self, parts: Sequence[VectorPart], found: ListingBuilder | None = None
    ) -> Iterator[tuple[int, RowBatch]]:
        """The rows of all files, each batch with the place of its file; of several files, a damaged one is reported."""
        for number, part in enumerate(parts):
            try:
                for batch in part.batches():
                    yield number, batch
            except SourceError as error:
                if len(parts) == 1:
                    raise
                if found is not None:
                    found.report(part.path.name, str(error))


def _kept_name(path: Path) -> str:
    """A name for a file and its table as they are now."""
    files = [path, *([table] if (table := table_beside(path)) is not None else [])]
    found = []
    for file in files:
        with suppress(OSError):
            status = file.stat()
            found.append([str(file), status.st_size, status.st_mtime_ns])
    return digest([found, _ROWS_CODE])


def _table_of(batch: RowBatch) -> pl.DataFrame:
    count = len(batch.vectors)
    uris = [uri or image_id for uri, image_id in zip(batch.uris, batch.image_ids, strict=True)]
    return pl.DataFrame(
        {
            "row": range(batch.start, batch.start + count),
            "image_id": list(batch.image_ids),
            "uri": uris,
            "version": [batch.vectors.digest(row) for row in range(count)],
            "width": batch.vectors.widths,
        },
        schema=_ROWS,
    )


def _holds_any(part: VectorPart, among: Collection[str]) -> bool:
    """Whether some of these ids are in a file; one that cannot be read counts, so that the reading says why."""
    try:
        return any(image_id in among for ids in part.ids() for image_id in ids if image_id is not None)
    except SourceError:
        return True
