"""The store: artifacts appear whole or not at all, are found again, and are removed when there are too many."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tac_pipeline.errors import ArtifactDamaged, ArtifactMissing
from tac_pipeline.store.artifacts import Artifact, Store
from tac_pipeline.store.parquet import write_table
from tac_pipeline.store.schemas import IMAGE_LABELS


def record(**changes: Any) -> dict[str, Any]:
    empty: dict[str, Any] = {"content": None, "rows": 1, "seconds": 0.0}
    return empty | {name: {} for name in ("links", "values", "inputs", "facts", "notes")} | changes


def build(store: Store, recipe: str, text: str = "some text", *, asset: str = "thing", **changes: Any) -> Artifact:
    with store.scratch(asset) as folder:
        (folder / "file.txt").write_text(text)
        artifact = store.commit(asset, recipe, folder, record(**changes))
    store.make_current(artifact, version="v", written={})
    return artifact


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "photos")


def test_what_is_committed_is_current_and_whole(store: Store) -> None:
    built = build(store, "r1", facts={"count": 3})
    current = store.require_current("thing")
    assert current.artifact == built
    assert (current.version, current.artifact.facts, current.artifact.rows) == ("v", {"count": 3}, 1)
    assert current.artifact.file("file.txt").read_text() == "some text"
    assert current.artifact.damage() is None
    assert list((store.folder / ".scratch").iterdir()) == []


def test_a_failed_build_leaves_what_was_current(store: Store) -> None:
    build(store, "r1")
    with pytest.raises(RuntimeError), store.scratch("thing") as folder:
        (folder / "file.txt").write_text("half")
        raise RuntimeError
    assert store.require_current("thing").artifact.recipe == "r1"
    assert list((store.folder / ".scratch").iterdir()) == []


def test_content_depends_on_data_and_not_on_pictures(store: Store) -> None:
    first = build(store, "r1", "same")
    with store.scratch("thing") as folder:
        (folder / "file.txt").write_text("same")
        (folder / "plot.png").write_bytes(b"a picture")
        second = store.commit("thing", "r2", folder, record())
    assert first.content == second.content
    assert build(store, "r3", "other").content != first.content
    assert build(store, "r4", "other", content="given").content == "given"


def test_a_missing_asset_is_named(store: Store) -> None:
    assert store.current("thing") is None
    with pytest.raises(ArtifactMissing, match="tac run --select thing"):
        store.require_current("thing")


def test_files_cut_short_or_deleted_are_told(store: Store) -> None:
    artifact = build(store, "r1")
    path = artifact.file("file.txt")
    path.write_text("cut")
    assert artifact.damage() == f"{path} must have 9 bytes; it has 3"
    with pytest.raises(ArtifactDamaged, match="tac run --select thing"):
        artifact.file("file.txt")
    path.unlink()
    assert artifact.damage() == f"{path} is gone"
    assert build(store, "r1").damage() is None


def test_linked_files_belong_to_the_whole(store: Store) -> None:
    shard = store.shards_folder / "e" / "s.parquet"
    shard.parent.mkdir(parents=True)
    shard.write_bytes(b"1234")
    artifact = build(store, "r1", links={"shards/e/s.parquet": 4})
    assert artifact.damage() is None
    shard.unlink()
    assert artifact.damage() == f"{shard} is gone"


@pytest.mark.parametrize("text", ["", "not json", "[]", '{"recipe": 1}'])
def test_a_spoiled_pointer_counts_as_none_and_can_be_replaced(store: Store, text: str) -> None:
    build(store, "r1")
    (store.folder / "thing" / "current.json").write_text(text)
    assert store.current("thing") is None
    assert store.has_bad_pointer("thing")
    build(store, "r1")
    assert not store.has_bad_pointer("thing")
    assert store.require_current("thing").artifact.recipe == "r1"


@pytest.mark.parametrize("text", ["", "not json", "[]", "{}"])
def test_without_its_record_a_folder_is_no_artifact(store: Store, text: str) -> None:
    artifact = build(store, "r1")
    (artifact.folder / "artifact.json").write_text(text)
    assert store.find("thing", "r1") is None
    assert store.current("thing") is None
    build(store, "r1")
    assert store.find("thing", "r1") is not None


def test_pruning_keeps_the_last_used_and_the_current(store: Store) -> None:
    for number in range(5):
        build(store, f"r{number}", str(number))
        time.sleep(0.01)
    first = store.find("thing", "r0")
    assert first is not None
    store.make_current(first, version="v", written={})
    assert store.prune("thing", keep=3) == ["r2", "r1"]
    assert [artifact.recipe for artifact in store.versions("thing")] == ["r0", "r4", "r3"]
    assert store.prune("thing", keep=1) == ["r4", "r3"]
    assert store.require_current("thing").artifact.recipe == "r0"


DAY = 24 * 3600.0


def built_on_days(store: Store, monkeypatch: pytest.MonkeyPatch, *days_ago: float) -> None:
    """Build r0, r1 and so on, each current from so many days ago."""
    end = time.time()
    for number, days in enumerate(days_ago):
        monkeypatch.setattr("tac_pipeline.store.history.now", lambda days=days: end - days * DAY)
        build(store, f"r{number}", str(number))
    monkeypatch.undo()


def test_pruning_keeps_what_was_current_in_the_days_that_are_kept(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    built_on_days(store, monkeypatch, 50, 40, 20, 10, 0)
    assert store.prune("thing", keep=1, keep_days=30) == ["r0"], "r1 was still current 30 days ago"
    assert store.prune("thing", keep=1, keep_days=15) == ["r1"]
    assert store.prune("thing", keep=1) == ["r3", "r2"]


@pytest.mark.parametrize("text", [None, "not a line\n"], ids=["none", "damaged"])
def test_without_a_history_the_last_use_says_what_is_kept_of_these_days(store: Store, text: str | None) -> None:
    for number, days in enumerate((50, 40, 20, 10, 0)):
        path = build(store, f"r{number}", str(number)).folder / "artifact.json"
        used = time.time() - days * DAY
        os.utime(path, (used, used))
    if text is None:
        store.history.path.unlink()
    else:
        store.history.path.write_text(text)
    assert store.prune("thing", keep=1, keep_days=30) == ["r0"]
    assert store.prune("thing", keep=1, keep_days=15) == ["r1"]


def test_a_version_that_was_only_read_lately_does_not_count_as_current_then(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    built_on_days(store, monkeypatch, 50, 40, 0)
    old = store.find("thing", "r0")
    assert old is not None
    store.note_use(old)
    assert store.prune("thing", keep=1, keep_days=30) == ["r0"]


def test_the_history_has_a_line_for_each_change_and_none_for_a_run_without_news(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    built_on_days(store, monkeypatch, 3, 2)
    lines = store.history.path.read_bytes()
    first, second = store.find("thing", "r0"), store.find("thing", "r1")
    assert first is not None
    assert second is not None
    store.make_current(second, version="v", written={})
    assert store.history.path.read_bytes() == lines
    store.make_current(first, version="v", written={"tau": 1})
    assert [moment.recipe for moment in store.history.read()] == ["r0", "r1", "r0"]
    assert store.history.read()[-1].written == {"tau": 1}
    assert store.history.path.read_bytes().startswith(lines)
    at = time.time() - 2.5 * DAY
    assert store.history.current_at(at)["thing"].recipe == "r0"
    assert store.history.current_at(at - DAY) == {}


def test_a_history_forgets_what_was_current_before_a_time_but_not_what_was_current_then(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    built_on_days(store, monkeypatch, 50, 40, 20)
    whole, begin = store.history.path.read_bytes(), time.time() - 30 * DAY
    store.history.forget_before(begin - 30 * DAY)
    assert store.history.path.read_bytes() == whole
    store.history.forget_before(begin)
    assert store.history.path.read_bytes() == b"".join(whole.splitlines(keepends=True)[1:])
    assert store.history.current_at(begin)["thing"].recipe == "r1"
    build(store, "r3", "3")
    assert [moment.recipe for moment in store.history.read(["thing"])] == ["r1", "r2", "r3"]
    assert store.history.read(["thin"]) == []


def test_a_history_that_was_restored_or_cut_short_goes_on(store: Store) -> None:
    build(store, "r0", "0")
    older = store.history.path.read_bytes()
    build(store, "r1", "1")
    store.history.path.write_bytes(older + b'{"at": 1795')
    again = store.require_current("thing").artifact
    store.make_current(again, version="v", written={})
    assert [moment.recipe for moment in store.history.read()] == ["r0", "r1"]


def test_what_a_killed_build_left_is_swept(store: Store) -> None:
    left = store.folder / ".scratch" / "thing-killed"
    left.mkdir(parents=True)
    build(store, "r1")
    store.sweep_scratch()
    assert not left.exists()
    assert store.require_current("thing").artifact.damage() is None


HOLD = """
import sys, time
from pathlib import Path
from tac_pipeline.store.artifacts import Store
with Store(Path(sys.argv[1])).lock():
    print("held", flush=True)
    time.sleep(60)
"""


def test_the_lock_keeps_other_processes_out_and_ends_with_a_killed_one(store: Store) -> None:
    told: list[str] = []
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(store.folder)], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"

        def kill(text: str) -> None:
            told.append(text)
            holder.kill()

        with store.lock(on_wait=kill), store.lock():
            assert told == [
                f"waiting for the store's lock: process {holder.pid} is building in {store.folder}. "
                "This run goes on when it ends"
            ]
    finally:
        holder.kill()
        holder.wait()


@pytest.mark.parametrize("place", ["thing", "published", "shards/e", "assigned/k/e", "ledger"])
def test_the_next_holder_of_the_lock_sweeps_what_a_killed_process_left(store: Store, place: str) -> None:
    build(store, "r1")
    left = store.folder / place / ".current.json-0123abcd"
    left.parent.mkdir(parents=True, exist_ok=True)
    left.write_text("half")
    with store.lock():
        assert not left.exists()
        left.write_text("of this process, which holds the lock already")
        with store.lock():
            assert left.exists()


@pytest.mark.parametrize("place", [".listings", "../.shared/prompted_nouns/t"])
def test_what_is_written_without_the_lock_is_swept_a_day_later(store: Store, place: str) -> None:
    left = store.folder / place / ".table-0123abcd"
    store.folder.mkdir()
    left.parent.mkdir(parents=True)
    left.write_text("half")
    with store.lock():
        assert left.exists()
    os.utime(left, (time.time() - 2 * 24 * 3600,) * 2)
    with store.lock():
        assert not left.exists()


def test_bytes_that_changed_at_equal_size_are_told_when_they_are_read(store: Store) -> None:
    artifact = build(store, "r1")
    path = artifact.file("file.txt")
    path.write_text("SOME TEXT")
    assert artifact.damage() is None
    with pytest.raises(ArtifactDamaged, match="has other bytes than were written") as told:
        artifact.file("file.txt")
    assert told.value.file == path
    assert store.set_aside(path)
    assert artifact.damage() == f"{path} is gone"
    assert not store.set_aside(path)


KEPT = ["ledger/000001/ids.parquet", "published/v000001/clusters.parquet", "thing/current.json"]


@pytest.mark.parametrize("name", KEPT)
def test_only_what_can_be_computed_again_is_set_aside(store: Store, name: str) -> None:
    path = store.folder / name
    path.parent.mkdir(parents=True)
    path.write_text("text")
    assert not store.set_aside(path)
    assert not store.set_aside(store.folder.parents[1] / "elsewhere")
    assert path.exists()


def test_a_record_whose_text_changed_is_none(store: Store) -> None:
    artifact = build(store, "r1", facts={"count": 3})
    record = artifact.folder / "artifact.json"
    record.write_text(record.read_text().replace('"count": 3', '"count": 4'))
    assert store.find("thing", "r1") is None


def test_records_and_pointers_from_before_seals_are_taken(store: Store) -> None:
    artifact = build(store, "r1")
    for path in (artifact.folder / "artifact.json", store.folder / "thing" / "current.json"):
        record = json.loads(path.read_text())
        del record["seal"]
        path.write_text(json.dumps(record))
    assert store.require_current("thing").artifact.recipe == "r1"


def test_the_record_is_readable_by_people(store: Store) -> None:
    artifact = build(store, "r1", facts={"noun": "Käse"})
    assert "Käse" in (artifact.folder / "artifact.json").read_text(encoding="utf-8")
    assert json.loads((store.folder / "thing" / "current.json").read_text())["recipe"] == "r1"


def test_some_columns_of_a_table_are_compared_with_what_was_written_on_request(store: Store) -> None:
    with store.scratch("image_labels") as folder:
        write_table(folder / "image_labels.parquet", IMAGE_LABELS, {"image_id": list("abcd"), "label": list("wxyz")})
        made = store.commit("image_labels", "r1", folder, record(rows=4))
    path, columns = made.folder / "image_labels.parquet", ["image_id"]
    assert made.frame(IMAGE_LABELS, columns=columns, checked=True)["image_id"].to_list() == list("abcd")
    labels = pq.ParquetFile(path).metadata.row_group(0).column(1)
    data = bytearray(path.read_bytes())
    data[labels.data_page_offset + labels.total_compressed_size - 1] ^= 1
    path.write_bytes(data)
    assert len(made.frame(IMAGE_LABELS, columns=columns)) == 4
    with pytest.raises(ArtifactDamaged, match="has other bytes than were written"):
        made.frame(IMAGE_LABELS, columns=columns, checked=True)
