"""Published versions: numbers only go up, readers see whole ones, and the changes add up to what is published."""

import json
import shutil
import tempfile
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_versions import ClusterOf, publish, tables

from tac_pipeline.errors import ArtifactDamaged, ArtifactMissing, StoreError
from tac_pipeline.store.publication import Publication, Version


def shown(version: Version | None) -> dict[str, int | None]:
    assert version is not None
    return dict(version.assignments.select("image_id", "cluster_id").iter_rows())


@pytest.fixture
def publication(tmp_path: Path) -> Publication:
    return Publication(tmp_path / "published")


A, B, C = {"x": 0, "y": 0, "z": None}, {"x": 0, "y": 1}, {"x": 2, "y": 2, "z": 2}


def test_before_the_first_version_there_is_nothing(publication: Publication) -> None:
    assert publication.latest() is None
    assert publication.versions() == []
    assert publication.changes(since=0).is_empty()
    assert publication.compare(tables(A)["assignments"]).came == 2
    with pytest.raises(ArtifactMissing, match="nothing is published"):
        publication.rollback()
    with pytest.raises(ArtifactMissing, match="kept are none"):
        publication.find(1)


def test_readers_get_the_latest_through_the_link(publication: Publication) -> None:
    first, second = publish(publication, A), publish(publication, B, entry=4)
    assert (first.number, second.number, second.entry) == (1, 2, 4)
    assert publication.latest() == second
    assert publication.versions() == [first, second]
    assert pl.read_parquet(publication.folder / "latest" / "assignments.parquet").equals(second.assignments)
    assert sorted(path.name for path in second.folder.iterdir()) == [
        "assignments.parquet",
        "changes.parquet",
        "clusters.parquet",
        "lineage.parquet",
        "version.json",
    ]
    assert sorted(path.name for path in publication.folder.iterdir()) == ["latest", "v000001", "v000002"]


def test_the_next_id_is_above_all_that_readers_can_still_meet(publication: Publication) -> None:
    assert publication.next_id() == 0
    for cluster_of in ({"x": None}, {"x": 7}, {"x": 2}, {"x": 3}):
        publish(publication, cluster_of)
    assert publication.next_id() == 8
    publication.prune(keep=1)
    assert publication.next_id() == 8, "the changes are kept"


def test_versions_that_readers_had_in_the_days_that_are_kept_stay_whole(
    publication: Publication, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, day = 1_800_000_000.0, 24 * 3600
    for days, shown_ids in ((40, A), (35, B), (20, {"y": 1}), (0, A)):
        monkeypatch.setattr("tac_pipeline.store.publication.time.time", lambda at=now - days * day: at)
        publish(publication, shown_ids)
    assert publication.prune(keep=1, keep_days=30) == [1], "readers had version 2 until 20 days ago"
    assert shown(publication.versions()[1]) == B
    assert publication.prune(keep=1) == [2, 3]


def test_changes_tell_what_differs_from_the_version_before(publication: Publication) -> None:
    publish(publication, A)
    publish(publication, B)
    publish(publication, {"y": 1})
    assert publication.changes(since=0).rows() == [
        ("x", None, 0, 1),
        ("y", None, 0, 1),
        ("y", 0, 1, 2),
        ("x", 0, None, 3),
    ]
    assert publication.changes(since=2).rows() == [("x", 0, None, 3)]
    assert publication.changes(since=3).is_empty()
    for since in (-1, 4):
        with pytest.raises(ArtifactMissing, match=f"no changes since version {since}: versions 1 to 3 are published"):
            publication.changes(since=since)


@given(
    steps=st.lists(
        st.dictionaries(st.sampled_from("abcde"), st.none() | st.integers(0, 2)) | st.integers(0, 9), max_size=7
    ),
    keep=st.integers(1, 3),
)
def test_the_changes_since_any_version_add_up_to_the_latest(steps: list[ClusterOf | int], keep: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        publication = Publication(Path(folder) / "published")
        history: list[dict[str, int]] = [{}]
        for step in steps:
            latest = publication.latest()
            if isinstance(step, int):  # back to one of the versions that are kept
                kept = [version for version in publication.versions() if version.whole]
                other = [version for version in kept if latest and _original(version) != _original(latest)]
                if not other:
                    continue
                version = publication.rollback(other[step % len(other)].number)
            else:
                version = publish(publication, step)
                publication.prune(keep=keep)
            assert version.number == len(history)
            history.append({image: id_ for image, id_ in shown(version).items() if id_ is not None})
        for since, state in enumerate(history):
            for image, old, new, _ in publication.changes(since=since).iter_rows():
                assert state.get(image) == old
                state = {key: id_ for key, id_ in state.items() if key != image} | ({} if new is None else {image: new})
            assert state == history[-1]


def _original(version: Version) -> int:
    return version.rolled_back_to or version.number


def test_going_back_publishes_an_old_version_under_a_new_number_and_holds(publication: Publication) -> None:
    first = publish(publication, A, entry=3)
    publish(publication, B, entry=4)
    assert publication.held() is None
    back = publication.rollback()
    assert (back.number, back.rolled_back_to, back.entry, back.source) == (3, 1, 3, first.source)
    assert publication.latest() == back
    for name in ("assignments", "clusters", "lineage"):
        assert back.table(name).equals(first.table(name))
    assert back.table("changes").rows() == [("y", 1, 0, 3)]
    assert publication.held() == "held since the rollback to version 1"
    publish(publication, C)
    assert publication.held() is None


def test_going_back_again_goes_further_back(publication: Publication) -> None:
    for cluster_of in (A, B, C):
        publish(publication, cluster_of)
    assert shown(publication.rollback()) == B
    further = publication.rollback()
    assert (further.number, further.rolled_back_to, shown(further)) == (5, 1, A)
    with pytest.raises(ArtifactMissing, match="no version older than 1 is kept"):
        publication.rollback()
    forward = publication.rollback(4)
    assert (forward.number, forward.rolled_back_to, shown(forward)) == (6, 2, B)
    # The result after a rollback goes back to the tables of the rollback.
    publish(publication, C)
    assert shown(publication.rollback()) == B


def test_going_back_to_what_is_published_is_refused_and_nothing_is_held(publication: Publication) -> None:
    publish(publication, A)
    publish(publication, B)
    with pytest.raises(StoreError, match="version 2 is what is published now"):
        publication.rollback(2)
    assert publication.held() is None
    publication.rollback(1)
    for number in (1, 3):
        with pytest.raises(StoreError, match=f"version {number} is what is published now"):
            publication.rollback(number)
    with pytest.raises(ArtifactMissing, match=r"no published version 9 .*; kept are 1, 2, 3"):
        publication.rollback(9)


def test_a_rollback_that_was_killed_holds_already(publication: Publication, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(publication, A)
    publish(publication, B)
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(Publication, "_add", _killed)
        publication.rollback()
    assert publication.held() == "held since the rollback to version 1"
    assert shown(publication.rollback()) == A


def _killed(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("text", ["", "not json", "[]", "{}"])
def test_a_hold_that_cannot_be_read_holds(publication: Publication, text: str) -> None:
    publish(publication, A)
    (publication.folder / "hold.json").write_text(text)
    assert publication.held() == f"held: {publication.folder / 'hold.json'} cannot be read"
    publication.release()
    publication.release()
    assert publication.held() is None


def test_old_versions_keep_their_changes_alone(publication: Publication) -> None:
    for cluster_of in (A, B, C, A):
        publish(publication, cluster_of)
    changes = publication.changes(since=0)
    assert publication.prune(keep=2) == [1, 2]
    assert publication.prune(keep=2) == []
    assert [version.whole for version in publication.versions()] == [False, False, True, True]
    assert [len(list(version.folder.iterdir())) for version in publication.versions()] == [2, 2, 5, 5]
    assert publication.changes(since=0).equals(changes)
    with pytest.raises(ArtifactMissing, match=r"no published version 2 .*; kept are 3, 4"):
        publication.rollback(2)
    assert publish(publication, B).number == 5


@pytest.mark.parametrize("numbers", [1, 2])
def test_a_version_killed_before_the_swap_is_made_anew(
    publication: Publication, monkeypatch: pytest.MonkeyPatch, numbers: int
) -> None:
    for _ in range(numbers - 1):
        publish(publication, A)
    before = publication.latest()
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(Publication, "_announce", _killed)
        publish(publication, B)
    assert publication.latest() == before
    assert [version.number for version in publication.versions()] == list(range(1, numbers))
    assert publication.changes(since=0).filter(version=numbers).is_empty()
    made = publish(publication, C)
    assert (made.number, shown(publication.latest())) == (numbers, C)
    assert dict(made.table("changes").select("image_id", "new_cluster_id").iter_rows()) == C


def test_a_version_that_cannot_be_written_leaves_the_latest(publication: Publication) -> None:
    first = publish(publication, A)
    broken = tables(B)
    broken["clusters"] = pl.concat([broken["clusters"]] * 2)
    with pytest.raises(ValueError, match="cluster_id must be unique"):
        publication.publish(broken, source={}, entry=1)
    assert publication.latest() == first
    assert sorted(path.name for path in publication.folder.iterdir()) == ["latest", "v000001"]


@pytest.mark.parametrize("put", ["nothing", "a file", "a folder"])
def test_a_lost_link_is_refused_with_the_remedy(publication: Publication, put: str) -> None:
    publish(publication, A)
    publish(publication, B)
    link = publication.folder / "latest"
    link.unlink()
    if put != "nothing":
        link.write_text("") if put == "a file" else link.mkdir()
    for act in (publication.latest, publication.versions, publication.rollback, lambda: publish(publication, C)):
        with pytest.raises(ArtifactDamaged, match=f"must be a link to the newest version: .*`ln -s v000002 {link}`"):
            act()
    assert sorted(path.name for path in publication.folder.glob("v*")) == ["v000001", "v000002"]


@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize("damage", ["folder", "record", "text"])
def test_a_version_that_cannot_be_read_is_refused(publication: Publication, number: int, damage: str) -> None:
    for cluster_of in (A, B, C):
        publish(publication, cluster_of)
    record = publication.folder / f"v00000{number}" / "version.json"
    if damage == "folder":
        shutil.rmtree(record.parent)
    elif damage == "record":
        record.unlink()
    else:
        record.write_text('{"version": 1}')
    with pytest.raises(ArtifactDamaged, match=rf"{record} cannot be read .* and publish again"):
        publication.changes(since=0)


def test_a_table_that_cannot_be_read_is_refused(publication: Publication) -> None:
    version = publish(publication, A)
    (version.folder / "assignments.parquet").write_bytes(b"cut")
    with pytest.raises(ArtifactDamaged, match=r"assignments\.parquet must be a Parquet file .* and publish again"):
        publish(publication, B)


def test_tables_from_before_a_column_was_kept_are_published_without_it(publication: Publication) -> None:
    """Rolling back to a version of an older release."""
    old = tables(A)
    old["clusters"] = old["clusters"].drop("alternative_weights", "name_confidence", "curated")
    old["assignments"] = old["assignments"].drop("curated")
    version = publication.publish(old, source={}, entry=1)
    assert shown(version) == A
    for name in ("alternative_weights", "name_confidence", "curated"):
        assert version.clusters[name].null_count() == len(version.clusters)


def _kept(version: Version) -> dict[str, pl.DataFrame]:
    return {name: version.table(name) for name in ("assignments", "clusters", "lineage")}


@pytest.mark.parametrize("name", ["assignments", "clusters", "lineage", "changes"])
def test_a_damaged_table_is_told_by_size_or_by_digest_and_written_again(publication: Publication, name: str) -> None:
    publish(publication, A)
    version = publish(publication, B)
    tables, path = _kept(version), version.folder / f"{name}.parquet"
    before = path.read_bytes()
    path.write_bytes(before[:40])
    assert list(version.damaged()) == [name]
    assert publication.repair(version, tables) == [name]
    path.write_bytes(bytes(reversed(before)))
    assert version.damaged() == {}
    assert list(version.damaged(by_digest=True)) == [name]
    assert publication.repair(version, tables) == [name]
    assert path.read_bytes() == before
    latest = publication.latest()
    assert latest is not None
    assert latest.damaged(by_digest=True) == {}


def test_changes_that_cannot_be_compared_again_are_named(publication: Publication) -> None:
    publish(publication, A)
    version = publish(publication, B)
    publication.prune(keep=1)
    (version.folder / "changes.parquet").unlink()
    with pytest.raises(ArtifactDamaged, match=r"version 1, with which .* is not kept.*restore"):
        publication.repair(version, _kept(version))


def test_what_was_pruned_is_not_damage_and_what_was_deleted_is(publication: Publication) -> None:
    for cluster_of in (A, B, C):
        publish(publication, cluster_of)
    publication.prune(keep=2)
    first, second, _ = publication.versions()
    assert (first.pruned, first.damaged(by_digest=True)) == (True, {})
    (second.folder / "assignments.parquet").unlink()
    assert list(second.damaged()) == ["assignments"]
    (first.folder / "changes.parquet").write_bytes(b"")
    assert list(first.damaged()) == ["changes"]


def test_versions_from_before_digests_are_opened(publication: Publication) -> None:
    version = publish(publication, A)
    record = json.loads((version.folder / "version.json").read_text())
    del record["files"], record["seal"]
    (version.folder / "version.json").write_text(json.dumps(record))
    [old] = publication.versions()
    assert old.damaged(by_digest=True) == {}
    path = old.folder / "clusters.parquet"
    path.write_bytes(path.read_bytes()[:-9])
    assert list(old.damaged()) == ["clusters"]
