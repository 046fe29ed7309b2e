"""Learning from corrections: what people said of a few images, carried to the images that nobody touched.

A person moves an image to another group, says that it is not of its group, merges groups, or makes a new one. Each
image that was moved is a center of its group beside the group's own: images like it follow it, and the others stay.
What must stay out: what a file of corrections means (tac_pipeline/results/corrections/), and the space that groups are
found in (tac_pipeline/method/words/grouping_by_words.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from tac_pipeline.arrays import FloatMatrix, IntMatrix, IntVector, require_assignment, row_chunks, unit_rows
from tac_pipeline.errors import InputError, first_few
from tac_pipeline.tensors import group_sums

FREE = -1
# Cosines held at once, in elements; bounds memory and never changes the result.
CHUNK_ELEMENTS = 2**22
SHOWN = 5


def _no_pairs() -> IntMatrix:
    return np.empty((0, 2), dtype=np.int64)


@dataclass(frozen=True)
class Lessons:
    """What people said of groups that were learned before.

    Attributes
    ----------
    groups : int64 (n_rows,)
        The groups learned before, from 0.
    fixed : int64 (n_rows,)
        The group where a person put the row, or kept it; FREE where nobody did. It may be a new group.
    n_groups : int
        All groups, those made by hand too: their numbers follow those of the groups before. A group that was split by
        hand is one group and a new one, with fixed rows in each.
    cannot : int64 (n_pairs, 2)
        A row, and a group that it is not of.
    merged_into : mapping of group to group
        The groups that are one with another; chains are followed.
    """

    groups: IntVector
    fixed: IntVector
    n_groups: int
    cannot: IntMatrix = field(default_factory=_no_pairs)
    merged_into: Mapping[int, int] = field(default_factory=dict)

    @property
    def group_of(self) -> IntVector:
        """The groups that are there once merges are carried out, int64 (n_columns,), ascending."""
        return _columns(self)[1]

    @property
    def empty(self) -> bool:
        """Whether nothing was said."""
        return not (len(self.cannot) or self.merged_into or (self.fixed != FREE).any())


@dataclass(frozen=True)
class Taught:
    """Groups that keep to what people said.

    Attributes
    ----------
    groups : int64 (n_rows,)
        The column of each row, from 0 to len(group_of) - 1. A column may be empty.
    group_of : int64 (n_columns,), ascending
        Which group before, or made by hand, each column is: its id lasts. Merged groups have the column of the one
        that stays.
    centers : float32 (n_centers, dim), unit rows
        What the rows were compared with: the center of each column, and those of the rows that were moved.
    column_of : int64 (n_centers,)
        The column of each center.
    rounds : int
        How often rows were assigned.
    """

    groups: IntVector
    group_of: IntVector
    centers: FloatMatrix
    column_of: IntVector
    rounds: int


def teach_groups(rows: FloatMatrix, lessons: Lessons, *, rounds: int, pull: float, moved_centers: int) -> Taught:
    """Group rows again, so that what people said of some holds, and holds for rows like these.

    A row goes to the column of its nearest center. A column has one center for all of its rows, and one for each row
    that was moved into it, pulled towards the first: one image says less of a group than the group does. Where nothing
    was said, the groups stay exactly as they are.

    Parameters
    ----------
    rows : float32 (n_rows, dim), unit rows
        In the space in which the groups were found.
    lessons : Lessons
    rounds : int >= 1
        At most so many times rows are assigned and centers are found again.
    pull : float >= 0
        The weight of a column's center in those of rows that were moved into it; these count 1.
    moved_centers : int >= 1
        Of one column, at most. With more rows than that, some share a center: first those of one group.

    Raises
    ------
    InputError
        The lessons are of other rows or groups, merges go in a circle, or a row cannot be of a group where it is fixed.
    """
    require_assignment(lessons.groups, n_images=len(rows), n_groups=lessons.n_groups)
    _require_lessons(lessons, n_rows=len(rows))
    column_of, group_of = _columns(lessons)
    before = column_of[lessons.groups]
    fixed = np.where(lessons.fixed == FREE, FREE, column_of[lessons.fixed])
    barred = np.column_stack([lessons.cannot[:, 0], column_of[lessons.cannot[:, 1]]])
    _require_possible(fixed, barred, group_of)
    moved = _moved_rows(before, fixed, most=moved_centers)
    held = np.flatnonzero(fixed != FREE)
    now, done = before.copy(), 0
    now[held] = fixed[held]
    centers, owners = _find_centers(rows, now, moved, n_columns=len(group_of), pull=pull)
    while done < rounds and not lessons.empty:
        found = _nearest_column(rows, centers, owners, barred)
        found[held] = fixed[held]
        settled, now, done = np.array_equal(found, now), found, done + 1
        if settled:
            break
        centers, owners = _find_centers(rows, now, moved, n_columns=len(group_of), pull=pull)
    return Taught(now, group_of, centers, owners, done)


def _require_lessons(lessons: Lessons, *, n_rows: int) -> None:
    if len(lessons.fixed) != n_rows:
        raise InputError(f"fixed must have one entry for each row, {n_rows}; got {len(lessons.fixed)}")
    n_groups, cannot = lessons.n_groups, lessons.cannot
    said = np.concatenate([lessons.fixed[lessons.fixed != FREE], cannot[:, 1]])
    named = np.concatenate([said, np.array([*lessons.merged_into, *lessons.merged_into.values()], dtype=np.int64)])
    wrong = np.unique(named[(named < 0) | (named >= n_groups)])
    if len(wrong):
        raise InputError(f"lessons must be of groups in 0..{n_groups - 1}; got {first_few(wrong.tolist(), SHOWN)}")
    if len(cannot) and not 0 <= cannot[:, 0].min() <= cannot[:, 0].max() < n_rows:
        raise InputError(f"cannot must name rows in 0..{n_rows - 1}; got {cannot[:, 0].min()}..{cannot[:, 0].max()}")


def _columns(lessons: Lessons) -> tuple[IntVector, IntVector]:
    """The column of each group, int64 (n_groups,), and the group that each column is."""
    stays = np.arange(lessons.n_groups)
    for group in lessons.merged_into:
        end, seen = group, {group}
        while end in lessons.merged_into:
            end = lessons.merged_into[end]
            if end in seen:
                raise InputError(f"merges must not go in a circle; group {end} is merged into itself")
            seen.add(end)
        stays[group] = end
    group_of, column_of = np.unique(stays, return_inverse=True)
    return column_of.astype(np.int64), group_of


def _require_possible(fixed: IntVector, barred: IntMatrix, group_of: IntVector) -> None:
    """Raise InputError where a row is fixed in a column that it is barred from, or is barred from all."""
    torn = np.unique(barred[fixed[barred[:, 0]] == barred[:, 1], 0])
    if len(torn):
        raise InputError(
            f"a row cannot be fixed in a group that it is not of; rows {first_few(torn.tolist(), SHOWN)} are both. "
            "Take one of the two back."
        )
    rows, counts = np.unique(np.unique(barred, axis=0)[:, 0], return_counts=True)
    homeless = rows[counts == len(group_of)]
    if len(homeless):
        raise InputError(
            f"a row must be of some group; rows {first_few(homeless.tolist(), SHOWN)} are said to be of none"
        )


def _moved_rows(before: IntVector, fixed: IntVector, *, most: int) -> list[tuple[int, IntVector]]:
    """The rows that were moved into each column, in parts that have a center each: those of one group together."""
    moved = np.flatnonzero((fixed != FREE) & (fixed != before))
    parts = []
    for column in np.unique(fixed[moved]):
        into = moved[fixed[moved] == column]
        into = into[np.argsort(before[into], kind="stable")]
        parts += [(int(column), part) for part in np.array_split(into, min(most, len(into)))]
    return parts


def _find_centers(
    rows: FloatMatrix, columns: IntVector, moved: list[tuple[int, IntVector]], *, n_columns: int, pull: float
) -> tuple[FloatMatrix, IntVector]:
    """The centers of columns that have rows, then those of moved rows; and the column of each."""
    own = unit_rows(group_sums(rows, columns, n_groups=n_columns))
    there = np.flatnonzero(np.bincount(columns, minlength=n_columns))
    owners = np.array([column for column, _ in moved], dtype=np.int64)
    means = np.array([rows[part].mean(axis=0) for _, part in moved], dtype=np.float32).reshape(-1, rows.shape[1])
    return np.concatenate([own[there], unit_rows(means + pull * own[owners])]), np.concatenate([there, owners])


def _nearest_column(rows: FloatMatrix, centers: FloatMatrix, owners: IntVector, barred: IntMatrix) -> IntVector:
    """The column of each row's nearest center that it is not barred from."""
    found = np.empty(len(rows), dtype=np.int64)
    for part in row_chunks(len(rows), max(1, CHUNK_ELEMENTS // len(centers))):
        found[part] = owners[(rows[part] @ centers.T).argmax(axis=1)]
    # Few rows are barred: they are looked at one by one.
    for row in np.unique(barred[found[barred[:, 0]] == barred[:, 1], 0]):
        open_to = ~np.isin(owners, barred[barred[:, 0] == row, 1])
        cosines = np.where(open_to, centers @ rows[row], -np.inf)
        found[row] = owners[cosines.argmax()] if open_to.any() else found[row]
    return found
