"""The ledger: clusters that continue keep their ids, and no id is ever given twice, whatever happens in between."""

import hashlib
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tac_pipeline.errors import ArtifactDamaged
from tac_pipeline.store.ledger import Entry, Learned, Ledger

DIM = 8
REMEDY = "restore it from a backup .*, or delete all of .* to number clusters from 0 again"


def learned(
    key: str,
    *columns: Sequence[str],
    contents: Mapping[str, str] | None = None,
    axes: Sequence[int] | None = None,
    encoder: str = "E",
) -> Learned:
    """Heads that put the named images into each column; an image's bytes are its name unless contents says others.

    The clusters lie along the axes, the first ones if none are given.
    """
    ids = [image for images in columns for image in images]
    bytes_of = [(contents or {}).get(image, image) for image in ids]
    return Learned(
        key,
        pl.Series(ids, dtype=pl.String),
        pl.Series([hashlib.sha256(text.encode()).hexdigest() for text in bytes_of], dtype=pl.String),
        np.repeat(np.arange(len(columns)), [len(images) for images in columns]),
        np.eye(DIM, dtype=np.float32)[range(len(columns)) if axes is None else axes],
        encoder,
    )


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "ledger")


def enter(ledger: Ledger, given: Learned, *, in_force: int | None = None, names: Mapping[int, str] = {}) -> Entry:
    # Opened again, as the next run would do.
    return Ledger(ledger.folder).enter(given, in_force=in_force, names=names)


def ids_of(entry: Entry) -> list[int]:
    return entry.ids["cluster_id"].to_list()


CATS, DOGS, BIRDS = "abcdef", "ghij", "kl"


def test_the_ids_of_a_first_clustering_rank_by_size(ledger: Ledger) -> None:
    assert ledger.entries() == []
    entry = enter(ledger, learned("one", BIRDS, CATS, DOGS))
    assert ids_of(entry) == [2, 0, 1]
    assert (entry.number, entry.parent, entry.next_id) == (1, None, 3)
    assert entry.lineage.select("entry", "event").unique().rows() == [(1, "born")]
    assert ledger.entries() == [entry]


def test_known_heads_get_the_ids_that_they_had(ledger: Ledger) -> None:
    enter(ledger, learned("one", CATS, DOGS))
    enter(ledger, learned("two", DOGS + CATS, BIRDS))
    known = ledger.find("one")
    assert known is not None
    assert ids_of(known) == [0, 1]
    assert known.number == 1
    assert ledger.find("three") is None


def test_clusters_that_go_on_keep_their_ids_in_any_column(ledger: Ledger) -> None:
    enter(ledger, learned("one", CATS, DOGS, BIRDS))
    assert ids_of(enter(ledger, learned("two", BIRDS + "mnop", DOGS[1:] + "q", CATS))) == [2, 1, 0]


def test_the_first_of_many_clusters_do_not_decide_what_can_be_said_of_the_last(ledger: Ledger) -> None:
    groups = [[f"{group} {image}" for image in range(4)] for group in range(150)]
    axes = [group % DIM for group in range(len(groups))]
    enter(ledger, learned("one", *groups, axes=axes))
    merged = enter(ledger, learned("two", *groups[:-2], groups[-2] + groups[-1], axes=axes[:-1]))
    assert merged.lineage.filter(event="merged").select("cluster_id", "other_id").rows() == [(149, 148)]


def test_a_retired_id_never_comes_again(ledger: Ledger) -> None:
    enter(ledger, learned("one", CATS, DOGS, BIRDS))
    without = enter(ledger, learned("two", CATS, DOGS))
    assert (ids_of(without), without.next_id) == ([0, 1], 3)
    again = enter(ledger, learned("three", BIRDS, CATS, DOGS))
    assert (ids_of(again), again.next_id) == ([3, 0, 1], 4)
    # Nor does it when people go back to ids from before it was given.
    back = enter(ledger, learned("four", CATS, DOGS, "xyz", axes=[0, 1, 7]), in_force=2)
    assert ids_of(back) == [0, 1, 4]


@pytest.mark.parametrize("seed", range(8))
def test_whatever_is_learned_new_ids_are_new_and_old_ones_are_those_in_force(ledger: Ledger, seed: int) -> None:
    generator = np.random.default_rng(seed)
    given: set[int] = set()
    for round_ in range(8):
        images = [f"image {number}" for number in generator.choice(30, size=20, replace=False)]
        column = generator.integers(4, size=20)
        parts = [[image for image, own in zip(images, column, strict=True) if own == place] for place in range(4)]
        in_force = int(generator.integers(1, round_ + 1)) if round_ else None
        entry = enter(
            ledger, learned(str(round_), *parts, axes=generator.permutation(DIM)[:4].tolist()), in_force=in_force
        )
        ids = ids_of(entry)
        assert len(set(ids)) == 4
        before = set(ids_of(ledger.entries()[in_force - 1])) if in_force else set()
        assert not (set(ids) - before) & given
        given |= set(ids)
        assert entry.next_id == len(given) == max(given) + 1
        assert entry.parent == in_force


def test_new_clusters_are_matched_to_the_entry_in_force(ledger: Ledger) -> None:
    enter(ledger, learned("one", CATS, DOGS))
    assert ids_of(enter(ledger, learned("two", BIRDS, "mn", encoder="another"))) == [2, 3]
    by_last = enter(ledger, learned("three", CATS, BIRDS, encoder="a third"))
    assert (ids_of(by_last), by_last.parent) == ([4, 2], 2)
    by_first = enter(ledger, learned("four", CATS, BIRDS, encoder="a third"), in_force=1)
    assert (ids_of(by_first), by_first.parent) == ([0, 5], 1)


@pytest.mark.parametrize("in_force", [0, 2, 7])
def test_an_entry_in_force_that_is_not_there_is_refused_with_the_remedy(ledger: Ledger, in_force: int) -> None:
    with pytest.raises(ArtifactDamaged, match=rf"must hold the entry {in_force}.*; it holds \[\].*{REMEDY}"):
        enter(ledger, learned("one", CATS), in_force=in_force)
    enter(ledger, learned("one", CATS))
    with pytest.raises(ArtifactDamaged, match=rf"must hold the entry {in_force}.*; it holds \[1\].*{REMEDY}"):
        enter(ledger, learned("two", CATS), in_force=in_force)
    assert len(ledger.entries()) == 1


def test_ids_that_the_ledger_forgot_are_not_given_again(ledger: Ledger) -> None:
    enter(ledger, learned("one", CATS, DOGS))
    later = ledger.enter(learned("two", CATS, BIRDS, axes=[0, 7]), in_force=1, names={}, lowest_new_id=9)
    assert (ids_of(later), later.next_id) == ([0, 9], 10)
    lower = ledger.enter(learned("three", CATS, "xyz", axes=[0, 5]), in_force=2, names={}, lowest_new_id=4)
    assert (ids_of(lower), lower.next_id) == ([0, 10], 11)


def test_moved_files_are_known_by_their_bytes(ledger: Ledger) -> None:
    enter(ledger, learned("one", CATS, DOGS))
    moved = {f"new place/{image}": image for image in CATS + DOGS}
    places = list(moved)
    entry = enter(ledger, learned("two", places[len(CATS) :], places[: len(CATS)], contents=moved, encoder="other"))
    assert ids_of(entry) == [1, 0]
    assert entry.lineage.select("event", "shared").rows() == [("kept", 6), ("kept", 4)]


def test_files_that_were_numbered_anew_are_known_by_their_bytes(ledger: Ledger) -> None:
    """The first half and the second are exchanged, and one file is removed: no number shows the same as before."""
    shown = [f"{kind} {number}" for number, kind in enumerate("c" * 8 + "d" * 8)]
    enter(ledger, learned("one", *by_kind(shown, "cd"), contents=numbered(shown)))
    after = shown[8:] + shown[1:8]
    entry = enter(ledger, learned("two", *by_kind(after, "cd"), contents=numbered(after), encoder="other"))
    assert ids_of(entry) == [0, 1]
    assert entry.lineage.select("event", "shared").rows() == [("kept", 7), ("kept", 8)]


def numbered(shown: Sequence[str]) -> dict[str, str]:
    """What the files 0, 1, ... show."""
    return {str(number): content for number, content in enumerate(shown)}


def by_kind(shown: Sequence[str], kinds: str) -> list[list[str]]:
    """The numbers of the files that show each kind."""
    return [[str(number) for number, content in enumerate(shown) if content[0] == kind] for kind in kinds]


def test_of_equal_bytes_each_is_known_once(ledger: Ledger) -> None:
    same = dict.fromkeys(["1", "x", "y", "z"], "copy")
    enter(ledger, learned("one", ["1"], DOGS, contents=same))
    entry = enter(ledger, learned("two", ["x", "y", "z"], DOGS, contents=same, encoder="other"))
    assert entry.lineage.select("cluster_id", "event", "shared").rows()[1] == (1, "grown", 1)


def test_an_image_of_the_same_id_is_known_whatever_its_bytes(ledger: Ledger) -> None:
    enter(ledger, learned("one", CATS, DOGS))
    edited = {image: f"{image}, edited" for image in CATS + DOGS}
    assert ids_of(enter(ledger, learned("two", DOGS, CATS, contents=edited, encoder="other"))) == [1, 0]


def test_a_copy_of_an_image_that_stays_is_no_known_image(ledger: Ledger) -> None:
    enter(ledger, learned("one", "ab"))
    entry = enter(ledger, learned("two", "ab", ["copy"], contents={"copy": "a"}))
    assert entry.lineage.select("cluster_id", "event", "shared").rows() == [(0, "kept", 2), (1, "born", 0)]


def test_other_images_are_matched_by_centers_of_the_same_encoder_alone(ledger: Ledger) -> None:
    enter(ledger, learned("one", CATS, DOGS))
    assert ids_of(enter(ledger, learned("two", "tu", "vw", axes=[1, 0], encoder="other"), in_force=1)) == [2, 3]
    assert ids_of(enter(ledger, learned("three", "tu", "vw", axes=[1, 0]), in_force=1)) == [1, 0]


def test_what_became_of_every_id_is_written_down(ledger: Ledger) -> None:
    enter(ledger, learned("one", CATS, DOGS, BIRDS))
    entry = enter(ledger, learned("two", CATS[:4], CATS[4:], DOGS + BIRDS))
    columns = ["cluster_id", "event", "other_id", "shared", "images_before", "images_after"]
    assert entry.lineage.select(columns).rows() == [
        (0, "kept", None, 4, 6, 4),
        (1, "grown", None, 4, 4, 6),
        (2, "merged", 1, 2, 2, 0),
        (3, "split", 0, 2, 0, 2),
    ]


def test_history_follows_the_parents(ledger: Ledger) -> None:
    first, second = enter(ledger, learned("one", CATS)), enter(ledger, learned("two", CATS, DOGS))
    third = enter(ledger, learned("three", CATS, BIRDS), in_force=1)
    assert [ledger.history(entry)["entry"].to_list() for entry in (first, second, third)] == [[1], [1, 2, 2], [1, 3, 3]]


def test_names_stay_with_the_ids_that_go_on(ledger: Ledger) -> None:
    assert enter(ledger, learned("one", CATS, DOGS)).ids["kept_name"].to_list() == [None, None]
    names = {0: "cat", 1: "dog", 9: "frog"}
    entry = enter(ledger, learned("two", DOGS, "xyz", CATS, axes=[0, 7, 2]), names=names)
    assert entry.ids["kept_name"].to_list() == ["dog", None, "cat"]


def test_entries_are_never_changed(ledger: Ledger) -> None:
    entry = enter(ledger, learned("one", CATS, DOGS))
    before = {path: path.read_bytes() for path in entry.folder.iterdir()}
    enter(ledger, learned("two", DOGS, BIRDS))
    assert {path: path.read_bytes() for path in entry.folder.iterdir()} == before
    assert len(before) == 5


def test_what_a_killed_run_left_is_no_entry(ledger: Ledger) -> None:
    entry = enter(ledger, learned("one", CATS, DOGS))
    shutil.copytree(entry.folder, ledger.folder / ".building-0123456789ab")
    assert ledger.entries() == [entry]
    assert ids_of(enter(ledger, learned("two", BIRDS, CATS, axes=[7, 0]))) == [2, 0]


def test_an_entry_is_whole_or_not_there(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = enter(ledger, learned("one", CATS, DOGS))

    def crash(path: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr("tac_pipeline.files.flush", crash)
        enter(ledger, learned("two", BIRDS, DOGS))
    assert list(ledger.folder.iterdir()) == [entry.folder]
    assert ids_of(enter(ledger, learned("two", BIRDS, DOGS, encoder="other"))) == [2, 1]


@pytest.mark.parametrize("lost", ["000001", "000001/entry.json", "000002/entry.json"])
def test_a_missing_entry_is_refused_with_the_remedy(ledger: Ledger, lost: str) -> None:
    enter(ledger, learned("one", CATS))
    enter(ledger, learned("two", CATS, DOGS))
    path = ledger.folder / lost
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(ArtifactDamaged, match=REMEDY):
        ledger.find("two")
    with pytest.raises(ArtifactDamaged, match=REMEDY):
        enter(ledger, learned("three", CATS))


@pytest.mark.parametrize("text", ["", "not json", "[]", "{}", '{"entry": 1, "key": "", "parent": 1, "next_id": null}'])
def test_an_unreadable_entry_is_refused_with_the_remedy(ledger: Ledger, text: str) -> None:
    enter(ledger, learned("one", CATS))
    (ledger.folder / "000001" / "entry.json").write_text(text)
    with pytest.raises(ArtifactDamaged, match=rf"entry\.json cannot be read .*{REMEDY}"):
        enter(ledger, learned("two", CATS))


@pytest.mark.parametrize("name", ["ids", "lineage", "images", "centers"])
def test_a_damaged_table_is_refused_with_the_remedy(ledger: Ledger, name: str) -> None:
    entry = enter(ledger, learned("one", CATS))
    (entry.folder / f"{name}.parquet").write_bytes(b"cut")
    with pytest.raises(ArtifactDamaged, match=rf"{name}\.parquet must be a Parquet file .*{REMEDY}"):
        _ = ids_of(entry), entry.lineage, enter(ledger, learned("two", CATS))


def test_a_known_class_keeps_the_id_of_its_name(ledger: Ledger) -> None:
    first = enter(ledger, replace(learned("first", CATS, DOGS, BIRDS), classes=("cats", "dogs")))
    assert first.classes == {"cats": 0, "dogs": 1}
    # By their images, the columns are dogs and cats.
    second = enter(ledger, replace(learned("second", DOGS, CATS, BIRDS), classes=("cats", "dogs")))
    assert ids_of(second) == [0, 1, 2]
    # A class that nobody knows any more is matched by its images, as any cluster.
    third = enter(ledger, learned("third", CATS, DOGS, BIRDS))
    assert ids_of(third) == [1, 0, 2]
    assert third.classes == {}
    # A class that was not known in the entry before is, too.
    fourth = enter(ledger, replace(learned("fourth", BIRDS, CATS, DOGS), classes=("birds",)))
    assert ids_of(fourth) == [2, 1, 0]
