"""One owner of a home, and an address that is really ours."""

import fcntl
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from waiting import PATIENCE

from assets.orchestration.webserver import RunningUi, note_ui
from assets.serving import owner
from assets.serving.owner import Bound, bind, own
from tac_pipeline.errors import UiError


@pytest.fixture
def held(tmp_path: Path) -> Iterator[int]:
    """The lock as another process holds it: locks are of open files, not of processes."""
    lock = own(tmp_path, say=print)
    assert isinstance(lock, int)
    yield lock
    os.close(lock)


def noted(home: Path, pid: int) -> RunningUi:
    ui = RunningUi("http://127.0.0.1:1", pid, ("/s/tac.yaml",), "key", "http://127.0.0.1:1")
    note_ui(home, ui)
    return ui


def test_the_second_is_told_who_the_first_is(held: int, tmp_path: Path) -> None:
    ui = noted(tmp_path, os.getpid())
    assert own(tmp_path, say=pytest.fail) == ui


def test_a_note_of_an_older_ui_is_not_taken_for_the_owners(
    held: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The owner is still starting, or its starter was killed and its last processes are ending."""
    said: list[str] = []
    noted(tmp_path, os.getppid())
    monkeypatch.setattr(owner, "QUIET_SECONDS", -1.0)
    with pytest.raises(UiError, match=f"process {os.getpid()}. has .* and neither answers nor ends"):
        own(tmp_path, say=said.append, patience=0.5)
    assert said == [f"waiting for another `tac ui` (process {os.getpid()}), which starts or ends"]


def test_an_owner_that_is_gone_while_its_server_lingers_is_waited_for(held: int, tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        pass
    (tmp_path / owner.LOCK_NAME).write_text(str(ended.pid))
    noted(tmp_path, ended.pid)
    with pytest.raises(UiError, match="neither answers nor ends"):
        own(tmp_path, say=print, patience=0.1)


def test_the_lock_lives_as_long_as_the_last_process_that_inherited_it(tmp_path: Path) -> None:
    lock = own(tmp_path, say=print)
    assert isinstance(lock, int)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=[lock]) as heir:
        os.close(lock)
        with pytest.raises(UiError):
            own(tmp_path, say=print, patience=0.1)
        assert heir.stdin is not None
        heir.stdin.close()
        again = own(tmp_path, say=print, patience=PATIENCE)
    assert isinstance(again, int)
    os.close(again)


def test_a_home_that_cannot_be_locked_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / owner.LOCK_NAME).mkdir()
    with pytest.raises(
        UiError, match=r"cannot lock .*ui\.lock: Is a directory\. The UI is started by the user who owns"
    ):
        own(tmp_path, say=print)
    (tmp_path / owner.LOCK_NAME).rmdir()

    def unknown(*_: Any) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", unknown)
    with pytest.raises(UiError, match=r"Operation not supported\. .* on a disk that knows locks"):
        own(tmp_path, say=print)


def test_a_free_port_is_taken_and_told() -> None:
    bound = bind("127.0.0.1", 0)
    with bound.listener, socket.create_connection(("127.0.0.1", bound.port), timeout=PATIENCE):
        assert bound.port > 0


@pytest.mark.parametrize(
    ("host", "local", "any_address", "names"),
    [
        ("127.0.0.1", True, False, {"127.0.0.1", "localhost", "[::1]"}),
        ("127.0.0.5", True, False, {"127.0.0.1", "127.0.0.5", "localhost", "[::1]"}),
        ("0.0.0.0", False, True, {"127.0.0.1", "localhost", "[::1]", "box", "box.local"}),
    ],
)
def test_the_names_of_an_address(
    monkeypatch: pytest.MonkeyPatch, host: str, local: bool, any_address: bool, names: set[str]
) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "Box")
    bound = bind(host, 0)
    with bound.listener:
        assert (bound.local, bound.any_address, bound.names) == (local, any_address, names)


def test_an_address_of_a_network_is_not_local() -> None:
    class Listener:
        @staticmethod
        def getsockname() -> tuple[Any, ...]:
            return "fe80::1%eth0", 3000, 0, 2

    bound = Bound(Listener(), "Photos.example")  # type: ignore[arg-type]
    assert (bound.local, bound.any_address) == (False, False)
    assert bound.names == {"photos.example", "[fe80::1]"}


@pytest.mark.parametrize("host", ["no-such-host.invalid", "192.0.2.1", "a" * 70, "a..b"])
def test_a_host_that_is_not_this_machine_is_refused(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if host.endswith(".invalid"):

        def unknown(*_: Any, **__: Any) -> None:
            raise socket.gaierror(-2, "Name or service not known")

        monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(UiError, match="--host must be a name or an address of this machine; got '"):
        bind(host, 0)


@pytest.mark.parametrize(
    ("number", "sentence"),
    [
        (98, "port 3000 of box is taken by another program. Choose another with --port, or --port 0 for a free one"),
        (13, "port 3000 of box may not be used by this user. Choose one above 1023 with --port"),
        (12, "cannot listen at port 3000 of box: Cannot allocate memory"),
    ],
)
def test_a_port_that_cannot_be_had_is_told(number: int, sentence: str) -> None:
    assert owner._why_not(OSError(number, os.strerror(number)), "box", 3000).startswith(sentence)
