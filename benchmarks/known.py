"""Half of the classes are known by a few examples: are they kept, and are the others found beside them?

    python -m benchmarks.known [--tables food10 ...] [--seeds 0 1 2] [--examples 10] [--wrong 0.1] [--restarts 10]

Every way gets the same vectors, the number of classes as K, and the same examples. Scored is ACC over all images that
are no examples. An image of a known class is right in the group of that class alone; the groups that are left are
matched with the new classes one to one, so that most images are right. Without known classes, a group belongs to the
class that most of its examples have, and several groups may belong to one class: that helps it. With --wrong, so large
a share of the examples has another known class. The exit code is 1 where the product with known classes is behind a way
of k-means on known or on all.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy.optimize import linear_sum_assignment

from benchmarks.reference_data import ReferenceTable, read_nouns, read_table, reference_folder
from tac_pipeline.arrays import FloatMatrix, IntVector, unit_rows
from tac_pipeline.estimator import TextAidedClustering
from tac_pipeline.method.grouping.whitening import whiten_by_total
from tac_pipeline.method.values.robust import WHITENING_POWER
from tac_pipeline.tensors import group_sums

TABLES = ("cifar10_500", "food10", "oxford_pets", "caltech101", "ucf101")
WITH, WITHOUT = "robust, known classes", "robust, without"
LLOYD_ROUNDS = 100
NEW = -1


@dataclass(frozen=True)
class Task:
    """A set of images with some classes known.

    Attributes
    ----------
    images : float32 (n_images, dim), unit rows
    truth : int64 (n_images,)
        The true class: known ones from 0 to n_known - 1, new ones from there.
    examples : int64 (n_images,)
        The known class that an image is given as an example of, or NEW.
    """

    images: FloatMatrix
    truth: IntVector
    examples: IntVector
    n_known: int
    n_classes: int


def draw_task(table: ReferenceTable, *, seed: int, per_class: int, wrong: float) -> Task:
    """Half of the classes known by so many examples each; at least one image of each class is no example."""
    generator = np.random.default_rng(seed)
    classes, truth = np.unique(table.labels, return_inverse=True)
    order = generator.permutation(len(classes))  # the first half is known
    truth = np.argsort(order)[truth]
    n_known = round(len(classes) / 2)
    examples = np.full(len(truth), NEW)
    for known in range(n_known):
        members = generator.permutation(np.flatnonzero(truth == known))
        examples[members[: min(per_class, len(members) - 1)]] = known
    given = np.flatnonzero(examples != NEW)
    spoiled = generator.permutation(given)[: round(wrong * len(given))]
    examples[spoiled] = (examples[spoiled] + generator.integers(1, n_known, len(spoiled))) % n_known
    return Task(table.image_embeddings, truth, examples, n_known, len(classes))


@dataclass(frozen=True)
class Scores:
    """ACC in % of the images of known classes, of new ones and of all, without the examples."""

    known: float
    new: float
    all: float


def score_task(task: Task, groups: IntVector, class_of_group: dict[int, int]) -> Scores:
    """Compare groups with the truth; class_of_group has the groups that belong to a known class."""
    seen, is_known = task.examples == NEW, task.truth < task.n_known
    claimed = np.array([class_of_group.get(int(group), NEW) for group in groups])
    left = [group for group in range(int(groups.max()) + 1) if group not in class_of_group]
    shared = np.zeros((len(left), task.n_classes - task.n_known))
    for row, group in enumerate(left):
        of_group = task.truth[(groups == group) & seen & ~is_known] - task.n_known
        shared[row] = np.bincount(of_group, minlength=shared.shape[1])
    for row, column in zip(*linear_sum_assignment(shared, maximize=True), strict=True):
        claimed[groups == left[row]] = task.n_known + column
    right = claimed == task.truth
    shares = (right[seen & is_known].mean(), right[seen & ~is_known].mean(), right[seen].mean())
    return Scores(*(100 * float(share) for share in shares))


def semi_supervised(task: Task, rows: FloatMatrix, *, seed: int, restarts: int, fixed: bool) -> IntVector:
    """K-means whose first centers are the means of the examples and whose others are drawn by k-means++.

    With `fixed` the known centers never move; without, examples are forced into their class and all centers move, as in
    generalized category discovery. The restart with the highest mean cosine counts.
    """
    generator = np.random.default_rng(seed)
    given = np.flatnonzero(task.examples != NEW)
    known = unit_rows(group_sums(rows[given], task.examples[given], n_groups=task.n_known))
    found = []
    for _ in range(restarts):
        centers = _draw_centers(rows[task.examples == NEW], known, task.n_classes, generator)
        found.append(_lloyd(rows, centers, task, given, fixed=fixed))
    return max(found, key=lambda one: one[1])[0]


def _draw_centers(rows: FloatMatrix, known: FloatMatrix, count: int, generator: np.random.Generator) -> FloatMatrix:
    """The known centers, and greedy k-means++ for the others."""
    centers = list(known)
    distance = np.maximum(1 - (rows @ known.T).max(axis=1), 0)
    while len(centers) < count:
        trials = generator.choice(len(rows), 2 + int(np.log(count)), p=distance / distance.sum())
        shorter = np.minimum(distance[:, None], np.maximum(1 - rows @ rows[trials].T, 0))
        best = int(shorter.sum(axis=0).argmin())
        distance = shorter[:, best]
        centers.append(rows[trials[best]])
    return np.stack(centers)


def _lloyd(
    rows: FloatMatrix, centers: FloatMatrix, task: Task, given: IntVector, *, fixed: bool
) -> tuple[IntVector, float]:
    groups = np.full(len(rows), NEW)
    for _ in range(LLOYD_ROUNDS):
        before, groups = groups, (rows @ centers.T).argmax(axis=1)
        groups[given] = task.examples[given]
        if np.array_equal(before, groups):
            break
        sums = group_sums(rows, groups, n_groups=len(centers))
        moved = np.where(np.linalg.norm(sums, axis=1, keepdims=True) > 1e-6, unit_rows(sums), centers)
        centers = np.concatenate([centers[: task.n_known], moved[task.n_known :]]) if fixed else moved
    return groups, float(np.einsum("ij,ij->i", rows, centers[groups]).mean())


def product(
    task: Task, nouns: tuple[list[str], FloatMatrix], *, seed: int, told: bool
) -> tuple[IntVector, dict[int, int]]:
    """The groups of the robust method, and which of them belong to a known class."""
    words, vectors = nouns
    # Names in the order of the classes.
    known = [None if of < 0 else f"class {of:04d}" for of in task.examples] if told else None
    fitted = TextAidedClustering(task.n_classes, random_state=seed).fit(
        task.images, nouns=words, noun_embeddings=vectors, known=known
    )
    groups: IntVector = fitted.labels_
    if told:
        return groups, {known: known for known in range(task.n_known)}
    given = task.examples != NEW
    counts = np.zeros((task.n_classes, task.n_known))
    np.add.at(counts, (groups[given], task.examples[given]), 1)
    return groups, {int(group): int(counts[group].argmax()) for group in np.flatnonzero(counts.sum(axis=1))}


def every_way(
    task: Task, nouns: tuple[list[str], FloatMatrix], *, seed: int, restarts: int
) -> Iterator[tuple[str, Scores]]:
    """Each way's name and scores."""
    whitened = whiten_by_total(task.images, power=WHITENING_POWER).apply(task.images)
    own = {known: known for known in range(task.n_known)}
    rivals: dict[str, Callable[[], IntVector]] = {
        "k-means, known centers fixed": lambda: semi_supervised(
            task, task.images, seed=seed, restarts=restarts, fixed=True
        ),
        "semi-supervised k-means": lambda: semi_supervised(
            task, task.images, seed=seed, restarts=restarts, fixed=False
        ),
        "semi-supervised k-means, whitened": lambda: semi_supervised(
            task, whitened, seed=seed, restarts=restarts, fixed=False
        ),
    }
    for name, way in rivals.items():
        yield name, score_task(task, way(), own)
    for name, told in ((WITHOUT, False), (WITH, True)):
        yield name, score_task(task, *product(task, nouns, seed=seed, told=told))


def show(table: str, found: dict[str, list[Scores]], seeds: Sequence[int]) -> Table:
    """The means of one set, with the standard deviations over seeds."""
    shown = Table(title=f"{table}, seeds {' '.join(map(str, seeds))}", title_justify="left", box=None, pad_edge=False)
    shown.add_column("way")
    for heading in ("known", "new", "all"):
        shown.add_column(heading, justify="right")
    for way, scores in found.items():
        columns = np.array([[one.known, one.new, one.all] for one in scores])
        cells = zip(columns.mean(axis=0), columns.std(axis=0), strict=True)
        shown.add_row(way, *(f"{mean:.1f} ±{deviation:.1f}" for mean, deviation in cells))
    return shown


def behind(found: dict[str, list[Scores]]) -> list[str]:
    """The ways of k-means that are ahead of the product with known classes, in words."""
    missed = []
    for way, scores in found.items():
        for what in ("known", "all") if way not in (WITH, WITHOUT) else ():
            theirs, ours = (float(np.mean([getattr(one, what) for one in each])) for each in (scores, found[WITH]))
            if theirs > ours:
                missed.append(f"{way} is ahead on {what}: {theirs:.1f} to {ours:.1f}")
    return missed


def main(arguments: Sequence[str] | None = None) -> int:
    """Run every way on every chosen set and print them; 1 if the product is behind."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.known", description=__doc__.splitlines()[0])
    parser.add_argument("--tables", nargs="+", choices=TABLES, default=TABLES, metavar="NAME")
    parser.add_argument("--seeds", nargs="+", type=int, default=(0, 1, 2), metavar="N")
    parser.add_argument("--examples", type=int, default=10, metavar="N", help="of each known class")
    parser.add_argument("--wrong", type=float, default=0.0, metavar="SHARE", help="of the examples, in another class")
    parser.add_argument("--restarts", type=int, default=10, metavar="N", help="of the ways of k-means")
    asked = parser.parse_args(arguments)
    console, folder, missed = Console(width=100), reference_folder(), []
    nouns = read_nouns(folder)
    for name in asked.tables:
        table, found = read_table(folder, name), defaultdict[str, list[Scores]](list)
        for seed in asked.seeds:
            task = draw_task(table, seed=seed, per_class=asked.examples, wrong=asked.wrong)
            for way, scores in every_way(task, nouns, seed=seed, restarts=asked.restarts):
                found[way].append(scores)
        console.print(show(name, found, asked.seeds))
        missed += [f"{name}: {line}" for line in behind(found)]
    for line in missed:
        console.print(line, style="red")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
