"""The kinds in a list of nouns: what each noun means, and every kind above it that has a usable name.

What must stay out: embeddings, and which kind names a group (method/words/names.py).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tac_pipeline.arrays import IntVector
from tac_pipeline.method.words.kinds import NounKinds
from tac_pipeline.wordnet.graph import WordNet, open_wordnet
from tac_pipeline.wordnet.offensive import is_offensive


def noun_kinds(nouns: Sequence[str]) -> NounKinds:
    """Look up every noun, with the kinds above it up to the root."""
    wordnet = open_wordnet()
    places: dict[str, int] = {}
    names: list[str] = []
    spelled: list[str] = []
    meant: list[int] = []
    pairs: list[tuple[int, int]] = []
    for row, noun in enumerate(nouns):
        found = wordnet.meaning(noun)
        chain: tuple[str, ...] = ()
        if found is None:
            name = noun
            own = places.setdefault(f" {noun}", len(places))
            if own == len(names):
                names.append(noun)
        else:
            synset, name = found
            chain = (synset, *wordnet.ancestors(synset))
            for above in chain:
                if places.setdefault(above, len(places)) == len(names):
                    names.append(_name(above, wordnet))
            own = places[synset]
        spelled.append(name)
        meant.append(own)
        pairs += [(row, own)] if not chain else [(row, places[above]) for above in chain]
    steps = [
        (place, places[above])
        for kind, place in places.items()
        if not kind.startswith(" ")
        for above in wordnet.hypernyms(kind)
    ]
    below, above_ = _columns(pairs)
    children, parents = _columns(steps)
    return NounKinds(tuple(names), np.array(meant, dtype=np.int64), tuple(spelled), below, above_, children, parents)


def _name(synset: str, wordnet: WordNet) -> str:
    """The first noun of a kind that may be used as a name; an empty text when there is none."""
    return next((lemma for lemma in wordnet.lemmas(synset) if not is_offensive(lemma)), "")


def _columns(pairs: list[tuple[int, int]]) -> tuple[IntVector, IntVector]:
    table = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    return table[:, 0], table[:, 1]
