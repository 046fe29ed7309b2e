"""From soft assignments to clusters."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference import random_soft

from tac_pipeline.errors import InputError
from tac_pipeline.method.heads.assignment import assign


@given(n_rows=st.integers(0, 20), n_clusters=st.integers(2, 6), seed=st.integers(0, 99))
def test_the_two_likeliest_columns(n_rows, n_clusters, seed) -> None:
    soft = random_soft(n_rows, n_clusters, seed).detach().numpy().astype(np.float32)
    before = soft.copy()
    found = assign(soft)
    order = np.argsort(-soft, axis=1)
    np.testing.assert_array_equal(found.column, order[:, 0])
    np.testing.assert_array_equal(found.runner_up, order[:, 1])
    np.testing.assert_array_equal(found.confidence, soft.max(axis=1))
    if n_rows:
        best, second = np.sort(soft, axis=1)[:, -1], np.sort(soft, axis=1)[:, -2]
        np.testing.assert_allclose(found.margin, (best - second) / (best + second), rtol=1e-6)
    np.testing.assert_array_equal(soft, before)
    assert (found.column.dtype, found.confidence.dtype, found.runner_up.dtype) == (np.int64, np.float32, np.int64)


def test_the_first_of_equals_wins_and_the_runner_up_is_another() -> None:
    found = assign(np.array([[0.4, 0.4, 0.2], [1, 0, 0], [0, 0, 1]], dtype=np.float32))
    assert found.column.tolist() == [0, 0, 2]
    assert found.runner_up.tolist() == [1, 1, 0]
    assert found.margin.tolist() == [0, 1, 1]


def test_a_single_cluster_has_no_runner_up() -> None:
    with pytest.raises(InputError, match=r"at least two columns; got shape \(3, 1\)"):
        assign(np.ones((3, 1), dtype=np.float32))


def test_no_image_is_surer_than_its_cluster_can_be() -> None:
    soft = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]], dtype=np.float32)
    found = assign(soft, ceilings=np.array([0.7, 1.0], dtype=np.float32))
    np.testing.assert_allclose(found.confidence, [0.7, 0.8, 0.6])
    np.testing.assert_array_equal(found.column, assign(soft).column)
    np.testing.assert_allclose(found.margin, assign(soft).margin)
