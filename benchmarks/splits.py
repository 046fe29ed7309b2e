"""A wrong group holds several classes: does a proposed split tell them apart?

    python -m benchmarks.splits [--tables oxford_pets ...] [--seed 0]

A group is made of a class and the one or two classes that are most like it; twenty such groups a set. Figures are the
mean ACC in % of two parts for two classes, and of three for three. "plain" is k-means from Ward's tree on the vectors
as they are, "own" the same on vectors whitened by the group's own scatter, and the product whitens by that of the group
and of a sample of the other images. The exit code is 1 where the product is behind by more than one point.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.reference_data import read_table, reference_folder
from tac_pipeline.arrays import FloatMatrix, IntVector, unit_rows
from tac_pipeline.method.clusters.evaluation import score
from tac_pipeline.method.grouping.ward import ward_kmeans
from tac_pipeline.method.grouping.whitening import whiten_by_total
from tac_pipeline.results.alike import BACKGROUND_IMAGES, WHITENING_POWER
from tac_pipeline.results.corrections.splitting import split_vectors

TABLES = ("oxford_pets", "ucf101", "caltech101", "cifar10_500", "food10")
GROUPS, FEWEST = 20, 8


def product(own: FloatMatrix, around: FloatMatrix, parts: int, seed: int) -> IntVector:
    """What the workbench proposes, int64 (n_images,)."""
    found = next(split for split in split_vectors(own, around, most=parts, seed=seed) if len(split) == parts)
    groups = np.empty(len(own), dtype=np.int64)
    for number, rows in enumerate(found):
        groups[rows] = number
    return groups


def plain(own: FloatMatrix, around: FloatMatrix, parts: int, seed: int) -> IntVector:
    """The vectors as they are."""
    return ward_kmeans(own, n_clusters=parts, seed=seed).assignment


def by_own_scatter(own: FloatMatrix, around: FloatMatrix, parts: int, seed: int) -> IntVector:
    """Whitened by the group's own scatter."""
    return plain(whiten_by_total(own, power=WHITENING_POWER).apply(own), around, parts, seed)


WAYS = {"product": product, "plain": plain, "own": by_own_scatter}


def measure(name: str, *, parts: int, seed: int) -> dict[str, float]:
    """The mean ACC of each way, in %."""
    table = read_table(reference_folder(), name)
    rows, labels = table.image_embeddings, np.unique(table.labels, return_inverse=True)[1]
    n_classes = int(labels.max()) + 1
    centers = unit_rows(np.array([rows[labels == one].mean(axis=0) for one in range(n_classes)], dtype=np.float32))
    likeness = centers @ centers.T
    generator, found = np.random.default_rng(seed), {way: list[float]() for way in WAYS}
    for one in range(0, n_classes, max(1, n_classes // GROUPS)):
        inside = np.isin(labels, np.argsort(-likeness[one])[:parts])
        if inside.sum() < FEWEST:
            continue
        others = np.flatnonzero(~inside)
        around = rows[np.sort(generator.choice(others, min(BACKGROUND_IMAGES, len(others)), replace=False))]
        for way, split in WAYS.items():
            groups = split(rows[inside], around, parts, seed)
            found[way].append(score(labels[inside].tolist(), groups).acc)
    return {way: 100 * float(np.mean(accs)) for way, accs in found.items()}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", nargs="+", default=TABLES)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args(arguments)
    shown, behind = Table("set", "parts", *WAYS), False
    for name in asked.tables:
        for parts in (2, 3):
            found = measure(name, parts=parts, seed=asked.seed)
            behind |= found["product"] < max(found.values()) - 1
            shown.add_row(name, str(parts), *(f"{acc:.1f}" for acc in found.values()))
    Console().print(shown)
    return int(behind)


if __name__ == "__main__":
    sys.exit(main())
