"""The Markdown tables and plots that the UI shows of an artifact."""

import io

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from assets.ui.previews import (
    INLINE_CHARACTERS,
    count_picture,
    loss_picture,
    reliability_picture,
    shorten,
    sizes_picture,
    table,
)
from tac_pipeline.figures import map_picture
from tac_pipeline.method.clusters.reliability import measure_reliability

ACCENT = (0x4F, 0x46, 0xE5)


def test_a_table_has_its_headings_in_words_and_its_numbers_to_the_right() -> None:
    frame = pl.DataFrame(
        {"cluster_id": [3, 4], "name": ["sea horse", "kelp"], "share": [0.9996, 0.0004], "also": [["crab", "eel"], []]}
    )
    assert table(frame).splitlines() == [
        "| cluster id | name | share | also |",
        "| ---: | --- | ---: | --- |",
        "| 3 | sea horse | 1.000 | crab, eel |",
        "| 4 | kelp | 0.0004 |  |",
    ]


def test_names_never_become_markup() -> None:
    frame = pl.DataFrame({"image_id": ["a|b<img src=x>.png", "![x](http://y)", "line\nbreak", None]})
    assert table(frame).splitlines()[2:] == [
        r"| a\|b&lt;img src=x&gt;.png |",
        r"| \!\[x\]\(http://y\) |",
        "| line break |",
        "|  |",
    ]


@given(words=st.lists(st.text(st.characters(codec="utf-8"), min_size=1, max_size=80), min_size=1, max_size=60))
def test_a_long_table_is_cut_at_a_row_and_says_how_many_are_left(words: list[str]) -> None:
    whole = table(pl.DataFrame({"noun": words}))
    shown = shorten(whole)
    if browser_length(whole) < INLINE_CHARACTERS:
        assert shown == whole
        return
    assert browser_length(shown) < INLINE_CHARACTERS
    rows, said = shown.rsplit("\n\n", 1)
    kept = rows.split("\n")
    assert kept == whole.split("\n")[: len(kept)]
    assert said == f"and {len(words) + 2 - len(kept)} more"


def test_a_table_whose_first_row_is_too_long_stays_whole() -> None:
    whole = table(pl.DataFrame({"error": ["x" * INLINE_CHARACTERS] * 2}))
    assert shorten(whole) == whole


def test_the_loss_curve_is_a_picture() -> None:
    epochs = 50
    falling = np.linspace(2, 1, epochs)
    history = pl.DataFrame(
        {"epoch": np.arange(1, epochs + 1), "distillation": falling, "confidence": falling / 2, "total": -falling}
    )
    assert colors(loss_picture(history)) >= {ACCENT, (0x08, 0x91, 0xB2), (0xD9, 0x77, 0x06)}


@pytest.mark.parametrize(("assignment", "bars"), [([0, 0, 2, 2, 2], 2), ([3, 2, 1, 0, 0], 4)])
def test_every_cluster_that_has_images_is_a_bar(assignment: list[int], bars: int) -> None:
    pixels = np.asarray(Image.open(io.BytesIO(sizes_picture(np.bincount(assignment, minlength=4)))).convert("RGB"))
    in_a_bar = (pixels == ACCENT).all(axis=2)
    lowest = in_a_bar[np.flatnonzero(in_a_bar.any(axis=1))[-1]].astype(int)
    assert (np.diff(lowest) == 1).sum() == bars


def browser_length(text: str) -> int:
    """The length of a JavaScript string."""
    return len(text.encode("utf-16-le")) // 2


def colors(png: bytes) -> set[tuple[int, ...]]:
    """The colors of a picture."""
    image = Image.open(io.BytesIO(png)).convert("RGB")
    found = image.getcolors(maxcolors=image.width * image.height)
    assert found is not None
    return {color for _, color in found}  # type: ignore[misc]


def test_the_number_of_groups_is_marked_on_its_criterion() -> None:
    counts = np.array([2, 4, 8, 16])
    gaps = {f"{signal}_gap": [0.1, 0.2, 0.3, 0.1] for signal in ("stability", "neighbors", "silhouette")}
    evidence = pl.DataFrame(
        {"count": counts, "stability": [0.9, 0.8, 0.8, 0.4], **gaps, "evidence": [0.3, 0.6, 0.9, 0.3]}
    )
    assert ACCENT in colors(count_picture(evidence, 8))
    assert count_picture(evidence, 8) != count_picture(evidence, 4)


def test_the_map_shows_each_cluster_in_its_color_where_it_lies() -> None:
    points = pl.DataFrame(
        {
            "x": [0.1] * 40 + [0.9] * 40,
            "y": [0.0] * 20 + [1.0] * 20 + [0.0] * 20 + [0.4] * 20,
            "cluster_id": [7] * 40 + [2] * 40,
        },
        schema_overrides={"cluster_id": pl.Int32},
    )
    clusters = [
        {"id": 7, "name": "<b>$\\frac{1}{0}$ \u732b", "color": "#ff0000", "x": 0.1, "y": 0.5},
        {"id": 2, "name": None, "color": "#0000ff", "x": 0.9, "y": 0.2},
        {"id": 5, "name": "nothing left", "color": "#00ff00", "x": None, "y": None},
    ]
    pixels = np.asarray(Image.open(io.BytesIO(map_picture(points, clusters))).convert("RGB")).astype(int)
    red, green, blue = np.moveaxis(pixels, 2, 0)
    is_red, is_blue = red > blue + 100, blue > red + 100
    assert is_red.any() and is_blue.any() and not (green > red + 100).any()
    # Cluster 7 is on the left, above and below; cluster 2 is on the right, below.
    assert np.nonzero(is_red)[1].max() < np.nonzero(is_blue)[1].min()
    assert np.nonzero(is_red)[0].min() < np.nonzero(is_blue)[0].min()
    assert map_picture(points.clear(), clusters)[:4] == b"\x89PNG"


def test_the_picture_of_reliability_draws_what_confidence_means() -> None:
    labels, assignment = np.array([0] * 30 + [1] * 30), np.array([0] * 25 + [1] * 35)
    found = measure_reliability(labels, assignment, np.linspace(0.3, 1, 60))
    assert ACCENT in colors(reliability_picture(found))
