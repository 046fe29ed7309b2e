"""The data on the page: which images, with which bounds, and packed so that the page reads the same values."""

import base64

import numpy as np
import polars as pl
import pytest
from made_up import made_up_changes, made_up_contents, made_up_tables, made_up_tree

from tac_pipeline.report import choose_images
from tac_pipeline.report.colors import PALETTE, color_clusters
from tac_pipeline.report.contents import MAP_OFFSET, MAP_SCALE, MAX_PICTURES, MIN_PER_CLUSTER


def reviewed(n: int, *, border: int = 0, outliers: int = 0, twins: int = 0) -> pl.DataFrame:
    """One cluster, most typical first; outliers at its end, border cases in the middle."""
    place = np.arange(n)
    return pl.DataFrame(
        {
            "image_id": [f"{i:03d}" for i in place],
            "cluster_id": pl.Series([7] * n, dtype=pl.Int32),
            "typicality": (n - place) / n,
            "margin": np.where((place >= n // 2) & (place < n // 2 + border), 0.1, 0.9),
            "border": (place >= n // 2) & (place < n // 2 + border),
            "outlier": place >= n - outliers,
            "duplicate_group": pl.Series([0 if i < twins else None for i in range(n)], dtype=pl.Int32),
        }
    )


def test_the_most_typical_some_of_the_border_and_some_outliers() -> None:
    chosen = choose_images(reviewed(100, border=20, outliers=9), images_per_cluster=16)["image_id"].to_list()
    assert chosen == [*(f"{i:03d}" for i in range(10)), "050", "051", "052", "053", "098", "099"]


def test_room_that_nothing_special_takes_goes_to_typical_images() -> None:
    assert choose_images(reviewed(100), images_per_cluster=16)["image_id"].to_list() == [f"{i:03d}" for i in range(16)]
    assert len(choose_images(reviewed(5, border=2), images_per_cluster=16)) == 5


def test_of_near_duplicates_one_is_shown() -> None:
    chosen = choose_images(reviewed(10, twins=6), images_per_cluster=16)["image_id"].to_list()
    assert chosen == ["000", "006", "007", "008", "009"]


@pytest.mark.parametrize("n_clusters", [2, 500, 3_000])
def test_pictures_are_bounded_for_any_number_of_clusters(n_clusters: int) -> None:
    review = made_up_tables(n_clusters, 20).review
    chosen = choose_images(review, images_per_cluster=500)
    assert len(chosen) <= max(MAX_PICTURES, MIN_PER_CLUSTER * n_clusters)
    assert chosen["cluster_id"].n_unique() == n_clusters


def test_the_map_comes_back_as_it_was_and_is_bounded() -> None:
    tables = made_up_tables(5, 40)
    contents = made_up_contents(tables, images_per_cluster=6)
    assert contents.map_ids == sorted(tables.image_map["image_id"])
    x = np.frombuffer(base64.b64decode(contents.map["x"]), dtype="<u2")
    np.testing.assert_allclose((x - MAP_OFFSET) / MAP_SCALE, tables.image_map.sort("image_id")["x"], atol=1e-4)
    slots = np.frombuffer(base64.b64decode(contents.map["slot"]), dtype="<i2")
    cluster = np.frombuffer(base64.b64decode(contents.map["cluster"]), dtype="<u2")
    for image_id, slot, place in zip(contents.map_ids, slots, cluster, strict=True):
        assert slot < 0 or contents.packs[place]["images"][slot]["id"] == image_id
    small = made_up_contents(tables, images_per_cluster=6, map_images=50)
    assert small.map["count"] == len(small.map_ids) == 50
    shown = {image["id"] for pack in small.packs for image in pack["images"]}
    assert shown <= set(small.map_ids)  # what has a picture is on the map


def test_clusters_come_largest_first_with_their_nouns_and_counts() -> None:
    tables = made_up_tables(3, 10, empty=1)
    contents = made_up_contents(tables)
    found = contents.summary["clusters"]
    assert [cluster["size"] for cluster in found] == [10, 10, 10, 0]
    assert found[1]["nouns"] == [["noun 1 first", 0.75], ["noun 1 sécond", 0.25]]
    assert found[3]["nouns"] == []
    assert found[3]["x"] is None
    assert contents.packs[3] == {"images": [], "pictures": []}
    assert sum(cluster["border"] for cluster in found) == contents.summary["border"] == tables.review["border"].sum()
    assert contents.summary["duplicates"] == {"groups": 1, "images": 2}
    assert contents.summary["unreadable"]["count"] == 1


def test_the_tree_and_the_changes_speak_of_the_clusters() -> None:
    tables = made_up_tables(4)
    found = made_up_contents(made_up_tables(4, tree=made_up_tree(4), changes=made_up_changes(tables))).summary
    assert [node["cluster"] for node in found["tree"]] == [0, 1, 2, 3, None, None, None]
    assert found["changes"]["moved"] == 16
    assert found["changes"]["renamed"] == [[0, "<i>old</i>", "thing 0"]]


@pytest.mark.parametrize("n", [1, 7, 21, 100, 500])
def test_neighbors_on_the_map_have_other_colors(n: int) -> None:
    generator = np.random.default_rng(n)
    centers = generator.uniform(size=(n, 2)).astype(np.float32)
    centers[0] = np.nan  # an empty cluster
    colors = color_clusters(centers, generator.integers(0, 100, n).tolist())
    assert set(colors) <= set(PALETTE)
    assert len(set(colors)) >= min(n, 7)
    apart = np.linalg.norm(centers[:, np.newaxis] - centers, axis=2)
    np.fill_diagonal(apart, np.inf)
    for cluster in range(1, n):
        if np.isfinite(apart[cluster]).any():
            assert colors[cluster] != colors[int(np.nanargmin(apart[cluster]))]
