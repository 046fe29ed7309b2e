"""The kinds in a list of nouns: what each noun may mean, and every kind above that.

What must stay out: embeddings, and which kind names a group (method/words/names.py).
"""

from __future__ import annotations

from collections.abc import Sequence

from tac_pipeline.method.words.kinds import NounKinds
from tac_pipeline.wordnet.graph import WordNet, open_wordnet
from tac_pipeline.wordnet.offensive import is_offensive


def noun_kinds(nouns: Sequence[str]) -> NounKinds:
    """Look up every noun in all its senses, with the kinds above them up to the root.

    Words in brackets, as in "ram (animal)", leave one sense.
    """
    wordnet = open_wordnet()
    places: dict[str, int] = {}
    spelled: list[str] = []
    senses: list[tuple[int, ...]] = []
    common: list[tuple[int, ...]] = []
    for noun in nouns:
        meaning = wordnet.meaning(noun)
        if meaning is None:
            spelled.append(noun)
            senses.append((places.setdefault(f" {noun}", len(places)),))
            common.append((0,))
            continue
        _, name = meaning
        found = wordnet.senses(noun)
        spelled.append(name)
        senses.append(tuple(places.setdefault(sense, len(places)) for sense in found))
        common.append(tuple(wordnet.times_used(name, sense) for sense in found))
        for sense in found:
            for above in wordnet.ancestors(sense):
                places.setdefault(above, len(places))
    kinds = [None if kind.startswith(" ") else kind for kind in places]
    return NounKinds(
        tuple(spelled),
        tuple(senses),
        tuple(common),
        tuple(own[1:] if kind is None else _name(kind, wordnet) for own, kind in zip(places, kinds, strict=True)),
        tuple(
            (place,) if kind is None else (place, *(places[above] for above in wordnet.ancestors(kind)))
            for place, kind in enumerate(kinds)
        ),
        tuple(0.0 if kind is None else wordnet.share_below(kind) for kind in kinds),
    )


def _name(synset: str, wordnet: WordNet) -> str:
    """The first noun of a kind that may be used as a name; an empty text when there is none."""
    return next((lemma for lemma in wordnet.lemmas(synset) if not is_offensive(lemma)), "")
