"""Ending with the process that started this one, also when that one is killed.

The starter holds the other end of this process's standard input and never writes to it. When the starter ends in any
way, the system closes that end. All processes of a UI are of one group, which is then ended: first as Ctrl-C would.
"""

import os
import signal
import threading
import time
from contextlib import suppress

GRACE_SECONDS = 6.0


def end_with_starter() -> None:
    """Watch the starter from a thread, from now on."""
    threading.Thread(target=_watch, name="lifeline", daemon=True).start()


def _watch() -> None:
    with suppress(OSError):
        while os.read(0, 1024):
            pass
    # Not a daemon thread: it must outlast what this process does on Ctrl-C, for the sake of those that do nothing.
    threading.Thread(target=end_group, name="end of the group", daemon=False).start()


def end_group() -> None:
    """End every process of this group, itself included: by Ctrl-C, then by force."""
    for number, seconds in ((signal.SIGINT, GRACE_SECONDS), (signal.SIGKILL, 0.0)):
        with suppress(ProcessLookupError):
            os.killpg(0, number)
        time.sleep(seconds)
