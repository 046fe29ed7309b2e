"""What `group_by` may be: a set of words that ships, or a person's own words."""

from __future__ import annotations

import difflib

from pydantic_core import PydanticCustomError

from tac_pipeline.method.values.criteria import FEWEST_WORDS, criteria, repeated_words


def require_criterion(value: object) -> object:
    """Nothing, the name of a set, or a list of at least two words. One sentence refuses anything else."""
    if value is None or (isinstance(value, str) and value in criteria()):
        return value
    if isinstance(value, str):
        near = difflib.get_close_matches(value.lower(), criteria(), n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise _refused(f"must be {', '.join(criteria())}, or a list of your own words{hint}")
    if not isinstance(value, list) or not all(isinstance(word, str) and word.strip() for word in value):
        raise _refused(f"must be {', '.join(criteria())}, or a list of your own words, each of them text")
    words = [" ".join(word.split()) for word in value]
    if len(words) < FEWEST_WORDS:
        what = "must have words" if not words else "must have two words or more, because one tells nothing apart"
        raise _refused(f"{what}; write what the groups may be, such as [indoors, outdoors], or null for none")
    repeated = repeated_words(words)
    if repeated:
        raise _refused(f"must have each word once, in upper or lower case; {repeated[0]!r} is there again")
    return words


def _refused(sentence: str) -> PydanticCustomError:
    # The words of a person may hold braces, which pydantic would read as places for values.
    return PydanticCustomError("criterion", "{expected}", {"expected": sentence})
