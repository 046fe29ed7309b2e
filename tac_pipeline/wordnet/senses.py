"""Which sense of a noun is meant in a list of nouns: where WordNet's counts do not say, the other nouns of the list do.

"turtle" is a sweater first in WordNet, which never met the word in its tagged texts. Beside "sea turtle" and
"tortoise" it is the animal. What must stay out: the sense of a noun alone (WordNet.meaning).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence, Set

import numpy as np

from tac_pipeline.wordnet.graph import WordNet, split_qualifier

# A sense competes with the first one when it is counted at least this share as often, so many counts more or less.
COMPETES, CHANCE = 0.5, 3
# A sense with a word in the language is shown when it fits at least this share as well as the one that fits best.
NEARLY = 0.8


def likely_senses(
    nouns: Sequence[str], first: Sequence[str | None], *, wordnet: WordNet, has_word: Callable[[str], bool]
) -> list[tuple[str, ...]]:
    """The likeliest sense of every noun, and then its other senses that fit the list about as well.

    A sense fits by the information content (Resnik, 1995) of a kind that it shares with others of the list, and by how
    many these are. Only senses that WordNet's tagged texts hold about as often as the first one can be the likeliest;
    of those that fit about equally, one that has a word in the language is. A noun with words in brackets, or that
    WordNet does not hold, keeps what it has.

    Parameters
    ----------
    nouns : sequence of str
    first : sequence of str or None, n_nouns long
        The synset of each noun alone.
    wordnet : WordNet
    has_word : callable (synset) -> bool

    Returns
    -------
    list of tuple of str, n_nouns long; empty for a noun without a synset
    """
    witnesses = {synset for synset in first if synset is not None}
    shared = Counter(kind for synset in witnesses for kind in (synset, *wordnet.ancestors(synset)))
    found: list[tuple[str, ...]] = [() if synset is None else (synset,) for synset in first]
    for row, (noun, synset) in enumerate(zip(nouns, first, strict=True)):
        every = () if synset is None or split_qualifier(noun)[1] else wordnet.senses(noun)
        if synset is not None and len(every) > 1:
            fits = {sense: _fit(sense, every, witnesses, shared, wordnet) for sense in every}
            rivals = _rivals(noun, synset, every, wordnet)
            best = max(fits[sense] for sense in rivals)
            near = [sense for sense in rivals if fits[sense] >= NEARLY * best]
            likely = min(near, key=lambda sense: (not has_word(sense), -fits[sense]))
            found[row] = (likely, *(sense for sense in every if sense != likely and fits[sense] >= NEARLY * best))
    return found


def _rivals(noun: str, synset: str, every: Sequence[str], wordnet: WordNet) -> list[str]:
    """The senses of a noun that texts use about as often as its usual one, and this one."""
    least = COMPETES * wordnet.times_used(noun, synset) - CHANCE
    return [sense for sense in every if sense == synset or wordnet.times_used(noun, sense) >= least]


def _fit(synset: str, senses: Sequence[str], witnesses: Set[str], shared: Counter[str], wordnet: WordNet) -> float:
    """How well a sense fits: most of the nats of a kind of it, times the log of how many other synsets are of it.

    The noun's own senses are no witnesses; other words for one of them, as in "mushroom cloud", would decide at once.
    """
    own = [{sense, *wordnet.ancestors(sense)} for sense in senses if sense in witnesses]
    fits = (
        -np.log(wordnet.share_below(kind)) * np.log1p(shared[kind] - sum(kind in above for above in own))
        for kind in (synset, *wordnet.ancestors(synset))
    )
    return float(max(fits))
