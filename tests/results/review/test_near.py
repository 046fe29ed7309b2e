"""Pairs of near-duplicates: those of comparing every pair, whatever cells there are and whatever comes first."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference import random_unit_rows

from tac_pipeline.results.review import near
from tac_pipeline.results.review.near import Cells, make_cells, pairs_in_cell, sketch


def found_in(decoded: np.ndarray, home: np.ndarray, new: np.ndarray, **limits: float) -> set[tuple[int, int]]:
    pairs, _ = pairs_in_cell(decoded, home, new, **limits)
    return {(min(pair), max(pair)) for pair in pairs.tolist()}


@given(
    seed=st.integers(0, 99), chunk_rows=st.integers(1, 9), similarity=st.floats(0.2, 1), dim=st.sampled_from([3, 90])
)
def test_pairs_by_the_plain_formula(seed: int, chunk_rows: int, similarity: float, dim: int) -> None:
    generator = np.random.default_rng(seed)
    # No row has more than NEAREST others.
    vectors = np.repeat(random_unit_rows(3, dim, seed), 5, axis=0) + 0.3 * random_unit_rows(15, dim, seed + 1)
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    home, new = generator.random(15) < 0.6, generator.random(15) < 0.5
    cosine = vectors @ vectors.T
    near.NEAREST, kept = 15, near.NEAREST
    try:
        found = found_in(vectors, home, new, similarity=similarity, chunk_rows=chunk_rows)
    finally:
        near.NEAREST = kept
    asked = {(i, j) for i in range(15) for j in range(i + 1, 15) if (new[i] or new[j]) and (home[i] or home[j])}
    assert {pair for pair in asked if cosine[pair] >= similarity + 1e-4} <= found
    assert found <= {pair for pair in asked if cosine[pair] >= similarity - 1e-4}


@pytest.mark.parametrize("dim", [8, 100])
def test_codes_keep_distances_and_sketches_never_add_to_them(dim: int) -> None:
    vectors = random_unit_rows(200, dim, 0)
    cells = make_cells(vectors, n_images=200)
    decoded = cells.decode(cells.code(vectors))
    true = np.linalg.norm(vectors[:100] - vectors[100:], axis=1)
    assert np.abs(np.linalg.norm(decoded[:100] - decoded[100:], axis=1) - true).max() < 0.03
    short = sketch(decoded)
    assert short.shape[1] == min(dim, near.SKETCH + 1)
    assert (np.linalg.norm(short[:100] - short[100:], axis=1) <= true + 0.03).all()


def test_a_sample_of_one_image_leaves_room_for_others() -> None:
    later = random_unit_rows(50, 16, 1)
    cells = make_cells(random_unit_rows(1, 16, 0), n_images=1)
    twice = cells.decode(cells.code(np.concatenate([later, later[:5]])))
    every = np.ones(55, dtype=bool)
    found = found_in(twice, every, every, similarity=0.95, rounding=cells.rounding)
    assert found == {(n, 50 + n) for n in range(5)}


def test_the_two_of_a_pair_share_a_cell() -> None:
    generator = np.random.default_rng(0)
    vectors = random_unit_rows(12_000, 16, 0)
    copies = vectors[:2000] + 0.15 * random_unit_rows(2000, 16, 1)
    copies /= np.linalg.norm(copies, axis=1, keepdims=True)
    cells = make_cells(vectors[generator.permutation(12_000)[:10_000]], n_images=12_000)
    assert len(cells.centers) == 219
    one, other = (cells.places(cells.code(side), similarity=0.98) for side in (vectors[:2000], copies))
    shared = ((one[:, :1] == other) | (other[:, :1] == one)).any(axis=1)
    alone = (one[:, 0] == other[:, 0]).mean()
    assert shared.mean() > 0.99 > alone
    assert (one >= 0).sum(axis=1).mean() < 3


def test_a_film_is_one_group_of_few_pairs() -> None:
    steps = np.cumsum(random_unit_rows(400, 8, 3) * 0.002, axis=0)
    frames = (random_unit_rows(1, 8, 0) + steps).astype(np.float32)
    frames /= np.linalg.norm(frames, axis=1, keepdims=True)
    every = np.ones(400, dtype=bool)
    pairs, cosines = pairs_in_cell(frames, every, every, similarity=0.98)
    assert len(pairs) <= 400 * (near.NEAREST + 1)
    reached, border = {0}, {0}
    while border:
        border = {end for pair in pairs.tolist() for end in pair if border & set(pair)} - reached
        reached |= border
    assert len(reached) == 400
    assert cosines.min() >= 0.98 - 1e-5


def test_equal_images_are_pairs_at_the_highest_limit() -> None:
    vectors = random_unit_rows(20, 16, 0)
    cells = make_cells(vectors, n_images=20)
    twice = cells.decode(cells.code(np.concatenate([vectors, vectors[:3]])))
    every = np.ones(23, dtype=bool)
    found = found_in(twice, every, every, similarity=1.0, rounding=cells.rounding)
    assert found == {(0, 20), (1, 21), (2, 22)}


def test_where_there_is_one_cell_all_are_at_home() -> None:
    cells = Cells(
        np.eye(4, dtype=np.float32), np.zeros(4, np.float32), np.ones(4, np.float32), np.zeros((1, 0), np.float32)
    )
    assert cells.places(np.zeros((3, 4), dtype=np.int8), similarity=0.9).tolist() == [[0], [0], [0]]
