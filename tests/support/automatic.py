"""A small store whose UI looks at its source every minute, and waiting for what the automation does with it.

Tests use one store, in the order of their file. Each begins when nothing is left to do, and what a failed one left in
the settings is taken back, so that one failure is one failure.
"""

import json
import math
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from small_store import PER_GROUP, grouped_vectors, write_vectors
from ui_server import SETTINGS, Ui, clean_environment, tac_ui, write_store
from waiting import PATIENCE, Found, wait_for

from assets.orchestration.upkeep.unfinished import ATTEMPT_TAG

EVERY_MINUTE, NEXT_YEAR = "* * * * *", "0 0 1 1 *"
# Looks of the sensor that must find nothing to do.
QUIET_LOOKS = 2
# How often a learning is asked for that is to be terminated, each four times as long as the one before.
TRIES = 5
# The learned assets are older than the newest images, until the store is clustered again.
LAG = {"training_set": "STALE"}
ENDS = ("SUCCESS", "FAILURE", "CANCELED")
# What the settings of write_store say.
EPOCHS = 40


@contextmanager
def automatic_ui(folder: Path) -> Iterator[Ui]:
    """`tac ui` on the store, in a new folder."""
    settings = write_store(folder)
    text = SETTINGS.replace("observe: null", f'observe: "{EVERY_MINUTE}"').replace("refresh: false", "refresh: true")
    teller = settings.parent / "teller.py"
    teller.write_text("import sys\nopen(sys.argv[1], 'a').write(sys.stdin.read() + '\\n')\n", encoding="utf-8")
    command = json.dumps([sys.executable, str(teller), str(settings.parent / "told.jsonl")])
    more = f"corrections: corrections.yaml\nalerts: {{command: {command}}}\npublication: {{to: shared}}\n"
    settings.write_text(text + more, encoding="utf-8")
    (settings.parent / "corrections.yaml").write_text("# nothing yet\n", encoding="utf-8")
    with tac_ui(settings) as running:
        yield running


def between_quiet_times(ui: Ui, request: pytest.FixtureRequest) -> Iterator[None]:
    """Nothing is left to do when a test begins; runs and edits of one that failed end with it.

    When a test fails, pytest shows what the server logged.
    """
    try:
        settle(ui)
        begun, failed = ui.settings.read_bytes(), request.session.testsfailed
        yield
        if request.session.testsfailed > failed:
            for run_id in going(runs(ui)):
                ui.ask(TERMINATE, run=run_id)
            ui.settings.write_bytes(begun)
            ui.reload()
    finally:
        print(ui.log.read_text(encoding="utf-8")[-20_000:])  # noqa: T201


def told(ui: Ui, state: str) -> list[str]:
    """The sentences of what was told of failed runs, in order."""
    path = ui.settings.parent / "told.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    found = [one for one in map(json.loads, lines) if (one["cause"], one["state"]) == ("failed", state)]
    return [one["sentence"].removeprefix("It is over. It was: ") for one in found]


def kills_told(ui: Ui, state: str) -> list[str]:
    """What was told of runs whose process was killed."""
    return [one for one in told(ui, state) if "ended without a word" in one]


def tac(ui: Ui, *arguments: str) -> str:
    """The output of a command, which must succeed."""
    command = [sys.executable, "-m", "tac_pipeline.cli", *arguments, "--settings", str(ui.settings)]
    environment = clean_environment(HOME=str(ui.settings.parent), COLUMNS="200")
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def add_image(ui: Ui, image_id: str) -> None:
    """Add an image to the table, in one move, as a careful person does it."""
    path = ui.settings.parent / "images.parquet"
    vectors, truth = grouped_vectors()
    ids = [f"image-{number:03d}" for number in range(len(vectors))]
    labels = [f"group {group}" for group in truth]
    aside = path.with_name("next.parquet")
    write_vectors(aside, [*ids, image_id], np.concatenate([vectors, vectors[PER_GROUP : PER_GROUP + 1]]), [*labels, ""])
    aside.rename(path)


def published(ui: Ui) -> pl.DataFrame | None:
    """What readers have."""
    # Polars opens a file twice: between the two, `latest` may come to name another version.
    path = (ui.settings.parent / "data/small/published/latest").resolve() / "assignments.parquet"
    return pl.read_parquet(path) if path.exists() else None


def with_image(ui: Ui, image_id: str) -> pl.DataFrame | None:
    """What readers have, as soon as an image is in it."""
    found = published(ui)
    return found if found is not None and image_id in found["image_id"] else None


def runs(ui: Ui) -> dict[str, dict[str, Any]]:
    """Every run by its id."""
    return {run["runId"]: run for run in ui.ask(RUNS)["runsOrError"]["results"]}


def chosen(run: dict[str, Any]) -> set[str]:
    """The assets that a run was requested for."""
    return {key["path"][-1] for key in run["assetSelection"]}


def since(ui: Ui, known: set[str]) -> dict[str, dict[str, Any]]:
    """New runs of assets: all but looks at the source."""
    return {run_id: run for run_id, run in runs(ui).items() if run_id not in known and run["assetSelection"]}


def ended(ui: Ui, known: set[str]) -> dict[str, Any] | None:
    """A new run of assets that has ended."""
    return next((run for run in since(ui, known).values() if run["status"] in ENDS), None)


def begun(ui: Ui, known: set[str]) -> str | None:
    """The id of a new run of assets that has begun; it may be over already."""
    return next((run_id for run_id, run in since(ui, known).items() if run["status"] in ("STARTED", *ENDS)), None)


def going(found: dict[str, dict[str, Any]]) -> list[str]:
    """The runs of assets that are not over."""
    return [run_id for run_id, run in found.items() if run["assetSelection"] and run["status"] not in ENDS]


def end_of(ui: Ui, run_id: str) -> str:
    """How a run ends."""
    return wait_for(
        lambda: status if (status := runs(ui)[run_id]["status"]) in ENDS else None, what=f"run {run_id} to be over"
    )


def terminated_learning(ui: Ui) -> str:
    """The id of a learning that an edit asked for, and that somebody terminated.

    It may be over before it can be terminated, or have nothing left in which it can be; then another one takes longer.
    """
    for number in range(TRIES):
        # What an edit during a look leaves for later is in test_held_back.py.
        wait_for(lambda: no_look_soon(ui) or None, what="the time between two looks")
        known = set(runs(ui))
        tac(ui, "set", f"seed={11 + number}", f"heads.epochs={EPOCHS * 4**number}")
        run = wait_for(lambda known=known: begun(ui, known), what="the run of the edit")  # type: ignore[misc]
        ui.ask(TERMINATE, run=run)
        end = end_of(ui, run)
        assert end != "FAILURE", why(ui, run)
        if end == "CANCELED":
            return run
    raise AssertionError(f"{TRIES} runs were over before they could be terminated")


def taken_up(ui: Ui, known: set[str]) -> dict[str, Any] | None:
    """A new run that took up an unfinished learning, and has ended."""
    new = [run for run_id, run in runs(ui).items() if run_id not in known]
    return next(
        (run for run in new if {"key": ATTEMPT_TAG, "value": "1"} in run["tags"] and run["status"] in ENDS), None
    )


def training(ui: Ui, run_id: str) -> bool:
    """Whether the run has reached its slow step."""
    events = ui.ask(STEP_STARTS, run=run_id)["logsForRun"]["events"]
    return any(event.get("stepKey", "").endswith("cluster_heads") for event in events)


def process_of(ui: Ui) -> int:
    """The process that builds the store."""
    return int((ui.settings.parent / "data/small/.lock-holder").read_text())


def wait(ui: Ui, look: Callable[[], Found | None], *, what: str) -> Found:
    """Like wait_for, for what no failed run leads to: one that fails meanwhile is told at once, with its reason."""
    known = set(runs(ui))

    def looked() -> Found | None:
        found = look()
        failed = [run_id for run_id, run in runs(ui).items() if run["status"] == "FAILURE" and run_id not in known]
        assert not failed, f"waited for {what}, and {why(ui, failed[0])}"
        return found

    return wait_for(looked, what=what, pause=1.0)


def why(ui: Ui, run_id: str) -> str:
    """How a run stands, and what failed in it."""
    failures = {step: event["message"] for step, event in ui.failures(run_id).items()}
    return f"run {run_id} is {runs(ui)[run_id]['status']}; failed steps: {failures}"


def settle(ui: Ui) -> None:
    """Wait until nothing is left to do: the images were looked at, and then the sensor looked and asked for nothing."""
    known, quiet_since = set[str](), 0.0

    def quiet() -> bool | None:
        nonlocal known, quiet_since
        now, found = time.time(), runs(ui)
        of_assets = {run_id for run_id, run in found.items() if run["assetSelection"]}
        if of_assets > known or going(found):
            known, quiet_since = of_assets, now
            return None
        # A sensor that looked before the source was looked at had nothing to ask for.
        seen = images_seen(ui, found)
        return (seen is not None and idle_looks(ui, found, max(quiet_since, seen)) >= QUIET_LOOKS) or None

    wait_for(quiet, what="nothing to be left to do", pause=1.0)


def no_look_soon(ui: Ui) -> bool:
    """Whether nobody looks at the sources, nor will in the next seconds."""
    return time.time() % 60 < 50 and all(run["status"] in ENDS for run in looks_at_sources(runs(ui)))


def look_no_more(ui: Ui) -> None:
    """Have nobody look at the sources from now on."""
    if EVERY_MINUTE in ui.settings.read_text(encoding="utf-8"):
        ui.edit(f'observe: "{EVERY_MINUTE}"', f'observe: "{NEXT_YEAR}"')
    wait_for(lambda: no_look_soon(ui) or None, what="the end of the last look")


def images_seen(ui: Ui, found: dict[str, dict[str, Any]]) -> float | None:
    """When the first look at the source as it is now was over."""
    edited = (ui.settings.parent / "images.parquet").stat().st_mtime
    looks = [run for run in looks_at_sources(found) if run["status"] == "SUCCESS" and run["startTime"] > edited]
    return min((run["endTime"] for run in looks), default=None)


def idle_looks(ui: Ui, found: dict[str, dict[str, Any]], after: float) -> int:
    """How often the sensor has looked since then, and found nothing to do, nor anything that waits."""
    spans = [(run["creationTime"], run["endTime"] or math.inf) for run in looks_at_sources(found)]
    ticks = ui.ask(TICKS, after=after)["sensorOrError"]["sensorState"]["ticks"]
    idle = [(tick["timestamp"], tick["endTimestamp"]) for tick in ticks if tick["status"] == "SKIPPED"]
    # What reads a source waits for the end of a look at it.
    return sum(all(end < begun or ended < begin for begin, end in spans) for begun, ended in idle)


def looks_at_sources(found: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """The runs that looked at the images and at the file of corrections."""
    return [run for run in found.values() if run["jobName"] == "observe"]


AUTOMATION = """
{ workspaceOrError { ... on Workspace { locationEntries { locationOrLoadError { ... on RepositoryLocation {
repositories {
  schedules { name state: scheduleState { status } } sensors { name state: sensorState { status } }
} } } } } } }
"""

RUNS = """
{ runsOrError { ... on Runs { results {
  runId status jobName creationTime startTime endTime assetSelection { path } tags { key value }
} } } }
"""

TERMINATE = "mutation Stop($run: String!) { terminateRun(runId: $run) { __typename } }"

STEP_STARTS = """
query Events($run: ID!) { logsForRun(runId: $run) { ... on EventConnection { events {
  ... on ExecutionStepStartEvent { stepKey }
} } } }
"""

TICKS = """
query Ticks($after: Float!) { sensorOrError(sensorSelector: {
  repositoryLocationName: "small", repositoryName: "__repository__", sensorName: "refresh"
}) { ... on Sensor { sensorState { ticks(afterTimestamp: $after, limit: 20) { status timestamp endTimestamp } } } } }
"""
