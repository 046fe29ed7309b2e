"""Image sources: what is listed, how it is named, and what is refused."""

import os
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from small_store import grouped_vectors, write_vectors

from tac_pipeline.errors import InputError, SourceError
from tac_pipeline.sources import (
    FolderSource,
    ManifestSource,
    RemoteFolderSource,
    VectorSource,
    listing_digest,
    open_source,
    vector_digest,
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
    before = listing_digest(source.listing())
    assert listing_digest(source.listing()) == before
    os.utime(photos / "top.webp", ns=(1, 1))
    touched = listing_digest(source.listing())
    (photos / "top.webp").unlink()
    assert len({before, touched, listing_digest(source.listing())}) == 3


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
        ("file.jpg", "must be a folder, a .tar, a .csv or a .parquet"),
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


class TestManifest:
    def test_csv_and_parquet_are_read_alike(self, photos: Path) -> None:
        table = pl.DataFrame({"uri": ["cats/b.jpg", str(photos / "top.webp")], "image_id": ["1", "2"], "label": [5, 6]})
        table.write_csv(photos / "m.csv")
        table.write_parquet(photos / "m.parquet")
        for name in ("m.csv", "m.parquet"):
            source = open_source(str(photos / name))
            assert isinstance(source, ManifestSource)
            listing = source.list_images()
            assert listing.select("image_id", "uri", "size").rows() == [
                ("1", str(photos / "cats/b.jpg"), 10),
                ("2", str(photos / "top.webp"), 8),
            ]
            assert source.read(listing["uri"][0]) == b"cats/b.jpg"
            assert source.labels(["1", "2"], "column").rows() == [("1", "5"), ("2", "6")]

    def test_without_ids_the_uri_is_the_id(self, photos: Path) -> None:
        (photos / "m.csv").write_text("uri\ncats/b.jpg\n")
        assert open_source(str(photos / "m.csv")).list_images()["image_id"].to_list() == ["cats/b.jpg"]

    def test_a_missing_image_stays_listed(self, photos: Path) -> None:
        (photos / "m.csv").write_text("uri\nabsent.jpg\n")
        assert open_source(str(photos / "m.csv")).list_images()["version"].to_list() == ["unknown"]

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("path\nx.jpg\n", r"must have a column uri; it has \['path'\]"),
            ("uri\n", "has no rows"),
            ("uri,image_id\na.jpg,1\nb.jpg,1\n", "image_id must be unique; 1 ids repeat: '1'"),
            ("uri,image_id\na.jpg,1\nb.jpg,\n", "image_id must not be empty; 1 of 2 rows are"),
            ("uri,image_id\n,1\n", "uri must not be empty; row 1 is"),
            ("uri\n../../etc/passwd\n", r"must stay below the manifest's folder; row 1 is '../../etc/passwd'"),
            ("uri\ncats/../../x.jpg\n", "must stay below the manifest's folder"),
        ],
    )
    def test_bad_manifests_are_refused(self, photos: Path, text: str, message: str) -> None:
        (photos / "m.csv").write_text(text)
        with pytest.raises(SourceError, match=message):
            open_source(str(photos / "m.csv")).list_images()

    def test_a_table_that_is_none_is_refused(self, photos: Path) -> None:
        (photos / "m.parquet").write_bytes(b"PAR1 nonsense")
        with pytest.raises(SourceError, match="must be a Parquet file"):
            open_source(str(photos / "m.parquet"))
        (photos / "m.csv").write_bytes(b"\xff\xfe\x00\x01,\n\x9f")
        with pytest.raises(SourceError, match=r"m\.csv"):
            open_source(str(photos / "m.csv")).list_images()


class TestVectors:
    vectors, _ = grouped_vectors(per_group=2)
    ids: list[str] = [f"i{number}" for number in range(6)]  # noqa: RUF012

    def test_rows_come_in_file_order_with_their_digest(self, tmp_path: Path) -> None:
        path = write_vectors(tmp_path / "v.parquet", self.ids[::-1], self.vectors, ["a", "b"] * 3)
        source = open_source(str(path))
        assert isinstance(source, VectorSource)
        listing = source.list_images()
        assert listing["image_id"].to_list() == self.ids
        ((ids, digests, vectors),) = list(source.vectors())
        assert ids == self.ids[::-1]
        np.testing.assert_allclose(vectors, self.vectors, atol=1e-3)
        assert listing["version"].to_list() == digests[::-1]
        assert digests[0] == vector_digest(self.vectors[0].astype(np.float16))
        assert source.labels(self.ids, "column")["label"].to_list() == ["b", "a"] * 3
        assert source.encoder == "unstated"

    def test_lists_of_any_kind_and_whole_number_ids_are_read(self, tmp_path: Path) -> None:
        table = pa.table({"image_id": list(range(6)), "embedding": self.vectors.astype(np.float64).tolist()})
        pq.write_table(table, tmp_path / "v.parquet")
        source = open_source(str(tmp_path / "v.parquet"))
        assert isinstance(source, VectorSource)
        assert source.list_images()["image_id"].to_list() == list("012345")
        np.testing.assert_allclose(next(source.vectors())[2], self.vectors, atol=1e-6)

    @pytest.mark.parametrize(
        ("embedding", "message"),
        [
            ([[1.0, 0.0], [0.0, 0.0]], r"must not hold zero vectors; 1 of 2 rows are zero, the first is row 1"),
            ([[1.0, 0.0], [float("nan"), 0.0]], "must be finite; 1 of 2 rows"),
            ([[1.0, 0.0], [float("inf"), 0.0]], "must be finite; 1 of 2 rows"),
            ([[1.0, 0.0], [1.0]], "must have one width; row 0 has 2, row 1 has 1"),
            ([[1.0, 0.0], None], "must not be null; 1 of 2 rows are"),
            (["x", "y"], "must hold lists of numbers; got string"),
        ],
    )
    def test_bad_vectors_are_refused(self, tmp_path: Path, embedding: list, message: str) -> None:
        pq.write_table(pa.table({"image_id": ["a", "b"], "embedding": embedding}), tmp_path / "v.parquet")
        source = open_source(str(tmp_path / "v.parquet"))
        assert isinstance(source, VectorSource)
        with pytest.raises(InputError, match=message):
            list(source.vectors())

    def test_missing_columns_are_named(self, tmp_path: Path) -> None:
        pq.write_table(pa.table({"embedding": [[1.0]]}), tmp_path / "v.parquet")
        with pytest.raises(SourceError, match=r"missing \['image_id'\]"):
            open_source(str(tmp_path / "v.parquet")).list_images()
        path = write_vectors(tmp_path / "w.parquet", self.ids, self.vectors)
        with pytest.raises(SourceError, match="needs a column label"):
            open_source(str(path)).labels(self.ids, "column")
        with pytest.raises(SourceError, match="needs image files"):
            open_source(str(path)).labels(self.ids, "folder")

    def test_repeated_ids_are_named(self, tmp_path: Path) -> None:
        path = write_vectors(tmp_path / "v.parquet", ["a", "a", *self.ids[2:]], self.vectors)
        with pytest.raises(SourceError, match="image_id must be unique; 1 ids repeat: 'a'"):
            open_source(str(path)).list_images()
