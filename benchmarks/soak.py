"""A day in the life of a store that nobody looks after, faster: `tac ui` with its daemon, hour after hour.

    python -m benchmarks.soak [--looks 96] [--folder FOLDER]

96 looks at the source are 24 hours of the default schedule; here one follows the other when no run has gone on for so
long that automation, which looks every 15 seconds, has had its turn. An image comes with every fourth look. In between
the settings are edited twice in a row, a learning is terminated, one cannot succeed until the settings are mended, the
process of one is killed, and the store is learned again. It prints, for every simulated hour, the memory of each
process, the files and bytes of the data folder, and the runs by status; and after how many looks readers had each new
image. The exit code is 1 if an image took more than two looks, if a trace was printed, or if something is not fresh at
the end.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import polars as pl
from rich.console import Console
from rich.table import Table

from benchmarks.campaign import GROUPS, PER_GROUP, make_store, write_images

LOOKS_PER_HOUR = 4
MOST_LOOKS = 2
START_SECONDS, SETTLE_SECONDS, QUIET_SECONDS = 180.0, 900.0, 20.0
# The first look builds the store; what happens at which look after it.
EDITS = {
    20: [["retrieval.tau=0.01"], ["semantic_centers.images_per_center=12"]],
    40: [["seed=11"]],
    56: [["clusters.count=5000"]],
    62: [[f"clusters.count={GROUPS}"]],
    72: [["heads.epochs=41"]],
}
TERMINATED, KILLED, LEARNED = 40, 72, 84
ENDED = ("SUCCESS", "FAILURE", "CANCELED")
RUNS = "{ runsOrError(limit: 1000) { ... on Runs { results { runId status jobName assetSelection { path } } } } }"
STALE = "{ assetNodes { assetKey { path } isMaterializable staleStatus } }"
STOP = "mutation Stop($run: String!) { terminateRun(runId: $run) { __typename } }"
LAUNCH = """
mutation Go($params: ExecutionParams!) { launchRun(executionParams: $params) {
__typename ... on LaunchRunSuccess { run { runId } } } }
"""
RUN_STATUS = "query Run($run: ID!) { runOrError(runId: $run) { ... on Run { status } } }"
REPOSITORY = """
{ workspaceOrError { ... on Workspace { locationEntries { name locationOrLoadError { ... on RepositoryLocation {
repositories { name } } } } } } }
"""


class Soak:
    """A store with its UI, and what is measured of both."""

    def __init__(self, settings: Path, url: str, server: int) -> None:
        self.settings, self.url, self.server = settings, url, server
        self.images = GROUPS * PER_GROUP
        self.waiting: dict[str, int] = {}
        self.delays: list[int] = []
        self.table = Table("hour", "processes, MiB", "files", "MiB", "runs", box=None, pad_edge=False)
        [entry] = self.ask(REPOSITORY)["workspaceOrError"]["locationEntries"]
        self.location = entry["name"]
        self.repository = entry["locationOrLoadError"]["repositories"][0]["name"]

    def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        """The data of a GraphQL answer."""
        return ask(self.url, query, **variables)

    def runs(self) -> list[dict[str, Any]]:
        """Every run that the history has, the newest first."""
        found: list[dict[str, Any]] = self.ask(RUNS)["runsOrError"]["results"]
        return found

    def launch(self, job: str) -> None:
        """Start a job, as its schedule would."""
        selector = {
            "repositoryName": self.repository,
            "repositoryLocationName": self.location,
            "jobName": job,
        }
        self.ask(LAUNCH, params={"selector": selector, "runConfigData": {}, "mode": "default"})

    def look(self, number: int) -> None:
        """What happens between one look and the next."""
        if number % LOOKS_PER_HOUR == 1:
            self.images += 1
            write_images(self.settings.parent, self.images)
            self.waiting[f"image-{self.images - 1:05d}"] = number
        for edit in EDITS.get(number, []):
            tac(self.settings, "set", *edit)
        if number == LEARNED:
            self.launch("recluster")
        if number in (TERMINATED, KILLED):
            self.stop_learning(kill=number == KILLED)
        self.launch("observe")
        self.settle(QUIET_SECONDS)
        have = set(self.published())
        for image in [image for image in self.waiting if image in have]:
            self.delays.append(number - self.waiting.pop(image) + 1)

    def stop_learning(self, *, kill: bool) -> None:
        """Terminate the learning that an edit asked for, or kill its process."""
        ends = time.monotonic() + SETTLE_SECONDS
        while time.monotonic() < ends:
            going = [run for run in self.runs() if run["assetSelection"] and run["status"] == "STARTED"]
            holder = self.settings.parent / "data/left/.lock-holder"
            if going and not kill:
                self.ask(STOP, run=going[0]["runId"])
                return
            if going and holder.exists():
                with suppress(ProcessLookupError, ValueError):
                    os.kill(int(holder.read_text()), signal.SIGKILL)
                return
            time.sleep(0.2)

    def settle(self, quiet: float) -> None:
        """Wait until no run has gone on for some seconds."""
        started = since = time.monotonic()
        while time.monotonic() - started < SETTLE_SECONDS:
            if any(run["status"] not in ENDED for run in self.runs()):
                since = time.monotonic()
            elif time.monotonic() - since > quiet:
                return
            time.sleep(1)

    def published(self) -> list[str]:
        """The images that readers have."""
        path = (self.settings.parent / "data/left/published/latest").resolve() / "assignments.parquet"
        return pl.read_parquet(path)["image_id"].to_list() if path.exists() else []

    def stale(self) -> list[str]:
        """The assets that are not fresh, but for the training set, which may be older than the newest images."""
        nodes = self.ask(STALE)["assetNodes"]
        names = [
            node["assetKey"]["path"][-1]
            for node in nodes
            if node["isMaterializable"] and node["staleStatus"] != "FRESH"
        ]
        return [name for name in names if name != "training_set"]

    def weigh(self, hour: int) -> None:
        """Enter a row of the table."""
        sizes = [path.stat().st_size for path in (self.settings.parent / "data").rglob("*") if path.is_file()]
        statuses = Counter(run["status"] for run in self.runs())
        shown = ", ".join(f"{count} {status}" for status, count in sorted(statuses.items()))
        memory = ", ".join(str(found) for found in sorted(resident(self.server), reverse=True))
        self.table.add_row(str(hour), memory, f"{len(sizes):,}", f"{sum(sizes) / 2**20:.1f}", shown)


def ask(url: str, query: str, **variables: Any) -> dict[str, Any]:
    """The data of a GraphQL answer of a UI."""
    body = json.dumps({"query": query, "variables": variables}).encode()
    request = urllib.request.Request(f"{url}/graphql", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=300) as answer:
        data: dict[str, Any] = json.load(answer)["data"]
        return data


def resident(group: int) -> list[int]:
    """MiB of memory of every process of a session."""
    found = []
    for status in Path("/proc").glob("[0-9]*/status"):
        with suppress(OSError):
            if os.getsid(int(status.parent.name)) == group:
                match = re.search(r"VmRSS:\s+(\d+)", status.read_text())
                found += [int(match[1]) // 1024] if match else []
    return found


def tac(settings: Path, *arguments: str) -> None:
    """A command that must succeed."""
    command = [sys.executable, "-m", "tac_pipeline.cli", *arguments, "-s", str(settings)]
    subprocess.run(command, check=True, capture_output=True, text=True)


@contextmanager
def serving(options: Sequence[str], log: Path) -> Iterator[tuple[str, int]]:
    """`tac ui` with some options: its address, and its session."""
    command = [sys.executable, "-m", "tac_pipeline.cli", "ui", *options, "--port", "3117"]
    with log.open("wb") as sink:
        process = subprocess.Popen(command, stdout=sink, stderr=subprocess.STDOUT, start_new_session=True)
    url, ends = "http://127.0.0.1:3117", time.monotonic() + START_SECONDS
    try:
        while time.monotonic() < ends:
            with suppress(OSError), urllib.request.urlopen(f"{url}/server_info", timeout=5):
                break
            time.sleep(0.5)
        yield url, process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def main() -> int:
    """Live through the day, and print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--looks", type=int, default=96)
    parser.add_argument("--folder", type=Path)
    arguments = parser.parse_args()
    console = Console()
    with tempfile.TemporaryDirectory() as made:
        folder = arguments.folder or Path(made)
        settings = make_store(folder)
        text = (
            settings.read_text()
            .replace("observe: null", 'observe: "* * * * *"')
            .replace("refresh: false", "refresh: true")
        )
        settings.write_text(text + "method: trained\nheads: {epochs: 40, batch_size: 20}\n")
        log = folder / "ui.log"
        with serving(["-s", str(settings)], log) as (url, server):
            soak = Soak(settings, url, server)
            for number in range(arguments.looks + 1):
                soak.look(number)
                if number % LOOKS_PER_HOUR == 0:
                    soak.weigh(number // LOOKS_PER_HOUR)
            soak.settle(60)
            stale = soak.stale()
        traces = log.read_text(errors="replace").count("Traceback")
    console.print(soak.table)
    late = [delay for delay in soak.delays if delay > MOST_LOOKS]
    console.print(
        f"new images: {len(soak.delays)} read after {Counter(soak.delays)} looks; never: {sorted(soak.waiting)}"
    )
    console.print(f"not fresh at the end: {stale or 'nothing'}; traces in the log: {traces}")
    return 1 if late or soak.waiting or stale or traces else 0


if __name__ == "__main__":
    sys.exit(main())
