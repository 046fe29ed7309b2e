"""Do readers of a bucket ever see half a version, and is somebody told of each cause once?

    python -m benchmarks.publishing kills [--count 60]    SIGKILL writers to a process that speaks S3; a reader loops
    python -m benchmarks.publishing alerts                each cause in turn, and what a web server was told

In `kills` a part of the writers is killed at any moment of the command, and the others once they have begun to write to
the bucket. The same command is then given again; the trial is right when readers of the bucket have what readers here
have. The reader is another process: it opens latest.json, then every table that it names, compares their digests and
counts. The exit code is 1 if anything is wrong.
"""

from __future__ import annotations

import argparse
import hashlib
import http.server
import json
import multiprocessing
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from rich.console import Console
from rich.table import Table

from assets.engine.execute import execute
from assets.graph import GROWTH
from assets.orchestration.publishing import publish
from benchmarks.campaign import GROUPS, PER_GROUP, Runner, make_store, vectors, write_images, write_rows
from tac_pipeline.settings.project import load_project

BUCKET, PREFIX = "readers", "s3://readers/groups"
KEYS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_DEFAULT_REGION": "us-east-1"}
# Old tables go within the trial, and no reader takes that long.
GRACE_HOURS = 15 / 3600


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def bucket_server(log: Path, *, port: int) -> Iterator[Callable[[], None]]:
    """A process that speaks S3, with an empty bucket, named in this process's environment; yields what ends it."""
    os.environ |= {**KEYS, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}", "NO_PROXY": "127.0.0.1"}
    command = [sys.executable, "-c", "from moto.server import main; main()", "-H", "127.0.0.1", "-p", str(port)]
    with log.open("wb") as sink:
        process = subprocess.Popen(command, stdout=sink, stderr=subprocess.STDOUT, start_new_session=True)

    def end() -> None:
        process.kill()
        process.wait()

    try:
        import s3fs

        for _ in range(300):
            try:
                s3fs.S3FileSystem(skip_instance_cache=True).mkdir(BUCKET)
                break
            except OSError:
                time.sleep(0.2)
        yield end
    finally:
        end()


def read_once(files: Any, place: str) -> int:
    """The version of latest.json, once every table that it names was read and compared; raises where not."""
    record = json.loads(files.cat_file(f"{place}/latest.json"))
    tables = {}
    for name, wanted in record["files"].items():
        data = files.cat_file(f"{place}/{record['path']}/{name}")
        if hashlib.sha256(data).hexdigest() != wanted["sha256"]:
            raise ValueError(f"{record['path']}/{name} has other bytes than latest.json says")
        tables[name.partition("/")[0]] = pl.read_parquet(data)
    known = set(tables["clusters"]["cluster_id"])
    if not set(tables["assignments"]["cluster_id"].drop_nulls()) <= known:
        raise ValueError(f"{record['path']}: assignments and clusters are not of one version")
    if set(tables["changes"]["version"]) - {record["version"]}:
        raise ValueError(f"{record['path']}: the changes are of another version")
    return int(record["version"])


def _read(place: str, pipe: Connection) -> None:
    """The body of the reader's process: reads until it is told to stop, then says what it saw."""
    import s3fs

    files = s3fs.S3FileSystem(use_listings_cache=False)
    reads, seen, wrong, last = 0, set(), [], 0
    while not pipe.poll():
        try:
            version = read_once(files, place)
        except FileNotFoundError as error:
            if reads:  # before the first version there is nothing
                wrong.append(str(error))
            continue
        except Exception as error:  # noqa: BLE001 - whatever a reader meets is wrong
            wrong.append(f"{type(error).__name__}: {error}")
            continue
        if version < last:
            wrong.append(f"version {version} after version {last}")
        reads, last = reads + 1, version
        seen.add(version)
        time.sleep(0.01)
    pipe.send((reads, sorted(seen), wrong))


def kills(folder: Path, count: int, seed: int) -> bool:
    """Kill writers to the bucket, and give the same commands again."""
    runner, chance, console = Runner(folder / "logs", more=["s3fs"]), random.Random(seed), Console()
    settings = make_store(folder / "ours")
    text = f"keep_versions: 2\npublication: {{to: '{PREFIX}', grace_hours: {GRACE_HOURS}}}\n"
    settings.write_text(settings.read_text(encoding="utf-8") + text, encoding="utf-8")
    place, images = f"{BUCKET}/groups/left", GROUPS * PER_GROUP
    counts, wrong = Counter[str](), list[str]()
    with bucket_server(folder / "s3.log", port=_free_port()):
        ours, theirs = multiprocessing.get_context("spawn").Pipe()
        reader = multiprocessing.get_context("spawn").Process(target=_read, args=(place, theirs))
        reader.start()
        code, said, usual = runner.run("run", "-s", str(settings))
        if code:
            raise SystemExit(f"the first run failed:\n{said}")
        usual = min(usual, 3.0)
        for number in range(count):
            images += 2
            write_images(settings.parent, images)
            _grow(settings)
            process, log = runner.start("rollback" if number % 5 == 4 else "publish", "-s", str(settings))
            if number % 3 == 0:
                process.join(chance.uniform(0.02, usual))
            else:
                _wait_for("bringing", log, process)
                if number % 3 == 1:
                    time.sleep(chance.uniform(0.0, 0.6))
                else:
                    _wait_for_files(place, _version(settings), process)
                    time.sleep(chance.uniform(0.0, 0.1))
            alive = process.exitcode is None
            process.kill()
            process.join()
            counts["killed" if alive else "had ended"] += 1
            counts["cut off between the version here and the one there"] += alive and _version(settings) > _there(place)
            decision = publish(load_project(settings), by_hand=True)
            done = None if decision.elsewhere is None else decision.elsewhere.done
            counts["files that a killed writer had left whole"] += 0 if done is None else done.kept
            if done is None or _version(settings) != _there(place):
                wrong.append(f"trial {number}: {decision.told}; here {_version(settings)}, there {_there(place)}")
        ours.send("stop")
        reads, seen, halves = ours.recv()
        reader.join()
        latest, left = _there(place), _sizes(place)
    table = Table(box=None, pad_edge=False, show_header=False)
    for name, value in (
        ("trials", count),
        *sorted(counts.items()),
        ("versions published", latest),
        ("versions with all tables there at the end", left),
        ("reads of latest.json and all its tables", f"{reads:,}"),
        ("versions seen by the reader", len(seen)),
        ("halves seen, or versions going back", len(halves)),
        ("trials that did not come right", len(wrong)),
    ):
        table.add_row(name, str(value))
    console.print(table)
    for problem in (*halves[:20], *wrong):
        console.print(problem, soft_wrap=True)
    return not halves and not wrong


def _grow(settings: Path) -> None:
    """Assign the new images, in this process; nothing is published."""
    project = load_project(settings)
    for step in GROWTH:
        execute(step, project)


def _wait_for(text: str, log: Path, process: Any) -> None:
    while process.exitcode is None and (not log.exists() or text not in log.read_text(errors="replace")):
        time.sleep(0.002)


def _wait_for_files(place: str, version: int, process: Any) -> None:
    import s3fs

    files = s3fs.S3FileSystem(use_listings_cache=False)
    while process.exitcode is None and not files.find(f"{place}/versions/{version}"):
        time.sleep(0.002)


def _version(settings: Path) -> int:
    return int((settings.parent / "data/left/published/latest").readlink().name[1:])


def _there(place: str) -> int:
    import s3fs

    return int(json.loads(s3fs.S3FileSystem().cat_file(f"{place}/latest.json"))["version"])


def _sizes(place: str) -> int:
    import s3fs

    files = s3fs.S3FileSystem(use_listings_cache=False, skip_instance_cache=True)
    return len(files.glob(f"{place}/versions/*/assignments/*.parquet"))


class _Told(http.server.BaseHTTPRequestHandler):
    told: list[dict[str, Any]]

    def log_message(self, *_: Any) -> None:
        pass

    def do_POST(self) -> None:
        type(self).told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(204)
        self.end_headers()


def alerts(folder: Path, count: int, seed: int) -> bool:
    """Bring about each cause, three runs long, and its end; show what a web server was told."""
    del count, seed
    _Told.told, console, runner = [], Console(), Runner(folder / "logs")
    # Commands are told of the port once: the bucket comes back at the same one.
    port = _free_port()
    with (
        http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Told) as server,
        bucket_server(folder / "s3.log", port=port) as end,
    ):
        threading.Thread(target=server.serve_forever, daemon=True).start()
        os.environ["HOOK_OF_BENCHMARK"] = f"http://127.0.0.1:{server.server_port}/told"
        settings = make_store(folder / "ours")
        more = f"publication: {{to: '{PREFIX}', timeout: 5.0}}\nalerts: {{webhook: env:HOOK_OF_BENCHMARK}}\n"
        settings.write_text(settings.read_text(encoding="utf-8") + more, encoding="utf-8")
        pictures = _picture_store(folder / "pictures")

        def tac(*arguments: str, store: Path = settings, kill_after: float | None = None) -> int:
            return runner.run(*arguments, "-s", str(store), kill_after=kill_after)[0]

        def begin(title: str) -> None:
            console.print(f"[bold]{title}[/]")

        begin("a first run")
        tac("run")
        _show(console)
        begin("the images are away for three runs, and come back")
        table, away = settings.parent / "images.parquet", settings.parent / "away.parquet"
        table.rename(away)
        for _ in range(3):
            tac("run", "--select", "image_manifest")
        away.rename(table)
        tac("run")
        _show(console)
        begin("a run is killed, and the next one goes through")
        write_images(settings.parent, GROUPS * PER_GROUP + 2)
        _kill_within(runner, settings)
        tac("run")
        _show(console)
        begin("many odd images come: three runs, then somebody publishes, then they go")
        usual = vectors(GROUPS * PER_GROUP, 0)
        odd = np.repeat(usual[:1] + 0.5 * np.eye(usual.shape[1])[9], 4000, axis=0)
        rows = np.concatenate([usual, (odd / np.linalg.norm(odd, axis=1, keepdims=True))]).astype(np.float16)
        names = [f"image-{number:05d}" for number in range(len(usual))]
        write_rows(table, "image_id", [*names, *(f"odd-{number:05d}" for number in range(len(odd)))], rows)
        for _ in range(3):
            tac("run")
        tac("publish")
        write_images(settings.parent, GROUPS * PER_GROUP)
        tac("set", "images.max_loss=1")
        tac("run")
        _show(console)
        begin("a tenth of the pictures cannot be read for three runs")
        spoiled = sorted((pictures.parent / "pictures").rglob("*.jpg"))[::10]
        kept = {path: path.read_bytes() for path in spoiled}
        for path in spoiled:
            path.write_bytes(b"no picture")
        for _ in range(3):
            tac("run", store=pictures)
        for path, data in kept.items():
            path.write_bytes(data)
        tac("run", store=pictures)
        _show(console)
        begin("the bucket is away: somebody publishes three times; and a run is refused")
        end()
        for _ in range(3):
            tac("publish")
        tac("run")
        with bucket_server(folder / "again.log", port=port):
            tac("run")
        _show(console)
        server.shutdown()
    found = Counter((one["store"], one["cause"], one["state"]) for one in _SHOWN)
    table = Table("store", "cause", "told", "told as over", box=None, pad_edge=False)
    for store, cause in sorted({(store, cause) for store, cause, _ in found}):
        table.add_row(store, cause, str(found[store, cause, "open"]), str(found[store, cause, "over"]))
    console.print(table)
    distinct = len({one["id"] for one in _SHOWN})
    console.print(f"{len(_SHOWN)} messages, {distinct} of them different")
    causes = {(one["cause"], one["state"]) for one in _SHOWN}
    whole = causes == {
        (cause, state) for cause in ("failed", "held", "drift", "unreadable", "upload") for state in ("open", "over")
    }
    even = all(found[store, cause, "open"] == found[store, cause, "over"] for store, cause, _ in found)
    return whole and even and distinct == len(_SHOWN)


_SHOWN: list[dict[str, Any]] = []


def _show(console: Console) -> None:
    """Print what was told since the last time."""
    new, _Told.told = _Told.told, []
    for one in new:
        console.print(f"  {one['state']:<4} {one['title']}: {one['sentence'][:110]}", soft_wrap=True, markup=False)
    _SHOWN.extend(new)


def _kill_within(runner: Runner, settings: Path) -> None:
    """Start a run, and kill it within its first steps."""
    locks = settings.parent / "data/left/.runs"
    known = set(locks.glob("*.lock"))
    process, _ = runner.start("run", "-s", str(settings))
    while process.exitcode is None and set(locks.glob("*.lock")) <= known:
        time.sleep(0.005)
    time.sleep(0.3)
    process.kill()
    process.join()


def _picture_store(folder: Path) -> Path:
    from tac_pipeline.demo.picture_store import draw_store

    draw_store(folder / "pictures", 100, size=64, workers=1)
    (folder / "nouns.txt").write_text(
        "\n".join(["boat", "cat", "house", "apple", "airplane", "tree"]), encoding="utf-8"
    )
    path = folder / "pictures.yaml"
    path.write_text(
        "store: pictures\nimages: {source: pictures}\nencoder: {model: tac-small, pretrained: drawn}\n"
        "nouns: {source: nouns.txt}\nclusters: {count: 4}\nalerts: {webhook: env:HOOK_OF_BENCHMARK}\n"
        "schedule: {observe: null, recluster: null, refresh: false}\n",
        encoding="utf-8",
    )
    return path


WAYS: dict[str, tuple[Callable[[Path, int, int], bool], int]] = {"kills": (kills, 60), "alerts": (alerts, 1)}


def main() -> int:
    """Run one kind of trial, and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=WAYS)
    parser.add_argument("--count", type=int)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    way, usual = WAYS[arguments.kind]
    folder = Path(tempfile.mkdtemp())
    try:
        return 0 if way(folder, arguments.count or usual, arguments.seed) else 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
