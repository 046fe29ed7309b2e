"""Folders of image files and tar shards: local folders, and any URL that fsspec opens."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import IO, Any
from urllib.parse import unquote

import polars as pl

from tac_pipeline.errors import SourceError
from tac_pipeline.sources.archives import ArchiveListings, ListingCache, place_in_archive, require_whole
from tac_pipeline.sources.formats import HEAD_BYTES
from tac_pipeline.sources.layouts.finding import find_folder_layout
from tac_pipeline.sources.layouts.labeled import FolderLayout
from tac_pipeline.sources.listing import (
    LABEL,
    LABELS_KEY,
    READING_THREADS,
    ImageFiles,
    Listing,
    ListingBuilder,
    as_path,
    as_text,
    file_version,
    folder_labels,
    labels_table,
    no_images,
    unknown_column,
)
from tac_pipeline.sources.remote import TIMEOUT, RemoteFiles, changed_mark, list_files, open_filesystem
from tac_pipeline.sources.rules import EXPORT_RECORD, Rules, is_archive
from tac_pipeline.sources.streaming import OverLimit, is_http, read_local


@dataclass(frozen=True)
class FolderSource(ImageFiles):
    """All image files below a local folder, and those in the tar shards there; or those in one tar.

    Parameters
    ----------
    folder : Path
        A folder, or one tar.
    listings : ListingCache, optional
        Where what was found in archives is kept.
    rules : Rules, optional
        What is passed over.
    """

    folder: Path
    listings: ListingCache | None = None
    rules: Rules = field(default_factory=Rules)

    def listing(self) -> Listing:
        """See ImageSource; image_id is the path below the folder; for a tar's member it is shard/member."""
        found, archives = ListingBuilder(), ArchiveListings(self.listings, self.rules)
        if self.folder.is_file():
            self._add_file(found, archives, self.folder.name, str(self.folder), _status_of(str(self.folder)))
        else:
            for below, entry in _Walk(self.folder, self.rules, found):
                self._add_entry(found, archives, below, entry)
        archives.forget_others()
        return self._with_notes(found.finish(where=str(self.folder), empty=no_images(str(self.folder))))

    def _with_notes(self, listing: Listing) -> Listing:
        """The listing, with what the layout of the folder says of it."""
        self.__dict__.pop("layout", None)  # files of labels may have been written again
        if self.layout is None:
            return listing
        try:
            notes = tuple(self.layout.notes(listing.images["image_id"].to_list()))
        except SourceError as error:  # images can be grouped without their labels
            notes = (f"the labels of {self.layout.name} cannot be read: {error}",)
        return replace(listing, notes=(*listing.notes, *notes))

    @cached_property
    def layout(self) -> FolderLayout | None:
        """The layout of a data set that the folder has; see layouts/."""
        return find_folder_layout(self.folder)

    def columns(self) -> tuple[str, ...]:
        """See ImageSource."""
        return () if self.layout is None else self.layout.columns

    def _add_entry(self, found: ListingBuilder, archives: ArchiveListings, below: str, entry: os.DirEntry[str]) -> None:
        rule = self.rules.passes_file(below, partial(_head, entry.path))
        if rule is not None:
            found.pass_over(as_text(below), rule)
            return
        try:
            status: os.stat_result | None = entry.stat()
        except OSError:
            status = None  # a dangling link, or removed meanwhile: it is kept, and reading it says why
        if status is not None and not entry.is_file():
            found.report(as_text(below), "is a named pipe, a socket or a device, not a file")
            return
        self._add_file(found, archives, below, entry.path, status)

    def _add_file(
        self, found: ListingBuilder, archives: ArchiveListings, below: str, path: str, status: os.stat_result | None
    ) -> None:
        name, uri = as_text(below), as_text(path)
        size = status.st_size if status else None
        version = file_version(status.st_mtime_ns, size) if status else "unknown"
        if is_archive(below):
            archives.add_to(found, partial(_open_bytes, path), archive_id=name, uri=uri, version=version)
        else:
            found.add_image(name, uri=uri, size=size, version=version)

    def labels(
        self, image_ids: Sequence[str], kind: str, *, column: str = LABEL, key: str = LABELS_KEY
    ) -> pl.DataFrame:
        """See ImageSource; a folder has columns where its layout is known."""
        if kind == "column" and self.layout is not None:
            if column not in self.layout.columns:
                raise unknown_column(column, self.layout.columns, where=f"{self.folder} ({self.layout.name})", key=key)
            values = self.layout.values(image_ids, column)
            pairs = zip(image_ids, values, strict=True)
            return labels_table((image_id, value) for image_id, value in pairs if value is not None)
        return folder_labels(image_ids, kind, where=str(self.folder), column=column, key=key)

    def read(self, uri: str, *, limit: int | None = None) -> bytes:
        """See ByteReader; with a limit, at most one byte more than it is read and OverLimit raised."""
        place = place_in_archive(uri)
        if place is None:
            return read_local(Path(as_path(uri)), limit)
        archive, offset, size = place
        if limit is not None and size > limit:
            raise OverLimit(size, limit)
        with Path(as_path(archive)).open("rb") as file:
            file.seek(offset)
            return require_whole(file.read(size), size, archive)


class _Walk:
    """The files below a folder that no rule of a folder passes over, with their paths below it.

    A linked folder is looked through after all others, and no folder twice, so that loops end.
    """

    def __init__(self, folder: Path, rules: Rules, found: ListingBuilder) -> None:
        self._folder, self._rules, self._found = folder, rules, found
        self._own = {os.path.realpath(own) for own in rules.own}
        self._visited: set[tuple[int, int]] = set()
        self._links: list[tuple[str, str]] = []

    def __iter__(self) -> Iterator[tuple[str, os.DirEntry[str]]]:
        yield from self._below([(str(self._folder), "")])
        while self._links:
            path, below = self._links.pop(0)
            status = _status_of(path)
            if status is not None and (status.st_dev, status.st_ino) not in self._visited:
                yield from self._below([(path, below)])
            else:
                self._found.pass_over(as_text(below), "a link to a folder that is looked through anyway")

    def _below(self, folders: list[tuple[str, str]]) -> Iterator[tuple[str, os.DirEntry[str]]]:
        while folders:
            path, below = folders.pop()
            entries = self._entries(path, below)
            if below and any(entry.name == EXPORT_RECORD for entry in entries):
                self._pass_over(path, below, "in an export of this project")
                continue
            for entry in entries:
                inner = f"{below}/{entry.name}" if below else entry.name
                if entry.is_dir(follow_symlinks=False):
                    rule = self._rule_of(entry, inner)
                    if rule is None:
                        folders.append((entry.path, inner))
                    else:
                        self._pass_over(entry.path, inner, rule)
                elif entry.is_symlink() and entry.is_dir():
                    self._add_link(entry, inner)
                else:
                    yield inner, entry

    def _entries(self, path: str, below: str) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(path) as entries:
                listed = sorted(entries, key=lambda entry: entry.name)
            if self._rules.follow_links:
                status = os.stat(path)  # noqa: PTH116 - a path of undecodable bytes
                self._visited.add((status.st_dev, status.st_ino))
        except OSError as error:
            if not below:
                raise SourceError(
                    f"cannot list {path}: {error.strerror}. A folder that cannot be read is not empty."
                ) from error
            self._found.report(as_text(below), f"cannot be listed: {error.strerror}")
            return []
        return listed

    def _rule_of(self, entry: os.DirEntry[str], below: str) -> str | None:
        rule = self._rules.passes_folder(entry.name, below)
        if rule is None and self._own and os.path.realpath(entry.path) in self._own:
            return "in this project's own folders"
        return rule

    def _add_link(self, entry: os.DirEntry[str], below: str) -> None:
        rule = self._rule_of(entry, below)
        if rule is None and not self._rules.follow_links:
            rule = "a link to a folder (images.follow_links)"
        if rule is None:
            self._links.append((entry.path, below))
        else:
            self._found.pass_over(as_text(below), rule)

    def _pass_over(self, path: str, below: str, rule: str) -> None:
        """Count the files below a folder; what cannot be listed there is nobody's loss."""
        files = sum(len(names) for _, _, names in os.walk(path))
        if files:
            self._found.pass_over(as_text(below), rule, files)


def _status_of(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)  # noqa: PTH116 - a path of undecodable bytes
    except OSError:
        return None


def _open_bytes(path: str) -> IO[bytes]:
    return open(path, "rb")  # noqa: PTH123 - a path of undecodable bytes; the caller closes it


def _head(path: str) -> bytes:
    if not os.path.isfile(path):  # noqa: PTH113 - opening a named pipe would wait for ever
        raise FileNotFoundError(path)
    with _open_bytes(path) as file:
        return file.read(HEAD_BYTES)


@dataclass(frozen=True)
class RemoteFolderSource(ImageFiles):
    """All image files below an fsspec URL such as s3://bucket/photos, and those in the tar shards there; or in one tar.

    Parameters
    ----------
    url : str
        A folder, or one tar.
    listings : ListingCache, optional
        Where what was found in archives is kept.
    rules : Rules, optional
        What is passed over.
    timeout : float
        Seconds after which a read that brings nothing, or hardly anything, is given up.
    """

    url: str
    listings: ListingCache | None = None
    rules: Rules = field(default_factory=Rules)
    timeout: float = TIMEOUT
    _files: RemoteFiles = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # Made here and not when first needed, because many threads need it at once and tars are kept in it.
        object.__setattr__(self, "_files", RemoteFiles(timeout=self.timeout))

    def listing(self) -> Listing:
        """See ImageSource; version is the etag if there is one, else the time of change and the size."""
        filesystem, root = self._place
        files = list_files(filesystem, root, self.url)
        # A single archive is listed as itself.
        top = os.path.dirname(root) if list(files) == [root] else root  # noqa: PTH120 - no path of this machine
        found, archives = ListingBuilder(), ArchiveListings(self.listings, self.rules)
        below = {path: path.removeprefix(top).lstrip("/") for path in files}
        below = _plain_names(below) if is_http(filesystem) else below
        passed = self._passed_over(found, filesystem, below)
        versions = _remote_versions(filesystem, {path: entry for path, entry in files.items() if path not in passed})
        for path, (size, version) in versions.items():
            uri, name = filesystem.unstrip_protocol(path), below[path]
            if is_archive(name):
                archives.add_to(
                    found, partial(self._files.open, filesystem, path), archive_id=name, uri=uri, version=version
                )
            else:
                found.add_image(name, uri=uri, size=size, version=version)
        archives.forget_others()
        return found.finish(where=self.url, empty=no_images(self.url))

    def _passed_over(self, found: ListingBuilder, filesystem: Any, below: dict[str, str]) -> set[str]:
        """The paths that rules pass over, which are told to the listing."""
        rules: dict[str, str | None] = {"": None}
        exports = {name.rpartition("/")[0] for name in below.values() if name.endswith(f"/{EXPORT_RECORD}")}

        def rule_of_folder(folder: str) -> str | None:
            if folder not in rules:
                above, _, name = folder.rpartition("/")
                own = "in an export of this project" if folder in exports else self.rules.passes_folder(name, folder)
                rules[folder] = rule_of_folder(above) or own
            return rules[folder]

        passed = set()
        for path, name in below.items():
            rule = rule_of_folder(name.rpartition("/")[0])
            rule = rule or self.rules.passes_file(name, partial(self._files.read_part, filesystem, path, 0, HEAD_BYTES))
            if rule is not None:
                found.pass_over(name, rule)
                passed.add(path)
        return passed

    def columns(self) -> tuple[str, ...]:
        """See ImageSource; files of labels are read on this machine alone."""
        return ()

    def labels(
        self, image_ids: Sequence[str], kind: str, *, column: str = LABEL, key: str = LABELS_KEY
    ) -> pl.DataFrame:
        """See ImageSource; a folder elsewhere has labels of kind folder alone."""
        return folder_labels(image_ids, kind, where=self.url, column=column, key=key)

    def read(self, uri: str, *, limit: int | None = None) -> bytes:
        """See ByteReader; with a limit, at most one byte more than it is read and OverLimit raised."""
        place = place_in_archive(uri)
        # A plain file's name may look like a place in an archive.
        if place is None or not is_archive(place[0]):
            return self._files.read(*self._locate(uri), limit=limit)
        archive, offset, size = place
        if limit is not None and size > limit:
            raise OverLimit(size, limit)
        return require_whole(self._files.read_part(*self._locate(archive), offset, size), size, archive)

    def _locate(self, uri: str) -> tuple[Any, str]:
        """The filesystem and path of a file; it need not be of this folder."""
        try:
            filesystem, _ = self._place
            own = (filesystem.protocol,) if isinstance(filesystem.protocol, str) else filesystem.protocol
            # A chain of filesystems is known only to the one that listed it.
            if uri.partition("://")[0] in own:
                return filesystem, filesystem._strip_protocol(uri)
            return open_filesystem(uri, timeout=self.timeout)
        except SourceError as error:
            raise OSError(str(error)) from error

    @cached_property
    def _place(self) -> tuple[Any, str]:
        return open_filesystem(self.url, timeout=self.timeout)


def _plain_names(below: dict[str, str]) -> dict[str, str]:
    """Names without percent-encoding; a name stays encoded if it would lead elsewhere, or be another file's."""
    plain = {path: unquote(name) for path, name in below.items()}
    times = Counter(plain.values())
    return {
        path: name
        if times[name] == 1 and name.count("/") == below[path].count("/") and name.isprintable()
        else below[path]
        for path, name in plain.items()
    }


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
