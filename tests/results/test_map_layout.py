"""The map: a sample laid out, and the others placed by it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_store import grouped_vectors

from tac_pipeline.results.map_layout import LISTED_SAMPLE, MANY_IMAGES, lay_out, place, placing_index


def test_groups_lie_apart_and_the_seed_decides() -> None:
    vectors, truth = grouped_vectors(groups=4, per_group=30)
    found = lay_out(vectors, seed=0)
    assert found.dtype == np.float32
    assert found.shape == (120, 2)
    assert np.array_equal(found, lay_out(vectors, seed=0))
    centers = np.stack([found[truth == group].mean(axis=0) for group in range(4)])
    nearest = np.linalg.norm(found[:, np.newaxis] - centers, axis=2).argmin(axis=1)
    assert (nearest == truth).mean() > 0.98
    span = found.max(axis=0) - found.min(axis=0)
    assert 0.9 < span.max() < 1.2


@pytest.mark.parametrize("n", [0, 1, 2, 3, 4, 7])
def test_very_few_images(n: int) -> None:
    found = lay_out(grouped_vectors()[0][:n], seed=0)
    assert found.shape == (n, 2)
    assert np.isfinite(found).all()


def test_equal_images_and_one_component() -> None:
    assert np.isfinite(lay_out(np.ones((9, 1), dtype=np.float32), seed=0)).all()
    assert np.isfinite(lay_out(np.tile(np.eye(3, dtype=np.float32)[:1], (9, 1)), seed=0)).all()


@given(seed=st.integers(0, 99), chunk_rows=st.integers(1, 9), n_sample=st.integers(1, 8))
def test_placing_by_the_plain_formula(seed: int, chunk_rows: int, n_sample: int) -> None:
    from tac_pipeline.results.map_layout import NEARBY, PLACED_BY, PLACING_SCALE

    generator = np.random.default_rng(seed)
    vectors, sample = grouped_vectors(seed, per_group=3)[0], grouped_vectors(seed + 1)[0][:n_sample]
    positions = generator.uniform(0, 0.1, (n_sample, 2)).astype(np.float32)
    found = place(vectors, placing_index(sample, n_images=60), positions, chunk_rows=chunk_rows)
    for vector, where in zip(vectors, found, strict=True):
        cosine = sample @ vector
        near = np.argsort(-cosine)[:PLACED_BY]
        near = near[np.linalg.norm(positions[near] - positions[near[0]], axis=1) < NEARBY]
        weights = np.exp((cosine[near] - cosine.max()) / PLACING_SCALE)
        np.testing.assert_allclose(where, weights @ positions[near] / weights.sum(), atol=1e-4)


def test_an_image_of_the_sample_goes_where_it_lies() -> None:
    sample, truth = grouped_vectors()
    positions = np.stack([truth, truth], axis=1).astype(np.float32)
    np.testing.assert_allclose(place(sample, placing_index(sample, n_images=60), positions), positions, atol=1e-6)


def test_in_a_large_store_nearly_every_image_gets_the_same_place() -> None:
    generator = np.random.default_rng(0)
    centers = generator.normal(size=(30, 16))
    rows = centers[generator.integers(30, size=5000)] + 0.5 * generator.normal(size=(5000, 16))
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    sample, images = rows[: LISTED_SAMPLE + 500], rows[LISTED_SAMPLE + 500 :]
    positions = generator.random((len(sample), 2)).astype(np.float32)
    exact, listed, again = (
        place(images, placing_index(sample, n_images=n), positions)
        for n in (MANY_IMAGES, MANY_IMAGES + 1, 2 * MANY_IMAGES)
    )
    same = np.mean(np.abs(exact - listed).max(axis=1) < 1e-4)
    assert 0.97 < same < 1, "the lists were searched"
    assert np.array_equal(listed, again)
