"""Putting image files into a folder, several at once: copies, or links to plain local files."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import polars as pl

from tac_pipeline.errors import StoreError
from tac_pipeline.export.formats import Link
from tac_pipeline.progress import Progress
from tac_pipeline.sources import ByteReader
from tac_pipeline.sources.archives import place_in_archive
from tac_pipeline.sources.listing import READING_THREADS
from tac_pipeline.sources.tables.images import place_in_table

BATCH = 1024
UNLISTED = "the source no longer lists it"


def place_images(
    images: pl.DataFrame,
    targets: Sequence[Path],
    source: ByteReader,
    *,
    link: Link | None,
    progress: Progress | None = None,
) -> list[str | None]:
    """Put every image at its target; folders must be there.

    Parameters
    ----------
    images : DataFrame with uri
    targets : sequence of Path, one per image
    source : ByteReader
        Reads members of tars and remote images, which are never linked.
    link : Link or None

    Returns
    -------
    list of str or None, one per image: why it could not be copied

    Raises
    ------
    StoreError
        Links cannot be made there.
    """
    errors: list[str | None] = []
    with ThreadPoolExecutor(READING_THREADS, thread_name_prefix="export") as pool:
        for uris, paths in _batches(images["uri"].to_list(), targets):
            errors += pool.map(lambda uri, path: _place(uri, path, source, link), uris, paths)
            if progress is not None:
                progress(len(errors), len(targets))
    return errors


def _batches(
    uris: Sequence[str | None], targets: Sequence[Path]
) -> Iterator[tuple[Sequence[str | None], Sequence[Path]]]:
    for start in range(0, len(targets), BATCH):
        yield uris[start : start + BATCH], targets[start : start + BATCH]


def _place(uri: str | None, target: Path, source: ByteReader, link: Link | None) -> str | None:
    if uri is None:
        return UNLISTED
    local = "://" not in uri and place_in_archive(uri) is None and place_in_table(uri) is None
    try:
        if local and link is not None:
            _link(Path(uri), target, link)
        elif local:
            shutil.copyfile(uri, target)
        else:
            target.write_bytes(source.read(uri))
    except (OSError, ValueError) as error:
        target.unlink(missing_ok=True)
        return why_unread(error)
    return None


def why_unread(error: Exception) -> str:
    """Why an image file could not be had, in words."""
    return f"cannot be read: {getattr(error, 'strerror', None) or error}"


def _link(file: Path, target: Path, link: Link) -> None:
    real = file.resolve(strict=True)  # a dangling link is not an image
    try:
        if link is Link.SYMBOLIC:
            target.symlink_to(real)
        else:
            os.link(real, target)
    except OSError as error:
        other = "--link symbolic, or " if link is Link.HARD else ""
        raise StoreError(
            f"cannot make a {link} link at {target} to {real}: {error.strerror}. Take {other}copies (no --link)."
        ) from error
