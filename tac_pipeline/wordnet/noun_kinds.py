"""The kinds in a list of nouns: what each noun means, and every kind above it that has a usable name.

What must stay out: embeddings, and which kind names a group (method/words/names.py).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from tac_pipeline.arrays import FloatVector, IntVector
from tac_pipeline.method.words.kinds import NounKinds
from tac_pipeline.wordnet.graph import WordNet, open_wordnet
from tac_pipeline.wordnet.senses import likely_senses
from tac_pipeline.wordnet.wording import Wording


def noun_kinds(
    nouns: Sequence[str],
    *,
    wording: Wording | None = None,
    own: npt.NDArray[np.bool_] | None = None,
    weight: FloatVector | None = None,
    as_written: bool = True,
) -> NounKinds:
    """Look up every noun, with the kinds above it up to the root.

    Parameters
    ----------
    nouns : sequence of str
    wording : Wording, optional
        What kinds are called; in English if not given.
    own : bool (n_nouns,), optional
        People's own words. One that alone means a kind is that kind's name. Several of one meaning were written apart,
        such as "Turkey" and "turkey": each is a kind of its own, below the one that they mean.
    weight : float32 (n_nouns,), optional
        Passed on.
    as_written : bool
        Show own words as they are, in any language; else they are translated like WordNet's.
    """
    wording = Wording() if wording is None else wording
    is_own = np.zeros(len(nouns), dtype=bool) if own is None else own
    found = [open_wordnet().meaning(noun) for noun in nouns]
    owners: defaultdict[str, list[int]] = defaultdict(list)
    for row in np.flatnonzero(is_own).tolist():
        meaning = found[row]
        if meaning is not None:
            owners[meaning[0]].append(row)
    named = {
        synset: nouns[rows[0]]
        for synset, rows in owners.items()
        if len(rows) == 1 and (as_written or not wording.local_name(synset))
    }
    table = _Kinds(open_wordnet(), wording, named)
    # A translation shows which sense was taken, so the rest of the list is asked too.
    shown = [None if meaning is None else meaning[0] for meaning in found]
    if wording.language is not None:
        shown = likely_senses(
            nouns, shown, wordnet=open_wordnet(), has_word=lambda kind: bool(wording.local_name(kind))
        )
    for row, noun in enumerate(nouns):
        meaning = found[row]
        if meaning is None:
            table.add(noun, noun, None)
        elif len(owners.get(meaning[0], ())) > 1 and is_own[row]:
            table.add(noun, noun, meaning[0], apart=True)
        else:
            said = named.get(meaning[0]) or wording.local_name(shown[row] or meaning[0]) or meaning[1]
            table.add(noun, said, meaning[0])
    return table.joined(own=own, weight=weight)


@dataclass
class _Kinds:
    """Kinds by synset, or by the noun after a space where it is a kind of its own; grows noun by noun."""

    wordnet: WordNet
    wording: Wording
    named: dict[str, str]
    places: dict[str, int] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)
    meant: list[int] = field(default_factory=list)
    spelled: list[str] = field(default_factory=list)
    pairs: list[tuple[int, int]] = field(default_factory=list)
    steps: dict[tuple[int, int], None] = field(default_factory=dict)

    def add(self, noun: str, spelled: str, synset: str | None, *, apart: bool = False) -> None:
        """Add a noun; `apart`, or one without a synset, is a kind of its own."""
        chain = () if synset is None else (synset, *self.wordnet.ancestors(synset))
        above = [self._place(kind, self.named.get(kind) or self.wording.name(kind)) for kind in chain]
        if apart or synset is None:
            above = [self._place(f" {noun}", noun), *above]
        if apart:
            self.steps[above[0], above[1]] = None
        self.pairs += [(len(self.spelled), place) for place in above]
        self.meant.append(above[0])
        self.spelled.append(spelled)

    def _place(self, kind: str, name: str) -> int:
        place = self.places.setdefault(kind, len(self.names))
        if place == len(self.names):
            self.names.append(name)
        return place

    def joined(self, *, own: npt.NDArray[np.bool_] | None, weight: FloatVector | None) -> NounKinds:
        """All of it as arrays."""
        synsets = [kind for kind in self.places if not kind.startswith(" ")]
        steps = [(self.places[kind], self.places[above]) for kind in synsets for above in self.wordnet.hypernyms(kind)]
        below, above = _columns(self.pairs)
        children, parents = _columns([*steps, *self.steps])
        meant = np.array(self.meant, dtype=np.int64)
        names, spelled = tuple(self.names), tuple(self.spelled)
        return NounKinds(names, meant, spelled, below, above, children, parents, own, weight, self._apart(synsets))

    def _apart(self, synsets: Sequence[str]) -> dict[int, str]:
        """For the synsets that share a name: the nearest kind above that no other of them has, by its name."""
        alike: defaultdict[str, list[str]] = defaultdict(list)
        for synset in synsets:
            alike[self.names[self.places[synset]].casefold()].append(synset)
        found = {}
        for name, group in alike.items():
            if name and len(group) > 1:
                for synset in group:
                    found[self.places[synset]] = self._difference(synset, [one for one in group if one != synset])
        return found

    def _difference(self, synset: str, others: Sequence[str]) -> str:
        own_name = self.names[self.places[synset]].casefold()
        shared = {kind for other in others for kind in (other, *self.wordnet.ancestors(other))}
        told = (self.wording.name(kind) for kind in self.wordnet.ancestors(synset) if kind not in shared)
        # The English word is a last resort: two synsets below one kind, with one word for both.
        words = [*told, *self.wordnet.lemmas(synset)]
        return next((word for word in words if word and word.casefold() != own_name), "")


def _columns(pairs: Sequence[tuple[int, int]]) -> tuple[IntVector, IntVector]:
    table = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    return table[:, 0], table[:, 1]
