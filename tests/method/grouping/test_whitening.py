"""Whitening: by the total scatter, by the scatter within groups, and what cannot be whitened."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference import random_unit_rows

from tac_pipeline.errors import InputError
from tac_pipeline.method.grouping.whitening import whiten_by_total, whiten_within

SHARES = {"group_share": 0.5, "shrinkage": 0.3}


def plain_total(rows: np.ndarray, power: float) -> np.ndarray:
    """The whitened rows by the singular values of the centered rows, as the formula says."""
    left, values, right = np.linalg.svd(rows - rows.mean(axis=0), full_matrices=False)
    scaled = (left * values ** (1 - power)) @ right
    return scaled / np.linalg.norm(scaled, axis=1, keepdims=True)


def plain_within(rows: np.ndarray, neighbors: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Cosines of the rows in the space of the inverse of the shrunk scatter."""
    around = rows - rows[neighbors].mean(axis=1)
    own = rows - np.stack([rows[groups == group].mean(axis=0) for group in groups])
    scatters = [part.T @ part for part in (around, own)]
    within = sum(0.5 * scatter * len(scatter) / np.trace(scatter) for scatter in scatters)
    inverse = np.linalg.inv(0.7 * within + 0.3 * np.eye(len(within)))
    centered = rows - rows.mean(axis=0)
    products = centered @ inverse @ centered.T
    lengths = np.sqrt(np.diag(products))
    return products / lengths / lengths[:, None]


def some_neighbors(n_rows: int, count: int = 4) -> np.ndarray:
    return (np.arange(n_rows)[:, None] + np.arange(1, count + 1)) % n_rows


@pytest.mark.parametrize("power", [0.0, 0.3, 1.0])
def test_by_total_as_the_formula_says(power: float) -> None:
    rows = random_unit_rows(200, 12, 0) * np.linspace(1, 3, 12, dtype=np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    found = whiten_by_total(rows, power=power).apply(rows)
    # The product and its root: float32 rows, float64 eigenvalues.
    np.testing.assert_allclose(found @ found.T, plain_total(rows, power) @ plain_total(rows, power).T, atol=2e-4)


def test_within_as_the_formula_says() -> None:
    rows, groups = random_unit_rows(120, 10, 1), np.arange(120) % 4
    found = whiten_within(rows, some_neighbors(120), groups, **SHARES).apply(rows)
    np.testing.assert_allclose(found @ found.T, plain_within(rows, some_neighbors(120), groups), atol=1e-4)


def test_directions_in_which_neighbors_differ_count_less() -> None:
    """Two groups along one axis, and a wide noise along another that hides them from the cosine."""
    generator = np.random.default_rng(0)
    side = np.repeat([-1.0, 1.0], 100)
    rows = np.stack([side * 0.3, generator.normal(size=200), generator.normal(size=200) * 0.1 + 3], axis=1)
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    groups = (side > 0).astype(np.int64)
    neighbors = np.stack(
        [np.random.default_rng(row).choice(np.flatnonzero(side == side[row]), 5) for row in range(200)]
    )
    moved = whiten_within(rows, neighbors, groups, **SHARES).apply(rows)

    def apart(vectors: np.ndarray) -> float:
        same = (vectors @ vectors.T)[groups[:, None] == groups].mean()
        return float(same - (vectors @ vectors.T)[groups[:, None] != groups].mean())

    assert apart(moved) > 2 * apart(rows)


@given(seed=st.integers(0, 50), n_rows=st.integers(2, 30))
def test_the_whitened_rows_are_unit_rows_however_few_there_are(seed: int, n_rows: int) -> None:
    rows = random_unit_rows(n_rows, 16, seed)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for whitening in (
            whiten_by_total(rows, power=0.3),
            whiten_within(rows, some_neighbors(n_rows, 1), np.zeros(n_rows, dtype=np.int64), **SHARES),
        ):
            np.testing.assert_allclose(np.linalg.norm(whitening.apply(rows), axis=1), 1, atol=1e-5)


def test_equal_rows_stay_as_they_are() -> None:
    rows = np.repeat(random_unit_rows(1, 8, 0), 5, axis=0)
    for whitening in (whiten_by_total(rows, power=0.3), whiten_within(rows, some_neighbors(5, 2), **SHARES)):
        np.testing.assert_allclose(np.linalg.norm(whitening.apply(rows), axis=1), 1, atol=1e-5)


def test_what_cannot_be_whitened_is_refused() -> None:
    rows = random_unit_rows(10, 4, 0)
    with pytest.raises(InputError, match="at least one row"):
        whiten_by_total(rows[:0], power=0.3)
    with pytest.raises(InputError, match="shrinkage must be above 0 and at most 1; got 0"):
        whiten_within(rows, some_neighbors(10), group_share=0.5, shrinkage=0)
    with pytest.raises(InputError, match="same width; got 4 and 5"):
        whiten_by_total(rows, power=0.3).apply(random_unit_rows(3, 5, 0))
