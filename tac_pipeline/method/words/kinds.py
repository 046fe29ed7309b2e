"""Nouns as kinds, with the wider kinds above them: names are chosen with these.

What must stay out: where the kinds come from (wordnet/noun_kinds.py).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tac_pipeline.arrays import FloatVector


@dataclass(frozen=True)
class NounKinds:
    """What nouns may mean in WordNet's graph; a noun that WordNet does not hold is a kind of its own.

    People's own words that mean one kind are kinds of their own below it: they were written apart.

    Attributes
    ----------
    spelled : tuple of str, n_nouns long
        The noun in the number and case of WordNet; an own word as it was written.
    senses : tuple of tuple of int, n_nouns long
        The kinds that each noun may mean, the usual one first.
    common : tuple of tuple of int, n_nouns long
        How often texts use the noun in each of these senses.
    names : tuple of str, n_kinds long
        An own word, or the kind's name in people's language or English (see Wording), an empty text where there is
        none; a noun that WordNet does not hold is unchanged.
    above : tuple of tuple of int, n_kinds long
        The kind itself, then every kind above it, the nearest first.
    width : tuple of float, n_kinds long
        The share of all of WordNet's kinds that are this one or below it; 0 for a noun that WordNet does not hold.
    settled : frozenset of int
        The kinds that keep their name, whatever noun means them: it is an own word, or in people's language.
    own : bool (n_nouns,), optional
        Whether a noun is people's own word; None when none is.
    weight : float32 (n_nouns,), optional
        How much people prefer a noun as a name, over 0; None when all weigh 1.
    """

    spelled: tuple[str, ...]
    senses: tuple[tuple[int, ...], ...]
    common: tuple[tuple[int, ...], ...]
    names: tuple[str, ...]
    above: tuple[tuple[int, ...], ...]
    width: tuple[float, ...]
    settled: frozenset[int] = frozenset()
    own: npt.NDArray[np.bool_] | None = None
    weight: FloatVector | None = None
