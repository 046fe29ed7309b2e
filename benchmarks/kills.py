"""Is a store safe from being killed at any moment?

    python -m benchmarks.kills [--pictures 5000] [--kills 20] [--seed 0] [--folder FOLDER] [--json FILE]

First it runs a store of drawn pictures undisturbed, in its own process. Then, many times, it starts with an empty
store, kills the process with SIGKILL at a random moment, and runs again. After each kill it checks that the next run
succeeds; that its result equals the undisturbed one (the same images, hashes and rows, vectors of cosine 0.9999 or
more); that no image of a finished shard was encoded again; that Dagster takes no dead run for a living one; and that
automation requests exactly the growth steps when another image comes. The exit code is 1 if any check fails.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import dagster as dg
import numpy as np
import numpy.typing as npt
import polars as pl
from rich.console import Console
from rich.table import Table

from assets.engine.execute import open_store
from assets.graph import GROWTH
from assets.images import IMAGE_STORE
from assets.orchestration.build import build_definitions
from assets.orchestration.dagster_internals import data_version_tags
from assets.orchestration.instance import prepare_home
from assets.orchestration.metadata import asset_key
from assets.orchestration.publishing import PUBLISHED
from benchmarks.drawn_store import write_settings
from tac_pipeline.demo.picture_store import draw_store
from tac_pipeline.method.clusters.evaluation import score
from tac_pipeline.settings.project import Project
from tac_pipeline.store.shards import gather_vectors

SAME_COSINE = 0.9999
UNFINISHED = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]


@dataclass(frozen=True)
class Result:
    """The result of a store: its images, their vectors, and their groups."""

    images: pl.DataFrame
    vectors: npt.NDArray[np.float32]
    groups: pl.DataFrame


@dataclass
class Kill:
    """One kill and the run after it.

    Attributes
    ----------
    after : float
        Seconds from the start of the process to its death.
    finished_rows : int
        Images in finished shards at that moment.
    encoded_again : int
        Images that are in two shards at the end: they were in a finished shard and were encoded again.
    least_cosine : float
        The least cosine of a vector to the undisturbed run's.
    agreement : float
        Adjusted Rand index of the groups to the undisturbed run's. Not judged, because training continues from vectors
        that may differ in their last bits.
    """

    after: float
    step: str = ""
    finished_rows: int = 0
    encoded_again: int = 0
    least_cosine: float = 0.0
    agreement: float = 0.0
    seconds: float = 0.0
    problems: list[str] = field(default_factory=list)


def tac_run(project: Project, *, kill_after: float | None = None) -> tuple[int, float, str]:
    """Run `tac run` in its own process and kill it after some seconds: exit code, seconds, and last finished step."""
    command = [sys.executable, "-m", "tac_pipeline.cli", "run", "--settings", str(project.path)]
    started = time.monotonic()
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            process.wait(timeout=kill_after)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        seconds = time.monotonic() - started
        output.seek(0)
        text = output.read()
    done = [line.split()[1] for line in text.splitlines() if line.strip().startswith(("computed", "reused"))]
    return process.returncode, seconds, done[-1] if done else "nothing"


def result_of(project: Project) -> Result:
    """The contents of a store's current artifacts."""
    store = open_store(project)
    embedded = store.require_current("image_embeddings").artifact
    view = pl.read_parquet(embedded.file("image_embeddings.parquet")).sort("image_id")
    vectors = gather_vectors(view, store.shards_folder, encoder=embedded.facts["encoder"])
    assigned = store.require_current("assignments").artifact
    groups = pl.read_parquet(assigned.file("assignments.parquet")).select("image_id", "cluster_id").sort("image_id")
    return Result(view.select("image_id", "content_hash", "width", "height", "error"), vectors, groups)


def shard_rows(project: Project) -> int:
    """Rows of all finished shards."""
    shards = open_store(project).shards_folder.glob("*/[!.]*.parquet")
    return sum(pl.scan_parquet(path).select(pl.len()).collect().item() for path in shards)


def automation_requests(project: Project) -> set[str]:
    """The assets that automation requests when the source's listing changes."""
    defs, names = build_definitions(project.path), set()
    with dg.DagsterInstance.get() as instance:
        quiet = dg.evaluate_automation_conditions(defs, instance)
        instance.report_runless_asset_event(
            dg.AssetObservation(asset_key(IMAGE_STORE, project), tags=data_version_tags(f"other {time.time_ns()}"))
        )
        asked = dg.evaluate_automation_conditions(defs, instance, cursor=quiet.cursor)
        for key in build_definitions(project.path).resolve_all_asset_keys():
            if asked.get_num_requested(key):
                names.add(key.path[-1])
    return names


def living_runs(project: Project) -> int:
    """The runs of a store that Dagster takes for living."""
    with dg.DagsterInstance.get() as instance:
        return len(instance.get_runs(dg.RunsFilter(statuses=UNFINISHED, tags={"tac/store": project.settings.store})))


def kill_once(project: Project, after: float, undisturbed: Result) -> Kill:
    """Kill a run after some seconds, run again, and check."""
    _, seconds, step = tac_run(project, kill_after=after)
    kill = Kill(seconds, step, finished_rows=shard_rows(project))
    code, kill.seconds, _ = tac_run(project)
    if code:
        kill.problems.append(f"the next run ended with {code}")
        return kill
    found = result_of(project)
    kill.encoded_again = shard_rows(project) - len(found.images)
    kill.least_cosine = float(np.einsum("nd,nd->n", found.vectors, undisturbed.vectors).min())
    kill.agreement = score(undisturbed.groups["cluster_id"].to_list(), found.groups["cluster_id"].to_numpy()).ari
    if not found.images.equals(undisturbed.images):
        kill.problems.append("other images, hashes or rows")
    if kill.least_cosine < SAME_COSINE:
        kill.problems.append("other vectors")
    if kill.encoded_again:
        kill.problems.append("images of a finished shard were encoded again")
    if living_runs(project):
        kill.problems.append("a dead run is taken for a living one")
    asked = automation_requests(project)
    if asked != {*(step.name for step in GROWTH), PUBLISHED}:
        kill.problems.append(f"automation asks for {sorted(asked)}")
    return kill


def show(kills: Sequence[Kill], n_pictures: int) -> Table:
    """One row per kill."""
    shown = Table(
        "killed after",
        "last step done",
        "rows in shards",
        "encoded again",
        "next run",
        "least cosine",
        "groups (ARI)",
        "",
        box=None,
        pad_edge=False,
    )
    for kill in kills:
        shown.add_row(
            f"{kill.after:.1f} s",
            kill.step,
            f"{kill.finished_rows:,} of {n_pictures:,}",
            str(kill.encoded_again),
            f"{kill.seconds:.1f} s",
            f"{kill.least_cosine:.6f}",
            f"{kill.agreement:.3f}",
            f"[red]{'; '.join(kill.problems)}" if kill.problems else "right",
        )
    return shown


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; 0 if every kill was survived."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kills", description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=int, default=5_000, metavar="N")
    parser.add_argument("--kills", type=int, default=20, metavar="N")
    parser.add_argument("--seed", type=int, default=0, metavar="N")
    parser.add_argument("--folder", type=Path, metavar="FOLDER", help="kept; a temporary one if not given")
    parser.add_argument("--json", type=Path, metavar="FILE", help="all figures")
    asked = parser.parse_args(arguments)
    console, generator = Console(width=150), random.Random(asked.seed)
    with tempfile.TemporaryDirectory(prefix="tac-kills-") as scratch:
        folder = (asked.folder or Path(scratch)).absolute()
        draw_store(folder / "pictures", asked.pictures)
        whole = write_settings(folder, store="undisturbed")
        prepare_home(whole)
        tac_run(whole)  # the nouns, which all stores share
        shutil.rmtree(whole.store_folder)
        code, seconds, _ = tac_run(whole)
        if code:
            raise SystemExit("the undisturbed run failed")
        console.print(f"undisturbed: {seconds:.1f} s for {asked.pictures:,} pictures")
        undisturbed, kills = result_of(whole), []
        for number in range(asked.kills):
            project = write_settings(folder, store=f"killed-{number}")
            kills.append(kill_once(project, generator.uniform(0, seconds), undisturbed))
            shutil.rmtree(project.store_folder, ignore_errors=True)
            console.print(f"{number + 1}: {kills[-1].after:.1f} s, {'; '.join(kills[-1].problems) or 'right'}")
    console.print(show(kills, asked.pictures))
    right = sum(not kill.problems for kill in kills)
    console.print(f"{right} of {len(kills)} kills survived")
    if asked.json is not None:
        asked.json.write_text(json.dumps([asdict(kill) for kill in kills], indent=2) + "\n", encoding="utf-8")
    return 0 if right == len(kills) else 1


if __name__ == "__main__":
    sys.exit(main())
