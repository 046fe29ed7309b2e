"""Published assignments in several files: shared by versions, read as one table, repaired, rolled back, backed up."""

from pathlib import Path

import polars as pl
import pytest
from made_versions import Part, publish_parts

from tac_pipeline.store.artifacts import Store
from tac_pipeline.store.comparison import compare_assignments
from tac_pipeline.store.keeping.check import check_kept
from tac_pipeline.store.publication import PARTS_SCHEMA, Publication, Version

FIRST = [{"a": 0, "b": 1}, {"c": 1, "d": 1}, {"e": 2}]
SECOND = [{"a": 0, "b": 1}, {"c": 1, "d": 2, "dd": 2}, {"e": 2}]


@pytest.fixture
def publication(tmp_path: Path) -> Publication:
    return Publication(tmp_path / "data" / "made" / "published")


def inodes(version: Version) -> list[int]:
    return [part.path.stat().st_ino for part in version.assigned]


def test_versions_share_the_files_that_do_not_differ(publication: Publication) -> None:
    one, two = publish_parts(publication, FIRST), publish_parts(publication, SECOND)
    assert [a == b for a, b in zip(inodes(one), inodes(two), strict=True)] == [True, False, True]
    assert two.assignments["image_id"].to_list() == ["a", "b", "c", "d", "dd", "e"]
    assert pl.read_parquet(two.folder / "assignments/*.parquet").equals(two.assignments)
    assert f'"schema": {PARTS_SCHEMA}' in (two.folder / "version.json").read_text()
    assert (two.whole, two.damaged(by_digest=True)) == (True, {})


def test_what_changed_is_what_whole_tables_say(publication: Publication) -> None:
    one, two = publish_parts(publication, FIRST), publish_parts(publication, SECOND)
    wanted = compare_assignments(one.assignments, two.assignments)
    found = publication.compare([Part(rows) for rows in SECOND])
    assert (found.moved, found.came, found.gone) == (0, 0, 0)
    changes = publication.changes(since=1).drop("version")
    assert changes.equals(wanted.images)
    again = Publication(publication.folder)
    found = again.compare([Part(rows) for rows in FIRST])
    back = compare_assignments(two.assignments, one.assignments)
    assert (found.known, found.moved, found.came, found.gone) == (back.known, back.moved, back.came, back.gone)
    assert found.clusters.equals(back.clusters)


def test_going_back_repeats_the_files(publication: Publication) -> None:
    one = publish_parts(publication, FIRST)
    publish_parts(publication, SECOND)
    assert publication.rollback().assignments.equals(one.assignments)


def test_old_versions_let_go_of_their_files(publication: Publication) -> None:
    one, two = publish_parts(publication, FIRST), publish_parts(publication, SECOND)
    assert publication.prune(keep=1) == [1]
    assert not (one.folder / "assignments").exists()
    assert two.assignments.height == 6
    assert publication.versions()[0].damaged() == {}


def test_a_damaged_file_is_told_and_written_again(publication: Publication) -> None:
    publish_parts(publication, FIRST)
    version = publish_parts(publication, SECOND)
    path = version.assigned[1].path
    before = path.read_bytes()
    path.write_bytes(before[:-8])
    assert list(version.damaged_files()) == [path]
    assert list(version.damaged()) == ["assignments"]
    store = Store(publication.folder.parent)
    assert path in [finding.path for finding in check_kept(store)]
    tables = {"assignments": [Part(rows) for rows in SECOND]}
    assert publication.repair(version, tables) == ["assignments"]
    assert path.read_bytes() == before
    assert version.damaged(by_digest=True) == {}


def test_a_store_that_grows_beyond_one_file_publishes_files(publication: Publication) -> None:
    whole = {key: value for rows in FIRST for key, value in rows.items()}
    version = publish_parts(publication, FIRST)
    tables = {"assignments": Part(whole).frame(), "clusters": version.clusters, "lineage": version.table("lineage")}
    small = publication.publish(tables, source={}, entry=1)
    assert small.assigned[0].alone
    assert publication.compare([Part(rows) for rows in SECOND]).came == 1
