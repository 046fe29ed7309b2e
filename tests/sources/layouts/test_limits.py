"""What bounds the reading of known data sets, and files that cannot be read at all."""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from layouts import (
    OldPickle,
    hugging_face_table,
    image_file,
    make_cifar10,
    make_fiftyone,
    make_flowers,
    make_image_folder,
    make_webdataset,
    write,
)
from tar_shards import pack

from tac_pipeline.errors import SourceError
from tac_pipeline.sources import FolderSource, open_source
from tac_pipeline.sources.layouts import annotations, finding, huggingface, labeled, matlab, pickles, webdataset
from tac_pipeline.sources.layouts.pickles import read_pickle
from tac_pipeline.sources.layouts.trees import find_tree, folders_in, holds_images

PIXELS = np.zeros((2, 300), dtype=np.uint8)


class TestPickles:
    @pytest.mark.parametrize(
        ("limit", "value", "told"),
        [
            ("MAX_STEPS", 10, "more than 10 instructions"),
            ("MAX_HELD_BYTES", 5, "its texts are more than 0 MB"),
            ("MAX_DEPTH", 3, "piles up more than 3 values"),
        ],
    )
    def test_they_are_bounded(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, value: int, told: str
    ) -> None:
        path = write(tmp_path / "batch", OldPickle().dump({"labels": list(range(20)), "name": "a name"}))
        assert len(read_pickle(path)) == 2
        monkeypatch.setattr(pickles, limit, value)
        with pytest.raises(SourceError, match=told):
            read_pickle(path)

    @pytest.mark.parametrize(
        ("old", "new", "told"),
        [
            (b"U\x02u1K\x00", b"U\x02f8K\x00", "other values than bytes"),
            (b"tb\x89", b"tbN", "whose bytes are not in the file"),
            (b"M\x2c\x01\x86", b"M\x2d\x01\x86", r"of the shape \(2, 301\) with 600 bytes"),
            (b"cnumpy\nndarray\n", b"cnumpy\ndtype\n", "it calls something"),
        ],
    )
    def test_an_array_must_be_what_it_says(self, tmp_path: Path, old: bytes, new: bytes, told: str) -> None:
        whole = OldPickle().dump({"data": PIXELS})
        assert whole.count(old) == 1
        with pytest.raises(SourceError, match=told):
            read_pickle(write(tmp_path / "batch", whole.replace(old, new)))

    def test_what_is_no_array_is_not_built(self, tmp_path: Path) -> None:
        for data in (b"\x80\x02})b.", b"\x80\x02}(U\x01acnumpy\nndarray\nu."):
            with pytest.raises(SourceError, match=r"builds something other than an array|neither an array"):
                read_pickle(write(tmp_path / "batch", data))
        assert read_pickle(write(tmp_path / "batch", pickle.dumps({"a": 1 << 40}, protocol=4))) == {"a": 1 << 40}
        with pytest.raises(SourceError, match="cannot read"):
            read_pickle(tmp_path)


def test_a_batch_without_files_of_names_is_known_by_its_first_byte(tmp_path: Path) -> None:
    batch = {"data": np.zeros((2, 3072), dtype=np.uint8), "fine_labels": [1, 2], "coarse_labels": [0, 1]}
    write(tmp_path / "train", OldPickle().dump(batch))
    source = open_source(str(tmp_path))
    assert source.columns() == ("label", "coarse", "split")
    assert "train" not in source.listing().problems["path"].to_list()
    write(tmp_path / "train", b"plain text")
    assert isinstance(open_source(str(tmp_path)), FolderSource)


def test_a_folder_with_very_many_files_is_not_searched_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_cifar10(tmp_path, images_per_class=1)
    monkeypatch.setattr(finding, "LOOKED_AT", 3)
    assert isinstance(open_source(str(tmp_path)), FolderSource)


def test_a_tree_of_many_folders_is_no_folder_of_shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        pq.write_table(hugging_face_table({"label": ("x", "y")}, 2), tmp_path / name / "train.parquet")
    assert len(open_source(str(tmp_path)).list_images()) == 4
    monkeypatch.setattr(huggingface, "MAX_FOLDERS", 2)
    assert isinstance(open_source(str(tmp_path)), FolderSource)


def test_shards_may_have_other_columns_and_some_no_images(tmp_path: Path) -> None:
    table = hugging_face_table({"label": ("x", "y")}, 2)
    pq.write_table(table, tmp_path / "a.parquet")
    pq.write_table(table.drop_columns(["label"]), tmp_path / "b.parquet")
    pq.write_table(pa.table({"caption": ["x"]}), tmp_path / "c.parquet")
    source = open_source(str(tmp_path))
    listing = source.listing()
    assert listing.problems.rows() == [("c.parquet", "has no column of images; its columns are caption")]
    ids = listing.images["image_id"].to_list()
    assert source.labels(ids, "column")["label"].to_list() == ["x", "y"]
    assert len(ids) == 4


def test_few_shards_are_open_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface, "OPEN_SHARDS", 1)
    for name in "ab":
        pq.write_table(hugging_face_table({"label": ("x", "y")}, 2), tmp_path / f"{name}.parquet")
    source = open_source(str(tmp_path))
    reader, uris = source.reader, source.list_images()["uri"].to_list()
    assert reader is not None
    assert [reader.read(uris[row]) for row in (0, 2, 1, 3)] == [image_file(row % 2, 2, row % 2) for row in (0, 2, 1, 3)]


@pytest.mark.parametrize(
    ("make", "module", "limit", "told"),
    [
        (make_flowers, matlab, "MAX_FILE_BYTES", "must have at most 0 MB; it has"),
        (make_webdataset, webdataset, "MAX_MEMBER_BYTES", "must have at most 0 MB; it has"),
        (make_fiftyone, labeled, "MAX_TEXT_BYTES", None),
    ],
)
def test_files_of_labels_are_bounded(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    make: Callable[[Path], list[str]],
    module: Any,
    limit: str,
    told: str | None,
) -> None:
    make(tmp_path)
    source = open_source(str(tmp_path))
    ids = source.list_images()["image_id"].to_list()
    monkeypatch.setattr(module, limit, 0)
    if told is None:
        with pytest.raises(SourceError, match="must have at most 5 bytes; it is larger"):
            labeled.read_text_file(tmp_path / "labels.json", limit=5)
        with pytest.raises(SourceError, match="cannot read"):
            labeled.read_text_file(tmp_path)
        return
    with pytest.raises(SourceError, match=told):
        source.labels(ids, "column")


def test_annotations_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "instances_a.json", '{"images": ["' + "x" * 300 + '"]}')
    monkeypatch.setattr(annotations, "CHUNK", 10)
    monkeypatch.setattr(annotations, "MAX_OBJECT_BYTES", 100)
    with pytest.raises(SourceError, match="an object must have at most"):
        list(annotations.read_arrays(path, ("images",)))
    monkeypatch.setattr(annotations, "MAX_FILE_BYTES", 100)
    with pytest.raises(SourceError, match="must have at most 0 GB"):
        list(annotations.read_arrays(path, ("images",)))
    with pytest.raises(SourceError, match="cannot read"):
        list(annotations.read_arrays(tmp_path / "gone.json", ("images",)))


def test_what_cannot_be_listed_has_no_layout(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    assert folders_in(gone) == []
    assert not holds_images(gone)
    assert find_tree(gone) is None
    assert finding.find_row_source(gone) is None
    assert list(finding._inner_folders(gone)) == [(gone, "")]
    # Splits with nothing in their classes.
    make_image_folder(tmp_path / "tree", images_per_class=0)
    (tmp_path / "tree/train/ant").mkdir(parents=True)
    assert find_tree(tmp_path / "tree") is None


def test_a_json_member_may_be_the_label_itself(tmp_path: Path) -> None:
    pack(tmp_path / "a.tar", {"a.json": b"3", "a.jpg": image_file(0, 3, 0), "b.json": b"[1]", "b.jpg": b"b"})
    source = open_source(str(tmp_path))
    assert source.columns() == ("label",)
    ids = ["a.tar/a.jpg", "a.tar/b.jpg", "elsewhere.jpg"]
    assert source.labels(ids, "column").rows() == [("a.tar/a.jpg", "3")]
