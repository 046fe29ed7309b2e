"""What does the first run on one's own photographs cost, stage by stage?

    python -m benchmarks.first_hour [--images 10000] [--precision int8] [--shortlist all] [--folder F] [--json FILE]

Cuts photographs out of the reference photographs until there are enough, and runs everything on them as a new user
would: ViT-B/32 in its true size (with random weights, because the speed is the same and no weights must be fetched),
all of WordNet's nouns, K found. Prints each stage's minutes, and which steps they went to. `--shortlist all` encodes
every noun in every template, as versions before the shortlist did. The exit code is 1 if the run fails.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table

from assets.graph import STEPS
from benchmarks.drawn_store import Run, write_settings
from benchmarks.drawn_store import run as run_steps
from benchmarks.reference_data import reference_folder
from tac_pipeline.first_run.cost import machine

STAGES = {
    "images": {"image_manifest", "image_labels", "image_embeddings", "training_set"},
    "nouns": {"candidate_nouns", "noun_embeddings", "noun_shortlist"},
    "page, map and tree": {"map_layout", "image_map", "cluster_tree", "review", "report", "clusters", "evaluation"},
}
LEARNING = "groups"
JPEG_QUALITY = 90


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark and print the table; the exit code is the program's."""
    asked = _parse(arguments)
    console = Console()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(asked.folder or scratch)
        _cut_photographs(folder / "photographs", asked.images)
        changes: dict[str, Any] = {
            "images": {"source": "photographs", "labels": "none"},
            "encoder.model": "ViT-B-32-quickgelu",
            "encoder.pretrained": "random",
            "clusters.count": "auto",
        }
        if asked.precision:
            changes["encoder.precision"] = asked.precision
        if asked.shortlist:
            changes["vocabulary.shortlist"] = asked.shortlist
        project = write_settings(folder, store="first_hour", changes=changes)
        found = run_steps(project, STEPS)
    if not found.ok:
        console.print(f"the run failed: {found.failures}")
        return 1
    _show(console, asked.images, found)
    if asked.json:
        Path(asked.json).write_text(json.dumps({"seconds": found.seconds, "steps": found.steps}, indent=1))
    return 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--precision", choices=["float", "int8"])
    parser.add_argument("--shortlist", type=lambda text: text if text == "all" else int(text))
    parser.add_argument("--folder", help="where the store is made; a temporary folder if not given")
    parser.add_argument("--json")
    return parser.parse_args(arguments)


def _cut_photographs(folder: Path, count: int) -> None:
    """Pieces of the reference photographs, 60 to 100 % of each side, in files like a camera's small ones."""
    photographs = sorted((reference_folder().parent / "imagenette").glob("*/*.JPEG"))
    generator = np.random.default_rng(0)
    for number in range(count):
        path = folder / f"{number // 1000:03d}" / f"{number:06d}.jpg"
        if path.exists():
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        with Image.open(photographs[number % len(photographs)]) as whole:
            width, height = (round(side * generator.uniform(0.6, 1)) for side in whole.size)
            left, upper = (
                generator.integers(0, whole.width - width + 1),
                generator.integers(0, whole.height - height + 1),
            )
            piece = whole.convert("RGB").crop((left, upper, left + width, upper + height))
        piece.save(path, quality=JPEG_QUALITY)


def _show(console: Console, n_images: int, found: Run) -> None:
    def stage_of(step: str) -> str:
        return next((stage for stage, steps in STAGES.items() if step in steps), LEARNING)

    table = Table(title=f"{n_images:,} photographs, {machine()}")
    for name in ("stage", "minutes", "of which"):
        table.add_column(name, justify="right" if name == "minutes" else "left")
    for stage in ("images", "nouns", LEARNING, "page, map and tree"):
        own = {step: seconds for step, (_, seconds) in found.steps.items() if stage_of(step) == stage}
        slow = sorted(own.items(), key=lambda item: -item[1])[:3]
        shown = ", ".join(f"{step} {seconds:.1f} s" for step, seconds in slow)
        table.add_row(stage, f"{sum(own.values()) / 60:.1f}", shown)
    table.add_row("everything", f"{found.seconds / 60:.1f}", "by the clock, with starting and publishing")
    console.print(table)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    console.print(f"peak memory of the process: {peak:.1f} GB")


if __name__ == "__main__":
    sys.exit(main())
