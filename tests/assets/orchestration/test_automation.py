"""What happens automatically, with the real daemon and webserver: nobody presses a button here.

The tests use one store, in the order of the file.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import polars as pl
import pytest
from command_line import below
from small_store import PER_GROUP, grouped_vectors, write_vectors
from ui_server import RUN_SECONDS, SETTINGS, Ui, clean_environment, tac_ui, write_store
from waiting import wait_for

from assets.graph import GROWTH
from assets.orchestration.automation import TICK_SECONDS
from assets.orchestration.publishing import PUBLISHED
from assets.orchestration.upkeep.unfinished import ATTEMPT_TAG

# A cron fires once a minute at most, and the sensor looks every tick.
GROW_SECONDS = 60.0 + 3 * TICK_SECONDS + 60.0
QUIET_TICKS = 2.2
COUNTERPARTS_DOWN = below("text_counterparts") | {PUBLISHED}
# The learned assets are older than the newest images, until the store is clustered again.
LAG = {"training_set": "STALE"}
ENDS = ("SUCCESS", "FAILURE", "CANCELED")
HEADS_DOWN = below("cluster_heads") | {PUBLISHED}


@pytest.fixture(scope="module")
def ui(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ui]:
    """`tac ui` on a small store that looks at its source every minute."""
    settings = write_store(tmp_path_factory.mktemp("automation"))
    text = SETTINGS.replace("observe: null", 'observe: "* * * * *"').replace("refresh: false", "refresh: true")
    teller = settings.parent / "teller.py"
    teller.write_text("import sys\nopen(sys.argv[1], 'a').write(sys.stdin.read() + '\\n')\n", encoding="utf-8")
    command = json.dumps([sys.executable, str(teller), str(settings.parent / "told.jsonl")])
    more = f"corrections: corrections.yaml\nalerts: {{command: {command}}}\npublication: {{to: shared}}\n"
    settings.write_text(text + more, encoding="utf-8")
    (settings.parent / "corrections.yaml").write_text("# nothing yet\n", encoding="utf-8")
    with tac_ui(settings) as running:
        yield running


@pytest.fixture(autouse=True)
def server_log(ui: Ui) -> Iterator[None]:
    """When a test fails, pytest shows what the server logged."""
    yield
    print(ui.log.read_text(encoding="utf-8")[-20_000:])  # noqa: T201


def test_schedules_and_sensors_are_there_and_switched_on(ui: Ui) -> None:
    [entry] = ui.ask(AUTOMATION)["workspaceOrError"]["locationEntries"]
    [repository] = entry["locationOrLoadError"]["repositories"]
    states = {found["name"]: found["state"]["status"] for found in (*repository["schedules"], *repository["sensors"])}
    names = ["observe_on_schedule", "refresh", "unfinished", "dead_runs", "history", "uploads", "alerts"]
    assert states == dict.fromkeys(names, "RUNNING")


def test_a_new_store_builds_itself_and_is_published(ui: Ui) -> None:
    assert len(wait_for(lambda: published(ui), seconds=GROW_SECONDS, what="a new store to be published")) == 60
    # The page is written after the result is published.
    wait_for(lambda: ui.stale() == {} or None, seconds=GROW_SECONDS, what="everything to be fresh")
    latest = json.loads((ui.settings.parent / "shared/small/latest.json").read_text(encoding="utf-8"))
    assert latest["version"] == 1


def test_an_image_that_is_added_and_edited_corrections_appear_together(ui: Ui) -> None:
    """Nobody touches the settings: the file of corrections is looked at together with the images."""
    settle(ui)
    before = set(runs(ui))
    text = "names: {0: boats}\nmerge: [[1, 2]]\npins: {image-000: 2, image-020: 2, image-040: 2}\n"
    (ui.settings.parent / "corrections.yaml").write_text(text, encoding="utf-8")
    add_image(ui, "late")
    found = wait_for(lambda: with_image(ui, "late"), seconds=GROW_SECONDS, what="the new image to be assigned")
    assert found["cluster_id"].null_count() == 0
    names = dict(found.select("cluster_id", "cluster_name").unique().iter_rows())
    assert names.keys() == {0, 1}, "merged"
    assert names[0] == "boats"
    pinned = found.filter("curated").sort("image_id").select("image_id", "cluster_id").rows()
    assert pinned == [("image-000", 1), ("image-020", 1), ("image-040", 1)]
    settle(ui)
    made = [run for run_id, run in runs(ui).items() if run_id not in before and run["assetSelection"]]
    assert [chosen(run) for run in made] == [{*(step.name for step in GROWTH), PUBLISHED}], "one run, nothing relearned"
    assert ui.stale() == LAG


def test_a_setting_edited_by_tac_set_reruns_exactly_what_lies_below_once(ui: Ui) -> None:
    before = set(runs(ui))
    said = tac(ui, "set", "retrieval.tau=0.02")
    assert "retrieval.tau: 0.005 -> 0.02" in said
    assert "has read the settings again" in said
    assert f"a run computes {len(COUNTERPARTS_DOWN - {PUBLISHED})} assets" in said
    wait_for(lambda: ended(ui, before), seconds=GROW_SECONDS, what="the run after the edit")
    assert ui.stale() == LAG
    settle(ui)
    new = [run for run_id, run in runs(ui).items() if run_id not in before and run["assetSelection"]]
    assert [chosen(run) for run in new] == [COUNTERPARTS_DOWN]


def test_a_learning_that_was_terminated_holds_up_no_image_and_is_taken_up(ui: Ui) -> None:
    settle(ui)
    before = set(runs(ui))
    tac(ui, "set", "seed=11")
    stopped = wait_for(lambda: started(ui, before), seconds=GROW_SECONDS, what="the run of the edit")
    ui.ask(TERMINATE, run=stopped)
    wait_for(lambda: runs(ui)[stopped]["status"] == "CANCELED" or None, seconds=GROW_SECONDS, what="the run to be over")
    add_image(ui, "meanwhile")
    found = wait_for(lambda: with_image(ui, "meanwhile"), seconds=2 * GROW_SECONDS, what="the image to be assigned")
    assert found["cluster_id"].null_count() == 0
    wait_for(lambda: taken_up(ui, before), seconds=2 * GROW_SECONDS, what="the learning to be taken up")
    settle(ui)
    # The image came before the learning was taken up, or after.
    assert ui.stale() in ({}, LAG)
    ends = [run["status"] for run_id, run in runs(ui).items() if run_id not in before and run_id != stopped]
    assert set(ends) == {"SUCCESS"}


def test_a_step_that_fails_is_left_alone_until_something_changes(ui: Ui) -> None:
    before = set(runs(ui))
    tac(ui, "set", "clusters.count=500")
    failed = wait_for(lambda: ended(ui, before), seconds=GROW_SECONDS, what="the run that must fail")
    assert failed["status"] == "FAILURE"
    known = set(runs(ui))
    settle(ui)
    assert [run for run_id, run in runs(ui).items() if run_id not in known and run["assetSelection"]] == []
    readers = published(ui)
    assert readers is not None and len(readers) == 61, "readers keep what they had"
    tac(ui, "set", "clusters.count=3")
    mended = wait_for(lambda: ended(ui, known), seconds=GROW_SECONDS, what="the run after the mend")
    assert mended["status"] == "SUCCESS"
    assert ui.stale() in ({}, LAG)


def test_a_run_that_was_killed_is_told_and_automation_goes_on(ui: Ui) -> None:
    # So that the slow learning is not taken up once more before the edit below.
    tac(ui, "set", "schedule.observe=null")
    settle(ui)
    before = set(runs(ui))
    tac(ui, "set", "heads.epochs=1000000")
    killed = set()
    # It is started again once and continues; then it is not tried again.
    for attempt in (1, 2):
        run = wait_for(lambda: started(ui, before | killed), seconds=GROW_SECONDS, what=f"slow run {attempt}")
        wait_for(lambda run=run: training(ui, run) or None, seconds=GROW_SECONDS, what="the slow step")
        os.kill(process_of(ui), signal.SIGKILL)
        killed.add(run)
        wait_for(
            lambda run=run: runs(ui)[run]["status"] == "FAILURE" or None, seconds=120, what="the dead run to be told"
        )
    tac(ui, "set", "heads.epochs=41")
    mended = wait_for(lambda: ended(ui, before | killed), seconds=GROW_SECONDS, what="automation after the crash")
    assert (mended["status"], chosen(mended)) == ("SUCCESS", HEADS_DOWN)
    assert ui.stale() in ({}, LAG)
    wait_for(lambda: len(told(ui, "over")) == len(told(ui, "open")) or None, seconds=GROW_SECONDS, what="the alerts")
    ended_without_a_word = [one for one in told(ui, "open") if "ended without a word" in one]
    assert len(ended_without_a_word) == 1, "two kills in one step are one cause"


def told(ui: Ui, state: str) -> list[str]:
    """The sentences of what was told of failed runs, in order."""
    path = ui.settings.parent / "told.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    found = [one for one in map(json.loads, lines) if (one["cause"], one["state"]) == ("failed", state)]
    return [one["sentence"].removeprefix("It is over. It was: ") for one in found]


def tac(ui: Ui, *arguments: str) -> str:
    """The output of a command, which must succeed."""
    command = [sys.executable, "-m", "tac_pipeline.cli", *arguments, "--settings", str(ui.settings)]
    environment = clean_environment(HOME=str(ui.settings.parent), COLUMNS="200")
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
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


def ended(ui: Ui, known: set[str]) -> dict[str, Any] | None:
    """A new run of assets that has ended."""
    new = [run for run_id, run in runs(ui).items() if run_id not in known and run["assetSelection"]]
    return next((run for run in new if run["status"] in ENDS), None)


def started(ui: Ui, known: set[str]) -> str | None:
    """The id of a new run of assets that is still going."""
    new = {run_id: run for run_id, run in runs(ui).items() if run_id not in known and run["assetSelection"]}
    return next((run_id for run_id, run in new.items() if run["status"] == "STARTED"), None)


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


def settle(ui: Ui) -> None:
    """Let the sensor look a few more times, when every run has ended."""
    deadline = time.monotonic() + RUN_SECONDS
    time.sleep(QUIET_TICKS * TICK_SECONDS)
    while any(run["status"] in ("QUEUED", "STARTING", "STARTED") for run in runs(ui).values()):
        assert time.monotonic() < deadline, "a run does not end"
        time.sleep(1)


AUTOMATION = """
{ workspaceOrError { ... on Workspace { locationEntries { locationOrLoadError { ... on RepositoryLocation {
repositories {
  schedules { name state: scheduleState { status } } sensors { name state: sensorState { status } }
} } } } } } }
"""

RUNS = "{ runsOrError { ... on Runs { results { runId status jobName assetSelection { path } tags { key value } } } } }"

TERMINATE = "mutation Stop($run: String!) { terminateRun(runId: $run) { __typename } }"

STEP_STARTS = """
query Events($run: ID!) { logsForRun(runId: $run) { ... on EventConnection { events {
  ... on ExecutionStepStartEvent { stepKey }
} } } }
"""
