"""Contact sheets: the images in their places, gray squares for unreadable images, and bounds."""

import io
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from assets.ui.previews import contact_sheet
from tac_pipeline.report.contact_sheet import GAP, GRAY, MAX_CLUSTERS, TILE, draw_strips
from tac_pipeline.sources import FolderSource

COLORS = {"red.png": (200, 0, 0), "green.png": (0, 150, 0), "blue.png": (0, 0, 200)}
LIMITS = {"max_pixels": 10_000, "max_bytes": 100_000}


@pytest.fixture
def photos(tmp_path: Path) -> FolderSource:
    for name, color in COLORS.items():
        Image.new("RGB", (1, 1) if name == "blue.png" else (90, 70), color).save(tmp_path / name)
    (tmp_path / "broken.png").write_bytes(b"no picture")
    Image.new("RGB", (200, 200)).save(tmp_path / "large.png")
    return FolderSource(tmp_path)


def middles(strip: bytes) -> list[tuple[int, ...]]:
    """The color in the middle of every tile."""
    pixels = np.asarray(Image.open(io.BytesIO(strip)).convert("RGB"))
    assert pixels.shape[0] == TILE
    return [tuple(map(int, pixels[TILE // 2, left + TILE // 2])) for left in range(0, pixels.shape[1], TILE + GAP)]


def near(color: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    return max(abs(a - b) for a, b in zip(color, wanted, strict=True)) < 12


def test_every_image_stands_in_its_place(photos: FolderSource) -> None:
    uris = {name: str(photos.folder / name) for name in COLORS}
    first, second, none = draw_strips([["red.png", "blue.png"], ["green.png"], []], uris, photos, **LIMITS)
    assert [near(*pair) for pair in zip(middles(first), [COLORS["red.png"], COLORS["blue.png"]], strict=True)] == [
        True,
        True,
    ]
    assert near(middles(second)[0], COLORS["green.png"])
    assert Image.open(io.BytesIO(none)).size == (1, TILE)  # a cluster without images


@pytest.mark.parametrize("name", ["broken.png", "large.png", "absent.png", "not listed.png"])
def test_what_cannot_be_had_is_a_gray_square(photos: FolderSource, name: str) -> None:
    uris = {name: str(photos.folder / name) for name in ("broken.png", "large.png", "absent.png", "red.png")}
    [strip] = draw_strips([[name, "red.png"]], uris, photos, **LIMITS)
    gray, red = middles(strip)
    assert near(gray, (GRAY,) * 3)
    assert near(red, COLORS["red.png"])


def test_files_over_the_limit_are_not_decoded(photos: FolderSource) -> None:
    [strip] = draw_strips(
        [["red.png"]], {"red.png": str(photos.folder / "red.png")}, photos, max_pixels=10_000, max_bytes=10
    )
    assert near(middles(strip)[0], (GRAY,) * 3)


def test_time_and_number_are_bounded(photos: FolderSource) -> None:
    uris = {"red.png": str(photos.folder / "red.png")}
    ticks = iter([0.0, 1.0, *[50.0] * 1000])
    strips = draw_strips([["red.png"]] * 100, uris, photos, **LIMITS, seconds=20, clock=lambda: next(ticks))
    assert len(strips) == MAX_CLUSTERS
    drawn = [near(middles(strip)[0], COLORS["red.png"]) for strip in strips]
    assert sum(drawn) == 1


def test_the_sheet_is_a_table_in_which_names_are_text() -> None:
    frame = pl.DataFrame({"cluster_id": [4, 2, 9], "name": ["<b>|x|</b>", None, "犬"], "size": [30, 20, 10]})
    lines = contact_sheet(frame, [b"one", b"two"]).splitlines()
    assert lines[:2] == ["| cluster id | name | images | most typical |", "| ---: | --- | ---: | --- |"]
    assert lines[2] == r"| 4 | &lt;b&gt;\|x\|&lt;/b&gt; | 30 | ![](data:image/webp;base64,b25l) |"
    assert lines[3].startswith("| 2 |  | 20 | ![](data:")
    assert lines[4:] == ["", "and 1 smaller clusters"]
