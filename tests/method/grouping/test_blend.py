"""Joined image and text vectors: the cosine that the formula promises, and its edges."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference import random_unit_rows

from tac_pipeline.arrays import unit_rows
from tac_pipeline.errors import InputError
from tac_pipeline.method.grouping.blend import blend_rows


@given(weight=st.floats(0.01, 5), seed=st.integers(0, 50))
def test_the_cosine_weighs_images_one_and_texts_the_weight_squared(weight, seed) -> None:
    images, texts = random_unit_rows(7, 5, seed), random_unit_rows(7, 5, seed + 1)
    rows = blend_rows(images, texts, text_weight=weight)
    plain = (images @ images.T + weight**2 * texts @ texts.T) / (1 + weight**2)
    np.testing.assert_allclose(rows @ rows.T, plain, atol=1e-5)


def test_weight_one_is_the_published_pair() -> None:
    images, texts = random_unit_rows(7, 5, 0), random_unit_rows(7, 5, 1)
    np.testing.assert_array_equal(blend_rows(images, texts, text_weight=1.0), unit_rows(np.hstack([images, texts])))


def test_weight_zero_leaves_the_images() -> None:
    images = random_unit_rows(7, 5, 0)
    assert blend_rows(images, random_unit_rows(7, 5, 1), text_weight=0.0) is images


@pytest.mark.parametrize("weight", [-0.1, float("nan"), float("inf")])
def test_other_weights_are_refused(weight) -> None:
    with pytest.raises(InputError, match="text_weight must be >= 0"):
        blend_rows(random_unit_rows(3, 5, 0), random_unit_rows(3, 5, 1), text_weight=weight)
