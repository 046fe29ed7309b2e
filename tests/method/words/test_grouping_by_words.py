"""Groups by image and words: what words add, and that bad ones do little harm."""

import numpy as np
import pytest
from reference import random_unit_rows
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

from tac_pipeline.method.grouping.neighbors import nearest_neighbors
from tac_pipeline.method.words.grouping_by_words import Recipe, group_by_words
from tac_pipeline.method.words.noun_shortlist import CandidateVectors
from tac_pipeline.method.words.text_counterparts import retrieve_text_counterparts

DIM, GROUPS, EACH = 24, 6, 40
RECIPE = Recipe(
    tau=0.05, text_weight=0.7, rounds=2, nouns_per_group=3, group_share=0.5, shrinkage=0.3, scatter_images=10_000
)


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def overlapping(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Images of groups that overlap, their truth, and nouns near the groups' centers and elsewhere."""
    generator = np.random.default_rng(seed)
    centers = generator.normal(size=(GROUPS, DIM))
    truth = np.repeat(np.arange(GROUPS), EACH)
    images = unit(centers[truth] + 1.8 * generator.normal(size=(len(truth), DIM)))
    nouns = unit(
        np.concatenate([centers + 0.1 * generator.normal(size=(GROUPS, DIM)), generator.normal(size=(30, DIM))])
    )
    return images, truth, nouns


def group(images: np.ndarray, nouns: np.ndarray, recipe: Recipe = RECIPE, *, count: int = GROUPS) -> np.ndarray:
    texts = retrieve_text_counterparts(images, nouns, tau=recipe.tau)
    neighbors = nearest_neighbors(images, count=min(10, len(images) - 1))
    return group_by_words(
        images, texts, CandidateVectors.whole(nouns), neighbors, n_clusters=count, recipe=recipe, seed=0
    ).assignment


def test_words_that_fit_find_the_groups_better_than_images_alone() -> None:
    with_words, alone = [], []
    for seed in range(4):
        images, truth, nouns = overlapping(seed)
        with_words.append(normalized_mutual_info_score(truth, group(images, nouns)))
        no_words = Recipe(**{**vars(RECIPE), "text_weight": 0.0})
        alone.append(normalized_mutual_info_score(truth, group(images, nouns, no_words)))
    assert np.mean(with_words) > np.mean(alone) + 0.02


def test_at_weight_0_no_noun_is_read() -> None:
    images, _, nouns = overlapping()
    silent = Recipe(**{**vars(RECIPE), "text_weight": 0.0})
    first, second = group(images, nouns, silent), group(images, random_unit_rows(5, DIM, 9), silent)
    np.testing.assert_array_equal(first, second)


def test_permuting_the_images_permutes_the_groups() -> None:
    images, _, nouns = overlapping()
    order = np.random.default_rng(3).permutation(len(images))
    assert adjusted_rand_score(group(images, nouns)[order], group(images[order], nouns)) > 0.95


@pytest.mark.parametrize("n_images", [2, 3, 7])
def test_fewer_images_than_directions_and_one_noun(n_images: int) -> None:
    found = group(random_unit_rows(n_images, DIM, 0), random_unit_rows(1, DIM, 1), count=2)
    assert set(found) <= {0, 1}
    assert len(found) == n_images


def test_one_group_that_holds_nearly_all() -> None:
    generator = np.random.default_rng(0)
    centers = generator.normal(size=(2, DIM))
    truth = np.array([0] * 180 + [1] * 20)
    images = unit(centers[truth] + 0.3 * generator.normal(size=(200, DIM)))
    assert adjusted_rand_score(truth, group(images, unit(centers), count=2)) > 0.9
