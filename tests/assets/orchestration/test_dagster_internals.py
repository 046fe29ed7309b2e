"""What the project needs of Dagster beyond its public names: each is used here, on a version that was tried."""

import ast
import os
import uuid
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import dagster as dg
import pytest
from small_store import REPOSITORY

from assets.orchestration import dagster_internals as internals

PLACE = Path("assets/orchestration/dagster_internals.py")


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
        f"Dagster {installed} is installed, and {PLACE} was tried on {', '.join(internals.TRIED)} only. "
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
    assert importing == [PLACE]
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


def test_the_next_times_of_a_schedule_are_after_the_moment_given() -> None:
    assert internals.next_times("*/15 * * * *", "UTC", after=0.0, count=3) == [900.0, 1800.0, 2700.0]
    assert internals.next_times("0 3 * * *", "Europe/Berlin", after=3 * 3600.0 + 1, count=1) == [26 * 3600.0]
