"""A balanced sample: equality with plain water filling, and how little one more row changes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tac_pipeline.method.balanced_sample import count_cells, draw_evenly, find_cells, nearest_cells

CELLS = st.lists(st.integers(0, 4), min_size=1, max_size=40)


def hashes(n_rows: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).permutation(n_rows).astype(np.uint64)


def drawn_from(cells: list[int], order: np.ndarray, count: int) -> set[int]:
    """The hashes of the drawn rows, by which rows are told apart here."""
    return set(order[draw_evenly(np.array(cells, dtype=np.int32), order, count=count)].tolist())


def plain_counts(cells: list[int], count: int) -> list[int]:
    """What each cell gives below the highest cap that keeps the sum within count."""
    sizes = np.bincount(cells, minlength=5)
    cap = max(cap for cap in range(len(cells) + 1) if np.minimum(sizes, cap).sum() <= count)
    return np.minimum(sizes, cap).tolist()


@given(cells=CELLS, share=st.floats(0, 1), seed=st.integers(0, 9))
def test_it_is_water_filling_by_the_lowest_hash(cells: list[int], share: float, seed: int) -> None:
    order, count = hashes(len(cells), seed), round(share * len(cells))
    rows = draw_evenly(np.array(cells, dtype=np.int32), order, count=count)
    assert len(set(rows)) == count
    assert rows.tolist() == sorted(rows)
    given_by = np.bincount(np.array(cells)[rows], minlength=5)
    rest = given_by - plain_counts(cells, count)
    assert rest.min() >= 0
    assert rest.max() <= 1, "the last row of some cells fills the sample up"
    for cell in range(5):
        own = sorted(order[np.array(cells) == cell])
        assert set(order[rows][np.array(cells)[rows] == cell]) == set(own[: given_by[cell]])


@given(cells=CELLS, new=st.integers(0, 4), share=st.floats(0, 1), seed=st.integers(0, 9))
def test_one_more_row_takes_the_place_of_at_most_one(cells: list[int], new: int, share: float, seed: int) -> None:
    order = hashes(len(cells) + 1, seed)
    count = round(share * len(cells))
    before, after = drawn_from(cells, order[:-1], count), drawn_from([*cells, new], order, count)
    assert len(after - before) == len(before - after) <= 1


def test_rows_that_are_asked_for_come_first_and_count_as_their_cells() -> None:
    cells, order = np.repeat([0, 1], 10).astype(np.int32), np.arange(20, dtype=np.uint64)
    asked = np.zeros(20, dtype=bool)
    asked[[7, 8, 9]] = True
    assert draw_evenly(cells, order, count=6, first=asked).tolist() == [7, 8, 9, 10, 11, 12]
    assert draw_evenly(cells, order, count=3, first=asked).tolist() == [7, 8, 9]


def test_cells_are_as_many_as_the_sample_can_fill() -> None:
    assert [count_cells(2, 100), count_cells(10_000, 100), count_cells(3_000, 10_000)] == [1, 100, 1_000]
    assert count_cells(200_000, 100_000) == 2_000


def test_a_rare_group_far_from_others_has_a_cell_of_its_own() -> None:
    generator = np.random.default_rng(0)
    rows = np.eye(8)[np.repeat([0, 1], [390, 10])] + 0.1 * generator.normal(size=(400, 8))
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    centers = find_cells(rows, n_cells=4, seed=0)
    assert np.linalg.norm(centers, axis=1) == pytest.approx(1, abs=1e-5)
    cells = nearest_cells(rows, centers)
    assert len(set(cells[390:])) == 1
    assert cells[390] not in set(cells[:390])
