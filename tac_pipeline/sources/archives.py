"""Tar shards as webdataset writes them: listed by their headers, read in place, never unpacked.

An uncompressed tar is a file of files: each member's bytes begin at an offset and have a size. Listing reads every
header of an archive, so the listing is kept, by the archive's path and version, until the archive changes. Whatever is
wrong with an archive, its whole members are listed, and the rest is a sentence.
"""

from __future__ import annotations

import io
import posixpath
import re
import tarfile
from collections.abc import Callable, Collection, Iterator, Set
from typing import IO, NamedTuple, Protocol

import polars as pl

from tac_pipeline.digest import digest
from tac_pipeline.sources.formats import HEAD_BYTES, sniff
from tac_pipeline.sources.listing import ListingBuilder, as_text
from tac_pipeline.sources.rules import Rules

BLOCK = tarfile.BLOCKSIZE
# Raise it when the code finds other members in an archive than before: kept listings are then made again.
_LISTING_CODE = 3
# The uri of a member: its archive, where its bytes begin, how many they are. Python and polars read it alike.
MEMBER_URI = r"(?s)^(.+\.(?i:tar))#(\d+)\+(\d+)$"
_PLACE = re.compile(MEMBER_URI)
# Ends the rule of what was passed over in an archive.
IN_AN_ARCHIVE = ", in an archive"
# More problems of one archive than these are counted only.
SHOWN_PROBLEMS = 20
_FOUND = {"member": pl.String, "offset": pl.Int64, "size": pl.Int64, "note": pl.String}


class _Stored(NamedTuple):
    """Where a member's bytes are in its archive."""

    offset: int
    size: int
    sparse: bool


class ListingCache(Protocol):
    """Keeps the listings of archives, the rows of vector tables, and what was found in folders, by a name for each.

    `KeptListings` of store/listings.py is one.
    """

    def find(self, name: str) -> pl.DataFrame | None:
        """The members that were kept under a name, or None."""
        ...

    def keep(self, name: str, members: pl.DataFrame) -> None:
        """Keep the members of an archive, if possible."""
        ...

    def forget_all_but(self, names: Set[str]) -> None:
        """Remove the archives that were kept under other names."""
        ...

    def find_rows(self, name: str) -> pl.DataFrame | None:
        """The rows of a vector table that were kept under a name, or None."""
        ...

    def has_rows(self, name: str) -> bool:
        """Whether rows were kept under a name."""
        ...

    def keep_rows(self, name: str, rows: pl.DataFrame) -> None:
        """Keep the rows of a vector table, if possible."""
        ...

    def forget_rows_but(self, names: Collection[str]) -> None:
        """Remove the rows of vector tables that were kept under other names."""
        ...

    def find_folders(self, name: str) -> pl.DataFrame | None:
        """What was found in the folders of a source that was kept under a name, or None."""
        ...

    def keep_folders(self, name: str, rows: pl.DataFrame) -> None:
        """Keep what was found in the folders of a source, if possible, in place of what `find_folders` found."""
        ...

    def forget_folders_but(self, names: Collection[str]) -> None:
        """Remove the folders of sources that were kept under other names."""
        ...


class ArchiveListings:
    """Listings of archives, kept from one run to the next.

    Parameters
    ----------
    cache : ListingCache or None
        Where they are kept; None keeps nothing.
    rules : Rules
        Which members are images.
    """

    def __init__(self, cache: ListingCache | None, rules: Rules) -> None:
        self._cache, self._rules = cache, rules
        self._used: set[str] = set()

    def add_to(
        self, listing: ListingBuilder, open_archive: Callable[[], IO[bytes]], *, archive_id: str, uri: str, version: str
    ) -> None:
        """Add an archive to a listing: its images with ids archive/member and the archive's version, and the rest."""
        for member, offset, size, note in self._found(uri, version, open_archive).iter_rows():
            if note is None:
                listing.add_image(f"{archive_id}/{member}", uri=f"{uri}#{offset}+{size}", size=size, version=version)
            elif offset is None:
                listing.report(f"{archive_id}/{member}" if member else archive_id, note)
            else:  # members that one rule passed over
                listing.pass_over(f"{archive_id}/{member}", f"{note}{IN_AN_ARCHIVE}", files=size)

    def _found(self, uri: str, version: str, open_archive: Callable[[], IO[bytes]]) -> pl.DataFrame:
        """What is in an archive: columns member, offset, size, note.

        Without a note a row is an image; with a note and without an offset it is a problem; else it stands for `size`
        members that the note's rule passed over.
        """
        name = digest([uri, version, _LISTING_CODE, list(self._rules.exclude)])
        self._used.add(name)
        known = None if self._cache is None else self._cache.find(name)
        if known is not None:
            return known
        try:
            with open_archive() as file:
                found = _read_archive(file, self._rules)
        except Exception as error:  # noqa: BLE001 - every filesystem has its own errors, and one archive stops nothing
            # Not kept: it may be readable next time.
            return pl.DataFrame([("", None, None, f"cannot be read: {_words(error)}")], schema=_FOUND, orient="row")
        if self._cache is not None:
            self._cache.keep(name, found)
        return found

    def forget_others(self) -> None:
        """Remove the listings of archives that are no longer there."""
        if self._cache is not None:
            self._cache.forget_all_but(self._used)


def place_in_archive(uri: str) -> tuple[str, int, int] | None:
    """The archive, offset and size that a member's uri names; None for a plain file."""
    found = _PLACE.fullmatch(uri)
    return None if found is None else (found[1], int(found[2]), int(found[3]))


def require_whole(data: bytes, size: int, archive: str) -> bytes:
    """The bytes of a member; OSError unless all of them are there."""
    if len(data) != size:
        raise OSError(f"{archive} is cut short: {size:,} bytes wanted, {len(data):,} there")
    return data


class _Archive:
    """What is found in one archive, member by member."""

    def __init__(self, length: int, rules: Rules) -> None:
        self._length, self._rules = length, rules
        self.images: dict[str, tuple[int, int]] = {}
        self.passed: dict[str, tuple[str, int]] = {}
        self.problems: list[tuple[str, str]] = []
        # Every member by its name, because a file with two names is stored once; None when it is not a plain file.
        self._seen: dict[str, _Stored | None] = {}

    def add(self, member: tarfile.TarInfo, head: Callable[[int], bytes]) -> None:
        """Take a member for what it is."""
        name = _plain_name(member.name)
        if member.isdir():
            self._seen[name] = None
            return
        if _leads_out(name):
            self._tell(name, "the name leads out of the archive")
            return
        rule = self._rules_for(name, member, head)
        if rule is None and not (member.isreg() or member.islnk()):
            rule = "a link or a device"
        stored = _Stored(member.offset_data, member.size, member.issparse()) if member.isreg() else None
        if member.islnk():
            stored = self._target_of(member, name, told=rule is None)
        self._seen[name] = stored
        if rule is not None:
            example, files = self.passed.get(rule, (name, 0))
            self.passed[rule] = (example, files + 1)
        elif stored is None:
            return
        elif stored.sparse:
            self._tell(name, "is stored with holes (sparse): pack the archive without --sparse")
        elif stored.offset + stored.size > self._length:
            return  # told as what is wrong with the archive
        else:
            # The same rule as tar: of two members with one name the later one counts.
            self.images[name] = (stored.offset, stored.size)

    def _rules_for(self, name: str, member: tarfile.TarInfo, head: Callable[[int], bytes]) -> str | None:
        parts = name.split("/")
        for depth in range(1, len(parts)):
            rule = self._rules.passes_folder(parts[depth - 1], "/".join(parts[:depth]))
            if rule is not None:
                return rule
        return self._rules.passes_file(name, lambda: head(member.offset_data))

    def _target_of(self, member: tarfile.TarInfo, name: str, *, told: bool) -> _Stored | None:
        """Where a hard link's bytes are; None when it leads out of the archive or not to a plain file."""
        target = _plain_name(member.linkname)
        if _leads_out(target):
            if told:
                self._tell(name, "is a link that leads out of the archive")
            return None
        if target not in self._seen and told:
            self._tell(
                name, f"is a hard link to {target!r}, which does not come before it: pack with --hard-dereference"
            )
        elif self._seen.get(target) is None and told:
            self._tell(name, "is a link to what is no plain file")
        return self._seen.get(target)

    def _tell(self, name: str, reason: str) -> None:
        self.problems.append((name, reason))

    def table(self) -> pl.DataFrame:
        """See ArchiveListings."""
        rows: list[tuple[str, int | None, int | None, str | None]] = [
            (name, offset, size, None) for name, (offset, size) in self.images.items()
        ]
        rows += [(name, 0, files, rule) for rule, (name, files) in self.passed.items()]
        rows += [(name, None, None, reason) for name, reason in self.problems[:SHOWN_PROBLEMS]]
        if len(self.problems) > SHOWN_PROBLEMS:
            rows.append(("", None, None, f"{len(self.problems) - SHOWN_PROBLEMS:,} more of its members cannot be read"))
        return pl.DataFrame(rows, schema=_FOUND, orient="row")


def _read_archive(file: IO[bytes], rules: Rules) -> pl.DataFrame:
    length = file.seek(0, io.SEEK_END)
    found = _Archive(length, rules)
    wrong = _read_members(file, length, found)
    if wrong is not None:
        found.problems.append(("", wrong))
    return found.table()


def _read_members(file: IO[bytes], length: int, found: _Archive) -> str | None:
    """Find the members of an archive, or of several in one file; what is wrong with it, or None."""

    def head(offset: int) -> bytes:
        back = file.tell()
        file.seek(offset)
        read = file.read(HEAD_BYTES)
        file.seek(back)
        return read

    if not length:
        return "is an empty file (0 bytes)"
    start, archives = 0, 0
    while start < length:
        file.seek(start)
        member, first = None, start
        try:
            for member in _headers(file, start):
                found.add(member, head)
                start = _end_of(member)
                if start > length:
                    there = max(0, length - member.offset_data)
                    return (
                        f"is cut, or is being written: it ends in {_plain_name(member.name)}, after {there:,} of its "
                        f"{member.size:,} bytes"
                    )
        except tarfile.TarError as error:
            content = sniff(head(first))
            if member is None and not archives:
                known = content.name != "unknown"
                return f"is {content.name}, not a tar" if known else f"is not a tar: {_words(error)}"
            return f"has no tar header after {start:,} of its {length:,} bytes: {_words(error)}"
        archives += 1
        ended, start = _after_end_mark(file, start, length)
        if not ended:
            return f"has no end mark after {length:,} bytes: it is cut, or is being written"
    return None


def _headers(file: IO[bytes], start: int) -> Iterator[tarfile.TarInfo]:
    """The members of the tar that begins at an offset; a damaged header is an error here, not the end as in tarfile."""
    with tarfile.open(fileobj=file, mode="r:", errors="surrogateescape") as archive:
        while True:
            at = archive.offset
            member = archive.next()
            archive.members = []  # type: ignore[attr-defined]  # it would keep every header
            if member is None:
                file.seek(at)
                block = file.read(BLOCK)
                if block.strip(b"\0"):
                    raise tarfile.ReadError("the header is damaged" if len(block) == BLOCK else "the header is cut")
                return
            yield member


def _end_of(member: tarfile.TarInfo) -> int:
    """Where a member's bytes end, in whole blocks."""
    size = member.size if member.isreg() else 0
    return member.offset_data + -(-size // BLOCK) * BLOCK


def _after_end_mark(file: IO[bytes], start: int, length: int) -> tuple[bool, int]:
    """Whether zero blocks follow an offset, and where something else begins after them; the length if nothing does."""
    file.seek(start)
    ended = False
    while start < length:
        blocks = file.read(1024 * BLOCK)
        rest = blocks.lstrip(b"\0")
        ended = ended or len(rest) < len(blocks)
        if rest:
            return ended, (start + (len(blocks) - len(rest))) // BLOCK * BLOCK
        start += len(blocks)
    return ended, length


def _plain_name(name: str) -> str:
    """A member's name without ./ and doubled slashes, as text that tables can hold."""
    text = as_text(name)
    plain = posixpath.normpath(text) if text else text
    return f"/{plain.lstrip('/')}" if text.startswith("/") else plain


def _leads_out(name: str) -> bool:
    return name.startswith("/") or name == ".." or name.startswith("../")


def _words(error: Exception) -> str:
    return " ".join(str(getattr(error, "strerror", None) or error).split()) or type(error).__name__
