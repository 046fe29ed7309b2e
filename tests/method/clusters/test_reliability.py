"""Confidence beside labels."""

import numpy as np
import pytest

from tac_pipeline.errors import InputError
from tac_pipeline.method.clusters.reliability import measure_reliability


def test_known_values() -> None:
    labels = ["cat"] * 4 + ["dog"] * 4
    # Three cats and a dog in cluster 0; two dogs in 1; a cat and a dog in 2, which is nobody's first choice.
    assignment = np.array([0, 0, 0, 2, 0, 1, 1, 2])
    confidence = np.array([0.95, 0.95, 0.85, 0.05, 0.95, 1.0, 1.0, 0.0])
    found = measure_reliability(labels, assignment, confidence)
    assert found.images.tolist() == [2, 1, 5]
    np.testing.assert_allclose(found.confidence, [0.025, 0.85, 0.97])
    np.testing.assert_allclose(found.right, [0, 1, 0.8])
    np.testing.assert_allclose(found.pure, [0.5, 1, 0.8])
    assert (found.sure, found.sure_right, found.sure_pure) == pytest.approx((5 / 8, 0.8, 0.8))
    assert found.calibration_error == pytest.approx((2 * 0.025 + 0.15 + 5 * 0.17) / 8)


def test_a_class_in_several_clusters_is_pure_and_not_right() -> None:
    found = measure_reliability(["car"] * 4 + ["sea"], np.array([0, 0, 1, 1, 2]), np.full(5, 0.95))
    assert (found.sure_right, found.sure_pure) == pytest.approx((0.6, 1.0))


def test_nobody_sure() -> None:
    found = measure_reliability([0, 1], np.array([0, 1]), np.array([0.5, 0.6]))
    assert found.sure == 0
    assert np.isnan(found.sure_right)


@pytest.mark.parametrize("n_labels", [0, 1, 3])
def test_lists_that_do_not_fit_are_refused(n_labels: int) -> None:
    with pytest.raises(InputError, match="equally long"):
        measure_reliability(list(range(n_labels)), np.zeros(2, dtype=int), np.ones(2) if n_labels else np.ones(0))
