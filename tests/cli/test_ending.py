"""How the process ends, looked at from within: the exit is caught where it would happen."""

import io
import os
import signal
import socket
import sys
import threading
import warnings
from typing import NoReturn

import pytest

import tac_pipeline.cli
from tac_pipeline.cli.terminal import stopping
from tac_pipeline.errors import TacWarning


class Ended(BaseException):
    """The process would have ended with this code."""


@pytest.fixture(autouse=True)
def exits(monkeypatch: pytest.MonkeyPatch) -> None:
    def end(code: int) -> NoReturn:
        raise Ended(code)

    monkeypatch.setattr(os, "_exit", end)
    monkeypatch.setattr(stopping.atexit, "_run_exitfuncs", lambda: None)
    monkeypatch.setattr(stopping, "_asked", threading.Event())
    monkeypatch.setattr(stopping, "_terminated", threading.Event())
    monkeypatch.setattr(stopping, "_last_rites", [])


class Stream(io.StringIO):
    def __init__(self, error: OSError | None = None) -> None:
        super().__init__()
        self._error = error

    def flush(self) -> None:
        if self._error is not None:
            raise self._error


@pytest.mark.parametrize("error", [None, BrokenPipeError(), OSError(28, "No space left")], ids=["fine", "pipe", "full"])
def test_what_was_printed_is_written_before_the_end(monkeypatch: pytest.MonkeyPatch, error: OSError | None) -> None:
    monkeypatch.setattr(sys, "stdout", Stream(error))
    with pytest.raises(Ended, match="3"):
        stopping.leave(3)


def test_output_that_cannot_be_written_is_a_failure(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(sys, "stdout", Stream(OSError(28, "No space left on device")))
    with pytest.raises(Ended, match="1"):
        stopping.leave(0)
    assert "error: the output could not be written: No space left on device" in capfd.readouterr().err


def test_the_second_ctrl_c_ends_at_once_and_restores_first(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
) -> None:
    # Its thread would outlive this test, and then really end the process.
    monkeypatch.setattr(stopping, "_lose_patience", lambda: None)
    restored: list[bool] = []
    stopping.before_a_sudden_end(lambda: restored.append(True))
    stopping.before_a_sudden_end(lambda: 1 / 0)  # what fails there holds nothing up
    listening, telling = socket.socketpair()
    # The first Ctrl-C that follows SIGTERM is the one that its handler raises.
    telling.send(bytes([signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGINT]))
    with listening, telling, pytest.raises(Ended, match="143"):
        stopping._look(listening, telling)
    assert stopping.asked()
    assert restored == [True]
    assert "stopped at once; what was finished is kept" in capfd.readouterr().err


def test_what_does_not_stop_in_time_is_ended(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture) -> None:
    monkeypatch.setattr(stopping, "GRACE_SECONDS", 0)
    with pytest.raises(Ended, match="130"):
        stopping._lose_patience()
    assert "without waiting for what was still computing" in capfd.readouterr().err


def test_a_destructor_that_ctrl_c_hits_is_not_told() -> None:
    told: list[object] = []
    hook = stopping._quiet_once_asked(told.append)
    hook("before")  # type: ignore[arg-type]
    stopping._asked.set()
    hook("after")  # type: ignore[arg-type]
    assert told == ["before"]


@pytest.mark.parametrize(
    ("raised", "code"),
    [(SystemExit(2), 2), (SystemExit("words"), 1), (SystemExit(None), 0), (KeyboardInterrupt(), 130)],
    ids=["code", "words", "none", "ctrl-c"],
)
def test_the_command_ends_with_its_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, raised: BaseException, code: int
) -> None:
    def command() -> NoReturn:
        raise raised

    monkeypatch.setattr(stopping, "watch", lambda: None)
    monkeypatch.setattr(tac_pipeline.cli, "__getattr__", lambda _: command)
    shown = warnings.showwarning
    try:
        with pytest.raises(Ended, match=f"^{code}$"):
            tac_pipeline.cli.main()
        warnings.showwarning(TacWarning("to be read by [users]"), TacWarning, "file.py", 1)
    finally:
        warnings.showwarning = shown
    told = capsys.readouterr().err
    assert "warning: to be read by [users]" in told
    assert "file.py" not in told
    assert ("stopped" in told) == (code == 130)
