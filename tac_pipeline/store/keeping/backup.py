"""What of a store cannot be computed again, copied to one folder or tar file and back.

    DEST, or the top of DEST.tar
      manifest.json     the digest of every file, the link `latest`, the numbers of the ledger and of what is published
      ledger/           also the rows of training sets, and what was current when
      published/
      settings/         the settings file, and the corrections file

A restore reads and verifies all of it before it replaces anything, and keeps what was there. What must stay out: which
files the settings name (the command line says them).
"""

from __future__ import annotations

import hashlib
import re
import shutil
import tarfile
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

from tac_pipeline.errors import ArtifactDamaged, InputError, StoreError
from tac_pipeline.files import flush, is_leftover, replacing
from tac_pipeline.store.artifacts import BEFORE_RESTORE, LEDGER_NAME, PUBLISHED_NAME, Store
from tac_pipeline.store.digests import describe_files, parse_sealed, read_sealed, write_sealed
from tac_pipeline.store.keeping.action_log import ActionLog
from tac_pipeline.store.keeping.check import LOCKS, check_kept
from tac_pipeline.store.ledger import ENTRY_NAME
from tac_pipeline.store.publication import LATEST_NAME, VERSION_NAME, Publication
from tac_pipeline.store.schemas import CLUSTER_IDS
from tac_pipeline.store.segments.cutting import share

MANIFEST_NAME, SETTINGS_NAME = "manifest.json", "settings"
FORMAT = 1
ACTIONS = "actions"
_ROOMS = (LEDGER_NAME, PUBLISHED_NAME, SETTINGS_NAME)
_NUMBERED = re.compile(r"v?(\d{6,})")
_VERSION = re.compile(r"v\d{6,}")
_CHUNK = 2**20
# A manifest has about 150 bytes for each file; nobody has this many.
_MOST_MANIFEST_BYTES = 2**28


@dataclass(frozen=True)
class Backup:
    """A backup: how much is in it.

    Attributes
    ----------
    entries, version : int
        The newest entry of the ledger and the newest published version; 0 where there is none.
    left_out : tuple of str
        Damaged files of older published versions, which are not in it.
    mended : tuple of str
        Of a restore to a store that is newer: the damaged files that were put back, and no others.
    """

    path: Path
    files: int
    bytes: int
    entries: int
    version: int
    left_out: tuple[str, ...] = ()
    mended: tuple[str, ...] = ()


def back_up(store: Store, destination: Path, *, settings: Mapping[str, Path]) -> Backup:
    """Copy the ledger, what is published, and files of the settings to a new folder, or to a file that ends in .tar.

    Call it with the store's lock held.

    Parameters
    ----------
    settings : mapping of a name in the backup to the file
        Such as tac.yaml and corrections.yaml; a file that is not there is left out.

    Raises
    ------
    InputError
        The destination is taken, or is in the store.
    StoreError
        There is nothing to back up, what is there is damaged, or it cannot be written.
    """
    target = destination.absolute()
    _require_free(target, store)
    found = dict(_files_of(store))
    found |= {f"{SETTINGS_NAME}/{name}": path for name, path in settings.items() if path.is_file()}
    if not any(name.startswith(f"{LEDGER_NAME}/") and path != store.history.path for name, path in found.items()):
        raise StoreError(f"{store.folder} has no ledger yet: there is nothing that a run could not compute again")
    left_out = _damaged(store)
    found = {name: path for name, path in found.items() if name not in left_out}
    try:
        with replacing_tree(target) as aside:
            copied: dict[tuple[int, int], Path] = {}
            entries = {name: _copy(path, aside / name, copied) for name, path in sorted(found.items())}
            newest = _newest_of(store)
            link = store.published_folder / LATEST_NAME
            latest = link.readlink().name if link.is_symlink() else None
            made = {"format": FORMAT, "store": store.folder.name, "made_at": time.time(), "latest": latest}
            made["damaged"] = left_out
            write_sealed(aside / MANIFEST_NAME, {**made, "newest": newest, "files": entries})
    except OSError as error:
        raise StoreError(
            f"cannot write the backup to {target}: {error.strerror or error}. Nothing was left there."
        ) from error
    size = sum(entry["size"] for entry in entries.values())
    newest_of = (newest[LEDGER_NAME], newest[PUBLISHED_NAME])
    return Backup(target, len(entries), size, *newest_of, left_out=tuple(left_out))


def restore(
    store: Store, source: Path, *, settings: Mapping[str, Path], force: bool = False
) -> tuple[Backup, Path | None]:
    """Put a backup's ledger, published versions and settings files in their places, after all of it was verified.

    To a store that is newer than the backup, only files that are damaged there are put back. Call it with the store's
    lock held.

    Parameters
    ----------
    settings : mapping of a name in the backup to the place of the file
        Others of the backup's are not restored.
    force : bool
        Also over a store that has newer entries or versions: their ids and numbers can then be given again.

    Returns
    -------
    backup : Backup
    before : Path or None
        The folder with what was there before.

    Raises
    ------
    InputError
        It is no backup, or one of its names leads out of it.
    ArtifactDamaged
        A file is missing, or has other bytes than the manifest says.
    StoreError
        The store has newer entries or versions, or cannot be written.
    """
    aside = store.folder / f".building-{uuid.uuid4().hex[:12]}"
    try:
        aside.mkdir(parents=True)
        with _opened(source) as read:
            manifest = _manifest(read, source)
            newer = _newer(store, manifest, source)
            if newer is not None and not force:
                mended = _mend(store, read, manifest, source, aside)
                if mended:
                    return _as_backup(source, manifest, mended), None
                raise newer
            for name, entry in manifest["files"].items():
                _take(read, name, entry, aside / name, source)
        before = _put_in_place(store, aside, manifest, settings)
        _forget_later_ids(store, newest=manifest["newest"][LEDGER_NAME])
    except OSError as error:
        raise StoreError(f"cannot restore {source} to {store.folder}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return _as_backup(source, manifest, ()), before


def _as_backup(source: Path, manifest: Mapping[str, Any], mended: Iterable[str]) -> Backup:
    size = sum(entry["size"] for entry in manifest["files"].values())
    newest = (manifest["newest"][LEDGER_NAME], manifest["newest"][PUBLISHED_NAME])
    return Backup(source, len(manifest["files"]), size, *newest, mended=tuple(mended))


@contextmanager
def replacing_tree(target: Path) -> Iterator[Path]:
    """Where to build a new folder, or the contents of a new tar file, that appears whole."""
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = target.with_name(f".{target.name}-{uuid.uuid4().hex[:8]}")
    try:
        aside.mkdir()
        yield aside
        if target.suffix == ".tar":
            with replacing(target) as packed, tarfile.open(packed, "w") as tar:
                # The manifest comes first, so that a reader knows what to expect.
                names = sorted(path for path in aside.rglob("*") if path.is_file())
                for path in sorted(names, key=lambda path: path.name != MANIFEST_NAME):
                    tar.add(path, path.relative_to(aside).as_posix(), recursive=False)
        else:
            aside.rename(target)
            flush(target.parent)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _require_free(target: Path, store: Store) -> None:
    if target.exists() or target.is_symlink():
        raise InputError(f"a backup needs a place of its own, and {target} is there already: name another")
    if target.resolve().is_relative_to(store.folder.resolve()):
        raise InputError(f"a backup must be outside the store; {target} is in {store.folder}")


def _damaged(store: Store) -> list[str]:
    """The damaged files of older published versions, which a backup goes without.

    Raises
    ------
    StoreError
        The ledger, a version's record or what readers have now is damaged.
    """
    found = check_kept(store)
    tables = [finding for finding in found if finding.path.suffix == ".parquet"]
    others = [finding for finding in found if finding not in tables]
    latest = None if others else Publication(store.published_folder).latest()
    old = [finding for finding in tables if finding.path.is_relative_to(store.published_folder)]
    old = [finding for finding in old if latest is not None and not finding.path.is_relative_to(latest.folder)]
    worse = [*others, *(finding for finding in tables if finding not in old)]
    if worse:
        raise StoreError(
            f"what is damaged is not backed up: {worse[0].problem}. `tac check` names all that is damaged, and what to "
            "do."
        )
    return [finding.path.relative_to(store.folder).as_posix() for finding in old]


def _files_of(store: Store) -> Iterator[tuple[str, Path]]:
    for folder in (store.ledger_folder, store.published_folder):
        for path in folder.rglob("*"):
            name = path.relative_to(store.folder)
            # Through the link, the newest version would come twice.
            passed_over = (
                LATEST_NAME in name.parts or path.name in LOCKS or any(map(is_leftover, map(Path, name.parts)))
            )
            if path.is_file() and not passed_over:
                yield name.as_posix(), path


def _newest_of(store: Store) -> dict[str, int]:
    """The numbers of what is newest: the ledger's entry, the published version, the action."""
    found = {room: _newest(store.folder / room) for room in (LEDGER_NAME, PUBLISHED_NAME)}
    return {**found, ACTIONS: len(ActionLog(store.ledger_folder).read())}


def _newest(folder: Path) -> int:
    numbers = (_NUMBERED.fullmatch(path.name) for path in folder.glob("*"))
    return max((int(found[1]) for found in numbers if found), default=0)


def _copy(path: Path, target: Path, copied: dict[tuple[int, int], Path]) -> dict[str, Any]:
    """Copy a file; one that versions share is copied once, and has as many names as before."""
    target.parent.mkdir(parents=True, exist_ok=True)
    status = path.stat()
    same = copied.setdefault((status.st_dev, status.st_ino), target)
    if same == target:
        shutil.copyfile(path, target)
        flush(target)
    else:
        share(same, target)
    return describe_files([target])[target.name]


Reader = Callable[[str], IO[bytes]]


@contextmanager
def _opened(source: Path) -> Iterator[Reader]:
    """Opens the files of a backup by their names; nothing is extracted by a name that the archive says."""
    if source.is_dir():
        yield lambda name: (source / name).open("rb")
        return
    try:
        with tarfile.open(source, "r:") as tar:
            members = {member.name: member for member in tar if member.isreg() or member.islnk()}

            def read(name: str) -> IO[bytes]:
                if name not in members:
                    raise FileNotFoundError(name)
                opened = tar.extractfile(members[name])
                if opened is None:
                    raise FileNotFoundError(name)
                return opened

            yield read
    except tarfile.TarError as error:
        raise InputError(
            f"{source} must be a backup that `tac backup` made, a folder or a tar file: {error}"
        ) from error


def _manifest(read: Reader, source: Path) -> dict[str, Any]:
    """The manifest of a backup, after a look at every name in it."""
    try:
        with read(MANIFEST_NAME) as file:
            manifest = parse_sealed(file.read(_MOST_MANIFEST_BYTES))
        if manifest["format"] != FORMAT:
            raise ValueError(f"its format is {manifest['format']}, and this version reads {FORMAT}")
        names = dict(manifest["files"])
        if not all(isinstance(entry["size"], int) and isinstance(entry["sha256"], str) for entry in names.values()):
            raise ValueError("it must say the size and the sha256 of every file")
        numbers = [int(manifest["newest"][room]) for room in (LEDGER_NAME, PUBLISHED_NAME)]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{source} must be a backup that `tac backup` made; its {MANIFEST_NAME}: {error}") from error
    if min(numbers) < 0 or not (manifest["latest"] is None or _VERSION.fullmatch(str(manifest["latest"]))):
        raise InputError(f"{source} says numbers of versions that cannot be")
    for name in names:
        parts = PurePosixPath(name).parts
        outside = name != "/".join(parts) or ".." in parts or "\\" in name or ":" in name or "\0" in name
        if outside or len(parts) < 2 or parts[0] not in _ROOMS:
            raise InputError(f"{source} names a file that is not a backup's: {name!r}. Nothing was restored.")
    return manifest


def _take(read: Reader, name: str, entry: Mapping[str, Any], target: Path, source: Path) -> None:
    """Copy one file of a backup aside, and compare it with the manifest."""
    target.parent.mkdir(parents=True, exist_ok=True)
    taken, size = hashlib.sha256(), 0
    try:
        with read(name) as file, target.open("wb") as out:
            while chunk := file.read(_CHUNK):
                taken.update(chunk)
                size += len(chunk)
                if size > entry["size"]:
                    break
                out.write(chunk)
    except FileNotFoundError as error:
        raise ArtifactDamaged(
            f"the backup {source} lacks its file {name}. Nothing was restored; take another."
        ) from error
    if size != entry["size"] or taken.hexdigest() != entry["sha256"]:
        raise ArtifactDamaged(
            f"{name} in the backup {source} has other bytes than were backed up. Nothing was restored; take another."
        )


def _newer(store: Store, manifest: Mapping[str, Any], source: Path) -> StoreError | None:
    """The refusal of a backup that is older than the store; None where it is not."""
    newest = _newest_of(store)
    for kind, what in ((LEDGER_NAME, "ledger entry"), (PUBLISHED_NAME, "published version"), (ACTIONS, "action")):
        # Backups from before there were actions have none.
        here, there = newest[kind], manifest["newest"].get(kind, 0)
        if here > there:
            return StoreError(
                f"the store has {what} {here}, and the backup {source} ends with {there}: what people did since would "
                "be lost, and nothing that the backup has is damaged here. If the store's own is beyond help: --force, "
                "which keeps it aside."
            )
    return None


def _mend(store: Store, read: Reader, manifest: Mapping[str, Any], source: Path, aside: Path) -> list[str]:
    """Put back the files of the backup that are damaged in the store, records first; their names."""
    mended = []
    for records in (True, False):
        damaged = set() if records else {finding.path for finding in check_kept(store)}
        for name, entry in manifest["files"].items():
            path = store.folder / name
            is_record = path.name in (VERSION_NAME, ENTRY_NAME)
            harmed = not _reads(path) if is_record else path in damaged
            if name.startswith(f"{SETTINGS_NAME}/") or is_record != records or not harmed:
                continue
            _take(read, name, entry, aside / name, source)
            path.parent.mkdir(parents=True, exist_ok=True)
            flush(aside / name)
            (aside / name).replace(path)
            mended.append(name)
    return mended


def _reads(path: Path) -> bool:
    """Whether a record is what was written."""
    try:
        read_sealed(path)
    except (OSError, ValueError):
        return False
    return True


def _forget_later_ids(store: Store, *, newest: int) -> None:
    """Take away cluster ids that the restored ledger did not give: they are entered again, matched to what it has."""
    for version in store.versions(CLUSTER_IDS.name):
        if int(version.facts.get("entry", 0)) > newest:
            shutil.rmtree(version.folder)


def _put_in_place(store: Store, aside: Path, manifest: Mapping[str, Any], settings: Mapping[str, Path]) -> Path | None:
    """Swap the verified files in, one room after the other; what was there goes to a folder of its own."""
    if manifest["latest"] is not None:
        (aside / PUBLISHED_NAME / LATEST_NAME).symlink_to(manifest["latest"])
    before = store.folder / f"{BEFORE_RESTORE}-{time.strftime('%Y%m%d-%H%M%S')}-{uuid.uuid4().hex[:6]}"
    for room in (LEDGER_NAME, PUBLISHED_NAME):
        if (store.folder / room).exists():
            before.mkdir(exist_ok=True)
            (store.folder / room).rename(before / room)
        if (aside / room).exists():
            (aside / room).rename(store.folder / room)
    flush(store.folder)
    for name, place in settings.items():
        found = aside / SETTINGS_NAME / name
        if not found.is_file():
            continue
        if place.exists():
            (before / SETTINGS_NAME).mkdir(parents=True, exist_ok=True)
            shutil.copyfile(place, before / SETTINGS_NAME / name)
        with replacing(place) as written:
            shutil.copyfile(found, written)
    return before if before.exists() else None
