"""An edit that comes while somebody looks at a source: what waits for the look, and what must wait with it."""

import uuid
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import dagster as dg
from command_line import below
from dagster import DagsterEvent, DagsterRun, DagsterRunStatus
from dagster._core.events import AssetMaterializationPlannedData

from assets.graph import STEPS
from assets.orchestration.build import build_definitions
from assets.orchestration.dagster_internals import find_job
from assets.orchestration.publishing import PUBLISHED
from assets.people.written import CORRECTIONS_FILE

Writer = Callable[..., Path]
NAMES = [*(step.name for step in STEPS), PUBLISHED]


def test_nothing_is_requested_without_what_it_reads(vector_store: Writer) -> None:
    """The sensor's condition, asked as the daemon asks it: after an edit, during a look, and after it."""
    path = vector_store({"corrections": "corrections.yaml"})
    (path.parent / "corrections.yaml").write_text("names: {}\n", encoding="utf-8")
    instance, definitions = dg.DagsterInstance.ephemeral(), build_definitions(path)
    assert find_job(definitions, "observe").execute_in_process(instance=instance).success
    built(instance, NAMES)
    _, cursor = due(definitions, instance, None)
    definitions = build_definitions(vector_store({"retrieval.tau": 0.02}))
    look = begin_a_look(instance, CORRECTIONS_FILE)
    first, cursor = due(definitions, instance, cursor)
    assert first == below("text_counterparts") - below("corrections")
    built(instance, first)
    assert due(definitions, instance, cursor)[0] == set()
    instance.report_run_canceled(look)
    second, cursor = due(definitions, instance, cursor)
    assert second == below("corrections") | {PUBLISHED}
    built(instance, second)
    assert due(definitions, instance, cursor)[0] == set(), "once"


def due(definitions: dg.Definitions, instance: dg.DagsterInstance, cursor: Any) -> tuple[set[str], Any]:
    """What the sensor asks for."""
    found = dg.evaluate_automation_conditions(definitions, instance, cursor=cursor)
    return {name for name in NAMES if found.get_num_requested(dg.AssetKey(["small", name]))}, found.cursor


def built(instance: dg.DagsterInstance, names: Iterable[str]) -> None:
    for name in names:
        instance.report_runless_asset_event(dg.AssetMaterialization(["small", name]))


def begin_a_look(instance: dg.DagsterInstance, source: str) -> DagsterRun:
    """A run that looks at a source, as the daemon has it while it goes on."""
    run = DagsterRun(job_name="observe", run_id=str(uuid.uuid4()), status=DagsterRunStatus.STARTED)
    instance.add_run(run)
    planned = DagsterEvent.build_asset_materialization_planned_event(
        job_name="observe",
        step_key=source,
        asset_materialization_planned_data=AssetMaterializationPlannedData(dg.AssetKey(["small", source])),
    )
    instance.report_dagster_event(planned, run.run_id)
    return run
