"""What do a first run and the usual changes cost a store of so many images: CPU seconds, memory, bytes written?

    python -m benchmarks.scale [--rows 100000] [--groups 500] [--folder FOLDER] [--json FILE] [--steps] [--runs 0]

Makes a store of made-up vectors of width 64 (`benchmarks/made_store.py`). Then it changes one thing after the other:
nothing, one new image, 1 % new images, 1 % deleted, and it is learned again. Each run is a process of its own, as a
schedule starts them (the jobs `grow` and `recluster`). `listing` says how much of a run the list of images takes.
`--runs 100` goes on with so many runs of one new image each, and prints what they leave in every folder.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table

from assets.engine.execute import open_store
from assets.graph import STEPS
from assets.images import open_project_source
from assets.lookups.status import steps_to_run
from assets.orchestration.upkeep.unfinished import GROW, RECLUSTER
from benchmarks.drawn_store import run
from benchmarks.made_store import make_store, new_images
from tac_pipeline.settings.editing import edit_settings
from tac_pipeline.settings.project import Project, load_project

SOURCE = "images"  # a folder of tables: what comes is a table more


@dataclass
class Cost:
    """What one process cost.

    Attributes
    ----------
    cpu, wall : float
        Seconds.
    memory : float
        Its most resident memory, in MB; pages of mapped files count.
    written : float
        Handed to the system to be written, in MB.
    steps : dict of asset to (computed | reused, seconds)
    """

    cpu: float
    wall: float
    memory: float
    written: float
    steps: dict[str, tuple[str, float]] = field(default_factory=dict)

    def __str__(self) -> str:
        return (
            f"{self.cpu:.1f} CPU s, {self.wall:.1f} s, {self.memory:,.0f} MB of memory, {self.written:,.1f} MB written"
        )


def made(folder: Path, *, rows: int, groups: int) -> Project:
    """The store, with a source that can grow by files."""
    project = make_store(folder, rows=rows, groups=groups)
    alone, first = folder / "images.parquet", folder / SOURCE / "part-000.parquet"
    if alone.exists():
        first.parent.mkdir(exist_ok=True)
        alone.rename(first)
        edit_settings(project.path, {"images.source": SOURCE})
    return load_project(project.path)


def grow_by(project: Project, count: int, *, name: str) -> None:
    """Add a table of new images to the source."""
    table = new_images(count, prefix=f"photographs/{name}", seed=len(name))
    pq.write_table(table, project.path.parent / SOURCE / f"{name}.parquet")


def delete(project: Project, share: float) -> None:
    """Delete a share of the first table's images, spread over the whole of it."""
    path = project.path.parent / SOURCE / "part-000.parquet"
    aside = path.with_suffix(".new")
    generator = np.random.default_rng(0)
    file = pq.ParquetFile(path)
    with pq.ParquetWriter(aside, file.schema_arrow) as writer:
        for batch in file.iter_batches():
            writer.write_batch(batch.filter(pa.array(generator.random(len(batch)) >= share)))
    aside.replace(path)


def act(settings: Path, what: str) -> None:
    """The work of one process; what each asset did goes to the standard output."""
    project = load_project(settings)
    steps = {}
    if what == "listing":
        open_project_source(project).listing()
    else:
        done = run(project, steps_to_run(project) if what == "all" else what)
        if not done.ok:
            raise SystemExit(f"the run failed: {done.failures}")
        steps = done.steps
    written = next(line for line in Path("/proc/self/io").read_text().splitlines() if line.startswith("wchar"))
    print(json.dumps({"steps": steps, "written": int(written.split()[1]) / 1e6}))


def cost_of(project: Project, what: str) -> Cost:
    """Run a process, and measure it."""
    command = [sys.executable, "-m", "benchmarks.scale", "--act", what, "--folder", str(project.path)]
    started = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    told = process.stdout.read()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{what}: the process ended with {process.returncode}")
    found = json.loads(told.splitlines()[-1])
    wall = time.monotonic() - started
    return Cost(used.ru_utime + used.ru_stime, wall, used.ru_maxrss / 1e3, found["written"], found["steps"])


def measure(project: Project, rows: int, console: Console) -> dict[str, Cost]:
    """Everything, in the order of the table."""
    changes: dict[str, tuple[Callable[[], object], str]] = {
        "first run": (lambda: None, "all"),
        "listing": (lambda: None, "listing"),
        "nothing new": (lambda: None, GROW),
        "one new image": (lambda: grow_by(project, 1, name="one"), GROW),
        "1 % new": (lambda: grow_by(project, rows // 100, name="hundredth"), GROW),
        "1 % deleted": (lambda: delete(project, 0.01), GROW),
        "relearn": (lambda: None, RECLUSTER),
    }
    found = {}
    for name, (change, what) in changes.items():
        change()
        found[name] = cost = cost_of(project, what)
        console.print(f"{rows:,} rows, {name}: {cost}")
    return found


def grow_often(project: Project, runs: int, console: Console) -> None:
    """So many runs of one new image each; prints what they wrote, and the size of every folder before and after."""
    folder = open_store(project).folder
    before, costs = folder_sizes(folder), []
    for number in range(runs):
        grow_by(project, 1, name=f"run-{number:03d}")
        costs.append(cost_of(project, GROW))
    for name, part in (("first", costs[: runs // 10 or 1]), ("all", costs), ("last", costs[-(runs // 10 or 1) :])):
        figures = {key: statistics.median(getattr(cost, key) for cost in part) for key in ("cpu", "wall", "memory")}
        written = statistics.median(cost.written for cost in part)
        console.print(f"one new image, median of the {name} {len(part)} runs: {Cost(**figures, written=written)}")
    after = folder_sizes(folder)
    shown = Table("folder", "MB before", "MB after", "files before", "files after", box=None, pad_edge=False)
    for name in sorted(after.keys() | before.keys(), key=lambda name: -after.get(name, (0, 0))[0]):
        (size, files), (size_after, files_after) = before.get(name, (0, 0)), after.get(name, (0, 0))
        if max(size, size_after) >= 1e5:
            shown.add_row(name, f"{size / 1e6:,.1f}", f"{size_after / 1e6:,.1f}", f"{files:,}", f"{files_after:,}")
    console.print(shown)


def folder_sizes(folder: Path) -> dict[str, tuple[int, int]]:
    """Bytes on the disk and files of a store, and in each of its folders; a file with several names counts once."""
    found, seen = {folder.name: (0, 0)}, set()
    for path in sorted(folder.rglob("*")):
        stat = path.lstat()
        if not path.is_file() or path.is_symlink() or stat.st_ino in seen:
            continue
        seen.add(stat.st_ino)
        for name in (folder.name, path.relative_to(folder).parts[0]):
            size, files = found.get(name, (0, 0))
            found[name] = (size + stat.st_size, files + 1)
    return found


def show_steps(found: dict[str, Cost]) -> Table:
    """One row per asset, one column per run: C computed, r reused, with the seconds."""
    runs = {name: cost for name, cost in found.items() if cost.steps}
    shown = Table("asset", *runs, box=None, pad_edge=False)
    for step in STEPS:
        done = [cost.steps.get(step.name, ("", 0.0)) for cost in runs.values()]
        if any(event for event, _ in done):
            cells = [f"{'C' if event == 'computed' else 'r'} {seconds:.2f}" if event else "" for event, seconds in done]
            shown.add_row(step.name, *cells)
    return shown


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=100_000, metavar="N")
    parser.add_argument("--groups", type=int, default=500, metavar="N")
    parser.add_argument("--folder", type=Path, metavar="FOLDER", help="kept; a temporary one if not given")
    parser.add_argument("--json", type=Path, metavar="FILE", help="all figures")
    parser.add_argument("--steps", action="store_true", help="the seconds of every asset too")
    parser.add_argument("--runs", type=int, default=0, metavar="N", help="so many runs of one new image each besides")
    parser.add_argument("--act", help=argparse.SUPPRESS)
    asked = parser.parse_args(arguments)
    if asked.act:
        act(asked.folder, asked.act)
        return 0
    console = Console(width=140)
    with tempfile.TemporaryDirectory(prefix="tac-scale-") as scratch:
        folder = (asked.folder or Path(scratch)).absolute()
        project = made(folder, rows=asked.rows, groups=asked.groups)
        found = measure(project, asked.rows, console)
        if asked.runs:
            grow_often(project, asked.runs, console)
    if asked.steps:
        console.print()
        console.print("seconds of every asset's step; C computed, r reused")
        console.print(show_steps(found))
    if asked.json is not None:
        asked.json.write_text(json.dumps({name: asdict(cost) for name, cost in found.items()}, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
