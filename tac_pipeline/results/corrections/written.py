"""People's corrections, in a small file that stays valid after every re-clustering.

    names: {17: "red boats"}          what a cluster is called
    merge: [[3, 9]]                   these ids are one; the first stays
    pins: {path/of/image.jpg: 17}     this image belongs here
    groups: [41]                      made by hand, of the images that are pinned to it; an id that no group had
    not_in: {other/image.jpg: [9]}    this image belongs to another group
    locked: [17]                      learning takes no image away from it
    aside: [5]                        shown apart from the others

The ids are the lasting ones of the ledger. Corrections are applied on top of the ledger, which keeps the clustering's
own result; removing a correction brings that result back. What must stay out: what a correction means for the clusters
there are now (applied.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from ruamel.yaml.nodes import Node

from tac_pipeline.digest import digest
from tac_pipeline.errors import InputError, SettingsError, first_few
from tac_pipeline.nouns import CONTROL, LONGEST_NOUN
from tac_pipeline.results.corrections.many_pins import take_pins
from tac_pipeline.settings.reading import line_of, read_text, read_yaml, shown

LARGEST_FILE = 50_000_000  # bytes
SECTIONS = ("names", "merge", "pins", "groups", "not_in", "locked", "aside")
# How far above the ids that were given that of a group made by hand may be.
ROOM_FOR_GROUPS = 10_000
# How many ids or images a warning names.
SHOWN = 5

# What is wrong, and where in the file.
Fault = tuple[str, tuple[str | int, ...]]
ClusterId = Annotated[int, Field(ge=0, le=2**31 - 1)]


class Corrections(BaseModel):
    """A corrections file: unknown keys are refused, values are not converted.

    Attributes
    ----------
    names : dict of cluster id to name
    merge : list of lists of cluster ids
        The ids of a list are one; the first of them stays.
    pins : dict of image_id to cluster id
    groups : list of cluster ids
        Made by hand: they are there as long as an image is pinned to them.
    not_in : dict of image_id to list of cluster ids
    locked : list of cluster ids
    aside : list of cluster ids
        How groups are shown; no result depends on it.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    names: dict[ClusterId, str] = {}
    merge: list[Annotated[list[ClusterId], Field(min_length=2)]] = []
    pins: dict[Annotated[str, Field(min_length=1)], ClusterId] = {}
    groups: list[ClusterId] = []
    not_in: dict[Annotated[str, Field(min_length=1)], Annotated[list[ClusterId], Field(min_length=1)]] = {}
    locked: list[ClusterId] = []
    aside: list[ClusterId] = []

    @property
    def merged_into(self) -> dict[int, int]:
        """Every id that is merged away, with the id that replaces it; chains are followed to their end."""
        direct = {other: group[0] for group in self.merge for other in group[1:]}
        found = {}
        for id_ in direct:
            stays = direct[id_]
            while stays in direct:
                stays = direct[stays]
            found[id_] = stays
        return found

    @property
    def digest(self) -> str:
        """Digest of what the file says; comments and the order of its lines do not count, but the order of merges."""
        names = {str(id_): name for id_, name in self.names.items()}
        said = {"names": names, "merge": self.merge, "pins": self.pins}
        # What is not used has no part in it: files of earlier versions keep their digest.
        more = {"groups": sorted(self.groups), "not_in": self.not_in, "locked": sorted(self.locked)}
        return digest({**said, **{key: value for key, value in more.items() if value}})

    @property
    def ids(self) -> set[int]:
        """Every cluster id in the file."""
        lists = (*self.merge, self.groups, *self.not_in.values(), self.locked, self.aside)
        return {*self.names, *self.pins.values(), *(id_ for ids in lists for id_ in ids)}

    @property
    def made(self) -> set[int]:
        """The groups made by hand that have something: an image, or a group that is merged into them."""
        return set(self.groups).intersection([*self.pins.values(), *self.merged_into.values()])


def load_corrections(path: Path | None) -> Corrections:
    """Read and validate a corrections file; None means no corrections.

    Raises
    ------
    SettingsError
        It cannot be read, is not YAML, or holds an unknown key, an invalid value, a name twice, ids merged into two
        or in a circle, or a name for an id that is merged away; names the line.
    """
    if path is None:
        return Corrections()
    text = read_text(path, max_bytes=LARGEST_FILE, what="the file of corrections")
    return parse_corrections(text, name=path.name)


def parse_corrections(text: str, *, name: str) -> Corrections:
    """Validate the text of a corrections file; `name` is what messages call it."""
    with suppress(SettingsError):
        found = _parse_by_lines(text, name)
        if found is not None:
            return found
    tree, written = read_yaml(text, name=name)
    return _validated(tree, written, name)


def _parse_by_lines(text: str, name: str) -> Corrections | None:
    """The corrections of a file with plain lines of pins; None when they are not plain (see many_pins.py)."""
    taken = take_pins(text)
    if taken is None:
        return None
    before, rest, pins = taken
    read_yaml(before, name=name)
    tree, written = read_yaml(rest, name=name)
    others = {} if written is None else written
    if not isinstance(others, Mapping) or "pins" in others:
        return None
    return _validated(tree, {**others, "pins": pins}, name)


def _validated(tree: Node | None, written: Any, name: str) -> Corrections:
    if written is None:
        return Corrections()
    if not isinstance(written, Mapping):
        raise SettingsError(
            f"{name} must hold some of {', '.join(SECTIONS[:-1])} and {SECTIONS[-1]}; got {type(written).__name__}"
        )
    try:
        found = Corrections.model_validate(written)
    except ValidationError as error:
        lines = [_sentence(dict(problem), tree, name) for problem in error.errors(include_url=False)]
        raise SettingsError("\n".join(dict.fromkeys(lines))) from None
    for problem, parts in _faults(found):
        raise SettingsError(f"{problem} ({name}, line {line_of(tree, parts)})")
    return found


def require_consistent(found: Corrections) -> None:
    """Refuse what cannot be: a name twice or of a group that is merged away, ids merged into two or in a circle, an
    image that is in a group and not in it.

    Raises
    ------
    SettingsError
    """
    for problem, _ in _faults(found):
        raise SettingsError(problem)


def _faults(found: Corrections) -> Iterable[Fault]:
    yield from _name_faults(found)
    yield from _merge_faults(found)
    for image_id, ids in found.not_in.items():
        pin = found.pins.get(image_id)
        if pin in ids:
            yield f"not_in says that {image_id} is not in {pin}, and pins says that it is", ("not_in", image_id)


def require_known(corrections: Corrections, *, next_id: int, path: Path | None) -> None:
    """Raise InputError when the file names an id that no cluster ever had: a typing mistake."""
    unknown = sorted(id_ for id_ in corrections.ids.difference(corrections.groups) if id_ >= next_id)
    if unknown:
        raise InputError(
            f"{path}: no cluster ever had the id {first_few(unknown, SHOWN)}; ids go up to {next_id - 1}. "
            "Look them up in the table clusters, and correct the file."
        )
    far = [id_ for id_ in corrections.groups if id_ >= next_id + ROOM_FOR_GROUPS]
    if far:
        raise InputError(
            f"{path}: groups: the id of a group made by hand must be near those that were given, from {next_id} on; "
            f"got {first_few(far, SHOWN)}"
        )


def _name_faults(found: Corrections) -> Iterable[Fault]:
    said: dict[str, int] = {}
    merged = found.merged_into if not list(_merge_faults(found)) else {}
    for id_, name in found.names.items():
        where = ("names", id_)
        if not name.strip() or name != name.strip():
            yield f"names.{id_} must be a name without spaces around it; got {name!r}", where
        if len(name) > LONGEST_NOUN or CONTROL.search(name):
            yield f"names.{id_} must have at most {LONGEST_NOUN} characters, none of control; got {shown(name)}", where
        if name.lower() in said:
            yield f"no two clusters may have one name; {said[name.lower()]} and {id_} are both named {name!r}", where
        if id_ in merged:
            yield f"names.{id_}: merge says that {id_} is one with {merged[id_]}; name {merged[id_]} instead", where
        said[name.lower()] = id_


def _merge_faults(found: Corrections) -> Iterable[Fault]:
    into: dict[int, int] = {}
    for number, group in enumerate(found.merge):
        where = ("merge", number)
        if len(set(group)) < len(group):
            yield f"merge must name each id once in a list; got {group}", where
            return
        for id_ in group[1:]:
            if id_ in into:
                yield f"merge puts {id_} into two ids, {into[id_]} and {group[0]}; write all three in one list", where
                return
            into[id_] = group[0]
        stays, seen = group[0], []
        while stays in into and stays not in seen:
            seen.append(stays)
            stays = into[stays]
        if stays in seen:
            circle = " -> ".join(map(str, [*seen, stays]))
            yield f"merge goes in a circle: {circle}; say which id stays", where
            return


def _sentence(problem: dict[str, Any], tree: Node | None, name: str) -> str:
    """One validation problem: what must hold, what came, where."""
    parts = tuple(part for part in problem["loc"] if part != "[key]")
    where = f"{name}, line {line_of(tree, parts)}"
    key = ".".join(map(str, parts))
    if problem["type"] == "extra_forbidden":
        return f"{key} is not a key of a corrections file, which has {', '.join(SECTIONS)} ({where})"
    must = {
        "names": "must be cluster ids with their names, as in {17: red boats}",
        "merge": "must be lists of two or more cluster ids, as in [[3, 9]]",
        "pins": "must be image_ids with their cluster ids, as in {path/of/image.jpg: 17}",
        "groups": "must be a list of cluster ids, as in [41]",
        "not_in": "must be image_ids with lists of cluster ids, as in {path/of/image.jpg: [9]}",
        "locked": "must be a list of cluster ids, as in [17]",
        "aside": "must be a list of cluster ids, as in [5]",
    }[str(parts[0])]
    return f"{parts[0]} {must}; got {shown(problem['input'])} ({where})"
