"""The files of vector tables: which files are one table, and their rows as they are stored.

Vectors are read in batches, whatever the kind of their file, and never unpickled. What must stay out: what a source
makes of them (vectors.py).
"""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from tac_pipeline.arrays import FloatMatrix, IntVector, scaled_unit_rows
from tac_pipeline.arrow import ENCODER_KEY, UNSTATED_ENCODER
from tac_pipeline.errors import SourceError, first_few
from tac_pipeline.sources.formats import HEAD_BYTES, IMAGE_SUFFIXES
from tac_pipeline.sources.rules import Rules, suffix_of
from tac_pipeline.sources.tables.columns import (
    COLUMN_NAMES,
    PARQUET_SUFFIX,
    TABLE_SUFFIXES,
    TextTable,
    plain_name,
    table_kind,
)
from tac_pipeline.sources.tables.parquet import PARQUET_ERRORS, column_texts, parquet_schema, text_columns
from tac_pipeline.sources.tables.reading import read_text_table

VECTOR_BATCH_ROWS = 4_096  # 16 MiB of float64 at width 512
# The usual names of the column of vectors, the first that is there counts.
EMBEDDING_NAMES = ("embedding", "embeddings", "vector", "clip_embedding", "image_embedding")
MATRIX_SUFFIX = ".npy"
# clip-retrieval writes img_emb/img_emb_0.npy beside metadata/metadata_0.parquet.
_CLIP_FOLDERS = ("img_emb", "metadata")


def vector_digest(vector: npt.NDArray[Any]) -> str:
    """The content hash of a given vector: a digest of its bytes."""
    return hashlib.sha256(np.ascontiguousarray(vector).tobytes()).hexdigest()


# --- which files ------------------------------------------------------------------------------------------------------


def is_vector_table(schema: pa.Schema) -> bool:
    """Whether a Parquet file is a vector table and not a manifest."""
    column = _embedding_column(schema)
    if column is None:
        return False
    # A text with that name beside a uri is some column of a manifest.
    usual = {plain_name(name) for name in COLUMN_NAMES["uri"]}
    return _list_type(column[1]) is not None or not any(plain_name(name) in usual for name in schema.names)


def find_vector_files(location: Path) -> list[Path]:
    """The files of a folder, or of a pattern, that are one vector table; empty when it is none.

    A folder is a vector table when its files are Parquet, one of them with a column of vectors, or matrices with their
    tables, and no image, archive or folder is among them; or when it is clip-retrieval's.
    """
    if location.is_dir():
        return _folder_files(location)
    if location.exists() or not re.search(r"[*?\[]", str(location)):
        return []
    try:
        paths = sorted(Path(location.anchor).glob(str(location.relative_to(location.anchor))))
    except ValueError:  # no pattern after all
        return []
    return _chosen_files([path for path in paths if path.is_file()])


def files_of_table(location: str) -> list[Path]:
    """Every file of the vector table at a location, with the tables beside its matrices; empty when it is none."""
    files = find_vector_files(Path(location)) or [Path(location)]
    beside = [table_beside(path) for path in files if path.suffix.lower() == MATRIX_SUFFIX]
    return [path for path in (*files, *beside) if path is not None and path.is_file()]


def _folder_files(folder: Path) -> list[Path]:
    matrices, tables = (folder / name for name in _CLIP_FOLDERS)
    if matrices.is_dir() and tables.is_dir():
        return _chosen_files(sorted(matrices.iterdir()))
    paths = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith((".", "_")):
                    continue
                rule = Rules().passes_file(entry.name, partial(_head, entry.path))
                if entry.is_dir() or rule is None or suffix_of(entry.name) in IMAGE_SUFFIXES:
                    return []
                paths.append(Path(entry.path))
    except OSError:
        return []  # the folder's own source says why
    return _chosen_files(sorted(paths))


def _head(path: str) -> bytes:
    if not Path(path).is_file():  # opening a named pipe would wait for ever
        raise FileNotFoundError(path)
    with Path(path).open("rb") as file:
        return file.read(HEAD_BYTES)


def _chosen_files(paths: Sequence[Path]) -> list[Path]:
    matrices = [path for path in paths if path.suffix.lower() == MATRIX_SUFFIX]
    if matrices:
        return matrices if any(table_beside(path) for path in matrices) else []
    parquet = [path for path in paths if path.suffix.lower() == PARQUET_SUFFIX]
    return parquet if any(_holds_vectors(path) for path in parquet) else []


def _holds_vectors(path: Path) -> bool:
    try:
        schema = parquet_schema(path)
    except SourceError:
        return False
    column = _embedding_column(schema)
    return column is not None and _list_type(column[1]) is not None


def table_beside(path: Path) -> Path | None:
    """The table of a matrix's rows: with the same name, or where clip-retrieval puts it."""
    beside = [path.with_suffix(suffix) for suffix in TABLE_SUFFIXES]
    numbered = re.fullmatch(r"(?:img_emb|image_emb|embeddings?)_(\d+)", path.stem)
    if numbered:
        name = f"metadata_{numbered[1]}{PARQUET_SUFFIX}"
        beside += [path.parent / name, path.parent.parent / "metadata" / name]
    return next((table for table in beside if table.is_file()), None)


def _embedding_column(schema: pa.Schema) -> tuple[str, pa.DataType] | None:
    """The name and the type of the column of vectors."""
    ranks = {plain_name(usual): rank for rank, usual in enumerate(EMBEDDING_NAMES)}
    columns = list(zip(schema.names, schema.types, strict=True))
    found = [
        # A list counts before a text of a better name.
        (_list_type(kind) is None, ranks[plain_name(name)], name not in EMBEDDING_NAMES, place)
        for place, (name, kind) in enumerate(columns)
        if plain_name(name) in ranks
    ]
    return columns[min(found)[-1]] if found else None


def _list_type(kind: pa.DataType) -> pa.DataType | None:
    """The type of a column of lists of numbers, of any kind; None for other columns."""
    if isinstance(kind, pa.BaseExtensionType):
        kind = kind.storage_type
    if not (pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)):
        return None
    return kind if pa.types.is_floating(kind.value_type) or pa.types.is_integer(kind.value_type) else None


# --- rows -------------------------------------------------------------------------------------------------------------


class VectorRows:
    """Vectors as they are stored, of any widths.

    Parameters
    ----------
    values : any real dtype (n_values,)
        One vector after the other.
    widths : int64 (n_rows,)
        -1 for a null.
    """

    def __init__(self, values: npt.NDArray[Any], widths: IntVector) -> None:
        self.values, self.widths = values, widths
        self.ends = np.cumsum(np.maximum(widths, 0))
        self.starts = self.ends - np.maximum(widths, 0)

    def __len__(self) -> int:
        return len(self.widths)

    def take(self, rows: Sequence[int]) -> VectorRows:
        """Some rows, in this order."""
        if len(rows) == len(self):
            return self
        values = [self.values[self.starts[row] : self.ends[row]] for row in rows]
        return VectorRows(np.concatenate(values), self.widths[rows])

    def digest(self, row: int) -> str:
        """A digest of a row's bytes."""
        return vector_digest(self.values[self.starts[row] : self.ends[row]])

    def unit(self, width: int) -> tuple[FloatMatrix, list[str | None]]:
        """float32 (n_rows, width), unit rows, and why a row has none and is zero."""
        fits = self.widths == width
        with np.errstate(invalid="ignore"):  # some NaNs
            raw = self.values[np.repeat(fits, np.maximum(self.widths, 0))].reshape(-1, width).astype(np.float64)
        finite = np.isfinite(raw).all(axis=1)
        raw[~finite] = 0
        vectors = np.zeros((len(self), width), dtype=np.float32)
        vectors[fits] = scaled_unit_rows(raw)
        errors: list[str | None] = [None] * len(self)
        for row in np.flatnonzero(~fits):
            held = self.widths[row]
            errors[row] = (
                "the vector is null" if held < 0 else f"the vector must have {width} numbers, as most; it has {held}"
            )
        for place, row in enumerate(np.flatnonzero(fits)):
            if not finite[place]:
                errors[row] = "the vector must be finite; it holds NaN or infinity"
            elif not raw[place].any():
                errors[row] = "the vector must not be zero: it has no direction"
        return vectors, errors


class Widths:
    """Counts how many vectors have which width."""

    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()

    def add(self, rows: VectorRows) -> None:
        """Count these rows; those without a vector have no width."""
        self.count(rows.widths)

    def count(self, widths: IntVector) -> None:
        """Count vectors of these widths; 0 or less is none."""
        found, counts = np.unique(widths[widths > 0], return_counts=True)
        self._counts.update(dict(zip(found.tolist(), counts.tolist(), strict=True)))

    def common(self, where: Path) -> int:
        """The one width that at least half of the vectors have; SourceError when there is none."""
        ranked = self._counts.most_common(2)
        if not ranked:
            raise SourceError(f"{where}: no row has a vector. Compute the vectors again.")
        total = sum(self._counts.values())
        if ranked[0][1] * 2 < total or (len(ranked) > 1 and ranked[0][1] == ranked[1][1]):
            told = [f"{count:,} have {width} numbers" for width, count in self._counts.most_common()]
            raise SourceError(
                f"{where}: the vectors must have one width; of {total:,} vectors {first_few(told, 4)}. Keep the "
                "rows of one width."
            )
        return ranked[0][0]


class RowBatch(NamedTuple):
    """Some rows of one file; a uri is None where there is none."""

    start: int
    image_ids: Sequence[str | None]
    uris: Sequence[str | None]
    vectors: VectorRows


class VectorPart(Protocol):
    """One file of a vector table. Opening it raises SourceError when it cannot be read or told."""

    path: Path
    notes: list[str]

    @property
    def table(self) -> Path:
        """The file with the ids."""

    @property
    def encoder(self) -> str:
        """The encoder that the file names."""

    @property
    def width(self) -> int | None:
        """The width of every vector, where the file itself says it."""

    def ids(self) -> Iterator[Sequence[str | None]]:
        """The ids of all rows, without their vectors."""

    def batches(self) -> Iterator[RowBatch]:
        """All rows."""


def open_part(path: Path) -> VectorPart:
    """One file of vectors; SourceError when it cannot be read, or its columns cannot be told."""
    return _MatrixPart(path) if path.suffix.lower() == MATRIX_SUFFIX else _ParquetPart(path)


class _ParquetPart:
    """A Parquet file with a column of vectors."""

    def __init__(self, path: Path) -> None:
        self.path = self.table = path
        self._schema = parquet_schema(path)
        column = _embedding_column(self._schema)
        if column is None:
            raise SourceError(
                f"{path} must have a column embedding (or {', '.join(EMBEDDING_NAMES[1:])}); it has "
                f"{self._schema.names}"
            )
        name, kind = column
        if _list_type(kind) is None:
            raise SourceError(f"{path}: {name} must hold lists of numbers; got {kind}")
        self._columns, self.notes = text_columns(self._schema, wanted=("image_id", "uri"), required=(), path=path)
        if not self._columns:
            raise SourceError(
                f"{path} must have the columns image_id (or id, or uri) and embedding; missing ['image_id'], it has "
                f"{self._schema.names}"
            )
        self._embedding, self._kind = name, kind
        if name != EMBEDDING_NAMES[0]:
            self.notes.append(f"embedding: the column {name}")
        if "image_id" not in self._columns:
            self.notes.append("image_id: there is none, the uri is the id")

    @property
    def encoder(self) -> str:
        """See VectorPart."""
        return _encoder_in(self._schema)

    @property
    def width(self) -> int | None:
        """See VectorPart."""
        kind = _list_type(self._kind)
        return int(kind.list_size) if kind is not None and pa.types.is_fixed_size_list(kind) else None

    def ids(self) -> Iterator[Sequence[str | None]]:
        """See VectorPart."""
        name = self._columns.get("image_id", self._columns.get("uri"))
        for batch in self._read([name]):
            yield column_texts(batch.column(name))

    def batches(self) -> Iterator[RowBatch]:
        """See VectorPart."""
        start = 0
        for batch in self._read([self._embedding, *self._columns.values()]):
            texts = {ours: column_texts(batch.column(name)) for ours, name in self._columns.items()}
            yield _batch(start, texts, _rows_of(batch.column(self._embedding)))
            start += len(batch)

    def _read(self, names: Sequence[str | None]) -> Iterator[pa.RecordBatch]:
        try:
            with pq.ParquetFile(self.path) as file:
                yield from file.iter_batches(batch_size=VECTOR_BATCH_ROWS, columns=list(dict.fromkeys(names)))
        except PARQUET_ERRORS as error:
            raise SourceError(f"cannot read {self.path}: {error}") from error


class _MatrixPart:
    """A .npy of vectors, and the table that names its rows."""

    def __init__(self, path: Path) -> None:
        table = table_beside(path)
        if table is None:
            raise SourceError(
                f"{path} must have a table beside it that names its rows, such as "
                f"{path.with_suffix(PARQUET_SUFFIX).name}"
            )
        self.path, self.table = path, table
        try:
            self._matrix: npt.NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
        except Exception as error:  # numpy reads the header as Python, whose parser has errors of its own
            raise SourceError(f"{path} must be a whole matrix of numbers: {error}") from error
        if self._matrix.ndim != 2 or self._matrix.dtype.kind not in "fiu" or not self._matrix.shape[1]:
            raise SourceError(
                f"{path} must be a matrix of numbers (rows, width); got {self._matrix.dtype} {self._matrix.shape}"
            )
        self._texts = self._read_table()
        self.notes = [*self._texts.notes, f"the rows of {path.name} are named by {table.name}"]

    def _read_table(self) -> TextTable:
        texts = read_text_table(self.table, wanted=("image_id", "uri"))
        if not texts.values:
            raise SourceError(f"{self.table} must have a column image_id (or id) or uri; it has {texts.names}")
        # A row that is left out would move all that follow it.
        if texts.problems:
            place, reason = texts.problems[0]
            raise SourceError(f"{self.table} must name every row of {self.path.name}; {place} {reason}")
        if len(texts.numbers) != len(self._matrix):
            raise SourceError(
                f"{self.table} must have as many rows as {self.path.name}; they have {len(texts.numbers):,} and "
                f"{len(self._matrix):,}"
            )
        return texts

    @property
    def encoder(self) -> str:
        """See VectorPart."""
        return _encoder_in(parquet_schema(self.table)) if table_kind(self.table) == PARQUET_SUFFIX else UNSTATED_ENCODER

    @property
    def width(self) -> int:
        """See VectorPart."""
        return int(self._matrix.shape[1])

    def ids(self) -> Iterator[Sequence[str | None]]:
        """See VectorPart."""
        yield self._texts.values.get("image_id", self._texts.values.get("uri", []))

    def batches(self) -> Iterator[RowBatch]:
        """See VectorPart."""
        for start in range(0, len(self._matrix), VECTOR_BATCH_ROWS):
            rows = np.ascontiguousarray(self._matrix[start : start + VECTOR_BATCH_ROWS])
            texts = {ours: column[start : start + len(rows)] for ours, column in self._texts.values.items()}
            widths = np.full(len(rows), rows.shape[1], dtype=np.int64)
            yield _batch(start, texts, VectorRows(rows.reshape(-1), widths))


def _batch(start: int, texts: dict[str, list[str | None]], vectors: VectorRows) -> RowBatch:
    uris = texts.get("uri", [None] * len(vectors))
    return RowBatch(start, texts.get("image_id", uris), uris, vectors)


def _rows_of(column: pa.Array) -> VectorRows:
    if isinstance(column, pa.ExtensionArray):
        column = column.storage
    valid = column.is_valid().to_numpy(zero_copy_only=False)
    widths = np.full(len(column), -1, dtype=np.int64)
    # A fixed-size null has values all the same.
    present = column.drop_null() if column.null_count else column
    lengths = (
        np.full(len(present), column.type.list_size)
        if pa.types.is_fixed_size_list(column.type)
        else present.value_lengths().to_numpy(zero_copy_only=False)
    )
    widths[valid] = lengths
    return VectorRows(present.flatten().to_numpy(zero_copy_only=False), widths)


def _encoder_in(schema: pa.Schema) -> str:
    metadata = schema.metadata or {}
    return str(metadata.get(ENCODER_KEY, UNSTATED_ENCODER.encode()).decode())
