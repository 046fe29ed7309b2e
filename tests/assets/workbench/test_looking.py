"""What is told of the wall, of images and of brought pictures, and what people take along."""

import base64
import csv
import io
import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from bench import RULES, Bench
from command_line import tac
from PIL import Image
from ready_store import ready

from assets.serving.benches import Benches
from assets.workbench import looking, pictures
from assets.workbench.bounds import LARGER_BODIES, PICTURE_PATH
from assets.workbench.taking import KEPT


@pytest.fixture
def bench(opened: Callable[[Path], Bench], vector_store: Callable[..., Path]) -> Bench:
    """Sixty vectors in three groups, some of them near-duplicates; the first ones name pictures."""
    settings = ready(vector_store())
    path = settings.parent / "images.parquet"
    table = pq.read_table(path)
    uris = ["a.png", "gone.png", "https://elsewhere.example/b.png", "/etc/passwd", *[None] * (len(table) - 4)]
    pq.write_table(table.append_column("uri", pa.array(uris, pa.string())), path)
    Image.new("RGB", (8, 8), "red").save(settings.parent / "a.png")
    result = tac("run", "-s", settings, "--select", "image_manifest")
    assert result.exit_code == 0, result.output
    return opened(settings)


def group_of(bench: Bench, image_id: str) -> int:
    found: int = bench.desk.image(image_id)["cluster_id"]
    return found


def with_twins(bench: Bench) -> tuple[int, int]:
    """A group that holds duplicates, and how many of its images are too many."""
    facts = bench.told("/api/wall")["groups"]
    return next((int(id_), twins) for id_, (_, twins, _) in facts.items() if twins)


def download(bench: Bench, **wanted: Any) -> Any:
    answer = bench.ask("/api/takings", body=wanted)
    assert answer.status_code == 200, answer.text
    found = bench.ask(answer.json()["address"])
    assert found.status_code == 200
    return found


# --- the wall ---------------------------------------------------------------------------------------------------------


def test_the_facts_of_the_wall_are_those_of_its_images(bench: Bench) -> None:
    told = bench.told("/api/wall")
    images = bench.desk.view().images
    assert set(told["groups"]) == {str(group["id"]) for group in bench.store["groups"]}
    for id_, (doubtful, twins, confidence) in told["groups"].items():
        own = images.filter(pl.col("cluster_id") == int(id_))
        assert doubtful == own["doubtful"].sum()
        assert confidence == pytest.approx(own["confidence"].mean(), abs=1e-3)
        groups = [group for group in own["duplicate_group"] if group is not None]
        assert twins == len(groups) - len(set(groups))
    assert sum(twins for _, twins, _ in told["groups"].values()) >= 1
    assert told["labels"] == [["group 0", 20], ["group 1", 20], ["group 2", 20]]
    labeled = bench.told("/api/wall", label="group 1")["labeled"]
    assert labeled == {str(group_of(bench, "image-025")): 20}
    assert bench.told("/api/wall", label="nobody")["labeled"] == {}


def test_what_is_new_or_moved_since_a_version(bench: Bench) -> None:
    assert [version["number"] for version in bench.told("/api/wall")["versions"]] == [1]
    assert bench.told("/api/wall", since=1)["changed"] == {}
    first, second, _ = [group["id"] for group in bench.store["groups"]]
    moved = [image["id"] for image in bench.told(f"/api/group/{first}", count=4)["images"]]
    bench.act("move", images=moved, to=second)
    assert bench.told("/api/wall", since=1)["changed"] == {str(second): 4}
    for since in ("7", "one"):
        assert bench.ask("/api/wall", since=since).status_code == 422


def test_the_tree_has_every_group_as_a_leaf(bench: Bench) -> None:
    nodes = bench.told("/api/tree")["nodes"]
    leaves = [node["cluster"] for node in nodes if node["cluster"] is not None]
    assert sorted(leaves) == sorted(group["id"] for group in bench.store["groups"])
    assert [node["parent"] for node in nodes].count(None) == 1


def test_of_duplicates_one_is_left(bench: Bench) -> None:
    group, twins = with_twins(bench)
    alone = bench.told(f"/api/group/{group}", distinct=1)
    assert alone["size"] == len(alone["images"]) == 20 - twins
    ids = bench.told(f"/api/group/{group}/ids", distinct=1)["ids"]
    assert sorted(ids) == sorted(image["id"] for image in alone["images"])
    assert len(bench.told(f"/api/group/{group}/ids")["ids"]) == 20
    own = bench.desk.view().images.filter(pl.col("cluster_id") == group)
    for _, rows in own.drop_nulls("duplicate_group").group_by("duplicate_group"):
        [kept] = set(rows["image_id"]) & set(ids)
        assert rows.filter(pl.col("image_id") == kept)["duplicate_of"].to_list() == [None]


# --- one image --------------------------------------------------------------------------------------------------------


def test_what_is_near_an_image_is_of_its_kind_and_not_itself(bench: Bench) -> None:
    found = bench.told("/api/near", id="image-030", count=19)["images"]
    assert len(found) == 19
    assert {image["group"] for image in found} == {group_of(bench, "image-030")}
    assert "image-030" not in {image["id"] for image in found}
    scores = [image["score"] for image in found]
    assert scores == sorted(scores, reverse=True)
    # A path is no id, also where a file is there.
    for name in (str(bench.settings), "/etc/passwd", ""):
        assert bench.ask("/api/near", id=name).status_code == 422


def test_vectors_that_name_pictures_of_this_machine_show_them(bench: Bench) -> None:
    assert bench.store["hasPictures"]
    small = bench.ask("/api/picture", id="image-000")
    assert small.headers["content-type"] == "image/webp"
    assert Image.open(io.BytesIO(small.content)).getpixel((4, 4)) == pytest.approx((254, 0, 0), abs=4)
    assert bench.ask("/api/original", id="image-000").content == (bench.settings.parent / "a.png").read_bytes()
    for number, reason in ((1, "names no picture"), (2, "not on this machine"), (3, "not an image")):
        assert bench.ask("/api/picture", id=f"image-{number:03d}").status_code == 404
        assert reason in bench.told("/api/image", id=f"image-{number:03d}", why=1)["problem"]
    # No picture: nothing of the file goes out.
    assert b"root" not in bench.ask("/api/original", id="image-003").content
    assert bench.told("/api/image", id="image-000", why=1)["problem"] is None
    assert bench.told("/api/image", id="image-000")["label"] == "group 0"


def test_the_nouns_of_an_image_stand_for_its_picture(bench: Bench) -> None:
    words = bench.ask("/api/words", body={"images": ["image-000", "image-030", "nobody"]}).json()["words"]
    assert set(words) == {"image-000", "image-030"}
    assert all("red thing" in word for word in words["image-000"])
    assert all("green thing" in word for word in words["image-030"])
    for images in ("image-000", [1], ["image-000"] * 1000):
        assert bench.ask("/api/words", body={"images": images}).status_code == 422


def test_why_an_image_has_no_picture(drawn: Bench) -> None:
    first, second, third = drawn.desk.view().images["image_id"].to_list()[:3]
    folder = drawn.settings.parent / "pictures"
    (folder / first).unlink()
    shutil.copyfile(folder / third, folder / second)
    told = [drawn.told("/api/image", id=image, why=1) for image in (first, second, third)]
    assert told[0]["uri"] == str(folder / first)
    assert "No such file" in told[0]["problem"]
    assert "has changed" in told[1]["problem"]
    assert told[2]["problem"] is None


def test_a_folder_is_shown_by_a_fixed_program_and_only_for_images_of_the_store(
    drawn: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = drawn.desk.view().images["image_id"][0]
    file = drawn.settings.parent / "pictures" / image
    started: list[list[str]] = []
    monkeypatch.setattr(pictures.subprocess, "Popen", lambda command, **_: started.append(command))
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "SSH_CONNECTION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pictures.sys, "platform", "linux")
    monkeypatch.setattr(pictures.shutil, "which", lambda name: f"/usr/bin/{name}")
    assert not drawn.told("/api/image", id=image)["canShow"]
    assert drawn.ask("/api/show", body={"id": image}).status_code == 422
    monkeypatch.setenv("DISPLAY", ":0")
    assert drawn.told("/api/image", id=image)["canShow"]
    assert drawn.ask("/api/show", body={"id": image}).status_code == 200
    assert drawn.ask("/api/show", body={"id": str(file)}).status_code == 422
    assert drawn.ask("/api/show", body={"id": image}, headers={"sec-fetch-site": "cross-site"}).status_code == 403
    monkeypatch.setenv("SSH_CONNECTION", "1.2.3.4 5 6.7.8.9 22")
    assert drawn.ask("/api/show", body={"id": image}).status_code == 422
    monkeypatch.delenv("SSH_CONNECTION")
    monkeypatch.setattr(pictures.sys, "platform", "darwin")
    assert drawn.ask("/api/show", body={"id": image}).status_code == 200
    assert started == [["/usr/bin/xdg-open", str(file.parent)], ["/usr/bin/open", "-R", str(file)]]


# --- a brought picture ------------------------------------------------------------------------------------------------


def sent(name: str, data: bytes) -> dict[str, str]:
    return {"name": name, "data": base64.b64encode(data).decode()}


def test_a_brought_picture_finds_itself_first(drawn: Bench) -> None:
    image = drawn.desk.view().images["image_id"][5]
    data = (drawn.settings.parent / "pictures" / image).read_bytes()
    found = drawn.ask(PICTURE_PATH, body=sent("mine.png", data)).json()
    assert (found["images"][0]["id"], found["images"][0]["score"]) == (image, pytest.approx(1, abs=0.01))
    assert found["searchedBy"] == "the picture mine.png"
    assert drawn.store["seen"] == 0


def test_a_picture_that_cannot_be_taken_is_told(drawn: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    wide = io.BytesIO()
    Image.new("L", (400, 400)).save(wide, "PNG")
    for body, sentence in (
        (sent("wide.png", wide.getvalue()), "over max_pixels (100,000)"),
        (sent("<b>.txt", b"hello"), "<b>.txt must be a picture"),
        (sent("empty.png", b""), "empty file"),
        ({"name": "a.png", "data": "%%%"}, "base64"),
        ({"name": "a.png", "data": "é"}, "base64"),
        ({"name": 3, "data": ""}, "name must be a text"),
    ):
        answer = drawn.ask(PICTURE_PATH, body=body)
        assert (answer.status_code, sentence in answer.json()["error"]) == (422, True), answer.text
    monkeypatch.setattr(looking, "MOST_PICTURE_BYTES", 100)
    answer = drawn.ask(PICTURE_PATH, body=sent("wide.png", wide.getvalue()))
    assert "may have 100 bytes at most; wide.png has" in answer.json()["error"]
    assert drawn.store["mostPictureBytes"] == 100


def test_vectors_of_no_stated_encoder_take_no_picture(bench: Bench) -> None:
    answer = bench.ask(PICTURE_PATH, body=sent("a.png", (bench.settings.parent / "a.png").read_bytes()))
    assert answer.status_code == 422
    assert "do not say which encoder made them" in answer.json()["error"]


def test_only_a_picture_may_be_large_and_no_foreign_page_sends_one(bench: Bench) -> None:
    large = b'{"name": "a", "data": 7' + b" " * 6_000_000 + b"}"
    assert bench.ask(PICTURE_PATH, body=large).status_code == 422
    assert bench.ask("/api/takings", body=large).status_code == 413
    assert bench.ask(PICTURE_PATH, body=b" " * (LARGER_BODIES[PICTURE_PATH] + 1)).status_code == 413
    for path in (PICTURE_PATH, "/api/takings", "/api/words", "/api/show"):
        for code, headers in (
            (401, {"authorization": "Bearer wrong"}),
            (403, {"origin": "https://evil.example"}),
            (403, {"host": "evil.example:4000"}),
            (403, {"sec-fetch-site": "cross-site"}),
            # What a form or a script of another page may send unasked.
            (415, {"content-type": "text/plain"}),
            (415, {"content-type": "multipart/form-data; boundary=x"}),
            (415, {"content-type": "application/x-www-form-urlencoded"}),
        ):
            assert bench.ask(path, body={}, headers=headers).status_code == code, (path, headers)
        assert bench.ask(path).status_code == 405


def test_beside_the_ui_a_picture_may_be_large_and_no_folder_is_shown(bench: Bench) -> None:
    benches = Benches({str(bench.settings): "small"}, RULES, read_only=True)
    bench.app = benches.beside(bench.app)
    large = b'{"name": "a", "data": 7' + b" " * 6_000_000 + b"}"
    assert bench.ask(f"/workbench/small{PICTURE_PATH}", body=large).status_code == 422
    assert bench.ask("/workbench/small/api/takings", body=large).status_code == 413
    answer = bench.ask("/workbench/small/api/show", body={"id": "image-000"})
    assert (answer.status_code, "`tac open` alone" in answer.json()["error"]) == (422, True)
    assert not bench.told("/workbench/small/api/image", id="image-000")["canShow"]


# --- taking along -----------------------------------------------------------------------------------------------------


def test_chosen_images_are_taken_as_a_list_or_a_table(bench: Bench) -> None:
    group = next(one for one in bench.store["groups"] if one["id"] == group_of(bench, "image-000"))
    picked = ["image-000", "image-030", "image-000"]
    assert download(bench, form="list", images=picked).text == f"{bench.settings.parent / 'a.png'}\nimage-030\n"
    table = download(bench, form="csv", images=picked)
    assert table.headers["content-disposition"] == "attachment; filename*=UTF-8''small-chosen.csv"
    rows = list(csv.DictReader(io.StringIO(table.text)))
    assert [row["image_id"] for row in rows] == ["image-000", "image-030"]
    assert (int(rows[0]["cluster_id"]), rows[0]["cluster_name"]) == (group["id"], group["name"])
    whole = list(csv.DictReader(io.StringIO(download(bench, form="csv", group=group["id"]).text)))
    assert len(whole) == 20
    fuller, twins = with_twins(bench)
    assert len(download(bench, form="list", group=fuller, distinct=True).text.splitlines()) == 20 - twins


def test_what_cannot_be_taken_is_told_and_downloads_end(bench: Bench) -> None:
    for wanted in (
        {"form": "exe", "images": ["image-000"]},
        {"form": "csv"},
        {"form": "csv", "images": []},
        {"form": "csv", "images": ["../../etc/passwd"]},
        {"form": "csv", "images": [7]},
        {"form": "csv", "group": 77},
    ):
        assert bench.ask("/api/takings", body=wanted).status_code == 422, wanted
    addresses = [
        bench.ask("/api/takings", body={"form": "csv", "images": ["image-000"]}).json()["address"]
        for _ in range(KEPT + 1)
    ]
    assert len(set(addresses)) == KEPT + 1
    assert bench.ask(addresses[0]).status_code == 404
    assert bench.ask(addresses[-1]).status_code == 200
    assert bench.ask(addresses[-1], headers={"authorization": "no"}).status_code == 401
    assert bench.ask("/api/taken/guessed").status_code == 404


def test_images_are_taken_as_a_zip_that_says_what_it_lacks(drawn: Bench) -> None:
    group = drawn.store["groups"][0]
    ids = drawn.told(f"/api/group/{group['id']}/ids")["ids"]
    folder = drawn.settings.parent / "pictures"
    (folder / ids[1]).unlink()
    with zipfile.ZipFile(io.BytesIO(download(drawn, form="zip", group=group["id"]).content)) as archive:
        assert archive.testzip() is None
        rows = list(csv.DictReader(io.StringIO(archive.read("images.csv").decode())))
        assert {row["image_id"] for row in rows} == set(ids) - {ids[1]}
        for row in rows:
            assert archive.read(row["file"]) == (folder / row["image_id"]).read_bytes()
        [left] = csv.DictReader(io.StringIO(archive.read("left_out.csv").decode()))
        assert (left["image_id"], "cannot be read" in left["reason"]) == (ids[1], True)
        record = json.loads(archive.read("export.json"))
        assert (record["images"], record["left_out"]) == (len(ids) - 1, 1)
