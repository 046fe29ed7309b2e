"""The text weight: a plain version of its measure, text that fits and text that does not, and no labels."""

import inspect

import numpy as np
import pytest
from reference import random_unit_rows

from tac_pipeline.method.grouping.blend import blend_rows
from tac_pipeline.method.grouping.neighbors import nearest_neighbors
from tac_pipeline.method.grouping.spherical_kmeans import spherical_kmeans
from tac_pipeline.method.values.published import KMEANS_ITERATIONS
from tac_pipeline.method.values.trained import TEXT_WEIGHTS, WEIGHT_RESTARTS
from tac_pipeline.method.words.text_weight import Trial, choose_text_weight, largest_weight_kept, share_together

GROUPS, PER_GROUP, DIM = 6, 30, 12


def groups_of_images(noise: float = 0.12) -> tuple[np.ndarray, np.ndarray]:
    truth = np.repeat(np.arange(GROUPS), PER_GROUP)
    rows = np.eye(DIM)[truth] + noise * np.random.default_rng(0).normal(size=(len(truth), DIM))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32), truth


def choose(images: np.ndarray, texts: np.ndarray):
    return choose_text_weight(images, texts, nearest_neighbors(images, count=10), n_clusters=GROUPS, seed=0)


def test_the_share_is_that_of_a_plain_count() -> None:
    generator = np.random.default_rng(0)
    neighbors, assignment = generator.integers(9, size=(9, 4)), generator.integers(3, size=9)
    plain = np.mean([assignment[other] == assignment[row] for row in range(9) for other in neighbors[row]])
    assert share_together(neighbors, assignment) == pytest.approx(plain)


def test_each_trial_is_k_means_on_the_blended_rows() -> None:
    images, truth = groups_of_images()
    texts, neighbors = np.eye(DIM, dtype=np.float32)[truth], nearest_neighbors(images, count=10)
    found = choose(images, texts)
    for trial in found.trials:
        clusters = spherical_kmeans(
            blend_rows(images, texts, text_weight=trial.weight),
            n_clusters=GROUPS,
            restarts=WEIGHT_RESTARTS,
            max_iterations=KMEANS_ITERATIONS,
            seed=0,
        )
        assert trial.together == share_together(neighbors, clusters.assignment)


def test_words_that_fit_are_heard() -> None:
    images, truth = groups_of_images()
    found = choose(images, np.eye(DIM, dtype=np.float32)[truth])
    assert (found.heads, found.training_free) == (1.0, 0.7)
    assert [trial.weight for trial in found.trials] == [0.0, *TEXT_WEIGHTS]
    assert found.sentence.startswith("the words helped: weight 1, because of an image's nearest images 100% still")


def test_words_at_random_are_set_aside() -> None:
    """A text that knows nothing about the images, with groups that are far tighter than theirs."""
    images, truth = groups_of_images(noise=0.5)
    noise = np.eye(DIM, dtype=np.float32)[np.random.default_rng(1).permutation(truth)]
    found = choose(images, noise)
    assert found.heads < 1
    assert found.training_free <= found.heads
    assert found.sentence.startswith(("the words were set aside", "the words were heard softly", "the words helped"))


def test_the_first_weight_that_is_not_borne_ends_it() -> None:
    trials = [Trial(0.0, 0.8), Trial(0.35, 0.75), Trial(0.7, 0.6), Trial(1.0, 0.79)]
    assert largest_weight_kept(trials, kept=0.9) == 0.35
    assert largest_weight_kept(trials, kept=0.95) == 0.0
    assert largest_weight_kept(trials, kept=0.7) == 1.0


def test_no_label_can_reach_the_choice() -> None:
    taken = set(inspect.signature(choose_text_weight).parameters)
    assert taken == {"image_embeddings", "text_counterparts", "neighbors", "n_clusters", "levels", "seed", "progress"}


def test_the_same_seed_chooses_the_same() -> None:
    images, _ = groups_of_images()
    texts = random_unit_rows(len(images), DIM, 3)
    assert choose(images, texts) == choose(images, texts)
