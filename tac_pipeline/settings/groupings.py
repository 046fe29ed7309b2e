"""Groupings: further ways to group the images of one store, each with settings of its own over those of the store.

A grouping is written as the settings that differ; all others are the store's. What must stay out: which artifacts
a grouping shares with its store (project.py, the store).
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from typing import Any

from pydantic_core import PydanticCustomError

# The keys of the file that a grouping can have for itself; all others are about the images, or about the machine.
OWN_KEYS = (
    "nouns",
    "training_set",
    "evaluation",
    "clusters",
    "group_by",
    "known",
    "semantic_centers",
    "vocabulary",
    "retrieval",
    "names",
    "blend",
    "neighbors",
    "heads",
    "method",
    "review",
    "report",
    "corrections",
    "learn_from_corrections",
    "publication",
    "publish",
    "seed",
)
# They speak of the groups of one grouping, so another does not take them over.
NOT_INHERITED = ("group_by", "known", "corrections")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}")


def require_groupings(written: object) -> object:
    """A section of groupings, each a section of keys that a grouping can have; its values are checked later."""
    if written is None:
        return {}
    if not isinstance(written, Mapping):
        raise _refusal("must be a section of names, each with the settings that differ")
    folded: set[str] = set()
    for name, own in written.items():
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise _refusal(
                f"must have names of 1 to 32 letters, digits, - or _, starting with a letter or digit, in quotes where "
                f"they are numbers; one is {name!r}"
            )
        # Their folders would be one on many disks.
        if name.casefold() in folded:
            raise _refusal(f"must have names that differ in more than capitals; {name} is there twice")
        folded.add(name.casefold())
        if not isinstance(own, Mapping) or not own:
            raise _refusal(f"must name what differs in {name}, such as group_by or clusters.count")
        for key in own:
            if key not in OWN_KEYS:
                near = difflib.get_close_matches(str(key), OWN_KEYS, n=1)
                hint = f"; did you mean {near[0]}?" if near else f": a grouping can have {', '.join(OWN_KEYS)}"
                raise _refusal(f"cannot have {key} in {name}{hint}")
    return {name: dict(own) for name, own in written.items()}


def _refusal(sentence: str) -> PydanticCustomError:
    return PydanticCustomError("groupings", "{sentence}", {"sentence": sentence})


def overlaid(settings: Any, name: str) -> dict[str, Any]:
    """The values of a grouping, by the top-level keys: its own, key by key, over the store's.

    Parameters
    ----------
    settings : Settings
        The store's.
    """
    own, values = settings.groupings[name], {}
    for key in type(settings).model_fields:
        value = getattr(settings, key)
        if key not in own:
            if key not in (*NOT_INHERITED, "groupings"):
                values[key] = value
        elif isinstance(own[key], Mapping) and hasattr(value, "model_fields_set"):
            inherited = {} if key in NOT_INHERITED else _written(value)
            values[key] = {**inherited, **own[key]}
        else:
            values[key] = own[key]
    return _with_one_mode(values, own)


def _written(section: Any) -> dict[str, Any]:
    return {part: getattr(section, part) for part in section.model_fields_set}


def _with_one_mode(values: dict[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """The values, in which what a grouping says of publication.mode by one name is not contradicted by the other."""
    section = own.get("publication")
    if isinstance(section, Mapping) and section.get("mode") is not None and "publish" not in own:
        values["publish"] = None
    elif own.get("publish") is not None:
        inherited = values["publication"]
        parts = dict(inherited) if isinstance(inherited, Mapping) else _written(inherited)
        if not isinstance(section, Mapping) or "mode" not in section:
            parts.pop("mode", None)
        values["publication"] = parts
    return values
