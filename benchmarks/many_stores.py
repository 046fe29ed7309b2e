"""Many stores in one deployment: what loading them takes, in one code location or in many, and what their looks take.

    python -m benchmarks.many_stores [--stores 50] [--apart 5] [--built 5] [--looks 10] [--folder FOLDER]

`together` is `tac ui --folder` on all stores; `apart` is `tac ui -s ONE -s OTHER ...` on a few, one code location each.
Both are loaded and nothing is built. Then a few stores are built, and served together: what the daemon and its code
server take while nothing happens, and what a look takes that finds nothing, the process of its run included. Nothing
else is measured; the day of all stores is computed from it, 96 looks a store, and printed as computed.

The figures are CPU seconds and MiB of the processes below `tac ui`, by what they are.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from assets.orchestration.automation import STORES_AT_FULL_PACE
from benchmarks.campaign import make_store
from benchmarks.soak import ENDED, LAUNCH, RUN_STATUS, ask, serving, tac

LOADED = """
{ workspaceOrError { ... on Workspace { locationEntries { locationOrLoadError { __typename
... on RepositoryLocation { repositories { name } } } } } } }
"""
KINDS = {"api grpc": "code server", "code-server": "its keeper", "assets.serving.daemon": "daemon", "serving": "server"}
LOOKS_A_DAY, DAY = 96, 86_400.0
WARM_SECONDS, IDLE_SECONDS = 240.0, 300.0
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Used:
    """CPU seconds, those of ended children included, and MiB resident, by the kind of process."""

    cpu: dict[str, float]
    memory: dict[str, int]

    @property
    def seconds(self) -> float:
        """CPU seconds of all of them."""
        return sum(self.cpu.values())

    def told(self) -> str:
        """In one line."""
        kinds = sorted(self.cpu, key=lambda kind: -self.cpu[kind])
        each = ", ".join(f"{kind} {self.cpu[kind]:.1f} s and {self.memory[kind]:,} MiB" for kind in kinds)
        return f"{self.seconds:.1f} CPU s and {sum(self.memory.values()):,} MiB: {each}"


def used(session: int) -> Used:
    """What the processes of a session have used, and hold."""
    cpu: dict[str, float] = {}
    memory: dict[str, int] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, IndexError):
            if os.getsid(int(folder.name)) != session:
                continue
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            kind = next((name for part, name in KINDS.items() if part in command), "others")
            cpu[kind] = cpu.get(kind, 0.0) + sum(int(field) for field in fields[11:15]) / TICKS
            memory[kind] = memory.get(kind, 0) + int(fields[21]) * os.sysconf("SC_PAGE_SIZE") // 2**20
    return Used(cpu, memory)


@contextmanager
def loaded(options: list[str], log: Path) -> Iterator[tuple[str, int, int]]:
    """A UI that has loaded all its stores: its address, its session, and the number of stores."""
    with serving(options, log) as (url, session):
        entries: list[dict[str, Any]] = []
        while not entries or any(entry["locationOrLoadError"] is None for entry in entries):
            time.sleep(0.5)
            entries = ask(url, LOADED)["workspaceOrError"]["locationEntries"]
        yield url, session, sum(len(entry["locationOrLoadError"]["repositories"]) for entry in entries)


def look(url: str, repository: str) -> None:
    """One look at the source of a store, from its request to the end of its run."""
    selector = {"repositoryName": repository, "repositoryLocationName": "stores", "jobName": "observe"}
    started = ask(url, LAUNCH, params={"selector": selector, "runConfigData": {}, "mode": "default"})
    run = started["launchRun"]["run"]["runId"]
    while ask(url, RUN_STATUS, run=run)["runOrError"]["status"] not in ENDED:
        time.sleep(0.5)


def make_stores(folder: Path, count: int) -> list[Path]:
    """The settings files of some small stores in one folder, which nobody looks at unasked."""
    paths = [make_store(folder, store=f"store-{number:02d}") for number in range(count)]
    for path in paths:
        path.write_text(path.read_text().replace("refresh: false", "refresh: true"))
    return paths


def history(folder: Path) -> float:
    """MiB of the history of runs."""
    return sum(path.stat().st_size for path in (folder / "data/.dagster").rglob("*") if path.is_file()) / 2**20


def main() -> int:
    """Measure, and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("stores", 50), ("apart", 5), ("built", 5), ("looks", 10)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--folder", type=Path)
    arguments = parser.parse_args()
    console = Console(soft_wrap=True, highlight=False)
    with tempfile.TemporaryDirectory() as made:
        place = arguments.folder or Path(made)
        place.mkdir(parents=True, exist_ok=True)
        paths = make_stores(place / "many", arguments.stores)
        for name, options in (
            ("together", ["--folder", str(place / "many")]),
            ("apart", [option for path in paths[: arguments.apart] for option in ("-s", str(path))]),
        ):
            began = time.monotonic()
            with loaded(options, place / f"{name}.log") as (_, session, stores):
                seconds = time.monotonic() - began
                console.print(f"{name}: {stores} stores loaded after {seconds:.0f} s, {used(session).told()}")
        few = make_stores(place / "few", arguments.built)
        for path in few:
            tac(path, "run")
        with loaded(["--folder", str(place / "few")], place / "few.log") as (url, session, stores):
            for path in few:
                look(url, path.stem.replace("-", "_"))
            time.sleep(WARM_SECONDS)
            before, size = used(session).seconds, history(place / "few")
            time.sleep(IDLE_SECONDS)
            idle = (used(session).seconds - before) / IDLE_SECONDS
            console.print(f"idle: {stores} built stores, {idle:.3f} CPU s a second, {used(session).told()}")
            before, began = used(session).seconds, time.monotonic()
            for number in range(arguments.looks):
                look(url, few[number % stores].stem.replace("-", "_"))
            spent = used(session).seconds - before - idle * (time.monotonic() - began)
            grown = history(place / "few") - size
            console.print(
                f"looks: {arguments.looks}, {spent / arguments.looks:.2f} CPU s and "
                f"{grown / arguments.looks * 1024:.0f} KiB of history each, before it is pruned"
            )
        # Beyond STORES_AT_FULL_PACE, all stores of a location together are looked at as often as these few.
        day = idle * DAY * STORES_AT_FULL_PACE / min(stores, STORES_AT_FULL_PACE)
        looks = spent / arguments.looks * LOOKS_A_DAY * arguments.stores
        console.print(
            f"computed: a day of {arguments.stores} stores, {LOOKS_A_DAY * arguments.stores:,} looks: {looks:,.0f} CPU "
            f"s of looks and {day:,.0f} of sensors, {(looks + day) / DAY:.2f} cores"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
