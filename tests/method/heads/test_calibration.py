"""Confidence: the factor that reaches it, and that no choice changes."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from reference import random_unit_rows, sharp_soft

from tac_pipeline.errors import InputError
from tac_pipeline.method.heads.calibration import neighborhood_confidence, scale_output, sharpness_for
from tac_pipeline.method.heads.cluster_head import build_head, soft_assignment


@given(confidence=st.floats(0.3, 0.99), seed=st.integers(0, 30))
def test_the_factor_reaches_the_confidence_and_changes_no_choice(confidence, seed) -> None:
    head = build_head(6, 4, generator=torch.Generator().manual_seed(seed))
    rows = random_unit_rows(50, 6, seed)
    before = soft_assignment(head, rows)
    after = soft_assignment(scale_output(head, sharpness_for(before, confidence)), rows)
    np.testing.assert_array_equal(after.argmax(axis=1), before.argmax(axis=1))
    reached = after.max(axis=1).mean()
    # A fresh head may be too flat for the largest factor.
    assert reached == pytest.approx(confidence, abs=1e-2) or reached < confidence


@pytest.mark.parametrize("confidence", [0.25, 1.01, float("nan")])
def test_what_cannot_be_reached_is_refused(confidence) -> None:
    with pytest.raises(InputError, match="confidence must be above"):
        sharpness_for(sharp_soft(5, 4, 0), confidence)


def test_neighbors_of_another_mind_make_an_image_less_sure() -> None:
    soft = np.array([[1, 0], [1, 0], [0, 1]], dtype=np.float32)
    agreeing, torn = np.array([[1], [0], [2]]), np.array([[2], [2], [0]])
    assert neighborhood_confidence(soft, agreeing, rounds=1, own=0.5) == 1
    assert neighborhood_confidence(soft, torn, rounds=1, own=0.5) == 0.5
