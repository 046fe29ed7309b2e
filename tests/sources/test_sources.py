"""Image sources: what is listed, how it is named, and what is refused."""

import os
from pathlib import Path

import polars as pl
import pytest

from tac_pipeline.errors import SourceError
from tac_pipeline.sources import (
    FolderSource,
    RemoteFolderSource,
    listing_digest,
    open_source,
    versions_by_content,
)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    for name in ("cats/b.jpg", "cats/a.JPEG", "dogs/c.png", "top.webp"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    for name in ("notes.txt", ".hidden.jpg", ".cache/x.jpg"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"not listed")
    return folder


IDS = ["cats/a.JPEG", "cats/b.jpg", "dogs/c.png", "top.webp"]


def test_a_folder_lists_its_images_by_their_path(photos: Path) -> None:
    source = open_source(str(photos))
    listing = source.list_images()
    assert isinstance(source, FolderSource)
    assert listing["image_id"].to_list() == IDS
    assert listing["size"].to_list() == [len(name) for name in IDS]
    assert listing["version"][0] == f"{(photos / IDS[0]).stat().st_mtime_ns}-{len(IDS[0])}"
    assert source.read(listing["uri"][2]) == b"dogs/c.png"


def test_an_fsspec_url_lists_the_same_images(photos: Path) -> None:
    source = open_source(photos.as_uri())
    listing = source.list_images()
    assert isinstance(source, RemoteFolderSource)
    assert listing["image_id"].to_list() == IDS
    assert source.read(listing["uri"][2]) == b"dogs/c.png"
    (photos / "late.png").write_bytes(b"late")
    assert "late.png" in source.list_images()["image_id"]


def test_images_in_memory_are_listed_too() -> None:
    import fsspec

    filesystem = fsspec.filesystem("memory")
    filesystem.pipe("/store/a/one.png", b"1")
    try:
        source = open_source("memory://store")
        listing = source.list_images()
        assert listing["image_id"].to_list() == ["a/one.png"]
        assert source.read(listing["uri"][0]) == b"1"
        assert source.labels(["a/one.png"], "folder").rows() == [("a/one.png", "a")]
    finally:
        filesystem.rm("/store", recursive=True)


def test_the_digest_follows_what_comes_goes_and_changes(photos: Path) -> None:
    source = open_source(str(photos))
    before = listing_digest(source.list_images())
    assert listing_digest(source.list_images()) == before
    os.utime(photos / "top.webp", ns=(1, 1))
    touched = listing_digest(source.list_images())
    (photos / "top.webp").unlink()
    assert len({before, touched, listing_digest(source.list_images())}) == 3


def test_other_content_at_the_same_time_is_told_by_its_size(photos: Path) -> None:
    status = (photos / "top.webp").stat()
    before = open_source(str(photos)).list_images()
    (photos / "top.webp").write_bytes(b"something longer")
    os.utime(photos / "top.webp", ns=(status.st_atime_ns, status.st_mtime_ns))
    after = open_source(str(photos)).list_images()
    assert changed_ids(before, after) == ["top.webp"]


def test_a_clock_that_was_set_back_makes_a_new_version(photos: Path) -> None:
    before = open_source(str(photos)).list_images()
    os.utime(photos / "top.webp", ns=(1_000, 1_000))
    assert changed_ids(before, open_source(str(photos)).list_images()) == ["top.webp"]


def test_on_request_bytes_tell_what_time_and_size_do_not(photos: Path) -> None:
    source = open_source(str(photos))
    assert isinstance(source, FolderSource)
    listed = source.list_images()
    before = versions_by_content(source, listed, max_bytes=100)
    status = (photos / "top.webp").stat()
    (photos / "top.webp").write_bytes(b"TOP.WEBP")
    os.utime(photos / "top.webp", ns=(status.st_atime_ns, status.st_mtime_ns))
    again = source.list_images()
    assert changed_ids(listed, again) == []
    assert changed_ids(before, versions_by_content(source, again, max_bytes=100)) == ["top.webp"]
    assert before["version"].str.starts_with("sha256-").all()


def test_what_cannot_be_compared_by_content_keeps_its_version(photos: Path) -> None:
    (photos / "gone.png").symlink_to(photos / "nowhere.png")
    source = open_source(str(photos))
    assert isinstance(source, FolderSource)
    listed = source.list_images()
    found = versions_by_content(source, listed, max_bytes=9)
    kept = listed.join(found, on=["image_id", "version"])["image_id"].to_list()
    assert kept == ["cats/a.JPEG", "cats/b.jpg", "dogs/c.png", "gone.png"]


def changed_ids(before: pl.DataFrame, after: pl.DataFrame) -> list[str]:
    """The images that both listings hold in different versions."""
    both = before.join(after, on="image_id", suffix="_after")
    return both.filter(pl.col("version") != pl.col("version_after"))["image_id"].to_list()


def test_folder_labels_are_the_folder_of_each_image(photos: Path) -> None:
    labels = open_source(str(photos)).labels(IDS, "folder")
    assert labels.rows() == [("cats/a.JPEG", "cats"), ("cats/b.jpg", "cats"), ("dogs/c.png", "dogs")]


@pytest.mark.parametrize(
    ("location", "message"),
    [
        ("absent", "nothing is at"),
        ("empty", "holds no images"),
        ("file.jpg", "must be a folder, a .tar, a manifest"),
        ("nosuch://bucket", "cannot be opened"),
    ],
)
def test_what_is_no_source_is_refused(tmp_path: Path, location: str, message: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file.jpg").write_bytes(b"")
    with pytest.raises(SourceError, match=message):
        open_source(location if "://" in location else str(tmp_path / location)).list_images()


def test_a_remote_folder_that_is_absent_is_not_empty(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="nothing is at file://"):
        open_source((tmp_path / "absent").as_uri()).list_images()


def test_a_dangling_link_stays_listed(photos: Path) -> None:
    (photos / "gone.png").symlink_to(photos / "nowhere.png")
    row = open_source(str(photos)).list_images().filter(pl.col("image_id") == "gone.png")
    assert row.rows() == [("gone.png", str(photos / "gone.png"), None, "unknown")]
