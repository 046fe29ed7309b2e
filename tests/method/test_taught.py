"""The robust method with lessons: groups before are learned again as people corrected them, under their numbers."""

import numpy as np
import pytest
from reference import random_unit_rows
from small_store import DIM, grouped_vectors

from tac_pipeline.errors import InputError
from tac_pipeline.method import load_method
from tac_pipeline.method.clusters.teaching import FREE, Lessons
from tac_pipeline.method.recipe import CHOICES, Walk
from tac_pipeline.method.words.noun_shortlist import CandidateVectors

ROWS, TRUTH = grouped_vectors(groups=4, per_group=20)


def walk(lessons: Lessons, *, count: int, text_weight: float | None = None) -> Walk:
    given = {
        "training_set": ROWS,
        "noun_shortlist": CandidateVectors.whole(random_unit_rows(30, DIM, 1)),
        "cluster_count": count,
        "lessons": lessons,
    }
    chosen = dict.fromkeys(CHOICES) | {"images_per_center": 10, "nouns_per_center": 2, "seed": 0}
    return Walk(load_method("robust"), given=given, choices=chosen | {"text_weight": text_weight})


def one_group_of_two(*images: int) -> Lessons:
    """Kinds 2 and 3 were learned as one; these images make a new group by hand."""
    fixed = np.full(len(TRUTH), FREE)
    fixed[list(images)] = 3
    return Lessons(np.minimum(TRUTH, 2), fixed, 4)


@pytest.mark.parametrize("text_weight", [None, 0.0])
def test_groups_before_are_learned_again_under_their_numbers(text_weight: float | None) -> None:
    found = walk(one_group_of_two(60, 61), count=4, text_weight=text_weight)
    assert found.result("training_free_clusters").tolist() == TRUTH.tolist()
    outcome = found.outcome("training_free_clusters")
    assert len(outcome.centers) == 4
    assert 0 < outcome.objective <= 1


def test_the_number_of_groups_is_that_which_corrections_leave() -> None:
    with pytest.raises(InputError, match="has the 4 groups they leave; got 3"):
        walk(one_group_of_two(60), count=3).result("training_free_clusters")
