"""Which nouns must not name a group of photographs: WordNet's own marks, and a list reviewed by hand.

The criterion is at the head of offensive.txt, the reasons are in docs/decisions/0020-candidate-nouns.md.
"""

from __future__ import annotations

from functools import lru_cache

from tac_pipeline.wordnet.spelling import folded, is_among
from tac_pipeline.wordnet.tables import load_nouns, read_list

# WordNet marks how a sense is used; these three of its usage domains say that the word hurts or is obscene.
OFFENSIVE_DOMAINS = frozenset({"disparagement.n.01", "ethnic_slur.n.01", "obscenity.n.02"})


@lru_cache(maxsize=1)
def offensive_nouns() -> frozenset[str]:
    """The reviewed list (offensive.txt), each noun as `folded` writes it."""
    return frozenset(folded(line) for line in read_list("offensive.txt"))


def is_offensive(noun: str) -> bool:
    """Whether a noun is offensive, in any case and hyphenation, or in the plural."""
    return is_among(noun, _below_floor())


@lru_cache(maxsize=1)
def _below_floor() -> frozenset[str]:
    """The reviewed list and the nouns that WordNet marks, folded."""
    nouns = load_nouns().select("key", "usage_domains").iter_rows()
    marked = (folded(key) for key, domains in nouns if not OFFENSIVE_DOMAINS.isdisjoint(domains))
    return offensive_nouns().union(marked)
