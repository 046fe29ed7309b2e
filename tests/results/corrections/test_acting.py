"""What a log of actions comes to."""

from typing import Any

import pytest

from tac_pipeline.errors import InputError
from tac_pipeline.results.corrections.acting import (
    edit_of,
    file_after,
    highest_made,
    replay,
    tags_of,
    with_actions,
)
from tac_pipeline.results.corrections.written import Corrections
from tac_pipeline.store.keeping.action_log import Action


def log(*actions: tuple[str, dict[str, Any]]) -> list[Action]:
    return [Action(number, 0.0, "ada", do, what) for number, (do, what) in enumerate(actions, start=1)]


def rename(id_: Any, name: Any) -> tuple[str, dict[str, Any]]:
    return "rename", {"id": id_, "name": name}


def move(to: Any, *images: Any) -> tuple[str, dict[str, Any]]:
    return "move", {"images": list(images), "to": to}


def merge(*ids: Any) -> tuple[str, dict[str, Any]]:
    return "merge", {"ids": list(ids)}


UNDO, REDO = ("undo", {}), ("redo", {})


def comes_to(*actions: tuple[str, dict[str, Any]], file: Corrections | None = None) -> Corrections:
    return with_actions(file or Corrections(), replay(log(*actions)).done)


def test_the_last_word_counts() -> None:
    found = comes_to(rename(1, "boats"), move(2, "a", "b"), rename(1, " ships "), move(3, "b"), merge(4, 5))
    assert found == Corrections(names={1: "ships"}, merge=[[4, 5]], pins={"a": 2, "b": 3})


def test_undo_and_redo_have_no_bound() -> None:
    actions = [rename(1, "a"), rename(1, "b"), rename(1, "c")]
    assert comes_to(*actions, UNDO).names == {1: "b"}
    assert comes_to(*actions, UNDO, UNDO, UNDO).names == {}
    assert comes_to(*actions, UNDO, UNDO, UNDO, REDO, REDO).names == {1: "b"}
    assert comes_to(*actions, *[UNDO, REDO] * 50).names == {1: "c"}


def test_after_another_action_there_is_nothing_to_redo() -> None:
    history = replay(log(rename(1, "a"), UNDO, rename(1, "b")))
    assert [action.what["name"] for action in history.done] == ["b"]
    assert history.undone == ()


@pytest.mark.parametrize("actions", [[UNDO], [REDO], [rename(1, "a"), REDO], [rename(1, "a"), UNDO, UNDO]])
def test_nothing_to_undo_or_to_redo_is_refused(actions: list[tuple[str, dict[str, Any]]]) -> None:
    with pytest.raises(InputError, match=r"there is nothing to (un|re)do"):
        replay(log(*actions))


def test_actions_are_on_top_of_the_file_and_take_it_back() -> None:
    file = Corrections(names={1: "boats", 2: "cats"}, merge=[[3, 4]], pins={"a": 1, "b": 2})
    found = comes_to(rename(1, None), move(None, "a"), merge(3, 5), file=file)
    assert found == Corrections(names={2: "cats"}, merge=[[3, 4], [3, 5]], pins={"b": 2})
    assert comes_to(rename(1, None), UNDO, file=file) == file


def test_a_merged_group_merges_on_and_loses_its_name() -> None:
    found = comes_to(rename(2, "cats"), merge(1, 2), merge(3, 1))
    assert found.names == {}
    assert found.merged_into == {2: 3, 1: 3}


@pytest.mark.parametrize(
    ("action", "sentence"),
    [
        (("paint", {}), "must be one of rename, merge, move, .*undo, redo; got 'paint'"),
        (rename("1", "a"), "id must be the id of a group; got '1'"),
        (rename(True, "a"), "id must be the id of a group"),
        (rename(-1, "a"), "id must be the id of a group"),
        (rename(1, "  "), "name must be a text, or null"),
        (rename(1, 7), "name must be a text, or null"),
        (rename(1, "x" * 10_000), "must have at most"),
        (merge(1), "a list of two ids or more"),
        (merge(1, 1), "each once"),
        (merge(1, "2"), "id of a group"),
        (("merge", {"ids": 3}), "ids must be a list"),
        (move(1), "images must be a list of image_ids, at least one"),
        (move(1, ""), "images must be a list"),
        (move(1, 5), "images must be a list"),
        (("move", {"images": ["a"]}), "to must be the id of a group"),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(action: tuple[str, dict[str, Any]], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        comes_to(action)


@pytest.mark.parametrize(
    "actions",
    [[rename(1, "cats"), rename(2, "Cats")], [merge(1, 2), merge(2, 1)], [merge(1, 2), rename(2, "cats")]],
)
def test_what_contradicts_itself_is_refused(actions: list[tuple[str, dict[str, Any]]]) -> None:
    with pytest.raises(InputError):
        comes_to(*actions)


def make(*groups: tuple[int, Any, list[str]]) -> tuple[str, dict[str, Any]]:
    return "make", {"groups": [{"id": id_, "name": name, "images": images} for id_, name, images in groups]}


def edited(before: Corrections, after: Corrections, *, base: bool = False) -> tuple[str, dict[str, Any]]:
    return "file", {**edit_of(before, after), **({"base": True, "before": {}} if base else {})}


def test_new_groups_have_their_images_and_names() -> None:
    found = comes_to(make((7, "mine", ["a", "b"]), (8, None, ["c"])), move(2, "c"))
    assert found == Corrections(names={7: "mine"}, pins={"a": 7, "b": 7, "c": 2}, groups=[7, 8])
    assert (found.made, highest_made(log(make((7, None, ["a"])), UNDO))) == ({7}, 7)
    assert highest_made([]) == -1


def test_an_image_is_in_a_group_or_not() -> None:
    reject = ("reject", {"images": ["a", "b"], "id": 2})
    assert comes_to(move(2, "a"), reject) == Corrections(not_in={"a": [2], "b": [2]})
    assert comes_to(reject, move(2, "a")) == Corrections(pins={"a": 2}, not_in={"b": [2]})
    assert comes_to(move(3, "a"), reject) == Corrections(pins={"a": 3}, not_in={"a": [2], "b": [2]})
    assert comes_to(reject, move(None, "a")).not_in == {"b": [2]}
    assert comes_to(reject, ("pin", {"groups": {"2": ["a"], "4": ["c"]}})).pins == {"a": 2, "c": 4}


def test_groups_are_locked_and_set_aside_and_let_go() -> None:
    on, off = ("lock", {"id": 3, "on": True}), ("lock", {"id": 3, "on": False})
    aside = ("aside", {"id": 4, "on": True})
    assert comes_to(on, aside) == Corrections(locked=[3], aside=[4])
    assert comes_to(on, off, off, aside, UNDO) == Corrections()
    assert Corrections(aside=[4]).digest == Corrections().digest, "how groups are shown changes no result"


def test_tags_are_no_corrections() -> None:
    actions = [
        ("tag", {"images": ["a", "b"], "tag": " print ", "on": True}),
        ("tag", {"images": ["b", "c"], "tag": "print", "on": False}),
        ("tag", {"images": ["c"], "tag": "gone", "on": True}),
        ("tag", {"images": ["c"], "tag": "gone", "on": False}),
    ]
    assert tags_of(replay(log(*actions)).done) == {"print": {"a"}}
    assert comes_to(*actions) == Corrections()


def test_an_edit_of_the_file_is_an_action_like_others() -> None:
    first = Corrections(names={1: "boats"}, pins={"a": 1, "b": 1}, merge=[[4, 5]])
    second = Corrections(names={1: "ships"}, pins={"a": 1, "c": 2}, not_in={"a": [2]})
    base = edited(Corrections(), first, base=True)
    later = [move(3, "a"), rename(1, "vessels"), edited(first, second)]
    history = replay(log(base, *later))
    found = with_actions(Corrections(), [*history.base, *history.done])
    # The file says of "a" what it said before: the move holds. What it says otherwise of 1 is newer than the renaming.
    assert found == Corrections(names={1: "ships"}, pins={"a": 3, "c": 2}, not_in={"a": [2]})
    assert file_after(log(base, *later)) == second
    assert file_after(log(base, *later, UNDO)) == second
    undone = replay(log(base, *later, UNDO, UNDO, UNDO))
    assert with_actions(Corrections(), [*undone.base, *undone.done]) == first
    with pytest.raises(InputError, match="nothing to undo"):
        replay(log(base, UNDO))
    assert edit_of(first, first) == {}
    assert file_after(log(move(3, "a"))) is None


@pytest.mark.parametrize(
    ("action", "sentence"),
    [
        (("make", {"groups": []}), "groups must be a list of new groups"),
        (make((3, " ", ["a"])), "name must be a text, or null"),
        (make((3, None, [])), "images must be a list"),
        (("pin", {"groups": {}}), "groups must name images"),
        (("pin", {"groups": {"x": ["a"]}}), "id must be the id of a group; got 'x'"),
        (("lock", {"id": 1}), "on must be true or false; got None"),
        (("tag", {"images": ["a"], "tag": "", "on": True}), "tag must be a text of 1 to 60"),
        (("tag", {"images": ["a"], "tag": "a\tb", "on": True}), "none of control"),
        (("reject", {"images": ["a"]}), "id must be the id of a group"),
        (("file", {"before": {}, "after": {"paths": 1}}), "sections of a file of corrections"),
    ],
)
def test_new_kinds_say_what_they_need(action: tuple[str, dict[str, Any]], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        comes_to(action)
