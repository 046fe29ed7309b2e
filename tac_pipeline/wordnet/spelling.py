"""How words are compared, and what no word may hold. What must stay out: which words are offensive (offensive.py)."""

from __future__ import annotations

import re
from collections.abc import Set
from functools import lru_cache

from tac_pipeline.wordnet.tables import load_nouns

LONGEST_NOUN = 300  # characters; CLIP's text tower reads 77 tokens

# Controls, line and paragraph separators, and the marks that reverse the direction of text.
CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")

_LIKE = str.maketrans({"-": " ", "_": " ", "’": "'"})


def folded(noun: str) -> str:
    """The form in which nouns are compared: lower case, one space for hyphens, underscores and runs of space."""
    return " ".join(noun.translate(_LIKE).split()).lower()


def is_among(noun: str, words: Set[str]) -> bool:
    """Whether a noun is one of the words (folded), in any case and hyphenation, or in the plural.

    A plural that is a noun of its own in WordNet (craps) is judged as that noun.
    """
    name = folded(noun)
    if name in words:
        return True
    return any(word in words for word in _singulars(name)) and name not in _wordnet_nouns()


@lru_cache(maxsize=1)
def _wordnet_nouns() -> frozenset[str]:
    """All of WordNet's nouns, folded."""
    return frozenset(map(folded, load_nouns()["key"]))


def _singulars(name: str) -> list[str]:
    """The nouns of which a noun may be the plural; a wrong guess is harmless, because it must also be a given word."""
    endings = (("s", ""), ("es", ""), ("ies", "y"), ("men", "man"))
    return [name.removesuffix(plural) + singular for plural, singular in endings if name.endswith(plural)]
