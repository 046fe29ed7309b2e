"""Folders of image files and tar shards: local folders, and any URL that fsspec opens."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import IO, Any
from urllib.parse import unquote

import polars as pl

from tac_pipeline.digest import digest
from tac_pipeline.errors import SourceError
from tac_pipeline.sources.archives import ArchiveListings, ListingCache, place_in_archive, require_whole
from tac_pipeline.sources.formats import HEAD_BYTES, readable_suffixes
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
from tac_pipeline.sources.walking.kept import KEPT_CODE, KeptFolders, Kind
from tac_pipeline.sources.walking.walk import IN_AN_EXPORT, Walk, status_of
from tac_pipeline.version import installed_version

NO_FILE = "is a named pipe, a socket or a device, not a file"


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
    by_folder : bool
        Whether a folder that has the time that it had is not listed again; what was found in it is kept in `listings`.
    """

    folder: Path
    listings: ListingCache | None = None
    rules: Rules = field(default_factory=Rules)
    by_folder: bool = False

    def listing(self) -> Listing:
        """See ImageSource; image_id is the path below the folder; for a tar's member it is shard/member."""
        found, archives = ListingBuilder(), ArchiveListings(self.listings, self.rules)
        root, kept = str(self.folder), None
        name = self._kept_name() if self.by_folder else ""
        if self.folder.is_file():
            self._add_file(found, archives, self.folder.name, root, status_of(root))
        else:
            if self.listings is not None and self.by_folder:
                kept = KeptFolders(self.listings.find_folders(name))
            for below, entry in Walk(root, self.rules, found, kept):
                self._add_entry(found, archives, kept, below, entry)
        if kept is not None:
            # A tar grows in place, so it is looked at itself.
            for below in kept.add_unchanged(found, uri_of_root=as_text(root)):
                path = os.path.join(root, below)  # noqa: PTH118 - as in the walk
                self._add_file(found, archives, below, path, status_of(path))
        archives.forget_others()
        listing = found.finish(where=root, empty=no_images(root))
        # Its rows are in the listing now, and writing what is kept needs as much memory again.
        del found
        if self.listings is not None:
            self._keep(self.listings, name, kept)
        return self._with_notes(listing)

    def _keep(self, listings: ListingCache, name: str, kept: KeptFolders | None) -> None:
        """Keep what was found in folders; what is not used any more would be old when it was."""
        rows = None if kept is None else kept.rows()
        if rows is not None:
            listings.keep_folders(name, rows)
        listings.forget_folders_but([] if kept is None else [name])

    def _kept_name(self) -> str:
        """What is found in a folder depends on the rules, and on the formats that are installed."""
        rules = self.rules
        own, formats = sorted(as_text(os.path.realpath(own)) for own in rules.own), sorted(readable_suffixes())
        place, code = as_text(str(self.folder)), [KEPT_CODE, installed_version()]
        return digest([place, list(rules.exclude), own, rules.follow_links, formats, code])

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

    def _add_entry(
        self,
        found: ListingBuilder,
        archives: ArchiveListings,
        kept: KeptFolders | None,
        below: str,
        entry: os.DirEntry[str],
    ) -> None:
        rule = self.rules.passes_file(below, partial(_head, entry.path, kept))
        if rule is not None:
            found.pass_over(as_text(below), rule)
            if kept is not None:
                kept.add(Kind.PASSED, below, note=rule)
            return
        try:
            status: os.stat_result | None = entry.stat()
        except OSError:
            status = None  # a dangling link, or removed meanwhile: it is kept, and reading it says why
        if status is not None and not entry.is_file():
            found.report(as_text(below), NO_FILE)
            if kept is not None:
                kept.add(Kind.PROBLEM, below, note=NO_FILE)
            return
        if kept is not None:
            _keep_file(kept, below, status)
        self._add_file(found, archives, below, entry.path, status)

    def _add_file(
        self, found: ListingBuilder, archives: ArchiveListings, below: str, path: str, status: os.stat_result | None
    ) -> None:
        name, uri = as_text(below), as_text(path)
        size, version = _facts(status)
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


def _open_bytes(path: str) -> IO[bytes]:
    return open(path, "rb")  # noqa: PTH123 - a path of undecodable bytes; the caller closes it


def _head(path: str, kept: KeptFolders | None) -> bytes:
    """The first bytes of a file; kept is told where they may soon be others."""
    try:
        if not os.path.isfile(path):  # noqa: PTH113 - opening a named pipe would wait for ever
            raise FileNotFoundError(path)
        with _open_bytes(path) as file:
            if kept is not None:
                kept.require_quiet(os.fstat(file.fileno()))
            return file.read(HEAD_BYTES)
    except OSError:
        if kept is not None:
            kept.doubt()
        raise


def _keep_file(kept: KeptFolders, below: str, status: os.stat_result | None) -> None:
    """Keep an image or an archive; one that cannot be looked at, or is being written, is looked at again."""
    if status is None:
        kept.doubt()
    elif is_archive(below):
        kept.add(Kind.ARCHIVE, below)
    else:
        kept.require_quiet(status)
        size, version = _facts(status)
        kept.add(Kind.IMAGE, below, size=size, version=version)


def _facts(status: os.stat_result | None) -> tuple[int | None, str]:
    """The size and the version of a file."""
    return (None, "unknown") if status is None else (status.st_size, file_version(status.st_mtime_ns, status.st_size))


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
                own = IN_AN_EXPORT if folder in exports else self.rules.passes_folder(name, folder)
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
