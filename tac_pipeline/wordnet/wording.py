"""How synsets are called: in the user's language, and never by a word that must not be a name.

What must stay out: reading a language's file (languages.py), and which synset names a group (method/words/names.py).
"""

from __future__ import annotations

from collections.abc import Collection
from functools import cached_property

from tac_pipeline.wordnet.graph import WordNet, open_wordnet, split_qualifier
from tac_pipeline.wordnet.languages import Language
from tac_pipeline.wordnet.offensive import is_offensive
from tac_pipeline.wordnet.spelling import folded, is_among
from tac_pipeline.wordnet.tables import load_senses


class Wording:
    """The names of synsets.

    Parameters
    ----------
    language : Language, optional
        Where it has a word for a synset, that is the name; English otherwise.
    never : collection of str
        Words that are no name, in any spelling.
    """

    def __init__(self, language: Language | None = None, *, never: Collection[str] = ()) -> None:
        self.language = language
        self._never = frozenset(map(folded, never))

    def name(self, synset: str) -> str:
        """The name of a synset; an empty text when it has none.

        English decides: a synset that has no usable word there has no name in any language, and one with an offensive
        word is not translated, because nobody has reviewed the translations. A word of another language may be spelled
        like an offensive one of English, and is not judged by that.

        Raises
        ------
        InputError
            No such synset.
        """
        english = next((lemma for lemma in self._wordnet.lemmas(synset) if self.may_name(lemma)), "")
        return self.local_name(synset) or english

    def may_name(self, noun: str) -> bool:
        """Whether an English noun may be a name: it is neither offensive nor one of the words that are never used."""
        return not is_offensive(noun) and not self.is_never(noun)

    def is_never(self, word: str) -> bool:
        """Whether a word is one of those that are never used, in any spelling."""
        return bool(self._never) and is_among(word, self._never)

    def local_name(self, synset: str) -> str:
        """The name of a synset in the language; empty when it has none there."""
        lemmas = self._wordnet.lemmas(synset)
        if self.language is None or any(map(is_offensive, lemmas)) or all(map(self.is_never, lemmas)):
            return ""
        return next((lemma for lemma in self.language.lemmas.get(synset, ()) if not self.is_never(lemma)), "")

    def meaning(self, name: str) -> tuple[str, str] | None:
        """The synset of a name, and the name without brackets; None when unknown.

        A word of the language is looked up first. Of several synsets, words in brackets at the end choose one that has
        them above it; else one that has the word as its name, the most frequent in English first.
        """
        base, qualifier = split_qualifier(name)
        senses = self._senses_of.get(base.casefold(), ())
        if not senses:
            return self._wordnet.meaning(name)
        wanted = qualifier.casefold()
        fitting = (sense for sense in senses if wanted and wanted in self._names_above(sense))
        return next(fitting, senses[0]), base

    def _names_above(self, synset: str) -> set[str]:
        return {self.name(above).casefold() for above in self._wordnet.ancestors(synset)}

    @property
    def _wordnet(self) -> WordNet:
        return open_wordnet()

    @cached_property
    def _senses_of(self) -> dict[str, list[str]]:
        """The synsets of each word of the language, the likeliest first."""
        if self.language is None:
            return {}
        import polars as pl

        found: dict[str, list[tuple[int, int, str]]] = {}
        counts = dict(load_senses().group_by("synset").agg(pl.col("tag_count").cast(pl.Int64).sum()).iter_rows())
        for synset, lemmas in self.language.lemmas.items():
            for place, lemma in enumerate(lemmas):
                found.setdefault(lemma.casefold(), []).append((min(place, 1), -counts[synset], synset))
        return {word: [synset for *_, synset in sorted(senses)] for word, senses in found.items()}
