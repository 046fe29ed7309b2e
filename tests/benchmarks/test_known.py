"""The benchmark of known classes: its tasks, and how groups are scored beside known classes."""

import numpy as np
import pytest
from small_store import grouped_vectors

from benchmarks.known import NEW, Task, draw_task, score_task, semi_supervised
from benchmarks.reference_data import ReferenceTable


def test_half_of_the_classes_are_known_by_examples_some_of_them_wrong() -> None:
    rows, truth = grouped_vectors(groups=6, per_group=10)
    task = draw_task(ReferenceTable("drawn", rows, truth), seed=0, per_class=4, wrong=0.25)
    given = task.examples != NEW
    assert (task.n_known, task.n_classes) == (3, 6)
    assert set(task.truth[given]) == {0, 1, 2}
    assert np.bincount(task.truth[given]).tolist() == [4, 4, 4]
    assert (task.examples[given] != task.truth[given]).sum() == 3
    # At least one image of each class is left to score.
    whole = draw_task(ReferenceTable("drawn", rows, truth), seed=0, per_class=99, wrong=0)
    assert np.bincount(whole.truth[whole.examples != NEW]).tolist() == [9, 9, 9]


def test_an_image_of_a_known_class_is_right_in_that_class_alone() -> None:
    truth, examples = np.array([0, 0, 0, 1, 1, 1, 2, 2, 2]), np.full(9, NEW)
    examples[[0, 3]] = 0, 1
    task = Task(np.eye(9, dtype=np.float32), truth, examples, n_known=2, n_classes=3)
    own = {0: 0, 1: 1}
    assert vars(score_task(task, truth, own)) == {"known": 100, "new": 100, "all": 100}
    swapped = score_task(task, np.array([1, 0])[truth.clip(max=1)] * (truth < 2) + 2 * (truth == 2), own)
    assert vars(swapped) == pytest.approx({"known": 0, "new": 100, "all": 300 / 7})
    # A new group in the group of a known class is wrong, and so is the rest of a class in a new group.
    mixed = score_task(task, np.array([0, 0, 2, 1, 1, 1, 2, 0, 2]), own)
    assert vars(mixed) == pytest.approx({"known": 75, "new": 200 / 3, "all": 500 / 7})


def test_semi_supervised_k_means_finds_what_is_clear() -> None:
    rows, truth = grouped_vectors(groups=4)
    task = draw_task(ReferenceTable("drawn", rows, truth), seed=1, per_class=3, wrong=0)
    own = {known: known for known in range(task.n_known)}
    for fixed in (True, False):
        found = semi_supervised(task, rows, seed=0, restarts=3, fixed=fixed)
        assert score_task(task, found, own).all == 100
