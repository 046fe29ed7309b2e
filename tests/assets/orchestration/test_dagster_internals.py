"""What the project needs of Dagster beyond its public names: each is used here, on a version that was tried."""

import ast
import json
import os
import time
import uuid
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from small_store import REPOSITORY
from starlette.testclient import TestClient
from waiting import wait_for

from assets.orchestration import dagster_internals as internals
from assets.orchestration.instance import instance_settings

# Of the code, and of the tests.
PLACES = [Path("assets/orchestration/dagster_internals.py"), Path("tests/support/dagster_privately.py")]


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as found:
        yield found


@pytest.fixture
def definitions() -> dg.Definitions:
    @dg.asset
    def leaf() -> None:
        """An asset of nothing."""

    return dg.Definitions(assets=[leaf], jobs=[dg.define_asset_job("grow", selection=[leaf])])


def untried(installed: str) -> str | None:
    """What to do where a minor version of Dagster is not in the table; None where it is."""
    minor = ".".join(installed.split(".")[:2])
    if minor in internals.TRIED:
        return None
    return (
        f"Dagster {installed} is installed, and {PLACES[0]} was tried on {', '.join(internals.TRIED)} only. "
        f"Run tests/assets on it, mend what fails, and enter {minor} in the table TRIED."
    )


def test_the_installed_version_of_dagster_was_tried() -> None:
    problem = untried(version("dagster"))
    assert problem is None, problem


def test_an_untried_version_gets_a_sentence() -> None:
    assert str(untried("1.99.3")).startswith("Dagster 1.99.3 is installed, and assets/orchestration/dagster_internals")
    assert untried("1.13.4") is None
    assert all(release.startswith(f"{minor}.") for minor, tried in internals.TRIED.items() for release in tried)


def test_an_event_without_a_run_has_the_data_version_that_a_run_would_give(instance: dg.DagsterInstance) -> None:
    @dg.asset
    def leaf() -> dg.MaterializeResult[None]:
        return dg.MaterializeResult(data_version=dg.DataVersion("7"))

    def latest_tags() -> dict[str, str]:
        record = instance.fetch_materializations(dg.AssetKey("leaf"), limit=1).records[0]
        assert record.asset_materialization is not None
        return dict(record.asset_materialization.tags or {})

    assert dg.materialize([leaf], instance=instance).success
    by_run = latest_tags()
    instance.report_runless_asset_event(dg.AssetMaterialization("leaf", tags=internals.data_version_tags("8")))
    alone = latest_tags()
    assert alone == internals.data_version_tags("8")
    assert {name: by_run[name] for name in alone} == internals.data_version_tags("7")


def test_jobs_are_found_and_their_events_heard(instance: dg.DagsterInstance, definitions: dg.Definitions) -> None:
    for job in (internals.find_job(definitions, "grow"), internals.find_asset_job(definitions)):
        heard: list[dg.EventLogEntry] = []
        run_id = str(uuid.uuid4())
        internals.listen(instance, run_id, heard.append)
        assert job.execute_in_process(instance=instance, run_id=run_id, asset_selection=[dg.AssetKey("leaf")]).success
        told = [entry.dagster_event.event_type for entry in heard if entry.dagster_event is not None]
        assert dg.DagsterEventType.STEP_START in told
        assert dg.DagsterEventType.ASSET_MATERIALIZATION in told


def test_a_run_is_marked_as_failed_from_outside(instance: dg.DagsterInstance, definitions: dg.Definitions) -> None:
    run = instance.create_run_for_job(internals.find_job(definitions, "grow"), status=dg.DagsterRunStatus.STARTED)
    internals.report_failed(instance, run, "it was killed")
    found = instance.get_run_by_id(run.run_id)
    assert found is not None and found.status == dg.DagsterRunStatus.FAILURE
    events = [entry.dagster_event for entry in instance.all_logs(run.run_id)]
    assert any("it was killed" in (event.message or "") for event in events if event is not None)


def private_imports(source: str) -> list[str]:
    """The modules of Dagster with a leading underscore that a source imports."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom):
            found += [node.module or ""] + [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
    return [name for name in found if name.startswith("dagster._")]


def test_private_modules_of_dagster_are_imported_in_one_place() -> None:
    importing = [
        path.relative_to(REPOSITORY)
        for folder in ("assets", "tac_pipeline", "benchmarks", "scripts", "tests")
        for path in sorted((REPOSITORY / folder).rglob("*.py"))
        if private_imports(path.read_text(encoding="utf-8"))
    ]
    assert importing == PLACES
    assert private_imports("import dagster._core.events as events") == ["dagster._core.events"]


def test_a_run_in_a_terminal_leaves_its_output_alone(tmp_path: Path, definitions: dg.Definitions) -> None:
    before = os.fstat(1)
    seen: list[os.stat_result] = []
    with internals.open_instance_for_a_terminal(tmp_path) as instance:
        run_id = str(uuid.uuid4())
        internals.listen(instance, run_id, lambda _: seen.append(os.fstat(1)))
        job = internals.find_asset_job(definitions)
        assert job.execute_in_process(instance=instance, run_id=run_id).success
    assert seen
    assert {(stat.st_dev, stat.st_ino) for stat in seen} == {(before.st_dev, before.st_ino)}


def test_databases_stay_open_for_a_run_in_a_terminal_and_are_closed_at_its_end(
    tmp_path: Path, definitions: dg.Definitions
) -> None:
    runs = tmp_path / "history/runs"
    job = internals.find_asset_job(definitions)
    with internals.open_instance_for_a_terminal(tmp_path) as instance:
        first, second = (job.execute_in_process(instance=instance).run_id for _ in range(2))
        told = [len(instance.all_logs(run_id)) for run_id in (first, second)]
        # SQLite removes a journal when the last connection to its database is closed.
        assert (runs / "index.db-wal").exists()
        with dg.DagsterInstance.from_config(str(tmp_path)) as other:
            assert [len(other.all_logs(run_id)) for run_id in (first, second)] == told
    assert min(told) > 5
    assert [path.name for path in runs.glob("*-wal")] == []
    with dg.DagsterInstance.from_config(str(tmp_path)) as later:
        assert [len(later.all_logs(run_id)) for run_id in (first, second)] == told


def test_few_databases_are_open_however_many_runs_are_read(tmp_path: Path, definitions: dg.Definitions) -> None:
    job = internals.find_asset_job(definitions)
    with internals.open_instance_for_a_terminal(tmp_path) as instance:
        ran = [job.execute_in_process(instance=instance).run_id for _ in range(3)]
        assert {path.name for path in (tmp_path / "history/runs").glob("*-wal")} == {
            "index.db-wal",
            f"{ran[-1]}.db-wal",
        }
        assert all(instance.all_logs(run_id) for run_id in ran)


def test_a_ui_shows_a_run_in_a_terminal_while_it_goes_on(tmp_path: Path) -> None:
    run_id, heard = str(uuid.uuid4()), list[tuple[Any, Any]]()

    def told(entry: dg.EventLogEntry) -> str | None:
        return entry.dagster_event and entry.dagster_event.event_type_value

    @dg.asset
    def first() -> None:
        # What the UI hears of now is that the database was made, whatever was written to it since.
        time.sleep(0.5)

    @dg.asset(deps=[first])
    def second() -> None:
        wait_for(lambda: ("second", "STEP_START") in heard or None, what="the UI to hear that this step began")

    with (
        internals.open_instance_for_a_terminal(tmp_path) as instance,
        dg.DagsterInstance.from_config(str(tmp_path)) as ui,
    ):
        ui.watch_event_logs(run_id, None, lambda entry, _: heard.append((entry.step_key, told(entry))))
        job = internals.find_asset_job(dg.Definitions(assets=[first, second]))
        assert job.execute_in_process(instance=instance, run_id=run_id).success


def test_what_is_kept_open_already_stays_open(tmp_path: Path, definitions: dg.Definitions) -> None:
    with internals.open_instance_for_a_terminal(tmp_path) as instance:
        with internals.kept_open(instance):
            run_id = internals.find_asset_job(definitions).execute_in_process(instance=instance).run_id
        assert (tmp_path / "history/runs" / f"{run_id}.db-wal").exists()


def test_storage_of_another_kind_is_left_as_it_is(instance: dg.DagsterInstance, definitions: dg.Definitions) -> None:
    with internals.kept_open(instance):
        assert internals.find_asset_job(definitions).execute_in_process(instance=instance).success


def test_the_next_times_of_a_schedule_are_after_the_moment_given() -> None:
    assert internals.next_times("*/15 * * * *", "UTC", after=0.0, count=3) == [900.0, 1800.0, 2700.0]
    assert internals.next_times("0 3 * * *", "Europe/Berlin", after=3 * 3600.0 + 1, count=1) == [26 * 3600.0]


def test_more_tags_are_given_to_a_run(instance: dg.DagsterInstance, definitions: dg.Definitions) -> None:
    run = instance.create_run_for_job(internals.find_job(definitions, "grow"), tags={"first": "1"})
    internals.tag_run(instance, run.run_id, {"second": "/a b/\u00e4"})
    found = instance.get_run_by_id(run.run_id)
    assert found is not None
    assert (found.tags["first"], found.tags["second"]) == ("1", "/a b/\u00e4")


def child_processes() -> set[str]:
    return {child for task in Path("/proc/self/task").iterdir() for child in (task / "children").read_text().split()}


def test_what_a_step_prints_is_kept_without_a_process_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Dagster's own way starts `tail -F`, which a killed run can leave behind."""
    started: list[set[str]] = []
    # Tests before this one may have left some, such as the tracker of what processes share.
    children = child_processes()

    @dg.op
    def speak() -> None:
        os.write(1, b"from below\n")
        print("from Python", flush=True)  # noqa: T201
        os.write(2, b"a complaint\n")
        started.append(child_processes() - children)

    @dg.job
    def talk() -> None:
        speak()

    # A folder with every character that YAML minds.
    home = tmp_path / "a: 'b' #c"
    home.mkdir()
    (home / "dagster.yaml").write_text(instance_settings(home), encoding="utf-8")
    with dg.DagsterInstance.from_config(str(home)) as instance:
        before = os.fstat(1)
        run_id = talk.execute_in_process(instance=instance).run_id
        assert (os.fstat(1).st_dev, os.fstat(1).st_ino) == (before.st_dev, before.st_ino)
        logs = list((home / "storage" / run_id / "compute_logs").iterdir())
        told = {path.suffix: path.read_text() for path in logs}
    assert started == [set()]
    assert told[".out"].splitlines()[0] == "from below" and "a complaint\n" in told[".err"]
    assert ".complete" in told


def test_a_step_that_fails_gives_the_output_back(tmp_path: Path) -> None:
    before = os.fstat(1), os.fstat(2)
    logs = internals.CapturedLogs(str(tmp_path))
    with pytest.raises(ZeroDivisionError), logs.capture_logs(["run", "compute_logs", "step"]):
        os.write(1, b"said\n")
        _ = 1 / 0
    assert [(stat.st_dev, stat.st_ino) for stat in (os.fstat(1), os.fstat(2))] == [
        (stat.st_dev, stat.st_ino) for stat in before
    ]
    assert (tmp_path / "run/compute_logs/step.out").read_text() == "said\n"


def test_the_web_application_looks_only_where_it_may_not_act(tmp_path: Path) -> None:
    """One application: who asks decides whether a mutation is let through."""
    workspace = tmp_path / "workspace.yaml"
    workspace.write_text("load_from: []\n")
    may_act = {"owner": True, "visitor": False}
    with (
        dg.DagsterInstance.local_temp(str(tmp_path)) as instance,
        internals.open_webserver(instance, workspace, may_act=lambda scope: may_act[scope["who"]]) as app,
    ):

        def permission(who: str) -> bool:
            async def as_somebody(scope: Any, receive: Any, send: Any) -> None:
                await app({**scope, "who": who}, receive, send)

            with TestClient(as_somebody) as client:
                query = "{ permissions { permission value } }"
                found = client.post("/graphql", json={"query": query}).json()["data"]["permissions"]
            return bool({entry["permission"]: entry["value"] for entry in found}["launch_pipeline_execution"])

        assert (permission("owner"), permission("visitor")) == (True, False)


def test_code_servers_are_started_and_found(tmp_path: Path) -> None:
    """Without a location none is started; tests/assets/serving starts one."""
    workspace, target = tmp_path / "workspace.yaml", tmp_path / "target.yaml"
    workspace.write_text("load_from: []\n")
    with (
        dg.DagsterInstance.local_temp(str(tmp_path)) as instance,
        internals.open_code_servers(instance, workspace, target=target),
    ):
        assert json.loads(target.read_text()) == {"load_from": []}
