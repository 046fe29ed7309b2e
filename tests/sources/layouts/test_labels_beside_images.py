"""Labels in files beside the images: webdataset, COCO, FiftyOne, MATLAB, and lists of names."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from layouts import (
    image_file,
    make_aircraft,
    make_caltech101,
    make_cars,
    make_coco,
    make_fiftyone,
    make_flowers,
    make_food101,
    make_pets,
    make_sun397,
    make_webdataset,
    values,
    write,
)
from tar_shards import pack

from tac_pipeline.errors import SourceError
from tac_pipeline.sources import FolderSource, open_source
from tac_pipeline.sources.layouts import annotations
from tac_pipeline.sources.layouts.annotations import read_arrays, read_coco


def opened(folder: Path) -> FolderSource:
    source = open_source(str(folder))
    assert isinstance(source, FolderSource)
    return source


@pytest.mark.parametrize(
    ("make", "columns", "splits"),
    [
        (make_food101, ("label", "split"), {"train": 6, "test": 3}),
        (make_pets, ("label", "split"), {"train": 3, "test": 3}),
        (make_aircraft, ("label", "family", "manufacturer", "split"), {"train": 3, "val": 3, "test": 3}),
        (make_sun397, ("label", "split"), {"train": 3, "test": 3}),
        (make_flowers, ("label", "split"), {"train": 3, "val": 3, "test": 3}),
        (make_cars, ("label", "split"), {"train": 6, "test": 6}),
        (make_coco, ("label", "split"), {"train": 6, "val": 6}),
        (make_webdataset, ("label", "split"), {"train": 6, "test": 6}),
        (make_caltech101, ("label",), {}),
        (make_fiftyone, ("label",), {}),
    ],
)
def test_classes_and_splits(
    tmp_path: Path, make: Callable[[Path], list[str]], columns: tuple[str, ...], splits: dict[str, int]
) -> None:
    classes = make(tmp_path)
    source = opened(tmp_path)
    listing = source.listing()
    assert source.columns() == columns
    labels = values(source, "label")
    assert set(labels) == set(listing.images["image_id"])
    assert Counter(labels.values()) == dict.fromkeys(classes, len(labels) // len(classes))
    if splits:
        assert Counter(values(source, "split").values()) == splits
    assert not [note for note in listing.notes if "have no" in note or "not there" in note]


def test_an_image_has_the_class_that_its_list_says(tmp_path: Path) -> None:
    make_aircraft(tmp_path / "aircraft")
    source = opened(tmp_path / "aircraft")
    assert values(source, "family")["images/1000100.jpg"] == "Boeing 737"
    make_cars(tmp_path / "cars", test_labels=False)
    source = opened(tmp_path / "cars")
    assert "cars_test/00001.jpg" not in values(source, "label")
    assert values(source, "label")["cars_train/00003.jpg"] == "BMW M3 Coupe 2012"
    assert "6 of 12 images have no label" in source.listing().notes


class TestWebdataset:
    @pytest.mark.parametrize(
        ("form", "names", "inside"),
        [
            ("cls", True, "{split}-000.tar"),
            ("cls", False, "{split}/000.tar"),
            ("json", True, "birds-{split}-000.tar"),
        ],
    )
    def test_numbers_texts_and_json(self, tmp_path: Path, form: str, names: bool, inside: str) -> None:
        make_webdataset(tmp_path, form=form, names=names, inside=inside)
        source = opened(tmp_path)
        shard = inside.format(split="train")
        assert values(source, "label")[f"{shard}/10001.jpg"] == "bee"
        assert values(source, "split")[f"{shard}/10001.jpg"] == "train"
        assert len(values(source, "label")) == 12

    def test_a_shard_alone(self, tmp_path: Path) -> None:
        make_webdataset(tmp_path, names=False)
        source = opened(tmp_path / "test-000.tar")
        assert source.columns() == ("label", "split")
        assert values(source, "label")["test-000.tar/20000.jpg"] == "cat"

    def test_tars_without_classes_have_no_columns(self, tmp_path: Path) -> None:
        pack(tmp_path / "a.tar", {"a.jpg": image_file(0, 3, 0), "a.txt": b"a caption"})
        assert opened(tmp_path).columns() == ()

    def test_a_cut_shard_gives_what_it_holds(self, tmp_path: Path) -> None:
        make_webdataset(tmp_path, names=False)
        path = tmp_path / "test-000.tar"
        path.write_bytes(path.read_bytes()[:6000])
        found = values(opened(tmp_path), "label")
        assert 6 < len(found) < 12

    @pytest.mark.parametrize(("member", "told"), [(b"x" * (2 << 20), "must have at most 1 MB"), (b"{", "must be JSON")])
    def test_members_that_are_no_classes_are_refused(self, tmp_path: Path, member: bytes, told: str) -> None:
        pack(tmp_path / "a.tar", {"a.json": member, "a.jpg": image_file(0, 3, 0)})
        with pytest.raises(SourceError, match=rf"a\.tar: a\.json {told}"):
            values(opened(tmp_path), "label")


class TestCoco:
    def test_roboflow(self, tmp_path: Path) -> None:
        make_coco(tmp_path, roboflow=True)
        source = opened(tmp_path)
        assert values(source, "label")["train/000000000010.jpg"] == "ant"
        assert Counter(values(source, "split").values()) == {"train": 6, "val": 6}

    def test_beside_the_images(self, tmp_path: Path) -> None:
        make_coco(tmp_path)
        (tmp_path / "annotations/instances_val2017.json").rename(tmp_path / "val2017/instances_val2017.json")
        assert values(opened(tmp_path / "val2017"), "label")["000000000012.jpg"] == "bee"

    def test_the_largest_area_counts_and_the_listing_says_so(self, tmp_path: Path) -> None:
        told: dict[str, Any] = {
            "images": [{"id": number, "file_name": f"{number}.jpg"} for number in range(3)],
            "categories": [{"id": 1, "name": "sky"}, {"id": 2, "name": "bird"}],
            "annotations": [
                {"image_id": 0, "category_id": 1, "area": 10.0},
                {"image_id": 0, "category_id": 2, "area": 6.0},
                {"image_id": 0, "category_id": 2, "area": 6.0},
                {"image_id": 1, "category_id": 2, "bbox": [0, 0, 2, 2]},
                {"image_id": 1, "category_id": 1, "bbox": [0, 0, 4, 1]},
            ],
        }
        path = write(tmp_path / "instances_all.json", json.dumps(told))
        assert read_coco(path) == {"0.jpg": "bird", "1.jpg": "sky", "2.jpg": None}
        for number in range(3):
            write(tmp_path / f"{number}.jpg", image_file(0, 3, number))
        notes = opened(tmp_path).listing().notes
        assert "the label of an image is the category that covers most of it" in notes[0]
        assert notes[1] == "1 of 3 images have no label"

    @pytest.mark.parametrize("chunk", [1, 7, 64])
    def test_it_is_read_a_part_at_a_time(self, tmp_path: Path, chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
        make_coco(tmp_path)
        path = tmp_path / "annotations/instances_train2017.json"
        monkeypatch.setattr(annotations, "CHUNK", chunk)
        told = json.loads(path.read_text())
        found = list(read_arrays(path, ("images", "annotations", "categories")))
        assert found == [(key, row) for key in ("annotations", "images", "categories") for row in told[key]]

    @pytest.mark.parametrize(
        ("change", "told"),
        [
            (lambda text: text[:-30], "must be whole JSON, an object with lists: it is cut or damaged"),
            (lambda text: text.replace('"image_id": 10', '"image": 10', 1), "must have COCO's annotations"),
            (lambda text: text.replace('"category_id": 8', '"category_id": 999'), "it does not name 999"),
            (lambda text: text.replace('"images"', '"pictures"'), "one is empty or absent"),
            (lambda text: text.replace('{"id": 0', '["id", 0', 1), "must be whole JSON"),
            (lambda _: "[]", "must be whole JSON, an object with lists: it is cut or damaged"),
            (lambda _: '{"images": [1, 2]}', "must have objects in its list images"),
            (lambda _: '{"images": ' + "[" * 100_000, "must be whole JSON"),
        ],
    )
    def test_what_is_wrong_is_a_sentence(self, tmp_path: Path, change: Callable[[str], str], told: str) -> None:
        make_coco(tmp_path)
        path = tmp_path / "annotations/instances_val2017.json"
        write(path, change(path.read_text()))
        source = opened(tmp_path)
        listing = source.listing()
        assert len(listing.images) == 12
        assert any(told in note for note in listing.notes)
        with pytest.raises(SourceError, match=r"instances_val2017\.json must"):
            values(source, "label")

    def test_a_name_that_leads_out_names_nothing(self, tmp_path: Path) -> None:
        make_coco(tmp_path)
        path = tmp_path / "annotations/instances_val2017.json"
        write(path, path.read_text().replace("000000000010.jpg", "../../../etc/passwd"))
        assert len(values(opened(tmp_path), "label")) == 11


class TestFiftyOne:
    def test_forms_of_labels(self, tmp_path: Path) -> None:
        make_fiftyone(tmp_path)
        labels = {"0-0": "ant", "1-0.jpg": 1, "2-0": {"label": "cat", "confidence": 0.5}, "2-1": None}
        write(tmp_path / "labels.json", json.dumps({"classes": ["ant", "bee", "cat"], "labels": labels}))
        found = values(opened(tmp_path), "label")
        assert found == {"data/0-0.jpg": "ant", "data/1-0.jpg": "bee", "data/2-0.jpg": "cat"}

    @pytest.mark.parametrize(
        ("text", "told"),
        [
            ('{"classes": ["a"], "labels": {"0-0": 3}}', "must have labels from 0 to 0; got 3"),
            ('{"classes": ["a"]}', "must be FiftyOne's object of classes and labels"),
            ("[1]", "must be FiftyOne's object of classes and labels"),
            ("{", "must be FiftyOne's object of classes and labels"),
        ],
    )
    def test_what_is_wrong_is_a_sentence(self, tmp_path: Path, text: str, told: str) -> None:
        make_fiftyone(tmp_path)
        write(tmp_path / "labels.json", text)
        with pytest.raises(SourceError, match=told):
            values(opened(tmp_path), "label")

    def test_its_export_of_objects_is_coco(self, tmp_path: Path) -> None:
        make_coco(tmp_path / "coco")
        (tmp_path / "coco/train2017").rename(tmp_path / "data")
        (tmp_path / "coco/annotations/instances_train2017.json").rename(tmp_path / "labels.json")
        assert values(opened(tmp_path), "label")["data/000000000010.jpg"] == "ant"


class TestMatlab:
    @pytest.mark.parametrize("data", [b"", b"MATLAB 5.0 MAT-file" + b"\0" * 200, b"MATLAB 7.3 MAT-file"])
    def test_a_file_that_is_none_is_told(self, tmp_path: Path, data: bytes) -> None:
        make_flowers(tmp_path)
        write(tmp_path / "imagelabels.mat", data)
        source = opened(tmp_path)
        assert any("imagelabels.mat must" in note for note in source.listing().notes)
        with pytest.raises(SourceError, match=r"imagelabels\.mat must (be a whole MATLAB file|hold labels)"):
            values(source, "label")

    def test_classes_out_of_range_are_refused(self, tmp_path: Path) -> None:
        make_flowers(tmp_path, numbers=(1, 200))
        with pytest.raises(SourceError, match="must have labels from 1 to 102; got 200"):
            values(opened(tmp_path), "label")
