"""Groups named from vectors of images and nouns."""

import numpy as np

from tac_pipeline.arrays import unit_rows
from tac_pipeline.method.words.noun_shortlist import CandidateVectors
from tac_pipeline.results.naming import ContrastWords, name_groups

NOUNS = ["turtle", "sea turtle", "terrapin", "pizza", "key"]
AXES = np.eye(12, dtype=np.float32)
# The three turtles are near each other, the rest is not.
VECTORS = unit_rows(np.stack([AXES[0], AXES[0] + 0.6 * AXES[1], AXES[0] + 0.6 * AXES[2], AXES[3], AXES[4]]))


def groups(*centers: np.ndarray, count: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """Images around each center."""
    generator = np.random.default_rng(0)
    rows = np.repeat(np.stack(centers), count, axis=0)
    return unit_rows(rows + 0.03 * generator.normal(size=rows.shape)), np.repeat(np.arange(len(centers)), count)


def name(images, assignment, **settings):
    return name_groups(
        images,
        CandidateVectors.whole(VECTORS),
        NOUNS,
        assignment,
        n_groups=int(assignment.max()) + 1,
        temperature=0.03,
        **settings,
    )


def test_groups_get_the_nouns_that_are_near_them() -> None:
    found = name(*groups(AXES[3], AXES[4], AXES[0]))
    assert [group.name for group in found] == ["pizza", "key", "turtle"]


def test_a_contrast_word_tells_two_groups_of_one_name_apart() -> None:
    centers = AXES[0] + 0.4 * AXES[6], AXES[0] + 0.4 * AXES[7], AXES[3], AXES[4]
    plain = [group.name for group in name(*groups(*centers))]
    assert sorted(plain[:2]) == ["turtle", "turtle (2)"]
    contrasts = ContrastWords(["green", "in the water"], AXES[[6, 7]])
    told = [group.name for group in name(*groups(*centers), contrasts=contrasts)]
    assert told == ["turtle (green)", "turtle (in the water)", "pizza", "key"]


def test_a_noun_of_the_same_kind_tells_too_and_any_other_does_not() -> None:
    """Both are turtles for the most part; one is towards sea turtles, the other towards keys."""
    found = name(*groups(AXES[0] + 0.2 * AXES[1], AXES[0] + 0.25 * AXES[4], AXES[3]), before=["turtle", None, None])
    assert found[0].name == "turtle"
    assert "key" not in str(found[1].name)


def test_names_of_people_and_names_from_before_come_first() -> None:
    images, assignment = groups(AXES[3], AXES[4], AXES[0])
    found = name(images, assignment, given={1: "mine"}, before=["pizza (old)", None, None])
    assert [group.name for group in found] == ["pizza (old)", "mine", "turtle"]


def test_a_wider_kind_tells_nothing_apart() -> None:
    nouns = ["snake", "diapsid reptile", "pizza", "key"]
    vectors = unit_rows(np.stack([AXES[0], AXES[0] + 0.6 * AXES[1], AXES[3], AXES[4]]))
    images, assignment = groups(AXES[0] + 0.08 * AXES[1], AXES[0] - 0.08 * AXES[1], AXES[3], AXES[4])
    found = name_groups(images, CandidateVectors.whole(vectors), nouns, assignment, n_groups=4, temperature=0.03)
    assert sorted(str(group.name) for group in found[:2]) == ["snake", "snake (2)"]
