"""Image sources: they list the images of a store and read their bytes or their vectors.

The location decides which kind it is: a folder (local or any fsspec URL) of image files and tar shards, one tar, a
manifest (.csv or .parquet with a `uri` column), or a vector table (.parquet with an `embedding` column). What must
stay out: encoding (encoders/).
"""

from __future__ import annotations

from pathlib import Path

from tac_pipeline.errors import SourceError
from tac_pipeline.sources.archives import ListingCache
from tac_pipeline.sources.folders import FolderSource, RemoteFolderSource
from tac_pipeline.sources.formats import IMAGE_SUFFIXES
from tac_pipeline.sources.listing import ByteReader, ImageSource, Listing, listing_digest, versions_by_content
from tac_pipeline.sources.remote import TIMEOUT, open_filesystem
from tac_pipeline.sources.rules import Rules, is_archive
from tac_pipeline.sources.tables import ManifestSource, VectorSource, parquet_columns, vector_digest

__all__ = [
    "IMAGE_SUFFIXES",
    "ByteReader",
    "FolderSource",
    "ImageSource",
    "Listing",
    "ManifestSource",
    "RemoteFolderSource",
    "Rules",
    "Source",
    "VectorSource",
    "listing_digest",
    "open_source",
    "vector_digest",
    "versions_by_content",
]

TABLE_SUFFIXES = (".csv", ".parquet")

Source = FolderSource | RemoteFolderSource | ManifestSource | VectorSource


def open_source(
    location: str, *, listings: ListingCache | None = None, rules: Rules | None = None, timeout: float = TIMEOUT
) -> Source:
    """The source at an absolute path or a URL.

    Parameters
    ----------
    listings : ListingCache, optional
        Keeps the listings of archives, so that only new archives are read for their names.
    rules : Rules, optional
        What is passed over in folders and archives.
    timeout : float
        Seconds after which a remote read that brings nothing, or hardly anything, is given up.

    Raises
    ------
    SourceError
        Nothing is there, or it is none of these kinds.
    """
    rules = rules or Rules()
    if "://" in location:
        open_filesystem(location, timeout=timeout)
        return RemoteFolderSource(location, listings, rules, timeout)
    path = Path(location)
    if path.is_dir() or (is_archive(path.name) and path.is_file()):
        return FolderSource(path, listings, rules)
    if not path.exists():
        raise SourceError(f"images.source must be an existing folder or table; nothing is at {path}")
    if path.suffix.lower() not in TABLE_SUFFIXES:
        raise SourceError(f"images.source must be a folder, a .tar, a .csv or a .parquet; got the file {path}")
    if path.suffix.lower() == ".parquet" and "embedding" in parquet_columns(path):
        return VectorSource(path)
    return ManifestSource(path)
