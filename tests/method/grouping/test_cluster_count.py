"""The grid, the merging against trying all pairs, and the found number when the true one is known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference import random_unit_rows

from tac_pipeline.arrays import unit_rows
from tac_pipeline.errors import InputError
from tac_pipeline.method.grouping.cluster_count import (
    GRID_STEP,
    count_grid,
    estimate_cluster_count,
    merge_clusters,
    nearest_cosine,
    nested_kmeans,
)


def groups(n_groups: int, per_group: int, *, spread: float = 0.1, dim: int = 32, seed: int = 0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    rows = random_unit_rows(n_groups, dim, seed + 1)[np.repeat(np.arange(n_groups), per_group)]
    return unit_rows(rows + spread * generator.normal(size=rows.shape))


@given(fewest=st.integers(1, 50), more=st.integers(0, 400), step=st.floats(1.05, 3))
def test_the_grid_is_ascending_and_holds_its_bounds(fewest: int, more: int, step: float) -> None:
    found = count_grid(fewest, fewest + more, step=step)
    assert (found[0], found[-1]) == (fewest, fewest + more)
    assert (np.diff(found) > 0).all()
    assert (found[1:] / found[:-1] <= max(step**1.5, 2) + 1 / found[:-1]).all()


def plain_merge(sums: list[np.ndarray], count: int) -> list[np.ndarray]:
    """Join the pair that loses least, by trying all."""
    while len(sums) > count:
        _, i, j = min(
            (float(np.linalg.norm(a) + np.linalg.norm(b) - np.linalg.norm(a + b)), i, j)
            for i, a in enumerate(sums)
            for j, b in enumerate(sums)
            if i < j
        )
        sums = [total for number, total in enumerate(sums) if number not in (i, j)] + [sums[i] + sums[j]]
    return sums


@given(n_clusters=st.integers(1, 8), count=st.integers(1, 8), seed=st.integers(0, 99))
def test_merging_equals_the_plain_version(n_clusters: int, count: int, seed: int) -> None:
    count = min(count, n_clusters)
    sums = random_unit_rows(n_clusters, 5, seed) * np.random.default_rng(seed).integers(1, 9, size=(n_clusters, 1))
    found = merge_clusters(sums, count)
    expected = unit_rows(np.stack(plain_merge(list(sums.astype(np.float64)), count)))
    assert sorted(map(tuple, found.round(4))) == sorted(map(tuple, expected.round(4)))


def test_nested_fits_are_of_the_numbers_asked_for_and_never_worse_with_more() -> None:
    rows = groups(6, 30)
    counts = count_grid(2, 20, step=GRID_STEP)
    told: list[tuple[int, int]] = []
    fits = nested_kmeans(
        rows, counts, seed=0, max_iterations=20, refinements=10, progress=lambda done, of: told.append((done, of))
    )
    assert list(fits) == counts.tolist()
    assert [len(fit.centers) for fit in fits.values()] == counts.tolist()
    objectives = [fit.objective for fit in fits.values()]
    assert (np.diff(objectives) > -1e-3).all()
    assert told[-1] == (len(counts), len(counts))


@given(chunk_rows=st.integers(1, 12), seed=st.integers(0, 99))
def test_chunking_never_changes_the_cosine(chunk_rows: int, seed: int) -> None:
    rows, centers = random_unit_rows(10, 4, seed), random_unit_rows(3, 4, seed + 1)
    plain = np.mean([max(float(row @ center) for center in centers) for row in rows])
    assert nearest_cosine(rows, centers, chunk_rows=chunk_rows) == pytest.approx(plain, abs=1e-6)


@pytest.mark.parametrize(("n_groups", "per_group"), [(3, 40), (8, 60), (20, 40), (40, 40)])
def test_well_parted_groups_are_counted(n_groups: int, per_group: int) -> None:
    found = estimate_cluster_count(groups(n_groups, per_group), fewest=2, most=200, seed=0)
    assert n_groups / GRID_STEP <= found.count <= n_groups * GRID_STEP
    assert found.count == found.unbounded == found.counts[np.argmax(found.excess)]
    assert found.images == n_groups * per_group


def test_a_seed_makes_it_repeatable() -> None:
    rows = groups(5, 40, spread=0.3)
    one, two = (estimate_cluster_count(rows, fewest=2, most=50, seed=3) for _ in range(2))
    np.testing.assert_array_equal(one.held_out, two.held_out)


def test_bounds_hold_the_number_and_never_move_the_knee() -> None:
    rows = groups(12, 40)
    free = estimate_cluster_count(rows, fewest=2, most=200, seed=0)
    for fewest, most in ((2, 5), (20, 40), (2, 12)):
        bound = estimate_cluster_count(rows, fewest=fewest, most=most, seed=0)
        assert bound.unbounded == free.unbounded
        assert bound.count == np.clip(free.unbounded, fewest, most)


@pytest.mark.parametrize("n_rows", [2, 3, 5, 13])
def test_a_handful_of_images(n_rows: int) -> None:
    found = estimate_cluster_count(random_unit_rows(n_rows, 4, 0), fewest=2, most=200, seed=0)
    assert 2 <= found.count <= n_rows


def test_equal_images_are_two_groups_at_least_and_no_more() -> None:
    rows = np.tile(random_unit_rows(1, 8, 0), (40, 1))
    assert estimate_cluster_count(rows, fewest=2, most=10, seed=0).count == 2


@pytest.mark.parametrize(("fewest", "most"), [(1, 5), (6, 5), (11, 20)])
def test_bounds_that_cannot_be_are_refused(fewest: int, most: int) -> None:
    with pytest.raises(InputError, match=f"2 <= min <= max.*got {fewest}, {most} and 10 images"):
        estimate_cluster_count(random_unit_rows(10, 4, 0), fewest=fewest, most=most, seed=0)
