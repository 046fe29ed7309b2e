"""Image sources: they list the images of a store and read their bytes or their vectors.

The location decides which kind it is: a folder (local or any fsspec URL) of image files and tar shards, one tar, a
manifest (a table with a `uri` column, or with the images), vectors (.parquet with an `embedding` column, .npy, or a
folder or pattern of them), or a data set in a usual layout (layouts/). What must stay out: encoding (encoders/).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tac_pipeline.errors import SourceError
from tac_pipeline.sources.archives import ListingCache
from tac_pipeline.sources.folders import FolderSource, RemoteFolderSource
from tac_pipeline.sources.formats import IMAGE_SUFFIXES
from tac_pipeline.sources.layouts.finding import find_row_source
from tac_pipeline.sources.layouts.rows import RowSource
from tac_pipeline.sources.listing import (
    ByteReader,
    ImageSource,
    Listing,
    listing_digest,
    others_digest,
    versions_by_content,
)
from tac_pipeline.sources.manifests import ManifestSource
from tac_pipeline.sources.many import ManySources, SingleSource, prefixes_of
from tac_pipeline.sources.remote import TIMEOUT, open_filesystem
from tac_pipeline.sources.rules import Rules, is_archive
from tac_pipeline.sources.tables.columns import PARQUET_SUFFIX, TABLE_SUFFIXES
from tac_pipeline.sources.tables.parquet import parquet_schema
from tac_pipeline.sources.tables.vectors import MATRIX_SUFFIX, find_vector_files, is_vector_table, vector_digest
from tac_pipeline.sources.vectors import NamedPictures, VectorBatch, VectorSource

__all__ = [
    "IMAGE_SUFFIXES",
    "ByteReader",
    "FolderSource",
    "ImageSource",
    "Listing",
    "ManifestSource",
    "ManySources",
    "NamedPictures",
    "RemoteFolderSource",
    "RowSource",
    "Rules",
    "Source",
    "VectorBatch",
    "VectorSource",
    "listing_digest",
    "open_source",
    "open_sources",
    "others_digest",
    "vector_digest",
    "versions_by_content",
]

Source = FolderSource | RemoteFolderSource | ManifestSource | RowSource | VectorSource | ManySources


def open_source(
    location: str,
    *,
    listings: ListingCache | None = None,
    rules: Rules | None = None,
    timeout: float = TIMEOUT,
    by_folder: bool = False,
) -> SingleSource:
    """The source at an absolute path or a URL.

    Parameters
    ----------
    listings : ListingCache, optional
        Keeps the listings of archives and of files of vectors, so that only new ones are read.
    rules : Rules, optional
        What is passed over in folders and archives.
    timeout : float
        Seconds after which a remote read that brings nothing, or hardly anything, is given up.
    by_folder : bool
        Whether local folders that have the time that they had are not listed again.

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
    if find_vector_files(path):
        return VectorSource(path, listings)
    rows = find_row_source(path)
    if rows is not None:
        return rows
    if path.is_dir() or (is_archive(path.name) and path.is_file()):
        return FolderSource(path, listings, rules, by_folder)
    if not path.exists():
        pattern = " (a pattern must match .parquet or .npy files with vectors)" if "*" in path.name else ""
        raise SourceError(f"images.source must be an existing folder or table; nothing is at {path}{pattern}")
    small = path.name.lower()
    if not small.endswith((*TABLE_SUFFIXES, MATRIX_SUFFIX)):
        raise SourceError(
            "images.source must be a folder, a .tar, a manifest (.csv, .tsv, .jsonl, .txt, .parquet) or vectors "
            f"(.parquet, .npy); got the file {path}"
        )
    if small.endswith(MATRIX_SUFFIX) or (small.endswith(PARQUET_SUFFIX) and is_vector_table(parquet_schema(path))):
        return VectorSource(path, listings)
    return ManifestSource(path, timeout)


def open_sources(
    locations: Sequence[str],
    *,
    listings: ListingCache | None = None,
    rules: Rules | None = None,
    timeout: float = TIMEOUT,
    by_folder: bool = False,
) -> ManySources:
    """Several places as one source, each with its own prefix in the ids: the last part of its location.

    Nothing is opened before it is asked for, because one place that is absent does not stop the others.

    Parameters
    ----------
    locations : sequence of str
        See open_source.
    listings, rules, timeout, by_folder
        See open_source.

    Raises
    ------
    SourceError
        There are no locations, or one is given twice.
    """

    def open_one(location: str, shared: ListingCache | None) -> SingleSource:
        return open_source(location, listings=shared, rules=rules, timeout=timeout, by_folder=by_folder)

    return ManySources(prefixes_of(locations), open_one, listings)
