"""Any error in words: what happened, where, what is kept and what to do. The trace goes to a file, for who wants it.

Errors of ours are sentences already. What is left are errors of the system and of other packages: a full disk, a folder
that may not be written, a damaged database of Dagster, and what nobody expected.
"""

from __future__ import annotations

import errno
import os
import tempfile
import time
import traceback
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from tac_pipeline.errors import TacError

TRACES_NAME = ".traces"
KEPT_TRACES = 50
LONGEST = 600  # characters of another package's message
KEPT = "Finished work is kept, and the same command goes on from there."
_DENIED = {errno.EACCES, errno.EPERM, errno.EROFS}
_FULL = {errno.ENOSPC, errno.EDQUOT}
_DATABASES = ("sqlite3", "sqlalchemy", "alembic")


def in_words(error: BaseException) -> str:
    """One or two sentences about any error, from the first cause that is known."""
    for cause in _causes(error):
        known = _known(cause)
        if known is not None:
            return known
    return f"{_name(error)}: {_short(error)}. This was not expected. {KEPT}"


def tell(error: BaseException, folder: Path | None) -> str:
    """An error in words, with the file that its trace was written to when it was not expected."""
    told = in_words(error)
    if isinstance(error, TacError):
        return told
    written = keep_trace("".join(traceback.format_exception(error)), folder)
    return told if written is None else f"{told} The trace is in {written}."


def keep_trace(text: str, folder: Path | None) -> Path | None:
    """Write a trace to a folder, or where that cannot be, to the system's temporary one; None when nowhere can be.

    The folder keeps the newest KEPT_TRACES.
    """
    name = f"{time.strftime('%Y-%m-%dT%H-%M-%S')}-{uuid.uuid4().hex[:6]}.txt"
    for place in (folder, _temporary()):
        if place is None:
            continue
        try:
            place.mkdir(mode=0o700, parents=True, exist_ok=True)
            if place != folder and (place.is_symlink() or place.stat().st_uid != os.getuid()):
                continue  # somebody else made it there, to have traces written where they like
            (place / name).write_text(text, encoding="utf-8", errors="backslashreplace")
        except OSError:
            continue
        for old in sorted(place.glob("*.txt"))[:-KEPT_TRACES]:
            with suppress(OSError):
                old.unlink()
        return place / name
    return None


def _temporary() -> Path | None:
    """The one folder of this user among the temporary files."""
    return Path(tempfile.gettempdir()) / f"tac-traces-{os.getuid()}" if hasattr(os, "getuid") else None


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An error and what it was raised from, the outermost first."""
    seen: set[int] = set()
    found: BaseException | None = error
    while found is not None and id(found) not in seen:
        seen.add(id(found))
        yield found
        found = found.__cause__ or found.__context__


def _known(error: BaseException) -> str | None:
    if isinstance(error, TacError):
        return str(error)
    if isinstance(error, MemoryError):
        wanted = "encoder.batch_size and training_set.max_images"
        return f"the memory is used up. {KEPT} Close other programs, or lower {wanted}."
    if type(error).__module__.partition(".")[0] in _DATABASES:
        return _of_database(error)
    return _of_system(error) if isinstance(error, OSError) else None


def _of_system(error: OSError) -> str | None:
    where = f" of {error.filename}" if error.filename else ""
    if error.errno in _FULL:
        return f"the disk{where} is full. {KEPT} Make room there, or set `data` to a folder on another disk."
    if error.errno in _DENIED:
        what = error.filename or "a file"
        return (
            f"{what} cannot be written or read: {error.strerror}. Nothing was changed there. Give this user the right "
            "to, or set `data` to a folder that can be written."
        )
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return f"too many files are open at once ({error.strerror}). {KEPT} Raise the limit: `ulimit -n 4096`."
    if error.errno == errno.EIO:
        return f"the disk{where} reports an error ({error.strerror}). {KEPT} See whether the disk is sound."
    return None


def _of_database(error: BaseException) -> str | None:
    """Databases are Dagster's alone: the store itself has none."""
    home, said = os.environ.get("DAGSTER_HOME", "data/.dagster"), _short(error)
    if "disk is full" in said or "disk I/O error" in said:
        return f"the disk of {home} is full, or reports an error ({said}). {KEPT} Make room there."
    if "readonly database" in said or "unable to open database" in said:
        return f"Dagster's books in {home} cannot be written ({said}). Give this user the right to, or set `data`."
    if "database is locked" in said:
        return f"Dagster's books in {home} were in use for too long ({said}). {KEPT}"
    return (
        f"Dagster's books of earlier runs in {home} are damaged ({said}). Groups, cluster ids and what readers have "
        f"are not in them. Move them away (`mv {home} {home}.damaged`) and run again: only the history of runs begins "
        "anew."
    )


def _name(error: BaseException) -> str:
    return type(error).__name__


def _short(error: BaseException) -> str:
    """The first line of a message."""
    said = next(iter(str(error).strip().splitlines()), "no message")
    return said[:LONGEST].rstrip(".")
