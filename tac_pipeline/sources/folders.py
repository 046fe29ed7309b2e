"""Folders of image files and tar shards: local folders, and any URL that fsspec opens."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from tac_pipeline.errors import SourceError
from tac_pipeline.sources.archives import ArchiveListings, ListingCache, add_members, place_in_archive, require_whole
from tac_pipeline.sources.listing import (
    READING_THREADS,
    ImageFiles,
    add_image,
    file_version,
    folder_labels,
    is_archive,
    is_image,
    list_rows,
    new_rows,
    no_images,
)
from tac_pipeline.sources.remote import changed_mark, list_files, open_filesystem, read_url


@dataclass(frozen=True)
class FolderSource(ImageFiles):
    """All image files below a local folder, and those in the tar shards there; or those in one tar.

    Hidden files and linked folders are skipped.

    Parameters
    ----------
    folder : Path
        A folder, or one tar.
    listings : ListingCache, optional
        Where what was found in archives is kept.
    """

    folder: Path
    listings: ListingCache | None = None

    def list_images(self) -> pl.DataFrame:
        """See ImageSource; image_id is the path below the folder; for a tar's member it is shard/member."""
        rows, archives = new_rows(), ArchiveListings(self.listings)
        for name, path in self._files():
            try:
                status = path.stat()
            except OSError as error:
                if is_archive(name):
                    raise SourceError(f"cannot read the archive {path}: {error.strerror}") from error
                status = None  # a dangling link, or removed meanwhile: it is kept, and reading it says why
            size = status.st_size if status else None
            version = file_version(status.st_mtime_ns, size) if status else "unknown"
            if is_archive(name):
                members = archives.members(str(path), version, lambda path=path: path.open("rb"))  # type: ignore[misc]
                add_members(rows, members, archive_id=_text(name), uri=_text(str(path)), version=version)
                continue
            add_image(rows, _text(name), uri=_text(str(path)), size=size, version=version)
        archives.forget_others()
        return list_rows(rows, where=str(self.folder), empty=no_images(str(self.folder)))

    def labels(self, image_ids: Sequence[str], kind: str) -> pl.DataFrame:
        """See ImageSource; a folder has labels of kind folder alone."""
        return folder_labels(image_ids, kind, where=str(self.folder))

    def read(self, uri: str) -> bytes:
        """See ByteReader."""
        place = place_in_archive(uri)
        if place is None:
            return Path(uri).read_bytes()
        archive, offset, size = place
        with Path(archive).open("rb") as file:
            file.seek(offset)
            return require_whole(file.read(size), size, archive)

    def _files(self) -> Iterator[tuple[str, Path]]:
        """Path below the folder and path of every image file and archive."""
        if self.folder.is_file():
            yield self.folder.name, self.folder
            return
        for parent, folders, names in os.walk(self.folder, onerror=_refuse_unlistable):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in names:
                if is_image(name) or is_archive(name):
                    path = Path(parent, name)
                    yield path.relative_to(self.folder).as_posix(), path


@dataclass(frozen=True)
class RemoteFolderSource(ImageFiles):
    """All image files below an fsspec URL such as s3://bucket/photos, and those in the tar shards there; or in one tar.

    Parameters
    ----------
    url : str
        A folder, or one tar.
    listings : ListingCache, optional
        Where what was found in archives is kept.
    """

    url: str
    listings: ListingCache | None = None

    def list_images(self) -> pl.DataFrame:
        """See ImageSource; version is the etag if there is one, else the time of change and the size."""
        filesystem, root = open_filesystem(self.url)
        files = list_files(filesystem, root, self.url)
        # A single archive is listed as itself.
        top = os.path.dirname(root) if list(files) == [root] else root  # noqa: PTH120 - no path of this machine
        wanted = {path.removeprefix(top).lstrip("/"): path for path in files}
        wanted = {name: path for name, path in wanted.items() if is_image(name) or is_archive(name)}
        versions = _remote_versions(filesystem, {path: files[path] for path in wanted.values()})
        rows, archives = new_rows(), ArchiveListings(self.listings)
        for name, path in wanted.items():
            uri, (size, version) = filesystem.unstrip_protocol(path), versions[path]
            if is_archive(name):
                members = archives.members(uri, version, lambda path=path: filesystem.open(path, "rb"))  # type: ignore[misc]
                add_members(rows, members, archive_id=name, uri=uri, version=version)
                continue
            add_image(rows, name, uri=uri, size=size, version=version)
        archives.forget_others()
        return list_rows(rows, where=self.url, empty=no_images(self.url))

    def labels(self, image_ids: Sequence[str], kind: str) -> pl.DataFrame:
        """See ImageSource; a folder has labels of kind folder alone."""
        return folder_labels(image_ids, kind, where=self.url)

    def read(self, uri: str) -> bytes:
        """See ByteReader."""
        place = place_in_archive(uri)
        if place is None:
            return read_url(uri)
        archive, offset, size = place
        return require_whole(read_url(archive, start=offset, end=offset + size), size, archive)


def _remote_versions(filesystem: Any, files: dict[str, dict[str, Any]]) -> dict[str, tuple[int | None, str]]:
    """Size and version of every file; files without them in the listing are asked one by one."""

    def facts(path: str) -> tuple[int | None, str]:
        entry = files[path]
        if changed_mark(entry) is None:
            try:
                entry = {**entry, **filesystem.info(path)}
            except Exception:  # noqa: BLE001 - every filesystem has its own errors; reading the file says more
                return entry.get("size"), "unknown"
        size, mark = entry.get("size"), changed_mark(entry)
        return size, "unknown" if mark is None else file_version(mark, size)

    with ThreadPoolExecutor(READING_THREADS, thread_name_prefix="list") as pool:
        return dict(zip(files, pool.map(facts, files), strict=True))


def _text(path: str) -> str:
    """A path as text that tables can hold; bytes that are not UTF-8 are escaped, and reading it then fails."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _refuse_unlistable(error: OSError) -> None:
    raise SourceError(f"cannot list {error.filename}: {error.strerror}. A folder that cannot be read is not empty.")
