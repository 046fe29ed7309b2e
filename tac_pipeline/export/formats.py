"""What an export can look like: words that the command line shows, so that it loads nothing else for them."""

from __future__ import annotations

from enum import StrEnum


class Format(StrEnum):
    """What an export can look like."""

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
    """What stands in an export instead of a copy of an image file."""

    SYMBOLIC = "symbolic"
    HARD = "hard"
