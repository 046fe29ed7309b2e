"""The number of semantic centers, and that they equal k-means with the published restarts."""

import numpy as np
import pytest
from reference import random_unit_rows

from tac_pipeline.errors import InputError
from tac_pipeline.method.grouping.semantic_centers import count_semantic_centers, find_semantic_centers
from tac_pipeline.method.grouping.spherical_kmeans import spherical_kmeans


@pytest.mark.parametrize(
    ("n_images", "n_clusters", "expected"),
    [
        (50_000, 10, 167),  # N / 300, rounded
        (3_000, 10, 10),  # exactly 300 images a cluster
        (2_999, 10, 30),  # one image less: three centers a cluster
        (500, 10, 30),
        (4_405, 37, 111),
        (5_681, 101, 303),
        (20, 10, 20),  # never more centers than images
    ],
)
def test_the_rule(n_images, n_clusters, expected) -> None:
    assert count_semantic_centers(n_images, n_clusters, images_per_center=300) == expected


def test_a_given_count_overrules_the_rule_up_to_the_number_of_images() -> None:
    assert count_semantic_centers(1_000, 10, images_per_center=300, count=7) == 7
    assert count_semantic_centers(5, 2, images_per_center=300, count=7) == 5


@pytest.mark.parametrize("name", ["n_images", "n_clusters", "images_per_center", "count"])
def test_numbers_below_one_are_refused(name) -> None:
    given = {"n_images": 10, "n_clusters": 2, "images_per_center": 3, "count": 4} | {name: 0}
    with pytest.raises(InputError, match=f"{name} must be at least 1; got 0"):
        count_semantic_centers(given.pop("n_images"), given.pop("n_clusters"), **given)


def test_the_centers_are_those_of_ten_restarts_of_300_iterations() -> None:
    rows = random_unit_rows(120, 8, 0)
    told: list[tuple[int, int]] = []
    found = find_semantic_centers(rows, n_centers=9, seed=3, progress=lambda *at: told.append(at))
    plain = spherical_kmeans(rows, n_clusters=9, restarts=10, max_iterations=300, seed=3)
    np.testing.assert_array_equal(found.centers, plain.centers)
    assert told[-1] == (10, 10)
