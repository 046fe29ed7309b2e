"""Files that are written whole or not at all, and locks that end with their process."""

from __future__ import annotations

import errno
import glob
import os
import re
import shutil
import sqlite3
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from tac_pipeline.errors import StoreError

LOCK_POLL_SECONDS = 0.2
# How much of a file is read at a time to find its last whole line.
_LINE_BLOCK = 2**16  # bytes
# Less than a page of a database: it cannot write any more.
_NO_ROOM = 1_000_000  # bytes
# What a killed writer leaves: see replacing and building_folder.
_LEFTOVER = re.compile(r"\..+-[0-9a-f]{8}|\.building-[0-9a-f]{12}")
# Some writers hold no lock. None of them writes one file for longer.
LEFTOVER_SECONDS = 24 * 3600.0


@contextmanager
def hold_lock(folder: Path, on_wait: Callable[[str], None]) -> Iterator[bool]:
    """Hold the OS lock of a folder; if another process holds it, on_wait is told once which. Re-entrant.

    Yields whether the lock was taken just now, and not held by this process already.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"cannot create the store's folder {folder}: {error}") from error
    holder = folder / ".lock-holder"
    # A singleton, so that the whole process shares the lock and its depth.
    lock = FileLock(folder / ".lock", thread_local=False, is_singleton=True)
    first = not lock.is_locked
    try:
        lock.acquire(timeout=0)
    except Timeout:
        on_wait(
            f"waiting for the store's lock: {_holder(holder)} is building in {folder}. This run goes on when it ends"
        )
        lock.acquire(poll_interval=LOCK_POLL_SECONDS)
    try:
        holder.write_text(str(os.getpid()), encoding="utf-8")
        yield first
    finally:
        lock.release()


def _holder(path: Path) -> str:
    try:
        return f"process {int(path.read_text(encoding='utf-8'))}"
    except (OSError, ValueError):
        return "another process"


@contextmanager
def full_disk_told(folder: Path, *, kept: str) -> Iterator[None]:
    """Turn what a full disk raises, from any depth, into a StoreError; `kept` ends its first sentence."""
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        if not _says_full(error, folder):
            raise
        raise _full_disk(folder, kept) from error
    except Exception as error:
        # Libraries wrap what their database raised.
        if error.__cause__ is None or not _says_full(error.__cause__, folder):
            raise
        raise _full_disk(folder, kept) from error


def _says_full(error: BaseException, folder: Path) -> bool:
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    # SQLite calls it an I/O error as well.
    return isinstance(error, sqlite3.Error) and free_bytes(folder) < _NO_ROOM


def _full_disk(folder: Path, kept: str) -> StoreError:
    return StoreError(
        f"the disk of {folder} is full; {kept}. Make room there, or set `data` to a folder on another disk, and run "
        "again: finished work is kept."
    )


def free_bytes(folder: Path) -> int:
    """What the disk of a folder has left; the folder need not be there yet."""
    there = next(parent for parent in (folder, *folder.parents) if parent.exists())
    return shutil.disk_usage(there).free


def is_leftover(path: Path) -> bool:
    """Whether a name is that of something half-written: it is a leftover when nobody writes it any more."""
    return _LEFTOVER.fullmatch(path.name) is not None


def leftovers(folder: Path, *, older_than: float = 0.0) -> list[Path]:
    """What killed writers left half-written in a folder and all folders in it, not touched for so many seconds."""
    since, found = time.time() - older_than, []
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            if _LEFTOVER.fullmatch(name):
                path = Path(parent, name)
                with suppress(OSError):  # its writer has just put it in its place
                    if path.lstat().st_mtime <= since:
                        found.append(path)
        folders[:] = [name for name in folders if not _LEFTOVER.fullmatch(name)]
    return found


def sweep(folder: Path, *, older_than: float = 0.0) -> list[Path]:
    """Remove what `leftovers` finds, and return it; a process that may only read leaves it."""
    found = leftovers(folder, older_than=older_than)
    for path in found:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with suppress(OSError):
                path.unlink(missing_ok=True)
    return found


@contextmanager
def building_folder(folder: Path) -> Iterator[Path]:
    """A new folder inside another, to be renamed into place; leftovers of killed writers are removed first.

    Call it with the store's lock held; anything left in it at the end is removed.
    """
    for left_over in folder.glob(".building-*"):
        shutil.rmtree(left_over, ignore_errors=True)
    aside = folder / f".building-{uuid.uuid4().hex[:12]}"
    aside.mkdir(parents=True)
    try:
        yield aside
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def place_folder(built: Path, target: Path) -> None:
    """Move a folder that was built aside to where readers look for it; its files and its name are on the disk then."""
    for path in built.iterdir():
        flush(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    built.rename(target)
    flush(target.parent)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Where to write a file, or a link, that takes the place of another when it is whole and on the disk.

    Readers see the old file or the new one, never a part; makes its folder if there is none.
    """
    with adding(path.parent, path.name) as (aside, place):
        yield aside
        place(path.name)


@contextmanager
def adding(folder: Path, name: str) -> Iterator[tuple[Path, Callable[[str], Path]]]:
    """Where to write a file of a folder, and what puts it in its place when it is whole, under a name known by then.

    `name` is a part of the name that it has until then.
    """
    folder.mkdir(parents=True, exist_ok=True)
    aside = folder / f".{name}-{uuid.uuid4().hex[:8]}"

    def place(final: str) -> Path:
        flush(aside)
        aside.replace(folder / final)
        flush(folder)
        return folder / final

    try:
        yield aside, place
    finally:
        aside.unlink(missing_ok=True)


def write_atomically(path: Path, text: str) -> None:
    """Write a file so that readers see the old text or the new one, never a part.

    What a process that was killed here left of it is removed a day later.
    """
    for left in path.parent.glob(f".{glob.escape(path.name)}-*"):
        if is_leftover(left):
            with suppress(OSError):
                if left.lstat().st_mtime < time.time() - LEFTOVER_SECONDS:
                    left.unlink(missing_ok=True)
    with replacing(path) as aside:
        aside.write_text(text, encoding="utf-8")


def write_line(path: Path, line: str) -> int:
    """Add a line to a file, on the disk when this returns, over a last one that was cut short; returns the new size.

    Call it with a lock held that keeps other writers out.
    """
    with path.open("r+b" if path.exists() else "xb") as file:
        file.truncate(_whole_lines(path))
        file.seek(0, os.SEEK_END)
        file.write(f"{line}\n".encode())
        file.flush()
        os.fsync(file.fileno())
        return file.tell()


def read_lines(path: Path) -> list[bytes]:
    """The whole lines of a file, which write_line adds to; none of a file that is not there.

    Raises
    ------
    StoreError
        It cannot be read.
    """
    try:
        data = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror}. Let this user read it.") from error
    return data[: data.rfind(b"\n") + 1].splitlines()


def _whole_lines(path: Path) -> int:
    """How many bytes the whole lines of a file take."""
    with path.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        while end:
            start = max(end - _LINE_BLOCK, 0)
            file.seek(start)
            found = file.read(end - start).rfind(b"\n")
            if found >= 0:
                return start + found + 1
            end = start
    return 0


def flush(path: Path) -> None:
    """Flush a file's bytes or a folder's names to the disk: a power cut must not leave a name without its bytes."""
    if path.is_dir() and os.name != "posix":
        return  # folders cannot be opened there
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


# Of a file: which it is, when it was written, and its bytes.
Stamp = tuple[int, int, int]


def stamp_of(path: Path) -> Stamp:
    """Changes when a file is written; zeros where there is none."""
    try:
        found = path.stat()
    except OSError:
        return 0, 0, 0
    return found.st_ino, found.st_mtime_ns, found.st_size
