"""The confusion table with names, and its picture."""

import io

import numpy as np
import pytest
from PIL import Image

from tac_pipeline.method.clusters.evaluation import confuse
from tac_pipeline.report.confusion import MAX_NAMES, confusion_picture, confusion_table

FOUND = confuse(["cat", "cat", "dog", "dog", "dog", "cat"], [7, 7, 2, 2, 5, 5])


def test_the_table_has_the_names_of_classes_and_clusters() -> None:
    table = confusion_table(FOUND, names={2: "puppy", 7: "kitten", 5: None})
    assert table.rows() == [
        ("cat", "7", "kitten", 2, pytest.approx(2 / 3), True),
        ("cat", "5", "cluster 5", 1, pytest.approx(1 / 3), False),
        ("dog", "2", "puppy", 2, pytest.approx(2 / 3), True),
        ("dog", "5", "cluster 5", 1, pytest.approx(1 / 3), False),
    ]


def darkest(picture: bytes) -> np.ndarray:
    """Where the picture is dark blue: the cells that hold most of their class."""
    pixels = np.asarray(Image.open(io.BytesIO(picture)).convert("RGB")).astype(int)
    return np.argwhere((pixels[..., 2] > pixels[..., 0] + 60) & (pixels[..., 0] < 60))


def test_the_picture_has_partners_on_its_diagonal() -> None:
    groups = np.repeat(np.arange(8), 10)
    dark = darkest(confusion_picture(confuse(groups, (groups * 3) % 8), names={0: "<b>$\\frac{1}{0}$ 猫"}))
    down, across = dark[:, 0], dark[:, 1]
    assert np.corrcoef(down, across)[0, 1] > 0.97


@pytest.mark.parametrize(("classes", "clusters"), [(1, 1), (3, 9), (9, 3), (MAX_NAMES + 1, 5)])
def test_any_numbers_of_classes_and_clusters_are_drawn(classes, clusters) -> None:
    rows = np.arange(200)
    assert confusion_picture(confuse(rows % classes, rows % clusters))[:4] == b"\x89PNG"
