"""One owner: one web server and one daemon for a Dagster home, and one address that is really ours.

The lock is a descriptor that the server and its daemon inherit. The system frees it when the last of them has ended,
in whatever way, so that a second daemon never starts beside a first one that lingers.
"""

import errno
import fcntl
import os
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from assets.orchestration.webserver import RunningUi, find_ui, lives
from tac_pipeline.errors import UiError

LOCK_NAME = "ui.lock"
BACKLOG = 2048
POLL_SECONDS = 0.05
# Somebody who stops a UI and starts it at once is not told that the old one is still ending.
QUIET_SECONDS = 1.0
# One that starts is ready by then, and one that ends is gone.
PATIENCE_SECONDS = 40.0


def own(home: Path, *, say: Callable[[str], None], patience: float = PATIENCE_SECONDS) -> int | RunningUi:
    """Become the owner of a Dagster home, or find who is.

    Parameters
    ----------
    home : Path
    say : callable
        Told once when another UI is just starting or ending, and is waited for.
    patience : float, seconds
        How long to wait for it.

    Returns
    -------
    int or RunningUi
        The descriptor of the lock, to be handed to the server; or the UI that has it.

    Raises
    ------
    UiError
        The lock's file cannot be used, or another UI neither starts nor ends.
    """
    began, said = time.monotonic(), False
    while True:
        lock = _claim(home)
        if lock is not None:
            return lock
        running, holder = find_ui(home), _holder(home)
        if running is not None and running.pid == holder and lives(holder):
            return running
        waited = time.monotonic() - began
        if waited > patience:
            raise UiError(
                f"another `tac ui` (process {holder}) has {home}, and neither answers nor ends. Stop that process, and "
                "start the UI again"
            )
        if waited > QUIET_SECONDS and not said:
            said = True
            say(f"waiting for another `tac ui` (process {holder}), which starts or ends")
        time.sleep(POLL_SECONDS)


def _claim(home: Path) -> int | None:
    """The descriptor of the lock; None when another process has it."""
    path = home / LOCK_NAME
    try:
        lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.truncate(lock, 0)
            os.write(lock, str(os.getpid()).encode())
        except OSError as error:
            os.close(lock)
            if isinstance(error, BlockingIOError):
                return None
            raise
    except OSError as error:
        raise UiError(
            f"cannot lock {path}: {error.strerror}. The UI is started by the user who owns the data folder, on a disk "
            "that knows locks"
        ) from error
    return lock


def _holder(home: Path) -> int | None:
    """The process that took the lock last."""
    try:
        return int((home / LOCK_NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


@dataclass(frozen=True)
class Bound:
    """A socket that listens, and how it is reached.

    Parameters
    ----------
    listener : socket
    host : str
        As it was asked for.
    """

    listener: socket.socket
    host: str

    @property
    def port(self) -> int:
        """The port that was taken, also where any was asked for."""
        port: int = self.listener.getsockname()[1]
        return port

    @property
    def any_address(self) -> bool:
        """Whether it listens on every address of this machine."""
        return ip_address(self._address).is_unspecified

    @property
    def local(self) -> bool:
        """Whether only programs of this machine can reach it."""
        return ip_address(self._address).is_loopback

    @property
    def names(self) -> frozenset[str]:
        """The names by which a browser may ask for it, in lower case."""
        names = {self.host.lower(), self._address}
        if self.local or self.any_address:
            names |= {"localhost", "127.0.0.1", "::1"}
        if self.any_address:
            names |= {socket.gethostname().lower(), f"{socket.gethostname().lower()}.local"}
            names -= {"0.0.0.0", "::"}
        return frozenset(_bracketed(name) for name in names)

    @property
    def _address(self) -> str:
        # A link-local address has its interface after a percent sign.
        return str(self.listener.getsockname()[0]).partition("%")[0]


def bind(host: str, port: int) -> Bound:
    """Listen at an address; port 0 takes a free one.

    Raises
    ------
    UiError
        The port is taken or not allowed, or the host is not this machine's.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (socket.gaierror, UnicodeError) as error:
        raise UiError(
            f"--host must be a name or an address of this machine; got {host!r}, which is not known"
        ) from error
    family, kind, protocol, _, place = found[0]
    listener = socket.socket(family, kind, protocol)
    try:
        # The port of a server that ended a moment ago is free.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(place)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise UiError(_why_not(error, host, port)) from error
    return Bound(listener, host)


def _why_not(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"port {port} of {host} is taken by another program. Choose another with --port, or --port 0 for a free "
            "one; nothing was started"
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"port {port} of {host} may not be used by this user. Choose one above 1023 with --port"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"--host must be a name or an address of this machine; got {host!r}"
    return f"cannot listen at port {port} of {host}: {error.strerror or error}"


def _bracketed(name: str) -> str:
    return f"[{name}]" if ":" in name else name
