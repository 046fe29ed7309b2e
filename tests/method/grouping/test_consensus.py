"""Joining several clusterings: plain versions, relabeling, and what has no effect."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference import random_unit_rows, sharp_soft
from sklearn.metrics import adjusted_rand_score

from tac_pipeline.errors import InputError
from tac_pipeline.method.grouping.consensus import agreement, align_columns, join_members, join_neighbors, one_hot

STARTS = {"restarts": 5, "smallest_share": 0.25, "seed": 0}


@given(seed=st.integers(0, 50))
def test_aligning_undoes_a_permutation_of_columns(seed) -> None:
    soft = sharp_soft(40, 5, seed)
    order = np.random.default_rng(seed).permutation(5)
    np.testing.assert_array_equal(align_columns(soft, soft[:, order]), soft)
    assert agreement([soft, soft[:, order]]) == 1.0


def test_soft_assignments_of_two_shapes_are_refused() -> None:
    with pytest.raises(InputError, match="must have one shape"):
        align_columns(sharp_soft(4, 3, 0), sharp_soft(4, 2, 0))
    with pytest.raises(InputError, match="at least one"):
        join_members([], random_unit_rows(4, 3, 0), rows_weight=1.0, **STARTS)


def test_one_member_agrees_with_itself() -> None:
    assert agreement([sharp_soft(4, 3, 0)]) == 1.0


def test_members_outvote_one_that_errs_whatever_their_columns_are_called() -> None:
    truth = np.repeat(np.arange(4), 15)
    generator = np.random.default_rng(0)
    members = []
    for _ in range(5):
        answer = truth.copy()
        wrong = generator.choice(len(truth), 9, replace=False)
        answer[wrong] = generator.integers(4, size=len(wrong))
        members.append(one_hot(generator.permutation(4)[answer], n_clusters=4) * 0.9 + 0.025)
    rows = random_unit_rows(len(truth), 8, 1)
    joined = join_members([soft.astype(np.float32) for soft in members], rows, rows_weight=0.1, **STARTS)
    np.testing.assert_allclose(joined.sum(axis=1), 1, atol=1e-5)
    assert adjusted_rand_score(truth, joined.argmax(axis=1)) > 0.95


def test_an_image_that_members_place_apart_is_between_the_two() -> None:
    truth = np.repeat(np.arange(3), 20)
    second = truth.copy()
    second[0] = 1
    rows = np.eye(4, dtype=np.float32)[truth]
    sure = [one_hot(answer, n_clusters=3) for answer in (truth, second)]
    joined = join_members(sure, rows, rows_weight=1.0, **STARTS)
    own, other = joined[1].argmax(), joined[25].argmax()
    assert joined[0].argmax() == own
    assert joined[0, own] < 0.8 and joined[0, other] > 0.2
    assert joined[1, own] > 0.9


def test_a_member_whose_columns_are_renamed_changes_nothing() -> None:
    first, second, rows = sharp_soft(40, 4, 0), sharp_soft(40, 4, 1), random_unit_rows(40, 6, 0)
    asked = {"rows_weight": 1.0, **STARTS}
    plain = join_members([first, second], rows, **asked).argmax(axis=1)
    renamed = join_members([first, second[:, [2, 0, 3, 1]]], rows, **asked).argmax(axis=1)
    assert adjusted_rand_score(plain, renamed) > 0.99


def test_two_odd_images_get_no_cluster_of_their_own_where_a_better_spread_answer_is_known() -> None:
    """By its objective alone, k-means would use a cluster for a few odd images and merge two groups."""
    truth = np.repeat(np.arange(3), 40)
    rows = np.eye(8, dtype=np.float32)[truth]
    rows[:40] += np.float32(0.1) * np.eye(8, dtype=np.float32)[1]
    rows[[0, 1]] = -np.eye(8, dtype=np.float32)[5]
    member = (one_hot(truth, n_clusters=3) * 0.4 + 0.2).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    joined = join_members([member], rows, rows_weight=5.0, **STARTS)
    assert np.bincount(joined.argmax(axis=1), minlength=3).min() >= 10


@given(rounds=st.integers(0, 3), seed=st.integers(0, 20))
def test_joined_votes_are_those_of_a_plain_loop(rounds, seed) -> None:
    votes = sharp_soft(9, 3, seed)
    neighbors = np.random.default_rng(seed).integers(9, size=(9, 4))
    plain = votes
    for _ in range(rounds):
        plain = np.array([0.3 * votes[row] + 0.7 * plain[neighbors[row]].mean(axis=0) for row in range(9)])
    joined = join_neighbors(votes, neighbors, rounds=rounds, own=0.3)
    np.testing.assert_allclose(joined, plain, atol=1e-6)
    np.testing.assert_allclose(joined.sum(axis=1), 1, atol=1e-5)
