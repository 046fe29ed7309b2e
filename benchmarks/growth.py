"""What do the usual changes of a store cost: growth, edits and undoing them, asset by asset?

    python -m benchmarks.growth [--pictures 20000] [--folder FOLDER] [--json FILE]

Draws a store, runs it, and changes one thing after the other: nothing, +1 % images, 1 % deleted, 1 % replaced, tau
changed, tau back, K changed, and one new image through the job `grow`. For each it prints the seconds and what every
asset did. The exit code is 1 if +1 % costs 5 % of the first run's embedding or more, if tau back takes 2 s of step
time or more, or if something was computed that should not have been.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from assets.engine.execute import open_store
from assets.graph import GROWTH, STEPS, descendants, find
from assets.lookups.status import steps_to_run
from benchmarks.drawn_store import Run, replace_pictures, run, write_settings
from tac_pipeline.demo.kinds import KINDS
from tac_pipeline.demo.picture_store import draw_store, picture_path
from tac_pipeline.settings.editing import edit_settings
from tac_pipeline.settings.project import load_project

MAX_FOR_A_HUNDREDTH = 0.05  # of the first run's embedding time
MAX_FOR_GOING_BACK = 2.0  # seconds of step time
GROWN = {step.name for step in GROWTH}
TAU_DOWN = {step.name for step in descendants([find("text_counterparts")])}
COUNT_DOWN = {step.name for step in descendants([find("cluster_count")])}


class Benchmark:
    """A store, and the changes to it one after the other."""

    def __init__(self, folder: Path, n_pictures: int, console: Console) -> None:
        self.pictures, self.n_pictures, self.console = folder / "pictures", n_pictures, console
        self.project = write_settings(folder, store="growth")
        self.hundredth = max(n_pictures // 100, 1)
        self.runs: dict[str, Run] = {}
        self.encoded: dict[str, int] = {}

    def measure(self, name: str, change: Callable[[], object], *, job: str | None = None) -> None:
        """Make a change, run, and record the outcome."""
        change()
        self.project = load_project(self.project.path)
        before = self._embeddings()
        found = run(self.project, job if job else steps_to_run(self.project))
        if not found.ok:
            raise SystemExit(f"{name}: the run failed: {found.failures}")
        after = self._embeddings()
        self.runs[name] = found
        self.encoded[name] = 0 if after == before else after[1]
        self.console.print(
            f"{name}: {found.seconds:.1f} s ({found.step_seconds:.1f} s of step time), "
            f"{len(found.named('computed'))} computed, {len(found.named('reused'))} reused, "
            f"{self.encoded[name]:,} images read"
        )

    def _embeddings(self) -> tuple[str, int]:
        current = open_store(self.project).current("image_embeddings")
        return ("", 0) if current is None else (current.artifact.recipe, int(current.artifact.facts["computed"]))

    def set(self, key: str, value: object) -> None:
        """Edit the settings as `tac set` does."""
        edit_settings(self.project.path, {key: value})

    def everything(self) -> None:
        """All changes, in the order of the table."""
        n, part = self.n_pictures, self.hundredth
        self.measure("first run", lambda: draw_store(self.pictures, n))
        self.measure("nothing new", lambda: None)
        self.measure("+1 % images", lambda: draw_store(self.pictures, n + part))
        self.measure("1 % deleted", lambda: [(self.pictures / picture_path(i)).unlink() for i in range(part)])
        self.measure("1 % replaced", lambda: replace_pictures(self.pictures, range(part, 2 * part), offset=10_000_000))
        self.measure("tau changed", lambda: self.set("retrieval.tau", 0.006))
        self.measure("tau back", lambda: self.set("retrieval.tau", None))
        self.measure("K changed", lambda: self.set("clusters.count", len(KINDS) + 5))
        self.measure("one image, job grow", lambda: draw_store(self.pictures, n + part + 1), job="grow")

    def failures(self) -> list[str]:
        """The failed expectations, in words."""
        runs, found = self.runs, []
        embedding = {name: seconds_of(done, "image_embeddings") for name, done in runs.items()}
        share = embedding["+1 % images"] / embedding["first run"]
        if share >= MAX_FOR_A_HUNDREDTH:
            found.append(f"+1 % images must cost under {MAX_FOR_A_HUNDREDTH:.0%} of the first embedding; {share:.1%}")
        if runs["tau back"].step_seconds >= MAX_FOR_GOING_BACK:
            found.append(f"tau back must take under {MAX_FOR_GOING_BACK:g} s; {runs['tau back'].step_seconds:.1f} s")
        # The page says what changed since the version that was published in between: it is written again.
        allowed = {
            "first run": {step.name for step in STEPS},
            "nothing new": set(),
            "tau back": {"report"},
            "tau changed": TAU_DOWN,
            "K changed": COUNT_DOWN,
        }
        for name, done in runs.items():
            extra = done.named("computed") - allowed.get(name, GROWN)
            if extra:
                found.append(f"{name}: {', '.join(sorted(extra))} must not be computed")
        wanted = {
            "+1 % images": self.hundredth,
            "1 % deleted": 0,
            "1 % replaced": self.hundredth,
            "one image, job grow": 1,
        }
        found += [
            f"{name}: {count:,} images must be read; {self.encoded[name]:,} were"
            for name, count in wanted.items()
            if self.encoded[name] != count
        ]
        return found


def seconds_of(done: Run, asset: str) -> float:
    """Seconds that an asset's step took."""
    return done.steps[asset][1]


def show(runs: dict[str, Run]) -> Table:
    """One row per asset, one column per change: C computed, r reused, with the seconds."""
    shown = Table("asset", *runs, box=None, pad_edge=False)
    for step in STEPS:
        cells = []
        for done in runs.values():
            event, seconds = done.steps.get(step.name, ("", 0.0))
            cells.append(f"{'C' if event == 'computed' else 'r'} {seconds:.2f}" if event else "")
        shown.add_row(step.name, *cells)
    shown.add_row("step time", *(f"{done.step_seconds:.1f}" for done in runs.values()))
    shown.add_row("by the clock", *(f"{done.seconds:.1f}" for done in runs.values()))
    return shown


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; 0 if every expectation holds."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=int, default=20_000, metavar="N")
    parser.add_argument("--folder", type=Path, metavar="FOLDER", help="kept; a temporary one if not given")
    parser.add_argument("--json", type=Path, metavar="FILE", help="all figures")
    asked = parser.parse_args(arguments)
    console = Console(width=170)
    with tempfile.TemporaryDirectory(prefix="tac-growth-") as scratch:
        benchmark = Benchmark((asked.folder or Path(scratch)).absolute(), asked.pictures, console)
        benchmark.everything()
    console.print()
    console.print("seconds of every asset's step; C computed, r reused, blank: not in the run")
    console.print(show(benchmark.runs))
    failures = benchmark.failures()
    first, more = (seconds_of(benchmark.runs[name], "image_embeddings") for name in ("first run", "+1 % images"))
    console.print(f"+1 % images: {more:.2f} s of embedding, {more / first:.1%} of the first run's {first:.1f} s")
    for failure in failures:
        console.print(failure, style="red")
    if asked.json is not None:
        tree = {name: asdict(done) for name, done in benchmark.runs.items()}
        asked.json.write_text(json.dumps({"runs": tree, "images_read": benchmark.encoded}, indent=2) + "\n")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
