"""What corrections mean: of ids that are there, of ids that became another, and of ids that are nowhere."""

from typing import Any

import polars as pl
import pytest
from hypothesis import given, reject
from hypothesis import strategies as st

from tac_pipeline.errors import SettingsError
from tac_pipeline.results.corrections.applied import apply_corrections, tell_absent
from tac_pipeline.results.corrections.following import Heir
from tac_pipeline.results.corrections.written import Corrections, parse_corrections


def whole(now: int, images: int = 10) -> Heir:
    """All images of the id, and nothing else, are this cluster now."""
    return Heir(now, shared=images, known=images, was=images, size=images)


def part(now: int, *, of: int = 100) -> Heir:
    """All ten images of the id are a small part of this cluster now."""
    return Heir(now, shared=10, known=10, was=10, size=of)


def scattered(now: int) -> Heir:
    return Heir(now, shared=4, known=10, was=10, size=4)


NAME, MERGE, PIN = {"names": {3: "boats"}}, {"merge": [[3, 9]]}, {"pins": {"a.jpg": 3}}


@pytest.mark.parametrize(
    ("heir", "names", "merged", "pins"),
    [
        pytest.param(whole(7), {7: "boats"}, {9: 7}, {"a.jpg": 7}, id="back under another id"),
        pytest.param(part(0), {}, {9: 3}, {"a.jpg": 0}, id="merged into a larger one"),
        pytest.param(scattered(0), {}, {9: 3}, {}, id="scattered"),
        pytest.param(None, {}, {9: 3}, {}, id="nowhere"),
    ],
)
def test_corrections_of_an_id_that_is_gone(
    heir: Heir | None, names: dict[int, str], merged: dict[int, int], pins: dict[str, int]
) -> None:
    live, heirs = {0, 7, 9}, {} if heir is None else {3: heir}
    found = apply_corrections(Corrections(**NAME), live, heirs)
    assert (found.names, bool(found.followed), bool(found.unused)) == (names, bool(names), not names)
    assert apply_corrections(Corrections(**MERGE), live, heirs).merged_into == merged
    found = apply_corrections(Corrections(**PIN), live, heirs)
    assert (dict(found.pins.rows()), bool(found.followed), bool(found.unused)) == (pins, bool(pins), not pins)


def test_corrections_of_an_id_that_is_there_stay_with_it() -> None:
    """Whatever became of some of its images."""
    everything: dict[str, Any] = NAME | MERGE | PIN
    found = apply_corrections(Corrections(**everything), {3, 7, 9}, {})
    assert (found.names, found.merged_into, found.pins.rows()) == ({3: "boats"}, {9: 3}, [("a.jpg", 3)])
    assert (found.followed, found.unused) == ([], [])
    assert found.curated == {3}


def test_what_follows_is_told_once_for_each_id() -> None:
    corrected = Corrections(names={3: "boats"}, merge=[[3, 9]], pins={"a.jpg": 3, "b.jpg": 3})
    found = apply_corrections(corrected, {0, 7, 9}, {3: whole(7, 27)})
    assert found.followed == [
        "3 is no cluster any more; 27 of its 27 images are in 7 now, which has its merge and its name and its 2 pins"
    ]
    assert (found.merged_into, found.names, found.unused) == ({9: 7}, {7: "boats"}, [])


@pytest.mark.parametrize(
    ("merge", "heirs", "merged", "told"),
    [
        pytest.param([[0, 3]], {3: whole(7)}, {7: 0}, [], id="a part that is back"),
        pytest.param([[0, 3]], {3: whole(0)}, {}, [], id="a part that clustering merged too"),
        pytest.param(
            [[0, 3]], {3: part(7)}, {}, ["merge: no cluster is mostly 3 any more"], id="a part in a larger one"
        ),
        pytest.param([[3, 9]], {3: whole(9)}, {9: 3}, [], id="the one that stays went into its part"),
        pytest.param([[3, 4]], {}, {}, ["merge: nothing is left of 3"], id="both gone"),
        pytest.param([[3, 4]], {3: whole(7), 4: whole(9)}, {9: 7}, [], id="both are back"),
        pytest.param([[0, 3], [7, 9]], {3: whole(7)}, {7: 0, 9: 0}, [], id="chained by what came back"),
        pytest.param([[0, 3], [7, 4]], {3: whole(7), 4: whole(0)}, {7: 0}, [], id="no circle"),
        pytest.param([[0, 3], [9, 4]], {3: whole(7), 4: whole(7)}, {7: 0}, ["7 cannot be one with 9 too"], id="two"),
    ],
)
def test_merges(merge: list[list[int]], heirs: dict[int, Heir], merged: dict[int, int], told: list[str]) -> None:
    found = apply_corrections(Corrections(merge=merge), {0, 7, 9}, heirs)
    assert found.merged_into == merged
    assert all(part in sentence for part, sentence in zip(told, found.unused, strict=True))


def test_of_two_names_for_one_cluster_its_own_stays_and_else_the_larger_part_gives_it() -> None:
    heirs = {3: Heir(7, 6, 6, 6, 9), 4: Heir(7, 5, 5, 5, 9)}
    found = apply_corrections(Corrections(names={3: "boats", 4: "cats"}), {7}, heirs)
    assert found.names == {7: "boats"}
    assert found.unused == ["names: what 4 was is one with a cluster that has another name"]
    own = apply_corrections(Corrections(names={3: "boats", 7: "ships"}), {7}, heirs)
    assert own.names == {7: "ships"}
    assert own.unused == ["names: what 3 was is one with a cluster that has another name"]


def test_pins_go_through_merges() -> None:
    corrected = Corrections(merge=[[0, 9]], pins={"b": 9, "a": 3})
    found = apply_corrections(corrected, {0, 9}, {3: part(9)})
    assert found.pins.rows() == [("a", 0), ("b", 0)]


def test_pins_to_an_id_that_is_gone_are_looked_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many look-ups as ids, not as images."""
    looked: list[int] = []
    heir = whole(7)

    class Counting(dict[int, Heir]):
        def get(self, key: int, default: Any = None) -> Any:
            looked.append(key)
            return super().get(key, default)

    pins = {f"{number}.jpg": 3 + number % 2 for number in range(8_000)}
    found = apply_corrections(Corrections(pins=pins), {7}, Counting({3: heir}))
    assert len(found.pins) == 4_000
    assert len(looked) < 20
    assert found.unused[0].startswith("pins: no cluster has the id that 1.jpg, ")
    assert "3995 more is pinned to" in found.unused[0]
    assert tell_absent(found.pins, pl.Series(["0.jpg"])) == [
        "pins: 10.jpg, 100.jpg, 1000.jpg, 1002.jpg, 1004.jpg and 3994 more is not in the store, or cannot be read there"
    ]


LIVE, GONE = st.integers(0, 4), st.integers(5, 9)
IDS = LIVE | GONE


@st.composite
def files(draw: st.DrawFn) -> Corrections:
    """Any file that is accepted, about five ids that are there and five that are not."""
    merge = draw(st.lists(st.lists(IDS, min_size=2, max_size=3), max_size=4))
    names = draw(st.dictionaries(IDS, st.sampled_from("abc"), max_size=4))
    pins = draw(st.dictionaries(st.sampled_from("xyz"), IDS, max_size=3))
    text = "\n".join(
        [
            f"names: {{{', '.join(f'{id_}: {name}{id_}' for id_, name in names.items())}}}",
            f"merge: {merge}",
            f"pins: {{{', '.join(f'{image}: {id_}' for image, id_ in pins.items())}}}",
        ]
    )
    try:
        return parse_corrections(text, name="c")
    except SettingsError:
        reject()


@given(files(), st.dictionaries(GONE, st.builds(Heir, LIVE, *[st.integers(0, 9)] * 4), max_size=5))
def test_whatever_is_written_means_something_sound(written: Corrections, heirs: dict[int, Heir]) -> None:
    live = set(range(5))
    found = apply_corrections(written, live, heirs)
    shown = {found.merged_into.get(id_, id_) for id_ in live}
    assert found.merged_into.keys() <= live
    assert not found.merged_into.keys() & set(found.merged_into.values()), "chains are followed to their end"
    assert found.names.keys() <= shown
    assert set(found.pins["cluster_id"]) <= shown
    for id_, stays in written.merged_into.items():
        if id_ in live and stays in live:
            assert found.merged_into.get(id_, id_) == found.merged_into.get(stays, stays), "what is there is merged"
    for id_, name in written.names.items():
        assert id_ not in shown or found.names[id_] == name


def test_what_an_image_is_not_of_follows_a_group_as_a_whole() -> None:
    written = Corrections(not_in={"a.jpg": [3], "b.jpg": [0, 3]}, locked=[3, 0], merge=[[7, 0]])
    moved = apply_corrections(written, {0, 7, 9}, {3: whole(9)})
    assert moved.barred.rows() == [("a.jpg", 9), ("b.jpg", 7), ("b.jpg", 9)]
    assert moved.locked == {7, 9}
    assert moved.followed == [
        "3 is no cluster any more; 10 of its 10 images are in 9 now, which has its not_in and its lock"
    ]
    lost = apply_corrections(written, {0, 7, 9}, {3: part(9)})
    assert (lost.barred.rows(), lost.locked) == ([("b.jpg", 7)], {7})
    assert lost.unused == ["not_in: no cluster is mostly 3 any more", "locked: no cluster is mostly 3 any more"]
    assert apply_corrections(Corrections(), {0, 7}, {}).barred.is_empty()


def test_a_group_made_by_hand_is_there_as_long_as_it_has_something() -> None:
    pinned = apply_corrections(Corrections(groups=[12, 13], pins={"a.jpg": 12}), {0, 7}, {})
    assert (pinned.made, pinned.curated) == ([12], set())
    merged = apply_corrections(Corrections(groups=[12], merge=[[12, 7]]), {0, 7}, {})
    # A learned group is merged into it: then it has a column.
    assert (merged.made, merged.merged_into) == ([], {7: 12})
    gone = apply_corrections(Corrections(groups=[12], merge=[[0, 12]], pins={"a.jpg": 12}), {0, 7}, {})
    assert (gone.made, gone.pins.rows()) == ([], [("a.jpg", 0)])
