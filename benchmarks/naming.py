"""The judge of names: how a cluster's name is related to the true kind of most of its images, only by WordNet.

What must stay out: how names are found, and which stores are judged (names.py, demo.py).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.reference_data import read_class_names
from tac_pipeline.wordnet import WordNet, open_wordnet

# The relations that count as right: the kind itself, another word for it, or a kind at most two steps above it.
RIGHT = ("kind", "synonym", "hypernym", "wider")

# Classes with names that WordNet holds in another sense, in another spelling, or not at all. The last ones (no synset)
# have the kinds directly above instead: what a careful person would call them in WordNet's words.
_CLASSES: dict[str, tuple[str | None, tuple[str, ...]]] = {
    "tacos": ("taco.n.02", ()),
    "Abyssinian": ("abyssinian.n.01", ()),
    "American bulldog": (None, ("bulldog.n.01",)),
    "Bengal": (None, ("domestic_cat.n.01",)),
    "Birman": (None, ("domestic_cat.n.01",)),
    "Bombay": (None, ("domestic_cat.n.01",)),
    "boxer": ("boxer.n.04", ()),
    "British Shorthair": (None, ("domestic_cat.n.01",)),
    "chihuahua": ("chihuahua.n.03", ()),
    "Egyptian Mau": (None, ("egyptian_cat.n.01", "domestic_cat.n.01")),
    "German shorthaired": ("german_short-haired_pointer.n.01", ()),
    "havanese": (None, ("toy_dog.n.01",)),
    "japanese chin": ("japanese_spaniel.n.01", ()),
    "leonberger": ("leonberg.n.01", ()),
    "Maine Coon": (None, ("domestic_cat.n.01",)),
    "Persian": ("persian_cat.n.01", ()),
    "Ragdoll": (None, ("domestic_cat.n.01",)),
    "Russian Blue": (None, ("domestic_cat.n.01",)),
    "samoyed": ("samoyed.n.03", ()),
    "shiba inu": (None, ("spitz.n.01",)),
    "Siamese": ("siamese_cat.n.01", ()),
    "Sphynx": (None, ("domestic_cat.n.01",)),
    "wheaten terrier": ("soft-coated_wheaten_terrier.n.01", ()),
}


@dataclass(frozen=True)
class TrueKind:
    """What the images of a class show.

    Attributes
    ----------
    noun : str
        The name of the class.
    synset : str or None
        Its meaning; None when WordNet does not hold it.
    above : tuple of str
        The synsets directly above it.
    """

    noun: str
    synset: str | None
    above: tuple[str, ...]


@dataclass(frozen=True)
class Naming:
    """A group, the kind of most of its pictures, and the relation of its name to that kind."""

    cluster_id: int
    name: str
    kind: str
    purity: float
    size: int
    relation: str  # kind | synonym | hypernym | wider | hyponym | other


def true_kind(noun: str, synset: str | None, wordnet: WordNet) -> TrueKind:
    """A kind with a meaning that WordNet holds."""
    return TrueKind(noun, synset, wordnet.hypernyms(synset) if synset is not None else ())


def class_kinds(folder: Path, table: str) -> list[TrueKind]:
    """The kinds of a reference table's classes, in the order of its labels (classes.json)."""
    wordnet = open_wordnet()
    names = read_class_names(folder, table)
    kinds = []
    for name in names:
        synset, above = _CLASSES.get(name, (wordnet.synset(name), ()))
        kinds.append(TrueKind(name, None, above) if synset is None else true_kind(name, synset, wordnet))
    return kinds


def relation(name: str | None, kind: TrueKind, wordnet: WordNet) -> str:
    """The relation of a group's name to a kind: kind, synonym, hypernym, wider (two steps up), hyponym, or other."""
    noun = re.sub(r" \(.*\)$", "", name or "").lower()
    if noun == kind.noun.lower():
        return "kind"
    if kind.synset is not None and noun in _words([kind.synset], wordnet):
        return "synonym"
    if noun in _words(kind.above, wordnet):
        return "hypernym"
    if noun in _words([wider for above in kind.above for wider in wordnet.hypernyms(above)], wordnet):
        return "wider"
    said = wordnet.synset(noun)
    below = said is not None and kind.synset in wordnet.hypernyms(said)
    return "hyponym" if below else "other"


def judge(
    names: Mapping[int, str | None],
    assignment: npt.NDArray[np.integer],
    labels: Sequence[str],
    kinds: Mapping[str, TrueKind],
) -> list[Naming]:
    """Every cluster with images, the largest first; when kinds tie, the first by alphabet is its kind."""
    wordnet, truth = open_wordnet(), np.asarray(labels)
    found = []
    for cluster in np.unique(assignment):
        members, counts = np.unique(truth[assignment == cluster], return_counts=True)
        kind, size = str(members[counts.argmax()]), int(counts.sum())
        name = names.get(int(cluster))
        found.append(
            Naming(
                int(cluster), name or "", kind, float(counts.max()) / size, size, relation(name, kinds[kind], wordnet)
            )
        )
    return sorted(found, key=lambda naming: (-naming.size, naming.cluster_id))


def right_share(found: Sequence[Naming]) -> float:
    """The share of clusters with a right name."""
    return sum(naming.relation in RIGHT for naming in found) / len(found)


def distinct_share(found: Sequence[Naming]) -> float:
    """The number of distinct names divided by the number of clusters."""
    return len({naming.name.lower() for naming in found}) / len(found)


def _words(synsets: Sequence[str], wordnet: WordNet) -> set[str]:
    return {lemma.lower() for synset in synsets for lemma in wordnet.lemmas(synset)}
