"""Waiting for another process with a bound, and a port for it."""

import socket
import time
from collections.abc import Callable
from typing import TypeVar

POLL_SECONDS = 0.2
# Far more than a slow machine needs that others use too; where things go well, nothing waits as long.
PATIENCE = 600.0

Found = TypeVar("Found")


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for(
    look: Callable[[], Found | None], *, what: str, seconds: float = PATIENCE, pause: float = POLL_SECONDS
) -> Found:
    """What `look` returns as soon as that is something; fails when it never is."""
    ends = time.monotonic() + seconds
    while True:
        found = look()
        if found is not None:
            return found
        if time.monotonic() > ends:
            raise AssertionError(f"waited {seconds:.0f} s for {what}")
        time.sleep(pause)
