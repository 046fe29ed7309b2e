"""Ward's tree over size-weighted means, and the k-means that starts from a cut of it.

Random starts find a different optimum each time, and many rows need many of them. Ward joins at each step the two
clusters whose union costs least, so that its cut is near a good optimum, and one run of Lloyd's rounds from there
reaches it. Rows are first put into micro-clusters, so that the tree's cost does not grow with their number.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from tac_pipeline.arrays import FloatMatrix, IntMatrix, IntVector, unit_rows
from tac_pipeline.errors import InputError
from tac_pipeline.method.grouping.lloyd.two_levels import cluster_in_two_levels
from tac_pipeline.method.grouping.spherical_kmeans import KMeansResult, refine_centers, spherical_kmeans
from tac_pipeline.tensors import group_sums

# Micro-clusters: ten for each cluster that is wanted as long as there are few, and never fewer than three. The tree
# holds their square in memory.
MICRO_PER_CLUSTER, MIN_MICRO, MANY_MICRO = 10, 500, 1000
LEAST_PER_CLUSTER, MAX_MICRO = 3, 4000
MICRO_ROUNDS = 3
LLOYD_ROUNDS = 100
# An example stands for so many rows of its class, at most. The mean of few may be far from that of their class: as
# heavy as all of it, one would stay alone.
EXAMPLE_WEIGHT = 5


@dataclass(frozen=True)
class WardTree:
    """Which clusters are joined, in the order of cost.

    Attributes
    ----------
    merges : int64 (n_leaves - 1, 2)
        A leaf of each of the two clusters that a step joins.
    costs : float64 (n_leaves - 1,), ascending
        How much the joined cluster's sum of squares exceeds those of the two; infinite where both hold a leaf that
        must stay apart.
    """

    merges: npt.NDArray[np.int64]
    costs: npt.NDArray[np.float64]

    @property
    def n_leaves(self) -> int:
        """The number of leaves."""
        return len(self.merges) + 1

    @functools.cached_property
    def children(self) -> IntMatrix:
        """The two nodes that each step joins, int64 (n_leaves - 1, 2): leaves are first, step t makes n_leaves + t."""
        roots, nodes = np.arange(self.n_leaves), np.arange(self.n_leaves)
        found = np.empty_like(self.merges)
        for step, (first, second) in enumerate(self.merges):
            kept, gone = _root(roots, int(first)), _root(roots, int(second))
            found[step] = nodes[kept], nodes[gone]
            roots[gone], nodes[kept] = kept, self.n_leaves + step
        return found

    @functools.cached_property
    def spans(self) -> IntMatrix:
        """The fewest and the most clusters of the cuts that have each node as a cluster, int64 (2 n_leaves - 1, 2)."""
        n_nodes = 2 * self.n_leaves - 1
        found = np.ones((n_nodes, 2), dtype=np.int64)
        found[: self.n_leaves, 1] = self.n_leaves
        found[self.n_leaves :, 1] = np.arange(self.n_leaves - 1, 0, -1)
        found[self.children[:, 0], 0] = found[self.children[:, 1], 0] = np.arange(self.n_leaves, 1, -1)
        return found

    def nodes(self, n_clusters: int) -> IntVector:
        """The nodes that are the clusters where the tree has n_clusters, int64 (n_clusters,), ascending."""
        found: IntVector = np.flatnonzero((self.spans[:, 0] <= n_clusters) & (n_clusters <= self.spans[:, 1]))
        return found

    def cut(self, n_clusters: int) -> IntVector:
        """The cluster of each leaf where the tree has n_clusters, int64 (n_leaves,), numbered by their first leaf."""
        if not 1 <= n_clusters <= self.n_leaves:
            raise InputError(f"n_clusters must be from 1 to the number of leaves, {self.n_leaves}; got {n_clusters}")
        roots = np.arange(self.n_leaves)
        for first, second in self.merges[: self.n_leaves - n_clusters]:
            first, second = sorted((_root(roots, int(first)), _root(roots, int(second))))
            roots[second] = first
        found: IntVector = np.unique([_root(roots, leaf) for leaf in range(self.n_leaves)], return_inverse=True)[1]
        return found.astype(np.int64)


def _root(roots: IntVector, leaf: int) -> int:
    """The leaf that stands for a leaf's cluster; the path to it is shortened."""
    while roots[leaf] != leaf:
        roots[leaf] = roots[roots[leaf]]
        leaf = int(roots[leaf])
    return leaf


def ward_tree(
    means: npt.NDArray[np.floating], sizes: IntVector | npt.NDArray[np.float64], *, apart: int = 0
) -> WardTree:
    """Ward's tree by the chain of nearest neighbors: O(n_leaves²) time and memory.

    Parameters
    ----------
    means : float (n_leaves, dim)
        The mean of each leaf's rows, not scaled to unit length.
    sizes : int64 or float64 (n_leaves,), at least 1
    apart : int >= 0
        So many leaves, the first ones, are joined with each other only when nothing else is left.
    """
    n_leaves = len(means)
    points, size = means.astype(np.float64), sizes.astype(np.float64)
    squares = np.einsum("ij,ij->i", points, points)
    cost = np.maximum(squares[:, None] + squares - 2 * points @ points.T, 0)
    cost *= size[:, None] * size / (size[:, None] + size)
    np.fill_diagonal(cost, np.inf)
    cost[:apart, :apart] = np.inf
    merges: list[tuple[int, int]] = []
    costs: list[float] = []
    chain: list[int] = []
    alive = np.ones(n_leaves, dtype=bool)
    # What holds two leaves that must stay apart costs infinitely much, so such leaves are all that is left.
    for _ in range(n_leaves - max(apart, 1)):
        if not chain:
            chain = [int(alive.argmax())]
        while True:
            last = chain[-1]
            nearest = int(cost[last].argmin())
            # A tie goes to the one before in the chain, or the chain would never end.
            if len(chain) > 1 and cost[last, chain[-2]] <= cost[last, nearest] * (1 + 1e-9) + 1e-15:
                break
            chain.append(nearest)
        kept, gone = chain[-2], chain[-1]
        chain = chain[:-2]
        merges.append((kept, gone))
        costs.append(float(cost[kept, gone]))
        joined = _joined_costs(cost, size, kept, gone)
        alive[gone] = False
        joined[~alive] = np.inf
        joined[kept] = np.inf
        cost[kept], cost[:, kept] = joined, joined
        cost[gone], cost[:, gone] = np.inf, np.inf
        size[kept] += size[gone]
    left = np.flatnonzero(alive)
    merges += [(int(left[0]), int(other)) for other in left[1:]]
    costs += [float("inf")] * (len(left) - 1)
    order = np.argsort(costs, kind="stable")
    return WardTree(np.array(merges, dtype=np.int64).reshape(-1, 2)[order], np.array(costs)[order])


def _joined_costs(
    cost: npt.NDArray[np.float64], size: npt.NDArray[np.float64], one: int, other: int
) -> npt.NDArray[np.float64]:
    """The cost of joining each cluster with the union of two, by the formula of Lance and Williams."""
    with np.errstate(invalid="ignore"):
        rows = (size[one] + size) * cost[one] + (size[other] + size) * cost[other] - size * cost[one, other]
        joined: npt.NDArray[np.float64] = rows / (size[one] + size[other] + size)
    return joined


def micro_clusters(rows: FloatMatrix, *, count: int, seed: int, device: str = "cpu") -> IntVector:
    """The micro-cluster of each row, int64 (n_rows,), without gaps: a few rounds of k-means from random rows.

    Parameters
    ----------
    rows : float32 (n_rows, dim), unit rows
    count : int >= 1
        At most so many are found; each row is its own where there are no more rows.
    seed : int >= 0
    device : str, optional
        See spherical_kmeans.
    """
    if count >= len(rows):
        return np.arange(len(rows))
    starts = rows[np.random.default_rng(seed).choice(len(rows), count, replace=False)]
    found = refine_centers(rows, starts, max_iterations=MICRO_ROUNDS, device=device)
    compact: IntVector = np.unique(found.assignment, return_inverse=True)[1]
    return compact.astype(np.int64)


def micro_tree(
    rows: FloatMatrix, micro: IntVector, *, apart: int = 0, least: float = 1
) -> tuple[WardTree, FloatMatrix]:
    """Ward's tree over micro-clusters, and the sum of each one's rows, float32 (n_micro, dim).

    Parameters
    ----------
    rows : float32 (n_rows, dim), unit rows
    micro : int64 (n_rows,), without gaps
    apart : int >= 0
        See ward_tree.
    least : float
        What the leaves that stay apart weigh at least, in rows, but no more than EXAMPLE_WEIGHT for each of their own.
    """
    sizes = np.bincount(micro)
    sums = group_sums(rows, micro, n_groups=len(sizes))
    weights = sizes.astype(np.float64)
    weights[:apart] = np.maximum(weights[:apart], np.minimum(least, EXAMPLE_WEIGHT * weights[:apart]))
    return ward_tree(sums / sizes[:, None], weights, apart=apart), sums


def count_micro(n_rows: int, n_clusters: int) -> int:
    """How many micro-clusters serve so many rows and clusters; never fewer than the clusters."""
    few = max(MIN_MICRO, min(MICRO_PER_CLUSTER * n_clusters, MANY_MICRO))
    wanted = min(MAX_MICRO, max(few, LEAST_PER_CLUSTER * n_clusters))
    return min(n_rows, max(wanted, n_clusters))


def ward_kmeans(
    rows: FloatMatrix,
    *,
    n_clusters: int,
    seed: int,
    known: IntVector | None = None,
    levels: int = 1,
    device: str = "cpu",
) -> KMeansResult:
    """Spherical k-means from Ward's cut over micro-clusters.

    The examples of known classes stay in their classes. In the tree the examples of a class are one micro-cluster, and
    those of two classes are never joined: a class takes the images around it, and what is far from all is new.

    Parameters
    ----------
    rows : float32 (n_rows, dim), unit rows
    n_clusters : int
        From 1 to n_rows.
    seed : int >= 0
        Of the micro-clusters; without effect where every row is one.
    known : int64 (n_rows,), optional
        The known class that each row is an example of, from 0 without gaps; -1 where it is none. The first clusters
        are these classes, in their order.
    levels : int, optional
        2 finds many clusters on two levels, each from Ward's cut; see cluster_in_two_levels. With known classes there
        is one level whatever is asked for.
    device : str, optional
        See spherical_kmeans.

    Raises
    ------
    InputError
        n_clusters is out of range, or there are more known classes.
    """
    if not 1 <= n_clusters <= len(rows):
        raise InputError(f"n_clusters must be from 1 to the number of rows, {len(rows)}; got {n_clusters}")

    def flat(part: FloatMatrix, *, n_clusters: int, seed: int) -> KMeansResult:
        return ward_kmeans(part, n_clusters=n_clusters, seed=seed, device=device)

    if levels > 1 and known is None:
        return cluster_in_two_levels(
            rows,
            n_clusters=n_clusters,
            flat=flat,
            max_iterations=LLOYD_ROUNDS,
            seed=seed,
            device=device,
            within=partial(_within_cells, rows, seed=seed, device=device),
        )
    n_known = count_known(known, n_clusters=n_clusters)
    micro = _leaves(rows, known, n_clusters=n_clusters, n_known=n_known, seed=seed, device=device)
    n_micro = int(micro.max()) + 1
    if n_micro < n_clusters and known is None:  # fewer distinct rows than clusters: nothing to join
        return spherical_kmeans(rows, n_clusters=n_clusters, restarts=1, max_iterations=LLOYD_ROUNDS, seed=seed)
    # A few examples stand for a class as large as others: light ones would at once draw in what is near.
    tree, sums = micro_tree(rows, micro, apart=n_known, least=len(rows) / n_clusters)
    return _from_cut(rows, tree, sums, n_clusters=n_clusters, known=known, device=device)


def _from_cut(
    rows: FloatMatrix,
    tree: WardTree,
    sums: FloatMatrix,
    *,
    n_clusters: int,
    known: IntVector | None = None,
    device: str,
) -> KMeansResult:
    """k-means from the cut of a tree over micro-clusters with these sums of rows."""
    coarse = tree.cut(min(n_clusters, tree.n_leaves))
    starts = group_sums(sums, coarse, n_groups=n_clusters)
    lengths = np.linalg.norm(starts, axis=1)
    # A cluster beyond the leaves starts at any row, and then where a row is farthest from its center.
    first = np.array([np.append(np.flatnonzero(coarse == cluster), 0)[0] for cluster in range(n_clusters)])
    # Opposite rows cancel out: the first micro-cluster then stands for the cluster.
    starts = np.where((lengths > 1e-6)[:, None], starts, sums[first])
    return refine_centers(rows, unit_rows(starts), max_iterations=LLOYD_ROUNDS, known=known, device=device)


def _within_cells(
    rows: FloatMatrix, members: Sequence[IntVector], counts: IntVector, *, seed: int, device: str
) -> Iterator[FloatMatrix]:
    """The centers in each cell from its Ward tree; see two_levels.Within."""
    filled = np.flatnonzero(counts).tolist()
    planted = []
    for cell in filled:
        part = rows[members[cell]]
        count = min(len(part), MICRO_PER_CLUSTER * int(counts[cell]))
        planted.append(micro_tree(part, micro_clusters(part, count=count, seed=seed, device=device)))
    wanted = shares_at_one_cost([tree for tree, _ in planted], counts[filled])
    for cell, (tree, sums), count in zip(filled, planted, wanted.tolist(), strict=True):
        yield _from_cut(rows[members[cell]], tree, sums, n_clusters=count, device=device).centers


def shares_at_one_cost(trees: Sequence[WardTree], counts: IntVector) -> IntVector:
    """How many clusters each tree has where all are cut at one cost, int64 (n_trees,), with the sum of counts.

    Lloyd's rounds never move a center from where there are too many to where there are too few. With fewer leaves than
    clusters there is nothing to choose: the counts are returned.
    """
    leaves = np.array([tree.n_leaves for tree in trees])
    n_joins = int(leaves.sum() - counts.sum())
    if n_joins < 0:
        return counts
    cheapest = np.argsort(np.concatenate([tree.costs for tree in trees]), kind="stable")[:n_joins]
    of = np.repeat(np.arange(len(trees)), leaves - 1)
    found: IntVector = leaves - np.bincount(of[cheapest], minlength=len(trees))
    return found


def count_known(known: IntVector | None, *, n_clusters: int) -> int:
    """How many classes are known.

    Raises
    ------
    InputError
        They are more than the clusters.
    """
    n_known = 0 if known is None else int(known.max(initial=-1)) + 1
    if n_known > n_clusters:
        raise InputError(
            f"there must be at least as many clusters as known classes; got {n_clusters} clusters and {n_known} classes"
        )
    return n_known


def _leaves(
    rows: FloatMatrix, known: IntVector | None, *, n_clusters: int, n_known: int, seed: int, device: str
) -> IntVector:
    """The micro-cluster of each row, int64 (n_rows,), without gaps; first the examples of each known class."""
    if known is None:
        return micro_clusters(rows, count=count_micro(len(rows), n_clusters), seed=seed, device=device)
    leaves, free = known.copy(), np.flatnonzero(known < 0)
    if len(free):
        count = count_micro(len(free), min(n_clusters, len(free)))
        leaves[free] = n_known + micro_clusters(rows[free], count=count, seed=seed, device=device)
    return leaves
