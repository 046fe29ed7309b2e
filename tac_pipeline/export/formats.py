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


class Link(StrEnum):
    """What stands in an export instead of a copy of an image file."""

    SYMBOLIC = "symbolic"
    HARD = "hard"
