"""A web server that misbehaves on request: the path of a file says how."""

import gzip
import http.server
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

BOMB = gzip.compress(b"\0" * 50_000_000)
HANG = 20.0  # seconds, far above every timeout of a test


class BadServer(http.server.ThreadingHTTPServer):
    """Files by their path; the first folder of a path is the way in which its answer is bad.

    Attributes
    ----------
    files : dict
        The bytes of each path, without the folder.
    asked : Counter
        How often each path was asked for.
    sent : Counter
        How many bytes of its body were sent, by path.
    """

    daemon_threads = True
    request_queue_size = 256

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.asked: Counter[str] = Counter()
        self.sent: Counter[str] = Counter()
        self.headers_of: dict[str, list[dict[str, str]]] = {}
        self.most_at_once = self.now = 0
        self.lock = threading.Lock()
        self.ended = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request: Any, address: Any) -> None:
        """Clients go away on purpose."""


class Handler(http.server.BaseHTTPRequestHandler):
    server: BadServer
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        server = self.server
        with server.lock:
            server.asked[self.path] += 1
            server.headers_of.setdefault(self.path, []).append(dict(self.headers))
            server.now += 1
            server.most_at_once = max(server.most_at_once, server.now)
        try:
            _, way, name = self.path.split("/", 2)
            getattr(self, f"way_{way}")(server.files.get(name))
        except OSError:
            self.close_connection = True
        finally:
            with server.lock:
                server.now -= 1

    def begin(self, status: int, size: int | None = None, **headers: str) -> None:
        self.send_response(status)
        if size is not None:
            self.send_header("Content-Length", str(size))
        elif self.command != "HEAD":
            self.send_header("Connection", "close")
            self.close_connection = True
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def body(self, data: bytes) -> None:
        if self.command == "HEAD":
            return
        self.wfile.write(data)
        self.server.sent[self.path] += len(data)

    def wait(self, seconds: float) -> None:
        if self.server.ended.wait(seconds):
            raise OSError("the test is over")

    def way_good(self, data: bytes | None) -> None:
        if data is None:
            self.begin(404, 0)
            return
        self.begin(200, len(data))
        self.body(data)

    def way_slow(self, data: bytes | None) -> None:
        """A tenth of a second before every answer, as far away servers are."""
        self.wait(0.1)
        self.way_good(data)

    def way_ranges(self, data: bytes | None) -> None:
        asked = self.headers.get("Range")
        if data is None or asked is None:
            self.way_good(data)
            return
        first, _, last = asked.removeprefix("bytes=").partition("-")
        part = data[int(first) : int(last) + 1]
        if not part:
            self.begin(416, 0)
            return
        self.begin(206, len(part), Content_Range=f"bytes {first}-{int(first) + len(part) - 1}/{len(data)}")
        self.body(part)

    def way_hang(self, data: bytes | None) -> None:
        self.wait(HANG)

    def way_hangonce(self, data: bytes | None) -> None:
        if self.server.asked[self.path] == 1:
            self.wait(HANG)
        self.way_good(data)

    def way_stall(self, data: bytes | None) -> None:
        self.begin(200, 1000)
        self.body(b"x" * 10)
        self.wait(HANG)

    def way_drip(self, data: bytes | None) -> None:
        self.begin(200, 1000)
        for _ in range(1000):
            self.body(b"x")
            self.wait(0.05)

    def way_busy(self, data: bytes | None) -> None:
        if self.server.asked[self.path] == 1:
            self.begin(429, 0, Retry_After="0")
        else:
            self.way_good(data)

    def way_broken(self, data: bytes | None) -> None:
        self.begin(503, 0)

    def way_forbidden(self, data: bytes | None) -> None:
        self.begin(403, 0)

    def way_reset(self, data: bytes | None) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.connection.close()
        raise OSError

    def way_endless(self, data: bytes | None) -> None:
        self.begin(200)
        while True:
            self.body(b"x" * 65536)

    def way_huge(self, data: bytes | None) -> None:
        """Says how large it is."""
        self.begin(200, 2 * 10**9)
        while True:
            self.body(b"x" * 65536)

    def way_bomb(self, data: bytes | None) -> None:
        self.begin(200, len(BOMB), Content_Encoding="gzip")
        self.body(BOMB)

    def way_chunked(self, data: bytes | None) -> None:
        self.begin(200, None, Transfer_Encoding="chunked")
        for start in range(0, len(data or b""), 100):
            part = (data or b"")[start : start + 100]
            self.wfile.write(f"{len(part):x}\r\n".encode() + part + b"\r\n")
        self.wfile.write(b"0\r\n\r\n")

    def way_short(self, data: bytes | None) -> None:
        """Says that there is more than comes."""
        self.begin(200, len(data or b"") + 100)
        self.body(data or b"")
        self.close_connection = True

    def way_moved(self, data: bytes | None) -> None:
        self.begin(302, 0, Location=self.path.replace("/moved/", "/good/"))

    def way_loop(self, data: bytes | None) -> None:
        self.begin(302, 0, Location=self.path)


@contextmanager
def bad_server() -> Iterator[BadServer]:
    """A running one."""
    with BadServer() as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        try:
            yield server
        finally:
            server.ended.set()
            server.shutdown()


def seconds_of(work: Any) -> float:
    """How long something takes."""
    began = time.monotonic()
    work()
    return time.monotonic() - began
