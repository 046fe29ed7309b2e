"""Clusters without training."""

import numpy as np
import pytest
from reference import random_unit_rows
from sklearn.metrics import adjusted_rand_score

from tac_pipeline.errors import InputError
from tac_pipeline.method.grouping.training_free import image_kmeans, training_free_clusters


def two_views() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Four groups of 15: the image view tells two halves apart, the text view two others."""
    truth = np.repeat(np.arange(4), 15)
    noise = 0.05 * np.random.default_rng(0).normal(size=(2, 60, 6))
    views = [np.eye(6)[half] + noise[view] for view, half in enumerate((truth // 2, truth % 2))]
    images, texts = (np.asarray(view / np.linalg.norm(view, axis=1, keepdims=True), np.float32) for view in views)
    return images, texts, truth


def test_both_views_together_show_what_neither_shows_alone() -> None:
    images, texts, truth = two_views()
    both = training_free_clusters(images, texts, text_weight=1.0, n_clusters=4, restarts=5, seed=0)
    assert adjusted_rand_score(truth, both.assignment) == 1
    assert adjusted_rand_score(truth, image_kmeans(images, n_clusters=4, restarts=5, seed=0).assignment) < 0.7
    assert both.centers.shape == (4, 12)


def test_the_objective_is_the_mean_cosine_of_the_scaled_pair() -> None:
    images, texts, _ = two_views()
    found = training_free_clusters(images, texts, text_weight=1.0, n_clusters=4, restarts=5, seed=0)
    pairs = np.hstack([images, texts]).astype(np.float64) / np.sqrt(2)
    assert found.objective == pytest.approx((pairs * found.centers[found.assignment]).sum(axis=1).mean(), abs=1e-6)


def test_counterparts_equal_to_the_images_change_no_cluster() -> None:
    images, _, truth = two_views()
    alone = image_kmeans(images, n_clusters=2, restarts=3, seed=0)
    both = training_free_clusters(images, images, text_weight=1.0, n_clusters=2, restarts=3, seed=0)
    assert adjusted_rand_score(alone.assignment, both.assignment) == 1
    assert adjusted_rand_score(truth // 2, both.assignment) == 1
    assert both.objective == pytest.approx(alone.objective, abs=1e-5)


def test_matrices_of_different_images_are_refused() -> None:
    with pytest.raises(InputError, match="got 3 and 4 rows"):
        training_free_clusters(
            random_unit_rows(3, 4, 0), random_unit_rows(4, 4, 0), text_weight=1.0, n_clusters=2, restarts=1, seed=0
        )


@pytest.mark.parametrize("restarts", [1, 3])
def test_progress_counts_restarts(restarts) -> None:
    images, texts, _ = two_views()
    told: list[tuple[int, int]] = []
    training_free_clusters(
        images, texts, text_weight=1.0, n_clusters=4, restarts=restarts, seed=0, progress=lambda *at: told.append(at)
    )
    image_kmeans(images, n_clusters=4, restarts=restarts, seed=0, progress=lambda *at: told.append(at))
    assert told == 2 * [(done, restarts) for done in range(1, restarts + 1)]
