"""WordNet as a graph of synsets. What must stay out: embeddings, and choices of which noun names a group."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from functools import cached_property, lru_cache
from typing import TypeVar

from tac_pipeline.errors import InputError
from tac_pipeline.wordnet.tables import load_nouns, load_senses, load_synsets

Value = TypeVar("Value")

# The endings that WordNet's own morphology removes from nouns, in its order.
_PLURALS = (
    ("s", ""),
    ("ses", "s"),
    ("xes", "x"),
    ("zes", "z"),
    ("ches", "ch"),
    ("shes", "sh"),
    ("men", "man"),
    ("ies", "y"),
)
_QUALIFIED = re.compile(r"(?P<noun>.+?) \((?P<qualifier>[^()]+)\)")


@lru_cache(maxsize=1)
def open_wordnet() -> WordNet:
    """The packaged WordNet; it is read when first used."""
    return WordNet()


class WordNet:
    """Nouns, synsets and the synsets above them.

    Nouns may be written in any case and with underscores; synsets are named as in dog.n.01. An unknown noun has no
    senses; an unknown synset raises InputError.
    """

    def synsets(self, noun: str) -> tuple[str, ...]:
        """All senses of a noun, the most frequent first; empty for a noun that WordNet does not hold."""
        return self._senses_of.get(_key(noun), ())

    def synset(self, noun: str) -> str | None:
        """The sense of a noun as a candidate: its most frequent one, or the reviewed one."""
        return self._stands_for.get(_key(noun))

    def meaning(self, noun: str) -> tuple[str, str] | None:
        """The meaning of a noun of any list: a synset, and the noun as WordNet spells it there; None when unknown.

        A plural that WordNet does not hold means its singular. Words in brackets at the end, as in "ram (animal)",
        choose the first sense that fits them; else the noun has the same sense as a candidate.
        """
        found = self.senses(noun)
        if not found:
            return None
        key, _ = self._known_form(noun)
        return found[0], next(lemma for lemma in self.lemmas(found[0]) if lemma.lower() == key)

    def senses(self, noun: str) -> tuple[str, ...]:
        """All that a noun of any list may mean, what it means as a candidate first; one synset if brackets choose it.

        Empty for a noun that WordNet does not hold.
        """
        key, qualifier = self._known_form(noun)
        if key is None:
            return ()
        every = self._senses_of[key]
        usual = self._stands_for.get(key) or every[0]
        if qualifier:
            wanted = {qualifier.lower(), *re.findall(r"\w+", qualifier.lower())}
            return (next((sense for sense in every if wanted & self._words_above(sense)), usual),)
        return (usual, *(sense for sense in every if sense != usual))

    def times_used(self, noun: str, synset: str) -> int:
        """How often WordNet's tagged texts use a noun in the sense of a synset."""
        return self._times_used.get((_key(noun), synset), 0)

    def _known_form(self, noun: str) -> tuple[str | None, str]:
        """The key of a noun, or of its singular, None when WordNet holds neither; and what brackets at its end say."""
        base, qualifier = split_qualifier(noun)
        return next((form for form in _forms(_key(base)) if form in self._senses_of), None), qualifier

    def _words_above(self, synset: str) -> set[str]:
        """The nouns of a synset and of all above it, in lower case."""
        return {lemma.lower() for above in (synset, *self.ancestors(synset)) for lemma in self.lemmas(above)}

    def lemmas(self, synset: str) -> tuple[str, ...]:
        """The nouns of a synset in WordNet's order, spaces for underscores."""
        return _entry(self._lemmas_of, synset)

    def hypernyms(self, synset: str) -> tuple[str, ...]:
        """The synsets directly above: for a kind its wider kinds, for an instance (Einstein) the kinds that it is."""
        return _entry(self._above, synset)

    def ancestors(self, synset: str) -> tuple[str, ...]:
        """Every synset above, the nearest first, each once; empty for entity.n.01, the root of all."""
        found: dict[str, None] = {}
        level = self.hypernyms(synset)
        while level:
            found |= dict.fromkeys(level)
            level = tuple(above for below in level for above in self.hypernyms(below) if above not in found)
        return tuple(found)

    def share_below(self, synset: str) -> float:
        """The share of all synsets that are this one or under it: 1 for entity.n.01, small for a narrow kind."""
        return _entry(self._n_below, synset) / len(self._above)

    @cached_property
    def _senses_of(self) -> dict[str, tuple[str, ...]]:
        rows = load_senses().sort("key", "rank", maintain_order=True).select("key", "synset").iter_rows()
        return _grouped(rows)

    @cached_property
    def _times_used(self) -> dict[tuple[str, str], int]:
        rows = load_senses().select("key", "synset", "tag_count").iter_rows()
        return {(key, synset): count for key, synset, count in rows if count}

    @cached_property
    def _lemmas_of(self) -> dict[str, tuple[str, ...]]:
        return _grouped(load_senses().select("synset", "lemma").iter_rows())

    @cached_property
    def _stands_for(self) -> dict[str, str]:
        return dict(load_nouns().select("key", "synset").iter_rows())

    @cached_property
    def _above(self) -> dict[str, tuple[str, ...]]:
        rows = load_synsets().select("synset", "hypernyms", "instance_hypernyms").iter_rows()
        return {synset: (*kinds, *instance_of) for synset, kinds, instance_of in rows}

    @cached_property
    def _n_below(self) -> Counter[str]:
        return Counter(kind for synset in self._above for kind in (synset, *self.ancestors(synset)))


def split_qualifier(noun: str) -> tuple[str, str]:
    """A noun, and the words in brackets at its end, as in "ram (animal)"; these are empty where there are none."""
    parts = _QUALIFIED.fullmatch(noun.strip())
    return (parts["noun"], parts["qualifier"]) if parts else (noun, "")


def _key(noun: str) -> str:
    return " ".join(noun.replace("_", " ").split()).lower()


def _forms(key: str) -> Iterable[str]:
    """A noun, then the nouns of which it may be the plural."""
    yield key
    for ending, singular in _PLURALS:
        if key.endswith(ending) and len(key) > len(ending):
            yield key.removesuffix(ending) + singular


def _grouped(rows: Iterable[tuple[str, str]]) -> dict[str, tuple[str, ...]]:
    """Map each first value to its second values, in order and each once."""
    groups: defaultdict[str, dict[str, None]] = defaultdict(dict)
    for name, member in rows:
        groups[name][member] = None
    return {name: tuple(members) for name, members in groups.items()}


def _entry(entries: Mapping[str, Value], synset: str) -> Value:
    if synset not in entries:
        raise InputError(f"a synset must be named as in dog.n.01 and be one of WordNet 3.0's nouns; got {synset!r}")
    return entries[synset]
