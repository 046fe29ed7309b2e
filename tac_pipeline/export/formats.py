"""The names of the export formats, in a file of their own because the command line loads nothing else for them."""

from __future__ import annotations

from enum import StrEnum


class Format(StrEnum):
    """The formats of an export."""

    CSV = "csv"
    PARQUET = "parquet"
    IMAGEFOLDER = "imagefolder"
    FIFTYONE = "fiftyone-json"
    EMBEDDING_ATLAS = "embedding-atlas"

    @property
    def holds_images(self) -> bool:
        """Whether it is a folder with image files; the others are one file."""
        return self in (Format.IMAGEFOLDER, Format.FIFTYONE)

    @property
    def holds_vectors(self) -> bool:
        """Whether it has a place for each image's vector."""
        return self is Format.EMBEDDING_ATLAS

    @property
    def holds_unplaced(self) -> bool:
        """Whether it has a row for an image without a cluster too."""
        return self in (Format.CSV, Format.PARQUET)


FOLDERS = " and ".join(form for form in Format if form.holds_images)
FILES = tuple(form for form in Format if not form.holds_images)
WITH_VECTORS = " and ".join(form for form in Format if form.holds_vectors)


class Link(StrEnum):
    """The kinds of link that an export can have instead of copies of image files."""

    SYMBOLIC = "symbolic"
    HARD = "hard"
