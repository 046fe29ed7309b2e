"""Waiting for another process with a bound, and a port for it."""

import socket
import time
from collections.abc import Callable
from typing import TypeVar

POLL_SECONDS = 0.2

Found = TypeVar("Found")


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for(look: Callable[[], Found | None], *, seconds: float, what: str) -> Found:
    """What `look` returns as soon as that is something; fails when it never is."""
    ends = time.monotonic() + seconds
    while True:
        found = look()
        if found is not None:
            return found
        if time.monotonic() > ends:
            raise AssertionError(f"waited {seconds:.0f} s for {what}")
        time.sleep(POLL_SECONDS)
