"""The nodes of a tree against its cuts."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from reference import random_unit_rows

from tac_pipeline.method.grouping.ward import ward_tree


def leaves_below(children: np.ndarray, node: int) -> list[int]:
    n_leaves = len(children) + 1
    if node < n_leaves:
        return [node]
    return [leaf for child in children[node - n_leaves] for leaf in leaves_below(children, int(child))]


@given(n_leaves=st.integers(1, 20), seed=st.integers(0, 99))
def test_the_nodes_of_every_cut_are_its_clusters(n_leaves: int, seed: int) -> None:
    tree = ward_tree(random_unit_rows(n_leaves, 4, seed), np.random.default_rng(seed).integers(1, 9, n_leaves))
    assert tree.children.shape == (n_leaves - 1, 2)
    for n_clusters in range(1, n_leaves + 1):
        cut = tree.cut(n_clusters)
        plain = {frozenset(np.flatnonzero(cut == cluster).tolist()) for cluster in range(n_clusters)}
        assert {frozenset(leaves_below(tree.children, int(node))) for node in tree.nodes(n_clusters)} == plain
