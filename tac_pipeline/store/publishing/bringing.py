"""Bringing the published versions of a store to another place, so that readers there never see half of one.

    s3://bucket/prefix/photos/
      latest.json           which version readers open: replaced in one move, last of all
      versions/
        7/
          assignments/assignments.parquet      a folder for each table, as Spark, Athena and Hive want it; of a
                                               large store with several files
          clusters/clusters.parquet
          lineage/lineage.parquet
          changes/changes.parquet
          version.json      written when the tables were read back and are right; without it a version is not whole

A version is never written over. One that was missed while the place was away has only its changes there, as old ones
do, so that the changes add up. Call everything here with the store's lock held: nobody else writes there.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tac_pipeline.errors import ArtifactDamaged, StoreError
from tac_pipeline.store.digests import SEAL, describe_files, file_problem, parse_sealed, read_sealed, seal
from tac_pipeline.store.publication import TABLES, VERSION_NAME, Publication, Version
from tac_pipeline.store.publishing.places import Place

POINTER_NAME = "latest.json"
# What a probe leaves for a moment.
PROBE_NAME = ".probe"
# What makes a version itself; a number alone is given again after a restore.
_IDENTITY = ("version", "entry", "source", "rolled_back_to", "made_at")
# What is said of the version that readers have.
READ_BY = "readers have it"
HOUR = 3600.0


@dataclass(frozen=True)
class Pointer:
    """What latest.json says.

    Attributes
    ----------
    record : dict
        The identity of the version, its files, and when readers got it (`switched_at`, seconds since 1970).
    replaced : dict of int to float
        Versions before it that still have all tables there, and when readers got a newer one.
    """

    record: dict[str, Any]
    replaced: dict[int, float]

    @property
    def version(self) -> int:
        """The number of the version that readers get."""
        return int(self.record["version"])


@dataclass
class Brought:
    """What was done: files that were uploaded, copied there, or already there; versions that lost their tables.

    Attributes
    ----------
    version : int
        What readers have there now.
    switched_at : float
        Since when, in seconds since 1970.
    """

    version: int = 0
    switched_at: float = 0.0
    uploaded: int = 0
    bytes: int = 0
    copied: int = 0
    kept: int = 0
    pruned: list[int] = field(default_factory=list)

    @property
    def sentence(self) -> str:
        """The files, in words; empty where all were there."""
        if not self.uploaded + self.copied:
            return ""
        known = [f"{count} {what}" for count, what in ((self.copied, "copied there"), (self.kept, "there")) if count]
        return ", ".join([f"{self.bytes / 1e6:,.1f} MB in {self.uploaded} files uploaded", *known])


def probe(place: Place) -> None:
    """Write a small file, and remove it.

    Raises
    ------
    OSError
        One of both cannot be done; the message is the reason.
    """
    place.write(PROBE_NAME, b"tac-pipeline tries whether it may write here\n")
    place.remove(PROBE_NAME)


def bring(publication: Publication, place: Place, *, keep: int, grace: float, now: float) -> Brought | None:
    """Bring the latest version to a place, switch its readers, and prune there; None before anything was published.

    What an interrupted call left is taken up: files with the right bytes are not uploaded again. An equal file of an
    older version is copied there by the place itself.

    Parameters
    ----------
    keep : int
        Versions that keep all tables, the latest included.
    grace : float
        Seconds that a version keeps them in any case, once readers got a newer one.
    now : float
        Seconds since 1970.

    Raises
    ------
    StoreError
        The place has versions of another store or history, or a file there has other bytes than were written.
    OSError
        The place does not do what it must; the message is the reason.
    """
    latest = publication.latest()
    if latest is None:
        return None
    place.sweep()
    pointer, done = read_pointer(place), Brought()
    if pointer is not None:
        ours = [version for version in publication.versions() if version.number >= pointer.version]
        _require_ours(pointer, ours, latest, place)
        for missed in ours[1:-1]:
            _bring_changes(missed, place, done)
    record = _bring_whole(latest, place, pointer, done)
    if pointer is None or pointer.version < latest.number:
        replaced = {} if pointer is None else {**pointer.replaced, pointer.version: now}
        pointer = Pointer({**record, "path": _folder(latest.number), "switched_at": now}, replaced)
        _write_pointer(place, pointer)
    done.version, done.switched_at = pointer.version, float(pointer.record["switched_at"])
    _prune(place, pointer, keep=keep, before=now - grace, done=done)
    return done


def read_pointer(place: Place) -> Pointer | None:
    """What readers of a place have; None before anything was brought there.

    Raises
    ------
    StoreError
        latest.json there is not what was written.
    OSError
        It cannot be read.
    """
    text = place.read(POINTER_NAME)
    if text is None:
        return None
    try:
        record = parse_sealed(text)
        replaced = {int(number): float(at) for number, at in record["replaced"].items()}
        pointer = Pointer({name: value for name, value in record.items() if name not in ("replaced", SEAL)}, replaced)
        if pointer.version < 1 or not isinstance(record["files"], dict) or not float(record["switched_at"]):
            raise ValueError("it names no version")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreError(
            f"{place.url}/{POINTER_NAME} is not what was written there ({error}). See who writes there; delete it, and "
            "the next run writes it again."
        ) from error
    return pointer


def kept_there(place: Place) -> dict[int, str]:
    """What a place has of each version: `readers have it`, `whole`, `changes`, or `not whole yet`.

    Raises
    ------
    StoreError
        latest.json there is not what was written.
    OSError
        The place cannot be read.
    """
    pointer = read_pointer(place)
    files: dict[int, set[str]] = {}
    for path in place.sizes("versions"):
        _, number, *rest = path.split("/")
        if number.isdecimal():
            files.setdefault(int(number), set()).add("/".join(rest))
    found = {version: _kept(names) for version, names in files.items()}
    return found if pointer is None else found | {pointer.version: READ_BY}


def _kept(names: Set[str]) -> str:
    if VERSION_NAME not in names:
        return "not whole yet"
    return "whole" if all(any(name.startswith(f"{table}/") for name in names) for table in TABLES) else "changes"


def _require_ours(pointer: Pointer, ours: Sequence[Version], latest: Version, place: Place) -> None:
    """Refuse a place whose readers have what this store never published."""
    if not ours or not _is(pointer.record, ours[0]):
        raise StoreError(
            f"readers of {place.url} have a version {pointer.version} that this store, which has version "
            f"{latest.number}, did not publish: another store writes there, or what is published here was restored or "
            "made anew. Nothing was changed there. Set publication.to to another place, or delete that folder if "
            "nobody reads it."
        )


def _is(record: Mapping[str, Any], version: Version) -> bool:
    ours = read_sealed(version.folder / VERSION_NAME)
    return all(record.get(name) == ours[name] for name in _IDENTITY)


def _folder(number: int) -> str:
    return f"versions/{number}"


def name_there(number: int, name: str) -> str:
    """The name there of a file of a version: its table's folder, and its name here."""
    return f"{_folder(number)}/{_within(name)}"


def _within(name: str) -> str:
    """The name there below the version's folder; a file of a table in several files has its table's folder here too."""
    table = next(table for table in TABLES if name.startswith(table))
    return name if "/" in name else f"{table}/{name}"


def _here(name: str) -> str:
    """The name here of what `_within` names there."""
    table, _, own = name.partition("/")
    return own if own == f"{table}.parquet" else name


def _bring_changes(version: Version, place: Place, done: Brought) -> None:
    """Of a version that was missed, its changes."""
    if place.read(f"{_folder(version.number)}/{VERSION_NAME}") is None:
        record, files = _described(version)
        files = {name: wanted for name, wanted in files.items() if name.startswith("changes")}
        _bring_files(version, files, place, {}, done)
        _write_record(place, {**record, "files": _moved(files), "pruned": True})


def _described(version: Version) -> tuple[dict[str, Any], dict[str, Any]]:
    """The record of a version here, and its files; one from before files were described is described now."""
    record = read_sealed(version.folder / VERSION_NAME)
    return record, record.get("files") or describe_files(version.folder.glob("*.parquet"))


def _bring_whole(version: Version, place: Place, pointer: Pointer | None, done: Brought) -> dict[str, Any]:
    """All tables of a version and its record, which is returned without its seal; nothing is written that is there."""
    name = f"{_folder(version.number)}/{VERSION_NAME}"
    there = place.read(name)
    if there is not None:
        record = parse_sealed(there)
        _require_same(record, version, place)
        files = {_here(path): wanted for path, wanted in record["files"].items()}
        # Somebody may have deleted some: the record says which bytes readers rely on.
        if _gone(place, version.number, files):
            _bring_files(version, files, place, {}, done)
    else:
        record, files = _described(version)
        _bring_files(version, files, place, _known_there(version, place, pointer), done)
        record = _write_record(place, {**record, "files": _moved(files)})
    return {key: value for key, value in record.items() if key != SEAL}


def _require_same(record: Mapping[str, Any], version: Version, place: Place) -> None:
    if not _is(record, version):
        raise StoreError(
            f"{place.url}/{_folder(version.number)} is another version {version.number} than this store's. Nothing was "
            "changed there. Set publication.to to another place, or delete that folder if nobody reads it."
        )


def _gone(place: Place, number: int, files: Mapping[str, Any]) -> bool:
    sizes = place.sizes(_folder(number))
    return any(sizes.get(name_there(number, name)) != wanted["size"] for name, wanted in files.items())


def _moved(files: Mapping[str, Any]) -> dict[str, Any]:
    return {_within(name): wanted for name, wanted in files.items()}


def _known_there(version: Version, place: Place, pointer: Pointer | None) -> dict[str, str]:
    """The names there, by digest, of the files that a new version may repeat: those of now, or of a rollback."""
    if pointer is None:
        return {}
    found: dict[str, str] = {}
    if version.rolled_back_to in pointer.replaced:
        older = place.read(f"{_folder(version.rolled_back_to)}/{VERSION_NAME}")
        if older is not None:
            found |= _by_digest(version.rolled_back_to, parse_sealed(older))
    return found | _by_digest(pointer.version, pointer.record)


def _by_digest(number: int, record: Mapping[str, Any]) -> dict[str, str]:
    return {wanted["sha256"]: f"{_folder(number)}/{name}" for name, wanted in record["files"].items()}


def _bring_files(
    version: Version, files: Mapping[str, Any], place: Place, known: Mapping[str, str], done: Brought
) -> None:
    sizes = place.sizes(_folder(version.number))
    for name, wanted in files.items():
        target = name_there(version.number, name)
        if sizes.get(target) == wanted["size"] and place.sha256(target) == wanted["sha256"]:
            done.kept += 1
            continue
        if wanted["sha256"] in known:
            place.copy(known[wanted["sha256"]], target, size=wanted["size"])
            done.copied += 1
        else:
            _require_whole(version.folder / name, wanted)
            place.put(version.folder / name, target)
            done.uploaded += 1
            done.bytes += wanted["size"]
        _require_right(place, target, wanted)


def _require_whole(path: Path, wanted: Mapping[str, Any]) -> None:
    problem = file_problem(path, wanted)
    if problem is not None:
        raise ArtifactDamaged(f"{problem}. It is not brought to readers elsewhere: see `tac check`", file=path)


def _require_right(place: Place, name: str, wanted: Mapping[str, Any]) -> None:
    found = place.sha256(name)
    if found != wanted["sha256"]:
        raise StoreError(
            f"{place.url}/{name} has other bytes than were written there: its sha256 must be "
            f"{wanted['sha256'][:12]}..., and is {found[:12]}... Its readers keep the version before; the next run "
            "uploads it again."
        )


def _write_record(place: Place, record: Mapping[str, Any]) -> dict[str, Any]:
    sealed = seal({name: value for name, value in record.items() if name != SEAL})
    place.write(f"{_folder(record['version'])}/{VERSION_NAME}", _text(sealed))
    return sealed


def _write_pointer(place: Place, pointer: Pointer) -> None:
    place.write(POINTER_NAME, _text(seal({**pointer.record, "replaced": pointer.replaced})))


def _text(record: Mapping[str, Any]) -> bytes:
    return json.dumps(record, indent=1, ensure_ascii=False).encode()


def _prune(place: Place, pointer: Pointer, *, keep: int, before: float, done: Brought) -> None:
    """Take the tables of old versions away, not their changes; the version that readers have is never among them."""
    older = sorted(pointer.replaced, reverse=True)
    lost = [number for number in older[max(keep - 1, 0) :] if pointer.replaced[number] <= before]
    for number in lost:
        folder = _folder(number)
        text = place.read(f"{folder}/{VERSION_NAME}")
        if text is not None:
            # Noted first: what is gone then is not damage.
            _write_record(place, {**parse_sealed(text), "pruned": True})
        for name in place.sizes(folder):
            if name.startswith(tuple(f"{folder}/{table}/" for table in TABLES if table != "changes")):
                place.remove(name)
    if lost:
        left = {number: at for number, at in pointer.replaced.items() if number not in lost}
        _write_pointer(place, Pointer(pointer.record, left))
        done.pruned = sorted(lost)


@contextmanager
def named(place: Place, *, doing: str = "written to", then: str = "") -> Iterator[None]:
    """Turn what a place refuses into a StoreError that names it; `then` ends it.

    Raises
    ------
    StoreError
    """
    try:
        yield
    except OSError as error:
        # Of the system's own errors, without the name of the file aside.
        reason = str(error.strerror or error).rstrip(".")
        told = f"published versions cannot be {doing} {place.url}: {reason}."
        raise StoreError(f"{told} {then}".strip()) from error
