"""The weights of nouns against a plain version, in any chunks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference import random_unit_rows

from tac_pipeline.errors import InputError
from tac_pipeline.method.words import group_evidence
from tac_pipeline.method.words.group_evidence import GroupEvidence, weigh_nouns
from tac_pipeline.method.words.noun_shortlist import CandidateVectors


def plain(images, nouns, assignment, *, n_groups: int, temperature: float) -> np.ndarray:
    """Weights as (n_groups, n_nouns), one loop for each sum of the definition."""
    images, nouns = images.astype(np.float64), nouns.astype(np.float64)
    several = len(set(assignment.tolist())) > 1
    center = images.mean(axis=0) if several else 0
    directions = nouns - nouns.mean(axis=0)
    directions = directions / np.linalg.norm(directions, axis=1, keepdims=True)
    found = np.zeros((n_groups, len(nouns)))
    for group in range(n_groups):
        members = images[assignment == group] - center
        if len(members):
            mean = members.mean(axis=0)
            logits = directions @ (mean / np.linalg.norm(mean)) / temperature
            shares = np.exp(logits - logits.max())
            votes = np.bincount((members @ directions.T).argmax(axis=1), minlength=len(nouns)) / len(members)
            found[group] = (shares / shares.sum() + votes) / 2
    return found


@given(n_images=st.integers(2, 30), n_groups=st.integers(1, 5), chunk=st.integers(1, 6), seed=st.integers(0, 99))
def test_weights_equal_the_plain_version_in_any_chunks(n_images, n_groups, chunk, seed) -> None:
    images, nouns = random_unit_rows(n_images, 6, seed), random_unit_rows(9, 6, seed + 1)
    assignment = np.random.default_rng(seed).integers(n_groups, size=n_images)
    found = weigh_nouns(
        images, CandidateVectors.whole(nouns), assignment, n_groups=n_groups, temperature=0.1, chunk_groups=chunk
    )
    spread = np.zeros((n_groups, 9))
    np.put_along_axis(spread, found.rows, found.weights, axis=1)
    np.testing.assert_allclose(spread, plain(images, nouns, assignment, n_groups=n_groups, temperature=0.1), atol=1e-4)
    sizes = np.bincount(assignment, minlength=n_groups)
    np.testing.assert_allclose(found.weights.sum(axis=1), sizes > 0, atol=1e-6)


def test_the_nearest_come_first_and_few_are_weighed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_evidence, "NOUNS_WEIGHED", 3)
    images, nouns = random_unit_rows(20, 5, 0), random_unit_rows(8, 5, 1)
    assignment = np.arange(20) % 2
    found = weigh_nouns(images, CandidateVectors.whole(nouns), assignment, n_groups=2, temperature=0.1)
    assert found.rows.shape == (2, 3)
    difference = images[assignment == 0].mean(axis=0) - images.mean(axis=0)
    centered = nouns - nouns.mean(axis=0)
    cosines = centered @ difference / np.linalg.norm(centered, axis=1)
    assert found.rows[0].tolist() == np.argsort(-cosines)[:3].tolist()


def test_a_noun_near_to_every_image_names_no_group() -> None:
    """What all images share is taken off: "photo" is the nearest noun to all of them."""
    axes = np.eye(4, dtype=np.float32)
    images = np.concatenate([axes[[0, 0, 0]] + 0.5 * axes[[1, 1, 1]], axes[[0, 0, 0]] + 0.5 * axes[[2, 2, 2]]])
    nouns = CandidateVectors.whole(axes)
    found = weigh_nouns(images, nouns, np.repeat([0, 1], 3), n_groups=2, temperature=0.03)
    assert found.rows[:, 0].tolist() == [1, 2]
    assert found.weights[:, 0].tolist() == pytest.approx([1, 1], abs=0.01)


def test_nouns_heard_are_counted_anew() -> None:
    images, nouns = random_unit_rows(12, 5, 0), random_unit_rows(7, 5, 1)
    found = weigh_nouns(images, CandidateVectors.whole(nouns), np.arange(12) % 3, n_groups=3, temperature=0.1)
    heard, again = found.of_nouns_heard()
    assert (heard[again.rows] == found.rows).all()
    assert (again.weights == found.weights).all()


@pytest.mark.parametrize("assignment", [[0, 1], [0, 1, 3], [0, -1, 1]])
def test_an_assignment_of_other_images_or_groups_is_refused(assignment) -> None:
    rows = random_unit_rows(3, 4, 0)
    with pytest.raises(InputError, match="the assignment must"):
        weigh_nouns(rows, CandidateVectors.whole(rows), np.array(assignment), n_groups=3, temperature=0.1)


def test_a_temperature_must_be_above_zero() -> None:
    rows = random_unit_rows(3, 4, 0)
    with pytest.raises(InputError, match="tau must be > 0"):
        weigh_nouns(rows, CandidateVectors.whole(rows), np.array([0, 1, 2]), n_groups=3, temperature=0)


def test_a_preferred_noun_weighs_more_and_rows_sum_to_one() -> None:
    found = GroupEvidence(np.array([[0, 1], [1, 0]]), np.array([[0.6, 0.4], [0.0, 0.0]]))
    preferred = found.preferring(np.array([1, 3], np.float32))
    np.testing.assert_allclose(preferred.weights, [[0.6 / 1.8, 1.2 / 1.8], [0, 0]])
