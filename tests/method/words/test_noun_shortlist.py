"""The shortlist: that it holds what all nouns in all templates would give, and at what cost."""

import numpy as np
import pytest
from reference import random_unit_rows

from tac_pipeline.arrays import unit_rows
from tac_pipeline.errors import InputError
from tac_pipeline.method.words.noun_shortlist import CandidateVectors, shortlist_nouns
from tac_pipeline.method.words.noun_vocabulary import choose_noun_vocabulary

DIM, NOUNS, TEMPLATES = 64, 6000, 7


class Prompts:
    """Nouns whose prompts are as far apart as a real CLIP's: a cosine of about 0.9 between one and the mean of all."""

    def __init__(self, seed: int = 0, *, n_templates: int = TEMPLATES) -> None:
        generator = np.random.default_rng(seed)
        meaning = unit_rows(generator.normal(size=(NOUNS, DIM)))
        noise = generator.normal(size=(n_templates + 1, NOUNS, DIM)) / np.sqrt(DIM)
        self.one, *self.each = (unit_rows(meaning + 0.5 * heard) for heard in noise)
        self.heard = np.zeros(NOUNS, dtype=int)
        centers = meaning[generator.choice(NOUNS, 40, replace=False)]
        self.centers = unit_rows(centers + 0.8 * generator.normal(size=centers.shape) / np.sqrt(DIM))

    def encode(self, rows: np.ndarray, count: int) -> np.ndarray:
        assert (self.heard[rows] <= count).all()
        self.heard[rows] = count
        return self.all(count)[rows]

    def all(self, count: int) -> np.ndarray:
        return unit_rows(np.mean(self.each[:count], axis=0))


def test_it_holds_the_vocabulary_of_all_nouns_in_all_templates() -> None:
    prompts = Prompts()
    full = prompts.all(TEMPLATES)
    assert 0.85 < (prompts.one * full).sum(axis=1).mean() < 0.93
    rows, candidates = shortlist_nouns(
        prompts.one, prompts.centers, per_center=60, n_templates=TEMPLATES, encode=prompts.encode
    )
    wanted = choose_noun_vocabulary(full, prompts.centers, nouns_per_center=5)
    found = choose_noun_vocabulary(candidates.vectors, prompts.centers, nouns_per_center=5)
    assert np.isin(rows[found.rows], wanted.rows).mean() >= 0.98
    np.testing.assert_array_equal(candidates.vectors, full[rows])
    assert (np.diff(rows) > 0).all()
    assert len(rows) <= 60 * len(prompts.centers)


def test_the_mean_of_all_nouns_is_estimated_better_than_by_the_shortlisted_ones() -> None:
    prompts = Prompts(1)
    # A template moves all nouns to one side.
    prompts.each = [unit_rows(each + random_unit_rows(1, DIM, 9)) for each in prompts.each]
    _, candidates = shortlist_nouns(
        prompts.one, prompts.centers[:5], per_center=40, n_templates=TEMPLATES, encode=prompts.encode
    )
    true = prompts.all(TEMPLATES).mean(axis=0)
    error = np.linalg.norm(candidates.mean - true)
    assert error < np.linalg.norm(candidates.vectors.mean(axis=0) - true)
    assert error < 0.2 * np.linalg.norm(prompts.one.mean(axis=0) - true)


@pytest.mark.parametrize("n_templates", [1, 2, 3, 7, 9])
def test_only_a_part_of_the_nouns_is_heard_in_all_templates(n_templates: int) -> None:
    prompts = Prompts(2, n_templates=n_templates)
    rows, _ = shortlist_nouns(
        prompts.one, prompts.centers, per_center=10, n_templates=n_templates, encode=prompts.encode
    )
    assert set(np.flatnonzero(prompts.heard == n_templates)) == set(rows)
    assert prompts.heard.sum() < 0.35 * NOUNS * n_templates


def test_one_center_and_more_than_there_are() -> None:
    prompts = Prompts(3)
    rows, candidates = shortlist_nouns(
        prompts.one, prompts.centers[:1], per_center=NOUNS, n_templates=TEMPLATES, encode=prompts.encode
    )
    np.testing.assert_array_equal(rows, np.arange(NOUNS))
    np.testing.assert_allclose(candidates.mean, CandidateVectors.whole(candidates.vectors).mean, atol=1e-5)


def test_a_length_below_one_is_refused() -> None:
    prompts = Prompts(4)
    with pytest.raises(InputError, match="at least 1; got 0"):
        shortlist_nouns(prompts.one, prompts.centers, per_center=0, n_templates=7, encode=prompts.encode)
