"""Ward's tree against scipy's, its cuts, and the k-means that starts from one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference import random_unit_rows
from scipy.cluster.hierarchy import fcluster, linkage
from sklearn.metrics import adjusted_rand_score
from small_store import grouped_vectors

from tac_pipeline.errors import InputError
from tac_pipeline.method.grouping.spherical_kmeans import spherical_kmeans
from tac_pipeline.method.grouping.ward import (
    MAX_MICRO,
    MIN_MICRO,
    count_micro,
    micro_clusters,
    shares_at_one_cost,
    ward_kmeans,
    ward_tree,
)


@given(seed=st.integers(0, 40), n_leaves=st.integers(2, 40))
def test_the_tree_is_scipys(seed: int, n_leaves: int) -> None:
    points = np.random.default_rng(seed).normal(size=(n_leaves, 5))
    tree, wanted = ward_tree(points, np.ones(n_leaves, dtype=np.int64)), linkage(points, "ward")
    # scipy's height is the distance; ours the growth of the sum of squares, half its square.
    np.testing.assert_allclose(tree.costs, wanted[:, 2] ** 2 / 2, rtol=1e-8)
    for count in {1, 2, n_leaves // 2 or 1, n_leaves}:
        assert adjusted_rand_score(tree.cut(count), fcluster(wanted, count, "maxclust")) == 1
        assert len(np.unique(tree.cut(count))) == count


def test_a_leaf_of_many_rows_counts_as_so_many() -> None:
    points = np.random.default_rng(0).normal(size=(8, 3))
    sizes = np.array([1, 5, 2, 1, 3, 1, 1, 4])
    spread = np.repeat(points, sizes, axis=0)
    weighted, plain = ward_tree(points, sizes), linkage(spread, "ward")
    for count in range(1, 8):
        of_rows = np.repeat(weighted.cut(count), sizes)
        assert adjusted_rand_score(of_rows, fcluster(plain, count, "maxclust")) == 1


def test_equal_leaves_end_the_chain() -> None:
    tree = ward_tree(np.ones((30, 4)), np.ones(30, dtype=np.int64))
    assert len(np.unique(tree.cut(3))) == 3
    np.testing.assert_allclose(tree.costs, 0, atol=1e-12)


def test_a_cut_outside_the_tree_is_refused() -> None:
    with pytest.raises(InputError, match="from 1 to the number of leaves, 4; got 5"):
        ward_tree(np.eye(4), np.ones(4, dtype=np.int64)).cut(5)


def test_micro_clusters_are_bounded_and_without_gaps() -> None:
    rows = random_unit_rows(300, 6, 0)
    found = micro_clusters(rows, count=40, seed=0)
    assert set(found) == set(range(found.max() + 1))
    assert found.max() < 40
    np.testing.assert_array_equal(micro_clusters(rows, count=300, seed=0), np.arange(300))
    assert (count_micro(10**6, 10), count_micro(10**6, 400)) == (MIN_MICRO, 1200)
    assert (count_micro(10**6, 5000), count_micro(100, 7), MAX_MICRO) == (5000, 100, 4000)


def test_well_separated_groups_are_found_from_any_seed() -> None:
    rows, truth = grouped_vectors(groups=8, per_group=100)
    assert all(
        adjusted_rand_score(truth, ward_kmeans(rows, n_clusters=8, seed=seed).assignment) == 1 for seed in range(3)
    )


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_start_is_no_worse_than_one_random_start(seed: int) -> None:
    rows, _ = grouped_vectors(seed, groups=12, per_group=60)
    random = spherical_kmeans(rows, n_clusters=20, restarts=1, max_iterations=300, seed=seed)
    assert ward_kmeans(rows, n_clusters=20, seed=seed).objective >= random.objective - 1e-3


def test_rows_that_are_all_equal_or_two_and_groups_out_of_range() -> None:
    equal = np.repeat(random_unit_rows(1, 6, 0), 700, axis=0)
    assert ward_kmeans(equal, n_clusters=3, seed=0).objective == pytest.approx(1, abs=1e-5)
    two = np.repeat(random_unit_rows(2, 6, 0), 400, axis=0)
    assert adjusted_rand_score(np.repeat([0, 1], 400), ward_kmeans(two, n_clusters=2, seed=0).assignment) == 1
    with pytest.raises(InputError, match="from 1 to the number of rows, 3; got 4"):
        ward_kmeans(random_unit_rows(3, 6, 0), n_clusters=4, seed=0)


def two_and_a_new_group(known: dict[int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows of three groups, the group of each, and examples by row."""
    rows, truth = grouped_vectors(3)
    examples = np.full(len(rows), -1)
    examples[list(known)] = list(known.values())
    return rows, truth, examples


def test_known_classes_are_the_first_clusters_and_the_rest_is_new() -> None:
    # The class 0 is the last group, and 1 the first: the order is that of the classes.
    rows, truth, examples = two_and_a_new_group({40: 0, 41: 0, 0: 1})
    found = ward_kmeans(rows, n_clusters=3, seed=0, known=examples).assignment
    np.testing.assert_array_equal(found, np.array([1, 2, 0])[truth])


def test_examples_stay_where_people_put_them() -> None:
    rows, truth, examples = two_and_a_new_group({40: 0, 41: 0, 0: 1, 1: 0})
    found = ward_kmeans(rows, n_clusters=3, seed=0, known=examples).assignment
    assert found[1] == 0
    others = np.arange(len(rows)) != 1
    np.testing.assert_array_equal(found[others], np.array([1, 2, 0])[truth[others]])


def test_one_example_far_from_the_mean_of_its_class_is_joined_with_it() -> None:
    """As heavy as a whole class, it would stay alone, and its class would be a new group."""
    truth = np.repeat(np.arange(4), 60)
    rows = np.eye(16)[truth] + 0.3 * np.random.default_rng(0).normal(size=(240, 16))
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    examples = np.full(240, -1)
    examples[rows[:60, 0].argmin()] = 0
    found = ward_kmeans(rows, n_clusters=4, seed=0, known=examples).assignment
    assert (found[:60] == 0).mean() > 0.9


def test_two_classes_in_one_group_stay_two() -> None:
    """Nearer to each other than to anything else, they would be the first to be joined."""
    rows, _, examples = two_and_a_new_group({0: 0, 1: 0, 2: 1, 3: 1})
    found = ward_kmeans(rows, n_clusters=4, seed=0, known=examples).assignment
    assert found[:4].tolist() == [0, 0, 1, 1]
    assert set(found[:20]) == {0, 1}
    assert len(set(found[20:40])) == len(set(found[40:])) == 1
    assert set(found[20:]) == {2, 3}


@given(seed=st.integers(0, 40), total=st.integers(3, 24))
def test_no_join_of_a_cell_costs_more_than_one_that_another_is_spared(seed: int, total: int) -> None:
    generator = np.random.default_rng(seed)
    trees = [ward_tree(generator.normal(size=(n, 4)) * n, np.ones(n, dtype=np.int64)) for n in (1, 8, 15)]
    shares = shares_at_one_cost(trees, np.array([1, 1, total - 2]))
    assert shares.sum() == total
    assert all(1 <= share <= tree.n_leaves for share, tree in zip(shares, trees, strict=True))
    done = [cost for share, tree in zip(shares, trees, strict=True) for cost in tree.costs[: tree.n_leaves - share]]
    spared = [cost for share, tree in zip(shares, trees, strict=True) for cost in tree.costs[tree.n_leaves - share :]]
    assert max(done, default=0) <= min(spared, default=np.inf)


def test_cells_of_fewer_leaves_than_clusters_keep_their_counts() -> None:
    trees = [ward_tree(np.eye(n), np.ones(n, dtype=np.int64)) for n in (2, 3)]
    np.testing.assert_array_equal(shares_at_one_cost(trees, np.array([5, 1])), [5, 1])


@given(seed=st.integers(0, 20), apart=st.integers(1, 6))
def test_leaves_that_stay_apart_are_joined_last(seed: int, apart: int) -> None:
    points = np.random.default_rng(seed).normal(size=(15, 4))
    tree = ward_tree(points, np.ones(15, dtype=np.int64), apart=apart)
    assert np.isinf(tree.costs).sum() == apart - 1
    cut = tree.cut(apart)
    assert sorted(cut[:apart]) == list(range(apart))
    np.testing.assert_array_equal(tree.cut(apart + 3)[:apart], np.arange(apart))


@pytest.mark.parametrize("n_known", [3, 5], ids=["all classes known", "more classes than groups"])
def test_every_row_may_be_an_example(n_known: int) -> None:
    rows, _ = grouped_vectors(3, per_group=5)
    examples = np.arange(len(rows)) % n_known
    found = ward_kmeans(rows, n_clusters=n_known + 1, seed=0, known=examples)
    np.testing.assert_array_equal(found.assignment, examples)
    assert np.isfinite(found.centers).all()


def test_more_known_classes_than_clusters_are_refused() -> None:
    rows, _, examples = two_and_a_new_group({0: 0, 20: 1, 40: 2})
    with pytest.raises(InputError, match="at least as many clusters as known classes; got 2 clusters and 3 classes"):
        ward_kmeans(rows, n_clusters=2, seed=0, known=examples)
