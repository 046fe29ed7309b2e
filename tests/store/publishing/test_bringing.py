"""Versions in another place: readers there see whole ones only, whatever happens to the writer and at any moment."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from made_versions import publish, publish_parts, tables

from tac_pipeline.errors import ArtifactDamaged, StoreError
from tac_pipeline.store.digests import parse_sealed
from tac_pipeline.store.publication import Publication
from tac_pipeline.store.publishing.bringing import Brought, bring, named, probe, read_pointer
from tac_pipeline.store.publishing.places import FolderPlace, Place, open_place

A, B, C = {"x": 0, "y": 0, "z": None}, {"x": 0, "y": 1}, {"x": 2, "y": 2, "z": 2}
HOUR = 3600.0
S3 = "s3://photos/readers/store"


@pytest.fixture
def publication(tmp_path: Path) -> Publication:
    return Publication(tmp_path / "published")


@pytest.fixture
def folder(tmp_path: Path) -> Place:
    return FolderPlace(tmp_path / "shared" / "store")


@pytest.fixture(params=["folder", "bucket"])
def place(request: pytest.FixtureRequest) -> Place:
    if request.param == "folder":
        found: Place = request.getfixturevalue("folder")
        return found
    request.getfixturevalue("s3")
    return open_place(S3, options={}, timeout=10)


def brought(publication: Publication, place: Place, *, keep: int = 5, grace: float = HOUR, now: float = 0.0) -> Brought:
    done = bring(publication, place, keep=keep, grace=grace, now=now or 1000.0)
    assert done is not None
    return done


def seen(place: Place) -> dict[str, pl.DataFrame] | None:
    """What a reader gets who opens latest.json and then every table that it names; None before the first version."""
    pointer = place.read("latest.json")
    if pointer is None:
        return None
    record = parse_sealed(pointer)
    found = {}
    for name, wanted in record["files"].items():
        data = place.read(f"{record['path']}/{name}")
        assert data is not None, f"{name} of version {record['version']} is missing"
        assert len(data) == wanted["size"]
        found[name.partition("/")[0]] = pl.read_parquet(data)
    return found


def assert_seen(place: Place, publication: Publication, number: int) -> None:
    found, version = seen(place), publication.versions()[number - 1]
    assert found is not None and set(found) == {"assignments", "clusters", "lineage", "changes"}
    for name, table in found.items():
        assert table.equals(version.table(name)), name


def names(place: Place) -> list[str]:
    return sorted(place.sizes("versions"))


def test_before_the_first_version_nothing_is_brought(publication: Publication, folder: Place) -> None:
    assert bring(publication, folder, keep=5, grace=HOUR, now=1.0) is None
    assert read_pointer(folder) is None


def test_readers_get_whole_versions_and_equal_files_are_copied_there(publication: Publication, place: Place) -> None:
    publish(publication, A)
    first = brought(publication, place)
    assert (first.version, first.uploaded, first.copied, first.kept) == (1, 4, 0, 0)
    assert_seen(place, publication, 1)
    again = brought(publication, place)
    assert (again.version, again.uploaded, again.copied, again.kept) == (1, 0, 0, 0)
    # Of the same clusters, so that only assignments and changes differ.
    publish(publication, {**A, "w": 0})
    second = brought(publication, place, now=2000.0)
    assert (second.uploaded, second.copied) == (2, 2)
    assert_seen(place, publication, 2)
    assert names(place)[:5] == [
        "versions/1/assignments/assignments.parquet",
        "versions/1/changes/changes.parquet",
        "versions/1/clusters/clusters.parquet",
        "versions/1/lineage/lineage.parquet",
        "versions/1/version.json",
    ]
    pointer = read_pointer(place)
    assert pointer is not None
    assert (pointer.version, pointer.replaced, pointer.record["path"]) == (2, {1: 2000.0}, "versions/2")


def test_assignments_in_several_files_are_brought_one_by_one(publication: Publication, place: Place) -> None:
    publish_parts(publication, [{"a": 0, "b": 1}, {"c": 1, "d": 1}])
    assert brought(publication, place).uploaded == 5
    version = publish_parts(publication, [{"a": 0, "b": 1}, {"c": 0, "d": 1}])
    done = brought(publication, place, now=2000.0)
    assert (done.uploaded, done.copied) == (2, 3)
    there = [name for name in names(place) if name.startswith("versions/2/assignments/")]
    assert there == [f"versions/2/assignments/{part.path.name}" for part in version.assigned]
    place.remove(there[1])
    assert brought(publication, place, now=3000.0).uploaded == 1
    tables = [pl.read_parquet(place.read(name) or b"") for name in there]
    assert pl.concat(tables).equals(version.assignments)
    publish_parts(publication, [{"a": 0, "b": 1}])
    brought(publication, place, keep=1, grace=0, now=9000.0)
    assert not [name for name in names(place) if name.startswith("versions/2/assignments/")]


class Dying:
    """A place whose writer is killed before its n-th change; each change counts one."""

    def __init__(self, place: Place, *, before: int) -> None:
        self._place, self._left = place, before

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._place, name)
        if name not in ("write", "put", "copy", "remove"):
            return found

        def change(*arguments: Any, **options: Any) -> Any:
            self._left -= 1
            if self._left < 0:
                raise KeyboardInterrupt
            return found(*arguments, **options)

        return change


def test_a_writer_killed_at_any_moment_leaves_whole_versions_and_goes_on(
    tmp_path: Path, publication: Publication
) -> None:
    made, first = publication.folder, FolderPlace(tmp_path / "first")
    publish(publication, A)
    brought(publication, first)
    for cluster_of in (B, C):
        publish(publication, cluster_of)
    versions = Publication(made)
    for moment in range(40):
        place = FolderPlace(tmp_path / f"shared-{moment}")
        shutil.copytree(first.folder, place.folder)
        try:
            bring(versions, Dying(place, before=moment), keep=1, grace=0.0, now=2000.0)
        except KeyboardInterrupt:
            found = read_pointer(place)
            assert found is not None and found.version in (1, 3)
            assert_seen(place, versions, found.version)
            done = brought(versions, place, keep=1, grace=0.0, now=3000.0)
            # The changes of the second version and its record, then the four tables of the third: none is sent twice.
            assert done.uploaded + done.copied == 5 - [0, 1, 1, 2, 3, 4, 5][min(moment, 6)]
        else:
            assert moment == 13
            break
        assert_seen(place, versions, 3)
        assert [name for name in names(place) if name.startswith("versions/1/")] == [
            "versions/1/changes/changes.parquet",
            "versions/1/version.json",
        ]
    else:
        pytest.fail("no trial came to its end")


def test_old_versions_keep_their_tables_for_a_while_and_the_latest_keeps_them_ever(
    publication: Publication, place: Place
) -> None:
    for step, cluster_of in enumerate((A, B, C, A, B)):
        publish(publication, cluster_of)
        done = brought(publication, place, keep=2, grace=HOUR, now=1000.0 + step * HOUR / 2)
        # Replaced at 1800, 3600, ...: an hour later the first is not among the newest two.
        assert done.pruned == {3: [1], 4: [2]}.get(step, [])
    pointer = read_pointer(place)
    assert pointer is not None and sorted(pointer.replaced) == [3, 4]
    assert_seen(place, publication, 5)
    for number in (1, 2):
        assert sorted(place.sizes(f"versions/{number}")) == [
            f"versions/{number}/changes/changes.parquet",
            f"versions/{number}/version.json",
        ]
        record = json.loads(place.read(f"versions/{number}/version.json") or b"")
        assert record["pruned"] is True
    done = brought(publication, place, keep=1, grace=0.0, now=10**9)
    assert (done.version, done.pruned) == (5, [3, 4])
    assert_seen(place, publication, 5)


def test_versions_that_were_missed_have_their_changes(publication: Publication, folder: Place) -> None:
    publish(publication, A)
    brought(publication, folder)
    for cluster_of in (B, C, A):
        publish(publication, cluster_of)
    assert brought(publication, folder).version == 4
    found = [pl.read_parquet(folder.read(f"versions/{n}/changes/changes.parquet") or b"") for n in range(1, 5)]
    assert pl.concat(found).equals(publication.changes(since=0))
    assert "versions/2/assignments/assignments.parquet" not in folder.sizes("versions")


def test_a_place_that_is_named_late_begins_with_the_latest(publication: Publication, folder: Place) -> None:
    for cluster_of in (A, B):
        publish(publication, cluster_of)
    assert brought(publication, folder).uploaded == 4
    assert folder.sizes("versions/1") == {}


def test_a_rollback_is_copied_there(publication: Publication, place: Place) -> None:
    for cluster_of in (A, B):
        publish(publication, cluster_of)
        brought(publication, place)
    publication.rollback()
    done = brought(publication, place)
    assert (done.version, done.uploaded, done.copied) == (3, 1, 3), "only the changes are new"
    assert_seen(place, publication, 3)


def test_what_somebody_deleted_there_is_brought_again(publication: Publication, folder: Place) -> None:
    publish(publication, A)
    brought(publication, folder)
    folder.remove("versions/1/clusters/clusters.parquet")
    done = brought(publication, folder)
    assert (done.uploaded, done.kept) == (1, 3)
    assert_seen(folder, publication, 1)


def test_other_bytes_there_switch_no_reader(publication: Publication, folder: Place, monkeypatch: Any) -> None:
    publish(publication, A)
    brought(publication, folder)
    publish(publication, C)
    put = FolderPlace.put

    def flipped(self: FolderPlace, path: Path, name: str) -> None:
        put(self, path, name)
        whole = self.folder / name
        whole.write_bytes(whole.read_bytes()[:-1] + b"?")

    monkeypatch.setattr(FolderPlace, "put", flipped)
    with pytest.raises(
        StoreError, match=r"has other bytes than were written there: .* readers keep the version before"
    ):
        brought(publication, folder)
    monkeypatch.setattr(FolderPlace, "put", put)
    assert_seen(folder, publication, 1)
    assert brought(publication, folder).version == 2
    assert_seen(folder, publication, 2)


def test_a_damaged_table_is_not_brought(publication: Publication, folder: Place) -> None:
    version = publish(publication, A)
    path = version.folder / "clusters.parquet"
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises(ArtifactDamaged, match=r"has other bytes than were written.*It is not brought"):
        brought(publication, folder)
    assert seen(folder) is None


def other_history(tmp_path: Path) -> Publication:
    other = Publication(tmp_path / "other")
    publish(other, A)
    return other


def test_a_place_of_another_history_is_left_alone(publication: Publication, place: Place, tmp_path: Path) -> None:
    for cluster_of in (A, B):
        publish(publication, cluster_of)
        brought(publication, place)
    before = {name: place.read(name) for name in [*names(place), "latest.json"]}
    other = other_history(tmp_path)
    with pytest.raises(
        StoreError, match=r"readers of .* have a version 2 that this store, which has version 1, did not"
    ):
        brought(other, place)
    for cluster_of in (B, C):
        publish(other, cluster_of)
    with pytest.raises(StoreError, match=r"Set publication\.to to another place, or delete that folder"):
        brought(other, place)
    assert {name: place.read(name) for name in [*names(place), "latest.json"]} == before


def test_a_version_is_never_written_over(publication: Publication, folder: Place, tmp_path: Path) -> None:
    publish(publication, A)
    brought(publication, folder)
    folder.remove("latest.json")
    with pytest.raises(StoreError, match=r"is another version 1 than this store's\. Nothing was changed there"):
        brought(other_history(tmp_path), folder)
    assert brought(publication, folder).version == 1, "its own store says again what is latest"


@pytest.mark.parametrize("text", [b"", b"{}", b"[]", b"{", b'{"version": 0, "files": {}, "replaced": {}}', b"\xff"])
def test_a_pointer_of_others_is_told(publication: Publication, folder: Place, text: bytes) -> None:
    publish(publication, A)
    folder.write("latest.json", text)
    with pytest.raises(StoreError, match=r"latest\.json is not what was written there .*delete it, and the next run"):
        brought(publication, folder)


def test_versions_from_before_files_were_described(publication: Publication, folder: Place) -> None:
    version = publish(publication, A)
    path = version.folder / "version.json"
    record = {name: value for name, value in json.loads(path.read_text()).items() if name not in ("files", "seal")}
    path.write_text(json.dumps(record))
    assert brought(publication, folder).uploaded == 4
    assert_seen(folder, publication, 1)


def test_polars_reads_what_is_in_the_bucket(publication: Publication, s3: Any) -> None:
    version = publish(publication, A)
    place = open_place(S3, options={}, timeout=10)
    brought(publication, place)
    record = json.loads(s3.cat("photos/readers/store/latest.json"))
    found = pl.read_parquet(f"{S3}/{record['path']}/assignments/*.parquet")
    assert found.equals(version.assignments)


def test_a_probe_leaves_nothing(place: Place) -> None:
    probe(place)
    assert place.read(".probe") is None


def refusal(place: Place, try_it: Callable[[Place], Any] = probe) -> str:
    with pytest.raises(StoreError) as caught, named(place):
        try_it(place)
    return str(caught.value)


def test_a_folder_that_cannot_be_made_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    told = refusal(FolderPlace(tmp_path / "taken" / "store"))
    assert told == f"published versions cannot be written to {tmp_path}/taken/store: Not a directory."


def test_a_bucket_that_is_not_there_is_a_sentence(s3: Any, publication: Publication) -> None:
    publish(publication, A)
    place = open_place("s3://nobody/store", options={}, timeout=10)
    told = "published versions cannot be written to s3://nobody/store: The specified bucket does not exist."
    assert refusal(place) == told
    assert refusal(place, lambda there: brought(publication, there)) == told


def test_tables_of_many_names_keep_their_folders() -> None:
    from tac_pipeline.store.publishing.bringing import name_there

    assert name_there(7, "assignments-00001-ab.parquet") == "versions/7/assignments/assignments-00001-ab.parquet"
    assert tables(A).keys() <= {"assignments", "clusters", "lineage"}
