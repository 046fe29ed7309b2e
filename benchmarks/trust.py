"""Can groups be trusted? Confidence against labels, stability, and the ids that stay when a method takes over.

    python -m benchmarks.trust [--tables food10 demo] [--seeds 0 1 2] [--methods robust trained] [--settings FILE]

On real CLIP vectors with labels, and on the demo's pictures if `tac demo` has been run. For each set and method, means
over seeds in %: the images with a confidence of 0.9 or more; how many of them are in the cluster of their class, and
how many are of the commonest class of their cluster (a class may fill several); the calibration error in points; the
adjusted Rand index between seeds, and between the whole set and four fifths of it; and the images that keep their
cluster id when the first method takes over a store that the other had learned. Labels serve the first three alone.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table
from sklearn.base import clone
from sklearn.metrics import adjusted_rand_score

from benchmarks.rival_goals import BEFORE
from benchmarks.rivals import DEMO, SEEDS, Store, read_stores
from tac_pipeline.arrays import IntVector, unit_rows
from tac_pipeline.estimator import TextAidedClustering
from tac_pipeline.method.clusters.cluster_matching import Clustering, match_clusters
from tac_pipeline.method.clusters.reliability import Reliability, measure_reliability
from tac_pipeline.tensors import group_sums

PART = 0.8


@dataclass(frozen=True)
class Trust:
    """What came of one method on one set; labels is one assignment, int64 (n_images,), for each seed."""

    reliability: list[Reliability]
    labels: list[IntVector]
    of_part: float

    @property
    def between_seeds(self) -> float:
        """The mean adjusted Rand index of two seeds; NaN of one."""
        found = [adjusted_rand_score(one, other) for one, other in combinations(self.labels, 2)]
        return float(np.mean(found)) if found else float("nan")


def measure(store: Store, method: str, seeds: Sequence[int]) -> Trust:
    """Fit with every seed, and on a part of the images with the first."""
    images, labels = store.table.image_embeddings, store.table.labels

    def fit(seed: int, rows: IntVector) -> TextAidedClustering:
        fitted = clone(store.product).set_params(method=method, random_state=seed)
        return fitted.fit(images[rows], nouns=store.nouns, noun_embeddings=store.noun_embeddings)

    everything = np.arange(len(images))
    fits = [fit(seed, everything) for seed in seeds]
    part = np.sort(np.random.default_rng(0).permutation(len(images))[: round(PART * len(images))])
    return Trust(
        [measure_reliability(labels, fitted.labels_, fitted.predict_confidence(images)) for fitted in fits],
        [fitted.labels_ for fitted in fits],
        adjusted_rand_score(fits[0].labels_[part], fit(seeds[0], part).labels_),
    )


def kept_ids(store: Store, before: IntVector, after: IntVector) -> float:
    """The share of the images whose cluster continues the one that they were in."""
    sides = [
        Clustering(
            found,
            np.bincount(found),
            unit_rows(group_sums(store.table.image_embeddings, found, n_groups=int(found.max()) + 1)),
        )
        for found in (_compact(before), _compact(after))
    ]
    match = match_clusters(*sides, same_space=True)
    return float((match.old_of[sides[1].known] == sides[0].known).mean())


def _compact(assignment: IntVector) -> IntVector:
    found: IntVector = np.unique(assignment, return_inverse=True)[1].astype(np.int64)
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    every = [*BEFORE, DEMO]
    parser.add_argument("--tables", nargs="+", choices=every, default=every, metavar="NAME")
    parser.add_argument("--seeds", nargs="+", type=int, default=SEEDS, metavar="N")
    parser.add_argument("--methods", nargs="+", default=["robust", "trained"])
    parser.add_argument("--settings", type=Path, default=Path("tac.yaml"), metavar="FILE", help="of the demo")
    asked = parser.parse_args()
    console = Console(width=140)
    table = Table(
        *("set", "method", "0.9 or more", "of them right", "commonest class", "calibration error"),
        *("ARI of seeds", f"ARI with {PART:.0%}", "ids kept"),
    )
    errors: dict[str, list[float]] = {method: [] for method in asked.methods}
    for store in read_stores(asked.tables, asked.settings, partial(console.print, style="yellow")):
        first: Trust | None = None
        for method in asked.methods:
            found = measure(store, method, asked.seeds)
            first = first or found
            shown = [(run.sure, run.sure_right, run.sure_pure, run.calibration_error) for run in found.reliability]
            sure, right, pure, error = 100 * np.nanmean(shown, axis=0)
            errors[method].append(error)
            kept = [kept_ids(store, old, new) for old, new in zip(found.labels, first.labels, strict=True)]
            table.add_row(
                *(store.table.name, method, f"{sure:.0f}", f"{right:.1f}", f"{pure:.1f}", f"{error:.1f}"),
                *(f"{found.between_seeds:.2f}", f"{found.of_part:.2f}"),
                "" if found is first else f"{100 * np.mean(kept):.1f}",
            )
            console.print(f"{store.table.name}, {method}: done", style="dim")
    for method, of_method in errors.items():
        table.add_row("mean", method, "", "", "", f"{np.mean(of_method):.1f}" if of_method else "")
    console.print(table)


if __name__ == "__main__":
    main()
