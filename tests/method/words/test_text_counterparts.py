"""Text counterparts and their weights against a plain version."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference import plain_counterparts, plain_weights, random_unit_rows

from tac_pipeline.errors import InputError
from tac_pipeline.method.words.text_counterparts import (
    choose_tau,
    count_nouns_heard,
    retrieval_weights,
    retrieve_text_counterparts,
)


@given(
    n_images=st.integers(1, 12),
    n_nouns=st.integers(1, 10),
    tau=st.sampled_from([0.005, 0.05, 1.0]),
    chunk_rows=st.integers(1, 14),
    seed=st.integers(0, 99),
)
def test_they_equal_the_plain_version_in_any_chunks(n_images, n_nouns, tau, chunk_rows, seed) -> None:
    images, nouns = random_unit_rows(n_images, 7, seed), random_unit_rows(n_nouns, 7, seed + 1)
    found = retrieve_text_counterparts(images, nouns, tau=tau, chunk_rows=chunk_rows)
    np.testing.assert_allclose(found, plain_counterparts(images, nouns, tau), atol=2e-4)
    assert found.dtype == np.float32
    weights = np.concatenate([part for _, part in retrieval_weights(images, nouns, tau=tau, chunk_rows=chunk_rows)])
    np.testing.assert_allclose(weights, plain_weights(images, nouns, tau), atol=2e-4)
    np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-5)


@given(seed=st.integers(0, 99))
def test_permuting_images_permutes_counterparts_and_permuting_nouns_changes_nothing(seed) -> None:
    images, nouns = random_unit_rows(9, 6, seed), random_unit_rows(5, 6, seed + 1)
    order, shuffled = np.random.default_rng(seed).permutation(9), np.random.default_rng(seed).permutation(5)
    found = retrieve_text_counterparts(images, nouns, tau=0.1)
    np.testing.assert_allclose(retrieve_text_counterparts(images[order], nouns, tau=0.1), found[order], atol=1e-5)
    np.testing.assert_allclose(retrieve_text_counterparts(images, nouns[shuffled], tau=0.1), found, atol=1e-5)


def test_the_smallest_tau_takes_the_nearest_noun_and_a_large_one_all_alike() -> None:
    images, nouns = random_unit_rows(20, 8, 0), random_unit_rows(6, 8, 1)
    nearest = nouns[(images @ nouns.T).argmax(axis=1)]
    smallest = float(np.finfo(np.float32).tiny)
    np.testing.assert_allclose(retrieve_text_counterparts(images, nouns, tau=smallest), nearest, atol=1e-6)
    mean = nouns.mean(axis=0) / np.linalg.norm(nouns.mean(axis=0))
    np.testing.assert_allclose(retrieve_text_counterparts(images, nouns, tau=1e4), np.tile(mean, (20, 1)), atol=1e-3)


@pytest.mark.parametrize("tau", [0.0, -0.1, 1e-45, float("nan"), float("inf")])
def test_a_tau_that_cannot_divide_is_refused_at_once(tau) -> None:
    rows = random_unit_rows(3, 4, 0)
    with pytest.raises(InputError, match="tau must be > 0; got"):
        retrieve_text_counterparts(rows, rows, tau=tau)
    with pytest.raises(InputError, match="tau must be > 0; got"):
        retrieval_weights(rows, rows, tau=tau, chunk_rows=2)


def test_vectors_of_two_encoders_are_refused() -> None:
    with pytest.raises(InputError, match="image_embeddings and noun_embeddings must have the same width; got 4 and 5"):
        retrieve_text_counterparts(random_unit_rows(3, 4, 0), random_unit_rows(3, 5, 0), tau=0.1)


def test_progress_counts_images() -> None:
    told: list[tuple[int, int]] = []
    rows = random_unit_rows(5, 4, 0)
    retrieve_text_counterparts(rows, rows, tau=0.1, chunk_rows=2, progress=lambda *at: told.append(at))
    assert told == [(2, 5), (4, 5), (5, 5)]


def test_the_nouns_heard_are_one_where_tau_is_small_and_all_where_it_is_large() -> None:
    images, nouns = random_unit_rows(30, 8, 0), random_unit_rows(6, 8, 1)
    np.testing.assert_allclose(count_nouns_heard(images, nouns, tau=1e-6), 1, atol=1e-5)
    np.testing.assert_allclose(count_nouns_heard(images, nouns, tau=1e6), 6, atol=1e-3)
    weights = plain_weights(images, nouns, 0.2)
    np.testing.assert_allclose(
        count_nouns_heard(images, nouns, tau=0.2, chunk_rows=7), np.prod(weights**-weights, axis=1), rtol=1e-3
    )


def test_tau_follows_the_spread_of_the_cosines() -> None:
    images, nouns = random_unit_rows(300, 16, 0), random_unit_rows(40, 16, 1)
    cosines = images @ nouns.T
    wanted = 1.5 * (cosines - cosines.mean(axis=0)).std()
    assert choose_tau(images, nouns, per_spread=1.5, max_images=300) == pytest.approx(wanted, rel=1e-5)
    # A part of the images is enough, and a narrower cone gives a lower temperature.
    assert choose_tau(images, nouns, per_spread=1.5, max_images=100) == pytest.approx(wanted, rel=0.1)
    narrow = images + 3 * images.mean(axis=0) + 2
    narrow /= np.linalg.norm(narrow, axis=1, keepdims=True)
    assert choose_tau(narrow.astype(np.float32), nouns, per_spread=1.5, max_images=300) < wanted / 2


def test_tau_of_images_that_are_all_equal_is_usable() -> None:
    images = np.repeat(random_unit_rows(1, 8, 0), 5, axis=0)
    assert choose_tau(images, random_unit_rows(3, 8, 1), per_spread=1.5, max_images=10) == 1.0
