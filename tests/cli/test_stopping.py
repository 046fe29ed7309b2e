"""Ctrl-C: one sentence, exit code 130, a whole store; and a process that ends at once at the second one."""

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import dagster as dg
import pytest
from command_line import done, tac, told
from small_store import REPOSITORY
from waiting import PATIENCE

from assets.engine.execute import open_store
from assets.orchestration import in_process
from tac_pipeline.cli import running, stopping
from tac_pipeline.errors import StoreError
from tac_pipeline.settings.project import load_project

Writer = Callable[..., Path]


def press_at(monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    """Press Ctrl-C while a step computes."""
    execute = in_process.build_definitions.__globals__["execute"]

    def pressed(asset, *arguments, **named):  # type: ignore[no-untyped-def]
        if asset.name == step:
            os.kill(os.getpid(), signal.SIGINT)
        return execute(asset, *arguments, **named)

    monkeypatch.setitem(in_process.build_definitions.__globals__, "execute", pressed)


def test_a_stopped_run_says_so_and_goes_on_later(vector_store: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    path, steps = vector_store(), "image_manifest,image_embeddings,training_set"
    with monkeypatch.context() as patch:
        press_at(patch, "image_embeddings")
        stopped = tac("run", "-s", path, "--select", steps)
    assert stopped.exit_code == 130
    assert told(stopped) == "stopped: what was finished is kept, and `tac run` goes on from there"
    assert done(stopped, "computed") == {"image_manifest"}
    assert "failed" not in stopped.stdout
    assert not list(open_store(load_project(path)).folder.glob(".scratch/*"))
    with dg.DagsterInstance.from_config(str(path.parent / "data/.dagster")) as instance:
        assert [run.status for run in instance.get_runs()] == [dg.DagsterRunStatus.CANCELED]
    again = tac("run", "-s", path, "--select", steps)
    assert again.exit_code == 0
    assert done(again, "computed") == {"image_embeddings", "training_set"}
    assert done(again, "reused") == {"image_manifest"}


def test_a_stop_between_two_steps_is_not_forgotten(vector_store: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running.stopping, "asked", lambda: True)
    stopped = tac("run", "-s", vector_store(), "--select", "image_manifest")
    assert stopped.exit_code == 130


def test_any_other_command_just_stops(vector_store: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("tac_pipeline.cli.shared.load_project", interrupted)
    stopped = tac("search", "a red boat", "-s", vector_store())
    assert (stopped.exit_code, told(stopped)) == (130, "stopped")


def test_sigterm_stops_a_command_with_a_code_of_its_own(vector_store: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    def terminated(_: object) -> None:
        stopping._on_sigterm()

    monkeypatch.setattr(stopping, "_terminated", threading.Event())
    monkeypatch.setattr("tac_pipeline.cli.shared.load_project", terminated)
    stopped = tac("search", "a red boat", "-s", vector_store())
    assert (stopped.exit_code, told(stopped)) == (143, "stopped")


def test_sigterm_stops_a_command_that_was_started_in_the_background(monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    monkeypatch.setattr(stopping, "_terminated", threading.Event())
    try:
        with pytest.raises(KeyboardInterrupt):
            stopping._on_sigterm()
    finally:
        signal.signal(signal.SIGINT, before)
    assert stopping.exit_code() == 143


# A main thread that does not come back to Python's handler, as in a long computation of a compiled package.
DEAF = """
import signal, sys, threading
from tac_pipeline.cli.terminal import stopping
stopping.GRACE_SECONDS = float(sys.argv[1])
stopping.watch()
stopping.before_a_sudden_end(lambda: print("restored", flush=True))
signal.signal(signal.SIGINT, lambda *_: None)
print("ready", flush=True)
stopping._asked.wait()
print("asked", file=sys.stderr, flush=True)
threading.Event().wait()
"""


@pytest.mark.parametrize(
    ("grace", "sent", "sentence", "code"),
    [
        ("600", [signal.SIGINT] * 2, "stopped at once", 130),
        ("0.1", [signal.SIGINT], "without waiting", 130),
        ("0.1", [signal.SIGTERM], "without waiting", 143),
    ],
)
def test_a_process_that_does_not_stop_is_ended(
    grace: str, sent: list[signal.Signals], sentence: str, code: int
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", DEAF, grace], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=REPOSITORY
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.readline() == "ready\n"
        first, *later = sent
        process.send_signal(first)
        for number in later:
            # The system joins signals that come at the same moment.
            assert process.stderr.readline() == "asked\n"
            process.send_signal(number)
        out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == code
    assert sentence in err
    assert out == "restored\n"


def test_an_error_that_nobody_expected_is_a_sentence_and_a_file(
    vector_store: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("deep down\nsecond line")

    path = vector_store()
    monkeypatch.setattr("assets.lookups.status.family_status", broken)
    failed = tac("status", "-s", path)
    assert failed.exit_code == 1
    [trace] = (path.parent / "data/.traces").glob("*.txt")
    assert told(failed).startswith("error: RuntimeError: deep down. This was not expected.")
    assert told(failed).endswith(f"The trace is in {trace}.")
    assert "second line" in trace.read_text()
    shown = tac("--debug", "status", "-s", path)
    assert isinstance(shown.exception, RuntimeError), "the whole trace is shown where the process ends"


def test_a_step_that_fails_unexpectedly_is_a_sentence_too(
    vector_store: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(5, "Input/output error", "/data")

    path = vector_store()
    monkeypatch.setitem(in_process.build_definitions.__globals__, "execute", full)
    failed = tac("run", "-s", path, "--select", "image_manifest")
    assert failed.exit_code == 1
    assert "error: the disk of /data reports an error (Input/output error)." in told(failed)


def test_what_fails_around_a_step_is_told_by_its_cause(vector_store: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    def locked(*_: object) -> NoReturn:
        raise StoreError("cannot create the store's folder")

    path = vector_store()
    monkeypatch.setattr("assets.orchestration.run_liveness.holding_store", locked)
    failed = tac("run", "-s", path, "--select", "image_manifest")
    assert failed.exit_code == 1
    assert "StoreError: cannot create the store's folder The trace is in" in told(failed)
    assert "Traceback" not in failed.output


def test_a_history_that_cannot_be_pruned_fails_no_run(vector_store: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    def locked(*_: object) -> NoReturn:
        raise sqlite3.OperationalError("database is locked")

    monkeypatch.setattr(in_process, "prune_history", locked)
    run = tac("run", "-s", vector_store(), "--select", "image_manifest")
    assert run.exit_code == 0
    assert "the history of runs was not pruned: Dagster's books in" in run.stdout
