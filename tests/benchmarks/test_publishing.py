"""The reader of the benchmark: it would see half a version."""

from pathlib import Path
from typing import Any

import pytest
from fsspec import filesystem
from made_versions import publish

from benchmarks.publishing import read_once
from tac_pipeline.store.publication import Publication
from tac_pipeline.store.publishing.bringing import bring
from tac_pipeline.store.publishing.places import FolderPlace


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A place with two versions."""
    publication, there = Publication(tmp_path / "published"), FolderPlace(tmp_path / "there")
    for state in ({"x": 0}, {"x": 0, "y": 1}):
        publish(publication, state)
        bring(publication, there, keep=5, grace=0.0, now=1.0)
    return there.folder


@pytest.fixture
def files() -> Any:
    return filesystem("file")


def test_a_whole_version_is_read(place: Path, files: Any) -> None:
    assert read_once(files, str(place)) == 2


def test_half_a_version_is_seen(place: Path, files: Any) -> None:
    first, second = (place / f"versions/{number}/assignments/assignments.parquet" for number in (1, 2))
    whole = second.read_bytes()
    second.write_bytes(first.read_bytes())
    with pytest.raises(ValueError, match=r"has other bytes than latest\.json says"):
        read_once(files, str(place))
    second.write_bytes(whole[:-1])
    with pytest.raises(ValueError, match=r"has other bytes than latest\.json says"):
        read_once(files, str(place))
    second.unlink()
    with pytest.raises(FileNotFoundError):
        read_once(files, str(place))
