"""Tables as sources: manifests that say where the images are, and tables of vectors that are already computed."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from tac_pipeline.arrays import FloatMatrix, require_unit_rows
from tac_pipeline.arrow import ENCODER_KEY, UNSTATED_ENCODER, matrix_of_lists
from tac_pipeline.errors import InputError, SourceError
from tac_pipeline.sources.listing import ImageFiles, Listing, ListingBuilder, file_version, folder_labels
from tac_pipeline.sources.remote import read_url

VECTOR_BATCH_ROWS = 16_384  # 32 MiB of float32 at width 512, the most that memory holds of a vector table


@dataclass(frozen=True)
class ManifestSource(ImageFiles):
    """A .csv or .parquet with the column uri, and optionally image_id and label.

    A relative uri resolves against the manifest's folder and must stay inside it; absolute paths and URLs are used
    unchanged.
    """

    path: Path

    def listing(self) -> Listing:
        """See ImageSource; without an image_id column the uri, as written, is the id."""
        table = self._table()
        written = table["uri"].to_list()
        uris = [self._resolve(uri, row) for row, uri in enumerate(written)]
        found = ListingBuilder()
        for image_id, uri in zip(table["image_id"] if "image_id" in table.columns else written, uris, strict=True):
            size, version = _local_facts(uri)
            found.add_image(image_id, uri=uri, size=size, version=version)
        return found.finish(where=str(self.path), empty=f"the manifest {self.path} has no rows")

    def labels(self, image_ids: Sequence[str], kind: str) -> pl.DataFrame:
        """See ImageSource."""
        if kind == "folder":
            return folder_labels(image_ids, kind, where=str(self.path))
        return _column_labels(self._table(), image_ids, key="image_id", fallback="uri", path=self.path)

    def read(self, uri: str) -> bytes:
        """See ByteReader."""
        return read_url(uri) if "://" in uri else Path(uri).read_bytes()

    def _table(self) -> pl.DataFrame:
        table = _read_table(self.path, text_columns=("uri", "image_id", "label"))
        if "uri" not in table.columns:
            wanted = "a column uri" + (", or image_id and embedding" if self.path.suffix == ".parquet" else "")
            raise SourceError(f"{self.path} must have {wanted}; it has {table.columns}")
        return table

    def _resolve(self, uri: str | None, row: int) -> str:
        if not uri:
            raise SourceError(f"{self.path}: uri must not be empty; row {row + 1} is")
        if "://" in uri or Path(uri).is_absolute():
            return uri
        folder = self.path.parent.resolve()
        target = Path(os.path.normpath(folder / uri))
        if not target.is_relative_to(folder):
            raise SourceError(
                f"{self.path}: a relative uri must stay below the manifest's folder; row {row + 1} is {uri!r}. "
                "Write it as an absolute path if it is meant."
            )
        return str(target)


@dataclass(frozen=True)
class VectorSource:
    """A .parquet with the columns image_id and embedding, and optionally uri and label: vectors already computed."""

    path: Path

    def listing(self) -> Listing:
        """See ImageSource; version is a digest of the vector."""
        has_uri = "uri" in parquet_columns(self.path)
        found = ListingBuilder()
        for batch in self._batches("image_id", "embedding", *(["uri"] if has_uri else [])):
            ids = batch.column("image_id").to_pylist()
            uris = batch.column("uri").to_pylist() if has_uri else ids
            for image_id, uri, row in zip(ids, uris, self._matrix(batch), strict=True):
                found.add_image(image_id, uri=uri, size=None, version=vector_digest(row))
        return found.finish(where=str(self.path), empty=f"the vector table {self.path} has no rows")

    def list_images(self) -> pl.DataFrame:
        """See ImageSource."""
        return self.listing().images

    def labels(self, image_ids: Sequence[str], kind: str) -> pl.DataFrame:
        """See ImageSource; a vector table has labels of kind column alone."""
        if kind == "folder":
            raise SourceError(f"images.labels: folder needs image files; {self.path} is a vector table. Use column.")
        return _column_labels(
            _read_table(self.path, text_columns=("image_id", "label")),
            image_ids,
            key="image_id",
            fallback="image_id",
            path=self.path,
        )

    def vectors(self) -> Iterator[tuple[list[str], list[str], FloatMatrix]]:
        """Batches in file order: image ids, digests, and vectors as float32 (batch, dim), unit rows.

        Raises
        ------
        InputError
            A vector is NaN, infinite or zero, or the widths differ.
        """
        done, width = 0, None
        for batch in self._batches("image_id", "embedding"):
            raw = self._matrix(batch)
            width = width or raw.shape[1]
            if raw.shape[1] != width:
                raise InputError(f"{self.path}: embedding must have one width; got {width}, then {raw.shape[1]}")
            name = f"{self.path}: embedding (rows from {done})"
            yield (
                batch.column("image_id").to_pylist(),
                [vector_digest(row) for row in raw],
                require_unit_rows(raw, name=name),
            )
            done += len(raw)

    @property
    def reader(self) -> None:
        """See ImageSource; there are no image files."""
        return

    @property
    def encoder(self) -> str:
        """The encoder that the file's metadata names; `unstated` if it names none."""
        metadata = pq.read_schema(self.path).metadata or {}
        return str(metadata.get(ENCODER_KEY, UNSTATED_ENCODER.encode()).decode())

    def _matrix(self, batch: pa.Table) -> np.ndarray[Any, Any]:
        return matrix_of_lists(batch.column("embedding"), where=f"{self.path}: embedding")

    def _batches(self, *columns: str) -> Iterator[pa.Table]:
        missing = set(columns) - set(parquet_columns(self.path))
        if missing:
            raise SourceError(f"{self.path} must have the columns image_id and embedding; missing {sorted(missing)}")
        try:
            with pq.ParquetFile(self.path) as file:
                for batch in file.iter_batches(batch_size=VECTOR_BATCH_ROWS, columns=list(columns)):
                    table = pa.Table.from_batches([batch])
                    position = table.column_names.index("image_id")
                    yield table.set_column(position, "image_id", table.column("image_id").cast(pa.string()))
        except (OSError, pa.ArrowException) as error:
            raise SourceError(f"cannot read {self.path}: {error}") from error


def vector_digest(vector: np.ndarray[Any, Any]) -> str:
    """The content hash of a given vector: a digest of its bytes."""
    return hashlib.sha256(np.ascontiguousarray(vector).tobytes()).hexdigest()


def _column_labels(
    table: pl.DataFrame, image_ids: Sequence[str], *, key: str, fallback: str, path: Path
) -> pl.DataFrame:
    if "label" not in table.columns:
        raise SourceError(f"images.labels: column needs a column label in {path}; it has {table.columns}")
    ids = pl.col(key if key in table.columns else fallback).cast(pl.String).alias("image_id")
    labels = table.select(ids, pl.col("label").cast(pl.String))
    wanted = pl.DataFrame({"image_id": image_ids}, schema={"image_id": pl.String})
    return wanted.join(labels.drop_nulls(), on="image_id", how="inner").sort("image_id")


def parquet_columns(path: Path) -> list[str]:
    """The names of a Parquet file's columns."""
    try:
        return list(pq.read_schema(path).names)
    except (OSError, pa.ArrowInvalid) as error:
        raise SourceError(f"{path} must be a Parquet file: {error}") from error


def _read_table(path: Path, *, text_columns: Sequence[str]) -> pl.DataFrame:
    try:
        if path.suffix.lower() == ".csv":
            return pl.read_csv(path, schema_overrides=dict.fromkeys(text_columns, pl.String))
        columns = [name for name in text_columns if name in parquet_columns(path)]
        table = pl.read_parquet(path, columns=columns or None)
        return table.with_columns(pl.col(name).cast(pl.String) for name in columns)
    except (OSError, pl.exceptions.PolarsError, UnicodeDecodeError) as error:
        raise SourceError(f"cannot read the manifest {path}: {error}") from error


def _local_facts(uri: str) -> tuple[int | None, str]:
    """Size and version of a manifest's file. Remote files are not asked, one by one; they count as unchanged."""
    if "://" in uri:
        return None, "unknown"
    try:
        status = Path(uri).stat()
    except OSError:
        return None, "unknown"
    return status.st_size, file_version(status.st_mtime_ns, status.st_size)
