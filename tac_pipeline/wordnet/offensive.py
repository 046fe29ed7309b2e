"""Which nouns must not name a group of photographs: WordNet's own marks, and a list reviewed by hand.

The criterion is at the head of offensive.txt, the reasons are in docs/decisions/0020-candidate-nouns.md.
"""

from __future__ import annotations

from functools import lru_cache

from tac_pipeline.wordnet.tables import load_nouns, read_list

# WordNet marks how a sense is used; these three of its usage domains say that the word hurts or is obscene.
OFFENSIVE_DOMAINS = frozenset({"disparagement.n.01", "ethnic_slur.n.01", "obscenity.n.02"})

_LIKE = str.maketrans({"-": " ", "_": " ", "’": "'"})


@lru_cache(maxsize=1)
def offensive_nouns() -> frozenset[str]:
    """The reviewed list (offensive.txt), each noun as `folded` writes it."""
    return frozenset(folded(line) for line in read_list("offensive.txt"))


def is_offensive(noun: str) -> bool:
    """Whether a noun is offensive, in any case and hyphenation, or in the plural.

    A plural that is a noun of its own in WordNet (craps) is judged as that noun.
    """
    name, below = folded(noun), _below_floor()
    if name in below:
        return True
    return any(word in below for word in _singulars(name)) and name not in _wordnet_nouns()


def folded(noun: str) -> str:
    """The form in which nouns are compared: lower case, one space for hyphens, underscores and runs of space."""
    return " ".join(noun.translate(_LIKE).split()).lower()


@lru_cache(maxsize=1)
def _below_floor() -> frozenset[str]:
    """The reviewed list and the nouns that WordNet marks, folded."""
    nouns = load_nouns().select("key", "usage_domains").iter_rows()
    marked = (folded(key) for key, domains in nouns if not OFFENSIVE_DOMAINS.isdisjoint(domains))
    return offensive_nouns().union(marked)


@lru_cache(maxsize=1)
def _wordnet_nouns() -> frozenset[str]:
    """All of WordNet's nouns, folded."""
    return frozenset(map(folded, load_nouns()["key"]))


def _singulars(name: str) -> list[str]:
    """The nouns of which a noun may be the plural; a wrong guess is harmless, because it must also be offensive."""
    endings = (("s", ""), ("es", ""), ("ies", "y"), ("men", "man"))
    return [name.removesuffix(plural) + singular for plural, singular in endings if name.endswith(plural)]
