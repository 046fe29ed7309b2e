"""Do corrections teach? A person corrects groups that were found without labels; then the method learns again.

    python -m benchmarks.teaching [--tables oxford_pets ...] [--seeds 0 1 2] [--counts 1 5 20] [--rejections]

The person sees a random half of the images, the labels stand in for what they know, and all figures are of the other
half, which nobody touched: the same images for each number of corrections. A group is wrong where a larger group has
its commonest class, or where less than nine in ten of its seen images are of its class. The person gives each wrong
group so many corrections: a group of a class that another has is merged into it, if half of it is of this class; images
of other classes are moved to the group of theirs, and the first of a class that has no group makes a new one. With
--rejections the person only says "not this group" of such images. "Applied" is what the corrections themselves change:
merges alone reach images that nobody touched. "Ids" is the share of groups before that keep their number when both are
matched by their images, as the ledger does, of all and of those that were right; merged ones do not count. "Meant" is
the share of numbers that show the class which the person knows them by: their commonest class in the unseen half. The
exit code is 1 where ACC or NMI falls below the start.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

from benchmarks.reference_data import ReferenceTable, read_nouns, read_table, reference_folder
from tac_pipeline.arrays import FloatMatrix, IntVector
from tac_pipeline.estimator import TextAidedClustering
from tac_pipeline.estimator.parameters import choices_of
from tac_pipeline.method import load_method
from tac_pipeline.method.clusters.cluster_matching import Clustering, match_clusters
from tac_pipeline.method.clusters.evaluation import score
from tac_pipeline.method.clusters.teaching import FREE, Lessons, teach_groups
from tac_pipeline.method.grouping.whitening import whiten_within
from tac_pipeline.method.heads.assignment import assign
from tac_pipeline.method.heads.cluster_head import soft_assignment
from tac_pipeline.method.heads.linear_head import center_head
from tac_pipeline.method.recipe import Walk
from tac_pipeline.method.values.robust import GROUP_SHARE, SHRINKAGE
from tac_pipeline.method.words.noun_shortlist import CandidateVectors

TABLES = ("oxford_pets", "ucf101", "caltech101", "cifar10_500")
COUNTS = (1, 5, 20)
PURE, HALF = 0.9, 0.5


@dataclass(frozen=True)
class Wrong:
    """What a person would do with a wrong group, in order.

    Attributes
    ----------
    merge_into : int or None
        The group that has its class.
    images : int64 (n_wrong,)
        The seen images of other classes.
    """

    group: int
    merge_into: int | None
    images: IntVector


@dataclass(frozen=True)
class Person:
    """Somebody who knows the classes of some images.

    Attributes
    ----------
    truth : int64 (n_images,)
    groups : int64 (n_images,)
        The groups that they look at.
    owners : mapping of class to group
    wrong : tuple of Wrong
    """

    truth: IntVector
    groups: IntVector
    owners: Mapping[int, int]
    wrong: tuple[Wrong, ...]

    def lessons(self, count: int, *, rejections: bool = False) -> Lessons:
        """So many corrections of each wrong group: with more of them, those of fewer and others."""
        owners, merged, n_groups = dict(self.owners), dict[int, int](), int(self.groups.max()) + 1
        fixed, cannot = np.full(len(self.groups), FREE), list[tuple[int, int]]()
        for one in self.wrong:
            left = count
            if one.merge_into is not None and left and not rejections:
                merged[one.group] = one.merge_into
                left -= 1
            for image in one.images[:left]:
                if rejections:
                    cannot.append((int(image), one.group))
                    continue
                if int(self.truth[image]) not in owners:
                    owners[int(self.truth[image])] = n_groups
                    n_groups += 1
                fixed[image] = owners[int(self.truth[image])]
        pairs = np.array(cannot, dtype=np.int64).reshape(-1, 2)
        return Lessons(self.groups, fixed, n_groups, pairs, merged)


def look(groups: IntVector, truth: IntVector, seen: npt.NDArray[np.bool_], *, seed: int) -> Person:
    """What a person finds wrong in the images that they see."""
    shared = np.zeros((int(groups.max()) + 1, int(truth.max()) + 1), dtype=np.int64)
    np.add.at(shared, (groups[seen], truth[seen]), 1)
    largest = shared.max(axis=1)
    purity = largest / np.maximum(shared.sum(axis=1), 1)
    owners, class_of, merges = dict[int, int](), dict[int, int](), dict[int, int]()
    second = []
    for group in np.argsort(-largest, kind="stable").tolist():
        commonest = int(shared[group].argmax())
        class_of[group] = commonest
        if owners.setdefault(commonest, group) != group:
            second.append(group)
    for group in second:
        free = [
            of for of in np.argsort(-shared[group], kind="stable").tolist() if shared[group, of] and of not in owners
        ]
        if purity[group] < HALF and free:
            owners[free[0]], class_of[group] = group, free[0]
        else:
            merges[group] = owners[class_of[group]]
    generator = np.random.default_rng(seed)
    wrong = []
    for group in range(len(shared)):
        astray = generator.permutation(np.flatnonzero(seen & (groups == group) & (truth != class_of[group])))
        if group in second or purity[group] < PURE:
            wrong.append(Wrong(group, merges.get(group), astray))
    return Person(truth, groups, owners, tuple(wrong))


def learn(images: FloatMatrix, nouns: FloatMatrix, *, count: int, seed: int, lessons: Lessons | None) -> IntVector:
    """The groups that the method's head gives to all images; with lessons, columns in the order of lessons.group_of."""
    given: dict[str, Any] = {
        "training_set": images,
        "noun_shortlist": CandidateVectors.whole(nouns),
        "cluster_count": count if lessons is None else len(lessons.group_of),
    }
    if lessons is not None:
        given["lessons"] = lessons
    choices = choices_of(TextAidedClustering(count).get_params(), seed=seed)
    walk = Walk(load_method("robust"), given=given, choices=choices)
    # The method's head without the regroupings that say how sure it is: they change no choice, and cost the most.
    found, neighbors = walk.result("training_free_clusters"), walk.result("image_neighbors")
    whitening = whiten_within(images, neighbors, found, group_share=GROUP_SHARE, shrinkage=SHRINKAGE)
    head = center_head(images, found, n_clusters=given["cluster_count"], whitening=whitening)
    return assign(soft_assignment(head, images)).column


def applied(images: FloatMatrix, lessons: Lessons) -> IntVector:
    """The columns with corrections carried out, and nothing learned."""
    return teach_groups(images, lessons, rounds=0, pull=1, moved_centers=1).groups


def ids_kept(images: FloatMatrix, lessons: Lessons, columns: IntVector, *, among: set[int] | None = None) -> float:
    """The share of groups before, without merged ones, that the column of their number continues.

    Parameters
    ----------
    among : set of int, optional
        Only these groups count.
    """
    now = lessons.group_of[columns]

    def side(groups: IntVector) -> Clustering:
        return Clustering(groups, np.bincount(groups, minlength=lessons.n_groups), images[: lessons.n_groups])

    before = set(np.unique(lessons.groups).tolist()) - set(lessons.merged_into)
    before = before if among is None else before & among
    continued = match_clusters(side(lessons.groups), side(now), same_space=False).old_of
    return float(np.mean([continued[group] == group for group in sorted(before)]))


def ids_meant(person: Person, lessons: Lessons, columns: IntVector, unseen: npt.NDArray[np.bool_]) -> float:
    """The share of groups with a class of which this is the commonest, among the unseen images."""
    now = lessons.group_of[columns]
    shared = np.zeros((lessons.n_groups, int(person.truth.max()) + 1), dtype=np.int64)
    np.add.at(shared, (now[unseen], person.truth[unseen]), 1)
    owned = [(group, of) for of, group in person.owners.items() if group not in lessons.merged_into]
    return float(np.mean([shared[group].any() and shared[group].argmax() == of for group, of in owned]))


def measure(
    table: ReferenceTable, nouns: FloatMatrix, *, seed: int, counts: Sequence[int], rejections: bool
) -> dict[tuple[str, int], tuple[float, ...]]:
    """ACC, NMI, ids of all, of right groups and as meant, in %, and all corrections, by what was done and the count."""
    images, n_classes = table.image_embeddings, table.n_clusters
    truth = np.unique(table.labels, return_inverse=True)[1].astype(np.int64)
    seen = np.random.default_rng(seed).random(len(truth)) < 0.5
    groups = learn(images, nouns, count=n_classes, seed=seed, lessons=None)
    person, found = look(groups, truth, seen, seed=seed), dict[tuple[str, int], tuple[float, ...]]()
    right = set(groups.tolist()) - {one.group for one in person.wrong}

    def note(what: str, count: int, columns: IntVector, lessons: Lessons) -> None:
        scores = score(truth[~seen], columns[~seen])
        said = (lessons.fixed != FREE).sum() + len(lessons.cannot) + len(lessons.merged_into)
        shares = (
            scores.acc,
            scores.nmi,
            ids_kept(images, lessons, columns),
            ids_kept(images, lessons, columns, among=right),
            ids_meant(person, lessons, columns, ~seen),
        )
        found[what, count] = (*(100 * share for share in shares), float(said))

    note("learned", 0, groups, person.lessons(0))
    for count in counts:
        lessons = person.lessons(count, rejections=rejections)
        note("applied", count, applied(images, lessons), lessons)
        note("learned", count, learn(images, nouns, count=n_classes, seed=seed, lessons=lessons), lessons)
    return found


def show(name: str, means: Mapping[tuple[str, int], npt.NDArray[np.float64]], seeds: Sequence[int]) -> Table:
    """The means of one set over seeds."""
    shown = Table(title=f"{name}, seeds {' '.join(map(str, seeds))}", title_justify="left", box=None, pad_edge=False)
    for heading in ("each", "ACC applied", "NMI", "ACC learned", "NMI", "ids", "of right", "meant", "in all"):
        shown.add_column(heading, justify="right")
    for what, count in means:
        if what == "learned":
            carried, learned = means.get(("applied", count), means[what, count]), means[what, count]
            cells = [*carried[:2], *learned[:5]]
            shown.add_row(str(count), *(f"{cell:.1f}" for cell in cells), f"{learned[5]:.0f}")
    return shown


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure every chosen set and print it; 1 if learning from corrections is ever below the start."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.teaching", description=__doc__.splitlines()[0])
    parser.add_argument("--tables", nargs="+", choices=(*TABLES, "food10"), default=TABLES, metavar="NAME")
    parser.add_argument("--seeds", nargs="+", type=int, default=(0, 1, 2), metavar="N")
    parser.add_argument("--counts", nargs="+", type=int, default=COUNTS, metavar="N", help="corrections a wrong group")
    parser.add_argument("--rejections", action="store_true", help='the person only says "not this group"')
    asked = parser.parse_args(arguments)
    console, folder, missed = Console(width=100), reference_folder(), []
    _, nouns = read_nouns(folder)
    for name in asked.tables:
        table, found = read_table(folder, name), defaultdict[tuple[str, int], list[tuple[float, ...]]](list)
        for seed in asked.seeds:
            measured = measure(table, nouns, seed=seed, counts=asked.counts, rejections=asked.rejections)
            for key, figures in measured.items():
                found[key].append(figures)
        means = {key: np.mean(figures, axis=0) for key, figures in found.items()}
        console.print(show(name, means, asked.seeds))
        start = means["learned", 0]
        missed += [
            f"{name}: {count} corrections" for (_, count), of in means.items() if (of[:2] < start[:2] - 0.05).any()
        ]
    for line in missed:
        console.print(f"{line} leave ACC or NMI below the start", style="red")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
