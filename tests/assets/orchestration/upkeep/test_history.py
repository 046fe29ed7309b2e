"""The history of runs: what goes, what stays, and that the books shrink."""

import sqlite3
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import pytest
from command_line import tac
from small_store import grouped_vectors, write_vectors

from assets.engine.execute import open_store
from assets.orchestration import dagster_internals as internals
from assets.orchestration.build import build_definitions
from assets.orchestration.dagster_internals import find_asset_job, find_job
from assets.orchestration.instance import prepare_home
from assets.orchestration.metadata import asset_key
from assets.orchestration.run_liveness import DATA_TAG, OBSERVE_TAG, STORE_TAG, run_tags
from assets.orchestration.upkeep import history
from assets.orchestration.upkeep.history import DAY, FAILED_LOOKS, prune_history
from tac_pipeline.settings.project import Project, load_project

Writer = Callable[..., Path]
LATER = 40 * DAY


@pytest.fixture
def project(vector_store: Writer) -> Project:
    return load_project(vector_store())


@pytest.fixture
def instance(project: Project, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    """The store's own instance, on disk."""
    monkeypatch.setenv("DAGSTER_HOME", str(project.data_folder / ".dagster"))
    with dg.DagsterInstance.from_config(str(prepare_home(project))) as found:
        yield found


def look(project: Project, instance: dg.DagsterInstance) -> str:
    """One look at the source, as the schedule asks for it; returns the run's id."""
    job = find_job(build_definitions(project.path), "observe")
    return job.execute_in_process(instance=instance).run_id


def run(project: Project, instance: dg.DagsterInstance, *names: str) -> str:
    job = find_asset_job(build_definitions(project.path))
    keys = [asset_key(name, project) for name in names]
    return job.execute_in_process(instance=instance, asset_selection=keys, tags={STORE_TAG: "small"}).run_id


def known(instance: dg.DagsterInstance) -> set[str]:
    return {run.run_id for run in instance.get_runs()}


def files(instance: dg.DagsterInstance) -> set[str]:
    """The databases of single runs."""
    return {path.stem for path in (Path(instance.root_directory) / "history/runs").glob("*.db")} - {"index"}


def now(instance: dg.DagsterInstance) -> float:
    return instance.get_run_records(limit=1)[0].create_timestamp.timestamp()


def test_looks_that_find_nothing_leave_nothing(project: Project, instance: dg.DagsterInstance) -> None:
    first, second = look(project, instance), look(project, instance)
    vectors, _ = grouped_vectors(9)
    write_vectors(project.path.parent / "images.parquet", [f"image-{number}" for number in range(60)], vectors)
    changed, again, last = look(project, instance), look(project, instance), look(project, instance)
    # The one between is the newest that saw what the one before had seen.
    assert prune_history(project, instance).sentence == "0 old runs and 2 looks that found nothing were removed"
    assert known(instance) == {first, changed, last} == files(instance)
    signs = {path.stem for path in open_store(project).runs_folder.glob("*.lock")}
    assert not {second, again} & signs
    assert not {second, again} & known(instance)
    assert prune_history(project, instance).looks == 0
    [seen] = instance.fetch_observations(asset_key("image_store", project), limit=1).records
    assert seen.run_id == last, "what Dagster decides by stays"


def test_old_runs_go_but_the_last_of_each_asset_stays(project: Project, instance: dg.DagsterInstance) -> None:
    first = run(project, instance, "candidate_nouns", "image_manifest")
    second = run(project, instance, "image_manifest")
    third = run(project, instance, "image_manifest")
    other = dg.DagsterRun("any", run_id=str(uuid.uuid4()), status=dg.DagsterRunStatus.SUCCESS, tags={STORE_TAG: "b"})
    instance.add_run(other)
    assert prune_history(project, instance).runs == 0
    assert prune_history(project, instance, now=now(instance) + LATER).runs == 1
    assert known(instance) == {first, third, other.run_id}, "the nouns were made by the first, and others are not ours"
    assert second not in files(instance)
    events = instance.fetch_materializations(asset_key("image_manifest", project), limit=10).records
    assert {event.run_id for event in events} == {first, third}
    assert prune_history(project, instance, now=now(instance) + LATER).runs == 0


def test_what_is_much_is_removed_in_portions(project: Project, instance: dg.DagsterInstance) -> None:
    for _ in range(4):
        run(project, instance, "image_manifest")
    removed = prune_history(project, instance, now=now(instance) + LATER, most=2)
    assert (removed.runs, removed.more) == (2, True)
    assert removed.sentence.endswith("; more are left for the next time")
    assert prune_history(project, instance, now=now(instance) + LATER, most=2).runs == 1


def test_a_busy_store_keeps_its_newest_runs(
    project: Project, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "MOST_RUNS", 2)
    made = run(project, instance, "candidate_nouns")
    tags, ended = run_tags(project), dg.DagsterRunStatus.SUCCESS
    busy = [dg.DagsterRun("grow", run_id=str(uuid.uuid4()), status=ended, tags=tags) for _ in range(4)]
    elsewhere = {**tags, DATA_TAG: "/another/small"}
    other = dg.DagsterRun("grow", run_id=str(uuid.uuid4()), status=ended, tags=elsewhere)
    for one in (*busy, other):
        instance.add_run(one)
    assert prune_history(project, instance).runs == 2
    assert known(instance) == {made, other.run_id, *(one.run_id for one in busy[2:])}


def test_looks_at_a_source_that_is_away_are_counted_not_kept(project: Project, instance: dg.DagsterInstance) -> None:
    for _ in range(FAILED_LOOKS + 3):
        instance.add_run(
            dg.DagsterRun(
                "observe", run_id=str(uuid.uuid4()), status=dg.DagsterRunStatus.FAILURE, tags={OBSERVE_TAG: "small"}
            )
        )
    assert prune_history(project, instance).looks == 3
    assert len(known(instance)) == FAILED_LOOKS


def test_nothing_of_a_forgotten_run_is_left(project: Project, instance: dg.DagsterInstance) -> None:
    gone = run(project, instance, "image_manifest", "image_embeddings", "training_set")
    run(project, instance, "image_manifest", "image_embeddings", "training_set")
    logs = Path(instance.root_directory) / "storage" / gone / "compute_logs"
    logs.mkdir(parents=True, exist_ok=True)
    (logs / "x.out").write_text("said")
    internals.forget_run(instance, gone)
    left = [path for path in Path(instance.root_directory).rglob("*") if path.is_file() and gone in str(path)]
    assert left == []
    for path in Path(instance.root_directory).rglob("*.db"):
        assert gone.encode() not in path.read_bytes() or path.stat().st_size == 0 or not rows_about(path, gone), path


def rows_about(path: Path, run_id: str) -> list[str]:
    """The tables of a database that still have a row of a run."""
    with sqlite3.connect(path) as connection:
        tables = [name for (name,) in connection.execute("select name from sqlite_master where type = 'table'")]
        columns = {name: [row[1] for row in connection.execute(f"pragma table_info({name})")] for name in tables}
        return [
            name
            for name in tables
            if "run_id" in columns[name]
            and connection.execute(f"select 1 from {name} where run_id = ?", [run_id]).fetchone()
        ]


def test_a_database_gives_back_what_it_does_not_use(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = Path(instance.root_directory) / "history/runs.db"
    with sqlite3.connect(path) as connection:
        connection.execute("create table much (text)")
        connection.executemany("insert into much values (?)", [["x" * 1000]] * 5000)
    with sqlite3.connect(path) as connection:
        connection.execute("delete from much")
    connection.close()
    before = path.stat().st_size
    internals.shrink_books(instance)
    assert path.stat().st_size < before / 4
    monkeypatch.setattr(internals, "LEAST_VACUUMED", 0)
    with sqlite3.connect(path) as writing:
        writing.execute("begin immediate")
        internals.shrink_books(instance)  # another one writes: it is left for the next time


def test_tac_prune_removes_all_at_once_and_says_so(
    project: Project, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "MOST_AT_ONCE", 1)
    for _ in range(4):
        look(project, instance)
    pruned = tac("prune", "-s", project.path)
    assert pruned.exit_code == 0
    assert pruned.stdout == "0 old runs and 2 looks that found nothing were removed\n"
