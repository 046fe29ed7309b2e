"""Image sources: what lists the images of a store and reads their bytes or their vectors.

Four kinds, told apart by what the location is: a folder (local or any fsspec URL), a manifest (.csv or .parquet with a
`uri` column), and a vector table (.parquet with an `embedding` column). What must stay out: decoding (decoding.py) and
encoding (encoders/).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from tac_pipeline.digest import digest
from tac_pipeline.errors import InputError, SourceError, TacError
from tac_pipeline.method.arrays import FloatMatrix, require_unit_rows
from tac_pipeline.tables import ENCODER_KEY, UNSTATED_ENCODER, matrix_of_lists

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")
TABLE_SUFFIXES = (".csv", ".parquet")
VECTOR_BATCH_ROWS = 16_384  # 32 MiB of float32 at width 512: what listing or reading a vector table holds at once

Rows = dict[str, list[Any]]


class ImageSource(Protocol):
    """Lists images. One that has bytes to read is a ByteSource, one that has vectors a VectorSource."""

    def list_images(self) -> pl.DataFrame:
        """Columns image_id, uri, size (null where unknown), version; sorted by image_id, ids unique, never empty."""

    def labels(self, image_ids: Sequence[str], kind: str) -> pl.DataFrame:
        """Columns image_id, label: the true labels of those images that have one; kind is folder or column."""


class ByteSource(ImageSource, Protocol):
    """A source of image files."""

    def read(self, uri: str) -> bytes:
        """The bytes of one image; OSError where they cannot be had."""


def open_source(location: str) -> FolderSource | RemoteFolderSource | ManifestSource | VectorSource:
    """The source at an absolute path or a URL.

    Raises
    ------
    SourceError
        Nothing is there, or it is none of the four kinds.
    """
    if "://" in location:
        return _open_remote(location)
    path = Path(location)
    if path.is_dir():
        return FolderSource(path)
    if not path.exists():
        raise SourceError(f"images.source must be an existing folder or table; nothing is at {path}")
    if path.suffix.lower() not in TABLE_SUFFIXES:
        raise SourceError(f"images.source must be a folder, a .csv or a .parquet; got the file {path}")
    if path.suffix.lower() == ".parquet" and "embedding" in _parquet_columns(path):
        return VectorSource(path)
    return ManifestSource(path)


@dataclass(frozen=True)
class FolderSource:
    """All image files below a local folder; hidden files and linked folders are passed over."""

    folder: Path

    def list_images(self) -> pl.DataFrame:
        """See ImageSource; image_id is the path below the folder, version the time of change in nanoseconds."""
        rows: Rows = {"image_id": [], "uri": [], "size": [], "version": []}
        for parent, folders, names in os.walk(self.folder, onerror=_refuse_unlistable):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in names:
                if name.startswith(".") or not name.lower().endswith(IMAGE_SUFFIXES):
                    continue
                path = Path(parent, name)
                try:
                    status = path.stat()
                except OSError:  # a dangling link, or gone since it was listed: kept, and reading it tells why
                    status = None
                rows["image_id"].append(_text(path.relative_to(self.folder).as_posix()))
                rows["uri"].append(_text(str(path)))
                rows["size"].append(status.st_size if status else None)
                rows["version"].append(str(status.st_mtime_ns) if status else "unknown")
        return _listing(rows, where=str(self.folder), empty=_no_images(str(self.folder)))

    def labels(self, image_ids: Sequence[str], kind: str) -> pl.DataFrame:
        """See ImageSource; a folder has labels of kind folder alone."""
        return _folder_labels(image_ids, kind, where=str(self.folder))

    def read(self, uri: str) -> bytes:
        """See ByteSource."""
        return Path(uri).read_bytes()


@dataclass(frozen=True)
class RemoteFolderSource:
    """All image files below an fsspec URL such as s3://bucket/photos."""

    url: str

    def list_images(self) -> pl.DataFrame:
        """See ImageSource; version is the etag where the store gives one, else the time of change."""
        filesystem, root = _filesystem(self.url)
        rows: Rows = {"image_id": [], "uri": [], "size": [], "version": []}
        for path, entry in _find(filesystem, root, self.url).items():
            image_id = path.removeprefix(root).lstrip("/")
            hidden = any(part.startswith(".") for part in image_id.split("/"))
            if entry.get("type") != "file" or hidden or not image_id.lower().endswith(IMAGE_SUFFIXES):
                continue
            rows["image_id"].append(image_id)
            rows["uri"].append(filesystem.unstrip_protocol(path))
            rows["size"].append(entry.get("size"))
            rows["version"].append(_remote_version(entry))
        return _listing(rows, where=self.url, empty=_no_images(self.url))

    def labels(self, image_ids: Sequence[str], kind: str) -> pl.DataFrame:
        """See ImageSource; a folder has labels of kind folder alone."""
        return _folder_labels(image_ids, kind, where=self.url)

    def read(self, uri: str) -> bytes:
        """See ByteSource."""
        return _read_uri(uri)


@dataclass(frozen=True)
class ManifestSource:
    """A .csv or .parquet with the column uri, and optionally image_id and label.

    A relative uri resolves against the manifest's folder and must stay inside it; absolute paths and URLs are taken
    as they are.
    """

    path: Path

    def list_images(self) -> pl.DataFrame:
        """See ImageSource; without an image_id column the uri, as written, is the id."""
        table = self._table()
        written = table["uri"].to_list()
        uris = [self._resolve(uri, row) for row, uri in enumerate(written)]
        rows: Rows = {"image_id": table["image_id"].to_list() if "image_id" in table.columns else written, "uri": uris}
        facts = [_local_facts(uri) for uri in uris]
        rows["size"] = [size for size, _ in facts]
        rows["version"] = [version for _, version in facts]
        return _listing(rows, where=str(self.path), empty=f"the manifest {self.path} has no rows")

    def labels(self, image_ids: Sequence[str], kind: str) -> pl.DataFrame:
        """See ImageSource."""
        if kind == "folder":
            return _folder_labels(image_ids, kind, where=str(self.path))
        return _column_labels(self._table(), image_ids, key="image_id", fallback="uri", path=self.path)

    def read(self, uri: str) -> bytes:
        """See ByteSource."""
        return _read_uri(uri) if "://" in uri else Path(uri).read_bytes()

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

    def list_images(self) -> pl.DataFrame:
        """See ImageSource; version is a digest of the vector."""
        has_uri = "uri" in _parquet_columns(self.path)
        rows: Rows = {"image_id": [], "uri": [], "size": [], "version": []}
        for batch in self._batches("image_id", "embedding", *(["uri"] if has_uri else [])):
            ids = batch.column("image_id").to_pylist()
            rows["image_id"] += ids
            rows["uri"] += batch.column("uri").to_pylist() if has_uri else ids
            rows["version"] += [vector_digest(row) for row in self._matrix(batch)]
        rows["size"] = [None] * len(rows["image_id"])
        return _listing(rows, where=str(self.path), empty=f"the vector table {self.path} has no rows")

    def labels(self, image_ids: Sequence[str], kind: str) -> pl.DataFrame:
        """See ImageSource; a vector table has labels of kind column alone."""
        if kind == "folder":
            raise SourceError(f"images.labels: folder needs image files; {self.path} is a vector table. Use column.")
        return _column_labels(
            _read_table(self.path, text_columns=("image_id", "label")),
            image_ids, key="image_id", fallback="image_id", path=self.path,
        )  # fmt: skip

    def vectors(self) -> Iterator[tuple[list[str], list[str], FloatMatrix]]:
        """In file order and batches: image ids, digests, and vectors as float32 (batch, dim), unit rows.

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
            yield batch.column("image_id").to_pylist(), [vector_digest(row) for row in raw], require_unit_rows(
                raw, name=name
            )  # fmt: skip
            done += len(raw)

    @property
    def encoder(self) -> str:
        """The encoder that the file's metadata names; `unstated` where it names none."""
        metadata = pq.read_schema(self.path).metadata or {}
        return str(metadata.get(ENCODER_KEY, UNSTATED_ENCODER.encode()).decode())

    def _matrix(self, batch: pa.Table) -> np.ndarray[Any, Any]:
        return matrix_of_lists(batch.column("embedding"), where=f"{self.path}: embedding")

    def _batches(self, *columns: str) -> Iterator[pa.Table]:
        missing = set(columns) - set(_parquet_columns(self.path))
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


def listing_digest(listing: pl.DataFrame) -> str:
    """A digest of a listing: it changes when an image comes, goes or changes."""
    return digest([listing[name].to_list() for name in ("image_id", "uri", "size", "version")])


def _listing(rows: Rows, *, where: str, empty: str) -> pl.DataFrame:
    schema = {"image_id": pl.String, "uri": pl.String, "size": pl.Int64, "version": pl.String}
    try:
        listing = pl.DataFrame(rows, schema=schema, strict=False)
    except (pl.exceptions.PolarsError, TypeError) as error:
        raise SourceError(f"{where}: cannot be read as a list of images: {error}") from error
    if listing.is_empty():
        raise SourceError(empty)
    nulls = listing["image_id"].null_count()
    if nulls:
        raise SourceError(f"{where}: image_id must not be empty; {nulls} of {len(listing)} rows are")
    repeated = listing.filter(pl.col("image_id").is_duplicated())["image_id"].unique().sort()
    if len(repeated):
        shown = ", ".join(repr(value) for value in repeated[:3])
        raise SourceError(f"{where}: image_id must be unique; {len(repeated)} ids repeat: {shown}")
    return listing.sort("image_id")


def _text(path: str) -> str:
    """A path as text that tables can hold; bytes that are no UTF-8 are spelled out, and reading it then fails."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _no_images(where: str) -> str:
    return f"images.source holds no images: {where} (looked for {', '.join(IMAGE_SUFFIXES)} in it and below)"


def _refuse_unlistable(error: OSError) -> None:
    raise SourceError(f"cannot list {error.filename}: {error.strerror}. A folder that cannot be read is not empty.")


def _folder_labels(image_ids: Sequence[str], kind: str, *, where: str) -> pl.DataFrame:
    if kind == "column":
        raise SourceError(f"images.labels: column needs a table with a column label; {where} is a folder. Use folder.")
    pairs = [(image_id, PurePosixPath(image_id).parent.name) for image_id in image_ids]
    return pl.DataFrame(
        [pair for pair in pairs if pair[1]], schema={"image_id": pl.String, "label": pl.String}, orient="row"
    )


def _column_labels(
    table: pl.DataFrame, image_ids: Sequence[str], *, key: str, fallback: str, path: Path
) -> pl.DataFrame:
    if "label" not in table.columns:
        raise SourceError(f"images.labels: column needs a column label in {path}; it has {table.columns}")
    ids = pl.col(key if key in table.columns else fallback).cast(pl.String).alias("image_id")
    labels = table.select(ids, pl.col("label").cast(pl.String))
    wanted = pl.DataFrame({"image_id": image_ids}, schema={"image_id": pl.String})
    return wanted.join(labels.drop_nulls(), on="image_id", how="inner").sort("image_id")


def _parquet_columns(path: Path) -> list[str]:
    try:
        return list(pq.read_schema(path).names)
    except (OSError, pa.ArrowInvalid) as error:
        raise SourceError(f"{path} must be a Parquet file: {error}") from error


def _read_table(path: Path, *, text_columns: Sequence[str]) -> pl.DataFrame:
    try:
        if path.suffix.lower() == ".csv":
            return pl.read_csv(path, schema_overrides=dict.fromkeys(text_columns, pl.String))
        columns = [name for name in text_columns if name in _parquet_columns(path)]
        table = pl.read_parquet(path, columns=columns or None)
        return table.with_columns(pl.col(name).cast(pl.String) for name in columns)
    except (OSError, pl.exceptions.PolarsError, UnicodeDecodeError) as error:
        raise SourceError(f"cannot read the manifest {path}: {error}") from error


def _local_facts(uri: str) -> tuple[int | None, str]:
    """Size and version of a manifest's file; a remote one is not asked, image by image, and counts as unchanged."""
    if "://" in uri:
        return None, "unknown"
    try:
        status = Path(uri).stat()
    except OSError:
        return None, "unknown"
    return status.st_size, str(status.st_mtime_ns)


def _open_remote(url: str) -> RemoteFolderSource:
    _filesystem(url)
    return RemoteFolderSource(url)


def _filesystem(url: str) -> tuple[Any, str]:
    from fsspec.core import url_to_fs

    try:
        filesystem, root = url_to_fs(url)
    except ImportError as error:
        raise SourceError(f"images.source {url} needs a package that is not installed: {error}") from error
    except (ValueError, OSError, TacError) as error:
        raise SourceError(f"images.source {url} cannot be opened: {error}") from error
    return filesystem, str(root).rstrip("/")


def _find(filesystem: Any, root: str, url: str) -> dict[str, dict[str, Any]]:
    try:
        # Filesystems cache listings within a process; a second run must see what came since.
        filesystem.invalidate_cache()
        if not filesystem.exists(root):
            raise SourceError(f"images.source must be an existing folder; nothing is at {url}")
        return dict(filesystem.find(root, detail=True))
    except OSError as error:
        raise SourceError(f"cannot list {url}: {error}. A source that cannot be read is not empty.") from error


def _remote_version(entry: dict[str, Any]) -> str:
    for name in ("ETag", "etag", "mtime", "LastModified", "last_modified", "modified", "updated", "created"):
        if entry.get(name):
            return str(entry[name]).strip('"')
    return "unknown"


def _read_uri(uri: str) -> bytes:
    from fsspec.core import url_to_fs

    filesystem, path = url_to_fs(uri)
    return bytes(filesystem.cat_file(path))
