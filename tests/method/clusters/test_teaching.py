"""Learning from corrections: what was said holds, carries to images like it, and leaves all else as it is."""

from collections.abc import Mapping

import numpy as np
import pytest
from small_store import grouped_vectors

from tac_pipeline.errors import InputError
from tac_pipeline.method.clusters.teaching import FREE, Lessons, Taught, teach_groups

ROWS, TRUTH = grouped_vectors(groups=4, per_group=20)
# Kinds 2 and 3 were learned as one group.
LEARNED = np.minimum(TRUTH, 2)


def lessons(
    groups: np.ndarray = LEARNED,
    *,
    fixed: Mapping[int, int] | None = None,
    n_groups: int = 4,
    cannot: list[tuple[int, int]] | None = None,
    merged: Mapping[int, int] | None = None,
) -> Lessons:
    said = np.full(len(groups), FREE)
    for row, group in (fixed or {}).items():
        said[row] = group
    return Lessons(groups, said, n_groups, np.array(cannot or [], dtype=np.int64).reshape(-1, 2), merged or {})


def taught(said: Lessons, *, rounds: int = 10, moved_centers: int = 20) -> Taught:
    return teach_groups(ROWS, said, rounds=rounds, pull=1.0, moved_centers=moved_centers)


def test_one_image_of_a_new_group_brings_those_like_it() -> None:
    found = taught(lessons(fixed={60: 3}))
    assert found.groups.tolist() == TRUTH.tolist()
    assert found.group_of.tolist() == [0, 1, 2, 3]


def test_images_follow_one_that_was_moved_to_a_group_that_is_there() -> None:
    mixed = TRUTH.copy()
    mixed[TRUTH == 3] = 2
    mixed[60:65] = 3  # the group has five images of its kind, and 15 are in another
    said = lessons(mixed, fixed={70: 3, 71: 3})
    assert taught(said).groups.tolist() == TRUTH.tolist()
    assert taught(said, rounds=0).groups[65:73].tolist() == [2, 2, 2, 2, 2, 3, 3, 2]


def test_nothing_said_is_nothing_changed() -> None:
    # Groups that the centers would not give.
    odd = np.arange(80) % 3
    found = taught(lessons(odd, n_groups=3))
    assert found.groups.tolist() == odd.tolist()
    assert found.rounds == 0


def test_a_fixed_row_stays_whatever_is_near_and_draws_few() -> None:
    found = taught(lessons(TRUTH, fixed={0: 1}))
    assert found.groups[0] == 1
    assert (found.groups == TRUTH).sum() == 79


def test_merged_groups_have_one_column_and_ids_last() -> None:
    found = taught(lessons(TRUTH, fixed={60: 1}, merged={1: 0, 3: 1}))
    assert found.group_of.tolist() == [0, 2]
    assert found.groups.tolist() == (TRUTH == 2).astype(int).tolist()


def test_a_row_is_in_the_nearest_group_that_it_is_not_barred_from() -> None:
    found = taught(lessons(TRUTH, cannot=[(0, 0), (1, 0), (1, 1), (1, 2)]))
    assert found.groups[0] != 0
    assert found.groups[1] == 3
    assert found.groups[2:].tolist() == TRUTH[2:].tolist()


def test_many_moved_rows_share_centers() -> None:
    said = lessons(fixed=dict.fromkeys(range(60, 80), 3))
    assert len(taught(said).centers) == 4 + 20
    few = taught(said, moved_centers=3)
    assert len(few.centers) == 4 + 3
    assert few.column_of.tolist() == [0, 1, 2, 3, 3, 3, 3]
    assert few.groups.tolist() == TRUTH.tolist()


def test_a_group_that_everybody_left_keeps_its_column() -> None:
    found = taught(lessons(TRUTH, fixed=dict.fromkeys(range(60, 80), 2)))
    assert found.group_of.tolist() == [0, 1, 2, 3]
    assert set(found.groups.tolist()) == {0, 1, 2}


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (lessons(LEARNED[:5]), "one entry per image; got 5 for 80"),
        (Lessons(LEARNED, np.full(3, FREE), 4), "fixed must have one entry for each row, 80; got 3"),
        (lessons(fixed={0: 4}), r"of groups in 0\.\.3; got 4"),
        (lessons(cannot=[(0, -1)]), r"of groups in 0\.\.3; got -1"),
        (lessons(cannot=[(80, 1)]), r"rows in 0\.\.79; got 80\.\.80"),
        (lessons(merged={0: 1, 1: 0}), "merges must not go in a circle; group 0"),
        (lessons(fixed={5: 1}, cannot=[(5, 1)]), "cannot be fixed in a group that it is not of; rows 5 are both"),
        (lessons(fixed={5: 1}, cannot=[(5, 0)], merged={1: 0}), "rows 5 are both"),
        (lessons(cannot=[(7, group) for group in range(4)]), "must be of some group; rows 7 are said to be of none"),
    ],
    ids=["groups", "fixed", "group", "barred", "row", "circle", "torn", "merged", "homeless"],
)
def test_lessons_that_cannot_hold_are_refused(said: Lessons, message: str) -> None:
    with pytest.raises(InputError, match=message):
        taught(said)
