"""The parts that all sources share: the listing, its digest, labels from folder names, and versions by content.

A listing accounts for everything that was looked at: images, files that were passed over and by which rule, and what
could not be looked at.
"""

from __future__ import annotations

import hashlib
import os
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Protocol

import polars as pl

from tac_pipeline.digest import digest, digest_of_columns
from tac_pipeline.errors import InputError, SourceError
from tac_pipeline.progress import Progress
from tac_pipeline.sources.formats import readable_suffixes
from tac_pipeline.sources.rules import ARCHIVE_SUFFIX

# Rows of single files in a table of what was passed over; more are counted by rule.
PASSED_OVER_ROWS = 10_000
PASSED_OVER = {"path": pl.String, "rule": pl.String, "files": pl.Int64}
PROBLEMS = {"path": pl.String, "reason": pl.String}
READING_THREADS = 8  # they mostly wait for the disk or the network

# The column of true labels.
LABEL = "label"
# The settings keys that ask for a column.
LABELS_KEY = "images.labels"
KNOWN_KEY = "known.column"

Rows = dict[str, list[Any]]
# Rows that are held as Python's own objects, which take five times as much.
_OPEN_ROWS = 65_536
_SCHEMA = {"image_id": pl.String, "uri": pl.String, "size": pl.Int64, "version": pl.String}


class ByteReader(Protocol):
    """Reads image files."""

    def read(self, uri: str, *, limit: int | None = None) -> bytes:
        """The bytes of one image; OSError where they cannot be had.

        With a limit, at most one byte more than it is read, and OverLimit (an OSError) is raised for more.
        """


class ImageSource(Protocol):
    """Lists images. It has either image files to read or vectors that an encoder has made."""

    @property
    def reader(self) -> ByteReader | None:
        """What reads the image files; None if the source has only vectors."""

    @property
    def encoder(self) -> str | None:
        """The encoder that made the source's vectors; None if it has image files."""

    def listing(self) -> Listing:
        """Look through the source.

        Raises
        ------
        SourceError
            The source is absent, empty, or cannot be listed at all. This never means that images were deleted.
        """

    def list_images(self) -> pl.DataFrame:
        """The images of the listing."""

    def labels(
        self, image_ids: Sequence[str], kind: str, *, column: str = LABEL, key: str = LABELS_KEY
    ) -> pl.DataFrame:
        """Columns image_id, label of those images that have one; kind is folder or column, then of a name.

        `key` is the settings key that asks for it, for messages.
        """

    def columns(self) -> tuple[str, ...]:
        """The columns that `labels` gives; label, coarse and split mean the same in every data set."""


class ImageFiles(ABC):
    """What the sources of image files share."""

    @abstractmethod
    def read(self, uri: str, *, limit: int | None = None) -> bytes:
        """See ByteReader."""

    @abstractmethod
    def listing(self) -> Listing:
        """See ImageSource."""

    @abstractmethod
    def columns(self) -> tuple[str, ...]:
        """See ImageSource."""

    def list_images(self) -> pl.DataFrame:
        """See ImageSource."""
        return self.listing().images

    @property
    def reader(self) -> ByteReader:
        """See ImageSource."""
        return self

    @property
    def encoder(self) -> None:
        """See ImageSource."""
        return


@dataclass(frozen=True)
class Listing:
    """What is in a source.

    Attributes
    ----------
    images : DataFrame
        Columns image_id, uri, size (null when unknown), version; sorted by image_id, ids unique, never empty.
    passed_over : DataFrame
        Columns path, rule, files: what was not taken for an image. One file has one row, up to a bound; more of a rule
        are one row with their number and an example path.
    problems : DataFrame
        Columns path, reason: what could not be looked at, such as a folder that may not be listed or an archive that
        is cut. What was known below such a path is not gone.
    notes : tuple of str
        What else there is to say, such as which columns of a table were taken.
    """

    images: pl.DataFrame
    passed_over: pl.DataFrame
    problems: pl.DataFrame
    notes: tuple[str, ...] = ()

    @property
    def passed_over_by_rule(self) -> dict[str, int]:
        """How many files each rule passed over, the most first."""
        return files_by_rule(self.passed_over)


def require_splits(wanted: Iterable[str], found: pl.Series, *, key: str, hint: str = "") -> dict[str, int]:
    """How many images each split has, the most first; refuses a wanted split without images.

    Parameters
    ----------
    found : Series of str
        The split of each image, null where it has none.
    key : str
        Who wants it: messages begin with it.
    hint : str
        What the message says at its end.

    Raises
    ------
    InputError
    """
    rows = found.drop_nulls().rename("split").value_counts(name="images")
    counts = dict(rows.sort(["images", "split"], descending=[True, False]).iter_rows())
    for split in wanted:
        if split not in counts:
            there = ", ".join(f"{name} ({images:,} images)" for name, images in counts.items()) or "none"
            raise InputError(f"{key} must be a split that has images; got {split!r}, and there are: {there}{hint}")
    return counts


def files_by_rule(passed_over: pl.DataFrame) -> dict[str, int]:
    """How many files each rule passed over, the most first; from columns rule, files."""
    counts = passed_over.group_by("rule").agg(pl.col("files").sum())
    return dict(counts.sort(["files", "rule"], descending=[True, False]).iter_rows())


class ListingBuilder:
    """Collects what a source finds, in any order."""

    def __init__(self) -> None:
        self._rows: Rows = {name: [] for name in _SCHEMA}
        self._parts: list[pl.DataFrame] = []
        self._unusable: Exception | None = None
        self._passed: list[tuple[str, str, int]] = []
        self._more: dict[str, tuple[str, int]] = {}
        self._problems: list[tuple[str, str]] = []
        self._notes: list[str] = []

    def add_image(self, image_id: str, *, uri: str, size: int | None, version: str) -> None:
        """An image."""
        rows = self._rows
        rows["image_id"].append(image_id)
        rows["uri"].append(uri)
        rows["size"].append(size)
        rows["version"].append(version)
        if len(rows["version"]) == _OPEN_ROWS:
            self._close_rows()

    def add_images(self, images: pl.DataFrame) -> None:
        """Images, with the columns image_id, uri, size, version."""
        self._close_rows()
        self._parts.append(images.select(pl.col(name).cast(kind) for name, kind in _SCHEMA.items()))

    def _close_rows(self) -> None:
        try:
            self._parts.append(pl.DataFrame(self._rows, schema=_SCHEMA, strict=False))
        except (pl.exceptions.PolarsError, TypeError) as error:
            self._unusable = error  # told with the place, which `finish` knows
        self._rows = {name: [] for name in _SCHEMA}

    @property
    def image_ids(self) -> pl.Series:
        """Those of the images until now, in the order in which they came."""
        self._close_rows()
        return pl.concat(part["image_id"] for part in self._parts)

    def pass_over(self, path: str, rule: str, files: int = 1) -> None:
        """Files that are not taken for images; path is one of them, below the source."""
        self._passed.append((path, rule, files))
        if len(self._passed) >= 2 * PASSED_OVER_ROWS:
            self._count_most()

    def _count_most(self) -> None:
        """Keep the first rows by path, whatever the order in which they came; of the others count the files."""
        self._passed.sort()
        for path, rule, files in self._passed[PASSED_OVER_ROWS:]:
            example, known = self._more.get(rule, (path, 0))
            self._more[rule] = (min(example, path), known + files)
        del self._passed[PASSED_OVER_ROWS:]

    def report(self, path: str, reason: str) -> None:
        """Something that could not be looked at; path is below the source."""
        self._problems.append((path, reason))

    def note(self, *notes: str) -> None:
        """What is no problem and worth saying, once each."""
        self._notes += [note for note in notes if note not in self._notes]

    def finish(self, *, where: str, empty: str) -> Listing:
        """The listing, validated.

        Raises
        ------
        SourceError
            There are no images, or ids repeat.
        """
        self._count_most()
        passed = [*self._passed, *((path, rule, files) for rule, (path, files) in self._more.items())]
        passed_over = pl.DataFrame(passed, schema=PASSED_OVER, orient="row").sort("path")
        problems = pl.DataFrame(self._problems, schema=PROBLEMS, orient="row").sort("path")
        self._close_rows()
        if self._unusable is not None:
            raise SourceError(f"{where}: cannot be read as a list of images: {self._unusable}") from self._unusable
        listed = pl.concat(self._parts)
        if listed.is_empty():
            told = [
                f"{files:,} {rule}"
                for rule, files in Listing(passed_over, passed_over, problems).passed_over_by_rule.items()
            ]
            told += [f"{path}: {reason}" for path, reason in problems.head(3).iter_rows()]
            raise SourceError(empty + (f". Not taken: {'; '.join(told)}" if told else ""))
        return Listing(_checked(listed, where=where), passed_over, problems, tuple(self._notes))


def file_version(changed: int | str, size: int | None) -> str:
    """A text that changes when the file changes: its time of change, and its size in case the clock was wrong."""
    return f"{changed}-{size}"


def _checked(listing: pl.DataFrame, *, where: str) -> pl.DataFrame:
    """A listing, validated, and sorted by image_id (see ImageSource.list_images)."""
    nulls = listing["image_id"].null_count()
    if nulls:
        raise SourceError(f"{where}: image_id must not be empty; {nulls} of {len(listing)} rows are")
    if listing["image_id"].n_unique() < len(listing):
        repeated = listing.filter(pl.col("image_id").is_duplicated())["image_id"].unique().sort()
        shown = ", ".join(repr(value) for value in repeated[:3])
        raise SourceError(f"{where}: image_id must be unique; {len(repeated)} ids repeat: {shown}")
    return listing.sort("image_id")


def no_images(where: str) -> str:
    """The sentence for an empty source."""
    return f"images.source holds no images: {where} (looked for {', '.join((*readable_suffixes(), ARCHIVE_SUFFIX))})"


def listing_digest(images: pl.DataFrame) -> str:
    """A digest of a listing's images: it changes when an image comes, goes or changes."""
    return digest_of_columns([images[name] for name in ("image_id", "uri", "size", "version")])


def others_digest(listing: Listing) -> str | None:
    """A digest of what else was looked at; None when everything was an image."""
    others = (listing.passed_over, listing.problems)
    return digest([column.to_list() for table in others for column in table]) if any(map(len, others)) else None


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
            return f"sha256-{hashlib.sha256(reader.read(row['uri'], limit=max_bytes)).hexdigest()}"
        except (OSError, ValueError):
            return listed

    versions = []
    with ThreadPoolExecutor(READING_THREADS, thread_name_prefix="compare") as pool:
        for done, found in enumerate(pool.map(version, listing.iter_rows(named=True)), start=1):
            versions.append(found)
            if progress is not None:
                progress(done, len(listing))
    return listing.with_columns(version=pl.Series(versions, dtype=pl.String))


def folder_labels(
    image_ids: Sequence[str], kind: str, *, where: str, column: str = LABEL, key: str = LABELS_KEY
) -> pl.DataFrame:
    """The name of the folder that each image is in; an archive is not a folder."""
    if kind == "column":
        raise SourceError(f"{key} needs a table with a column {column}; {where} is a folder. {_INSTEAD.get(key, '')}")
    pairs = [(image_id, PurePosixPath(image_id).parent.name) for image_id in image_ids]
    return labels_table(pair for pair in pairs if pair[1] and not pair[1].lower().endswith(ARCHIVE_SUFFIX))


def labels_table(pairs: Iterable[tuple[str, str]]) -> pl.DataFrame:
    """Columns image_id, label."""
    return pl.DataFrame(list(pairs), schema={"image_id": pl.String, "label": pl.String}, orient="row")


def unknown_column(column: str, known: Sequence[str], *, where: str, key: str) -> SourceError:
    """The error for a column that a data set does not have."""
    return SourceError(f"{key} must name a column of {where}; got {column}, and it has {', '.join(known)}")


# What serves a folder.
_INSTEAD = {
    LABELS_KEY: "Use folder.",
    KNOWN_KEY: "Use known.folder, or known.file with a table of examples.",
}


def as_text(path: str) -> str:
    """A path as text that tables can hold; bytes that are not UTF-8 are escaped (`as_path` finds them again)."""
    if path.isascii():
        return path
    try:
        path.encode()
    except UnicodeEncodeError:
        return os.fsencode(path).decode("utf-8", "backslashreplace")
    return path


def as_path(text: str) -> str:
    """The path that `as_text` made a text of: the text itself, unless only its escapes name a file."""
    if "\\x" not in text or os.path.lexists(text):
        return text
    escaped = os.fsencode(text)
    return os.fsdecode(re.sub(rb"\\x([0-9a-f]{2})", lambda found: bytes([int(found[1], 16)]), escaped))
