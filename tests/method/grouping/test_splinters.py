"""Repairing splinters: a clustering that uses a cluster for odd rows, known groups, and degenerate rows."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from reference import random_unit_rows
from sklearn.metrics import adjusted_rand_score

from tac_pipeline.method.grouping.spherical_kmeans import KMeansResult, kmeans_from
from tac_pipeline.method.grouping.splinters import mend_splinters


def groups(n_groups: int, size: int, seed: int, spread: float = 0.25) -> tuple[np.ndarray, np.ndarray]:
    """Unit rows around as many axes, and the group of each."""
    generator = np.random.default_rng(seed)
    truth = np.repeat(np.arange(n_groups), size)
    rows = np.eye(n_groups + 4)[truth] + spread * generator.normal(size=(len(truth), n_groups + 4)) / 3
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32), truth


def settled(rows: np.ndarray, assignment: np.ndarray, n_clusters: int) -> KMeansResult:
    return kmeans_from(rows, assignment, n_clusters=n_clusters, max_iterations=100)


def splinters(found: KMeansResult, least: int) -> int:
    return int((np.bincount(found.assignment, minlength=len(found.centers)) < least).sum())


def test_groups_that_share_a_cluster_are_parted_at_the_splinter_s_cost() -> None:
    rows, truth = groups(6, 30, 0)
    # Two odd rows have their own cluster, and groups 4 and 5 share one.
    odd = np.vstack([rows, -rows[:1], -rows[:1]])
    start = np.append(np.minimum(truth, 4), [5, 5])
    before = settled(odd, start, 6)
    assert splinters(before, 8) == 1
    after = mend_splinters(odd, before, least=8, seed=0)
    assert splinters(after, 8) == 0
    assert adjusted_rand_score(truth, after.assignment[:180]) == 1.0
    assert after.objective > before.objective


def test_several_splinters_are_mended() -> None:
    rows, truth = groups(8, 20, 1)
    start = truth // 2
    start[:4] = [4, 5, 6, 7]
    after = mend_splinters(rows, KMeansResult(*settled_parts(rows, start, 8)), least=5, seed=3)
    assert adjusted_rand_score(truth, after.assignment) == 1.0


def settled_parts(
    rows: np.ndarray, assignment: np.ndarray, n_clusters: int
) -> tuple[np.ndarray, np.ndarray, float, int]:
    """A clustering exactly as given, that no round of k-means has touched."""
    totals = np.zeros((n_clusters, rows.shape[1]), dtype=np.float32)
    np.add.at(totals, assignment, rows)
    centers = totals / np.linalg.norm(totals, axis=1, keepdims=True)
    return centers, assignment, float((rows * centers[assignment]).sum(axis=1).mean()), 0


def test_without_splinters_nothing_changes() -> None:
    rows, truth = groups(5, 12, 2)
    before = settled(rows, truth, 5)
    assert mend_splinters(rows, before, least=3, seed=0) is before


def test_small_groups_that_are_groups_stay() -> None:
    many, truth = groups(12, 80, 4)
    # The last four groups have only a few rows left.
    kept = np.concatenate([np.flatnonzero(truth == group)[: 80 if group < 8 else 6] for group in range(12)])
    before = settled(many[kept], truth[kept], 12)
    after = mend_splinters(many[kept], before, least=14, seed=0)
    assert adjusted_rand_score(truth[kept], after.assignment) == 1.0


def test_of_small_clusters_the_splinter_alone_is_mended() -> None:
    many, truth = groups(10, 60, 5)
    kept = np.concatenate([np.flatnonzero(truth == group)[: 60 if group < 7 else 6] for group in range(10)])
    rows, own = many[kept], truth[kept]
    # Groups 0 and 1 share a cluster; two rows of group 2 hold one.
    start = np.where(own == 1, 0, own)
    start[np.flatnonzero(own == 2)[:2]] = 1
    found = KMeansResult(*settled_parts(rows, start, 10))
    assert splinters(found, 12) == 4
    assert adjusted_rand_score(own, mend_splinters(rows, found, least=12, seed=0).assignment) == 1.0


@given(st.integers(0, 30), st.integers(2, 8))
def test_every_row_keeps_a_cluster(seed: int, n_clusters: int) -> None:
    rows = random_unit_rows(40, 5, seed)
    before = settled(rows, np.random.default_rng(seed).integers(n_clusters, size=40), n_clusters)
    after = mend_splinters(rows, before, least=20 / n_clusters, seed=seed)
    assert after.assignment.shape == (40,)
    assert after.objective >= before.objective
    assert after.assignment.min() >= 0 and after.assignment.max() < n_clusters


def test_equal_rows_end() -> None:
    rows = np.tile(np.array([[0.6, 0.8, 0.0]], dtype=np.float32), (50, 1))
    before = settled(rows, np.zeros(50, dtype=np.int64), 4)
    after = mend_splinters(rows, before, least=5, seed=0)
    assert len(after.assignment) == 50
