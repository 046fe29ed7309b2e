"""The tree of clusters against Ward's method written out, its cuts, and the level to read first."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference import random_unit_rows

from tac_pipeline.errors import InputError
from tac_pipeline.method.clusters.cluster_tree import ClusterTree, count_top_level, join_clusters

FloatMatrix = np.ndarray


def tree_of(n_clusters: int, seed: int = 0, *, kind_weight: float = 0.5) -> ClusterTree:
    parts = [random_unit_rows(n_clusters, 6, seed + part) for part in range(3)]
    return join_clusters(*parts, kind_weight=kind_weight)


def plain_ward(points: FloatMatrix) -> list[tuple[set[int], float]]:
    """Every join as the clusters below it and its height, by trying all pairs."""
    groups = [[number] for number in range(len(points))]
    joins = []

    def growth(left: list[int], right: list[int]) -> float:
        apart = points[left].mean(axis=0) - points[right].mean(axis=0)
        return 2 * len(left) * len(right) / (len(left) + len(right)) * float(apart @ apart)

    while len(groups) > 1:
        pairs = [(growth(a, b), i, j) for i, a in enumerate(groups) for j, b in enumerate(groups) if i < j]
        cost, i, j = min(pairs)
        joined = groups[i] + groups[j]
        groups = [group for number, group in enumerate(groups) if number not in (i, j)] + [joined]
        joins.append((set(joined), cost**0.5))
    return joins


@given(n_clusters=st.integers(2, 9), seed=st.integers(0, 99), kind_weight=st.sampled_from([0.0, 0.5, 1.0]))
def test_the_joins_are_those_of_wards_method(n_clusters: int, seed: int, kind_weight: float) -> None:
    centers, texts, kinds = (random_unit_rows(n_clusters, 6, seed + part) for part in range(3))
    tree = join_clusters(centers, texts, kinds, kind_weight=kind_weight)
    expected = plain_ward(np.hstack([centers, texts, kind_weight * kinds]).astype(np.float64))
    assert [set(below) for below in tree.leaves_below()[n_clusters:]] == [below for below, _ in expected]
    np.testing.assert_allclose(tree.heights, [height for _, height in expected], rtol=1e-5)


@given(n_clusters=st.integers(1, 12), seed=st.integers(0, 99))
def test_every_cut_holds_every_cluster_once(n_clusters: int, seed: int) -> None:
    tree = tree_of(n_clusters, seed)
    below = tree.leaves_below()
    for n_nodes in range(1, n_clusters + 1):
        cut = tree.cut(n_nodes)
        assert len(cut) == n_nodes
        assert sorted(leaf for node in cut for leaf in below[node]) == list(range(n_clusters))
    assert list(tree.cut(n_clusters)) == list(range(n_clusters))


@given(n_clusters=st.integers(2, 12), seed=st.integers(0, 99))
def test_parents_and_children_agree(n_clusters: int, seed: int) -> None:
    tree = tree_of(n_clusters, seed)
    parents = tree.parents
    assert np.flatnonzero(parents < 0).tolist() == [tree.n_nodes - 1]
    for node, parent in enumerate(parents[:-1]):
        assert node in tree.children[parent - n_clusters]


def test_a_cluster_that_no_noun_speaks_of_is_placed_by_its_center() -> None:
    centers = np.eye(4, dtype=np.float32)[[0, 0, 1, 1]]
    centers[1, 2] = centers[3, 2] = 0.1
    texts = np.eye(4, dtype=np.float32)[[0, 0, 1, 1]]
    texts[1] = 0  # without members
    tree = join_clusters(centers, texts, np.zeros((4, 1), np.float32), kind_weight=0.5)
    assert [set(below) for below in tree.leaves_below()[4:6]] == [{2, 3}, {0, 1}]


@pytest.mark.parametrize("n_clusters", [1, 2, 500])
def test_few_and_many_clusters(n_clusters: int) -> None:
    tree = tree_of(n_clusters)
    assert (tree.n_leaves, tree.n_nodes) == (n_clusters, 2 * n_clusters - 1)
    assert np.isfinite(tree.heights).all()
    assert len(tree.cut(count_top_level(tree, fewest=5, most=15))) <= 15


def test_equal_clusters_make_a_tree_too() -> None:
    same = np.tile(random_unit_rows(1, 4, 0), (8, 1))
    tree = join_clusters(same, same, same, kind_weight=0.5)
    np.testing.assert_allclose(tree.heights, 0, atol=1e-6)
    assert count_top_level(tree, fewest=5, most=15) in range(5, 8)


def chain(heights: list[float]) -> ClusterTree:
    """Each join adds one more cluster."""
    n_leaves = len(heights) + 1
    children = [[0, 1], *([n_leaves + join - 1, join + 1] for join in range(1, len(heights)))]
    return ClusterTree(np.array(children), np.array(heights))


@pytest.mark.parametrize(
    ("heights", "count"),
    [
        ([1, 1, 1, 1, 1, 1, 9, 9, 9, 9, 9], 6),  # the widest step lies between 6 nodes and 5
        ([1, 1, 1, 1, 9, 9, 9, 9, 9, 9, 9], 8),
        ([9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 99], 5),  # a step outside the bounds does not count, the first of equals wins
        ([1, 2, 3], 4),  # four clusters are read as they are
        ([0, 0, 0, 0, 0, 0], 5),
    ],
)
def test_the_top_level_lies_where_the_step_is_widest(heights: list[float], count: int) -> None:
    assert count_top_level(chain(heights), fewest=5, most=10) == count


def test_what_does_not_belong_together_is_refused() -> None:
    rows = random_unit_rows(3, 4, 0)
    with pytest.raises(InputError, match="of the same clusters, at least one; got 3, 2 and 3"):
        join_clusters(rows, rows[:2], rows, kind_weight=0.5)
    with pytest.raises(InputError, match="at least one"):
        join_clusters(rows[:0], rows[:0], rows[:0], kind_weight=0.5)
    with pytest.raises(InputError, match="has cuts of 1 to 3 nodes; got 4"):
        tree_of(3).cut(4)
    with pytest.raises(InputError, match="must be 2 <= fewest <= most; got 5 and 4"):
        count_top_level(tree_of(3), fewest=5, most=4)
