"""The jobs for people who use only the UI, run as its launchpad runs them."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from assets_helpers import materialize
from small_store import grouped_vectors, write_vectors

from assets.engine.execute import open_store
from assets.graph import GROWTH
from assets.orchestration.build import build_definitions
from assets.orchestration.metadata import asset_key
from tac_pipeline.settings.project import load_project
from tac_pipeline.store.publication import Publication

Writer = Callable[..., Path]


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as found:
        yield found


@pytest.fixture
def path(vector_store: Writer) -> Path:
    return vector_store()


def run(path: Path, job: str, instance: dg.DagsterInstance, config: dict[str, Any] | None = None) -> tuple[bool, str]:
    """Whether a job succeeds, and its message: the refusal if it fails."""
    found = build_definitions(path).resolve_job_def(job)
    result = found.execute_in_process(
        run_config={"ops": config} if config else None, instance=instance, raise_on_error=False
    )
    if not result.success:
        (failure,) = result.get_step_failure_events()
        return False, str(failure.step_failure_data.user_failure_data.description)
    logs = instance.all_logs(result.run_id)
    return True, "\n".join(entry.user_message for entry in logs if not entry.is_dagster_event)


def set_settings(path: Path, instance: dg.DagsterInstance, changes: dict[str, Any]) -> tuple[bool, str]:
    return run(path, "set_settings", instance, {"edit": {"config": {"changes": changes}}})


def latest_number(path: Path) -> int:
    latest = Publication(open_store(load_project(path)).published_folder).latest()
    return latest.number if latest else 0


def shown_version(path: Path, instance: dg.DagsterInstance) -> Any:
    """The version that the UI shows for the asset `published`."""
    event = instance.get_latest_materialization_event(asset_key("published", load_project(path)))
    return event.asset_materialization.metadata["version"].value if event and event.asset_materialization else None


def grow(path: Path) -> None:
    vectors, _ = grouped_vectors()
    write_vectors(path.parent / "images.parquet", [f"image-{n:03d}" for n in range(59)], vectors[:59], ["x"] * 59)
    materialize(path, [step.name for step in GROWTH])


def test_settings_are_edited_and_comments_kept(path: Path, instance: dg.DagsterInstance) -> None:
    path.write_text(f"# mine\n{path.read_text()}")
    succeeded, said = set_settings(
        path, instance, {"retrieval.tau": 0.02, "heads.epochs": 60, "schedule.observe": None}
    )
    assert succeeded
    assert said.splitlines() == [
        "retrieval.tau: null -> 0.02",
        "heads.epochs: already 60",
        "schedule.observe: */15 * * * * -> null",
        "no UI was found to reload: press Reload definitions",
    ]
    assert path.read_text().startswith("# mine\n")
    assert load_project(path).settings.retrieval.tau == 0.02


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, "changes must name at least one settings key, such as {retrieval.tau: 0.01}"),
        ({"retrieval.tao": 1}, "retrieval.tao is not a settings key; did you mean retrieval.tau? (tac.yaml)"),
        ({"retrieval": {"tau": 0.1}}, "retrieval is a section: name one of its keys (tac.yaml)"),
        ({"seed": 1, "retrieval.tau": "0.1"}, "retrieval.tau must be a number; got '0.1' (tac.yaml as it would"),
    ],
)
def test_an_edit_that_is_refused_fails_with_the_sentence(
    path: Path, instance: dg.DagsterInstance, changes: dict[str, Any], message: str
) -> None:
    before = path.read_bytes()
    succeeded, said = set_settings(path, instance, changes)
    assert not succeeded
    assert said.startswith(message)
    assert path.read_bytes() == before


def test_publish_and_rollback_by_hand(path: Path, instance: dg.DagsterInstance) -> None:
    materialize(path)
    assert run(path, "publish", instance) == (True, "version 1 is published")
    assert run(path, "publish", instance) == (True, "version 1 is this result already")
    grow(path)
    assert run(path, "publish", instance) == (True, "version 2 is published")
    assert shown_version(path, instance) == 2
    succeeded, said = run(path, "rollback", instance)
    assert succeeded
    assert said.startswith("version 3 repeats version 1; nothing is published automatically until somebody publishes")
    assert shown_version(path, instance) == 3
    to_two = {"roll_back": {"config": {"version": 2}}}
    assert run(path, "rollback", instance, to_two)[1].startswith("version 4 repeats version 2")
    assert latest_number(path) == 4


def test_what_cannot_be_done_fails_with_a_sentence(path: Path, instance: dg.DagsterInstance) -> None:
    succeeded, said = run(path, "publish", instance)
    assert not succeeded and said.startswith("there is no result to publish yet in ")
    succeeded, said = run(path, "rollback", instance)
    assert not succeeded and said.endswith("there is nothing to go back to")
    materialize(path)
    run(path, "publish", instance)
    succeeded, said = run(path, "rollback", instance, {"roll_back": {"config": {"version": 7}}})
    assert not succeeded and said.endswith("; kept are 1")
    assert (latest_number(path), shown_version(path, instance)) == (1, 1)


def test_what_a_hand_published_is_the_data_version_that_others_see(path: Path, instance: dg.DagsterInstance) -> None:
    materialize(path)
    run(path, "publish", instance)
    record = instance.fetch_materializations(asset_key("published", load_project(path)), limit=1).records[0]
    assert record.asset_materialization is not None and record.asset_materialization.tags is not None
    assert record.asset_materialization.tags["dagster/data_version"] == "1"
