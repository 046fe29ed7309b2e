"""Agreement of a clustering with true labels: NMI, AMI, ACC, ARI and their like, and the confusion table behind them.

What must stay out: how any of it is shown (report/confusion.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from tac_pipeline.errors import InputError

# Sums of logarithms that should be equal differ by less than this share.
ROUNDING = 1e-12
IntCounts = npt.NDArray[np.int64]
FloatVector = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Scores:
    """Agreement of an assignment with the labels, each a fraction of 1.

    Attributes
    ----------
    nmi : float
        Normalized mutual information, arithmetic mean of the two entropies. The V-measure is the same number.
    acc : float
        Share of the rows on the diagonal under the best one-to-one matching of clusters and classes. With other than
        `classes` clusters it has a bound below 1: classes without a cluster, or clusters without a class, count as
        wrong.
    ari : float
        Adjusted Rand index; 0 is chance, and below 0 is possible.
    rows : int
        How many rows were compared.
    ami : float
        Mutual information above what chance gives, arithmetic mean of the two entropies; 0 is chance. Unlike nmi, it
        does not grow with the number of clusters.
    homogeneity : float
        1 where each cluster has images of one class alone.
    completeness : float
        1 where the images of each class are in one cluster.
    many_to_one : float
        ACC where each cluster stands for its commonest class, so that a class may have several clusters: what to read
        where there are more clusters than classes. It grows with the number of clusters, and is 1 for a cluster each.
    recall : float
        The mean over classes of the share of its rows in its cluster, under the matching of acc; a small class counts
        as much as a large one.
    classes, clusters : int
        How many of each there are.
    """

    nmi: float
    acc: float
    ari: float
    rows: int
    ami: float
    homogeneity: float
    completeness: float
    many_to_one: float
    recall: float
    classes: int
    clusters: int


@dataclass(frozen=True)
class Confusion:
    """How many rows of each class are in each cluster.

    Attributes
    ----------
    classes : (n_classes,)
        The labels that there are, sorted.
    clusters : (n_clusters,)
        The clusters that have rows, sorted.
    counts : int64 (n_classes, n_clusters)
    """

    classes: npt.NDArray[Any]
    clusters: npt.NDArray[Any]
    counts: IntCounts

    @cached_property
    def partners(self) -> IntCounts:
        """The column of each class under the best one-to-one matching, int64 (n_classes,); -1 where none is left."""
        from scipy.optimize import linear_sum_assignment

        partners = np.full(len(self.classes), -1, dtype=np.int64)
        rows, columns = linear_sum_assignment(self.counts, maximize=True)
        partners[rows] = columns
        return partners

    @property
    def recall(self) -> FloatVector:
        """The share of each class's rows in its partner, float64 (n_classes,); 0 for a class without one."""
        matched = np.take_along_axis(self.counts, np.maximum(self.partners, 0)[:, np.newaxis], axis=1)[:, 0]
        recall: FloatVector = np.where(self.partners >= 0, matched, 0) / self.counts.sum(axis=1)
        return recall

    @property
    def commonest(self) -> IntCounts:
        """The row of each cluster's commonest class, int64 (n_clusters,)."""
        commonest: IntCounts = self.counts.argmax(axis=0)
        return commonest

    @property
    def order(self) -> IntCounts:
        """The columns with each class's partner at the class's place, then the rest, largest first: a diagonal."""
        rest = np.setdiff1d(np.arange(len(self.clusters)), self.partners)
        rest = rest[np.argsort(-self.counts[:, rest].sum(axis=0), kind="stable")]
        return np.concatenate([self.partners[self.partners >= 0], rest])


def score(labels: npt.ArrayLike, assignment: npt.ArrayLike) -> Scores:
    """Compare an assignment with labels; neither the names nor the numbers of the clusters matter.

    Parameters
    ----------
    labels, assignment : integers or strings (n_rows,)

    Raises
    ------
    InputError
        The two differ in length, are empty, or are not one-dimensional.
    """
    from sklearn.metrics import adjusted_rand_score, homogeneity_completeness_v_measure

    found, truth, groups = _compare(labels, assignment)
    homogeneity, completeness, nmi = homogeneity_completeness_v_measure(truth, groups)
    return Scores(
        nmi=float(nmi),
        acc=float((found.partners[truth] == groups).mean()),
        ari=float(adjusted_rand_score(truth, groups)),
        rows=len(truth),
        ami=_adjusted_mutual_information(found.counts),
        homogeneity=float(homogeneity),
        completeness=float(completeness),
        many_to_one=float((found.commonest[groups] == truth).mean()),
        recall=float(found.recall.mean()),
        classes=len(found.classes),
        clusters=len(found.clusters),
    )


def confuse(labels: npt.ArrayLike, assignment: npt.ArrayLike) -> Confusion:
    """Count the rows of each class in each cluster; parameters and errors are those of score."""
    return _compare(labels, assignment)[0]


def class_recalls(labels: npt.ArrayLike, assignment: npt.ArrayLike) -> dict[Any, float]:
    """The share of each class's rows in its cluster, by the class's name; parameters and errors are those of score."""
    found = confuse(labels, assignment)
    return dict(zip(found.classes.tolist(), found.recall.tolist(), strict=True))


def matched_rows(labels: npt.ArrayLike, assignment: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Which rows are in the cluster of their class under the best one-to-one matching, bool (n_rows,).

    Parameters
    ----------
    labels, assignment : integers or strings (n_rows,)
    """
    found, truth, groups = _compare(labels, assignment)
    matched: npt.NDArray[np.bool_] = found.partners[truth] == groups
    return matched


def commonest_rows(labels: npt.ArrayLike, assignment: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Which rows are of the commonest class of their cluster, bool (n_rows,).

    Parameters
    ----------
    labels, assignment : integers or strings (n_rows,)
    """
    found, truth, groups = _compare(labels, assignment)
    pure: npt.NDArray[np.bool_] = found.commonest[groups] == truth
    return pure


def _compare(labels: npt.ArrayLike, assignment: npt.ArrayLike) -> tuple[Confusion, IntCounts, IntCounts]:
    """The table, and each row's place in it: its class and its cluster, int64 (n_rows,)."""
    truth, found = np.asarray(labels), np.asarray(assignment)
    if truth.ndim != 1 or truth.shape != found.shape or len(truth) == 0:
        raise InputError(
            "labels and assignment must be two equally long lists with at least one entry; "
            f"got shapes {truth.shape} and {found.shape}"
        )
    classes, rows = np.unique(truth, return_inverse=True)
    clusters, columns = np.unique(found, return_inverse=True)
    counts = np.bincount(rows * len(clusters) + columns, minlength=len(classes) * len(clusters))
    return Confusion(classes, clusters, counts.reshape(len(classes), len(clusters))), rows, columns


def _adjusted_mutual_information(counts: IntCounts) -> float:
    """AMI as scikit-learn defines it, whose own sum over all pairs takes seconds with a thousand classes."""
    truth, found = counts.sum(axis=1), counts.sum(axis=0)  # (n_classes,), (n_clusters,)
    if len(truth) == 1 or len(found) == 1:
        return float(len(truth) == len(found))
    rows = int(truth.sum())
    there = counts[counts > 0]
    outer = np.outer(truth, found)[counts > 0]
    shared = float((there / rows * (np.log(there) + np.log(rows) - np.log(outer))).sum())
    chance = _expected_information(truth, found)
    most = -sum(float((sizes / rows * np.log(sizes / rows)).sum()) for sizes in (truth, found)) / 2
    if most - chance < ROUNDING * most:
        # Chance gives a perfect agreement only where every renaming of rows does, such as a cluster for each row.
        return 1.0
    return min(1.0, (shared - chance) / (most - chance))


def _expected_information(truth: IntCounts, found: IntCounts) -> float:
    """The mutual information that chance gives for these sizes (Vinh, Epps and Bailey 2010, equation 24a), in nats."""
    from scipy.special import gammaln

    rows = int(truth.sum())
    log_factorial = gammaln(np.arange(rows + 1) + 1.0)
    total = 0.0
    # A term depends on the two sizes alone, and few sizes differ.
    sizes, times = np.unique(found, return_counts=True)
    for size, repeated in zip(*np.unique(truth, return_counts=True), strict=True):
        mean = size * sizes / rows
        # Shares beyond are below 1e-30 by Bernstein's inequality: they change no digit.
        reach = 12 * np.sqrt(mean) + 60
        lowest = np.maximum(np.maximum(1, size + sizes - rows), np.floor(mean - reach)).astype(np.int64)
        highest = np.minimum(np.minimum(size, sizes), np.ceil(mean + reach)).astype(np.int64)
        widths = highest - lowest + 1
        column = np.repeat(np.arange(len(sizes)), widths)
        shared = np.arange(widths.sum()) - np.repeat(np.cumsum(widths) - widths, widths) + lowest[column]
        other = sizes[column]
        log_share = (
            log_factorial[size]
            + log_factorial[other]
            + log_factorial[rows - size]
            + log_factorial[rows - other]
            - log_factorial[rows]
            - log_factorial[shared]
            - log_factorial[size - shared]
            - log_factorial[other - shared]
            - log_factorial[rows - size - other + shared]
        )
        gain = shared / rows * (np.log(shared) + np.log(rows) - np.log(size) - np.log(other))
        total += repeated * float((times[column] * gain * np.exp(log_share)).sum())
    return total
