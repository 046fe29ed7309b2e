"""`tac search` and `tac assign` on a store of pictures and on a store of vectors."""

import json
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from command_line import tac, told
from PIL import Image
from ready_store import ready
from small_store import PICTURE_SETTINGS, grouped_vectors

from tac_pipeline.demo.pictures import draw_picture

Writer = Callable[..., Path]
HOSTILE = "$(id) [red]x[bold] <b> \x1b[31m.jpg"


def listed(result_text: str) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(result_text)["images"]
    return found


def state_of(settings: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in (settings.parent / "data").rglob("*") if path.is_file()}


def test_a_text_finds_what_it_names_with_scores_and_clusters(pictures: Path) -> None:
    images = listed(tac("search", "a boat with a sail", "--count", "3", "--json", "-s", pictures).stdout)
    assert len(images) == 3
    assert {str(image["image_id"]).split("/")[0] for image in images} == {"sailboat"}
    scores = [image["score"] for image in images]
    assert scores == sorted(scores, reverse=True)
    placed = pl.read_parquet(pictures.parent / "data/pictures/published/latest/assignments.parquet")
    for image in images:
        [row] = placed.filter(pl.col("image_id") == image["image_id"]).to_dicts()
        assert (image["cluster_id"], image["cluster_name"]) == (row["cluster_id"], row["cluster_name"])
        assert Path(str(image["uri"])).is_file()
    shown = tac("search", "a boat with a sail", "--count", "3", "-s", pictures).stdout
    assert shown.startswith("nearest to the text “a boat with a sail” as open_clip:tac-small")
    assert [str(image["image_id"]) in shown for image in images] == [True] * 3


def test_a_picture_finds_itself_first(pictures: Path) -> None:
    picture = next((pictures.parent / "pictures/cat").iterdir())
    by_file, by_id = (
        listed(tac("search", "--image", name, "--count", "2", "--json", "-s", pictures).stdout)
        for name in (picture, f"cat/{picture.name}")
    )
    assert by_file[0]["image_id"] == by_id[0]["image_id"] == f"cat/{picture.name}"
    assert by_file[0]["score"] == pytest.approx(1, abs=1e-3)
    assert len(listed(tac("search", "cat", "--count", "5000", "--json", "-s", pictures).stdout)) == 120


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["search"], 2, "takes a text, or a picture"),
        (["search", "x", "--image", "y"], 2, "takes a text, or a picture"),
        (["search", "  "], 1, "a search needs words"),
        (["search", "x", "--count", "0"], 2, "--count"),
        (["search", "--image", "absent.png"], 1, "absent.png must be a picture, or an image_id of the store"),
        (["assign"], 2, "Missing argument"),
        (["assign", "absent.png"], 1, "none of these images could be read"),
    ],
)
def test_mistakes_are_told(pictures: Path, arguments: list[str], code: int, message: str) -> None:
    result = tac(*arguments, "-s", pictures)
    assert result.exit_code == code
    assert message in told(result)


def test_new_images_fall_where_the_store_has_them_and_nothing_is_touched(pictures: Path, tmp_path: Path) -> None:
    folder = pictures.parent / "pictures"
    shutil.copytree(folder / "cat", tmp_path / "new")
    with tarfile.open(tmp_path / "shard.tar", "w") as archive:
        archive.add(tmp_path / "new", arcname="in")
    single = next(iter((folder / "house").iterdir()))
    before = state_of(pictures)
    result = tac("assign", tmp_path / "new", tmp_path / "shard.tar", single, "--json", "-s", pictures)
    assert result.exit_code == 0, result.output
    images = listed(result.stdout)
    cats = sorted(path.name for path in (tmp_path / "new").iterdir())
    assert [image["image"] for image in images] == [
        *(f"{tmp_path}/new/{name}" for name in cats),
        *(f"{tmp_path}/shard.tar/in/{name}" for name in cats),
        str(single),
    ]
    placed = pl.read_parquet(pictures.parent / "data/pictures/published/latest/assignments.parquet")
    known = {row["image_id"]: row for row in placed.to_dicts()}
    for image, image_id in zip(images, [*(f"cat/{n}" for n in cats * 2), f"house/{single.name}"], strict=True):
        assert image["cluster_id"] == known[image_id]["cluster_id"]
        assert image["cluster_name"] == known[image_id]["cluster_name"]
        assert image["confidence"] == pytest.approx(known[image_id]["confidence"], abs=0.02)
        assert image["similarity"] == pytest.approx(known[image_id]["similarity"], abs=0.02)
        # The picture itself is among the learned ones.
        assert image["nearest"] == image_id
        assert image["nearest_similarity"] == pytest.approx(1, abs=1e-3)
    assert state_of(pictures) == before


def test_a_store_grouped_by_words_sees_new_images_by_them(pictures: Path, tmp_path: Path) -> None:
    shutil.copytree(pictures.parent, tmp_path / "grouped", symlinks=True)
    path = tmp_path / "grouped/tac.yaml"
    asked = PICTURE_SETTINGS.replace("count: 4}", "count: 2}") + "group_by: [dark background, light background]\n"
    path.write_text(asked, encoding="utf-8")
    for command in ("run", "publish"):  # nearly every image moves, so a person must say that it is meant
        done = tac(command, "-s", path)
        assert done.exit_code == 0, done.output
    every = sorted((tmp_path / "grouped/pictures").glob("*/*.jpg"))
    dark = [place for place in every if draw_picture(place.parent.name, int(place.stem)).dark_ground]
    chosen = [*dark[:5], *[place for place in every if place not in dark][:5]]
    images = listed(tac("assign", *chosen, "--json", "-s", path).stdout)
    placed = pl.read_parquet(tmp_path / "grouped/data/pictures/published/latest/assignments.parquet")
    known = {row["image_id"]: row for row in placed.to_dicts()}
    found = [known[f"{place.parent.name}/{place.name}"] for place in chosen]
    assert [image["cluster_id"] for image in images] == [row["cluster_id"] for row in found]
    names = [row["cluster_name"] for row in found]
    assert names.count("dark background") == names.count("light background") == 5
    assert names[:5].count("dark background") >= 4


def test_words_that_the_encoder_would_cut_are_refused(pictures: Path, tmp_path: Path) -> None:
    shutil.copytree(pictures.parent, tmp_path / "cut", symlinks=True)
    path = tmp_path / "cut/tac.yaml"
    path.write_text(f"{PICTURE_SETTINGS}group_by: [a cat, {'very ' * 80}old house]\n", encoding="utf-8")
    refused = tac("run", "--select", "criterion", "-s", path)
    assert refused.exit_code == 1
    assert "group_by: the encoder cannot read 1 of 2 entries to their end: very very very" in told(refused)


def test_unreadable_files_are_told_one_by_one(pictures: Path, tmp_path: Path) -> None:
    cat = next((pictures.parent / "pictures/cat").iterdir())
    shutil.copy(cat, tmp_path / HOSTILE)
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    Image.new("RGB", (1, 1)).save(tmp_path / "犬.png")
    Image.new("RGB", (400, 400)).save(tmp_path / "large.png")
    (tmp_path / "empty").mkdir()
    result = tac("assign", tmp_path, tmp_path / "absent.png", tmp_path / "empty", "-s", pictures)
    assert result.exit_code == 0
    assert "\x1b" not in result.output
    assert r"$(id) [red]x[bold] <b> \x1b[31m.jpg" in result.stdout
    assert "犬.png" in result.stdout
    errors = result.stderr.splitlines()
    assert len(errors) == 4
    assert errors[0].startswith(f"error: {tmp_path}/broken.jpg: is text, not an image")
    assert "large.png: 400 x 400 pixels, over max_pixels (100,000)" in errors[1]
    assert "absent.png: cannot be read: No such file or directory" in errors[2]
    assert "empty: cannot be read: images.source holds no images" in errors[3]
    alone = tac("assign", tmp_path / "broken.jpg", "-s", pictures)
    assert alone.exit_code == 1
    assert "none of these images could be read" in told(alone)


def test_settings_that_changed_since_are_told(pictures: Path, tmp_path: Path) -> None:
    shutil.copytree(pictures.parent, tmp_path / "changed", symlinks=True)
    path = tmp_path / "changed/tac.yaml"
    path.write_text(PICTURE_SETTINGS.replace("epochs: 20", "epochs: 21"), encoding="utf-8")
    refused = tac("assign", next(iter((tmp_path / "changed/pictures/cat").iterdir())), "-s", path)
    assert refused.exit_code == 1
    assert "tac assign reads cluster_heads, which was made for other settings" in told(refused)
    # Embedded images can be searched anyway.
    found = tac("search", "cat", "--count", "2", "--json", "-s", path)
    assert [image["cluster_id"] for image in listed(found.stdout)] == [None, None]
    assert "the images are shown without clusters: " in told(found)


def test_a_store_of_vectors_is_searched_by_its_nouns(vector_store: Writer) -> None:
    path = vector_store()
    before = tac("search", "red thing 1", "-s", path)
    assert before.exit_code == 1
    assert "tac search reads image_embeddings, which has not been materialized" in told(before)
    ready(path)
    result = tac("search", "a shiny Red thing 1", "--count", "20", "--json", "-s", path)
    assert "the noun “red thing 1” alone (the store's vectors were given" in json.loads(result.stdout)["searched_by"]
    vectors, truth = grouped_vectors()
    assert {truth[int(str(image["image_id"])[-3:])] for image in listed(result.stdout)} == {0}
    unknown = tac("search", "read thing 1", "-s", path)
    assert unknown.exit_code == 1
    assert "names none of the 15 candidate nouns; near are red thing 1" in told(unknown)
    assert "only nouns can be searched for" in told(unknown)
    picture = tac("search", "--image", path, "-s", path)
    assert picture.exit_code == 1
    assert "this store's vectors were given" in told(picture)
    like = listed(tac("search", "--image", "image-021", "--count", "20", "--json", "-s", path).stdout)
    best = np.argsort(-(vectors @ vectors[21]))[:5]
    assert [image["image_id"] for image in like[:5]] == [f"image-{row:03d}" for row in best]
    assigned = tac("assign", path, "-s", path)
    assert assigned.exit_code == 1
    assert "this store's vectors were given" in told(assigned)
