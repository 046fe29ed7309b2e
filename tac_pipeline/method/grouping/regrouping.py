"""How well groups come back when the images are grouped again from other parts of them: the basis of confidence.

A part of the rows in half of their directions is grouped again, and every row goes to the nearest center. An image that
is often put into its group is surely there; a group that returns whole, also when more groups are wanted, is surely
one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tac_pipeline.arrays import FloatMatrix, IntMatrix, IntVector, unit_rows
from tac_pipeline.method.grouping.ward import ward_kmeans


@dataclass(frozen=True)
class Regrouping:
    """How often rows are grouped again.

    Attributes
    ----------
    draws : int
        Regroupings into as many groups.
    rows_share : float
        The share of the rows that each learns from.
    finer_draws, finer, finer_share
        Regroupings into finer times as many groups, and what they count in the persistence: a true group stays whole
        when more groups are wanted, for others are torn first.
    """

    draws: int
    rows_share: float
    finer_draws: int
    finer: float
    finer_share: float


@dataclass(frozen=True)
class Returns:
    """How often images and groups come back.

    Attributes
    ----------
    votes : float64 (n_rows,)
        The share of regroupings that put a row in its group; the groups are matched one to one.
    persistence : float64 (n_groups,)
        The mean overlap (Jaccard) of a group with the group of a regrouping that is most like it.
    """

    votes: npt.NDArray[np.float64]
    persistence: npt.NDArray[np.float64]


def measure_returns(
    rows: FloatMatrix,
    groups: IntVector,
    *,
    n_groups: int,
    regrouping: Regrouping,
    seed: int,
    known: IntVector | None = None,
    levels: int = 1,
) -> Returns:
    """Group parts of the rows again, and compare.

    Parameters
    ----------
    rows : float32 (n_rows, dim), unit rows
        In the space in which they were grouped.
    groups : int64 (n_rows,), from 0 to n_groups - 1
    seed : int >= 0
    known : int64 (n_rows,), optional
        What they were grouped with (see ward_kmeans): every part has all examples of known classes.
    levels : int, optional
        Of k-means; see ward_kmeans.
    """
    asked = regrouping
    generator = np.random.default_rng(seed)
    same = [_regroup(rows, n_groups, asked.rows_share, generator, known, levels) for _ in range(asked.draws)]
    n_finer = round(asked.finer * n_groups)
    more = [_regroup(rows, n_finer, asked.rows_share, generator, known, levels) for _ in range(asked.finer_draws)]
    votes = np.mean([_matched(found, groups, n_groups) == groups for found in same], axis=0)
    persistence = (1 - asked.finer_share) * _persistence(same, groups, n_groups)
    persistence += asked.finer_share * _persistence(more, groups, n_groups)
    return Returns(votes, persistence)


def _regroup(
    rows: FloatMatrix,
    n_groups: int,
    rows_share: float,
    generator: np.random.Generator,
    known: IntVector | None,
    levels: int,
) -> IntVector:
    """A group for every row by centers from a part of the rows in half of the directions, int64 (n_rows,)."""
    n_rows, dim = rows.shape
    # Of random directions, not of the axes: a group may be along one of these.
    directions = np.linalg.qr(generator.normal(size=(dim, -(-dim // 2))))[0].astype(np.float32)
    seen = unit_rows(rows @ directions)
    part = generator.permutation(n_rows)[: min(n_rows, max(2 * n_groups, int(rows_share * n_rows)))]
    if known is not None:
        part = np.union1d(part, np.flatnonzero(known >= 0))
    found = ward_kmeans(
        seen[part],
        n_clusters=min(n_groups, len(part)),
        seed=int(generator.integers(2**31)),
        known=None if known is None else known[part],
        levels=levels,
    )
    nearest: IntVector = (seen @ found.centers.T).argmax(axis=1)
    return nearest


def _overlaps(found: IntVector, groups: IntVector, n_groups: int) -> IntMatrix:
    """Rows that a group of a regrouping and a group share, int64 (n_found, n_groups)."""
    table = np.zeros((int(found.max()) + 1, n_groups), dtype=np.int64)
    np.add.at(table, (found, groups), 1)
    return table


def _matched(found: IntVector, groups: IntVector, n_groups: int) -> IntVector:
    """The group that each row's regrouping stands for, -1 for one without a partner."""
    from scipy.optimize import linear_sum_assignment

    table = _overlaps(found, groups, n_groups)
    partner = np.full(len(table), -1)
    ours, theirs = linear_sum_assignment(-table)
    partner[ours] = theirs
    matched: IntVector = partner[found]
    return matched


def _persistence(members: list[IntVector], groups: IntVector, n_groups: int) -> npt.NDArray[np.float64]:
    best = []
    for found in members:
        # Of the pairs that share rows: of thousands of groups, the table of all pairs takes gigabytes.
        pairs, shared = np.unique(found * n_groups + groups, return_counts=True)
        theirs, ours = pairs // n_groups, pairs % n_groups
        union = np.bincount(found)[theirs] + np.bincount(groups, minlength=n_groups)[ours] - shared
        overlap = np.zeros(n_groups)
        np.maximum.at(overlap, ours, shared / union)
        best.append(overlap)
    whole: npt.NDArray[np.float64] = np.mean(best, axis=0)
    return whole
