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


class Link(StrEnum):
    """The kinds of link that an export can have instead of copies of image files."""

    SYMBOLIC = "symbolic"
    HARD = "hard"
