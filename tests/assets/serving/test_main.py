"""The process behind `tac ui`, in this process: with a small application for Dagster's, and no real daemon."""

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from waiting import PATIENCE, wait_for

from assets.orchestration.webserver import RunningUi, find_ui
from assets.serving import __main__ as served
from assets.serving import lifeline
from assets.serving.guard import OWNER, Receive, Scope, Send
from assets.serving.owner import bind

FAITHFUL = "import sys; sys.stdin.read()"
Start = Callable[..., "Started"]


class Started:
    """A server in a thread."""

    def __init__(self, plan: served.Plan, servers: list[served.Server]) -> None:
        self.plan, self.code, self._servers = plan, -1, servers
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        self.ui: RunningUi = wait_for(lambda: find_ui(Path(plan.home)), what="the note of the UI")

    def _run(self) -> None:
        self.code = served.main(self.plan)

    def ask(self, path: str = "/graphql", **options: Any) -> httpx.Response:
        return httpx.post(f"{self.ui.url}{path}", json={}, timeout=PATIENCE, **options)

    def end(self) -> int:
        self._servers[-1].should_exit = True
        return self.ended()

    def ended(self) -> int:
        self._thread.join(timeout=PATIENCE)
        assert not self._thread.is_alive()
        return self.code


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.setattr(served, "end_with_starter", lambda: None)
    monkeypatch.setattr(served, "show_dagsters_log", lambda: None)
    running, servers = list[Started](), list[served.Server]()
    popen = subprocess.Popen

    def begin(*, host: str = "127.0.0.1", daemon: str = FAITHFUL, **more: Any) -> Started:
        @contextmanager
        def nothing(*_: Any, target: Path) -> Iterator[None]:
            target.write_text("{}")
            yield

        @contextmanager
        def application(*_: Any, may_act: Callable[[Scope], bool]) -> Iterator[Any]:
            async def app(scope: Scope, receive: Receive, send: Send) -> None:
                body = json.dumps({"may act": may_act(scope), "owner": scope[OWNER]}).encode()
                await send({"type": "http.response.start", "status": 200, "headers": []})
                await send({"type": "http.response.body", "body": body})

            yield app

        class Server(served.Server):
            def __init__(self, *arguments: Any) -> None:
                super().__init__(*arguments)
                servers.append(self)

        def start_daemon(command: list[str], **options: Any) -> Any:
            assert command[1:4] == ["-m", "assets.serving.daemon", "run"]
            return popen([sys.executable, "-c", daemon], **options)

        monkeypatch.setattr(served, "open_code_servers", nothing)
        monkeypatch.setattr(served, "open_webserver", application)
        monkeypatch.setattr(served, "Server", Server)
        monkeypatch.setattr(served.subprocess, "Popen", start_daemon)
        lock = os.open(tmp_path / "lock", os.O_CREAT | os.O_RDWR)
        listener = bind(host, 0).listener
        plan = served.Plan(
            listener=listener.detach(),
            lock=lock,
            pid=os.getpid(),
            host=host,
            home=str(tmp_path),
            workspace=str(tmp_path / "workspace.yaml"),
            stores={"/s/tac.yaml": "small", "/s/b.yaml": "b"},
            **{"read_only": False, "ask_token": False, "forwarded": [], **more},
        )
        started = Started(plan, servers)
        running.append(started)
        return started

    yield begin
    for started in running:
        started.end()


def test_it_says_where_it_is_when_it_answers(start: Start, capfd: pytest.CaptureFixture) -> None:
    started = start()
    assert started.ask().json() == {"may act": True, "owner": False}
    key = {"authorization": f"Bearer {started.ui.key}"}
    assert started.ask(headers=key).json() == {"may act": True, "owner": True}
    assert started.end() == 0
    first, *links = capfd.readouterr().out.splitlines()
    assert first == f"Dagster UI on {started.ui.url} (store small, b; stop it with Ctrl-C)"
    pattern = rf"workbench on {started.ui.url}/workbench/(\w+)/\?token=([\w-]{{40,}})"
    assert [found and found[1] for found in (re.fullmatch(pattern, link) for link in links)] == ["small", "b"]
    assert started.ui.settings == ("/s/tac.yaml", "/s/b.yaml") and started.ui.pid == os.getpid()


def test_a_ui_for_looking_lets_the_owners_commands_act(start: Start, capfd: pytest.CaptureFixture) -> None:
    """So that an edit by `tac set` is read there too."""
    started = start(read_only=True)
    assert started.ask().json() == {"may act": False, "owner": False}
    key = {"authorization": f"Bearer {started.ui.key}"}
    assert started.ask(headers=key).json() == {"may act": True, "owner": True}
    started.end()
    assert "(store small, b, read-only; stop it" in capfd.readouterr().out


@pytest.mark.parametrize(
    "options",
    [{"host": "0.0.0.0"}, {"ask_token": True}, {"forwarded": ["a.example"]}],
    ids=["all addresses", "asked for", "proxy"],
)
def test_the_token_is_printed_once_as_a_link(
    start: Start, capfd: pytest.CaptureFixture, options: dict[str, Any]
) -> None:
    started = start(**options)
    assert started.ask().status_code == 401
    found = re.search(r"Dagster UI on (http://127\.0\.0\.1:\d+/\?token=([\w-]{40,})) ", capfd.readouterr().out)
    assert found and found[1] == started.ui.link
    assert started.ask(headers={"authorization": f"Bearer {found[2]}"}).json() == {"may act": True, "owner": False}
    with httpx.Client(base_url=started.ui.url) as browser:
        assert browser.get("/", headers={"accept": "text/html"}).status_code == 401
        assert browser.get(started.ui.link, headers={"accept": "text/html"}).status_code == 200
        assert browser.get("/", headers={"accept": "text/html"}).json()["may act"]
    started.end()
    out, err = capfd.readouterr()
    assert found[2] not in out + err, "once"


def test_the_server_ends_when_its_daemon_does(start: Start, capfd: pytest.CaptureFixture) -> None:
    started = start(daemon="import time; time.sleep(1); raise SystemExit(3)")
    assert started.ended() == 1
    assert "error: the daemon of the UI ended with code 3" in capfd.readouterr().err


def test_a_daemon_that_does_not_end_is_killed(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(served, "GRACE_SECONDS", 0.2)
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"
    assert start(daemon=deaf).end() == 0


def test_an_error_that_nobody_expected_is_a_sentence_and_a_file(tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    for home in (tmp_path, tmp_path / "absent"):
        try:
            raise ValueError("the books are damaged\n(Background on this error at: ...)")
        except ValueError as error:
            served.tell_error(home, ValueError, error, error.__traceback__)
        told = capfd.readouterr().err
        assert told.startswith("error: the UI ended: ValueError: the books are damaged. This was not expected.")
        assert told.endswith(f"What led to it is in {home / served.ERROR_LOG}\n")
    served.tell_error(tmp_path, KeyboardInterrupt, KeyboardInterrupt(), None)
    assert capfd.readouterr().err == ""
    assert "Traceback" in (tmp_path / served.ERROR_LOG).read_text()


def test_the_lifeline_ends_the_group_when_the_starter_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[int] = []
    ended = threading.Event()

    def kill(group: int, number: int) -> None:
        assert group == 0
        sent.append(number)
        if len(sent) == 2:
            ended.set()
            raise ProcessLookupError

    monkeypatch.setattr(lifeline, "GRACE_SECONDS", 0.0)
    monkeypatch.setattr(lifeline.os, "killpg", kill)
    monkeypatch.setattr(lifeline.os, "read", lambda *_: b"")
    lifeline.end_with_starter()
    assert ended.wait(timeout=PATIENCE)
    assert sent == [2, 9]
