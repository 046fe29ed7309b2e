"""Folders of image files in the layouts of known data sets: ids as ever, with classes and splits."""

from collections import Counter
from pathlib import Path

import pytest
from layouts import (
    IMAGENET_SYNSETS,
    image_file,
    make_dtd,
    make_ilsvrc,
    make_image_folder,
    make_ucf101,
    values,
    write,
)

from tac_pipeline.errors import SourceError
from tac_pipeline.sources import FolderSource, Rules, open_source, open_sources
from tac_pipeline.sources.layouts.imagenet import class_names, imagenet_subset, subset_patterns


def opened(folder: Path, exclude: tuple[str, ...] = ()) -> FolderSource:
    source = open_source(str(folder), rules=Rules(exclude))
    assert isinstance(source, FolderSource)
    return source


class TestTrees:
    def test_splits_above_the_classes(self, tmp_path: Path) -> None:
        make_image_folder(tmp_path, splits=("train", "Validation", "test"))
        source = opened(tmp_path)
        assert source.columns() == ("label", "split")
        assert source.listing().notes == ()
        labels, splits = values(source, "label"), values(source, "split")
        assert labels["train/ant/0001.jpg"] == "ant"
        assert splits["Validation/bee/0003.jpg"] == "val"
        assert Counter(splits.values()) == {"train": 6, "val": 6, "test": 6}

    def test_classes_alone(self, tmp_path: Path) -> None:
        make_image_folder(tmp_path, splits=())
        source = opened(tmp_path)
        assert source.columns() == ("label",)
        assert Counter(values(source, "label").values()) == {"ant": 2, "bee": 2, "cat": 2}

    def test_a_class_may_be_called_as_a_split(self, tmp_path: Path) -> None:
        make_image_folder(tmp_path, splits=(), classes=("car", "train"))
        assert Counter(values(opened(tmp_path), "label").values()) == {"car": 2, "train": 2}

    def test_images_outside_the_classes_have_none(self, tmp_path: Path) -> None:
        make_image_folder(tmp_path)
        write(tmp_path / "test/1.jpg", image_file(0, 3, 0))
        write(tmp_path / "train/ant/more/1.jpg", image_file(0, 3, 0))
        labels = values(opened(tmp_path), "label")
        assert len(labels) == 12
        assert values(opened(tmp_path), "split")["test/1.jpg"] == "test"

    @pytest.mark.parametrize("paths", [["a.jpg", "cats/b.jpg"], ["2021/07/a.jpg", "2022/01/b.jpg"]])
    def test_other_folders_have_no_columns(self, tmp_path: Path, paths: list[str]) -> None:
        for path in paths:
            write(tmp_path / path, image_file(0, 3, 0))
        source = opened(tmp_path)
        assert source.columns() == ()
        with pytest.raises(SourceError, match=r"images\.labels needs a table with a column label"):
            source.labels(paths, "column")

    def test_an_archive_may_unpack_into_a_folder_of_its_own(self, tmp_path: Path) -> None:
        make_image_folder(tmp_path / "caltech-101/101_ObjectCategories", splits=())
        labels = values(opened(tmp_path), "label")
        assert labels["caltech-101/101_ObjectCategories/ant/0001.jpg"] == "ant"

    def test_folders_are_labels_as_ever(self, tmp_path: Path) -> None:
        make_image_folder(tmp_path)
        assert opened(tmp_path).labels(["train/ant/0001.jpg"], "folder").rows() == [("train/ant/0001.jpg", "ant")]


class TestImageNet:
    @pytest.mark.parametrize("flat_val", [True, False])
    def test_the_layout_of_the_challenge(self, tmp_path: Path, flat_val: bool) -> None:
        make_ilsvrc(tmp_path, flat_val=flat_val)
        source = opened(tmp_path)
        labels, splits, synsets = (values(source, column) for column in ("label", "split", "synset"))
        assert Counter(splits.values()) == {"train": 10, "val": 5, "test": 1}
        of_val = [labels[image_id] for image_id, split in splits.items() if split == "val"]
        assert sorted(of_val) == sorted(set(labels.values()))
        assert labels["ILSVRC/Data/CLS-LOC/train/n01440764/n01440764_1.JPEG"] == "tench"
        assert set(synsets.values()) == set(IMAGENET_SYNSETS)
        assert "1 of 16 images have no label" in source.listing().notes  # the one of test

    def test_two_synsets_of_one_name_are_told_apart(self, tmp_path: Path) -> None:
        make_ilsvrc(tmp_path)
        names = set(values(opened(tmp_path), "label").values())
        assert {"crane (wading bird)", "crane (lifting device)"} <= names
        # Both maillots are swimsuits.
        twins = class_names(["n03710637", "n03710721"], {"n03710637": "maillot", "n03710721": "maillot"})
        assert len(set(twins.values())) == 2

    def test_without_the_file_of_names_they_are_those_of_wordnet(self, tmp_path: Path) -> None:
        make_ilsvrc(tmp_path, mapping=False)
        names = set(values(opened(tmp_path), "label").values())
        assert names == {"tench", "crane (wading bird)", "crane (lifting device)", "king penguin", "Maltese dog"}

    def test_class_folders_may_be_at_the_top(self, tmp_path: Path) -> None:
        make_image_folder(tmp_path, splits=(), classes=("n01440764", "n02056570"))
        source = opened(tmp_path)
        assert source.columns() == ("label", "synset")
        assert set(values(source, "label").values()) == {"tench", "king penguin"}

    def test_a_subset_is_chosen_by_patterns(self, tmp_path: Path) -> None:
        make_ilsvrc(tmp_path)
        patterns = tuple(subset_patterns(imagenet_subset("imagenet-10")))
        source = opened(tmp_path, patterns)
        assert set(values(source, "synset").values()) == {"n02056570", "n02085936"}
        listing = source.listing()
        assert len(listing.images) == 4
        # What is left out is counted, and nothing of it is opened or asked for its size.
        assert listing.passed_over_by_rule["images.exclude"] == 12

    @pytest.mark.parametrize(("name", "count"), [("imagenet-10", 10), ("imagenet-dogs", 15)])
    def test_the_subsets_are_synsets_of_wordnet(self, name: str, count: int) -> None:
        synsets = imagenet_subset(name)
        names = class_names(synsets)
        assert len(set(names.values())) == count
        assert not set(names.values()) & set(synsets)

    def test_an_unknown_subset_is_refused(self) -> None:
        with pytest.raises(SourceError, match="must be one of imagenet-10, imagenet-dogs; got imagenet-7"):
            imagenet_subset("imagenet-7")

    @pytest.mark.parametrize(
        ("name", "text", "told"),
        [
            ("LOC_synset_mapping.txt", "tench\n", "must have lines such as"),
            ("LOC_val_solution.csv", "ImageId\nx,../../etc/passwd 1\n", "must name a synset in every line"),
            ("LOC_val_solution.csv", b"\xff\xfe\x00", "must be a text in UTF-8"),
        ],
    )
    def test_files_that_are_wrong_are_told_and_the_images_listed(
        self, tmp_path: Path, name: str, text: str | bytes, told: str
    ) -> None:
        make_ilsvrc(tmp_path)
        write(tmp_path / name, text)
        source = opened(tmp_path)
        listing = source.listing()
        assert len(listing.images) == 16
        assert any(told in note for note in listing.notes)
        with pytest.raises(SourceError, match=told):
            source.labels(listing.images["image_id"].to_list(), "column")


class TestLists:
    def test_dtd(self, tmp_path: Path) -> None:
        classes = make_dtd(tmp_path / "dtd")
        for folder, start in ((tmp_path / "dtd", ""), (tmp_path, "dtd/")):
            source = opened(folder)
            assert source.columns() == ("label", "split", "split2")
            labels = values(source, "label")
            assert sorted(set(labels.values())) == sorted(classes)
            first, second = values(source, "split"), values(source, "split2")
            at = f"{start}images/banded/banded_0001.jpg"
            assert (labels[at], first[at], second[at]) == ("banded", "train", "val")
            assert Counter(first.values()) == {"train": 3, "val": 3, "test": 3}

    def test_what_is_missing_is_counted(self, tmp_path: Path) -> None:
        make_dtd(tmp_path)
        (tmp_path / "images/banded/banded_0001.jpg").unlink()
        write(tmp_path / "images/banded/mine.jpg", image_file(0, 3, 0))
        notes = opened(tmp_path).listing().notes
        assert "1 of 9 images have no split" in notes
        gone = "1 images that the files of DTD (Describable Textures) name are not there, such as images/banded/"
        assert any(note.startswith(gone) for note in notes)

    def test_an_image_in_two_splits_is_refused(self, tmp_path: Path) -> None:
        make_dtd(tmp_path)
        write(tmp_path / "labels/test1.txt", "banded/banded_0001.jpg\n")
        source = opened(tmp_path)
        with pytest.raises(SourceError, match=r"test1.txt must name images of test alone; .* is in train too"):
            source.labels(["images/banded/banded_0001.jpg"], "column", column="split")

    def test_a_name_that_leads_out_names_nothing(self, tmp_path: Path) -> None:
        make_dtd(tmp_path)
        write(tmp_path / "labels/test1.txt", "../../../etc/passwd\n/etc/shadow\n")
        assert set(values(opened(tmp_path), "split").values()) == {"train", "val"}

    def test_ucf_101(self, tmp_path: Path) -> None:
        classes = make_ucf101(tmp_path)
        for folder in (tmp_path, tmp_path / "UCF-101-midframes"):
            source = opened(folder)
            assert source.columns() == ("label", "split", "split2", "split3")
            labels = values(source, "label")
            assert set(labels.values()) == set(classes)
            assert Counter(values(source, "split").values()) == {"train": 6, "test": 3}
            assert values(source, "split") != values(source, "split3")

    def test_ucf_101_without_its_lists_has_no_split(self, tmp_path: Path) -> None:
        make_ucf101(tmp_path)
        (tmp_path / "UCF-101-midframes").rename(tmp_path / "frames")
        (tmp_path / "ucfTrainTestlist").rename(tmp_path / "elsewhere")
        source = opened(tmp_path / "frames")
        assert source.columns() == ("label",)
        assert "Yo Yo" in values(source, "label").values()


def test_several_places_have_the_columns_that_all_have(tmp_path: Path) -> None:
    make_dtd(tmp_path / "dtd")
    make_image_folder(tmp_path / "tree", splits=())
    source = open_sources([str(tmp_path / "dtd"), str(tmp_path / "tree")])
    assert source.columns() == ("label",)
    ids = source.list_images()["image_id"].to_list()
    assert len(source.labels(ids, "column")) == len(ids)
    with pytest.raises(SourceError, match=r"images.labels must name a column of .*tree.*; got split, and it has label"):
        source.labels(ids, "column", column="split")
