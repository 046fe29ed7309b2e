"""What a log of actions comes to."""

from typing import Any

import pytest

from tac_pipeline.errors import InputError
from tac_pipeline.results.corrections.acting import replay, with_actions
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
        (("paint", {}), "must be one of rename, merge, move, undo, redo; got 'paint'"),
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
