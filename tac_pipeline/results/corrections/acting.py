"""What a log of actions comes to: which of them hold, what can be undone, and the corrections that they make.

rename  {"id": 17, "name": "red boats"}      null: the name is found again
merge   {"ids": [3, 9]}                      these ids are one; the first stays
move    {"images": ["a.jpg"], "to": 17}      null: each goes where the groups put it
undo    {}                                   the last action that holds
redo    {}                                   the last action that was undone; after another action there is none
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tac_pipeline.errors import InputError, SettingsError
from tac_pipeline.results.corrections.written import Corrections, require_consistent
from tac_pipeline.store.keeping.action_log import Action

UNDO, REDO = "undo", "redo"
KINDS = ("rename", "merge", "move")


@dataclass(frozen=True)
class History:
    """The actions that hold, in their order, and those that were undone, the last one last."""

    done: tuple[Action, ...]
    undone: tuple[Action, ...]


def replay(actions: Sequence[Action]) -> History:
    """Which actions hold after all of them.

    Raises
    ------
    InputError
        There is nothing to undo or to redo, or a kind is unknown.
    """
    done: list[Action] = []
    undone: list[Action] = []
    for action in actions:
        if action.do in (UNDO, REDO):
            take, give = (done, undone) if action.do == UNDO else (undone, done)
            if not take:
                raise InputError(f"there is nothing to {action.do}")
            give.append(take.pop())
        elif action.do in KINDS:
            done.append(action)
            undone.clear()
        else:
            raise InputError(f"an action must be one of {', '.join((*KINDS, UNDO, REDO))}; got {action.do!r}")
    return History(tuple(done), tuple(undone))


def with_actions(corrections: Corrections, done: Sequence[Action]) -> Corrections:
    """Corrections with those that actions make on top; what was done last counts.

    Raises
    ------
    InputError
        An action does not say what its kind needs.
    SettingsError
        Together they say what cannot be: two groups with one name, or ids merged in a circle.
    """
    names, pins = dict(corrections.names), dict(corrections.pins)
    into = {other: group[0] for group in corrections.merge for other in group[1:]}
    for action in done:
        what = action.what
        if action.do == "rename":
            id_, name = _id(what, "id"), _text_or_none(what, "name")
            names.pop(id_, None)
            if name is not None:
                names[id_] = name
        elif action.do == "merge":
            stays, *others = _ids(what, "ids")
            for other in others:
                # The name of a group that is no more would be refused.
                names.pop(other, None)
                into[other] = stays
        else:
            to = None if what.get("to", "") is None else _id(what, "to")
            for image in _texts(what, "images"):
                pins.pop(image, None)
                if to is not None:
                    pins[image] = to
    merge = [[stays, other] for other, stays in into.items()]
    found = Corrections(names=names, merge=merge, pins=pins)
    try:
        require_consistent(found)
    except SettingsError as error:
        raise InputError(str(error)) from None
    return found


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
