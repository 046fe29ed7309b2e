"""Hugging Face's data sets: Parquet shards and datasets on disk, with the names of their classes."""

import json
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from layouts import (
    CIFAR10_CLASSES,
    features_of,
    hugging_face_table,
    image_file,
    make_parquet_shards,
    make_saved_dataset,
    values,
    write,
)

from tac_pipeline.errors import SourceError
from tac_pipeline.sources import FolderSource, ManifestSource, RowSource, open_source

CLASSES = ("ant", "bee", "cat")


def opened(place: Path) -> RowSource:
    source = open_source(str(place))
    assert isinstance(source, RowSource)
    return source


@pytest.mark.parametrize("inside", ["data", "", "plain_text"])
def test_shards_are_one_data_set_with_its_splits(tmp_path: Path, inside: str) -> None:
    make_parquet_shards(tmp_path, inside=inside)
    source = opened(tmp_path)
    listing = source.listing()
    start = f"{inside}/" if inside else ""
    first = f"{start}test-00000-of-00001.parquet#row=000000000"
    assert listing.images["image_id"][0] == first
    assert source.columns() == ("label", "split")
    assert Counter(values(source, "split").values()) == {"train": 12, "test": 6}
    assert Counter(values(source, "label").values()) == dict.fromkeys(CLASSES, 6)
    images = dict(listing.images.select("image_id", "uri").iter_rows())
    assert source.read(images[first]) == image_file(0, 3, 200)
    assert source.read(images[first.replace("test", "train").replace("of-00001", "of-00002")]) == image_file(0, 3, 0)


def test_splits_may_be_folders(tmp_path: Path) -> None:
    for split in ("train", "validation"):
        make_parquet_shards(tmp_path / "made", inside=split)
        (tmp_path / split).mkdir()
        (tmp_path / f"made/{split}/train-00000-of-00002.parquet").rename(tmp_path / f"{split}/0000.parquet")
    source = opened(tmp_path / "made")  # what is left there names its splits in the files
    assert Counter(values(source, "split").values()) == {"train": 12, "test": 12}
    (tmp_path / "made").rename(tmp_path.parent / f"{tmp_path.name}-made")
    assert Counter(values(opened(tmp_path), "split").values()) == {"train": 6, "val": 6}


def test_the_finest_of_several_columns_of_classes_is_the_label(tmp_path: Path) -> None:
    classes = {"fine_label": CLASSES, "coarse_label": ("insects", "mammals")}
    make_parquet_shards(tmp_path, classes=classes, image="img")
    source = opened(tmp_path)
    assert source.columns() == ("label", "coarse", "split", "fine_label", "coarse_label")
    assert set(values(source, "label").values()) == set(CLASSES)
    assert set(values(source, "coarse").values()) == {"insects", "mammals"}
    assert values(source, "fine_label") == values(source, "label")


def test_a_shard_that_is_cut_does_not_stop_the_others(tmp_path: Path) -> None:
    make_parquet_shards(tmp_path)
    path = tmp_path / "data/train-00001-of-00002.parquet"
    path.write_bytes(path.read_bytes()[:-20])
    listing = opened(tmp_path).listing()
    assert len(listing.images) == 12
    assert listing.problems["path"].to_list() == ["data/train-00001-of-00002.parquet"]
    assert "must be a whole Parquet file" in listing.problems["reason"][0]


def test_rows_without_an_image_or_a_class_are_told(tmp_path: Path) -> None:
    table = hugging_face_table({"label": CLASSES}, 6)
    pictures = table["image"].to_pylist()
    pictures[1] = {"bytes": None, "path": "../../../etc/passwd"}
    table = table.set_column(0, "image", pa.array(pictures, table.schema.field("image").type))
    table = table.set_column(1, "label", pa.array([0, 1, 2, -1, 7, None], pa.int64()))
    (tmp_path / "data").mkdir()
    pq.write_table(table, tmp_path / "data/train.parquet")
    source = opened(tmp_path)
    listing = source.listing()
    assert listing.problems.rows() == [("data/train.parquet, row 1", "holds no image")]
    assert list(values(source, "label").values()) == ["ant", "cat"]
    assert any("1 rows have a number that is not from 0 to 2, such as 7" in note for note in listing.notes)
    assert "3 of 6 images have no label" in listing.notes
    with pytest.raises(OSError, match="holds no image"):
        source.read(f"{tmp_path}/data/train.parquet#row=1")


def test_a_table_of_images_alone_gets_the_names_too(tmp_path: Path) -> None:
    pq.write_table(hugging_face_table({"label": CIFAR10_CLASSES}, 20), tmp_path / "cifar.parquet")
    source = open_source(str(tmp_path / "cifar.parquet"))
    assert isinstance(source, ManifestSource)
    assert source.columns() == ("label",)
    ids = source.list_images()["image_id"].to_list()
    assert source.labels(ids, "column")["label"].to_list() == CIFAR10_CLASSES * 2


def test_metadata_that_is_none_leaves_the_numbers(tmp_path: Path) -> None:
    table = hugging_face_table({"label": CLASSES}, 3)
    for told in (b"[" * 100_000, b'{"info": {"features": 3}}', b'{"info": {"features": {"label": {"names": 1}}}}'):
        pq.write_table(table.replace_schema_metadata({"huggingface": told}), tmp_path / "t.parquet")
        source = open_source(str(tmp_path / "t.parquet"))
        ids = source.list_images()["image_id"].to_list()
        assert source.labels(ids, "column")["label"].to_list() == ["0", "1", "2"]


def test_a_folder_with_images_stays_one(tmp_path: Path) -> None:
    make_parquet_shards(tmp_path)
    write(tmp_path / "a.jpg", image_file(0, 3, 0))
    assert isinstance(open_source(str(tmp_path)), FolderSource)


class TestOnDisk:
    @pytest.mark.parametrize("splits", [("train", "test"), ()])
    def test_splits_and_classes(self, tmp_path: Path, splits: tuple[str, ...]) -> None:
        make_saved_dataset(tmp_path, splits=splits)
        source = opened(tmp_path)
        images = source.listing().images
        assert source.columns() == ("label", "split")
        assert Counter(values(source, "split").values()) == dict.fromkeys(splits or ("train",), 6)
        assert set(values(source, "label").values()) == set(CLASSES)
        first = f"{splits[0]}/" if splits else ""
        uris = dict(images.select("image_id", "uri").iter_rows())
        for row in (0, 1, 5):
            image_id = f"{first}data-00000-of-00001.arrow#row={row:09d}"
            assert source.read(uris[image_id]) == image_file(row % 3, 3, row)

    def test_one_file_of_it(self, tmp_path: Path) -> None:
        make_saved_dataset(tmp_path)
        source = opened(tmp_path / "train/data-00000-of-00001.arrow")
        assert list(values(source, "label").values()) == list(CLASSES) * 2

    def test_a_file_that_is_cut_keeps_its_whole_rows(self, tmp_path: Path) -> None:
        make_saved_dataset(tmp_path)
        path = tmp_path / "train/data-00000-of-00001.arrow"
        path.write_bytes(path.read_bytes()[:-2000])
        listing = opened(tmp_path).listing()
        assert len(listing.images) == 10
        assert listing.problems["reason"][0].startswith("is cut after row 4: ")

    @pytest.mark.parametrize(
        ("name", "told"),
        [
            ("../../secret.arrow", "state.json must name files in its own folder; got '../../secret.arrow'"),
            ("/etc/passwd", "must name files in its own folder"),
            ("gone.arrow", "is not there, and state.json names it"),
        ],
    )
    def test_no_path_is_followed_out_of_it(self, tmp_path: Path, name: str, told: str) -> None:
        make_saved_dataset(tmp_path)
        write(tmp_path / "train/state.json", json.dumps({"_data_files": [{"filename": name}]}))
        listing = opened(tmp_path).listing()
        assert len(listing.images) == 6
        assert told in listing.problems["reason"][0]

    @pytest.mark.parametrize("splits", ['["train", "../other"]', '{"a": 1}', '[".."]'])
    def test_splits_that_lead_out_are_refused(self, tmp_path: Path, splits: str) -> None:
        make_saved_dataset(tmp_path)
        write(tmp_path / "dataset_dict.json", f'{{"splits": {splits}}}')
        with pytest.raises(SourceError, match="must name folders beside it as splits"):
            opened(tmp_path).listing()

    def test_files_that_are_something_else_are_told(self, tmp_path: Path) -> None:
        make_saved_dataset(tmp_path)
        write(tmp_path / "train/state.json", "[1]")
        write(tmp_path / "test/data-00000-of-00001.arrow", b"not arrow")
        with pytest.raises(SourceError, match=r"holds no images.*must be an Arrow stream"):
            opened(tmp_path).listing()

    def test_images_that_are_elsewhere_are_told(self, tmp_path: Path) -> None:
        make_saved_dataset(tmp_path, cells=False)
        with pytest.raises(SourceError, match=r"holds no images\. Not taken: .*row 0: holds no image"):
            opened(tmp_path).listing()


def test_the_made_features_are_hugging_face_s() -> None:
    assert features_of({"label": ["a"]}) == {
        "image": {"_type": "Image"},
        "label": {"names": ["a"], "_type": "ClassLabel"},
    }
