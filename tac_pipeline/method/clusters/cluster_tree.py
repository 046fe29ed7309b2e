"""Joining the clusters two by two into a tree, and choosing the cut of it to read first.

What must stay out: the names of the nodes (tac_pipeline/results/tree_names.py).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tac_pipeline.arrays import SHORTEST_ROW, FloatMatrix, IntMatrix, IntVector, unit_rows
from tac_pipeline.errors import InputError


@dataclass(frozen=True)
class ClusterTree:
    """A binary tree over clusters.

    Node numbers: 0 to n_leaves - 1 are the clusters in the order given, then one inner node for each join, in the
    order of their heights; the last node is the root.

    Attributes
    ----------
    children : int64 (n_leaves - 1, 2)
        The two nodes that each inner node joins.
    heights : float64 (n_leaves - 1,), never falling
        How far apart they are: the root of the growth of the squared error, as in Ward's method.
    """

    children: IntMatrix
    heights: npt.NDArray[np.float64]

    @property
    def n_leaves(self) -> int:
        """The number of clusters."""
        return len(self.children) + 1

    @property
    def n_nodes(self) -> int:
        """Clusters and inner nodes."""
        return 2 * self.n_leaves - 1

    @property
    def parents(self) -> IntVector:
        """The inner node right above each node, int64 (n_nodes,); -1 for the root."""
        parents = np.full(self.n_nodes, -1, dtype=np.int64)
        parents[self.children] = np.arange(self.n_leaves, self.n_nodes)[:, np.newaxis]
        return parents

    def leaves_below(self) -> list[list[int]]:
        """The clusters below each node, from left to right; a cluster's own number for a cluster."""
        below = [[leaf] for leaf in range(self.n_leaves)]
        for left, right in self.children:
            below.append(below[left] + below[right])
        return below

    def cut(self, n_nodes: int) -> IntVector:
        """The n_nodes nodes that are left when the last joins are undone, ascending; from 1 to n_leaves."""
        if not 1 <= n_nodes <= self.n_leaves:
            raise InputError(
                f"a tree of {self.n_leaves} clusters has cuts of 1 to {self.n_leaves} nodes; got {n_nodes}"
            )
        kept = self.n_nodes - n_nodes + 1  # nodes that exist once the last n_nodes - 1 joins are undone
        parents = self.parents[:kept]
        nodes: IntVector = np.flatnonzero((parents < 0) | (parents >= kept))
        return nodes


def join_clusters(
    centers: FloatMatrix, text_centers: FloatMatrix, kind_profiles: FloatMatrix, *, kind_weight: float
) -> ClusterTree:
    """Join the two nearest clusters, again and again, until one is left (Ward's method).

    Near clusters look alike, have similar nouns and are of one kind: a cluster is the point [center ; text center ;
    kind_weight x kinds], each part of unit length. Ward's method counts every cluster once, not by its size, so that
    a large cluster does not absorb its neighbors.

    Parameters
    ----------
    centers : float32 (n_clusters, dim), unit rows
        The clusters' images.
    text_centers : float32 (n_clusters, dim), unit rows or zero rows
        The blend of nouns that a cluster's members retrieve.
    kind_profiles : float32 (n_clusters, n_kinds), unit rows or zero rows
        The kinds of these nouns. A zero row means that nothing is known: the cluster has no members, or its nouns have
        no known kind. It is replaced by the mean of the other clusters, so the other parts decide.
    kind_weight : float >= 0

    Raises
    ------
    InputError
        There is no cluster, or the matrices have different numbers of clusters.
    """
    if not len(centers) == len(text_centers) == len(kind_profiles) > 0:
        raise InputError(
            "centers, text_centers and kind_profiles must be of the same clusters, at least one; "
            f"got {len(centers)}, {len(text_centers)} and {len(kind_profiles)}"
        )
    if len(centers) == 1:
        return ClusterTree(np.empty((0, 2), dtype=np.int64), np.empty(0))
    from scipy.cluster.hierarchy import linkage

    points = np.hstack([centers, _filled(text_centers), kind_weight * _filled(kind_profiles)]).astype(np.float64)
    joins = linkage(points, method="ward")
    return ClusterTree(joins[:, :2].astype(np.int64), joins[:, 2])


def _filled(rows: FloatMatrix) -> FloatMatrix:
    """Unit rows, zero ones replaced by the mean direction of the others."""
    known = np.linalg.norm(rows, axis=1, keepdims=True) > SHORTEST_ROW
    return np.where(known, rows, unit_rows(rows.sum(axis=0, keepdims=True)))


def count_top_level(tree: ClusterTree, *, fewest: int, most: int) -> int:
    """How many nodes to read first, from fewest to most: where the next join is much higher than the last one.

    It is the number m with the largest ratio of two heights: where m nodes become m - 1, and where they became m. Among
    equal ratios the smallest m counts. A tree with at most `fewest` clusters is not cut: all clusters are read.

    Parameters
    ----------
    tree : ClusterTree
    fewest, most : int
        2 <= fewest <= most.

    Raises
    ------
    InputError
        The bounds are not like this.
    """
    if not 2 <= fewest <= most:
        raise InputError(f"the bounds of the top level must be 2 <= fewest <= most; got {fewest} and {most}")
    if tree.n_leaves <= fewest:
        return tree.n_leaves
    counts = np.arange(fewest, min(most, tree.n_leaves - 1) + 1)
    # The join number n_leaves - m, counted from 0, makes m nodes m - 1.
    beyond, last = tree.heights[tree.n_leaves - counts], tree.heights[tree.n_leaves - counts - 1]
    tiny = np.finfo(np.float64).tiny
    return int(counts[np.argmax(np.maximum(beyond, tiny) / np.maximum(last, tiny))])
