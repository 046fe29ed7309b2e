"""Tar shards as webdataset writes them: listed by their headers, read in place, never unpacked.

An uncompressed tar is a file of files: each member's bytes begin at an offset and have a size. Listing reads every
header of an archive, so the listing is kept, by the archive's path and version, until the archive changes.
"""

from __future__ import annotations

import re
import tarfile
from collections.abc import Callable, Iterator, Mapping, Set
from pathlib import PurePosixPath
from typing import IO, Any, NamedTuple, Protocol

import polars as pl

from tac_pipeline.digest import digest
from tac_pipeline.errors import SourceError
from tac_pipeline.sources.listing import Rows, add_image, is_image

BLOCK = tarfile.BLOCKSIZE
# Raise it when the code finds other members in an archive than before: kept listings are then made again.
_LISTING_CODE = 2
_PLACE = re.compile(r"(?P<archive>.+)#(?P<offset>\d+)\+(?P<size>\d+)", flags=re.DOTALL)


class _Stored(NamedTuple):
    """Where a member's bytes are in its archive."""

    offset: int
    size: int
    sparse: bool


class ListingCache(Protocol):
    """Keeps the listings of archives, by a name for the archive and its version; store/listings.py is one."""

    def find(self, name: str) -> pl.DataFrame | None:
        """The members that were kept under a name, or None."""
        ...

    def keep(self, name: str, members: pl.DataFrame) -> None:
        """Keep the members of an archive, if possible."""
        ...

    def forget_all_but(self, names: Set[str]) -> None:
        """Remove what was kept under other names."""
        ...


class ArchiveListings:
    """Listings of archives, kept from one run to the next.

    Parameters
    ----------
    cache : ListingCache or None
        Where they are kept; None keeps nothing.
    """

    def __init__(self, cache: ListingCache | None) -> None:
        self._cache = cache
        self._used: set[str] = set()

    def members(self, uri: str, version: str, open_archive: Callable[[], IO[bytes]]) -> pl.DataFrame:
        """The images of an archive: columns member, offset, size.

        Raises
        ------
        SourceError
            It is not a tar, is cut short or damaged, or a member's name leads out of it.
        """
        name = digest([uri, version, _LISTING_CODE])
        self._used.add(name)
        known = None if self._cache is None else self._cache.find(name)
        if known is not None:
            return known
        try:
            with open_archive() as file:
                found = _read_members(file, uri)
        except SourceError:
            raise
        except Exception as error:
            raise SourceError(
                f"cannot list the archive {uri}: {error}. An archive that cannot be read is not empty."
            ) from error
        if self._cache is not None:
            self._cache.keep(name, found)
        return found

    def forget_others(self) -> None:
        """Remove the listings of archives that are no longer there."""
        if self._cache is not None:
            self._cache.forget_all_but(self._used)


def add_members(rows: Rows, members: pl.DataFrame, *, archive_id: str, uri: str, version: str) -> None:
    """Add the images of an archive to a listing, with ids archive/member and the archive's version."""
    for member, offset, size in members.iter_rows():
        add_image(rows, f"{archive_id}/{member}", uri=f"{uri}#{offset}+{size}", size=size, version=version)


def place_in_archive(uri: str) -> tuple[str, int, int] | None:
    """The archive, offset and size that a member's uri names; None for a plain file."""
    found = _PLACE.fullmatch(uri)
    return None if found is None else (found["archive"], int(found["offset"]), int(found["size"]))


def require_whole(data: bytes, size: int, archive: str) -> bytes:
    """The bytes of a member; OSError unless all of them are there."""
    if len(data) != size:
        raise OSError(f"{archive} is cut short: {size:,} bytes wanted, {len(data):,} there")
    return data


def _read_members(file: IO[bytes], uri: str) -> pl.DataFrame:
    found: dict[str, tuple[int, int]] = {}
    # Every member by its name, because a file with two names is stored once; None when it is not a plain file.
    seen: dict[str, _Stored | None] = {}
    for member in _headers(file, uri):
        name = member.name.removeprefix("./")
        if not (member.isreg() or member.islnk()):
            seen[name] = None
            continue
        if _leads_out(name):
            raise SourceError(f"names in {uri} must stay inside the archive; got {member.name!r}")
        own = _Stored(member.offset_data, member.size, member.issparse())
        stored = own if member.isreg() else _link_target(member, seen, uri)
        seen[name] = stored
        if stored is None or not is_image(name):
            continue
        if stored.sparse:
            raise SourceError(f"{uri}: {name} is stored with holes (sparse); pack the archive without --sparse")
        # The same rule as tar: of two members with one name the later one counts.
        found[name] = (stored.offset, stored.size)
    columns: dict[str, Any] = {
        "member": list(found),
        "offset": [offset for offset, _ in found.values()],
        "size": [size for _, size in found.values()],
    }
    return pl.DataFrame(columns, schema={"member": pl.String, "offset": pl.Int64, "size": pl.Int64})


def _leads_out(name: str) -> bool:
    return name.startswith("/") or ".." in PurePosixPath(name).parts


def _link_target(member: tarfile.TarInfo, seen: Mapping[str, _Stored | None], uri: str) -> _Stored | None:
    """Where a hard link's bytes are; None when it leads out of the archive or not to a plain file."""
    target = member.linkname.removeprefix("./")
    if _leads_out(target):
        return None
    if target not in seen and is_image(member.name):
        raise SourceError(
            f"{uri}: {member.name} is a hard link to {target!r}, which must come before it in the archive and does "
            "not; pack the archive with --hard-dereference"
        )
    return seen.get(target)


def _headers(file: IO[bytes], uri: str) -> Iterator[tarfile.TarInfo]:
    """The members of a tar; a damaged header is an error here, not the end as in tarfile."""
    try:
        with tarfile.open(fileobj=file, mode="r:") as archive:
            while (member := archive.next()) is not None:
                archive.members = []  # type: ignore[attr-defined]  # it would keep every header
                yield member
            file.seek(archive.offset)
            tail = file.read(BLOCK)
    except tarfile.TarError as error:
        raise SourceError(
            f"{uri} must be a whole, uncompressed tar: {error}. An archive that cannot be read is not empty."
        ) from error
    if tail.strip(b"\0"):
        raise SourceError(f"{uri} is damaged after {archive.offset:,} bytes: there is no tar header there")
