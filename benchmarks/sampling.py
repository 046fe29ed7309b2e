"""Does a balanced training set find more of the rare classes than a uniform one, and what does it cost the others?

    python -m benchmarks.sampling [--tables food10 ucf101] [--seeds 0 1 2] [--share 4] [--ratio 100]

Stores with a long tail are made of real CLIP ViT-B/32 vectors: the classes of a table get sizes by a power law, down to
1 in RATIO of what they have (at least 2). `food10 + guests` is a whole table with 8 images each of 10 classes of
caltech101. The robust method learns from 1 in SHARE images, with the true number of classes, and all images are scored.
A class is found when one cluster has more than half of it, and more than half of that cluster is of the class.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.reference_data import ReferenceTable, read_nouns, read_table, reference_folder
from tac_pipeline.arrays import FloatMatrix, IntVector
from tac_pipeline.estimator import TextAidedClustering
from tac_pipeline.method.balanced_sample import FIRST_SAMPLE, count_cells, draw_evenly, find_cells, nearest_cells
from tac_pipeline.method.clusters.evaluation import confuse, score

TABLES = ("food10", "cifar10_500", "oxford_pets", "caltech101", "ucf101")
GUESTS, GUEST_IMAGES, HOSTS = "caltech101", 8, ("food10", "oxford_pets")
SAMPLINGS = ("uniform", "balanced")
COLUMNS = ("NMI", "ACC", "recall", "found", "drawn from", "least third", "sure", "seconds")


def with_a_tail(table: ReferenceTable, *, ratio: float, seed: int) -> ReferenceTable:
    """Some rows of a table: its classes, in a drawn order, get smaller by a power law."""
    generator = np.random.default_rng([seed, 1])
    classes = generator.permutation(np.unique(table.labels))
    chosen = []
    for place, name in enumerate(classes):
        own = generator.permutation(np.flatnonzero(table.labels == name))
        chosen.append(own[: max(2, round(len(own) * ratio ** (-place / (len(classes) - 1))))])
    rows = np.sort(np.concatenate(chosen))
    return ReferenceTable(table.name, table.image_embeddings[rows], table.labels[rows])


def with_guests(table: ReferenceTable, others: ReferenceTable, *, seed: int) -> ReferenceTable:
    """A table with a few images of ten classes of another."""
    generator = np.random.default_rng([seed, 2])
    classes = generator.choice(np.unique(others.labels), 10, replace=False)
    rows = np.concatenate(
        [generator.permutation(np.flatnonzero(others.labels == name))[:GUEST_IMAGES] for name in classes]
    )
    return ReferenceTable(
        f"{table.name} + guests",
        np.concatenate([table.image_embeddings, others.image_embeddings[rows]]),
        np.concatenate([table.labels, others.labels[rows].astype(np.int64) + 1000]),
    )


def draw(table: ReferenceTable, sampling: str, *, count: int, seed: int) -> IntVector:
    """The rows that are learned from, as a store would draw them."""
    order = np.random.default_rng([seed, 3]).permutation(len(table.labels)).astype(np.uint64)
    if sampling == "uniform":
        return np.sort(np.argsort(order)[:count])
    first = table.image_embeddings[np.argsort(order)[:FIRST_SAMPLE]]
    centers = find_cells(first, n_cells=count_cells(count, len(first)), seed=seed)
    return draw_evenly(nearest_cells(table.image_embeddings, centers), order, count=count)


def measure(
    table: ReferenceTable, sampling: str, *, share: int, seed: int, nouns: list[str], vectors: FloatMatrix
) -> list[float]:
    """The figures of COLUMNS: in %, but for counts and seconds."""
    rows = draw(table, sampling, count=len(table.labels) // share, seed=seed)
    started = time.perf_counter()
    method = TextAidedClustering(table.n_clusters, method="robust", random_state=seed)
    fitted = method.fit(table.image_embeddings[rows], nouns=nouns, noun_embeddings=vectors)
    found = fitted.predict(table.image_embeddings)
    seconds = time.perf_counter() - started
    scores, counts = score(table.labels, found), confuse(table.labels, found).counts
    own, whole = counts / counts.sum(axis=1, keepdims=True), counts / counts.sum(axis=0, keepdims=True)
    sizes = counts.sum(axis=1)
    drawn = np.isin(np.unique(table.labels), table.labels[rows])
    # Of the smallest third of the classes: how much of each is in the best cluster for it, by F1.
    f1 = (2 * own * whole / np.maximum(own + whole, 1e-9)).max(axis=1)
    smallest = np.argsort(sizes, kind="stable")[: max(1, len(sizes) // 3)]
    return [
        100 * scores.nmi,
        100 * scores.acc,
        100 * scores.recall,
        float(((own > 0.5) & (whole > 0.5)).any(axis=1).sum()),
        float(drawn.sum()),
        100 * float(f1[smallest].mean()),
        100 * float(fitted.predict_confidence(table.image_embeddings).mean()),
        seconds,
    ]


def made_stores(names: list[str], *, ratio: float, seed: int) -> Iterator[ReferenceTable]:
    """The stores of one seed."""
    folder = reference_folder()
    for name in names:
        table = read_table(folder, name)
        yield with_a_tail(table, ratio=ratio, seed=seed)
        if name in HOSTS:
            yield with_guests(table, read_table(folder, GUESTS), seed=seed)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", nargs="+", choices=TABLES, default=list(TABLES), metavar="NAME")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--share", type=int, default=4)
    parser.add_argument("--ratio", type=float, default=100)
    asked = parser.parse_args()
    nouns, vectors = read_nouns(reference_folder())
    shown = Table("store", "images", "K", "learned from", "sampling", *COLUMNS)
    for name in asked.tables:
        of_stores: dict[str, list[ReferenceTable]] = {}
        for seed in asked.seeds:
            for table in made_stores([name], ratio=asked.ratio, seed=seed):
                of_stores.setdefault(table.name, []).append(table)
        for store, tables in of_stores.items():
            for sampling in SAMPLINGS:
                runs = [
                    measure(table, sampling, share=asked.share, seed=seed, nouns=nouns, vectors=vectors)
                    for table, seed in zip(tables, asked.seeds, strict=True)
                ]
                means, spread = np.mean(runs, axis=0), np.std(runs, axis=0)
                images = int(np.mean([len(table.labels) for table in tables]))
                cells = [f"{mean:.1f} ± {std:.1f}" for mean, std in zip(means, spread, strict=True)]
                row = (store, f"{images:,}", str(tables[0].n_clusters), f"{images // asked.share:,}", sampling, *cells)
                shown.add_row(*row)
                print(*row, sep=" | ", flush=True)
    Console(width=200).print(shown)


if __name__ == "__main__":
    main()
