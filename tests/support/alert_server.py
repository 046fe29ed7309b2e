"""A web server on this machine that keeps what it is told, and a store that tells it."""

import http.server
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest


class AlertServer(http.server.ThreadingHTTPServer):
    """Answers POSTs; the path says how: /ok, /500, /301, /hang.

    Attributes
    ----------
    told : list of dict
        The JSON of every request that was answered well, in order.
    asked : int
        Requests in all.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.told: list[dict[str, Any]] = []
        self.asked = 0
        self.ended = threading.Event()

    def url(self, way: str = "ok") -> str:
        return f"http://127.0.0.1:{self.server_port}/{way}?token=s3cret"

    @property
    def causes(self) -> list[tuple[str, str]]:
        """Cause and state of all that was told, in order."""
        return [(one["cause"], one["state"]) for one in self.told]

    def handle_error(self, request: Any, address: Any) -> None:
        """Clients go away on purpose."""


class _Handler(http.server.BaseHTTPRequestHandler):
    server: AlertServer

    def log_message(self, *_: Any) -> None:
        pass

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked += 1
        way = self.path.partition("?")[0].strip("/")
        if way == "hang":
            self.server.ended.wait(30)
            return
        if way == "ok":
            assert self.headers["Content-Type"] == "application/json"
            self.server.told.append(json.loads(body))
        self.send_response({"ok": 204, "500": 500, "301": 301}[way])
        self.send_header("Location", self.server.url())
        self.send_header("Content-Length", "0")
        self.end_headers()


@pytest.fixture
def alert_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[AlertServer]:
    """A server that is told; nothing on the way to it asks a proxy."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with AlertServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        yield server
        server.ended.set()
        server.shutdown()
