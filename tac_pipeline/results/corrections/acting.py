"""What a log of actions comes to: which of them hold, what can be undone, and the corrections that they make.

rename  {"id": 17, "name": "red boats"}      null: the name is found again
merge   {"ids": [3, 9]}                      these ids are one; the first stays
move    {"images": ["a.jpg"], "to": 17}      null: each goes where the groups put it
pin     {"groups": {"17": ["a.jpg"]}}        each of these images stays in its group
make    {"groups": [{"id": 41, "name": "my dog", "images": ["a.jpg"]}]}      new groups; a name may be null
reject  {"images": ["a.jpg"], "id": 17}      they are not of this group
lock    {"id": 17, "on": true}               learning takes no image from it
aside   {"id": 17, "on": true}               it is shown apart
tag     {"images": ["a.jpg"], "tag": "print", "on": true}
file    {"before": {...}, "after": {...}}    the file of corrections was edited: the entries that are others now
undo    {}                                   the last action that holds
redo    {}                                   the last action that was undone; after another action there is none
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tac_pipeline.errors import InputError, SettingsError
from tac_pipeline.nouns import CONTROL
from tac_pipeline.results.corrections.written import Corrections, require_consistent
from tac_pipeline.store.keeping.action_log import Action

UNDO, REDO, FILE = "undo", "redo", "file"
LONGEST_TAG = 60


@dataclass(frozen=True)
class History:
    """The actions that hold, in their order, and those that were undone, the last one last.

    `base` is what the corrections file said before all of them, in a log that has read it; it is never undone.
    """

    done: tuple[Action, ...]
    undone: tuple[Action, ...]
    base: tuple[Action, ...] = ()


def replay(actions: Sequence[Action]) -> History:
    """Which actions hold after all of them.

    Raises
    ------
    InputError
        There is nothing to undo or to redo, or a kind is unknown.
    """
    base: list[Action] = []
    done: list[Action] = []
    undone: list[Action] = []
    for action in actions:
        if action.do in (UNDO, REDO):
            take, give = (done, undone) if action.do == UNDO else (undone, done)
            if not take:
                raise InputError(f"there is nothing to {action.do}")
            give.append(take.pop())
        elif action.do == FILE and action.what.get("base"):
            base.append(action)
        elif action.do in KINDS:
            done.append(action)
            undone.clear()
        else:
            raise InputError(f"an action must be one of {', '.join((*KINDS, UNDO, REDO))}; got {action.do!r}")
    return History(tuple(done), tuple(undone), tuple(base))


def with_actions(corrections: Corrections, done: Sequence[Action]) -> Corrections:
    """Corrections with those that actions make on top; what was done last counts.

    Raises
    ------
    InputError
        An action does not say what its kind needs, or together they say what cannot be: two groups with one name, or
        ids merged in a circle.
    """
    state = _State.of(corrections)
    for action in done:
        _DO[action.do](state, action.what)
    found = state.corrections()
    try:
        require_consistent(found)
    except SettingsError as error:
        raise InputError(str(error)) from None
    return found


def tags_of(done: Iterable[Action]) -> dict[str, set[str]]:
    """The image_ids of each tag that some image has, by the tag."""
    found: dict[str, set[str]] = {}
    for action in done:
        if action.do == "tag":
            images = found.setdefault(_tag(action.what), set())
            (images.update if _on(action.what) else images.difference_update)(_texts(action.what, "images"))
    return {tag: images for tag, images in sorted(found.items()) if images}


def named_images(action: Action) -> list[str]:
    """The image_ids that an action names.

    Raises
    ------
    InputError
        It does not say what its kind needs.
    """
    what, lists = action.what, []
    if action.do == "pin":
        lists = list(what["groups"].values())
    elif action.do == "make":
        lists = [group["images"] for group in _groups(what)]
    elif "images" in what:
        lists = [_texts(what, "images")]
    return [image_id for images in lists for image_id in images]


def named_groups(action: Action) -> list[int]:
    """The ids that an action names of groups that must be there; call it for one that replays."""
    what = action.what
    ids = [what.get("id"), what.get("to"), *(what.get("ids") or ())]
    if action.do == "pin":
        ids += [int(id_) for id_ in what["groups"]]
    return [id_ for id_ in ids if id_ is not None]


def highest_made(actions: Iterable[Action]) -> int:
    """The highest id that a group made by hand ever got, also one that was undone; -1 where none was made."""
    made = [action.what for action in actions if action.do == "make"]
    return max((_id(group, "id") for what in made for group in _groups(what)), default=-1)


def edit_of(before: Corrections, after: Corrections) -> dict[str, Any]:
    """What an action of kind `file` says of a file of corrections that was edited; empty where nothing changed."""
    was, now = _plain(before), _plain(after)
    changed = [key for key in now if now[key] != was[key]]
    sides = {"before": (was, now), "after": (now, was)}
    found = {side: {key: _differing(own[key], other[key]) for key in changed} for side, (own, other) in sides.items()}
    return found if changed else {}


def _differing(own: Any, other: Any) -> Any:
    """The entries of a section that the other side has not, or has with another value; of a list, all."""
    if not isinstance(own, dict):
        return own
    return {key: value for key, value in own.items() if key not in other or other[key] != value}


def file_after(actions: Iterable[Action]) -> Corrections | None:
    """The file of corrections as the log last read it, also where that was undone; None: it never did."""
    state, seen = _plain(Corrections()), False
    for action in actions:
        if action.do == FILE:
            before, after = _file_part(action.what, "before"), _file_part(action.what, "after")
            state, seen = {key: _edited(state[key], before.get(key), after.get(key)) for key in state}, True
    return _corrections(state) if seen else None


def _edited(section: Any, before: Any, after: Any) -> Any:
    if after is None:
        return section
    if not isinstance(section, dict):
        return after
    return {**{key: value for key, value in section.items() if key not in (before or {})}, **after}


@dataclass
class _State:
    """Corrections while actions are carried out."""

    names: dict[int, str]
    into: dict[int, int]
    pins: dict[str, int]
    groups: dict[int, None]
    not_in: dict[str, dict[int, None]]
    locked: dict[int, None]
    aside: dict[int, None]

    @classmethod
    def of(cls, corrections: Corrections) -> _State:
        return cls(
            dict(corrections.names),
            {other: group[0] for group in corrections.merge for other in group[1:]},
            dict(corrections.pins),
            dict.fromkeys(corrections.groups),
            {image_id: dict.fromkeys(ids) for image_id, ids in corrections.not_in.items()},
            dict.fromkeys(corrections.locked),
            dict.fromkeys(corrections.aside),
        )

    def corrections(self) -> Corrections:
        return Corrections(
            names=self.names,
            merge=[[stays, other] for other, stays in self.into.items()],
            pins=self.pins,
            groups=list(self.groups),
            not_in={image_id: list(ids) for image_id, ids in self.not_in.items()},
            locked=list(self.locked),
            aside=list(self.aside),
        )

    def pin(self, image_id: str, to: int) -> None:
        # Last in the order, because what was done last is.
        self.pins.pop(image_id, None)
        self.pins[image_id] = to
        self.allow(image_id, to)

    def allow(self, image_id: str, id_: int) -> None:
        barred = self.not_in.get(image_id)
        if barred is not None:
            barred.pop(id_, None)
            if not barred:
                del self.not_in[image_id]


def _rename(state: _State, what: dict[str, Any]) -> None:
    id_, name = _id(what, "id"), _text_or_none(what, "name")
    state.names.pop(id_, None)
    if name is not None:
        state.names[id_] = name


def _merge(state: _State, what: dict[str, Any]) -> None:
    stays, *others = _ids(what, "ids")
    for other in others:
        # The name of a group that is no more would be refused.
        state.names.pop(other, None)
        state.into[other] = stays


def _move(state: _State, what: dict[str, Any]) -> None:
    to = None if what.get("to", "") is None else _id(what, "to")
    for image_id in _texts(what, "images"):
        if to is None:
            state.pins.pop(image_id, None)
            state.not_in.pop(image_id, None)
        else:
            state.pin(image_id, to)


def _pin(state: _State, what: dict[str, Any]) -> None:
    groups = what.get("groups")
    if not isinstance(groups, dict) or not groups:
        raise InputError(f"groups must name images by the id of their group; got {groups!r}")
    for text, images in groups.items():
        id_ = _id({"id": int(text) if text.isdecimal() and len(text) < 11 else text}, "id")
        for image_id in _texts({"images": images}, "images"):
            state.pin(image_id, id_)


def _make(state: _State, what: dict[str, Any]) -> None:
    for group in _groups(what):
        id_, name = _id(group, "id"), _text_or_none(group, "name")
        state.groups[id_] = None
        if name is not None:
            state.names[id_] = name
        for image_id in _texts(group, "images"):
            state.pin(image_id, id_)


def _reject(state: _State, what: dict[str, Any]) -> None:
    id_ = _id(what, "id")
    for image_id in _texts(what, "images"):
        if state.pins.get(image_id) == id_:
            del state.pins[image_id]
        state.not_in.setdefault(image_id, {})[id_] = None


def _lock(state: _State, what: dict[str, Any]) -> None:
    _switch(state.locked, what)


def _aside(state: _State, what: dict[str, Any]) -> None:
    _switch(state.aside, what)


def _switch(ids: dict[int, None], what: dict[str, Any]) -> None:
    id_ = _id(what, "id")
    if _on(what):
        ids[id_] = None
    else:
        ids.pop(id_, None)


def _check_tag(_: _State, what: dict[str, Any]) -> None:
    """No correction comes of a tag."""
    _tag(what), _on(what), _texts(what, "images")


def _edit(state: _State, what: dict[str, Any]) -> None:
    """What the file says otherwise than before; where it says the same, what people did meanwhile stays."""
    before, after = (_State.of(_corrections({**_NOTHING, **_file_part(what, side)})) for side in ("before", "after"))
    for kind in ("names", "into", "pins", "groups", "not_in", "locked", "aside"):
        was, now, held = getattr(before, kind), getattr(after, kind), getattr(state, kind)
        for key in was.keys() - now.keys():
            held.pop(key, None)
        for key, value in now.items():
            if key not in was or was[key] != value:
                held.pop(key, None)
                held[key] = value
    for image_id in after.pins:
        state.allow(image_id, state.pins.get(image_id, -1))


_DO: Mapping[str, Callable[[_State, dict[str, Any]], None]] = {
    "rename": _rename,
    "merge": _merge,
    "move": _move,
    "pin": _pin,
    "make": _make,
    "reject": _reject,
    "lock": _lock,
    "aside": _aside,
    "tag": _check_tag,
    FILE: _edit,
}
KINDS = tuple(_DO)


def _plain(corrections: Corrections) -> dict[str, Any]:
    return corrections.model_dump(mode="json")


_NOTHING = _plain(Corrections())


def _file_part(what: dict[str, Any], side: str) -> dict[str, Any]:
    part = what.get(side)
    if not isinstance(part, dict) or not part.keys() <= _NOTHING.keys():
        raise InputError(f"{side} must be sections of a file of corrections; got {str(part)[:200]!r}")
    return part


def _corrections(plain: dict[str, Any]) -> Corrections:
    # JSON has no keys but texts.
    names = {int(id_): name for id_, name in plain["names"].items()}
    return Corrections(**{**plain, "names": names})


def _groups(what: dict[str, Any]) -> list[dict[str, Any]]:
    groups = what.get("groups")
    if not isinstance(groups, list) or not groups or not all(isinstance(group, dict) for group in groups):
        raise InputError(f"groups must be a list of new groups, at least one; got {str(groups)[:200]!r}")
    return groups


def _id(what: dict[str, Any], key: str) -> int:
    value = what.get(key)
    if type(value) is not int or not 0 <= value < 2**31:
        raise InputError(f"{key} must be the id of a group; got {value!r}")
    return value


def _ids(what: dict[str, Any], key: str) -> list[int]:
    values = what.get(key)
    if not isinstance(values, list) or len(values) < 2 or len({*map(repr, values)}) < len(values):
        raise InputError(f"{key} must be a list of two ids or more, each once; got {values!r}")
    return [_id({key: value}, key) for value in values]


def _on(what: dict[str, Any]) -> bool:
    value = what.get("on")
    if not isinstance(value, bool):
        raise InputError(f"on must be true or false; got {value!r}")
    return value


def _tag(what: dict[str, Any]) -> str:
    value = what.get("tag")
    text = value.strip() if isinstance(value, str) else ""
    if not 1 <= len(text) <= LONGEST_TAG or CONTROL.search(text):
        raise InputError(f"tag must be a text of 1 to {LONGEST_TAG} characters, none of control; got {value!r}")
    return text


def _text_or_none(what: dict[str, Any], key: str) -> str | None:
    value = what.get(key, "")
    if value is not None and not (isinstance(value, str) and value.strip()):
        raise InputError(f"{key} must be a text, or null; got {value!r}")
    return None if value is None else value.strip()


def _texts(what: dict[str, Any], key: str) -> list[str]:
    values = what.get(key)
    if not isinstance(values, list) or not values or not all(isinstance(value, str) and value for value in values):
        raise InputError(f"{key} must be a list of image_ids, at least one")
    return values
