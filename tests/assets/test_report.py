"""The assets behind the page, on a folder of pictures with every kind of name, and on vectors without pictures."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from assets_helpers import computed, materialize, table
from made_up import HOSTILE
from PIL import Image, ImageDraw
from ruamel.yaml import YAML
from typer.testing import CliRunner

from assets.engine.execute import open_store
from assets.graph import GROWTH, STEPS
from assets.report import PAGE_NAME
from tac_pipeline.cli import app
from tac_pipeline.settings.project import load_project

NOUNS = ["apple", "house", "circle", "square", "ball", "window"]


@pytest.fixture
def picture_store(tmp_path: Path) -> Path:
    """Circles and squares in two colors under hostile names, some twice, one of 1x1, one damaged, one too large."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    names = [name.replace("/", "_") for name in HOSTILE] + [f"plain {number}.png" for number in range(20)]
    names = [name if Path(name).suffix in (".jpg", ".png", ".webp") else f"{name}.png" for name in names]
    for number, name in enumerate(names):
        (folder / name).write_bytes(drawn(number))
    (folder / "copy of plain 3.png").write_bytes((folder / "plain 3.png").read_bytes())
    Image.new("RGB", (1, 1), "red").save(folder / "dot.png")
    Image.new("RGB", (300, 300), "red").save(folder / "too large.png")
    (folder / "damaged <i>.png").write_bytes(drawn(1)[:60])
    (tmp_path / "nouns.txt").write_text("\n".join(NOUNS), encoding="utf-8")
    settings = {
        "store": "shapes",
        "images": {"source": "pictures", "max_pixels": 80_000},
        "encoder": {"model": "tac-small", "pretrained": "drawn", "device": "cpu"},
        "nouns": {"source": "nouns.txt", "templates": ["a {}"]},
        "clusters": {"count": 2},
        "neighbors": {"count": 5},
        "heads": {"epochs": 5, "batch_size": 10},
    }
    with (tmp_path / "tac.yaml").open("w", encoding="utf-8") as file:
        YAML().dump(settings, file)
    return tmp_path / "tac.yaml"


def drawn(number: int) -> bytes:
    image = Image.new("RGB", (64, 64), (30 * number % 256, 90, 160))
    pen = ImageDraw.Draw(image)
    box = (12 + number % 9, 14, 48, 50 - number % 7)
    (pen.ellipse if number % 2 else pen.rectangle)(box, fill=(250, 240, 9 * number % 256))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def page_of(path: Path) -> str:
    artifact = open_store(load_project(path)).require_current("report").artifact
    return artifact.file(PAGE_NAME).read_text(encoding="utf-8")


def test_a_folder_of_pictures_with_every_kind_of_name(picture_store: Path) -> None:
    outcomes = materialize(picture_store)
    review, images = table(picture_store, "review"), table(picture_store, "image_embeddings")
    assert review["image_id"].to_list() == images["image_id"].to_list()
    copies = review.filter(pl.col("image_id").is_in(["plain 3.png", "copy of plain 3.png"]))["duplicate_group"]
    assert copies.n_unique() == 1
    assert copies.null_count() == 0
    broken = review.filter(pl.col("cluster_id").is_null())["image_id"].to_list()
    assert broken == ["damaged <i>.png", "too large.png"]
    assert len(table(picture_store, "image_map")) == len(review) - 2

    page = page_of(picture_store)
    assert "damaged \\u003ci\\u003e.png" in page
    assert "max_pixels" in page
    shown = outcomes["report"].artifact.facts["pictures"]
    assert shown >= 10
    assert computed(materialize(picture_store)) == set()


def test_new_images_draw_only_their_pictures_and_keep_the_map(picture_store: Path) -> None:
    materialize(picture_store)
    before = table(picture_store, "image_map")
    gone = picture_store.parent / "pictures" / "plain 5.png"
    gone.unlink()
    (picture_store.parent / "pictures" / "new.png").write_bytes(drawn(77))
    growth = [step.name for step in GROWTH]
    outcomes = materialize(picture_store, growth)
    assert outcomes["image_map"].artifact.facts["images_placed"] == 1
    after = table(picture_store, "image_map")
    assert before.join(after, on=["image_id", "x", "y"], how="anti")["image_id"].to_list() == ["plain 5.png"]


def test_a_picture_that_vanished_leaves_a_placeholder(picture_store: Path) -> None:
    names = [name for name in materialize(picture_store) if name != "report"]
    project = load_project(picture_store)
    report = open_store(project).require_current("report").artifact
    for path in (picture_store.parent / "pictures").iterdir():
        path.unlink()
    (report.folder / PAGE_NAME).unlink()  # damaged: made again, and nothing is taken from it
    outcome = materialize(picture_store, ["report"])["report"]
    assert outcome.artifact.facts["pictures"] == 0
    assert '"pictures":[null' in page_of(picture_store)
    assert names


def test_vectors_have_a_page_without_pictures(vector_store: Callable[..., Path]) -> None:
    path = vector_store()
    outcomes = materialize(path)
    assert outcomes["report"].artifact.facts["pictures"] == 0
    assert '"hasPictures":false' in page_of(path)
    found = table(path, "review")
    assert found["typicality"].max() == 1
    assert np.isfinite(table(path, "image_map").select("x", "y").to_numpy()).all()


def test_publishing_the_result_leaves_its_page_as_it_is(vector_store: Callable[..., Path]) -> None:
    from assets.orchestration.publishing import publish

    path = vector_store()
    materialize(path)
    publish(load_project(path), by_hand=True)
    assert computed(materialize(path)) == set()
    assert '"changes":null' in page_of(path)

    path = vector_store({"clusters.count": 4})
    materialize(path)
    assert '"changes":{"version":1,' in page_of(path)
    publish(load_project(path), by_hand=True)
    assert computed(materialize(path)) == set()


def test_the_page_tells_what_changed_since_the_version_before(vector_store: Callable[..., Path]) -> None:
    """A version may differ from the one before it only in names."""
    from assets.orchestration.publishing import publish

    path = vector_store({"corrections": "corrections.yaml"})
    corrections = path.parent / "corrections.yaml"
    for text in ("", "merge: [[1, 2]]\n", "merge: [[1, 2]]\nnames: {0: boats}\n"):
        corrections.write_text(text)
        materialize(path, None if text == "" else [step.name for step in GROWTH])
        publish(load_project(path), by_hand=True)
    # The third version has the assignments of the second.
    assert '"changes":{"version":2,' in page_of(path)
    assert '"moved":0' in page_of(path)
    corrections.write_text("merge: [[1, 2]]\nnames: {0: ships}\n")
    materialize(path, [step.name for step in GROWTH])
    assert '"changes":{"version":3,' in page_of(path)


def test_the_command_writes_the_page_and_opens_it(
    vector_store: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    path = vector_store()
    names = ["map_layout", "image_map", "review", "report"]
    refused = CliRunner().invoke(app, ["report", "--settings", str(path)])
    assert refused.exit_code == 1
    assert "tac run" in refused.stderr
    materialize(path, [step.name for step in STEPS if step.name not in names])
    shown = CliRunner().invoke(app, ["report", "--settings", str(path), "--no-open"])
    assert shown.exit_code == 0, shown.output
    page = Path(shown.stdout.strip().splitlines()[-1])
    assert page.name == PAGE_NAME
    assert page.exists()
    assert opened == []
    CliRunner().invoke(app, ["report", "--settings", str(path)])
    assert opened == [page.as_uri()]
