"""Group results: the clusters joined into a tree, so that a hundred clusters can be read as a dozen."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from assets.clustering import cluster_ids
from assets.engine.step import Inputs, Output, Values, stored_asset
from assets.images import training_set
from assets.nouns import WORDING_KEYS, candidate_nouns, wording_of, wording_values
from assets.people.corrections import corrections
from assets.results import assignments, centers_of, clusters, vocabulary_profiles
from assets.text_space import criterion, noun_vocabulary
from assets.ui import previews
from assets.ui.tree_picture import tree_picture
from tac_pipeline.arrays import IntVector
from tac_pipeline.method import load_method
from tac_pipeline.store.schemas import CLUSTER_TREE

if TYPE_CHECKING:
    from tac_pipeline.method.clusters.cluster_tree import ClusterTree

# Few enough groups to see at a glance.
MIN_TOP, MAX_TOP = 5, 15


def _resolve_tree(inputs: Inputs, method: str, **_: Any) -> Values:
    return {"method": method, **wording_values(inputs)}


@stored_asset(
    group="results",
    schema=CLUSTER_TREE,
    settings=["method", *WORDING_KEYS],
    deps=[clusters, corrections, assignments, training_set, noun_vocabulary],
    deps_when={"group_by": [criterion]},
    value_deps=[candidate_nouns],
    columns_from={
        "cluster_id": [(clusters, "cluster_id")],
        "size": [(clusters, "size")],
    },
    resolve=_resolve_tree,
    as_of=cluster_ids,
    kinds=["parquet", "numpy"],
    code_version="3",
    part="growth",
)
def cluster_tree(inputs: Inputs, out: Output, method: str, **_: Any) -> None:
    """The groups joined two by two into a tree; every node is named by what its groups have in common.

    The tree uses their centers, the nouns that their members retrieve, and the kinds of these nouns. The nodes marked
    top_level are a cut of the tree: five to fifteen nodes to read first.
    """
    from tac_pipeline.method.clusters.cluster_tree import count_top_level
    from tac_pipeline.results.tree_names import join_groups, name_nodes

    # An id without images is in the table too.
    leaves = inputs.table(clusters).sort("cluster_id")
    words = inputs.table(noun_vocabulary, columns=["noun"])["noun"].to_list()
    profiles = vocabulary_profiles(inputs, leaves["cluster_id"], tau=load_method(method).naming_tau)
    centers = centers_of(inputs, leaves["cluster_id"])
    tree = join_groups(centers, profiles, inputs.vectors(noun_vocabulary), words)
    leaf_names = [
        name if name is not None else f"unnamed {id_}" for id_, name in leaves.select("cluster_id", "name").rows()
    ]
    top = tree.cut(count_top_level(tree, fewest=MIN_TOP, most=MAX_TOP))
    every_name = name_nodes(
        tree, leaf_names, leaves["alternatives"].to_list(), leaves["size"].to_list(), wording=wording_of(inputs)
    )
    nodes = _table_of_nodes(tree, every_name, leaves, top)
    out.write(nodes)
    out.fact(n_clusters=tree.n_leaves, nodes_at_top_level=len(top))
    shown = nodes.filter("top_level").sort("size", descending=True).select("name", "n_clusters", "size")
    out.markdown("top level", previews.table(shown))
    out.picture("tree", tree_picture(nodes))


def _table_of_nodes(
    tree: "ClusterTree", names: Sequence[str | None], leaves: pl.DataFrame, top: IntVector
) -> pl.DataFrame:
    """The table `cluster_tree`: the leaves first, then the inner nodes by height; `top` is the cut to read first."""
    below, sizes = tree.leaves_below(), leaves["size"].to_list()
    return pl.DataFrame(
        {
            "node": range(tree.n_nodes),
            "parent": [None if parent < 0 else int(parent) for parent in tree.parents],
            "cluster_id": [*leaves["cluster_id"], *[None] * len(tree.children)],
            "name": names,
            "size": [sum(sizes[leaf] for leaf in members) for members in below],
            "n_clusters": [len(members) for members in below],
            "height": [*[0.0] * tree.n_leaves, *tree.heights],
            "top_level": np.isin(np.arange(tree.n_nodes), top),
        },
        schema={column.name: pl.Schema(CLUSTER_TREE.arrow(None))[column.name] for column in CLUSTER_TREE.columns},
    )
