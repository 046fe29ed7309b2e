"""The evidence for a number of groups: what a tree of groups shows beyond what it shows in rows without groups.

What must stay out: which number is chosen from the evidence (cluster_count.py), and labels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tac_pipeline.arrays import FloatMatrix, IntMatrix, IntVector, row_chunks, unit_rows
from tac_pipeline.method.grouping.ward import WardTree, micro_clusters, micro_tree

FloatVector = npt.NDArray[np.float64]

SIGNALS = ("stability", "neighbors", "silhouette")
# Micro-clusters of a half. They bound the tree's memory, and a cut of more than 0.6 of them would judge single leaves.
MICRO = 1000
# Rows that are judged, with their nearest rows: an adjusted Rand index of 3,000 rows has a standard error below 0.01.
JUDGED, NEIGHBORS = 3000, 10
# Bounds memory, and never changes the result.
CHUNK_ROWS = 2048


@dataclass(frozen=True)
class _Judged:
    """Rows that are judged, and their nearest rows."""

    rows: FloatMatrix  # (n_shown, dim): both kinds, each once
    own: IntVector  # (n_judged,), into rows
    near: IntMatrix  # (n_judged, n_neighbors), into rows


@dataclass(frozen=True)
class _Cuts:
    """The nearest group of each shown row at each number of groups, and how clear the choice is."""

    groups: npt.NDArray[np.int32]  # (n_counts, n_shown)
    silhouette: FloatVector  # (n_counts,)


def judge_counts(
    rows: FloatMatrix,
    counts: IntVector,
    *,
    draws: int,
    generator: np.random.Generator,
    done: Callable[[], None] | None = None,
) -> npt.NDArray[np.float64]:
    """Three signals of each number of groups, from Ward trees of two random halves of the rows.

    - stability: the adjusted Rand index of the two trees' groups of the same rows (Ben-Hur et al., 2002);
    - neighbors: the share of a row's ten nearest rows that are in its group;
    - silhouette: the simplified one, (b - a) / b, of the distances to the nearest and the second nearest mean.

    Parameters
    ----------
    rows : float32 (n_rows, dim), unit rows, at least 4 of them, no two equal
    counts : int64 (n_counts,), from 2 to half of the rows
    draws : int >= 1
        How many times the rows are divided in halves.
    generator : numpy Generator
    done : callable, optional
        Called after each draw.

    Returns
    -------
    float64 (draws, 3, n_counts), in the order of SIGNALS
    """
    judged = _choose_judged(rows, generator)
    values = np.empty((draws, len(SIGNALS), len(counts)))
    for draw in range(draws):
        halves = np.array_split(generator.permutation(len(rows)), 2)
        cuts = [_cut(rows[half], judged.rows, counts, seed=int(generator.integers(1 << 30))) for half in halves]
        values[draw] = _compare(cuts[0], cuts[1], judged)
        if done is not None:
            done()
    return values


def permute_coordinates(rows: FloatMatrix, generator: np.random.Generator) -> FloatMatrix:
    """Rows without groups: each principal coordinate is permuted, which keeps its spread and its own distribution.

    Parameters
    ----------
    rows : float32 (n_rows, dim), unit rows

    Returns
    -------
    float32 (n_rows, dim), unit rows
    """
    mean, _, directions = _principal(rows)
    own = (rows - mean) @ directions
    for column in range(own.shape[1]):
        own[:, column] = own[generator.permutation(len(own)), column]
    return unit_rows(own @ directions.T + mean)


def gaussian_like(rows: FloatMatrix, generator: np.random.Generator) -> FloatMatrix:
    """As many Gaussian rows of the same mean and covariance, float32 (n_rows, dim), scaled to unit length."""
    mean, deviations, directions = _principal(rows)
    drawn = generator.normal(size=rows.shape).astype(np.float32) * deviations
    return unit_rows(drawn @ directions.T + mean)


def _principal(rows: FloatMatrix) -> tuple[FloatMatrix, FloatMatrix, FloatMatrix]:
    """The mean, the deviation along each principal direction, and these directions as columns."""
    mean = rows.mean(axis=0)
    centered = rows - mean
    values, directions = np.linalg.eigh((centered.T @ centered / len(rows)).astype(np.float64))
    return mean, np.sqrt(np.maximum(values, 0)).astype(np.float32), directions.astype(np.float32)


def _choose_judged(rows: FloatMatrix, generator: np.random.Generator) -> _Judged:
    drawn = generator.permutation(len(rows))[:JUDGED]
    count = min(NEIGHBORS, len(rows) - 1)
    near = np.empty((len(drawn), count), dtype=np.int64)
    for chunk in row_chunks(len(drawn), CHUNK_ROWS // 4):
        part = drawn[chunk]
        likeness = rows[part] @ rows.T
        likeness[np.arange(len(part)), part] = -np.inf
        near[chunk] = np.argpartition(likeness, -count, axis=1)[:, -count:]
    shown, places = np.unique(np.concatenate([drawn, near.ravel()]), return_inverse=True)
    return _Judged(rows[shown], places[: len(drawn)], places[len(drawn) :].reshape(near.shape))


def _cut(rows: FloatMatrix, shown: FloatMatrix, counts: IntVector, *, seed: int) -> _Cuts:
    """Cut the tree of one half into every number of groups, and find the nearest group of the shown rows."""
    micro = micro_clusters(rows, count=MICRO, seed=seed)
    tree, sums = micro_tree(rows, micro)
    means = unit_rows(_node_sums(tree, sums))
    nodes = [tree.nodes(min(int(count), tree.n_leaves)) for count in counts]
    groups = np.empty((len(counts), len(shown)), dtype=np.int32)
    silhouette = np.zeros(len(counts))
    for chunk in row_chunks(len(shown), CHUNK_ROWS):
        # One product with all nodes serves every cut.
        likeness = shown[chunk] @ means.T  # (chunk, n_nodes)
        for place, own in enumerate(nodes):
            among = likeness[:, own]
            groups[place, chunk] = own[among.argmax(axis=1)]
            two = np.partition(among, -2, axis=1)[:, -2:].astype(np.float64)
            near, next_ = 1 - two[:, 1], np.maximum(1 - two[:, 0], 1e-9)
            silhouette[place] += float(((next_ - near) / next_).sum())
    return _Cuts(groups, silhouette / len(shown))


def _node_sums(tree: WardTree, sums: FloatMatrix) -> FloatMatrix:
    """The sum of the rows below each node, float32 (2 n_leaves - 1, dim)."""
    found = np.concatenate([sums, np.zeros((tree.n_leaves - 1, sums.shape[1]), dtype=sums.dtype)])
    for step, (first, second) in enumerate(tree.children):
        found[tree.n_leaves + step] = found[first] + found[second]
    return found


def _compare(one: _Cuts, other: _Cuts, judged: _Judged) -> npt.NDArray[np.float64]:
    """The three signals, float64 (3, n_counts)."""
    from sklearn.metrics import adjusted_rand_score

    pairs = list(zip(one.groups, other.groups, strict=True))
    stability = [adjusted_rand_score(left[judged.own], right[judged.own]) for left, right in pairs]
    neighbors = [np.mean([_kept_together(groups, judged) for groups in pair]) for pair in pairs]
    return np.array([stability, neighbors, (one.silhouette + other.silhouette) / 2])


def _kept_together(groups: npt.NDArray[np.int32], judged: _Judged) -> float:
    """The share of the nearest rows that are in a row's group."""
    return float((groups[judged.near] == groups[judged.own][:, None]).mean())
