"""Ctrl-C, SIGTERM, and the end of the process.

The first Ctrl-C raises KeyboardInterrupt in the main thread, or what Dagster makes of it there; the command then ends
with one sentence. The second one ends the process at once, even while the main thread is deep in compiled code. A store
bears both: an artifact appears whole or not at all. SIGTERM does what Ctrl-C does, and has an exit code of its own.
"""

from __future__ import annotations

import atexit
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn

INTERRUPTED, TERMINATED = 130, 143
# A reader that waits for a dead server, or a long computation, must not keep somebody who wants to go.
GRACE_SECONDS = 15.0

_asked = threading.Event()
_terminated = threading.Event()
# Run before the process ends at once: a terminal gets its cursor back.
_last_rites: list[Callable[[], None]] = []


def asked() -> bool:
    """Whether somebody pressed Ctrl-C in this process, or sent it SIGTERM."""
    return _asked.is_set()


def exit_code() -> int:
    """The exit code of a command that was stopped: shells and services expect one for each signal."""
    return TERMINATED if _terminated.is_set() else INTERRUPTED


def before_a_sudden_end(restore: Callable[[], None]) -> None:
    """Have something small done should the process end at once."""
    _last_rites.append(restore)


def watch() -> None:
    """Look for Ctrl-C from a thread of its own, from now on."""
    listening, telling = socket.socketpair()
    telling.setblocking(False)
    # Python's own handler writes here the moment that the signal comes; the main thread may be busy for long.
    signal.set_wakeup_fd(telling.fileno(), warn_on_full_buffer=False)
    signal.signal(signal.SIGTERM, _on_sigterm)
    sys.unraisablehook = _quiet_once_asked(sys.unraisablehook)
    threading.Thread(target=_look, args=(listening, telling), name="ctrl-c", daemon=True).start()


def _on_sigterm(*_: object) -> None:
    """A service manager asks to stop: as with Ctrl-C, whoever handles that now."""
    _terminated.set()
    # A script that starts a command in the background has it ignore Ctrl-C.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        raise KeyboardInterrupt
    signal.raise_signal(signal.SIGINT)


def _look(listening: socket.socket, _: socket.socket) -> None:
    """Wait for signals; it also keeps the other end alive, whose number alone the system knows."""
    raised = False
    while True:
        for number in listening.recv(16):
            if number == signal.SIGINT and raised:
                raised = False  # by the handler of SIGTERM, which has been counted
                continue
            if number not in (signal.SIGINT, signal.SIGTERM):
                continue
            raised = number == signal.SIGTERM
            if raised:
                # The handler may never come to it, where the main thread is deaf.
                _terminated.set()
            if asked():
                _end_at_once("stopped at once; what was finished is kept")
            _asked.set()
            threading.Thread(target=_lose_patience, name="ctrl-c patience", daemon=True).start()


def _lose_patience() -> None:
    time.sleep(GRACE_SECONDS)
    _end_at_once("stopped without waiting for what was still computing; what was finished is kept")


def _end_at_once(sentence: str) -> NoReturn:
    for restore in _last_rites:
        with suppress(Exception):
            restore()
    # Processes that draw would stay behind.
    if "multiprocessing" in sys.modules:
        for child in sys.modules["multiprocessing"].active_children():
            child.kill()
    with suppress(OSError):
        os.write(2, f"\n{sentence}\n".encode())
    os._exit(exit_code())


def _quiet_once_asked(hook: Callable[[sys.UnraisableHookArgs], object]) -> Callable[[sys.UnraisableHookArgs], object]:
    """Ctrl-C may hit a destructor, where Python prints it and goes on; nobody needs to read that."""

    def show(args: sys.UnraisableHookArgs) -> None:
        if not asked():
            hook(args)

    return show


def leave(code: int) -> NoReturn:
    """End the process without taking down its modules, which takes torch and its friends a second.

    What was registered for the end is done, and what was printed is written.
    """
    # Only this way runs them; the exit below does not.
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BrokenPipeError:
            continue  # the reader has read enough, as in `tac changes | head`
        except OSError as error:
            code = code or 1
            with suppress(OSError):
                os.write(2, f"error: the output could not be written: {error.strerror}\n".encode())
    os._exit(code)
