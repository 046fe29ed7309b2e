"""Spherical k-means against its definition: the result is consistent, converged, and as good as possible."""

from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from reference import random_unit_rows
from sklearn.metrics import adjusted_rand_score

from tac_pipeline.arrays import unit_rows
from tac_pipeline.errors import InputError
from tac_pipeline.method.grouping.lloyd import rounds as module
from tac_pipeline.method.grouping.spherical_kmeans import KMeansResult, spherical_kmeans


def cluster(rows: np.ndarray, n_clusters: int, *, restarts: int = 4, seed: int = 0) -> KMeansResult:
    return spherical_kmeans(rows, n_clusters=n_clusters, restarts=restarts, max_iterations=300, seed=seed)


def groups(n_groups: int, per_group: int, *, spread: float, cone: float = 0.0, seed: int = 0) -> tuple:
    """Rows around random directions; `cone` moves all of them toward one common direction."""
    generator = np.random.default_rng(seed)
    truth = np.repeat(np.arange(n_groups), per_group)
    rows = random_unit_rows(n_groups, 64, seed + 1)[truth] + spread * generator.normal(size=(len(truth), 64))
    return unit_rows(rows + cone * random_unit_rows(1, 64, seed + 2)), truth


def optimum(rows: np.ndarray, n_clusters: int) -> float:
    """The best objective over every partition: cosines to a unit mean add up to the length of the sum."""
    best = -1.0
    for labels in product(range(n_clusters), repeat=len(rows) - 1):
        assignment = np.array([0, *labels])
        sums = [rows[assignment == number].astype(np.float64).sum(axis=0) for number in range(n_clusters)]
        best = max(best, sum(np.linalg.norm(total) for total in sums) / len(rows))
    return best


@given(n_rows=st.integers(1, 40), n_clusters=st.integers(1, 8), seed=st.integers(0, 99))
def test_the_result_is_consistent_and_converged(n_rows, n_clusters, seed) -> None:
    rows, n_clusters = random_unit_rows(n_rows, 6, seed), min(n_clusters, n_rows)
    found = cluster(rows, n_clusters, restarts=2, seed=seed)
    cosines = rows.astype(np.float64) @ found.centers.T.astype(np.float64)
    np.testing.assert_allclose(np.linalg.norm(found.centers, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(cosines[np.arange(n_rows), found.assignment], cosines.max(axis=1), atol=1e-6)
    assert found.objective == pytest.approx(cosines.max(axis=1).mean(), abs=1e-6)
    # With so few rows k-means runs until none moves: every cluster has rows, and their unit mean is its center.
    means = unit_rows(np.stack([rows[found.assignment == number].sum(axis=0) for number in range(n_clusters)]))
    np.testing.assert_allclose(found.centers, means, atol=1e-5)
    assert found.assignment.dtype == np.int64
    assert found.centers.dtype == np.float32


@pytest.mark.parametrize("seed", range(8))
def test_small_problems_are_solved_to_the_optimum(seed) -> None:
    rows = random_unit_rows(9, 3, seed)
    assert cluster(rows, 3, restarts=20).objective == pytest.approx(optimum(rows, 3), abs=1e-6)


@pytest.mark.parametrize("fast", [True, False], ids=["bfloat16", "float32"])
@pytest.mark.parametrize("cone", [0.0, 5.0])
def test_groups_are_found_in_both_precisions(fast, cone, monkeypatch) -> None:
    # In the cone all cosines are above 0.96, where neighboring bfloat16 numbers are 0.004 apart.
    monkeypatch.setattr(module, "multiplies_bfloat16", lambda: fast)
    rows, truth = groups(12, 40, spread=0.03, cone=cone)
    assert adjusted_rand_score(truth, cluster(rows, 12, restarts=3).assignment) == 1


def test_bfloat16_costs_no_objective(monkeypatch) -> None:
    rows, _ = groups(20, 60, spread=0.12, cone=1.0)
    objectives = {}
    for fast in (True, False):
        monkeypatch.setattr(module, "multiplies_bfloat16", lambda fast=fast: fast)
        objectives[fast] = cluster(rows, 20, restarts=6).objective
    assert objectives[True] == pytest.approx(objectives[False], abs=1e-3)


@given(few=st.integers(1, 4), more=st.integers(1, 4), seed=st.integers(0, 99))
def test_more_restarts_are_never_worse(few, more, seed) -> None:
    rows = random_unit_rows(30, 5, seed)
    better = cluster(rows, 6, restarts=few + more, seed=seed).objective
    assert better >= cluster(rows, 6, restarts=few, seed=seed).objective - 1e-6


def test_the_seed_decides_everything() -> None:
    rows = random_unit_rows(200, 8, 0)
    first, again, other = cluster(rows, 15), cluster(rows, 15), cluster(rows, 15, seed=1)
    np.testing.assert_array_equal(first.assignment, again.assignment)
    np.testing.assert_array_equal(first.centers, again.centers)
    assert not np.array_equal(first.assignment, other.assignment)


def test_chunking_never_changes_the_result(monkeypatch) -> None:
    rows, truth = groups(5, 30, spread=0.05)
    whole = cluster(rows, 5)
    monkeypatch.setattr(module, "CHUNK_ELEMENTS", 40)
    assert adjusted_rand_score(whole.assignment, cluster(rows, 5).assignment) == 1
    assert adjusted_rand_score(whole.assignment, truth) == 1


def test_one_cluster_has_the_unit_mean_for_its_center() -> None:
    rows = random_unit_rows(20, 4, 3) + np.float32(0.5)
    found = cluster(unit_rows(rows), 1)
    np.testing.assert_allclose(found.centers, unit_rows(unit_rows(rows).sum(axis=0, keepdims=True)), atol=1e-6)


def test_as_many_clusters_as_rows_gives_each_its_own() -> None:
    rows = random_unit_rows(25, 10, 4)
    found = cluster(rows, 25)
    assert sorted(found.assignment) == list(range(25))
    assert found.objective == pytest.approx(1, abs=1e-6)


@given(copies=st.lists(st.integers(1, 6), min_size=1, max_size=4), extra=st.integers(1, 3), seed=st.integers(0, 20))
def test_clusters_may_outnumber_the_distinct_rows(copies, extra, seed) -> None:
    distinct = random_unit_rows(len(copies), 5, seed)
    origin = np.repeat(np.arange(len(copies)), copies)
    found = cluster(distinct[origin], min(len(copies) + extra, len(origin)), seed=seed)
    assert np.isfinite(found.centers).all()
    np.testing.assert_allclose(np.linalg.norm(found.centers, axis=1), 1, atol=1e-5)
    # Which of several equal centers a row gets is rounding, but no cluster mixes different rows.
    assert all(len(set(origin[found.assignment == number])) <= 1 for number in range(len(found.centers)))
    assert found.objective == pytest.approx(1, abs=1e-5)


def test_rows_that_cancel_out_leave_a_center() -> None:
    rows = np.array([[1, 0], [-1, 0]], dtype=np.float32)
    found = cluster(rows, 1)
    np.testing.assert_allclose(np.linalg.norm(found.centers, axis=1), 1)
    assert found.objective == pytest.approx(0, abs=1e-6)


def test_an_empty_cluster_restarts_at_the_worst_served_row() -> None:
    rows, truth = groups(3, 10, spread=0.02)
    # The first two centers are one: without a restart the second cluster would stay empty.
    start = rows[[0, 0, 10]].copy()
    tensor = torch.from_numpy(rows)
    found = module.improve(tensor, tensor, start, max_iterations=50)
    assert adjusted_rand_score(truth, found.assignment) == 1


def test_max_iterations_bounds_the_rounds() -> None:
    rows = random_unit_rows(300, 8, 0)
    found = spherical_kmeans(rows, n_clusters=20, restarts=2, max_iterations=2, seed=0)
    assert found.iterations <= 2
    assert found.objective < cluster(rows, 20, restarts=2).objective


def test_the_rows_are_left_as_they_were_and_may_be_read_only() -> None:
    rows = random_unit_rows(30, 5, 0)
    before = rows.copy()
    rows.flags.writeable = False
    cluster(rows, 4)
    np.testing.assert_array_equal(rows, before)


def test_progress_counts_restarts() -> None:
    told: list[tuple[int, int]] = []
    spherical_kmeans(
        random_unit_rows(10, 3, 0),
        n_clusters=2,
        restarts=3,
        max_iterations=5,
        seed=0,
        progress=lambda *at: told.append(at),
    )
    assert told == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_clusters": 0}, "n_clusters must be from 1 to the number of rows, 5; got 0"),
        ({"n_clusters": 6}, "n_clusters must be from 1 to the number of rows, 5; got 6"),
        ({"restarts": 0}, "restarts must be at least 1; got 0"),
        ({"max_iterations": 0}, "max_iterations must be at least 1; got 0"),
    ],
)
def test_impossible_counts_are_refused(change, message) -> None:
    counts = {"n_clusters": 2, "restarts": 2, "max_iterations": 10} | change
    with pytest.raises(InputError, match=message):
        spherical_kmeans(random_unit_rows(5, 3, 0), seed=0, **counts)
