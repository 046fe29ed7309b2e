"""Can a store be left alone? It is killed, run twice at once, put on a full disk, and looked at a thousand times.

    python -m benchmarks.campaign kills [--count 200]    SIGKILL at a random moment of a random operation
    python -m benchmarks.campaign races [--count 20]     two and three first runs at once
    python -m benchmarks.campaign full [--count 20]      a disk with ever less room (as root: it is mounted in memory)
    python -m benchmarks.campaign looks [--count 1000]   looks that find nothing, and a tenth as many growth runs

Every store has a twin that nothing happens to. After each trial the same command is given again; the trial is right
when it then succeeds, readers have exactly what the twin's have, every asset is fresh, and nothing half-written is
left. A trace on the terminal is wrong everywhere. The exit code is 1 if anything is wrong.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table

GROUPS, PER_GROUP, DIM = 3, 40, 16
MODULES = ["assets.orchestration.in_process", "tac_pipeline.cli.running", "assets.lookups.readiness", "torch"]
# What writers leave while they write, by the names that they give it.
HALF_WRITTEN = (".scratch/*", "**/.building-*", "**/.*.parquet-*", "**/.*.json-*", "**/.*.yaml-*")
SETTINGS = """\
store: {store}
images: {{source: images.parquet}}
nouns: {{source: nouns.parquet}}
clusters: {{count: {groups}}}
semantic_centers: {{images_per_center: 10}}
neighbors: {{count: 5}}
retrieval: {{tau: 0.005}}
schedule: {{observe: null, recluster: null, refresh: false}}
"""


@dataclass
class Trials:
    """What came of many trials."""

    tried: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    traces: int = 0
    reads: int = 0

    def note(self, kind: str, problems: Sequence[str], outputs: Sequence[str]) -> None:
        """Enter a trial; its outputs are searched for traces."""
        self.tried[kind] += 1
        self.traces += sum("Traceback" in text for text in outputs)
        if problems:
            self.wrong.append(f"{kind} {self.tried[kind]}: {'; '.join(problems)}")
            for text in outputs:
                sys.stderr.write(f"--- {kind}\n{text[-3000:]}\n")

    def show(self, console: Console) -> bool:
        """Print the figures; True when all was right."""
        bad = Counter(text.split()[0] for text in self.wrong)
        table = Table("trial", "tried", "right", box=None, pad_edge=False)
        for kind, tried in sorted(self.tried.items()):
            table.add_row(kind, str(tried), str(tried - bad[kind]))
        console.print(table)
        console.print(f"traces seen: {self.traces}; tables read meanwhile: {self.reads:,}")
        for text in self.wrong:
            console.print(text, soft_wrap=True)
        return not self.wrong and not self.traces


def vectors(count: int, seed: int) -> np.ndarray:
    """Vectors of GROUPS groups in turn, float16 (count, DIM)."""
    generator = np.random.default_rng(seed)
    found = np.eye(DIM)[np.arange(count) % GROUPS] + 0.08 * generator.normal(size=(count, DIM))
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float16)


def write_rows(path: Path, key: str, names: list[str], rows: np.ndarray) -> None:
    """A table of vectors, in one move."""
    column = pa.FixedSizeListArray.from_arrays(pa.array(rows.reshape(-1)), DIM)
    pq.write_table(pa.table({key: names, "embedding": column}), path.with_suffix(".next"))
    path.with_suffix(".next").rename(path)


def write_images(folder: Path, count: int) -> None:
    """The first `count` images of an endless store."""
    write_rows(
        folder / "images.parquet", "image_id", [f"image-{n:05d}" for n in range(count)], vectors(5000, 0)[:count]
    )


def make_store(folder: Path, *, store: str = "left", count: int = GROUPS * PER_GROUP) -> Path:
    """A store with its nouns and settings; the settings' path."""
    folder.mkdir(parents=True, exist_ok=True)
    write_images(folder, count)
    write_rows(folder / "nouns.parquet", "noun", [f"thing {number}" for number in range(15)], vectors(15, 7))
    path = folder / f"{store}.yaml"
    path.write_text(SETTINGS.format(store=store, groups=GROUPS), encoding="utf-8")
    return path


def _command(arguments: list[str], log: str, home: str | None) -> None:
    """The body of a process: one command, as the console script runs it."""
    for name in [name for name in os.environ if name.startswith(("DAGSTER", "TAC_"))]:
        del os.environ[name]
    if home is not None:
        os.environ["DAGSTER_HOME"] = home
    sink = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for number in (1, 2):
        os.dup2(sink, number)
    sys.argv = ["tac", *arguments]
    from tac_pipeline.cli import main

    main()


class Runner:
    """Starts commands in processes that have imported everything already."""

    def __init__(self, logs: Path, *, more: Sequence[str] = ()) -> None:
        logs.mkdir(parents=True, exist_ok=True)
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload([*MODULES, *more])
        self._logs, self._number = logs, 0

    def start(self, *arguments: str, home: Path | None = None) -> tuple[BaseProcess, Path]:
        """A command that runs; and the file that holds what it prints."""
        self._number += 1
        log = self._logs / f"{self._number}.txt"
        process = self._context.Process(target=_command, args=(list(arguments), str(log), home and str(home)))
        process.start()
        return process, log

    def run(self, *arguments: str, kill_after: float | None = None, home: Path | None = None) -> tuple[int, str, float]:
        """A command from start to end, or to its death: exit code, what it printed, seconds."""
        started = time.monotonic()
        process, log = self.start(*arguments, home=home)
        process.join(kill_after)
        if process.exitcode is None:
            process.kill()
            process.join()
        assert process.exitcode is not None
        return process.exitcode, log.read_text(errors="replace") if log.exists() else "", time.monotonic() - started


def differences(settings: Path, twin: Path) -> list[str]:
    """What keeps a store from being as good as its twin."""
    from assets.lookups.status import State, all_status
    from tac_pipeline.settings.project import load_project

    found = []
    for name in ("assignments", "clusters"):
        ours, theirs = (pl.read_parquet(_latest(path) / f"{name}.parquet") for path in (settings, twin))
        if not ours.equals(theirs):
            found.append(f"readers have other {name}")
    stale = [status.step.name for status in all_status(load_project(settings)) if status.state != State.FRESH]
    if stale:
        found.append(f"not fresh: {', '.join(stale)}")
    data = settings.parent / "data"
    left = [str(path.relative_to(data)) for pattern in HALF_WRITTEN for path in (data / settings.stem).glob(pattern)]
    return [*found, *(f"left behind: {path}" for path in left)]


def _latest(settings: Path) -> Path:
    """The newest version's own folder: polars opens a path twice, and the link may be replaced between."""
    return (settings.parent / "data" / settings.stem / "published/latest").resolve()


@contextmanager
def reading(settings: Path, trials: Trials) -> Iterator[None]:
    """Readers that read without a pause; what they cannot read is wrong."""
    ended = threading.Event()

    def read() -> None:
        while not ended.is_set():
            try:
                table = pl.read_parquet(_latest(settings) / "assignments.parquet")
                if table["cluster_id"].null_count():
                    trials.wrong.append("reader: an image without a group")
                trials.reads += 1
            except FileNotFoundError:
                time.sleep(0.01)  # nothing is published yet
            except (pl.exceptions.PolarsError, OSError) as error:
                trials.wrong.append(f"reader: {error}")
            time.sleep(0.002)

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def kills(folder: Path, count: int, seed: int, trials: Trials) -> None:
    """Kill operations at random moments, and give the same commands again."""
    runner, chance = Runner(folder / "logs"), random.Random(seed)
    settings, twin = make_store(folder / "ours"), make_store(folder / "twin")
    images = GROUPS * PER_GROUP
    usual = {"run": 3.0}
    kinds = ("first run", "growth", "settings", "recluster", "set", "publish")
    with reading(settings, trials):
        for number in range(count):
            kind = kinds[number % len(kinds)]
            commands = [["run"]]
            if kind == "first run":
                for path in (settings, twin):
                    shutil.rmtree(path.parent / "data", ignore_errors=True)
            elif kind == "growth":
                images += 2
                for path in (settings, twin):
                    write_images(path.parent, images)
            elif kind == "recluster":
                commands = [["run", "--recluster"]]
            elif kind in ("settings", "set"):
                commands = [["set", f"retrieval.tau={0.005 + 0.0001 * number:.4f}"], ["run"]]
            elif kind == "publish":
                commands = [["run", "--select", "clusters,report"], ["publish"]]
            for command in commands:
                code, said, usual[kind + command[0]] = runner.run(*command, "-s", str(twin))
                if code:
                    raise SystemExit(f"the twin's {command} failed:\n{said}")
            outputs, problems = [], []
            killed = commands[0] if kind == "set" else commands[-1]
            for command in commands:
                if command is killed:
                    moment = chance.uniform(0.02, usual[kind + command[0]])
                    outputs.append(runner.run(*command, "-s", str(settings), kill_after=moment)[1])
                code, said, _ = runner.run(*command, "-s", str(settings))
                outputs.append(said)
                problems += [f"{command[0]} exits with {code}"] if code else []
            trials.note(kind.replace(" ", "-"), [*problems, *differences(settings, twin)], outputs)


def races(folder: Path, count: int, seed: int, trials: Trials) -> None:
    """First runs at once: of one store, and of stores that share a data folder."""
    del seed
    runner = Runner(folder / "logs")
    twin = make_store(folder / "twin")
    if runner.run("run", "-s", str(twin))[0]:
        raise SystemExit("the twin's run failed")
    for number in range(count):
        place = folder / f"trial-{number}"
        many = 2 + number % 4 // 2
        names = ["left"] * many if number % 2 else [f"left{one}" for one in range(many)]
        paths = [make_store(place, store=name) for name in dict.fromkeys(names)]
        started = [runner.start("run", "-s", str(place / f"{name}.yaml")) for name in names]
        outputs, problems = [], []
        for process, log in started:
            process.join(300)
            outputs.append(log.read_text(errors="replace"))
            if process.exitcode != 0:
                problems.append(f"exits with {process.exitcode}")
        for path in paths:
            if not problems:
                code, said, _ = runner.run("run", "-s", str(path))
                outputs.append(said)
                problems += [f"the next run exits with {code}"] if code else differences(path, twin)
        trials.note("one-store" if number % 2 else "shared-folder", problems, outputs)
        shutil.rmtree(place)


def full(folder: Path, count: int, seed: int, trials: Trials) -> None:
    """Runs on a disk with ever less room; Dagster's home is there too, or elsewhere."""
    del seed
    runner, twin = Runner(folder / "logs"), make_store(folder / "twin")
    if runner.run("run", "-s", str(twin))[0]:
        raise SystemExit("the twin's run failed")
    size = sum(path.stat().st_size for path in (folder / "twin/data").rglob("*") if path.is_file())
    disk = folder / "disk"
    disk.mkdir()
    for number in range(count):
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(disk)], check=True)
        try:
            home = folder / f"home-{number}" if number % 2 else None
            settings = make_store(disk)
            grows = number % 4 // 2
            if grows:
                runner.run("run", "-s", str(settings), home=home)
                write_images(twin.parent, GROUPS * PER_GROUP + 2)
                runner.run("run", "-s", str(twin))
                write_images(disk, GROUPS * PER_GROUP + 2)
            room = int(size * (0.3 if grows else 1.0) * number / count)
            filler = disk / "filler"
            with filler.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, max(shutil.disk_usage(disk).free - room, 1))
            code, said, _ = runner.run("run", "-s", str(settings), home=home)
            filler.unlink()
            problems = [] if code in (0, 1) else [f"exits with {code}"]
            if code == 1 and "error: " not in said:
                problems.append("it failed without a sentence")
            code, again, _ = runner.run("run", "-s", str(settings), home=home)
            problems += [f"the next run exits with {code}"] if code else differences(settings, twin)
            kind = f"{'growth' if grows else 'first-run'},{'home-elsewhere' if home else 'home-there'}"
            trials.note(kind, problems, [said, again])
        finally:
            subprocess.run(["umount", "-l", str(disk)], check=True)
        write_images(twin.parent, GROUPS * PER_GROUP)
        shutil.rmtree(twin.parent / "data")
        runner.run("run", "-s", str(twin))


def looks(folder: Path, count: int, seed: int, trials: Trials) -> None:
    """Looks that find nothing and growth runs, with the history kept small as the daemon keeps it."""
    del seed
    import dagster as dg

    from assets.orchestration.build import build_definitions
    from assets.orchestration.dagster_internals import find_job
    from assets.orchestration.in_process import run_job
    from assets.orchestration.instance import prepare_home
    from assets.orchestration.upkeep.history import DAY, prune_history
    from tac_pipeline.settings.project import load_project

    settings = make_store(folder / "looks")
    runner = Runner(folder / "logs")
    if runner.run("run", "-s", str(settings))[0]:
        raise SystemExit("the first run failed")
    project = load_project(settings)
    console, shown = Console(), Table("after", "files", "KiB", "of history", box=None, pad_edge=False)

    def weigh(when: str) -> None:
        data = settings.parent / "data"
        sizes = {path: path.stat().st_size for path in data.rglob("*") if path.is_file()}
        books = sum(size for path, size in sizes.items() if ".dagster" in path.parts)
        shown.add_row(when, f"{len(sizes):,}", f"{sum(sizes.values()) // 1024:,}", f"{books // 1024:,}")

    with dg.DagsterInstance.from_config(str(prepare_home(project))) as instance:
        job, quiet = (
            find_job(build_definitions(settings), "observe"),
            {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        )
        weigh("the first run")
        for number in range(1, count + 1):
            job.execute_in_process(instance=instance, run_config=quiet)
            prune_history(project, instance)
            if number in (10, count // 2, count):
                weigh(f"{number:,} looks")
        for number in range(1, count // 10 + 1):
            write_images(settings.parent, GROUPS * PER_GROUP + number)
            run_job(project, "grow", listener=lambda _: None)
            # As if each were a day later than the one before.
            prune_history(project, instance, now=time.time() + number * DAY)
            if number in (10, 35, count // 20, count // 10):
                weigh(f"{number:,} growth runs")
    console.print(shown)
    trials.note("looks", [], [])


WAYS: dict[str, tuple[Callable[[Path, int, int, Trials], None], int]] = {
    "kills": (kills, 200),
    "races": (races, 20),
    "full": (full, 20),
    "looks": (looks, 1000),
}


def main() -> int:
    """Run one kind of trial, and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=WAYS)
    parser.add_argument("--count", type=int)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    way, usual = WAYS[arguments.kind]
    trials = Trials()
    with tempfile.TemporaryDirectory() as folder:
        way(Path(folder), arguments.count or usual, arguments.seed, trials)
    return 0 if trials.show(Console()) else 1


if __name__ == "__main__":
    sys.exit(main())
