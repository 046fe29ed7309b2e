"""Twenty images of one class are picked: are the proposals those of its class, and all of them?

    python -m benchmarks.alike [--tables oxford_pets ...] [--picked 20] [--only even|odd]

Every class of a set in turn; of classes with fewer than 40 images, half are picked, and classes with fewer than 10 are
left out. Figures are means over classes in %, without the picked images. AP is the average precision of the order by
score. Precision, recall and F1 are those of a way's own cut: logistic regression proposes from even odds, and nearest
neighbors and prototypes propose what is nearer than three in four picked images are to the others. The classes with
even numbers chose the product's cut: --only odd judges it. The exit code is 1 where a rival has the higher AP or F1.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score

from benchmarks.reference_data import read_table, reference_folder
from tac_pipeline.arrays import FloatMatrix, IntVector, unit_mean
from tac_pipeline.method.grouping.whitening import whiten_by_total
from tac_pipeline.results.alike import BACKGROUND_IMAGES, BELOW, PROPOSED, WHITENING_POWER, learn_likeness

TABLES = ("oxford_pets", "ucf101", "caltech101", "cifar10_500")
PRODUCT, NEAREST = "find the like", 5
FEWEST = 10
# The score of every row, and the least one that is proposed.
Found = tuple[npt.NDArray[np.floating], float]
# AP, precision, recall and F1 in %, float64 (4,).
Figures = npt.NDArray[np.float64]
Way = Callable[[FloatMatrix, IntVector, IntVector], Found]


def product(rows: FloatMatrix, picked: IntVector, background: IntVector) -> Found:
    """The product."""
    return learn_likeness(rows[picked], rows[background]).score(rows), PROPOSED


def logistic(rows: FloatMatrix, picked: IntVector, background: IntVector) -> Found:
    """Plain logistic regression on the vectors as they are."""
    model = LogisticRegression(max_iter=1000, C=100)
    model.fit(rows[np.concatenate([picked, background])], np.repeat([1, 0], [len(picked), len(background)]))
    return model.decision_function(rows), 0.0


def balanced(rows: FloatMatrix, picked: IntVector, background: IntVector) -> Found:
    """The same, with both sides of one weight."""
    model = LogisticRegression(max_iter=1000, C=100, class_weight="balanced")
    model.fit(rows[np.concatenate([picked, background])], np.repeat([1, 0], [len(picked), len(background)]))
    return model.decision_function(rows), 0.0


def nearest(rows: FloatMatrix, picked: IntVector, background: IntVector) -> Found:
    """The mean cosine to the nearest picked images."""
    cosines = rows @ rows[picked].T
    own = np.sort(cosines[picked], axis=1)[:, :-1]  # without itself
    scores = np.sort(cosines, axis=1)[:, -NEAREST:].mean(axis=1)
    return scores, float(np.quantile(own[:, -NEAREST:].mean(axis=1), BELOW))


def prototype(rows: FloatMatrix, picked: IntVector, background: IntVector) -> Found:
    """The cosine to the mean of the picked images, each of these to the mean of the others."""
    own = [rows[one] @ unit_mean(rows[picked[picked != one]])[0] for one in picked]
    return rows @ unit_mean(rows[picked])[0], float(np.quantile(own, BELOW))


def whitened(way: Way) -> Way:
    """A way on whitened vectors."""

    def on_whitened(rows: FloatMatrix, picked: IntVector, background: IntVector) -> Found:
        some = np.concatenate([background, picked])
        return way(whiten_by_total(rows[some], power=WHITENING_POWER).apply(rows), picked, background)

    return on_whitened


WAYS: Mapping[str, Way] = {
    PRODUCT: product,
    "logistic regression": logistic,
    "logistic regression, balanced": balanced,
    "nearest neighbors": nearest,
    "nearest neighbors, whitened": whitened(nearest),
    "prototype": prototype,
    "prototype, whitened": whitened(prototype),
}


def judge(found: Found, inside: npt.NDArray[np.bool_], rest: IntVector) -> Figures:
    """Compare with the class; precision is 100 where nothing is proposed."""
    scores, cut = found[0][rest], found[1]
    truth, proposed = inside[rest], scores >= cut
    hits, count = int((truth & proposed).sum()), int(proposed.sum())
    precision, recall = hits / count if count else 1.0, hits / int(truth.sum())
    f1 = 2 * precision * recall / (precision + recall) if hits else 0.0
    return 100 * np.array([average_precision_score(truth, scores), precision, recall, f1])


def measure(rows: FloatMatrix, truth: IntVector, *, n_picked: int, only: str | None) -> dict[str, list[Figures]]:
    """What each way finds, by class."""
    found = defaultdict[str, list[Figures]](list)
    for of in range(int(truth.max()) + 1):
        members = np.flatnonzero(truth == of)
        if len(members) < FEWEST or (only is not None and of % 2 != ("even", "odd").index(only)):
            continue
        generator = np.random.default_rng(of)
        picked = generator.permutation(members)[: min(n_picked, len(members) // 2)]
        rest = np.setdiff1d(np.arange(len(rows)), picked)
        background = generator.choice(rest, min(BACKGROUND_IMAGES, len(rest)), replace=False)
        for name, way in WAYS.items():
            found[name].append(judge(way(rows, picked, background), truth == of, rest))
    return dict(found)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run every way on every class of every chosen set; 1 if a rival is ahead."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.alike", description=__doc__.splitlines()[0])
    parser.add_argument("--tables", nargs="+", choices=(*TABLES, "food10"), default=TABLES, metavar="NAME")
    parser.add_argument("--picked", type=int, default=20, metavar="N", help="images of a class that are picked")
    parser.add_argument("--only", choices=("even", "odd"), help="the classes with such numbers alone")
    asked = parser.parse_args(arguments)
    console, folder, missed = Console(width=100), reference_folder(), []
    for name in asked.tables:
        table = read_table(folder, name)
        truth = np.unique(table.labels, return_inverse=True)[1].astype(np.int64)
        found = measure(table.image_embeddings, truth, n_picked=asked.picked, only=asked.only)
        means = {way: np.mean(figures, axis=0) for way, figures in found.items()}
        shown = Table(title=f"{name}, {len(found[PRODUCT])} classes", title_justify="left", box=None, pad_edge=False)
        shown.add_column("way")
        for heading in ("AP", "precision", "recall", "F1"):
            shown.add_column(heading, justify="right")
        for way, figures in means.items():
            shown.add_row(way, *(f"{figure:.1f}" for figure in figures))
            for place, what in ((0, "AP"), (3, "F1")):
                if figures[place] > means[PRODUCT][place]:
                    missed.append(
                        f"{name}: {way} is ahead in {what}: {figures[place]:.1f} to {means[PRODUCT][place]:.1f}"
                    )
        console.print(shown)
    for line in missed:
        console.print(line, style="red")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
