"""What a page asks for as an action of the log: ids are given, and what the page does not know is filled in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from assets.people.written import next_free_id
from assets.workbench.rows import image_ids
from assets.workbench.tables import Tables
from tac_pipeline.errors import InputError
from tac_pipeline.results.corrections.acting import FILE
from tac_pipeline.store.keeping.action_log import Action

# Proposals of parts for a group, each part its image_ids.
Split = Callable[[Any], list[list[list[str]]]]
What = dict[str, Any] | Callable[[Sequence[Action]], dict[str, Any]]


def spelled_out(tables: Tables, split: Split, do: str, what: dict[str, Any]) -> tuple[str, What]:
    """The kind of an action and what it says, as it stands in the log; see Desk.act.

    Raises
    ------
    InputError
        It cannot be spelled out.
    """
    if do == FILE:
        raise InputError(f"{FILE} is no action of a page: the corrections file is read by itself")
    if do == "pin" and "groups" not in what:
        return do, {"groups": _groups_of(tables, what.get("images"))}
    if do == "split":
        do, what = "make", {"groups": _parts(split, what)}
    if do == "make" and "groups" not in what:
        # One group, so that its images can come in parts as those of other actions do.
        what = {"groups": [{"name": what.get("name"), "images": what.get("images")}]}
    groups = what.get("groups")
    if do == "make" and isinstance(groups, list) and all(isinstance(group, dict) for group in groups):

        def with_ids(known: Sequence[Action]) -> dict[str, Any]:
            first = next_free_id(tables.project, known)
            return {"groups": [{**group, "id": first + number} for number, group in enumerate(groups)]}

        return do, with_ids
    return do, what


def _groups_of(tables: Tables, images: Any) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for image_id in image_ids({"images": images}):
        group = tables.image(image_id)["cluster_id"]
        if group is None:
            raise InputError(f"{image_id} cannot be read, and is in no group")
        found.setdefault(str(group), []).append(image_id)
    return found


def _parts(split: Split, what: dict[str, Any]) -> list[dict[str, Any]]:
    """The groups that a split makes: the largest part stays what it was."""
    wanted, names = what.get("parts"), what.get("names") or []
    proposed = {len(parts): parts for parts in split(what.get("id"))}
    if type(wanted) is not int or wanted not in proposed:
        raise InputError(f"parts must be one of {', '.join(map(str, proposed))}; got {wanted!r}")
    if not isinstance(names, list):
        raise InputError(f"names must be a list of texts or null; got {names!r}")
    named = {place: name for place, name in enumerate(names) if isinstance(name, str) and name.strip()}
    parts = list(enumerate(proposed[wanted]))
    return [{"name": named.get(number), "images": images} for number, images in parts[1:]]
