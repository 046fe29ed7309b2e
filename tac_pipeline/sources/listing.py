"""The parts that all sources share: the listing, its digest, labels from folder names, and versions by content."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import PurePosixPath
from typing import Any, Protocol

import polars as pl

from tac_pipeline.digest import digest
from tac_pipeline.errors import SourceError
from tac_pipeline.progress import Progress

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")
ARCHIVE_SUFFIX = ".tar"
READING_THREADS = 8  # they mostly wait for the disk or the network

Rows = dict[str, list[Any]]


class ByteReader(Protocol):
    """Reads image files."""

    def read(self, uri: str) -> bytes:
        """The bytes of one image; OSError where they cannot be had."""


class ImageSource(Protocol):
    """Lists images. It has either image files to read or vectors that an encoder has made."""

    @property
    def reader(self) -> ByteReader | None:
        """What reads the image files; None if the source has only vectors."""

    @property
    def encoder(self) -> str | None:
        """The encoder that made the source's vectors; None if it has image files."""

    def list_images(self) -> pl.DataFrame:
        """Columns image_id, uri, size (null when unknown), version; sorted by image_id, ids unique, never empty.

        Raises
        ------
        SourceError
            The source is absent, empty, or not fully listed. This never means that images were deleted.
        """

    def labels(self, image_ids: Sequence[str], kind: str) -> pl.DataFrame:
        """Columns image_id, label: the true labels of those images that have one; kind is folder or column."""


class ImageFiles(ABC):
    """What the sources of image files share."""

    @abstractmethod
    def read(self, uri: str) -> bytes:
        """See ByteReader."""

    @property
    def reader(self) -> ByteReader:
        """See ImageSource."""
        return self

    @property
    def encoder(self) -> None:
        """See ImageSource."""
        return


def new_rows() -> Rows:
    """Empty columns of a listing."""
    return {"image_id": [], "uri": [], "size": [], "version": []}


def add_image(rows: Rows, image_id: str, *, uri: str, size: int | None, version: str) -> None:
    """Add an image to the columns of a listing."""
    for name, value in (("image_id", image_id), ("uri", uri), ("size", size), ("version", version)):
        rows[name].append(value)


def is_image(path: str) -> bool:
    """Whether a path below the source names an image that is not hidden."""
    return path.lower().endswith(IMAGE_SUFFIXES) and not is_hidden(path)


def is_archive(path: str) -> bool:
    """Whether a path below the source names a tar of images that is not hidden."""
    return path.lower().endswith(ARCHIVE_SUFFIX) and not is_hidden(path)


def is_hidden(path: str) -> bool:
    """Whether a path below the source, or a folder on the way, begins with a dot."""
    return any(part.startswith(".") for part in path.split("/"))


def file_version(changed: int | str, size: int | None) -> str:
    """A text that changes when the file changes: its time of change, and its size in case the clock was wrong."""
    return f"{changed}-{size}"


def list_rows(rows: Rows, *, where: str, empty: str) -> pl.DataFrame:
    """A listing of these rows, validated (see ImageSource.list_images)."""
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


def no_images(where: str) -> str:
    """The sentence for an empty source."""
    wanted = ", ".join((*IMAGE_SUFFIXES, ARCHIVE_SUFFIX))
    return f"images.source holds no images: {where} (looked for {wanted} in it and below)"


def listing_digest(listing: pl.DataFrame) -> str:
    """A digest of a listing: it changes when an image comes, goes or changes."""
    return digest([listing[name].to_list() for name in ("image_id", "uri", "size", "version")])


def versions_by_content(
    reader: ByteReader, listing: pl.DataFrame, *, max_bytes: int, progress: Progress | None = None
) -> pl.DataFrame:
    """The listing with a digest of every image's bytes as its version, to find changes that time and size miss.

    Reads every image, READING_THREADS at once. An image that cannot be read, or has more than max_bytes, keeps the
    version that the listing gave it.
    """

    def version(row: dict[str, Any]) -> str:
        listed = str(row["version"])
        if row["size"] is not None and row["size"] > max_bytes:
            return listed
        try:
            return f"sha256-{hashlib.sha256(reader.read(row['uri'])).hexdigest()}"
        except (OSError, ValueError):
            return listed

    versions = []
    with ThreadPoolExecutor(READING_THREADS, thread_name_prefix="compare") as pool:
        for done, found in enumerate(pool.map(version, listing.iter_rows(named=True)), start=1):
            versions.append(found)
            if progress is not None:
                progress(done, len(listing))
    return listing.with_columns(version=pl.Series(versions, dtype=pl.String))


def folder_labels(image_ids: Sequence[str], kind: str, *, where: str) -> pl.DataFrame:
    """The name of the folder that each image is in; an archive is not a folder."""
    if kind == "column":
        raise SourceError(f"images.labels: column needs a table with a column label; {where} is a folder. Use folder.")
    pairs = [(image_id, PurePosixPath(image_id).parent.name) for image_id in image_ids]
    return pl.DataFrame(
        [pair for pair in pairs if pair[1] and not pair[1].lower().endswith(ARCHIVE_SUFFIX)],
        schema={"image_id": pl.String, "label": pl.String},
        orient="row",
    )
