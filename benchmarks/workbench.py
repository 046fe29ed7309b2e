"""What the workbench takes with a million images: seconds, bytes, memory, and frames a second of its map.

    python -m benchmarks.workbench [--rows 1000000] [--groups 2000] [--folder FOLDER] [--json FILE]

Makes a store of made-up vectors by an ordinary run (`benchmarks/made_store.py`), serves it by `tac open`, and uses it
in a Chromium without a graphics card. A second store has 100,000 images, for the map alone. The exit code is 1 if that
map draws fewer than 30 frames a second. A folder that is given is kept, with its stores as they were made; what is
served is a copy.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from assets.engine.execute import open_store
from assets.lookups.status import steps_to_run
from benchmarks.drawn_store import run
from benchmarks.made_store import make_store
from tac_pipeline.settings.project import Project, load_project

if TYPE_CHECKING:
    from playwright.sync_api import CDPSession, Page

CHROMIUMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
WINDOW = {"width": 1300, "height": 900}
SMALL_MAP, SMALL_GROUPS = 100_000, 400
LEAST_FRAMES = 30.0
MOVED = 1_000
FRAMES = 90
READY = "html:not([data-busy])"
# The next frame shows what the last event asked for; half of them go one way, and half back.
DRIVE = """async ([kind, frames]) => {
  const canvas = document.querySelector(".map canvas");
  const [x, y] = [canvas.clientWidth / 2, canvas.clientHeight / 2];
  const frame = () => new Promise(requestAnimationFrame);
  const started = await frame();
  let last = started;
  let longest = 0;
  for (let n = 0; n < frames; n += 1) {
    const on = n < frames / 2;
    const key = on ? "ArrowLeft" : "ArrowRight";
    const wheel = { deltaY: on ? -40 : 40, clientX: x, clientY: y };
    canvas.dispatchEvent(kind === "pan" ? new KeyboardEvent("keydown", { key }) : new WheelEvent("wheel", wheel));
    const now = await frame();
    longest = Math.max(longest, now - last);
    last = now;
  }
  return [frames / ((last - started) / 1000), longest];
}"""
ACT = """async ([group, to, count]) => {
  const ask = async (path, body) => {
    const headers = { "content-type": "application/json" };
    const options = body && { method: "POST", headers, body: JSON.stringify(body) };
    const told = await (await fetch(path, options)).json();
    if (told.error) throw new Error(told.error);
    return told;
  };
  const store = await ask("/api/store");
  let done = { do: "undo", what: {} };
  if (group !== null) {
    const { images } = await ask(`/api/group/${group}?count=${count}`);
    done = { do: "move", what: { to, images: images.map((image) => image.id) } };
  }
  const started = performance.now();
  await ask("/api/actions", { ...done, seen: store.seen });
  const entered = performance.now();
  while ((await ask(`/api/store?known=${store.known}`)).waiting) await new Promise((later) => setTimeout(later, 100));
  return [(entered - started) / 1000, (performance.now() - started) / 1000];
}"""


class Bench:
    """Figures by name, in the order in which they were measured."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.found: dict[str, tuple[float, str]] = {}

    def tell(self, name: str, value: float, unit: str) -> None:
        """Keep and print a figure."""
        self.found[name] = value, unit
        self.console.print(f"{name}: {value:,.2f} {unit}")

    def timed(self, name: str, work: Callable[[], object]) -> None:
        """Keep the seconds of a piece of work."""
        started = time.perf_counter()
        work()
        self.tell(name, time.perf_counter() - started, "s")


def made(folder: Path, *, rows: int, groups: int, bench: Bench) -> Project:
    """A made-up store with its result."""
    project = make_store(folder, rows=rows, groups=groups)
    if open_store(project).current("report") is None:
        done = run(project, steps_to_run(project))
        if not done.ok:
            raise SystemExit(f"the run failed: {done.failures}")
        bench.tell(f"an ordinary run of {rows:,} images", done.seconds, "s")
    return project


@contextmanager
def opened(project: Project, bench: Bench) -> Iterator[tuple[str, int]]:
    """`tac open` on a store: its link, and the id of its process."""
    log = project.path.parent / "open.log"
    command = [sys.executable, "-m", "tac_pipeline.cli", "open", "--no-browser", "--settings", str(project.path)]
    started = time.perf_counter()
    with log.open("wb") as sink:
        process = subprocess.Popen(command, stdout=sink, stderr=subprocess.STDOUT)
    try:
        while (link := re.search(r"http://\S+token=\S+", log.read_text())) is None:
            if process.poll() is not None:
                raise SystemExit(log.read_text())
            time.sleep(0.02)
        bench.tell("from `tac open` to its link", time.perf_counter() - started, "s")
        yield link[0], process.pid
    finally:
        os.kill(process.pid, signal.SIGINT)
        process.wait(timeout=60)


class Window:
    """A page in a Chromium, with the bytes that it was sent."""

    def __init__(self, page: Page, browser: CDPSession) -> None:
        self.page, self._browser = page, browser
        self._bytes = 0.0
        network = page.context.new_cdp_session(page)
        network.send("Network.enable")
        network.on("Network.loadingFinished", self._loaded)

    def _loaded(self, told: dict[str, Any]) -> None:
        self._bytes += told["encodedDataLength"]

    def sent(self) -> float:
        """Megabytes since it was last asked."""
        self.page.wait_for_timeout(200)
        found, self._bytes = self._bytes / 1e6, 0.0
        return found

    def memory(self) -> float:
        """Megabytes of the processes that show pages: what is theirs, with their share of what they have in common."""
        processes = self._browser.send("SystemInfo.getProcessInfo")["processInfo"]
        return sum(_pss(int(each["id"])) for each in processes if each["type"] == "renderer")

    def drive(self, kind: str) -> tuple[float, float]:
        """Frames a second of the map, and the longest frame in milliseconds; pan, or zoom."""
        rate, longest = self.page.evaluate(DRIVE, [kind, FRAMES])
        return rate, longest


def _pss(process: int) -> float:
    text = Path(f"/proc/{process}/smaps_rollup").read_text()
    found = re.search(r"^Pss:\s+(\d+)", text, re.MULTILINE)
    return 0.0 if found is None else int(found[1]) / 1000


def _status(process: int, name: str) -> float:
    found = re.search(rf"^{name}:\s+(\d+)", Path(f"/proc/{process}/status").read_text(), re.MULTILINE)
    return 0.0 if found is None else int(found[1]) / 1000


def _cpu(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def window() -> Iterator[Window]:
    """A Chromium that paints without a graphics card, as on a server."""
    from playwright.sync_api import sync_playwright

    path = next((found for name in CHROMIUMS if (found := shutil.which(name))), None)
    if path is None:
        raise SystemExit("no Chromium on the PATH")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport=WINDOW)  # type: ignore[arg-type]
        page.set_default_timeout(300_000)
        page.on("pageerror", lambda error: print(f"the page failed: {error}", file=sys.stderr))
        yield Window(page, browser.new_browser_cdp_session())
        browser.close()


def measure_wall(bench: Bench, seen: Window, link: str, server: int) -> None:
    """The first look: the cards, a group."""
    page = seen.page
    bench.timed("to the first card", lambda: (page.goto(link), page.locator("a.card").first.wait_for()))
    bench.tell("sent for the wall", seen.sent(), "MB")
    bench.tell("memory of the server with the wall", _status(server, "VmRSS"), "MB")
    bench.tell("memory of the page with the wall", seen.memory(), "MB")

    def open_group() -> None:
        page.locator("a.card").first.click()
        page.locator(".grid .tile > *").first.wait_for()

    bench.timed("to the first images of a group", open_group)


def measure_map(bench: Bench, seen: Window, server: int, rows: int) -> None:
    """The map: to its first picture, and its frames."""
    page, of = seen.page, f"of the map of {rows:,}"
    seen.sent()

    def open_map() -> None:
        page.locator("#views a[data-view=map]").click()
        page.locator(".legend-entry").first.wait_for()
        page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")

    bench.timed(f"to the first picture {of}", open_map)
    bench.tell(f"sent {of}", seen.sent(), "MB")
    bench.tell(f"memory of the server {of}", _status(server, "VmRSS"), "MB")
    bench.tell(f"memory of the page {of}", seen.memory(), "MB")
    for kind in ("pan", "zoom"):
        found = [seen.drive(kind) for _ in range(3)]
        rate, longest = sorted(found)[1]
        bench.tell(f"{kind} {of}", rate, "frames/s")
        bench.tell(f"{kind} {of}, longest frame", longest, "ms")


def measure_moves(bench: Bench, seen: Window, project: Project, server: int) -> None:
    """Moves of a thousand images, and undoing them; where their seconds go."""
    page, store = seen.page, open_store(project)
    groups = page.evaluate("async () => (await (await fetch('/api/store')).json()).groups.map((group) => group.id)")
    for turn, (from_, to) in enumerate(((groups[0], groups[1]), (groups[2], groups[3])), start=1):
        review, cpu = store.require_current("review").artifact.recipe, _cpu(server)
        entered, done = page.evaluate(ACT, [from_, to, MOVED])
        bench.tell(f"move {turn} of {MOVED:,} images: in the log", entered, "s")
        bench.tell(f"move {turn} of {MOVED:,} images: in the tables", done, "s")
        bench.tell(f"move {turn} of {MOVED:,} images: CPU of the server", _cpu(server) - cpu, "s")
        # What follows when nobody acts: the next move is not to wait for it.
        while store.require_current("review").artifact.recipe == review:
            time.sleep(0.2)
        page.wait_for_timeout(10_000)
    for name in ("corrections", "assignments", "clusters", "cluster_tree", "review"):
        seconds = store.require_current(name).artifact.record["seconds"]
        bench.tell(f"of the second move: {name}", seconds, "s")
    for _ in range(2):
        page.evaluate(ACT, [None, None, 0])


def measure_lasso(bench: Bench, seen: Window) -> None:
    """An outline around the middle of the map, then a move of all that is in it, and undoing that."""
    page = seen.page
    page.get_by_role("button", name="Show all").click()
    page.get_by_role("button", name="Lasso").click()
    box = page.locator(".map canvas").bounding_box()
    assert box is not None
    x, y, far = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, box["height"] / 3.6
    page.mouse.move(x + far, y)
    page.mouse.down()
    for step in range(1, 60):
        page.mouse.move(x + far * math.cos(step / 9.5), y + far * math.sin(step / 9.5))
    seen.sent()
    bench.timed("an outline: to what is chosen", lambda: (page.mouse.up(), page.locator("#selection").wait_for()))
    many = int(page.locator("#selection > span").first.inner_text().split()[0].replace(",", ""))
    bench.tell("an outline: chosen", many, "images")
    bench.tell("an outline: sent", seen.sent(), "MB")
    bench.tell("an outline: memory of the page", seen.memory(), "MB")
    bench.tell("pan with what is chosen marked", seen.drive("pan")[0], "frames/s")

    def move() -> None:
        page.get_by_role("button", name="Move to…").click()
        page.keyboard.press("Enter")
        page.wait_for_selector("html[data-busy]")
        page.wait_for_selector(READY)

    bench.timed(f"a move of {many:,} images: in the tables", move)
    bench.tell("sent after it", seen.sent(), "MB")
    page.evaluate(ACT, [None, None, 0])


def show(bench: Bench) -> Table:
    """One row per figure."""
    shown = Table("figure", "value", box=None, pad_edge=False)
    for name, (value, unit) in bench.found.items():
        shown.add_row(name, f"{value:,.2f} {unit}" if value < 1_000 else f"{value:,.0f} {unit}")
    return shown


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; 0 if the map is fast enough."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.workbench", description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000, metavar="N")
    parser.add_argument("--groups", type=int, default=2_000, metavar="N")
    parser.add_argument("--folder", type=Path, metavar="FOLDER", help="kept; a temporary one if not given")
    parser.add_argument("--json", type=Path, metavar="FILE", help="all figures")
    asked = parser.parse_args(arguments)
    bench = Bench(Console(width=120))
    with tempfile.TemporaryDirectory(prefix="tac-workbench-") as scratch:
        folder = (asked.folder or Path(scratch)).absolute()
        small = made(folder / "small", rows=SMALL_MAP, groups=SMALL_GROUPS, bench=bench)
        with opened(small, bench) as (link, server), window() as seen:
            seen.page.goto(link)
            seen.page.locator("a.card").first.wait_for()
            measure_map(bench, seen, server, SMALL_MAP)
        large = made(folder / "large", rows=asked.rows, groups=asked.groups, bench=bench)
        shutil.copytree(large.path.parent, Path(scratch) / "served", symlinks=True)
        served = load_project(Path(scratch) / "served" / large.path.name)
        with opened(served, bench) as (link, server), window() as seen:
            measure_wall(bench, seen, link, server)
            measure_map(bench, seen, server, asked.rows)
            measure_moves(bench, seen, served, server)
            measure_lasso(bench, seen)
            bench.tell("most memory of the server", _status(server, "VmHWM"), "MB")
    bench.console.print()
    bench.console.print(show(bench))
    if asked.json is not None:
        asked.json.write_text(json.dumps(bench.found, indent=2) + "\n")
    slow = [
        name
        for name, (value, unit) in bench.found.items()
        if unit == "frames/s" and f"{SMALL_MAP:,}" in name and value < LEAST_FRAMES
    ]
    for name in slow:
        bench.console.print(f"{name}: must be at least {LEAST_FRAMES:g} frames/s", style="red")
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
