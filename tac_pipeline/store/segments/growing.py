"""Rows that come to a table in segments, or go: which segments change, and what is then in them.

The result is cut as the whole table would be cut (cutting.py), so that equal rows give equal segments on any way.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import polars as pl

from tac_pipeline.store.segments.cutting import cut, is_marked
from tac_pipeline.store.segments.reading import Segment


def grow(parts: Sequence[Segment], *, gone: pl.Series, come: pl.DataFrame) -> list[Segment | pl.DataFrame] | None:
    """The segments of a table after some rows went and others came.

    Held at once are the segments that change.

    Parameters
    ----------
    parts : sequence of Segment
        Of a table that is sorted by its key.
    gone : Series
        Keys of rows that go.
    come : DataFrame
        Rows that come, with other keys than those that stay.

    Returns
    -------
    list of Segment or DataFrame, in the table's order
        A segment that stays, or the rows of a new one. None when a key of `come` is there already, or one of `gone` is
        not, or no row would be left.
    """
    key = str(parts[0].schema.key)
    # Rows are cut anew from one marked key to the next: nothing else decides where the cuts between them are.
    starts = [0, *(place for place in range(1, len(parts)) if is_marked(parts[place].bounds[0]))]
    firsts = np.array([parts[start].bounds[0] for start in starts], dtype=object)
    values = np.array([*gone, *come[key]], dtype=object)
    touched = set(np.maximum(np.searchsorted(firsts, values, side="right") - 1, 0).tolist())
    first_rows = set(gone.filter(gone.is_in(firsts[1:].tolist())))
    # Without its marked first row, a stretch goes on from the one before.
    joined = {place for place in range(1, len(starts)) if firsts[place] in first_rows}
    touched |= joined | {place - 1 for place in joined}
    found: list[Segment | pl.DataFrame] = []
    waiting: list[pl.DataFrame] = []
    ends = [*starts, len(parts)]
    went = 0
    for place, (start, end) in enumerate(pairwise(ends)):
        if place not in joined:
            found += _cut(waiting, key)
            waiting = []
        if place not in touched:
            found += parts[start:end]
            continue
        rows = pl.concat(part.frame() for part in parts[start:end])
        left = rows.filter(~pl.col(key).is_in(gone.implode()))
        went += len(rows) - len(left)
        mine = come.filter(_between(key, firsts, place))
        if len(left.join(mine, on=key, how="semi")):
            return None
        waiting.append(pl.concat([left, mine.select(left.columns)]).sort(key))
    found += _cut(waiting, key)
    return found if went == len(gone) and found else None


def _between(key: str, firsts: np.ndarray, place: int) -> pl.Expr:
    """Which rows are in a stretch: those before the first key of all are in the first."""
    after = pl.lit(True) if place == 0 else pl.col(key) >= firsts[place]
    return after if place + 1 == len(firsts) else after & (pl.col(key) < firsts[place + 1])


def _cut(tables: list[pl.DataFrame], key: str) -> list[pl.DataFrame]:
    tables = [table for table in tables if len(table)]
    if not tables:
        return []
    rows = pl.concat(tables)
    return [rows.slice(start, end - start) for start, end in pairwise(cut(rows[key].to_arrow()))]
