"""CIFAR and STL-10: every image and class as it is in the file, and what is said of files that are not whole."""

import io
from pathlib import Path

import numpy as np
import pytest
from layouts import (
    CIFAR10_CLASSES,
    CIFAR20_CLASSES,
    CIFAR20_OF_100,
    CIFAR100_CLASSES,
    STL10_CLASSES,
    OldPickle,
    drawn,
    make_cifar10,
    make_cifar100,
    make_stl10,
    values,
    write,
)
from PIL import Image

from tac_pipeline.errors import SourceError
from tac_pipeline.sources import RowSource, open_source, open_sources
from tac_pipeline.sources.layouts import cifar
from tac_pipeline.sources.streaming import OverLimit


def opened(folder: Path) -> RowSource:
    source = open_source(str(folder))
    assert isinstance(source, RowSource)
    return source


def pixels(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)))


def assert_shows(source: RowSource, classes: list[str], side: int) -> None:
    """Every labeled image is one that was drawn of its class."""
    labels = values(source, "label")
    known = {
        drawn(place, len(classes), number + 1000 * seed, side).tobytes(): name
        for place, name in enumerate(classes)
        for number in range(2)
        for seed in (1, 2)
    }
    uris = dict(source.list_images().select("image_id", "uri").iter_rows())
    shown = {image_id: known[pixels(source.read(uris[image_id])).tobytes()] for image_id in list(labels)[::7]}
    assert shown == {image_id: labels[image_id] for image_id in shown}


@pytest.mark.parametrize("binary", [False, True])
def test_cifar_10(tmp_path: Path, binary: bool) -> None:
    classes = make_cifar10(tmp_path, images_per_class=2, binary=binary)
    source = opened(tmp_path)
    listing = source.listing()
    suffix = ".bin" if binary else ""
    assert listing.images["image_id"][0] == f"data_batch_1{suffix}#row=000000000"
    assert listing.images["uri"][0] == f"{tmp_path}/data_batch_1{suffix}#row=0"
    assert len(listing.images) == 40
    assert listing.problems.is_empty()
    assert source.columns() == ("label", "split")
    assert_shows(source, classes, 32)
    labels, splits = values(source, "label"), values(source, "split")
    for split in ("train", "test"):
        assert sorted(labels[name] for name in splits if splits[name] == split) == sorted(CIFAR10_CLASSES * 2)
    assert {name.split("#")[0] for name in splits if splits[name] == "test"} == {f"test_batch{suffix}"}


@pytest.mark.parametrize("binary", [False, True])
def test_cifar_100_and_its_20_superclasses(tmp_path: Path, binary: bool) -> None:
    classes = make_cifar100(tmp_path, binary=binary)
    source = opened(tmp_path)
    assert source.columns() == ("label", "coarse", "split")
    assert_shows(source, classes, 32)
    labels, coarse = values(source, "label"), values(source, "coarse")
    names = [name.replace("_", " ") for name in CIFAR100_CLASSES]
    above = {name: CIFAR20_CLASSES[CIFAR20_OF_100[place]].replace("_", " ") for place, name in enumerate(names)}
    assert coarse == {image_id: above[label] for image_id, label in labels.items()}
    assert above["maple tree"] == "trees"
    assert len(set(labels.values())) == 100
    assert len(set(coarse.values())) == 20


def test_stl_10(tmp_path: Path) -> None:
    classes = make_stl10(tmp_path, images_per_class=2, unlabeled=3)
    source = opened(tmp_path)
    listing = source.listing()
    assert "3 of 43 images have no label" in listing.notes
    assert listing.problems.is_empty()
    assert listing.passed_over["path"].to_list() == ["class_names.txt", "fold_indices.txt", "test_y.bin", "train_y.bin"]
    assert_shows(source, classes, 96)
    splits = list(values(source, "split").values())
    assert {split: splits.count(split) for split in splits} == {"train": 20, "test": 20, "unlabeled": 3}
    assert sorted(set(values(source, "label").values())) == STL10_CLASSES


def test_the_folder_may_be_in_the_folder_that_an_archive_makes(tmp_path: Path) -> None:
    make_cifar10(tmp_path / "cifar-10-batches-py", images_per_class=1)
    write(tmp_path / "cifar-10-python.tar.gz", b"the archive")
    assert opened(tmp_path).location == tmp_path / "cifar-10-batches-py"


def test_a_folder_with_images_stays_a_folder_of_images(tmp_path: Path) -> None:
    make_cifar10(tmp_path, images_per_class=1)
    write(tmp_path / "mine/photo.jpg", b"a photo")
    assert open_source(str(tmp_path)).list_images()["image_id"].to_list() == ["mine/photo.jpg"]


def test_it_is_one_of_several_places(tmp_path: Path) -> None:
    make_cifar10(tmp_path / "ten", images_per_class=1)
    make_stl10(tmp_path / "stl", images_per_class=1)
    source = open_sources([str(tmp_path / "ten"), str(tmp_path / "stl")])
    images = source.list_images()
    assert source.columns() == ("label", "split")
    assert {pixels(source.read(uri)).shape for uri in images["uri"]} == {(32, 32, 3), (96, 96, 3)}
    labels = source.labels(images["image_id"].to_list(), "column")
    assert len(labels) == 40  # three of STL-10 have none


class TestReading:
    def test_a_row_that_is_not_there_is_an_error_of_its_own(self, tmp_path: Path) -> None:
        make_cifar10(tmp_path, images_per_class=1, binary=True)
        source = opened(tmp_path)
        with pytest.raises(OSError, match="ends before row 2: it has 2 rows"):
            source.read(f"{tmp_path}/data_batch_1.bin#row=2")
        for uri in (f"{tmp_path}/../other#row=0", f"{tmp_path}/batches.meta.txt#row=0", "data_batch_1.bin"):
            with pytest.raises(FileNotFoundError, match="is no image of"):
                source.read(uri)

    def test_a_file_that_is_cut_meanwhile_is_an_error(self, tmp_path: Path) -> None:
        make_cifar10(tmp_path, images_per_class=1, binary=True)
        source = opened(tmp_path)
        uri = source.list_images()["uri"][1]
        path = tmp_path / "data_batch_1.bin"
        path.write_bytes(path.read_bytes()[:4000])
        with pytest.raises(OSError, match="is cut short: 3,072 bytes wanted at 3,074, 926 there"):
            source.read(uri)

    def test_a_limit_holds(self, tmp_path: Path) -> None:
        make_stl10(tmp_path, images_per_class=1, unlabeled=0)
        source = opened(tmp_path)
        row = source.list_images().row(0, named=True)
        assert len(source.read(row["uri"], limit=row["size"])) == row["size"]
        with pytest.raises(OverLimit):
            source.read(row["uri"], limit=row["size"] - 1)


class TestAsking:
    def test_a_column_that_is_not_there_is_named(self, tmp_path: Path) -> None:
        make_cifar10(tmp_path, images_per_class=1)
        source = opened(tmp_path)
        with pytest.raises(SourceError, match=r"images.labels must name a column of .*CIFAR-10.*got coarse, and it"):
            source.labels([], "column", column="coarse")
        with pytest.raises(SourceError, match=r"images.labels: folder needs image files; .*Use column"):
            source.labels([], "folder")

    def test_ids_of_others_have_no_label(self, tmp_path: Path) -> None:
        make_cifar10(tmp_path, images_per_class=1)
        ids = ["a.jpg", "data_batch_1#row=000000099", "data_batch_9#row=000000000", "data_batch_1#row=x"]
        assert opened(tmp_path).labels(ids, "column").is_empty()


class TestDamage:
    def problems(self, folder: Path) -> dict[str, str]:
        return dict(opened(folder).listing().problems.iter_rows())

    def test_half_a_file_does_not_stop_the_others(self, tmp_path: Path) -> None:
        make_cifar10(tmp_path, images_per_class=5)
        path = tmp_path / "data_batch_2"
        path.write_bytes(path.read_bytes()[:20_000])
        assert "must be a whole pickle; it ends after 20,000 bytes" in self.problems(tmp_path)["data_batch_2"]
        assert len(opened(tmp_path).list_images()) == 90

    def test_half_a_binary_keeps_its_whole_rows(self, tmp_path: Path) -> None:
        make_cifar100(tmp_path / "c", binary=True)
        make_stl10(tmp_path / "s", images_per_class=1)
        for path in (tmp_path / "c/train.bin", tmp_path / "s/unlabeled_X.bin"):
            path.write_bytes(path.read_bytes()[:-5])
        assert self.problems(tmp_path / "c")["train.bin"].startswith("is cut: it ends in row 99, after 3,069 of its")
        assert self.problems(tmp_path / "s")["unlabeled_X.bin"].startswith("is cut: it ends in row 2, after 27,643")
        assert len(opened(tmp_path / "c").list_images()) == 199

    def test_half_an_archive_is_told(self, tmp_path: Path) -> None:
        make_cifar10(tmp_path, images_per_class=1)
        (tmp_path / "data_batch_3").unlink()
        (tmp_path / "batches.meta").unlink()
        told = self.problems(tmp_path)
        assert told["data_batch_3"].startswith("is not there: CIFAR-10 (Python) has data_batch_1")
        assert told["batches.meta"].startswith("is not there: the classes of label are numbers")
        assert set(values(opened(tmp_path), "label").values()) == set("0123456789")

    def test_a_pickle_of_something_else_is_refused_by_its_name(self, tmp_path: Path) -> None:
        make_cifar10(tmp_path, images_per_class=1)
        data = np.zeros((2, 3072), dtype=np.uint8)
        for number, batch in enumerate(
            [
                {"data": data, "labels": [0, 1], "weights": [1]},
                {"data": data[:, :100], "labels": [0, 1]},
                {"data": data, "labels": ["a", "b"]},
                {"labels": [0, 1]},
            ],
            start=1,
        ):
            write(tmp_path / f"data_batch_{number}", OldPickle().dump(batch))
        told = self.problems(tmp_path)
        assert "must hold data, labels alone; it also holds weights" in told["data_batch_1"]
        assert "of the shape (images, 3072); got (2, 100)" in told["data_batch_2"]
        assert "must hold labels, a list of whole numbers" in told["data_batch_3"]
        assert "got none" in told["data_batch_4"]

    def test_when_nothing_can_be_read_it_is_refused(self, tmp_path: Path) -> None:
        write(tmp_path / "test_batch", b"\x80\x02cos\nsystem\n.")
        write(tmp_path / "batches.meta", OldPickle().dump({"label_names": ["a"]}))
        with pytest.raises(SourceError, match=r"holds no images\. Not taken: .*test_batch"):
            opened(tmp_path).listing()

    def test_labels_that_no_class_has_are_none(self, tmp_path: Path) -> None:
        make_stl10(tmp_path, images_per_class=1, unlabeled=0)
        path = tmp_path / "test_y.bin"
        path.write_bytes(bytes([0, 11]) + path.read_bytes()[2:])
        told = self.problems(tmp_path)["test_y.bin"]
        assert told == (
            "must have values of label from 1 to 10; 2 rows have others, such as row 0 with 0. They have none."
        )
        assert "2 of 20 images have no label" in opened(tmp_path).listing().notes

    def test_another_number_of_labels_gives_none(self, tmp_path: Path) -> None:
        make_stl10(tmp_path, images_per_class=1, unlabeled=0)
        path = tmp_path / "train_y.bin"
        path.write_bytes(path.read_bytes()[:-1])
        assert "they have 9 and 10" in self.problems(tmp_path)["train_y.bin"]
        batch = {"data": np.zeros((2, 3072), dtype=np.uint8), "labels": [1]}
        write(tmp_path / "c/test_batch", OldPickle().dump(batch))
        assert "it has 1 and 2. None is taken" in self.problems(tmp_path / "c")["test_batch"]

    def test_files_that_are_not_there_are_told(self, tmp_path: Path) -> None:
        make_stl10(tmp_path, images_per_class=1, unlabeled=1)
        for name in ("test_y.bin", "train_X.bin", "class_names.txt", "unlabeled_X.bin"):
            (tmp_path / name).unlink()
        told = self.problems(tmp_path)
        assert told["test_y.bin"].startswith("cannot be read, so the images of test have no labels: No such file")
        assert set(told) == {"test_y.bin", "train_X.bin", "class_names.txt"}  # many leave out the unlabeled ones
        assert len(opened(tmp_path).list_images()) == 10

    def test_names_that_cannot_be_read_are_told(self, tmp_path: Path) -> None:
        make_cifar10(tmp_path / "py", images_per_class=1)
        write(tmp_path / "py/batches.meta", OldPickle().dump({"label_names": 3}))
        assert "must hold label_names, a list of names" in self.problems(tmp_path / "py")["batches.meta"]
        make_cifar10(tmp_path / "bin", images_per_class=1, binary=True)
        write(tmp_path / "bin/batches.meta.txt", b"x" * 100_000)
        assert "at most 65,536 bytes" in self.problems(tmp_path / "bin")["batches.meta.txt"]

    def test_a_published_file_with_other_bytes_is_a_problem_and_is_read(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        make_cifar10(tmp_path, images_per_class=1)
        assert self.problems(tmp_path) == {}  # it has other rows than the published file
        monkeypatch.setitem(cifar.PUBLISHED, "test_batch", (10, "0" * 32))
        assert f"its md5 must be {'0' * 32}; it is " in self.problems(tmp_path)["test_batch"]
        assert len(opened(tmp_path).list_images()) == 20
