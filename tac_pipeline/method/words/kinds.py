"""Nouns as kinds, with the wider kinds above them: names are chosen with these.

What must stay out: where the kinds come from (wordnet/noun_kinds.py).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class NounKinds:
    """What nouns may mean in WordNet's graph; a noun that WordNet does not hold is a kind of its own.

    Attributes
    ----------
    spelled : tuple of str, n_nouns long
        The noun in the number and case of WordNet.
    senses : tuple of tuple of int, n_nouns long
        The kinds that each noun may mean, the usual one first.
    common : tuple of tuple of int, n_nouns long
        How often texts use the noun in each of these senses.
    names : tuple of str, n_kinds long
        WordNet's first noun of the kind that is not offensive, an empty text where there is none; a noun that WordNet
        does not hold is unchanged.
    above : tuple of tuple of int, n_kinds long
        The kind itself, then every kind above it, the nearest first.
    width : tuple of float, n_kinds long
        The share of all of WordNet's kinds that are this one or below it; 0 for a noun that WordNet does not hold.
    """

    spelled: tuple[str, ...]
    senses: tuple[tuple[int, ...], ...]
    common: tuple[tuple[int, ...], ...]
    names: tuple[str, ...]
    above: tuple[tuple[int, ...], ...]
    width: tuple[float, ...]
