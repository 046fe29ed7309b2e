"""The sets of words that people can group by, and what any criterion's words must be.

What must stay out: vectors. The settings read this, so it must import nothing heavy.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

SETS_FILE = Path(__file__).with_name("criteria.txt")
# One word tells nothing apart.
FEWEST_WORDS = 2


@functools.cache
def criteria() -> Mapping[str, tuple[str, ...]]:
    """The sets of words that ship, by name, in the order of the file."""
    found: dict[str, list[str]] = {}
    for line in SETS_FILE.read_text(encoding="utf-8").splitlines():
        text = line.strip()
        if text.startswith("["):
            found[text.strip("[]")] = []
        elif text and not text.startswith("#"):
            list(found.values())[-1].append(text)
    return {name: tuple(words) for name, words in found.items()}


def criterion_words(group_by: str | Sequence[str]) -> tuple[str, ...]:
    """The words of a criterion: those of a set that ships, by its name, or a person's own."""
    return criteria()[group_by] if isinstance(group_by, str) else tuple(group_by)


def repeated_words(words: Sequence[str]) -> list[str]:
    """The words that are there more than once, whatever their case, each as it was first written."""
    counts = Counter(word.casefold() for word in words)
    first = {word.casefold(): word for word in reversed(words)}
    return [first[key] for key, count in counts.items() if count > 1]
