"""The nouns nearest to groups."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference import random_unit_rows

from tac_pipeline.method.words import group_nouns
from tac_pipeline.method.words.group_nouns import nouns_of_groups
from tac_pipeline.method.words.noun_shortlist import CandidateVectors


def plain_nouns(images: np.ndarray, nouns: np.ndarray, groups: np.ndarray, count: int) -> set[int]:
    chosen: set[int] = set()
    for group in np.unique(groups):
        direction = images[groups == group].mean(axis=0) - images.mean(axis=0)
        centered = nouns - nouns.mean(axis=0)
        cosine = centered @ direction / np.linalg.norm(centered, axis=1) / np.linalg.norm(direction)
        chosen |= set(np.argsort(-cosine, kind="stable")[:count].tolist())
    return chosen


@given(seed=st.integers(0, 30), count=st.integers(1, 4))
def test_as_the_formula_says(seed: int, count: int) -> None:
    images, nouns = random_unit_rows(40, 12, seed), random_unit_rows(25, 12, seed + 100)
    groups = np.random.default_rng(seed).integers(0, 4, 40)
    found = nouns_of_groups(images, CandidateVectors.whole(nouns), groups, n_groups=4, nouns_per_group=count)
    assert set(found.tolist()) == plain_nouns(images, nouns, groups, count)
    assert (np.diff(found) > 0).all()


def test_chunks_of_groups_never_change_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    images, nouns = random_unit_rows(40, 12, 0), CandidateVectors.whole(random_unit_rows(25, 12, 1))
    asked = {"n_groups": 8, "nouns_per_group": 2}
    whole = nouns_of_groups(images, nouns, np.arange(40) % 8, **asked)
    monkeypatch.setattr(group_nouns, "GROUPS_AT_ONCE", 3)
    np.testing.assert_array_equal(nouns_of_groups(images, nouns, np.arange(40) % 8, **asked), whole)


def test_an_empty_group_and_fewer_nouns_than_asked_for() -> None:
    images, nouns = random_unit_rows(10, 6, 0), random_unit_rows(2, 6, 1)
    found = nouns_of_groups(images, CandidateVectors.whole(nouns), np.arange(10) % 2, n_groups=5, nouns_per_group=3)
    np.testing.assert_array_equal(found, [0, 1])
