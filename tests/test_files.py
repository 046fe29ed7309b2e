"""Files take their place whole, or the old one stays."""

import errno
import os
import shutil
import sqlite3
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from tac_pipeline.errors import StoreError
from tac_pipeline.files import (
    adding,
    full_disk_told,
    leftovers,
    place_folder,
    replacing,
    sweep,
    write_atomically,
    write_line,
)


def test_a_file_takes_its_place_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "file.txt"
    for text in ("one", "two"):
        with replacing(path) as aside:
            aside.write_text(text)
            assert not path.exists() or path.read_text() == "one"
        assert path.read_text() == text
    assert list(path.parent.iterdir()) == [path]


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    path.write_text("one")
    with pytest.raises(RuntimeError), replacing(path) as aside:
        aside.write_text("half")
        raise RuntimeError
    assert path.read_text() == "one"
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_is_replaced_and_not_what_it_points_to(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        with replacing(tmp_path / "latest") as link:
            link.symlink_to(name)
    assert (tmp_path / "latest").readlink() == Path("two")
    assert (tmp_path / "one").is_dir()


def test_a_folder_is_moved_with_its_files(tmp_path: Path) -> None:
    (tmp_path / "built").mkdir()
    (tmp_path / "built" / "file.txt").write_text("text")
    place_folder(tmp_path / "built", tmp_path / "new" / "place")
    assert (tmp_path / "new" / "place" / "file.txt").read_text() == "text"
    assert not (tmp_path / "built").exists()


@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize(
    ("error", "free", "told"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), 10**12, True),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), 10**12, True),
        (sqlite3.OperationalError("disk I/O error"), 0, True),
        (sqlite3.OperationalError("disk I/O error"), 10**12, False),
        (OSError(errno.EACCES, "Permission denied"), 0, False),
        (ValueError("a mistake"), 0, False),
    ],
    ids=["no space", "quota", "database", "a broken database", "no permission", "a mistake"],
)
def test_a_full_disk_is_one_sentence_and_nothing_else_is(
    error: Exception, free: int, told: bool, wrapped: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=free))

    def fail() -> None:
        if not wrapped:
            raise error
        try:
            raise error
        except Exception as caught:
            raise RuntimeError("of a library") from caught

    expected = StoreError if told else RuntimeError if wrapped else type(error)
    with pytest.raises(expected) as raised, full_disk_told(tmp_path, kept="nothing was changed"):
        fail()
    if told:
        assert f"the disk of {tmp_path} is full; nothing was changed. Make room there" in str(raised.value)


def test_what_a_killed_writer_left_is_swept_and_nothing_else(tmp_path: Path) -> None:
    inner = tmp_path / "in"
    kept = [tmp_path / "a.txt", tmp_path / ".lock", inner / "b-12345678", tmp_path / ".lock-holder"]
    left = [tmp_path / ".a.txt-0123abcd", inner / ".b.parquet-ffffffff", inner / ".building-0123456789ab"]
    inner.mkdir()
    for path in [*kept, *left[:2]]:
        path.write_text("text")
    left[2].mkdir()
    (left[2] / ".c-0123abcd").write_text("text")
    assert sorted(leftovers(tmp_path)) == sorted(left)
    assert leftovers(tmp_path, older_than=60) == []
    assert sorted(sweep(tmp_path)) == sorted(left)
    assert sorted(path for path in tmp_path.rglob("*") if path.is_file()) == sorted(kept)


def test_the_name_of_every_half_written_file_is_that_of_a_leftover(tmp_path: Path) -> None:
    with replacing(tmp_path / "one.json") as first, adding(tmp_path, "two") as (second, _):
        first.write_text("")
        second.write_text("")
        assert sorted(leftovers(tmp_path)) == sorted([first, second])


def test_a_file_sweeps_what_its_own_writers_left_a_day_ago(tmp_path: Path) -> None:
    old, new, other = (tmp_path / name for name in (".a.yaml-0123abcd", ".a.yaml-0123abce", ".b.yaml-0123abcd"))
    for path in (old, new, other):
        path.write_text("half")
    for path in (old, other):
        os.utime(path, (time.time() - 2 * 24 * 3600,) * 2)
    write_atomically(tmp_path / "a.yaml", "text")
    assert sorted(tmp_path.iterdir()) == sorted([tmp_path / "a.yaml", new, other])


def test_a_file_and_its_name_are_flushed_before_readers_see_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed: list[tuple[bool, bool]] = []
    path = tmp_path / "folder" / "file.txt"

    def fsync(descriptor: int) -> None:
        found = os.fstat(descriptor)
        flushed.append((found.st_ino == path.parent.stat().st_ino, path.exists()))

    monkeypatch.setattr(os, "fsync", fsync)
    write_atomically(path, "text")
    # The bytes while the name is not there yet, then the folder with the name.
    assert flushed == [(False, False), (True, True)]


@pytest.mark.parametrize("rest", ["", "a part", "x" * 200_000], ids=["none", "short", "long"])
def test_a_line_takes_the_place_of_one_that_was_cut_short(tmp_path: Path, rest: str) -> None:
    path = tmp_path / "log"
    assert write_line(path, "one") == 4
    with path.open("a") as file:
        file.write(rest)
    assert write_line(path, "zwölf") == path.stat().st_size
    assert path.read_text(encoding="utf-8") == "one\nzwölf\n"
