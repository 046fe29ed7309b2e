"""What the project needs of Dagster that Dagster does not call public, and the versions on which it was tried.

Each such need is a function here; the rest of assets/ uses public names alone. A new minor version of Dagster may
change any of them: run tests/assets/orchestration/test_dagster_internals.py on it, then enter it in TRIED.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

import dagster as dg
from dagster._core.definitions.data_version import DATA_VERSION_TAG
from dagster._core.events import RunFailureReason
from dagster._core.instance.ref import InstanceRef
from dagster._core.storage.tags import AUTOMATION_CONDITION_TAG

# Minor version of Dagster: its releases on which the tests were run.
TRIED: Mapping[str, tuple[str, ...]] = {"1.13": ("1.13.0", "1.13.28")}

_INTERRUPTIONS = ("DagsterExecutionInterruptedError", "KeyboardInterrupt")


def data_version_tags(version: str) -> dict[str, str]:
    """The tags by which an event that no run makes gives its asset a data version; only runs have a public way."""
    return {DATA_VERSION_TAG: version}


def requested_by_a_change(run: dg.DagsterRun) -> bool:
    """Whether the sensor requested a run because something changed; it requests it once, and a person did not."""
    return AUTOMATION_CONDITION_TAG in run.tags


def find_job(definitions: dg.Definitions, name: str) -> dg.JobDefinition:
    """A job that can be run in this process."""
    return definitions.resolve_job_def(name)


def find_asset_job(definitions: dg.Definitions) -> dg.JobDefinition:
    """The job of all assets: it can be run in this process for some of them."""
    return definitions.resolve_implicit_global_asset_job_def()


def listen(instance: dg.DagsterInstance, run_id: str, hear: Callable[[dg.EventLogEntry], None]) -> None:
    """Have every event of a run told while it goes on."""

    # Some kinds of storage add a cursor, others do not.
    def pass_on(entry: dg.EventLogEntry, *_: object) -> None:
        hear(entry)

    instance.add_event_listener(run_id, pass_on)


def open_instance_for_a_terminal(home: Path) -> dg.DagsterInstance:
    """The instance of a folder, for runs whose output people read in a terminal.

    Dagster keeps what a run prints by pointing descriptor 1 elsewhere in the middle of it: what is being drawn on the
    terminal then freezes, and later comes twice. Such a run prints nothing else that is worth keeping.
    """
    quiet = {"module": "dagster._core.storage.noop_compute_log_manager", "class": "NoOpComputeLogManager"}
    return dg.DagsterInstance.from_ref(InstanceRef.from_dir(str(home), overrides={"compute_logs": quiet}))


def was_interrupted(entry: dg.EventLogEntry) -> bool:
    """Whether an event tells that Ctrl-C ended a step or a run; Dagster takes the signal, and tells it as a failure."""
    event = entry.dagster_event
    if event is None:
        return False
    if event.event_type == dg.DagsterEventType.STEP_FAILURE:
        error = event.step_failure_data.error
        return error is not None and error.cls_name in _INTERRUPTIONS
    if event.event_type == dg.DagsterEventType.RUN_FAILURE:
        return event.job_failure_data.failure_reason == RunFailureReason.UNEXPECTED_TERMINATION
    return False


def report_failed(instance: dg.DagsterInstance, run: dg.DagsterRun, why: str) -> None:
    """Mark a run as failed from outside it: its own process can no longer do so."""
    instance.report_run_failed(run, why)
