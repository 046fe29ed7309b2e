"""`tac check`, `tac backup`, `tac restore`: what they print, and how they end."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import tac, told
from ready_store import ready


@pytest.fixture
def settings(pictures: Path, tmp_path: Path) -> Path:
    """A copy of the store of pictures, without the pictures."""
    shutil.copytree(pictures.parent / "data" / "pictures", tmp_path / "data" / "pictures", symlinks=True)
    shutil.copytree(pictures.parent / "data" / ".shared", tmp_path / "data" / ".shared")
    shutil.copy(pictures, tmp_path / "tac.yaml")
    return tmp_path / "tac.yaml"


def test_a_whole_store_is_clean(settings: Path) -> None:
    result = tac("check", "-s", settings)
    assert result.exit_code == 0, result.output
    assert "compared: nothing is damaged" in result.stdout
    found = json.loads(tac("check", "--json", "-s", settings).stdout)
    assert (found["findings"], found["without_digest"]) == ([], 0)
    assert found["files"] > 60


def test_damage_is_told_and_taken_away(settings: Path) -> None:
    folder = settings.parent / "data" / "pictures"
    shard = next(folder.glob("shards/*/*.parquet"))
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 1
    shard.write_bytes(data)
    (folder / "notes.txt").write_text("mine")
    entry = folder / "ledger" / "000001" / "ids.parquet"
    entry.write_bytes(b"")
    result = tac("check", "-s", settings)
    assert result.exit_code == 1
    assert f"computed again: {shard} has other bytes than were written" in result.stdout
    assert f"backup: {entry} must have" in result.stdout
    assert f"foreign: {folder / 'notes.txt'} was written by nothing in this project" in result.stdout
    assert "`tac check --repair` takes it away" in result.stdout
    assert "`tac restore SOURCE`" in result.stdout
    result = tac("check", "--repair", "-s", settings)
    assert f"taken away: {shard}" in result.stdout
    assert not shard.exists()
    assert entry.exists()
    assert (folder / "notes.txt").exists()


def test_a_backup_and_back(settings: Path, tmp_path: Path) -> None:
    result = tac("backup", tmp_path / "kept.tar", "-s", settings)
    assert result.exit_code == 0, result.output
    assert "the ledger up to entry 1, what is published up to version 1" in result.stdout
    shutil.rmtree(settings.parent / "data" / "pictures" / "ledger")
    result = tac("restore", tmp_path / "kept.tar", "-s", settings)
    assert result.exit_code == 0, result.output
    assert "what was there before is in" in result.stdout
    assert tac("check", "-s", settings).exit_code == 0
    assert "is there already" in told(tac("backup", tmp_path / "kept.tar", "-s", settings))


def test_without_a_store_there_is_nothing_to_check_or_back_up(tmp_path: Path) -> None:
    (tmp_path / "tac.yaml").write_text("store: none\nimages: {source: x}\nclusters: {count: 3}\n")
    for command in (["check"], ["backup", tmp_path / "kept"]):
        result = tac(*command, "-s", tmp_path / "tac.yaml")
        assert result.exit_code == 1
        assert "there is nothing" in told(result)
    assert not (tmp_path / "kept").exists()


@pytest.fixture
def learned_twice(vector_store: Callable[..., Path]) -> Path:
    """A store of vectors with two learnings, and two published versions."""
    ready(vector_store({"clusters.count": 3}))
    path = vector_store({"clusters.count": 4})
    assert tac("run", "-s", path).exit_code == 0
    assert tac("publish", "-s", path).exit_code == 0
    return path


def test_a_damaged_old_version_neither_stops_backups_nor_needs_the_newest_to_go(
    learned_twice: Path, tmp_path: Path
) -> None:
    path, published = learned_twice, tmp_path / "data/small/published"
    assert tac("backup", tmp_path / "first.tar", "-s", path).exit_code == 0
    edited = path.read_text()
    (tmp_path / "corrections.yaml").write_text("names: {0: boats}\n")
    path.write_text(edited + "corrections: corrections.yaml\n")
    assert tac("run", "-s", path).exit_code == 0
    whole = (published / "v000001/assignments.parquet").read_bytes()
    (published / "v000001/assignments.parquet").write_bytes(whole[:-9] + bytes(9))
    (published / "v000001/version.json").write_bytes(b"")
    # Without its record nothing is known of the version.
    assert "what is damaged is not backed up" in told(tac("backup", tmp_path / "none.tar", "-s", path))
    mended = tac("restore", tmp_path / "first.tar", "-s", path)
    assert mended.exit_code == 0, mended.output
    assert "the store is newer than this backup, so only its 2 damaged files were put back" in mended.stdout
    assert (published / "v000001/assignments.parquet").read_bytes() == whole
    assert tac("check", "-s", path).exit_code == 0
    assert (published / "latest").readlink().name == "v000003"
    (published / "v000001/assignments.parquet").write_bytes(whole[:-9] + bytes(9))
    second = tac("backup", tmp_path / "second.tar", "-s", path)
    assert second.exit_code == 1
    assert "1 damaged files of older published versions are not in it: published/v000001/assignments.pa" in told(second)
    assert tac("restore", tmp_path / "first.tar", "-s", path).exit_code == 0
    nothing = tac("restore", tmp_path / "first.tar", "-s", path)
    assert "and nothing that the backup has is damaged here" in told(nothing)


def test_a_lost_entry_of_the_ledger_is_seen(
    learned_twice: Path, tmp_path: Path, vector_store: Callable[..., Path]
) -> None:
    path, small = learned_twice, tmp_path / "data/small"
    shutil.rmtree(small / "ledger/000002")
    gap = f"{small / 'ledger'} must hold the entry 2, which gave the cluster ids in use; it ends with 1."
    assert f"backup: {gap}" in tac("check", "-s", path).stdout
    assert f"damaged: {gap}" in tac("status", "-s", path).stdout
    assert gap in told(tac("backup", tmp_path / "none.tar", "-s", path))
    shutil.rmtree(small / "ledger")
    (tmp_path / "corrections.yaml").write_text("names: {0: boats}\n")
    assert tac("run", "-s", vector_store({"corrections": "corrections.yaml"})).exit_code == 0, "nothing needs it"


def test_a_backup_that_is_one_learning_old_is_no_dead_end(tmp_path: Path, vector_store: Callable[..., Path]) -> None:
    path, small = ready(vector_store({"clusters.count": 3})), tmp_path / "data/small"
    assert tac("backup", tmp_path / "old.tar", "-s", path).exit_code == 0
    path = vector_store({"clusters.count": 4})
    assert tac("run", "-s", path).exit_code == 0
    shutil.rmtree(small / "ledger")
    shutil.rmtree(small / "published")
    assert tac("restore", tmp_path / "old.tar", "-s", path).exit_code == 0
    after = tac("run", "-s", path)
    assert after.exit_code == 0, after.output
    assert tac("check", "-s", path).exit_code == 0
    assert len(list((small / "ledger").glob("0*"))) == 2, "the groups of now are entered again"
    again = tac("run", "-s", vector_store({"clusters.count": 5}))
    assert again.exit_code == 0, again.output
