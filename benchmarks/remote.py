"""What do far away, slow and broken servers cost a run?

    python -m benchmarks.remote [--images 300] [--rounds 3] [--json FILE]

A web server of its own, in another process, waits 0.1 s before every answer. Measured are images a second, read and
decoded, with images.concurrent_reads at 2 and at 32, in turns; the peak of memory and the seconds for an answer that
says that it has 2 GB, and for one that has no end; and, with one image that never comes, when the other images were
there and when the run ended. An encoder that costs nothing takes the pixels. The exit code is 1 if 32 is not 5 times
as fast as 2, if a large answer takes more memory than images.max_bytes and 100 MB, or if the other images wait for the
one that never comes.
"""

from __future__ import annotations

import argparse
import contextlib
import http.server
import io
import json
import multiprocessing
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import polars as pl
from PIL import Image
from rich.console import Console
from rich.table import Table

from tac_pipeline.arrays import FloatMatrix
from tac_pipeline.embedding import NoKnownVectors, encoded_batches
from tac_pipeline.first_run.cost import machine
from tac_pipeline.sources.decoding import Interpolation, Pixels, ResizeMode
from tac_pipeline.sources.remote import read_url

LATENCY = 0.1  # seconds
READS = (2, 32)
TIMEOUT = 3.0  # of the image that never comes
MAX_BYTES = 50_000_000
MIN_SPEED_UP = 5.0
MAX_MEMORY = MAX_BYTES + 100_000_000


class Free:
    """An encoder that costs nothing."""

    fingerprint, dim, image_size = "free", 4, 224
    resize_mode: ResizeMode = "shortest"
    interpolation: Interpolation = "bicubic"

    def encode_images(self, pixels: Pixels) -> FloatMatrix:
        """The same vector for every image."""
        return np.full((len(pixels), self.dim), 0.5, dtype=np.float32)


class Urls:
    """Reads URLs, as a manifest does."""

    def read(self, uri: str, *, limit: int | None = None) -> bytes:
        """See ByteReader."""
        return read_url(uri, limit=limit, timeout=TIMEOUT)


class Handler(http.server.BaseHTTPRequestHandler):
    """A photograph, a hang, or 2 GB, by the path."""

    protocol_version = "HTTP/1.1"
    photograph = b""

    def log_message(self, *_: object) -> None:
        """Says nothing."""

    def do_GET(self) -> None:
        """Answer."""
        time.sleep(LATENCY)
        with contextlib.suppress(OSError):
            if self.path.startswith("/hang"):
                time.sleep(600)
            elif self.path.startswith(("/huge", "/endless")):
                self.send_response(200)
                if self.path.startswith("/huge"):
                    self.send_header("Content-Length", str(2 * 10**9))
                self.end_headers()
                for _ in range(2 * 10**9 // 2**20):
                    self.wfile.write(bytes(2**20))
            else:
                self.send_response(200)
                self.send_header("Content-Length", str(len(self.photograph)))
                self.end_headers()
                self.wfile.write(self.photograph)


def _serve(told: Connection, photograph: bytes) -> None:
    class Server(http.server.ThreadingHTTPServer):
        daemon_threads, request_queue_size = True, 256

        def handle_error(self, *_: object) -> None:
            """Clients go away on purpose."""

    Handler.photograph = photograph
    with Server(("127.0.0.1", 0), Handler) as server:
        told.send(server.server_port)
        server.serve_forever()


@contextlib.contextmanager
def far_server() -> Iterator[str]:
    """The address of the server."""
    noise = Image.effect_noise((640, 480), 60).convert("RGB")
    buffer = io.BytesIO()
    noise.save(buffer, format="jpeg", quality=60)
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_serve, args=(there, buffer.getvalue()), daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{here.recv()}"
    finally:
        process.kill()
        process.join()


def read_all(urls: list[str], *, concurrent: int, any_order: bool = True) -> list[tuple[float, str | None]]:
    """When each image was there, in seconds from the start, and its error."""
    missing = pl.DataFrame(
        {"image_id": urls, "uri": urls, "size": None, "version": ""},
        schema={"image_id": pl.String, "uri": pl.String, "size": pl.Int64, "version": pl.String},
    )
    began, found = time.perf_counter(), []
    for batch in encoded_batches(
        missing,
        Urls(),
        Free(),  # type: ignore[arg-type]  # nothing asks it for texts
        known=NoKnownVectors(),
        batch_size=64,
        max_pixels=10**8,
        max_bytes=MAX_BYTES,
        concurrent_reads=concurrent,
        any_order=any_order,
    ):
        found += [(time.perf_counter() - began, row.error) for row in batch.rows]
    return found


def rates(address: str, images: int, rounds: int) -> dict[int, list[float]]:
    """Images a second of every round, by the number of reads at once."""
    found: dict[int, list[float]] = {reads: [] for reads in READS}
    for turn in range(rounds):
        for reads in READS:
            # Two reads at once need their time: they get a share of the images.
            urls = [f"{address}/{turn}/{reads}/{number}.jpg" for number in range(max(images * reads // 32, 20))]
            arrived = read_all(urls, concurrent=reads)
            assert all(error is None for _, error in arrived), arrived
            found[reads].append(len(urls) / arrived[-1][0])
    return found


def large_answer(address: str, kind: str) -> dict[str, object]:
    """Seconds, peak of memory and reason for an answer of 2 GB, read in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.remote", "--one", f"{address}/{kind}/a.jpg"]
    told = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, object] = json.loads(told.stdout)
    return found


def _read_one(url: str) -> None:
    read_all([url.rpartition("/")[0].rpartition("/")[0] + "/small/a.jpg"], concurrent=2)  # everything is imported
    before = _memory("VmRSS")
    [(seconds, error)] = read_all([url], concurrent=2)
    print(json.dumps({"seconds": seconds, "memory": _memory("VmHWM") - before, "error": error}))


def _memory(kind: str) -> int:
    """Bytes of memory of this process: VmRSS now, VmHWM at its peak."""
    status = Path("/proc/self/status")
    if not status.exists():  # macOS knows only the peak
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    [line] = [line for line in status.read_text().splitlines() if line.startswith(f"{kind}:")]
    return int(line.split()[1]) * 1024


def hanging(address: str, images: int) -> dict[str, float]:
    """When the images beside one that never comes were there, and when the run ended."""
    urls = [f"{address}/hang/0.jpg", *(f"{address}/ok/{number}.jpg" for number in range(images))]
    arrived = read_all(urls, concurrent=32)
    others = [seconds for seconds, error in arrived if error is None]
    plain = read_all(urls[1:], concurrent=32)
    assert len(others) == images
    return {"others": others[-1], "without it": plain[-1][0], "end": arrived[-1][0]}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--images", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        _read_one(asked.one)
        return
    console = Console()
    with far_server() as address:
        speeds = rates(address, asked.images, asked.rounds)
        large = {kind: large_answer(address, kind) for kind in ("huge", "endless")}
        hang = hanging(address, asked.images)
    console.print(f"{machine()}; {LATENCY:g} s before every answer")
    table = Table("reads at once", "images a second", "rounds", box=None, pad_edge=False)
    for reads, found in speeds.items():
        table.add_row(str(reads), f"{np.median(found):.1f}", ", ".join(f"{speed:.1f}" for speed in found))
    console.print(table)
    table = Table("answer of 2 GB", "seconds", "memory, MB", "the row says", box=None, pad_edge=False)
    for kind, one in large.items():
        told = {"huge": "says its size", "endless": "does not say it"}[kind]
        table.add_row(told, f"{one['seconds']:.2f}", f"{float(str(one['memory'])) / 1e6:.0f}", str(one["error"]))
    console.print(table)
    console.print(
        f"one image never comes, timeout {TIMEOUT:g} s: the other {asked.images} after {hang['others']:.1f} s "
        f"({hang['without it']:.1f} s without it), the end after {hang['end']:.1f} s"
    )
    speed_up = float(np.median(speeds[READS[1]]) / np.median(speeds[READS[0]]))
    if asked.json:
        asked.json.write_text(json.dumps({"rates": speeds, "large": large, "hanging": hang}, indent=2))
    good = speed_up >= MIN_SPEED_UP and all(float(str(one["memory"])) <= MAX_MEMORY for one in large.values())
    sys.exit(0 if good and hang["others"] < hang["without it"] + TIMEOUT else 1)


if __name__ == "__main__":
    main()
