"""Unit rows: of rows of any finite length, and what is refused."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tac_pipeline.arrays import require_unit_rows, scaled_unit_rows, unit_rows
from tac_pipeline.errors import InputError

ROWS = np.array([[3.0, -4.0, 0.0], [1.0, 2.0, 2.0]])
UNIT = [[0.6, -0.8, 0.0], [1 / 3, 2 / 3, 2 / 3]]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int8, np.int64])
def test_rows_become_unit_rows(dtype: type) -> None:
    for found in (require_unit_rows(ROWS.astype(dtype), name="rows"), unit_rows(ROWS.astype(dtype))):
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, UNIT, atol=1e-7)


@pytest.mark.parametrize("length", [1e-44, 1e-30, 1e-20, 1e-8, 1e18, 1.8e19, 1e20, 1e30, 3e37])
def test_the_length_of_a_finite_row_does_not_matter(length: float) -> None:
    """The square of a float32 above 1.8e19 is infinite, below 1e-22 it is zero."""
    # Powers of two, so that numbers below the smallest usual float32 are exact too.
    rows = np.array([[4.0, -4.0, 0.0, 2.0], [0.0, 8.0, 0.0, 0.0]]) * 2.0 ** round(np.log2(length))
    expected = [[2 / 3, -2 / 3, 0, 1 / 3], [0, 1, 0, 0]]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for given_rows in (rows.astype(np.float32), rows):
            np.testing.assert_allclose(require_unit_rows(given_rows, name="rows"), expected, atol=1e-7)
            np.testing.assert_allclose(unit_rows(given_rows), expected, atol=1e-7)


@pytest.mark.parametrize("length", [1e-300, 1e-200, 1e40, 1e200, 1e307])
def test_numbers_that_only_float64_has_are_rows_too(length: float) -> None:
    np.testing.assert_allclose(require_unit_rows(ROWS * length, name="rows"), UNIT, atol=1e-7)
    np.testing.assert_allclose(scaled_unit_rows(ROWS * length), UNIT)


@given(st.integers(1, 6), st.integers(0, 99))
def test_usual_rows_have_the_bits_that_they_always_had(n_rows: int, seed: int) -> None:
    rows = np.random.default_rng(seed).normal(size=(n_rows, 5)).astype(np.float32)
    plain = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    assert unit_rows(rows).tobytes() == require_unit_rows(rows, name="rows").tobytes() == plain.tobytes()


def test_a_zero_row_stays_zero_or_is_refused_by_its_number() -> None:
    rows = np.array([[1e30, 0], [0, 0], [-0.0, 0]], dtype=np.float32)
    assert unit_rows(rows).tolist() == [[1, 0], [0, 0], [0, 0]]
    with pytest.raises(
        InputError, match="vectors must not hold zero vectors; 2 of 3 rows are zero, the first is row 1"
    ):
        require_unit_rows(rows, name="vectors")


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_row_that_is_not_finite_is_refused_by_its_number(bad: float) -> None:
    rows = np.ones((4, 2))
    rows[2, 1] = bad
    with pytest.raises(InputError, match="must be finite; 1 of 4 rows hold NaN or infinity, the first is row 2"):
        require_unit_rows(rows, name="vectors")


@pytest.mark.parametrize(
    ("given_rows", "message"),
    [
        ([["a"]], "must be a matrix of numbers; got list"),
        ([[1.0], [1.0, 2.0]], "must be a matrix of numbers"),
        ([1.0, 2.0], r"got shape \(2,\)"),
        (np.ones((0, 3)), r"got shape \(0, 3\)"),
        (np.ones((3, 0)), r"got shape \(3, 0\)"),
    ],
)
def test_what_is_no_matrix_is_refused(given_rows: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        require_unit_rows(given_rows, name="rows")
