"""Any error in words: what is known, what is not, and where the trace goes."""

import errno
import sqlite3
from pathlib import Path

import pytest
from sqlalchemy.exc import DatabaseError

from tac_pipeline import failures
from tac_pipeline.errors import InputError
from tac_pipeline.failures import KEPT_TRACES, in_words, keep_trace, tell


def wrapped(error: BaseException) -> Exception:
    """What a library makes of an error: another one, raised from it."""
    try:
        raise RuntimeError("the step failed") from error
    except RuntimeError as outer:
        return outer


def of_sqlite(message: str) -> Exception:
    return DatabaseError("SELECT 1", None, sqlite3.DatabaseError(message))


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OSError(errno.ENOSPC, "No space left", "/data/x"), "the disk of /data/x is full. Finished work is kept"),
        (OSError(errno.EROFS, "Read-only file system", "/data/x"), "/data/x cannot be written or read: Read-only file"),
        (PermissionError(errno.EACCES, "Permission denied", "/d"), "/d cannot be written or read: Permission denied."),
        (OSError(errno.EMFILE, "Too many open files"), "too many files are open at once"),
        (OSError(errno.EIO, "Input/output error", "/d"), "the disk of /d reports an error (Input/output error)."),
        (MemoryError(), "the memory is used up. Finished work is kept"),
        (sqlite3.OperationalError("database or disk is full"), "the disk of /home is full, or reports an error"),
        (of_sqlite("attempt to write a readonly database"), "Dagster's books in /home cannot be written"),
        (of_sqlite("database is locked"), "Dagster's books in /home were in use for too long"),
        (of_sqlite("file is not a database"), "Move them away (`mv /home /home.damaged`) and run again"),
        (InputError("clusters.count must be >= 2"), "clusters.count must be >= 2"),
        (ValueError("seven\nlines"), "ValueError: seven. This was not expected. Finished work is kept"),
    ],
)
@pytest.mark.parametrize("wrap", [lambda error: error, wrapped], ids=["plain", "wrapped"])
def test_every_error_is_a_sentence(monkeypatch: pytest.MonkeyPatch, error: Exception, told: str, wrap: object) -> None:
    monkeypatch.setenv("DAGSTER_HOME", "/home")
    said = in_words(wrap(error))  # type: ignore[operator]
    if isinstance(error, ValueError) and not isinstance(error, InputError) and wrap is wrapped:
        told = "RuntimeError: the step failed. This was not expected."
    assert told in said
    assert "\n" not in said
    assert said.endswith(("2", "."))


def test_an_error_in_a_circle_ends() -> None:
    one, other = ValueError("one"), ValueError("other")
    one.__cause__, other.__cause__ = other, one
    assert in_words(one).startswith("ValueError: one.")


def test_the_trace_is_in_a_file_that_the_sentence_names(tmp_path: Path) -> None:
    said = tell(wrapped(ValueError("deep")), tmp_path / "traces")
    [path] = (tmp_path / "traces").glob("*.txt")
    assert said.endswith(f"The trace is in {path}.")
    assert "ValueError: deep" in path.read_text()


def test_an_error_of_ours_leaves_no_trace(tmp_path: Path) -> None:
    assert tell(InputError("a sentence."), tmp_path) == "a sentence."
    assert list(tmp_path.iterdir()) == []


def test_old_traces_go(tmp_path: Path) -> None:
    for _ in range(KEPT_TRACES + 5):
        keep_trace("text", tmp_path)
    assert len(list(tmp_path.glob("*.txt"))) == KEPT_TRACES


def test_a_folder_that_cannot_be_written_is_replaced_by_a_temporary_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(failures.tempfile, "gettempdir", lambda: str(tmp_path))
    (tmp_path / "file").touch()
    path = keep_trace("text", tmp_path / "file" / "traces")
    assert path is not None
    assert path.read_text() == "text"
    planted = tmp_path / "planted"
    planted.mkdir()
    (planted / path.parent.name).symlink_to(tmp_path)
    monkeypatch.setattr(failures.tempfile, "gettempdir", lambda: str(planted))
    assert keep_trace("text", None) is None
    monkeypatch.setattr(failures.tempfile, "gettempdir", lambda: str(tmp_path / "file"))
    assert keep_trace("text", None) is None
    assert tell(ValueError("x"), None).endswith("goes on from there.")
