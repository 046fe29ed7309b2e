"""Exports: every format read back equals the result, and nothing is lost that was there."""

import csv
import io
import json
import os
import tarfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image
from reference import random_unit_rows

from tac_pipeline.errors import InputError, StoreError
from tac_pipeline.export.destination import Forbidden, export_to
from tac_pipeline.export.embedding_atlas import GONE, UNPLACED
from tac_pipeline.export.formats import Format, Link
from tac_pipeline.export.result import ExportResult, StoredVectors
from tac_pipeline.sources import FolderSource
from tac_pipeline.store.parquet import place_table
from tac_pipeline.store.schemas import EMBEDDING_SHARD
from tac_pipeline.store.shards import read_shard

ENCODER, FOLDERS, FILES = (
    "the encoder",
    (Format.IMAGEFOLDER, Format.FIFTYONE),
    (Format.CSV, Format.PARQUET, Format.EMBEDDING_ATLAS),
)
NAMES = {0: "sea horse", 1: "../<b>$(id)</b>", 2: None, 3: "犬"}
HOSTILE = "a $(id) <img src=x>;\n'\".png"


def png(shade: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (1, 1), shade).save(buffer, format="PNG")
    return buffer.getvalue()


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two folders with files of the same name, a hostile name, and a tar."""
    folder = tmp_path / "photos"
    for number, name in enumerate(["x/1.png", "y/1.png", "y/2.PNG", HOSTILE, "con.png"]):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(png(number))
    with tarfile.open(folder / "shard.tar", "w") as archive:
        for number, name in enumerate(["1.png", "deep/1.png"], start=10):
            member = tarfile.TarInfo(name)
            data = png(number)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return folder


@pytest.fixture
def result(photos: Path, tmp_path: Path) -> ExportResult:
    """Every image in one of four clusters, but one that cannot be read."""
    source = FolderSource(photos)
    listing = source.list_images()
    count = len(listing)
    ids = pl.Series([None if row == 3 else row % 2 if row < 5 else row - 3 for row in range(count)], dtype=pl.Int32)
    images = listing.select("image_id", "uri").with_columns(
        cluster_id=ids,
        cluster_name=ids.replace_strict(NAMES, return_dtype=pl.String, default=None),
        confidence=pl.Series(np.linspace(0.5, 1, count), dtype=pl.Float32),
        runner_up=pl.lit(0, pl.Int32),
        runner_up_name=pl.lit("sea horse"),
        similarity=pl.lit(0.5, pl.Float32),
    )
    vectors = random_unit_rows(count, 4, 3)
    place_table(
        tmp_path / "shards/e/0.parquet",
        EMBEDDING_SHARD,
        {
            "image_id": images["image_id"].to_list(),
            "version": ["1"] * count,
            "content_hash": ["1"] * count,
            "width": [1] * count,
            "height": [1] * count,
            "error": [None] * count,
            "note": [None] * count,
            "embedding": vectors,
        },
        encoder=ENCODER,
    )
    view = images.select(
        "image_id",
        error=pl.lit(None, pl.String),
        shard=pl.lit("e/0.parquet"),
        row=pl.int_range(pl.len(), dtype=pl.Int32),
    )
    places = images.select("image_id", x=pl.int_range(pl.len()) / 10, y=pl.int_range(pl.len()) / -5)
    stored = StoredVectors(view, tmp_path / "shards", ENCODER)
    return ExportResult({"store": "small", "published_version": 3}, images, source, places, stored)


def test_csv_and_parquet_give_back_every_row(result: ExportResult, tmp_path: Path) -> None:
    assert export_to(tmp_path / "out.parquet", result, Format.PARQUET).images == 7
    assert pl.read_parquet(tmp_path / "out.parquet").equals(result.images)
    export_to(tmp_path / "out.csv", result, Format.CSV)
    assert pl.read_csv(tmp_path / "out.csv", schema=result.images.schema).equals(result.images)
    with (tmp_path / "out.csv").open(newline="", encoding="utf-8") as file:
        assert [row["image_id"] for row in csv.DictReader(file)] == result.images["image_id"].to_list()


@pytest.mark.parametrize("link", [None, Link.SYMBOLIC, Link.HARD])
@pytest.mark.parametrize("form", FOLDERS)
def test_folders_hold_every_placed_image_once(
    result: ExportResult, tmp_path: Path, form: Format, link: Link | None
) -> None:
    target = tmp_path / "out"
    done = export_to(target, result, form, link=link)
    assert (done.images, done.failed) == (6, [])
    listed = pl.read_csv(target / "images.csv")
    assert set(listed["image_id"]) == set(result.placed["image_id"])
    uris = dict(result.images.select("image_id", "uri").iter_rows())
    for file, image_id in listed.select("file", "image_id").iter_rows():
        path = target / file
        assert path.read_bytes() == result.source.read(uris[image_id])  # type: ignore[union-attr]
        assert path.is_symlink() == (link is Link.SYMBOLIC and "#" not in uris[image_id])
        assert (path.stat().st_nlink > 1) == (link is Link.HARD and "#" not in uris[image_id])
        assert target.resolve() in path.parent.resolve().parents
    files = {path.relative_to(target).as_posix() for path in target.rglob("*") if not path.is_dir()}
    assert files == {*listed["file"], "images.csv", "export.json", *(["labels.json"] if form is FOLDERS[1] else [])}
    assert json.loads((target / "export.json").read_text())["published_version"] == 3


def test_folders_are_called_by_name_and_id(result: ExportResult, tmp_path: Path) -> None:
    export_to(tmp_path / "out", result, Format.IMAGEFOLDER)
    found = {path.name for path in (tmp_path / "out").iterdir() if path.is_dir()}
    assert found == {"sea_horse-0", "b_(id)_b-1", "unnamed-2", "犬-3"}


def test_fiftyone_finds_every_image_and_its_class(result: ExportResult, tmp_path: Path) -> None:
    export_to(tmp_path / "out", result, Format.FIFTYONE)
    found = json.loads((tmp_path / "out/labels.json").read_text(encoding="utf-8"))
    assert found["classes"] == ["sea horse (0)", "../<b>$(id)</b> (1)", "unnamed (2)", "犬 (3)"]
    # As its importer pairs them: the path below data/ without the text after the last dot.
    keys = {path.name.rpartition(".")[0] for path in (tmp_path / "out/data").iterdir()}
    assert keys == set(found["labels"])
    clusters = sorted(result.placed["cluster_id"].to_list())
    assert sorted(found["labels"].values()) == clusters


@pytest.mark.parametrize("vectors", [False, True])
def test_embedding_atlas_gets_points_and_vectors(result: ExportResult, tmp_path: Path, vectors: bool) -> None:
    export_to(tmp_path / "out.parquet", result, Format.EMBEDDING_ATLAS, vectors=vectors)
    found = pl.read_parquet(tmp_path / "out.parquet")
    assert set(found["image_id"]) == set(result.placed["image_id"])
    assert found["cluster"].to_list()[0] == "sea horse (0)"
    assert result.vectors is not None and result.places is not None
    placed = found.select("image_id", x="projection_x", y="projection_y").sort("image_id")
    assert placed.equals(result.places.join(result.placed, on="image_id", how="semi").sort("image_id"))
    assert ("embedding" in found.columns) == vectors
    if vectors:
        _, rows = read_shard(result.vectors.shards / "e/0.parquet", encoder=ENCODER)
        kept = rows[result.images["cluster_id"].is_not_null().to_numpy()]
        np.testing.assert_allclose(found["embedding"].to_numpy(), kept, atol=1e-6)


def test_what_the_map_does_not_show_is_told_and_left_out(result: ExportResult, tmp_path: Path) -> None:
    ids = result.placed["image_id"].to_list()
    assert result.vectors is not None and result.places is not None
    held = replace(result.vectors, view=result.vectors.view.filter(pl.col("image_id") != ids[0]))
    short = replace(result, places=result.places.filter(pl.col("image_id") != ids[1]), vectors=held)
    done = export_to(tmp_path / "out.parquet", short, Format.EMBEDDING_ATLAS, vectors=True)
    assert done.failed == [(ids[1], UNPLACED), (ids[0], GONE)]
    assert sorted(pl.read_parquet(tmp_path / "out.parquet")["image_id"]) == ids[2:]
    done = export_to(tmp_path / "plain.parquet", short, Format.EMBEDDING_ATLAS)
    assert (done.images, done.failed) == (len(ids) - 1, [(ids[1], UNPLACED)])
    empty = replace(result, places=result.places.clear())
    with pytest.raises(InputError, match="of none of this result's images the map shows a place"):
        export_to(tmp_path / "none.parquet", empty, Format.EMBEDDING_ATLAS)


def test_images_that_are_gone_are_told_and_left_out(result: ExportResult, photos: Path, tmp_path: Path) -> None:
    (photos / "x/1.png").unlink()
    done = export_to(tmp_path / "out", result, Format.IMAGEFOLDER)
    assert done.images == 5
    assert done.failed == [("x/1.png", "cannot be read: No such file or directory")]
    assert "x/1.png" not in pl.read_csv(tmp_path / "out/images.csv")["image_id"]
    unlisted = ExportResult(
        result.facts, result.images.with_columns(uri=pl.lit(None, pl.String)), result.source, result.vectors
    )
    with pytest.raises(StoreError, match="none of the 6 images could be read; the first: the source no longer"):
        export_to(tmp_path / "none", unlisted, Format.FIFTYONE)
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("form", list(Format))
def test_what_is_there_is_replaced_only_when_asked(result: ExportResult, tmp_path: Path, form: Format) -> None:
    target = tmp_path / "out"
    export_to(target, result, form)
    with pytest.raises(InputError, match=r"already holds something.*--overwrite"):
        export_to(target, result, form)
    (target / "old.txt" if form in FOLDERS else target).write_text("old")
    export_to(target, result, form, overwrite=True)
    assert not (target / "old.txt").exists()
    assert target.is_dir() or target.read_bytes() != b"old"
    assert {path.name for path in tmp_path.iterdir()} == {"out", "photos", "shards"}


def test_a_folder_that_is_no_export_is_never_replaced(result: ExportResult, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "diary.txt").write_text("dear")
    with pytest.raises(InputError, match=r"holds no export\.json"):
        export_to(home, result, Format.IMAGEFOLDER, overwrite=True)
    with pytest.raises(InputError, match="is a folder; name another place"):
        export_to(home, result, Format.CSV, overwrite=True)
    assert (home / "diary.txt").read_text() == "dear"
    with pytest.raises(InputError, match="is a file; name another place"):
        export_to(home / "diary.txt", result, Format.IMAGEFOLDER, overwrite=True)


@pytest.mark.parametrize("place", ["photos", "photos/out", ".", "link/out"])
def test_the_images_are_never_exported_over_nor_into(result: ExportResult, tmp_path: Path, place: str) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "photos")
    (tmp_path / "export.json").write_text("{}")
    (tmp_path / "photos/export.json").write_text("{}")
    forbidden = [Forbidden(tmp_path / "photos", "the images of the store")]
    with pytest.raises(InputError, match="must stay apart from the images of the store"):
        export_to(tmp_path / place, result, Format.IMAGEFOLDER, overwrite=True, forbidden=forbidden)
    assert (tmp_path / "photos/x/1.png").exists()


@pytest.mark.parametrize("form", FILES)
@pytest.mark.parametrize(
    "way", ["itself", "dotted", "link", "linked folder", "hard link", "another spelling", "linked"]
)
def test_a_file_is_never_exported_over_by_whatever_name(
    result: ExportResult, tmp_path: Path, form: Format, way: str
) -> None:
    (tmp_path / "deep").mkdir()
    kept = tmp_path / "deep/kept.yaml"
    kept.write_text("names: {}")
    named, target = kept, kept
    if way == "dotted":
        target = tmp_path / "deep/../deep/kept.yaml"
    elif way == "link":
        target = tmp_path / "out.csv"
        target.symlink_to(kept)
    elif way == "linked folder":
        (tmp_path / "other").symlink_to(tmp_path / "deep")
        target = tmp_path / "other/kept.yaml"
    elif way == "hard link":
        target = tmp_path / "out.csv"
        target.hardlink_to(kept)
    elif way == "another spelling":
        target = tmp_path / "deep/Kept.YAML"
    elif way == "linked":  # the settings name a link
        named = tmp_path / "named.yaml"
        named.symlink_to(kept)
    with pytest.raises(InputError, match=r"must stay apart from the file of corrections; .* Name another place"):
        export_to(target, result, form, overwrite=True, forbidden=[Forbidden(named, "the file of corrections")])
    assert kept.read_text() == "names: {}"


def test_an_image_that_a_table_lists_is_never_exported_over(result: ExportResult, tmp_path: Path) -> None:
    image = tmp_path / "photos/x/1.png"
    before = image.read_bytes()
    with pytest.raises(InputError, match="must not replace an image of the store"):
        export_to(image, result, Format.CSV, overwrite=True)
    with pytest.raises(InputError, match="must not replace an image of the store"):
        export_to(tmp_path / "photos/shard.tar", result, Format.CSV, overwrite=True)
    assert image.read_bytes() == before


@pytest.mark.parametrize("form", list(Format))
def test_what_fails_half_way_leaves_what_was_there(
    result: ExportResult, tmp_path: Path, form: Format, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "out"
    export_to(target, result, form)
    before = sorted(path.name for path in target.rglob("*")) if target.is_dir() else [target.read_bytes()]

    def full(*_: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr("tac_pipeline.export.destination._swap", full)
    with pytest.raises(StoreError, match=r"cannot write the export to .*No space left"):
        export_to(target, result, form, overwrite=True)
    assert before == (sorted(p.name for p in target.rglob("*")) if target.is_dir() else [target.read_bytes()])
    assert {path.name for path in tmp_path.iterdir()} == {"out", "photos", "shards"}


def test_options_of_other_formats_are_refused(result: ExportResult, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--link is for"):
        export_to(tmp_path / "out", result, Format.CSV, link=Link.HARD)
    with pytest.raises(InputError, match="--vectors is only for embedding-atlas"):
        export_to(tmp_path / "out", result, Format.PARQUET, vectors=True)
    vectors_alone = ExportResult(result.facts, result.images, None, result.vectors)
    with pytest.raises(InputError, match="this store has only vectors"):
        export_to(tmp_path / "out", vectors_alone, Format.IMAGEFOLDER)
    nothing = ExportResult(result.facts, result.images.with_columns(cluster_id=None), result.source, result.vectors)
    with pytest.raises(InputError, match="no image of this result has a cluster"):
        export_to(tmp_path / "out", nothing, Format.IMAGEFOLDER)


def test_what_a_killed_export_left_is_removed_a_day_later_and_nothing_of_others(
    result: ExportResult, tmp_path: Path
) -> None:
    old, new, other = (tmp_path / name for name in (".export-0123456789ab", ".export-0123456789ac", ".export-mine"))
    for path in (old, new, other):
        path.mkdir()
    for path in (old, other):
        os.utime(path, (time.time() - 2 * 24 * 3600,) * 2)
    export_to(tmp_path / "out.csv", result, Format.CSV)
    assert [path.exists() for path in (old, new, other)] == [False, True, True]
