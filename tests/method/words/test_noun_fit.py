"""How much nouns say of images: high for nouns that name the groups, low for nouns of other things."""

import numpy as np
import pytest
from reference import random_unit_rows

from tac_pipeline.arrays import unit_rows
from tac_pipeline.method.words.noun_fit import NounFit, measure_noun_fit, turn_at_random

DIM, GROUPS, EACH = 32, 6, 40


def images_and_centers() -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    centers = random_unit_rows(GROUPS, DIM, 1)
    rows = np.repeat(centers, EACH, axis=0) + 0.12 * generator.normal(size=(GROUPS * EACH, DIM))
    return unit_rows(rows), centers


def test_nouns_of_the_groups_say_more_than_nouns_of_one_thing() -> None:
    images, centers = images_and_centers()
    fitting = measure_noun_fit(images, centers, tau=0.05, n_clusters=GROUPS, seed=0)
    narrow = unit_rows(random_unit_rows(1, DIM, 5) + 0.01 * random_unit_rows(20, DIM, 6))
    other = measure_noun_fit(images, narrow, tau=0.05, n_clusters=GROUPS, seed=0)
    assert fitting.words > 0.95
    assert fitting.gain > 0.4 > 0.2 > other.gain
    assert fitting.sentence.startswith("the words know these images")
    assert "say little" in other.sentence


@pytest.mark.parametrize(("words", "turned", "gain"), [(0.9, 0.5, 0.8), (0.4, 0.5, 0.0), (1.0, 1.0, 0.0)])
def test_the_gain_is_the_part_that_turned_nouns_leave_open(words, turned, gain) -> None:
    assert NounFit(words, turned).gain == pytest.approx(gain)


@pytest.mark.parametrize("n_images", [1, 2, 12])
def test_a_handful_of_images_is_no_error(n_images: int) -> None:
    found = measure_noun_fit(
        random_unit_rows(n_images, DIM, 0), random_unit_rows(1, DIM, 1), tau=0.05, n_clusters=5, seed=0
    )
    assert 0 <= found.gain <= 1


def test_turned_rows_keep_their_angles() -> None:
    rows = random_unit_rows(10, DIM, 0)
    turned = turn_at_random(rows, seed=3)
    np.testing.assert_allclose(turned @ turned.T, rows @ rows.T, atol=1e-5)
    assert np.abs(np.einsum("ij,ij->i", rows, turned)).mean() < 0.5
