"""Names of a tree's nodes: common hypernyms, shared nouns, and the names of the clusters when there is neither."""

import numpy as np
import pytest

from tac_pipeline.method.clusters.cluster_tree import ClusterTree
from tac_pipeline.results.tree_names import common_hypernym, name_nodes
from tac_pipeline.wordnet import Wording, open_wordnet


def named(children: list[list[int]], names: list[str | None], alternatives: list[list[str]] | None = None) -> list:
    """The names of the inner nodes, every cluster larger than the next."""
    tree = ClusterTree(np.array(children), np.arange(1.0, len(children) + 1))
    sizes = list(range(len(names), 0, -1))
    found = name_nodes(tree, names, alternatives or [[]] * len(names), sizes, wording=Wording())
    assert found[: len(names)] == names
    return found[len(names) :]


def test_a_node_is_called_what_its_clusters_are() -> None:
    assert named([[0, 1], [2, 3], [4, 5]], ["beagle", "pug", "Siamese cat", "tabby"]) == [
        "dog",
        "domestic cat",
        "domestic animal",
    ]


def test_a_cluster_that_is_the_hypernym_itself_counts() -> None:
    assert named([[0, 1]], ["dog", "pug"]) == ["dog"]


def test_the_odd_one_out_does_not_widen_the_name() -> None:
    names = ["beagle", "pug", "poodle", "collie", "teapot"]
    assert named([[0, 1], [5, 2], [6, 3], [7, 4]], names)[-1] == "dog"


def test_what_says_nothing_names_nothing() -> None:
    assert named([[0, 1]], ["teapot", "cloud"]) == ["teapot and cloud"]
    wordnet = open_wordnet()
    assert common_hypernym(["teapot.n.01", "cloud.n.02"], wordnet) is None
    assert common_hypernym([], wordnet) is None
    assert common_hypernym([None, None, "dog.n.01"], wordnet) is None


def test_a_noun_that_all_share_names_what_wordnet_cannot() -> None:
    children, names = [[0, 1], [3, 2]], ["zorblax one", "zorblax two", "quux"]
    assert named(children, names, [["zorblax"], ["zorblax", "quux"], []]) == [
        "zorblax",
        "zorblax one and zorblax two",
    ]


def test_many_clusters_are_named_by_the_largest() -> None:
    assert named([[4, 3], [5, 2], [6, 1], [7, 0]], ["qa", "qb", "qc", "qd", "qe"])[-1] == "qa and qb"


def test_no_two_nodes_side_by_side_have_one_name() -> None:
    children = [[0, 1], [2, 3], [5, 4], [6, 7]]
    found = named(children, ["beagle", "pug", "poodle", "collie", "tabby"])
    assert found[:2] == ["dog (beagle and pug)", "dog (poodle and collie)"]
    assert len(set(found)) == len(found)


def test_the_topmost_of_a_chain_has_the_plain_name() -> None:
    found = named([[0, 1], [3, 2]], ["beagle", "pug", "poodle"])
    assert found == ["dog (beagle and pug)", "dog"]


def test_clusters_without_a_name_in_wordnet() -> None:
    assert named([[0, 1]], ["unnamed 3", "unnamed 7"]) == ["unnamed 3 and unnamed 7"]
    assert named([[0, 1]], [None, None]) == [None]
    assert named([[0, 1]], ["dog", None]) == ["dog"]


def test_what_tells_clusters_of_one_name_apart_is_left_out_above_them() -> None:
    assert named([[0, 1], [3, 2]], ["qa (red)", "qa (blue)", "qb"]) == ["qa", "qa and qb"]
    assert named([[0, 1]], ["unnamed 3 (near: qa, qb)", "qc"]) == ["qc and unnamed 3"]


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 0, 1], [1, 2, 0]])
def test_the_order_of_the_clusters_says_nothing(order: list[int]) -> None:
    synsets = ["lion.n.01", "wolf.n.01", "bear.n.01"]
    assert common_hypernym([synsets[place] for place in order], open_wordnet()) == "carnivore.n.01"
