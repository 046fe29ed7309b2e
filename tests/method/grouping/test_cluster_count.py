"""The grid, the near-duplicates, the choice, and the found number when the true one is known."""

import warnings

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference import random_unit_rows, scattered_groups

from tac_pipeline.arrays import require_unit_rows, unit_rows
from tac_pipeline.errors import InputError
from tac_pipeline.method.grouping import cluster_count
from tac_pipeline.method.grouping.cluster_count import (
    CountEstimate,
    count_grid,
    distinct_rows,
    estimate_cluster_count,
    few_decide,
    finest_of_the_best,
    number_of_few,
)


def estimate(rows: np.ndarray, *, fewest: int = 2, most: int = 200, seed: int = 0) -> CountEstimate:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return estimate_cluster_count(rows, fewest=fewest, most=most, seed=seed)


@given(fewest=st.integers(1, 50), more=st.integers(0, 400), step=st.floats(1.05, 3))
def test_the_grid_is_ascending_and_holds_its_bounds(fewest: int, more: int, step: float) -> None:
    found = count_grid(fewest, fewest + more, step=step)
    assert (found[0], found[-1]) == (fewest, fewest + more)
    assert (np.diff(found) > 0).all()
    assert (found[1:] / found[:-1] <= max(step**1.5, 2) + 1 / found[:-1]).all()


@given(chunk_rows=st.integers(1, 12), seed=st.integers(0, 99))
def test_a_row_is_distinct_without_a_near_duplicate_before_it(chunk_rows: int, seed: int) -> None:
    rows = random_unit_rows(10, 3, seed)
    plain = [i for i in range(10) if all(float(rows[i] @ rows[j]) < 0.9 for j in range(i))]
    assert distinct_rows(rows, similarity=0.9, chunk_rows=chunk_rows).tolist() == plain


@pytest.mark.parametrize(
    ("evidence", "error", "count"),
    [
        ([2.0, 0.9, 1.0, 0.5], 0.0, 4),  # the best of 3 and more
        ([0.1, 0.3, 1.0, 0.95], 0.1, 5),  # as good, and finer
        ([0.1, 1.0, 0.5, 0.95], 0.1, 3),  # only without a gap
    ],
)
def test_the_finest_of_the_best(evidence: list[float], error: float, count: int) -> None:
    assert finest_of_the_best(np.array([2, 3, 4, 5]), np.array(evidence), error=error) == count


@pytest.mark.parametrize(
    ("evidence", "of_few", "error", "decide"),
    [
        ([0.1, 0.3, 0.5], [0.2, 0.9], 0.0, True),
        ([0.1, 0.3, 0.5], [0.4, 0.4], 0.05, True),  # within two errors
        ([0.1, 0.3, 0.5], [0.3, 0.3], 0.05, False),
        ([-0.5, -0.2, 0.05], [-0.5, -0.5], 0.0, True),  # nothing shows anything
        ([0.1, 0.3, 0.7], [2.0, 2.0], 0.05, False),  # more groups show enough
    ],
)
def test_when_a_few_groups_decide(evidence: list[float], of_few: list[float], error: float, decide: bool) -> None:
    assert few_decide(np.array(evidence), np.array(of_few), error=error) is decide


@pytest.mark.parametrize(("of_few", "count"), [([0.5, 0.7, 0.6], 2), ([0.5, 0.7, 1.1], 4), ([-0.1, -0.3, -0.2], 2)])
def test_more_than_two_must_be_clear(of_few: list[float], count: int) -> None:
    assert number_of_few(np.array([2, 3, 4, 5]), np.array(of_few)) == count


@pytest.mark.parametrize(("n_groups", "per_group"), [(2, 60), (3, 40), (4, 40), (5, 40), (12, 40), (40, 40)])
def test_well_separated_groups_are_counted(n_groups: int, per_group: int) -> None:
    found = estimate(scattered_groups(n_groups, per_group))
    assert n_groups / 1.15 <= found.count <= n_groups * 1.15
    assert found.count == found.unbounded
    assert found.images == n_groups * per_group
    np.testing.assert_allclose(found.evidence, found.gaps.sum(axis=0), atol=1e-9)


def test_groups_of_groups_have_a_coarse_level() -> None:
    generator = np.random.default_rng(0)
    themes = np.repeat(random_unit_rows(4, 48, 1), 5, axis=0)
    kinds = np.repeat(unit_rows(themes + 0.09 * generator.normal(size=themes.shape)), 40, axis=0)
    found = estimate(unit_rows(kinds + 0.05 * generator.normal(size=kinds.shape)))
    assert found.coarse is not None
    assert found.coarse <= found.count / 2
    assert found.stability[found.counts == found.coarse] >= cluster_count.COARSE_STABILITY
    assert 20 / 1.3 <= found.count <= 20 * 1.3
    narrow = estimate(unit_rows(kinds + 0.05 * generator.normal(size=kinds.shape)), fewest=15)
    assert narrow.coarse is None


def test_noise_is_few_groups() -> None:
    found = estimate(random_unit_rows(600, 24, 0))
    assert found.count == 2
    assert found.evidence.max() < 0.1
    assert found.coarse is None


def test_the_order_of_the_images_never_matters(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = scattered_groups(5, 40, spread=0.2)
    shuffled = rows[np.random.default_rng(1).permutation(len(rows))]
    np.testing.assert_array_equal(estimate(rows).gaps, estimate(shuffled).gaps)
    monkeypatch.setattr(cluster_count, "MAX_IMAGES", 150)
    sampled = estimate(rows)
    assert sampled.images == 150
    np.testing.assert_array_equal(sampled.gaps, estimate(shuffled).gaps)


def test_a_seed_makes_it_repeatable_and_another_hardly_moves_it() -> None:
    rows = scattered_groups(6, 40, spread=0.2)
    one, two, other = (estimate(rows, seed=seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(one.evidence, two.evidence)
    assert not np.array_equal(one.evidence, other.evidence)
    assert max(one.count, other.count) <= 1.5 * min(one.count, other.count)


def test_bounds_hold_the_number_and_never_move_what_is_found() -> None:
    rows = scattered_groups(12, 20)
    free = estimate(rows)
    for fewest, most in ((2, 5), (20, 40), (2, 12)):
        bound = estimate(rows, fewest=fewest, most=most)
        assert bound.unbounded == free.unbounded
        assert bound.count == np.clip(free.unbounded, fewest, most)


def test_near_duplicates_count_once() -> None:
    rows = scattered_groups(4, 40)
    generator = np.random.default_rng(0)
    copies = np.repeat(rows[:30], 12, axis=0)
    clips = unit_rows(copies + 1e-3 * generator.normal(size=copies.shape))
    found = estimate(np.concatenate([rows, clips]))
    assert found.images == len(rows)
    assert found.count == estimate(rows).count == 4


@pytest.mark.parametrize("n_rows", [2, 3, 5, 13, 20, 24])
def test_a_handful_of_images(n_rows: int) -> None:
    assert 2 <= estimate(random_unit_rows(n_rows, 4, 0)).count <= 3


def test_fewer_images_than_dimensions() -> None:
    assert estimate(scattered_groups(3, 20, spread=0.03, dim=300)).count == 3


@pytest.mark.parametrize(("different", "count"), [(1, 2), (2, 2), (4, 4)])
def test_copies_of_a_few_images_are_as_many_groups(different: int, count: int) -> None:
    rows = np.repeat(random_unit_rows(different, 8, 0), 40, axis=0)
    assert estimate(rows).count == count
    assert estimate(rows, fewest=3, most=3).count == 3


def test_one_group_of_nine_tenths() -> None:
    small = scattered_groups(4, 15, seed=5)
    large = unit_rows(random_unit_rows(1, 32, 9) + 0.1 * np.random.default_rng(0).normal(size=(540, 32)))
    assert 2 <= estimate(np.concatenate([large, small])).count <= 10


def test_progress_reaches_its_end() -> None:
    told: list[tuple[int, int]] = []
    rows = scattered_groups(3, 20)
    estimate_cluster_count(rows, fewest=2, most=9, seed=0, progress=lambda done, of: told.append((done, of)))
    assert [done for done, _ in told] == list(range(1, told[-1][1] + 1))


@pytest.mark.parametrize(("fewest", "most"), [(1, 5), (6, 5), (11, 20)])
def test_bounds_that_cannot_be_are_refused(fewest: int, most: int) -> None:
    with pytest.raises(InputError, match=f"2 <= min <= max.*got {fewest}, {most} and 10 images"):
        estimate_cluster_count(random_unit_rows(10, 4, 0), fewest=fewest, most=most, seed=0)


@pytest.mark.parametrize(("name", "true"), [("cifar10_500", 10), ("food10", 10)])
def test_real_tables_within_a_factor_of_one_and_a_half(reference_data, name: str, true: int) -> None:
    path = reference_data / "clip-vit-b-32" / f"{name}.parquet"
    rows = require_unit_rows(pl.read_parquet(path)["embedding"].to_numpy(), name=name)
    assert true / 1.5 <= estimate(rows).count <= true * 1.5
