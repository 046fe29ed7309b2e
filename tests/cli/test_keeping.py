"""`tac check`, `tac backup`, `tac restore`: what they print, and how they end."""

import json
import shutil
from pathlib import Path

import pytest
from command_line import tac, told


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
