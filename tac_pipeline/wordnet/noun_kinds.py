"""The kinds in a list of nouns: what each noun may mean, and every kind above that.

What must stay out: embeddings, and which kind names a group (method/words/names.py).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tac_pipeline.arrays import FloatVector
from tac_pipeline.method.words.kinds import NounKinds
from tac_pipeline.wordnet.graph import WordNet, open_wordnet, split_qualifier
from tac_pipeline.wordnet.senses import likely_senses
from tac_pipeline.wordnet.wording import Wording

Senses = Sequence[tuple[str, ...]]


def noun_kinds(
    nouns: Sequence[str],
    *,
    wording: Wording | None = None,
    own: npt.NDArray[np.bool_] | None = None,
    weight: FloatVector | None = None,
    as_written: bool = True,
) -> NounKinds:
    """Look up every noun in all its senses, with the kinds above them up to the root.

    Words in brackets, as in "ram (animal)", leave one sense. Of people's own words, one that alone means a kind names
    it. Several that mean one kind, such as "moon" and "Moon", were written apart: each is a kind of its own below it.

    Parameters
    ----------
    nouns : sequence of str, n_nouns long, unique
    wording : Wording, optional
        What kinds are called; in English if not given.
    own : bool (n_nouns,), optional
        Which nouns are people's own words.
    weight : float32 (n_nouns,), optional
        How much people prefer each; passed on.
    as_written : bool
        Show own words as they are, in any language; else they are translated like WordNet's.
    """
    wordnet, wording = open_wordnet(), Wording() if wording is None else wording
    is_own = np.zeros(len(nouns), dtype=bool) if own is None else own
    senses = [_senses(noun, wordnet, own=mine) for noun, mine in zip(nouns, is_own, strict=True)]
    lent: dict[str, str] = {}
    if wording.language is not None:
        # A translation shows which sense was taken, so the rest of the list is asked too.
        senses, lent = _likely_first(nouns, senses, is_own, wording)
    means = _means_of_own(senses, is_own)
    # Kinds of their own, by the noun after a space, with the synset right above them.
    apart = {f" {nouns[row]}": synset for synset, rows in means.items() if len(rows) > 1 for row in rows}
    named = {synset: nouns[rows[0]] for synset, rows in means.items() if len(rows) == 1}
    if not as_written:
        named = {synset: noun for synset, noun in named.items() if not wording.local_name(synset)}
    meant = [_kinds_meant(noun, found, apart) for noun, found in zip(nouns, senses, strict=True)]
    chains = {kind: _chain(kind, apart, wordnet) for kinds in meant for kind in kinds}
    places: dict[str, int] = {}
    for kinds in meant:
        for kind in (*kinds, *(above for sense in kinds for above in chains[sense])):
            places.setdefault(kind, len(places))
    return NounKinds(
        spelled=tuple(
            noun if mine or not found else _spelling(noun, wordnet)
            for noun, mine, found in zip(nouns, is_own, senses, strict=True)
        ),
        senses=tuple(tuple(places[kind] for kind in kinds) for kinds in meant),
        common=tuple(
            tuple(wordnet.times_used(_spelling(noun, wordnet), sense) for sense in found) or (0,)
            for noun, found in zip(nouns, senses, strict=True)
        ),
        names=tuple(
            kind[1:] if kind[0] == " " else named.get(kind) or lent.get(kind) or wording.name(kind) for kind in places
        ),
        above=tuple(tuple(places[above] for above in _chain(kind, apart, wordnet)) for kind in places),
        width=tuple(_width(kind, apart, wordnet) for kind in places),
        settled=frozenset(
            place
            for kind, place in places.items()
            if kind in named or kind in lent or (kind[0] != " " and wording.local_name(kind))
        ),
        own=own,
        weight=weight,
    )


def _senses(noun: str, wordnet: WordNet, *, own: bool) -> tuple[str, ...]:
    """The synsets of a noun; of an own one, those that WordNet spells with the same capitals come first."""
    found = wordnet.senses(noun)
    if not own:
        return found
    base, _ = split_qualifier(noun)
    return tuple(sorted(found, key=lambda sense: base not in wordnet.lemmas(sense)))


def _likely_first(
    nouns: Sequence[str], senses: Senses, is_own: npt.NDArray[np.bool_], wording: Wording
) -> tuple[list[tuple[str, ...]], dict[str, str]]:
    """The senses of every noun, with the one first that fits the list; and words lent to senses near it.

    The plant and the fruit are both a banana, and only one of them may have a word. Own words keep their order.
    """
    likely = likely_senses(
        nouns,
        [found[0] if found else None for found in senses],
        wordnet=open_wordnet(),
        has_word=lambda synset: bool(wording.local_name(synset)),
    )
    ordered: list[tuple[str, ...]] = []
    lent: dict[str, str] = {}
    for noun, found, mine, near in zip(nouns, senses, is_own, likely, strict=True):
        ordered.append(found if mine or not near else (near[0], *(sense for sense in found if sense != near[0])))
        word = next((word for word in map(wording.local_name, near) if word), "")
        for sense in near if word and not mine else ():
            if not wording.local_name(sense) and wording.name(sense).lower() == noun.lower():
                lent.setdefault(sense, word)
    return ordered, lent


def _means_of_own(senses: Senses, is_own: npt.NDArray[np.bool_]) -> dict[str, list[int]]:
    """The own nouns that mean each synset first of all."""
    found: defaultdict[str, list[int]] = defaultdict(list)
    for row in np.flatnonzero(is_own).tolist():
        if senses[row]:
            found[senses[row][0]].append(row)
    return found


def _kinds_meant(noun: str, senses: tuple[str, ...], apart: dict[str, str]) -> tuple[str, ...]:
    if not senses:
        return (f" {noun}",)
    return (f" {noun}", *senses[1:]) if f" {noun}" in apart else senses


def _chain(kind: str, apart: dict[str, str], wordnet: WordNet) -> tuple[str, ...]:
    """The kind itself, then every kind above it, the nearest first."""
    if kind[0] != " ":
        return (kind, *wordnet.ancestors(kind))
    return (kind, apart[kind], *wordnet.ancestors(apart[kind])) if kind in apart else (kind,)


def _width(kind: str, apart: dict[str, str], wordnet: WordNet) -> float:
    if kind in apart:
        # Narrower than what it is below, where that is as narrow as can be.
        return wordnet.share_below(apart[kind]) / 2
    return 0.0 if kind[0] == " " else wordnet.share_below(kind)


def _spelling(noun: str, wordnet: WordNet) -> str:
    meaning = wordnet.meaning(noun)
    return noun if meaning is None else meaning[1]
