"""What people see: the map, the contact sheet, the table in a notebook."""

import io
import re
from pathlib import Path

import numpy as np
import pytest
from animal_groups import DIM, GROUPS, IMAGES, NOUN_EMBEDDINGS, PER_GROUP, fit
from PIL import Image

from tac_pipeline import TextAidedClustering
from tac_pipeline.errors import InputError

COLORS = [(200, 30, 30), (30, 160, 30), (30, 30, 200)]


@pytest.fixture
def fitted() -> TextAidedClustering:
    return fit()


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    """A picture for each image, in the color of its group."""
    found = []
    for row in range(len(IMAGES)):
        found.append(tmp_path / f"{row}.png")
        Image.new("RGB", (20, 20), COLORS[row // PER_GROUP]).save(found[-1])
    return found


def has_color(picture: Image.Image, color: tuple[int, int, int]) -> bool:
    pixels = np.asarray(picture.convert("RGB")).astype(int)
    # Letters have some pixels of any gray.
    return int((np.abs(pixels - color).max(axis=2) < 12).sum()) > 500


def test_the_map_has_a_color_for_each_cluster(fitted) -> None:
    picture = fitted.plot_map()
    assert picture.format == "PNG"
    assert len({tuple(color) for color in np.asarray(picture.convert("RGB")).reshape(-1, 3)[::3]}) > GROUPS


def test_the_sheet_shows_images_of_every_cluster(fitted, paths) -> None:
    picture = fitted.plot_clusters(paths, per_cluster=4)
    assert all(has_color(picture, color) for color in COLORS)
    assert not has_color(picture, (225, 225, 225)), "no picture is missing"
    strip = Image.open(io.BytesIO(fitted.cluster_pictures_[int(fitted.labels_[0])]))
    assert has_color(strip, COLORS[0]) and not has_color(strip, COLORS[1])
    paths[int(np.flatnonzero(fitted.labels_ == 0)[0])].unlink()
    fitted.plot_clusters(list(map(str, paths)), per_cluster=PER_GROUP)


@pytest.mark.parametrize(("images", "per_cluster"), [(["a.png"], 9), ("a.png", 9), (["a.png"] * 90, 0)])
def test_a_sheet_needs_the_fitted_images(fitted, images, per_cluster) -> None:
    with pytest.raises(InputError, match=r"images must have the path of each fitted image, 90|per_cluster must be"):
        fitted.plot_clusters(images, per_cluster=per_cluster)


def test_a_notebook_shows_the_clusters_with_names_escaped(paths) -> None:
    nasty = ["<img src=x onerror=alert(1)>", "a & b", '"quoted"', *(f"word {number}" for number in range(5))]
    fitted = fit(nouns=nasty, noun_embeddings=NOUN_EMBEDDINGS)
    page = fitted._repr_html_()
    table = page[page.index('<table class="tac-clusters"') :]
    assert table.count("<tr>") == 1 + GROUPS
    assert "&lt;img src=x" in table and "<img" not in table
    assert f">{PER_GROUP}</td>" in table and "33.3%" in table
    assert "n_clusters" in page, "the parameters are above"
    fitted.plot_clusters(paths)
    with_pictures = fitted._repr_mimebundle_()["text/html"]
    assert with_pictures.count("<img alt=") == GROUPS
    assert not re.search(r"<img src=x|onerror=alert\(1\)>(?!&)[^&]", with_pictures.replace("&gt;", ""))
    assert fitted._repr_mimebundle_()["text/plain"].startswith("TextAidedClustering(")


def test_before_a_fit_a_notebook_shows_the_parameters() -> None:
    assert "tac-clusters" not in TextAidedClustering()._repr_html_()


def test_a_table_of_many_clusters_is_cut() -> None:
    rows = np.random.default_rng(0).normal(size=(140, DIM))
    page = TextAidedClustering(70).fit(rows)._repr_html_()
    assert page.count('<td class="n">') == 3 * 60
    assert "and 10 smaller clusters" in page
