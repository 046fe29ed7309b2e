"""What verification costs: a pass over shards with and without it, and a growth run of this code and of another.

    python -m benchmarks.checksums pass
    python -m benchmarks.checksums growth --other ../an-older-checkout

CPU seconds of one process, the two in turns; the ratio of the medians.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

DIM, ROWS, SHARDS = 512, 4096, 12
IMAGES, NEW = 40_000, 400
SETTINGS = """\
store: measured
images: {source: images.parquet}
nouns: {source: nouns.parquet}
clusters: {count: 5}
training_set: {max_images: 2000}
"""


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["pass", "growth", "grow-once"])
    parser.add_argument("--other", type=Path, help="the checkout to compare with")
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--turns", type=int, default=7)
    arguments = parser.parse_args()
    if arguments.what == "grow-once":
        print(json.dumps(_grow_once(arguments.folder)))
        return
    print(_processor())
    with tempfile.TemporaryDirectory() as folder:
        if arguments.what == "pass":
            _compare_passes(Path(folder), arguments.turns)
        else:
            _compare_growth(Path(folder), arguments.other, arguments.turns)


def _compare_passes(folder: Path, turns: int) -> None:
    import polars as pl
    import pyarrow.parquet as pq

    from tac_pipeline.arrays import unit_rows
    from tac_pipeline.store.parquet import add_table
    from tac_pipeline.store.schemas import EMBEDDING_SHARD
    from tac_pipeline.store.shards import gather_vectors

    generator, views = np.random.default_rng(0), []
    for shard in range(SHARDS):
        ids = [f"folder/image-{shard}-{row}.jpg" for row in range(ROWS)]
        rest = {"width": [1] * ROWS, "height": [1] * ROWS, "error": [None] * ROWS, "note": [None] * ROWS}
        columns = {"image_id": ids, "version": ids, "content_hash": ids, **rest}
        vectors = unit_rows(generator.normal(size=(ROWS, DIM)).astype(np.float32))
        path = add_table(folder / "e", EMBEDDING_SHARD, {**columns, "embedding": vectors}, encoder="e")
        placed = pl.DataFrame({"row": range(ROWS)}, schema={"row": pl.Int32})
        views.append(placed.with_columns(shard=pl.lit(f"e/{path.name}"), error=pl.lit(None, pl.String)))
    view, read = pl.concat(views), pq.read_table

    def gather(*, verified: bool) -> None:
        def chosen(*arguments: Any, **named: Any) -> Any:
            return read(*arguments, **{**named, "page_checksum_verification": verified})

        pq.read_table = chosen
        gather_vectors(view, folder, encoder="e")
        pq.read_table = read

    ways = {"without verification": partial(gather, verified=False), "with": partial(gather, verified=True)}
    print(f"{SHARDS} shards of {ROWS:,} vectors of {DIM}: gather_vectors")
    _print_turns(_in_turns(ways, turns))


def _in_turns(ways: dict[str, Callable[[], None]], turns: int) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(turns + 1):
        for name, act in ways.items():
            started = time.process_time()
            act()
            if turn:  # the first reads from the disk
                found[name].append(time.process_time() - started)
    return found


def _compare_growth(folder: Path, other: Path, turns: int) -> None:
    checkouts = {"the other": other.absolute(), "this": Path(__file__).absolute().parents[1]}
    found: dict[str, list[float]] = {name: [] for name in checkouts}
    for turn in range(turns + 1):
        for name, checkout in checkouts.items():
            own = folder / name.replace(" ", "-")
            environment = {**os.environ, "PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"}
            command = [sys.executable, str(Path(__file__).absolute()), "grow-once", "--folder", str(own)]
            run = subprocess.run(command, env=environment, cwd=checkout, capture_output=True, text=True, check=True)
            if turn:
                found[name].append(json.loads(run.stdout.splitlines()[-1]))
    print(f"growth by {NEW:,} images of a store of {IMAGES:,}")
    _print_turns(found)


def _grow_once(folder: Path) -> float:
    """Build the store if it is not there, and let it grow; CPU seconds of the growth."""
    import polars as pl

    from assets.engine.execute import execute
    from assets.graph import GROWTH, STEPS
    from tac_pipeline.settings.project import load_project

    first = not folder.exists()
    folder.mkdir(exist_ok=True)
    grown = len(list(folder.glob("grown-*")))
    count = IMAGES + NEW * grown
    generator = np.random.default_rng(0)
    centers = generator.normal(size=(5, DIM))
    vectors = centers[np.arange(count) % 5] + generator.normal(size=(count, DIM))
    table = {"image_id": [f"image-{number:07d}" for number in range(count)], "embedding": vectors.astype(np.float32)}
    pl.DataFrame(table).write_parquet(folder / "images.parquet")
    (folder / f"grown-{grown}").touch()
    if first:
        nouns = {"noun": [f"noun {number}" for number in range(60)], "embedding": vectors[:60].astype(np.float32)}
        pl.DataFrame(nouns).write_parquet(folder / "nouns.parquet")
        (folder / "tac.yaml").write_text(SETTINGS, encoding="utf-8")
    project = load_project(folder / "tac.yaml")
    started = time.process_time()
    for step in STEPS if first else GROWTH:
        execute(step, project)
    return time.process_time() - started


def _print_turns(found: dict[str, list[float]]) -> None:
    names = list(found)
    for name, own in found.items():
        print(f"  {name}: {median(own):.3f} CPU s (median of {len(own)}, {min(own):.3f} the least)")
    print(f"  ratio {median(found[names[1]]) / median(found[names[0]]):.3f}")


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines() if Path("/proc/cpuinfo").exists() else []
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown processor")


if __name__ == "__main__":
    main()
