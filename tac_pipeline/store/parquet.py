"""The one way to write and read a table.

A table is validated when it is written, so readers can use plain arrays. Vectors are float16 in fixed-size lists,
uncompressed and without dictionaries, so that reading runs at the speed of the disk. The file's own metadata says
which encoder made them, how wide they are and that they are unit vectors. What must stay out: which tables there are
(schemas.py), paths of artifacts and versions (artifacts.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tac_pipeline.arrays import FloatMatrix, unit_rows
from tac_pipeline.arrow import ENCODER_KEY, frame_of, matrix_of
from tac_pipeline.errors import ArtifactDamaged, InputError
from tac_pipeline.files import adding, replacing
from tac_pipeline.store.digests import digest_name

# How much float16 can change a unit vector's length; a larger difference is a mistake upstream.
UNIT_TOLERANCE = 5e-3
ROW_GROUP_ROWS = 65_536

Columns = Mapping[str, Any] | pl.DataFrame

# What damaged bytes were seen to raise.
UNREADABLE = (OSError, ValueError, KeyError, MemoryError, pa.ArrowException)

SCHEMA_KEY, DIM_KEY, NORM_KEY = b"tac.schema", b"tac.dim", b"tac.norm"


@dataclass(frozen=True)
class Column:
    """One column: its Arrow type (None marks the embedding; the data gives its width) and its meaning."""

    name: str
    type: pa.DataType | None
    meaning: str
    nullable: bool = False


@dataclass(frozen=True)
class TableSchema:
    """A table's columns, and its key: the column with unique values."""

    name: str
    columns: tuple[Column, ...]
    key: str | None = None
    # Whether a row may hold a zero vector, which means an image that cannot be read.
    zero_vectors: bool = False
    # Whether it has a row for every image of a store, and is written in segments when it is large (segments.py).
    grows: bool = False
    # So many rows are read at least.
    row_group_rows: int = ROW_GROUP_ROWS
    # Not where it would save nothing: random bytes, such as vectors.
    compressed: bool = True

    @property
    def file_name(self) -> str:
        """The file of an artifact that holds it."""
        return f"{self.name}.parquet"

    @property
    def vector_column(self) -> str | None:
        """The embedding column, if the table has one."""
        return next((column.name for column in self.columns if column.type is None), None)

    def arrow(self, dim: int | None) -> pa.Schema:
        """The Arrow schema for embeddings of width dim."""
        return pa.schema(
            [
                pa.field(column.name, column.type or pa.list_(pa.float16(), dim or 1), nullable=column.nullable)
                for column in self.columns
            ]
        )


def write_table(
    path: Path, schema: TableSchema, columns: Columns, *, encoder: str | None = None, checksums: bool = False
) -> pa.Table:
    """Validate columns against a schema and write them as Parquet (see checked_table).

    Parameters
    ----------
    checksums : bool
        Write a checksum with every page, which readers verify. Not for the tables of an artifact: their bytes name its
        content, so they must stay what they were, and artifact.json has their digests.
    """
    table = checked_table(schema, columns, encoder=encoder)
    save_table(path, schema, table, checksums=checksums)
    return table


def save_table(path: Path, schema: TableSchema, table: pa.Table, *, checksums: bool = False) -> None:
    """Write a table of checked_table, or rows of one, as Parquet."""
    pq.write_table(
        table,
        path,
        row_group_size=schema.row_group_rows,
        compression=_compression(schema),
        use_dictionary=False,
        write_statistics=schema.vector_column is None,
        write_page_checksum=checksums,
    )


def checked_table(schema: TableSchema, columns: Columns, *, encoder: str | None = None) -> pa.Table:
    """Columns as a table of a schema, validated.

    Parameters
    ----------
    columns : DataFrame, or mapping of column name to sequence, Series, Arrow or numpy array
        The embedding is float (n_rows, dim), unit rows.
    encoder : str, optional
        Fingerprint of the encoder; required where the schema has an embedding.

    Raises
    ------
    InputError
        A column is missing or unknown, lengths differ, a key repeats, a value is null where none may be, or vectors
        are not finite unit vectors.
    """
    given: Mapping[str, Any] = columns.to_dict() if isinstance(columns, pl.DataFrame) else columns
    names = [column.name for column in schema.columns]
    if set(given) != set(names):
        raise InputError(f"table {schema.name} must have the columns {names}; got {sorted(given)}")
    metadata = {SCHEMA_KEY: schema.name.encode()}
    dim = None
    vectors = given[schema.vector_column] if schema.vector_column else None
    if vectors is not None:
        if encoder is None:
            raise InputError(f"table {schema.name} holds vectors: writing it needs the encoder's fingerprint")
        dim = vectors.shape[1]
        metadata |= {ENCODER_KEY: encoder.encode(), DIM_KEY: str(dim).encode(), NORM_KEY: b"unit"}
    arrow_schema = schema.arrow(dim)
    arrays = [
        _vector_array(vectors, schema)
        if vectors is not None and field.name == schema.vector_column
        else _array(given[field.name], field, schema)
        for field in arrow_schema
    ]
    if len({len(array) for array in arrays}) > 1:
        lengths = {name: len(array) for name, array in zip(names, arrays, strict=True)}
        raise InputError(f"table {schema.name} must have columns of one length; got {lengths}")
    table = pa.Table.from_arrays(arrays, schema=arrow_schema.with_metadata(metadata))
    _require_unique(table, schema)
    return table


def place_table(path: Path, schema: TableSchema, columns: Columns, *, encoder: str | None = None) -> None:
    """Write a table with checksums, so that readers see the whole file, on the disk, or none; makes its folder."""
    with replacing(path) as aside:
        write_table(aside, schema, columns, encoder=encoder, checksums=True)


def add_table(folder: Path, schema: TableSchema, columns: Columns, *, encoder: str | None = None) -> Path:
    """Like place_table, in a new file of the folder, named by its digest (digests.py); returns its path."""
    with adding(folder, schema.name) as (aside, place):
        write_table(aside, schema, columns, encoder=encoder, checksums=True)
        return place(digest_name(aside, suffix=".parquet"))


def read_table(path: Path, schema: TableSchema, *, columns: Sequence[str] | None = None) -> pa.Table:
    """Read a table that write_table wrote, or some of its columns.

    A nullable column that the schema got after the file was written is all null.

    Raises
    ------
    ArtifactDamaged
        Not Parquet, cut short, not a table of this schema, or a page without its checksum.
    """
    return _read(path, schema, columns)


def read_rows_between(path: Path, schema: TableSchema, column: str, low: float, high: float) -> pa.Table:
    """Read the row groups that may have rows with a value of a column from low to high; see read_table."""

    def near(file: pq.ParquetFile) -> list[int]:
        footer, found = file.metadata, []
        place = footer.schema.names.index(column)
        for group in range(footer.num_row_groups):
            ends = footer.row_group(group).column(place).statistics
            if ends is None or not ends.has_min_max or (ends.min <= high and low <= ends.max):
                found.append(group)
        return found

    return _read(path, schema, None, near)


def _read(
    path: Path,
    schema: TableSchema,
    columns: Sequence[str] | None,
    groups: Callable[[pq.ParquetFile], list[int]] | None = None,
) -> pa.Table:
    try:
        # A file of its own, and not a data set of one: a store has thousands of small ones.
        with pq.ParquetFile(path, memory_map=True, page_checksum_verification=True) as file:
            return _read_columns(file, schema, columns, None if groups is None else groups(file))
    except UNREADABLE as error:
        spoilt = path if spoiled(error) else None
        raise ArtifactDamaged(
            f"{path} must be a Parquet file with the table {schema.name}: {error}", file=spoilt
        ) from error


def _read_columns(
    file: pq.ParquetFile, schema: TableSchema, columns: Sequence[str] | None, groups: list[int] | None
) -> pa.Table:
    head = file.schema_arrow
    told, there = head.metadata or {}, set(head.names)
    metadata = {key: told[key] for key in (SCHEMA_KEY, ENCODER_KEY, DIM_KEY, NORM_KEY) if key in told}
    found = {key: value.decode() for key, value in metadata.items()}.get(SCHEMA_KEY)
    if found != schema.name:
        raise ValueError(f"it says {found or 'nothing'}")
    wanted = [column for column in schema.columns if columns is None or column.name in columns]
    asked = [column.name for column in wanted if column.name in there or not column.nullable]
    table = file.read(columns=asked) if groups is None else file.read_row_groups(groups, columns=asked)
    # The footer has no checksum: names and types are compared, and nothing else of it is passed on.
    arrays, fields = [], []
    for column in wanted:
        array = table.column(column.name) if column.name in asked else pa.nulls(len(table), column.type)
        if not _fits(array.type, column):
            raise ValueError(f"its column {column.name} is {array.type}")
        arrays.append(array)
        fields.append(pa.field(column.name, array.type, nullable=column.nullable))
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields, metadata=metadata))


def _fits(kind: pa.DataType, column: Column) -> bool:
    if column.type is None:
        return bool(pa.types.is_fixed_size_list(kind) and pa.types.is_float16(kind.value_type))
    return bool(kind == column.type)


def spoiled(error: BaseException) -> bool:
    """Whether what a read raised is due to the file's bytes, not to a disk, a limit of the system or a permission."""
    return not isinstance(error, MemoryError) and getattr(error, "errno", None) is None


def read_frame(path: Path, schema: TableSchema, *, columns: Sequence[str] | None = None) -> pl.DataFrame:
    """Like read_table, as a polars frame."""
    return frame_of(read_table(path, schema, columns=columns))


def vectors_of(table: pa.Table, name: str = "embedding") -> FloatMatrix:
    """The embedding column as float32 (n_rows, dim), unit rows (zero rows stay zero).

    Raises
    ------
    ArtifactDamaged
        The width differs from what the table's metadata says, or the vectors are not marked as unit vectors.
    """
    metadata = table.schema.metadata or {}
    width = table.schema.field(name).type.list_size
    if metadata.get(DIM_KEY) != str(width).encode() or metadata.get(NORM_KEY) != b"unit":
        raise ArtifactDamaged(
            f"an embedding column must match its file's metadata; got width {width} "
            f"and metadata dim={metadata.get(DIM_KEY)!r}, norm={metadata.get(NORM_KEY)!r}"
        )
    return unit_rows(matrix_of(table.column(name)))


def _compression(schema: TableSchema) -> str:
    return "none" if schema.vector_column or not schema.compressed else "zstd"


def _array(values: Any, field: pa.Field, schema: TableSchema) -> pa.Array:
    try:
        array = values if isinstance(values, pa.Array) else _combined(values)
        array = array.cast(field.type)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
        raise InputError(f"{schema.name}.{field.name} must be {field.type}: {error}") from error
    if array.null_count and not field.nullable:
        raise InputError(f"{schema.name}.{field.name} must not be null; {array.null_count} of {len(array)} are")
    return array


def _combined(values: Any) -> pa.Array:
    if isinstance(values, pl.Series):
        return values.to_arrow()
    if isinstance(values, pa.ChunkedArray):
        return values.combine_chunks() if values.num_chunks != 1 else values.chunk(0)
    return pa.array(values)


def _vector_array(vectors: FloatMatrix, schema: TableSchema) -> pa.Array:
    lengths = np.linalg.norm(vectors, axis=1)
    # NaN and infinity fail this comparison too. Unreadable images hold a zero vector in their shard.
    fine = np.abs(lengths - 1) < UNIT_TOLERANCE
    if schema.zero_vectors:
        fine |= lengths == 0
    if not fine.all():
        bad = np.flatnonzero(~fine)
        raise InputError(
            f"{schema.name}.{schema.vector_column} must hold finite unit vectors; "
            f"{len(bad)} of {len(vectors)} are not, the first is row {bad[0]} with length {lengths[bad[0]]:.4g}"
        )
    halves = np.ascontiguousarray(vectors, dtype=np.float16)
    return pa.FixedSizeListArray.from_arrays(pa.array(halves.reshape(-1)), halves.shape[1])


def _require_unique(table: pa.Table, schema: TableSchema) -> None:
    if schema.key is None:
        return
    column = table.column(schema.key).combine_chunks()
    # Most tables are sorted by their key, which is quicker to see.
    if pc.all(pc.less(column[:-1], column[1:])).as_py() or pc.count_distinct(column).as_py() == len(column):
        return
    counts = column.value_counts()
    repeated = counts.filter(pc.greater(pc.struct_field(counts, "counts"), 1)).field("values").to_pylist()
    shown = ", ".join(repr(value) for value in repeated[:3])
    raise InputError(f"{schema.name}.{schema.key} must be unique; {len(repeated)} values repeat: {shown}")
