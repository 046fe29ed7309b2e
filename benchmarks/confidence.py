"""Does a confidence mean what it says? On real CLIP vectors with labels, which serve for the scores alone.

    python -m benchmarks.confidence [--tables food10 demo] [--seeds 0 1 2] [--methods robust trained] [--settings FILE]

For each set and method, means over seeds in %: the images with a confidence of 0.9 or more, how many of them are in the
cluster of their class, how many are of the commonest class of their cluster (a class may fill several clusters), and
the expected calibration error in points.
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table
from sklearn.base import clone

from benchmarks.rival_goals import BEFORE
from benchmarks.rivals import DEMO, SEEDS, Store, read_stores
from tac_pipeline.method.clusters.reliability import Reliability, measure_reliability


def measure(store: Store, method: str, seed: int) -> Reliability:
    """The reliability of one fit."""
    images = store.table.image_embeddings
    fitted = clone(store.product).set_params(method=method, random_state=seed)
    fitted.fit(images, nouns=store.nouns, noun_embeddings=store.noun_embeddings)
    return measure_reliability(store.table.labels, fitted.labels_, fitted.predict_confidence(images))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    every = [*BEFORE, DEMO]
    parser.add_argument("--tables", nargs="+", choices=every, default=every, metavar="NAME")
    parser.add_argument("--seeds", nargs="+", type=int, default=SEEDS, metavar="N")
    parser.add_argument("--methods", nargs="+", default=["robust", "trained"])
    parser.add_argument("--settings", type=Path, default=Path("tac.yaml"), metavar="FILE", help="of the demo")
    asked = parser.parse_args()
    console = Console(width=120)
    table = Table("set", "method", "0.9 or more", "of them right", "commonest class", "calibration error")
    errors: dict[str, list[float]] = {method: [] for method in asked.methods}
    for store in read_stores(asked.tables, asked.settings, partial(console.print, style="yellow")):
        for method in asked.methods:
            runs = [measure(store, method, seed) for seed in asked.seeds]
            shown = [(run.sure, run.sure_right, run.sure_pure, run.calibration_error) for run in runs]
            sure, right, pure, error = 100 * np.nanmean(shown, axis=0)
            errors[method].append(error)
            table.add_row(store.table.name, method, f"{sure:.0f}", f"{right:.1f}", f"{pure:.1f}", f"{error:.1f}")
            console.print(f"{store.table.name}, {method}: done", style="dim")
    for method, found in errors.items():
        table.add_row("mean", method, "", "", "", f"{np.mean(found):.1f}" if found else "")
    console.print(table)


if __name__ == "__main__":
    main()
