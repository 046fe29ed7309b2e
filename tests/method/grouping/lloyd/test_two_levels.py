"""k-means on two levels: what cells get, what the search in the nearest finds, and how near to one level it ends."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from reference import random_unit_rows
from sklearn.metrics import adjusted_mutual_info_score

from tac_pipeline.arrays import unit_rows
from tac_pipeline.method.grouping.lloyd import two_levels
from tac_pipeline.method.grouping.lloyd.rounds import KMeansResult, nearest_center
from tac_pipeline.method.grouping.lloyd.two_levels import NearSearch, count_levels, nearest_cells, share_out
from tac_pipeline.method.grouping.spherical_kmeans import spherical_kmeans
from tac_pipeline.method.grouping.ward import ward_kmeans

GROUPS = 64


def from_random(rows: np.ndarray, **asked) -> KMeansResult:
    return spherical_kmeans(rows, restarts=2, max_iterations=100, seed=0, **asked)


def from_ward(rows: np.ndarray, **asked) -> KMeansResult:
    return ward_kmeans(rows, seed=0, **asked)


@pytest.fixture(scope="module")
def grouped() -> tuple[np.ndarray, np.ndarray]:
    """Rows around groups around kinds, so near that cells cut through groups, and their groups."""
    generator = np.random.default_rng(0)
    kinds = generator.normal(size=(8, 16))
    centers = kinds[np.arange(GROUPS) % 8] + 0.7 * generator.normal(size=(GROUPS, 16))
    truth = generator.integers(GROUPS, size=1500)
    return unit_rows(centers[truth] + 0.25 * generator.normal(size=(1500, 16))), truth


# Ward's trees say how many groups each cell has; by what rows lose, some cells get a cluster too many.
@pytest.mark.parametrize(("start", "less"), [(from_random, 0.02), (from_ward, 0.0005)])
def test_two_levels_end_about_where_one_does(start: Callable[..., KMeansResult], less: float, grouped) -> None:
    rows, truth = grouped
    flat, found = start(rows, n_clusters=GROUPS), start(rows, n_clusters=GROUPS, levels=2)
    assert found.objective > flat.objective - less
    agreed = adjusted_mutual_info_score(truth, found.assignment)
    assert agreed > adjusted_mutual_info_score(truth, flat.assignment) - 20 * less
    assert np.bincount(found.assignment, minlength=GROUPS).min() > 0
    cosines = rows @ found.centers.T
    own = cosines[np.arange(len(rows)), found.assignment]
    np.testing.assert_allclose(own, cosines.max(axis=1), atol=1e-6)
    assert found.objective == pytest.approx(own.mean(), abs=1e-6)


@pytest.mark.parametrize("start", [spherical_kmeans, ward_kmeans])
def test_the_seed_decides_everything(start: Callable[..., KMeansResult], grouped) -> None:
    asked = {"n_clusters": 25, "levels": 2} | (
        {"restarts": 1, "max_iterations": 50} if start is spherical_kmeans else {}
    )
    first, again, other = (start(grouped[0][:400], seed=seed, **asked) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.centers, again.centers)
    np.testing.assert_array_equal(first.assignment, again.assignment)
    assert not np.array_equal(first.assignment, other.assignment)


def test_the_search_is_the_same_by_any_number_of_threads() -> None:
    rows, cells, centers = (random_unit_rows(n, 32, n) for n in (20_000, 6, 90))
    near, tensor = search(rows, cells, 2), torch.from_numpy(rows).to(torch.bfloat16)
    threads = torch.get_num_threads()
    found = near(tensor, centers)
    try:
        torch.set_num_threads(1 + threads % 2)
        again = near(tensor, centers)
    finally:
        torch.set_num_threads(threads)
    np.testing.assert_array_equal(found, again)


@pytest.mark.parametrize("start", [from_random, from_ward])
@pytest.mark.parametrize("n_clusters", [1, 2, 30])
def test_clusters_may_outnumber_the_distinct_rows(start: Callable[..., KMeansResult], n_clusters: int) -> None:
    rows = np.repeat(random_unit_rows(5, 4, 0), 6, axis=0)
    found = start(rows, n_clusters=n_clusters, levels=2)
    assert found.centers.shape == (n_clusters, 4)
    np.testing.assert_allclose(np.linalg.norm(found.centers, axis=1), 1, atol=1e-5)
    if n_clusters == 30:
        assert found.objective == pytest.approx(1, abs=1e-5)


def test_progress_counts_cells() -> None:
    told: list[tuple[int, int]] = []
    from_random(random_unit_rows(80, 6, 0), n_clusters=16, levels=2, progress=lambda *done: told.append(done))
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]


@given(
    cells=st.lists(st.tuples(st.integers(0, 40), st.floats(0, 5)), min_size=1, max_size=9),
    part=st.floats(0, 1),
)
def test_shares_add_up_and_fit_their_cells(cells: list[tuple[int, float]], part: float) -> None:
    sizes, lost = np.array([size for size, _ in cells]), np.array([loss for _, loss in cells])
    fewest, most = int((sizes > 0).sum()), int(sizes.sum())
    if not most:
        return
    total = fewest + round(part * (most - fewest))
    counts = share_out(sizes, lost, total)
    assert counts.sum() == total
    assert (counts <= sizes).all()
    assert (counts >= np.minimum(sizes, 1)).all()


def test_shares_follow_what_is_lost() -> None:
    sizes = np.array([100, 100, 100, 0, 3])
    np.testing.assert_array_equal(share_out(sizes, np.array([6.0, 3.0, 1.0, 0.0, 0.0]), 21), [12, 6, 2, 0, 1])
    # What a small cell cannot take goes to others.
    assert share_out(sizes, np.array([1.0, 1.0, 1.0, 0.0, 90.0]), 21)[4] == 3
    np.testing.assert_array_equal(share_out(sizes[:3], np.zeros(3), 6), [2, 2, 2])


def search(rows: np.ndarray, cells: np.ndarray, count: int) -> NearSearch:
    return NearSearch(nearest_cells(rows, cells, count=count, device="cpu"), cells, device="cpu")


@given(seed=st.integers(0, 50))
def test_the_search_in_all_cells_finds_the_nearest_center(seed: int) -> None:
    rows, cells, centers = (random_unit_rows(n, 8, seed + n) for n in (60, 5, 23))
    tensor = torch.from_numpy(rows)
    np.testing.assert_array_equal(search(rows, cells, 5)(tensor, centers), nearest_center(tensor, centers))


def test_the_search_in_the_nearest_cell_finds_the_nearest_center_in_it() -> None:
    rows, cells, centers = (random_unit_rows(n, 8, n) for n in (60, 4, 30))
    own, owner = (rows @ cells.T).argmax(axis=1), (centers @ cells.T).argmax(axis=1)
    cosines = np.where(own[:, None] == owner, rows @ centers.T, -2)
    found = search(rows, cells, 1)(torch.from_numpy(rows), centers)
    np.testing.assert_array_equal(found, cosines.argmax(axis=1))
    assert (found != (rows @ centers.T).argmax(axis=1)).any()


def test_a_row_in_cells_without_a_center_is_compared_with_all() -> None:
    rows, cells = random_unit_rows(40, 6, 0), random_unit_rows(4, 6, 1)
    centers = unit_rows(cells[[0]] + 0.01 * random_unit_rows(3, 6, 2))
    tensor = torch.from_numpy(rows)
    np.testing.assert_array_equal(search(rows, cells, 1)(tensor, centers), nearest_center(tensor, centers))


def test_only_many_clusters_have_two_levels() -> None:
    assert [count_levels(count) for count in (1, two_levels.MANY_CLUSTERS, two_levels.MANY_CLUSTERS + 1)] == [1, 1, 2]
