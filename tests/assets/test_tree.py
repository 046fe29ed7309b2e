"""The tree of groups: its table, its top level, its picture; with few groups, and with nouns that WordNet lacks."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from assets_helpers import materialize
from PIL import Image

from assets.engine.execute import open_store
from assets.ui.tree_picture import COLORS, MAX_LINES, tree_picture
from tac_pipeline.settings.project import load_project


def tree_of(path: Path) -> pl.DataFrame:
    materialize(path)
    artifact = open_store(load_project(path)).require_current("cluster_tree").artifact
    assert artifact.file("tree.png").read_bytes().startswith(b"\x89PNG")
    return pl.read_parquet(artifact.file("cluster_tree.parquet"))


@pytest.mark.parametrize("count", [2, 3, 12])
def test_the_table_is_a_tree_over_all_groups(vector_store: Callable[..., Path], count: int) -> None:
    """The nouns of this store are none of WordNet's."""
    nodes = tree_of(vector_store({"clusters.count": count}))
    assert len(nodes) == 2 * count - 1
    assert nodes["cluster_id"].drop_nulls().sort().to_list() == list(range(count))
    assert nodes.filter(pl.col("parent").is_null())["node"].to_list() == [2 * count - 2]
    sums = nodes.group_by("parent").agg(pl.col("size", "n_clusters").sum(), below=pl.len()).drop_nulls("parent")
    inner = nodes.filter(pl.col("cluster_id").is_null()).join(sums, left_on="node", right_on="parent")
    assert inner["below"].to_list() == [2] * (count - 1)
    assert inner["size"].to_list() == inner["size_right"].to_list()
    assert inner["n_clusters"].to_list() == inner["n_clusters_right"].to_list()
    top = nodes.filter("top_level")
    assert top["n_clusters"].sum() == count
    assert len(top) == count if count <= 5 else 5 <= len(top) <= 15


def drawn(n_clusters: int, name: str = "group") -> pl.DataFrame:
    """A chain: each join adds one more cluster."""
    n_nodes = 2 * n_clusters - 1
    parents = [n_clusters, n_clusters, *range(n_clusters + 1, n_nodes), *range(n_clusters + 1, n_nodes), None]
    return pl.DataFrame(
        {
            "node": range(n_nodes),
            "parent": parents,
            "cluster_id": [*range(n_clusters), *[None] * (n_clusters - 1)],
            "name": [f"{name} {node}" for node in range(n_nodes)],
            "size": [1] * n_clusters + list(range(2, n_clusters + 1)),
            "n_clusters": [1] * n_clusters + list(range(2, n_clusters + 1)),
            "height": [0.0] * n_clusters + list(np.arange(1.0, n_clusters)),
            "top_level": [False] * (n_nodes - 3) + [node == n_clusters - 1 for node in range(n_nodes - 3, n_nodes)],
        }
    )


@pytest.mark.parametrize("n_clusters", [2, 3, 45, 500])
def test_a_picture_is_as_high_as_its_lines_and_bounded(n_clusters: int) -> None:
    image = Image.open(io.BytesIO(tree_picture(drawn(n_clusters))))
    assert image.height < 30 * min(max(n_clusters, 4), MAX_LINES) + 120


def test_a_top_level_node_has_a_color_of_its_own() -> None:
    nodes = drawn(4).with_columns(top_level=pl.col("node").is_in([3, 5]))
    pixels = np.asarray(Image.open(io.BytesIO(tree_picture(nodes))).convert("RGB")).reshape(-1, 3)
    for color in COLORS[:2]:
        wanted = [int(color[place : place + 2], 16) for place in (1, 3, 5)]
        # The edges of a line are blended with the white around it.
        assert np.abs(pixels.astype(int) - wanted).sum(axis=1).min() < 60


def test_no_name_is_a_formula_or_breaks_the_picture() -> None:
    tree_picture(drawn(3, name="$\\frac{1}{0}$ <b> _x_ \u732b " + "long " * 40))
