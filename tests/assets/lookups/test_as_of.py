"""The groups of an earlier time: found by the history, put in a folder of their own, and nothing else changes."""

import hashlib
import json
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from command_line import tac
from plain_runs import run_store
from ready_store import ready
from small_store import grouped_vectors, write_vectors

from assets.engine.execute import open_store
from assets.lookups.as_of import AsOf, groups_as_of, parse_time
from assets.orchestration.publishing import publish
from tac_pipeline.errors import InputError, StoreError
from tac_pipeline.settings.project import load_project
from tac_pipeline.store.keeping.action_log import ActionLog
from tac_pipeline.store.schemas import ASSIGNMENTS, CLUSTERS

Writer = Callable[..., Path]


def moment(at: float) -> datetime:
    return datetime.fromtimestamp(at).astimezone()


def groups(path: Path) -> pl.DataFrame:
    """The images and their groups that readers have now."""
    readers = open_store(load_project(path)).published_folder / "latest"
    table = pl.read_parquet(readers / "assignments.parquet")
    return table.select("image_id", "cluster_id", "cluster_name").sort("image_id")


def groups_of(found: AsOf) -> pl.DataFrame:
    """The images and their groups of then, with the names of then."""
    names = found.versions["clusters"].frame(CLUSTERS).select("cluster_id", cluster_name="name")
    assigned = found.versions["assignments"].frame(ASSIGNMENTS).select("image_id", "cluster_id")
    return assigned.join(names, on="cluster_id", how="left").sort("image_id")


def bytes_of(folder: Path) -> dict[str, tuple[str, int]]:
    """The digest and time of every file of a store, but for locks."""
    return {
        str(path.relative_to(folder)): (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith(".lock")
    }


@pytest.fixture
def changed(vector_store: Writer) -> tuple[Path, float, pl.DataFrame]:
    """A store that has grown and was clustered again since, the time before that, and what readers had then."""
    path = ready(vector_store({"keep_versions": 1, "keep_days": 30}))
    then, had = time.time(), groups(path)
    vectors, _ = grouped_vectors(5)
    more = [f"more-{number:03d}" for number in range(len(vectors))]
    old, truth = grouped_vectors()
    ids = [f"image-{number:03d}" for number in range(len(old))]
    labels = [f"group {group}" for group in truth] * 2
    write_vectors(path.parent / "images.parquet", [*ids, *more], np.concatenate([old, vectors]), labels)
    vector_store({"retrieval.tau": 0.02, "corrections": "corrections.yaml", "clusters.count": 4})
    (path.parent / "corrections.yaml").write_text(f"names:\n  {had['cluster_id'][0]}: by hand\n")
    run_store(path, recluster=True)
    return path, then, had


def test_the_groups_of_then_are_put_in_a_folder_of_their_own(changed: tuple[Path, float, pl.DataFrame]) -> None:
    path, then, had = changed
    assert not groups(path).equals(had)
    store = open_store(load_project(path))
    before = bytes_of(store.folder)
    found = groups_as_of(load_project(path), moment(then))
    assert groups_of(found).equals(had)
    assert bytes_of(store.folder) == before
    told = json.loads((found.folder / "result.json").read_text())
    assert (told["published"], told["settings"]["retrieval.tau"], found.gone) == (1, None, ())
    for name in ("assignments", "clusters"):
        kept = found.folder / name / told["versions"][name]
        assert (kept / f"{name}.parquet").read_bytes() == (found.versions[name].folder / f"{name}.parquet").read_bytes()
    # Asked again, and after other runs, it is still there.
    run_store(path)
    assert groups_as_of(load_project(path), moment(then)).folder == found.folder
    assert (found.folder / "result.json").is_file()


@pytest.mark.parametrize("kept", [True, False], ids=["all", "images"])
def test_the_groups_of_then_are_learned_again_from_the_images_of_then(
    changed: tuple[Path, float, pl.DataFrame], kept: bool
) -> None:
    path, then, had = changed
    store = open_store(load_project(path))
    if not kept:
        for folder in store.folder.glob("[a-z]*/current.json"):
            if folder.parent.name not in ("image_manifest", "image_embeddings", "corrections"):
                store.prune(folder.parent.name, keep=1)
    before = bytes_of(store.folder)
    found = groups_as_of(load_project(path), moment(then), relearn=kept)
    assert found.again
    assert found.equal is (True if kept else None)
    assert found.otherwise == ()
    assert groups_of(found).equals(had)
    assert bytes_of(store.folder) == before
    assert found.versions["cluster_heads"].folder.is_relative_to(found.folder)


def test_what_is_put_apart_is_no_foreign_file_and_no_store(changed: tuple[Path, float, pl.DataFrame]) -> None:
    path, then, _ = changed
    groups_as_of(load_project(path), moment(then))
    checked = tac("check", "-s", path)
    assert checked.exit_code == 0, checked.output
    assert "as-of" not in checked.output
    assert load_project(path).forgotten_groupings == []
    log = open_store(load_project(path)).history.path
    log.write_bytes(log.read_bytes().replace(b'"at":1', b'"at":2', 1))
    damaged = tac("check", "-s", path)
    assert damaged.exit_code == 1
    assert f"{log}, line 1, is not what was written" in damaged.output


def test_the_command_says_where_the_groups_of_then_are(changed: tuple[Path, float, pl.DataFrame]) -> None:
    path, then, _ = changed
    told = tac("run", "-s", path, "--as-of", moment(then).isoformat())
    assert told.exit_code == 0, told.output
    assert "60 images in 3 groups, read from what is kept; readers had version 1" in told.stdout
    again = tac("run", "-s", path, "--as-of", moment(then).isoformat(), "--relearn")
    assert "60 images in 3 groups, learned again from the images of then; readers had version 1" in again.stdout
    assert "equal assignments: compared with those that are kept" in again.stdout
    line = next(line for line in told.stdout.splitlines() if line.startswith("assignments: "))
    assert len(pl.read_parquet(Path(line.removeprefix("assignments: ")) / "assignments.parquet")) == 60
    early = tac("run", "-s", path, "--as-of", "2020-02-03")
    assert early.exit_code == 1
    assert "2020-02-03 23:59:59" in early.stderr
    assert "its history begins at " in early.stderr
    assert "keep_days" in early.stderr
    assert tac("run", "-s", path, "--as-of", "2020-02-03", "--recluster").exit_code == 2
    assert tac("run", "-s", path, "--relearn").exit_code == 2


def test_what_is_no_longer_kept_is_told(changed: tuple[Path, float, pl.DataFrame]) -> None:
    path, then, _ = changed
    store = open_store(load_project(path))
    store.prune("image_kmeans", keep=1)
    assert groups_as_of(load_project(path), moment(then)).gone == ("image_kmeans",)
    store.prune("clusters", keep=1)
    store.prune("image_embeddings", keep=1)
    with pytest.raises(StoreError, match=r"^image_embeddings of .* no longer kept .*v000001\. Keep_days"):
        groups_as_of(load_project(path), moment(then))


def test_what_people_did_since_is_left_out_and_an_edited_file_is_told(vector_store: Writer) -> None:
    path = vector_store({"keep_days": 30, "corrections": "corrections.yaml"})
    (path.parent / "corrections.yaml").write_text("names: {}\n")
    ready(path)
    project = load_project(path)
    store, log = open_store(project), ActionLog(open_store(project).ledger_folder)
    first = int(groups(path)["cluster_id"][0])

    def rename(name: str, *, seen: int) -> tuple[float, pl.DataFrame]:
        log.append("rename", {"id": first, "name": name}, who="ada", seen=seen)
        run_store(path)
        return time.time(), groups(path)

    then, had = rename("by ada", seen=0)
    assert had["cluster_name"][0] == "by ada"
    rename("since then", seen=1)
    store.prune("corrections", keep=1)
    found = groups_as_of(project, moment(then), relearn=True)
    assert found.otherwise == ()
    assert found.equal
    assert groups_of(found).equals(had)

    # Of the file, only what it says now is known.
    (path.parent / "corrections.yaml").write_text(f"names:\n  {first + 1}: by file\n")
    found = groups_as_of(project, moment(then), relearn=True)
    assert found.otherwise[0] == "corrections"
    told = tac("run", "-s", path, "--as-of", moment(then).isoformat(), "--relearn")
    assert "not as then: corrections" in told.stdout


def test_groups_of_a_grouping_are_learned_again(vector_store: Writer) -> None:
    path = vector_store({"keep_days": 30, "groupings": {"coarse": {"clusters": {"count": 2}}}})
    run_store(path)
    then = time.time()
    run_store(vector_store({"groupings": {"coarse": {"clusters": {"count": 4}}}}))
    for relearn in (False, True):
        found = groups_as_of(load_project(path).groupings[0], moment(then), relearn=relearn)
        assert found.versions["clusters"].rows == 2
        assert found.equal is (True if relearn else None)


def test_a_long_history_keeps_the_times_that_groups_can_be_asked_for(
    changed: tuple[Path, float, pl.DataFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, then, had = changed
    project = load_project(path)
    store = open_store(project)
    lines, assets = len(store.history.read()), {one.asset for one in store.history.read()}
    monkeypatch.setattr("assets.lookups.as_of.LONG_HISTORY", 0)
    publish(project, by_hand=True)
    assert len(store.history.read()) == lines
    assert groups_of(groups_as_of(project, moment(then))).equals(had)
    for name in ("assignments", "clusters", "image_manifest"):
        assert store.prune(name, keep=1)
    publish(project, by_hand=True)
    assert len(store.history.read()) == lines, "the vectors of then are kept"
    assert store.prune("image_embeddings", keep=1)
    publish(project, by_hand=True)
    left = store.history.read()
    assert 0 < len(left) < lines
    assert {one.asset for one in left} == assets, "what has not changed since is known"
    assert groups_of(groups_as_of(project, moment(time.time()))).equals(groups(path))
    with pytest.raises(StoreError, match="are no longer kept"):
        groups_as_of(project, moment(then))


def test_a_time_between_assignments_and_their_clusters_is_refused(vector_store: Writer) -> None:
    path = ready(vector_store({"keep_days": 30}))
    store = open_store(load_project(path))
    lines = store.history.path.read_bytes().splitlines(keepends=True)
    run_store(vector_store({"clusters.count": 4}))
    later = store.history.path.read_bytes().splitlines(keepends=True)[len(lines) :]
    made = next(json.loads(line)["at"] for line in later if json.loads(line)["asset"] == "assignments")
    with pytest.raises(StoreError, match="a run had made new assignments, and not yet their clusters"):
        groups_as_of(load_project(path), moment(made))


def test_images_without_groups_yet_are_not_learned_from(changed: tuple[Path, float, pl.DataFrame]) -> None:
    path, then, _ = changed
    lines = open_store(load_project(path)).history.read()
    read = next(line.at for line in lines if line.asset == "image_embeddings" and line.at > then)
    with pytest.raises(StoreError, match="a run had read newer images than the groups of then have"):
        groups_as_of(load_project(path), moment(read), relearn=True)


def test_a_date_means_its_end_here_and_what_is_to_come_is_refused() -> None:
    assert parse_time("2026-10-01").isoformat().startswith("2026-10-01T23:59:59")
    assert parse_time("2026-10-01T18:30").tzinfo is not None
    assert parse_time("2026-10-01T18:30+00:00").timestamp() == 1790879400
    for wrong in ("yesterday", "2026-13-01", "", (datetime.now() + timedelta(days=1)).date().isoformat()):
        with pytest.raises(InputError):
            parse_time(wrong)
