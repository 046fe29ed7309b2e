"""A command in a group of processes of its own: its output is passed on, and the whole group ends with this process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import IO, Any

from tac_pipeline.cli.terminal import stopping

# What does not end by itself in this time is ended by force.
GRACE_SECONDS = 8.0


class Stopped(BaseException):
    """Somebody asked this process to end; `code` is its exit code by convention, 128 and the signal's number."""

    def __init__(self, number: int) -> None:
        super().__init__(f"signal {number}")
        self.code = 128 + number


@contextmanager
def stops_told() -> Iterator[None]:
    """Raise Stopped at the first signal that asks this process to end; those after it are passed over.

    Ctrl-C counts also where a shell started the process in the background with it ignored. A hang-up that is ignored
    stays so: that is what nohup is for.
    """
    raised = False

    def tell(number: int, _: object) -> None:
        nonlocal raised
        if not raised:
            raised = True
            raise Stopped(number)

    numbers = [signal.SIGINT, signal.SIGTERM]
    numbers += [signal.SIGHUP] if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN else []
    before = {number: signal.signal(number, tell) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def run_group(command: Sequence[str], *, pass_fds: Sequence[int] = (), on_stop: Callable[[], None]) -> int:
    """Run a command until it ends, or until Stopped is raised here; then end all that it started.

    Its standard input stays open and empty while this process lives, so that it can tell when this process is gone.

    Parameters
    ----------
    command : sequence of str
    pass_fds : sequence of int
        Descriptors that it inherits.
    on_stop : callable
        Called when Stopped comes, before the group is asked to end.

    Returns
    -------
    int
        The command's exit code.
    """
    pipes: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    quiet = threading.Event()
    with subprocess.Popen(command, **pipes, process_group=0, pass_fds=pass_fds) as leader:
        stopping.before_a_sudden_end(lambda: os.killpg(leader.pid, signal.SIGKILL))
        pumps = [_pumping(leader.stdout, sys.stdout, quiet), _pumping(leader.stderr, sys.stderr, quiet)]
        try:
            return leader.wait()
        except Stopped:
            # What servers say of an end in the middle of their work is no news.
            quiet.set()
            on_stop()
            _ask_to_end(leader, pumps)
            raise
        finally:
            with suppress(ProcessLookupError):
                os.killpg(leader.pid, signal.SIGKILL)
            for pump in pumps:
                pump.join(timeout=1)


def _ask_to_end(leader: subprocess.Popen[bytes], pumps: Sequence[threading.Thread]) -> None:
    """Give the group Ctrl-C, and wait until its last process is gone, but not for ever."""
    ends = time.monotonic() + GRACE_SECONDS
    with suppress(ProcessLookupError):
        os.killpg(leader.pid, signal.SIGINT)
    with suppress(subprocess.TimeoutExpired):
        leader.wait(timeout=GRACE_SECONDS)
    for pump in pumps:
        # It ends when no process of the group can print any more.
        pump.join(timeout=max(0.0, ends - time.monotonic()))


def _pumping(source: IO[bytes] | None, sink: Any, quiet: threading.Event) -> threading.Thread:
    """A thread that passes lines on."""
    pump = threading.Thread(target=_pump, args=(source, sink, quiet), daemon=True)
    pump.start()
    return pump


def _pump(source: IO[bytes], sink: Any, quiet: threading.Event) -> None:
    """Pass lines on; they are read to the end also when nobody wants them, so that no writer is held up."""
    for line in source:
        if not quiet.is_set():
            with suppress(OSError, ValueError):
                sink.buffer.write(line)
                sink.flush()
