"""Materializing in this process: the command line's way into Dagster."""

import json
import logging
import os
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
from dagster import DagsterEventType
from dagster._core.events.log import EventLogEntry

from assets.definitions import asset_key, build_definitions
from assets.step import Step, open_store
from tac_pipeline.errors import StoreError
from tac_pipeline.settings import Project
from tac_pipeline.store import write_atomically

HOME_VARIABLE = "DAGSTER_HOME"
# No telemetry, no sign-up dialog in front of the graph, and runs that start soon after the button was pressed.
INSTANCE_SETTINGS = """\
telemetry:
  enabled: false
nux:
  enabled: false
run_queue:
  dequeue_interval_seconds: 1
"""


@dataclass(frozen=True)
class Progress:
    """What happened to a step: it started, said something, or ended."""

    step: str
    event: str  # started | said | reused | computed | failed
    text: str = ""
    seconds: float = 0.0
    rows: int | None = None


Listener = Callable[[Progress], None]


def dagster_home(project: Project) -> Path:
    """The Dagster instance that the command line, the UI and the daemon share: $DAGSTER_HOME, else data/.dagster."""
    given = os.environ.get(HOME_VARIABLE)
    return Path(given).expanduser().absolute() if given else project.data_folder / ".dagster"


def prepare_home(project: Project) -> Path:
    """The instance's folder, created with telemetry off where it is new; named in this process's environment.

    Raises
    ------
    StoreError
        The folder cannot be written.
    """
    home = dagster_home(project)
    settings = home / "dagster.yaml"
    try:
        home.mkdir(parents=True, exist_ok=True)
        if not settings.exists():
            settings.write_text(INSTANCE_SETTINGS, encoding="utf-8")
    except OSError as error:
        raise StoreError(f"cannot write to {home}: {error.strerror}. Set `data` to a folder that can be.") from error
    os.environ[HOME_VARIABLE] = str(home)
    return home


def write_workspace(project: Project) -> Path:
    """A workspace with the one store of a settings file, kept in the instance's folder: what `tac ui` opens."""
    folder, store = dagster_home(project) / "locations", project.settings.store
    lines = ["from assets.definitions import build_definitions", "", f"defs = build_definitions({str(project.path)!r})"]
    write_atomically(folder / f"{store}.py", "\n".join(lines) + "\n")
    # JSON is YAML too, and quotes whatever a path may hold.
    location = {"python_file": {"relative_path": str(folder / f"{store}.py"), "location_name": store}}
    write_atomically(folder / f"{store}.yaml", json.dumps({"load_from": [location]}))
    return folder / f"{store}.yaml"


def run_steps(project: Project, steps: Iterable[Step], *, listener: Listener) -> bool:
    """Materialize steps in this process, one after the other, and tell what happens; True where all went well.

    Holds the store's lock throughout, so that no other run changes what one step left for the next.
    """
    prepare_home(project)
    defs = build_definitions(project.path)
    job = defs.resolve_implicit_global_asset_job_def()
    run_id = str(uuid.uuid4())
    with (
        open_store(project).lock(on_wait=lambda text: listener(Progress("", "said", text))),
        dg.DagsterInstance.get() as instance,
        _listening(instance, run_id, listener),
    ):
        result = job.execute_in_process(
            instance=instance,
            asset_selection=[asset_key(step.name, project) for step in steps],
            run_id=run_id,
            raise_on_error=False,
            # The listener tells what a person wants to know; the UI has all of it.
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            tags={"tac/origin": "command line"},
        )
    return result.success


@contextmanager
def _listening(instance: dg.DagsterInstance, run_id: str, listener: Listener) -> Iterator[None]:
    def hear(entry: EventLogEntry, *_: object) -> None:
        told = _translate(entry)
        if told is not None:
            listener(told)

    instance.add_event_listener(run_id, hear)
    yield


def _translate(entry: EventLogEntry) -> Progress | None:
    step = (entry.step_key or "").split("__", 1)[-1]
    event = entry.dagster_event
    if event is None:
        # What a step logs; Dagster's own words about steps that cannot run have another level.
        return Progress(step, "said", entry.user_message) if step and entry.level == logging.INFO else None
    if event.event_type == DagsterEventType.STEP_START:
        return Progress(step, "started")
    if event.event_type == DagsterEventType.ASSET_MATERIALIZATION:
        metadata = {
            name: value.value for name, value in event.step_materialization_data.materialization.metadata.items()
        }
        return Progress(
            step,
            "reused" if metadata["reused"] else "computed",
            seconds=metadata["seconds"],
            rows=metadata.get("dagster/row_count"),
        )
    if event.event_type == DagsterEventType.STEP_FAILURE:
        failure = event.step_failure_data
        if failure.user_failure_data is not None:
            return Progress(step, "failed", failure.user_failure_data.description or "")
        return Progress(step, "failed", failure.error.to_string() if failure.error else "")
    return None
