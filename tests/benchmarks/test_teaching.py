"""The benchmark of corrections: what its person finds wrong and says, and that ids are judged as the ledger does."""

import numpy as np
from reference import random_unit_rows

from benchmarks.teaching import applied, ids_kept, ids_meant, look
from tac_pipeline.method.clusters.teaching import FREE

# Classes 0 to 3. Class 0 has two groups (0, 1), groups 2 and 3 have classes 1 and 2, and class 3 has none.
TRUTH = np.array([0, 0, 0, 0, 0, 0, 1, 1, 1, 3, 2, 2, 2, 3, 3])
GROUPS = np.array([0, 0, 0, 0, 1, 1, 2, 2, 2, 1, 3, 3, 3, 2, 0])
SEEN = np.ones(15, dtype=bool)


def test_a_person_merges_moves_and_makes_groups() -> None:
    person = look(GROUPS, TRUTH, SEEN, seed=0)
    assert [(one.group, one.merge_into, sorted(one.images.tolist())) for one in person.wrong] == [
        (0, None, [14]),
        (1, 0, [9]),
        (2, None, [13]),
    ]
    one, all_of_them = person.lessons(1), person.lessons(20)
    assert person.lessons(0).empty
    assert (one.merged_into, one.n_groups) == ({1: 0}, 5)
    assert one.fixed[[9, 13, 14]].tolist() == [FREE, 4, 4]
    assert all_of_them.fixed[[9, 13, 14]].tolist() == [4, 4, 4]
    assert (all_of_them.fixed != FREE).sum() == 3


def test_a_person_touches_nothing_that_they_do_not_see() -> None:
    seen = SEEN.copy()
    seen[[9, 13, 14]] = False
    said = look(GROUPS, TRUTH, seen, seed=0).lessons(20)
    assert (said.fixed == FREE).all()
    assert said.merged_into == {1: 0}


def test_rejections_move_nothing() -> None:
    said = look(GROUPS, TRUTH, SEEN, seed=0).lessons(20, rejections=True)
    assert (said.fixed == FREE).all() and not said.merged_into
    assert sorted(map(tuple, said.cannot.tolist())) == [(9, 1), (13, 2), (14, 0)]


def test_ids_are_kept_where_groups_are_continued() -> None:
    rows, said = random_unit_rows(15, 8, 0), look(GROUPS, TRUTH, SEEN, seed=0).lessons(20)
    columns = applied(rows, said)
    assert said.group_of.tolist() == [0, 2, 3, 4]
    assert ids_kept(rows, said, columns) == 1
    swapped = np.array([0, 2, 1, 3])[columns]
    assert ids_kept(rows, said, swapped) == 1 / 3
    assert ids_kept(rows, said, swapped, among={0}) == 1


def test_ids_mean_what_the_person_knows_them_by() -> None:
    person = look(GROUPS, TRUTH, SEEN, seed=0)
    said = person.lessons(0)
    assert person.owners == {0: 0, 1: 2, 2: 3}
    assert ids_meant(person, said, GROUPS, SEEN) == 1
    assert ids_meant(person, said, np.array([3, 1, 2, 0])[GROUPS], SEEN) == 1 / 3
