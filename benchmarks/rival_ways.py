"""The ways of grouping that the product is measured against: only image vectors go in, and K where the way takes it.

What must stay out: which sets are grouped, how results are scored, and what is expected of them (rivals.py,
rival_goals.py).
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

import numpy as np
import scipy.sparse
from threadpoolctl import threadpool_limits

from tac_pipeline.arrays import FloatMatrix, IntMatrix, IntVector, unit_rows
from tac_pipeline.method.grouping.neighbors import nearest_neighbors
from tac_pipeline.method.grouping.ward import ward_kmeans
from tac_pipeline.method.grouping.whitening import whiten_by_total

Found = TypeVar("Found")

WHITENING_POWER = 0.3
KMEANS_RESTARTS, KMEANS_ROUNDS = 10, 100
# With the image itself, as scikit-learn and UMAP count; 15 is UMAP's own default.
SPECTRAL_NEIGHBORS, UMAP_NEIGHBORS = 10, 15
UMAP_WIDTH = 10
# Of HDBSCAN: the sets have from 41 to 200 images a class in the mean, and some classes have far fewer.
MIN_CLUSTER_SIZE = 10


class Space:
    """The rows that ways group, and what several of them need, computed once.

    Attributes
    ----------
    rows : float32 (n_images, dim), unit rows
    borrowed : float
        CPU seconds of what a way took from an earlier one; a way alone would have spent them itself.
    """

    def __init__(self, rows: FloatMatrix, *, seconds: float = 0.0) -> None:
        self.rows = rows
        self.borrowed = 0.0
        self._own_seconds = seconds
        self._kept: dict[Hashable, tuple[Any, float]] = {}

    def once(self, key: Hashable, compute: Callable[[], Found]) -> Found:
        """What compute gives; from the second time on what it gave, with its seconds added to borrowed."""
        if key in self._kept:
            found, seconds = self._kept[key]
            self.borrowed += seconds
            return found
        started, borrowed = time.process_time(), self.borrowed
        computed = compute()
        # What compute itself borrowed is a part of its cost.
        self._kept[key] = (computed, time.process_time() - started + self.borrowed - borrowed)
        return computed

    def neighbors(self) -> IntMatrix:
        """The nearest rows, int64 (n_images, UMAP_NEIGHBORS - 1), the row itself left out."""
        return self.once("neighbors", lambda: nearest_neighbors(self.rows, count=UMAP_NEIGHBORS - 1))

    def timed(self, way: Way, n_clusters: int, seed: int) -> tuple[IntVector, float]:
        """The clusters that a way finds, int64 (n_images,), and the CPU seconds that it would take alone."""
        self.borrowed = 0.0
        found, seconds = cpu_timed(lambda: way(self, n_clusters, seed))
        return found, seconds + self.borrowed + self._own_seconds


def cpu_timed(compute: Callable[[], Found]) -> tuple[Found, float]:
    """What compute gives, and its CPU seconds with one thread."""
    # Threads that wait for each other spin: on a busy machine two of them burned nine times the CPU seconds of one. Set
    # each time, because the limit holds only for libraries that are loaded.
    with threadpool_limits(limits=1):
        started = time.process_time()
        return compute(), time.process_time() - started


Way = Callable[[Space, int, int], IntVector]


def whitened(rows: FloatMatrix) -> Space:
    """The space of the whitened rows; its seconds count for each way in it."""
    moved, seconds = cpu_timed(lambda: whiten_by_total(rows, power=WHITENING_POWER).apply(rows))
    return Space(moved, seconds=seconds)


def kmeans(space: Space, n_clusters: int, seed: int) -> IntVector:
    """Spherical k-means of faiss, the best of ten."""
    import faiss

    rows = np.ascontiguousarray(space.rows)
    found = faiss.Kmeans(
        rows.shape[1],
        n_clusters,
        niter=KMEANS_ROUNDS,
        nredo=KMEANS_RESTARTS,
        seed=seed,
        spherical=True,
        # Neither a warning for small sets, nor a sample of large ones.
        min_points_per_centroid=1,
        max_points_per_centroid=len(rows),
    )
    found.train(rows)
    return found.index.search(rows, 1)[1][:, 0].astype(np.int64)


def ward(space: Space, n_clusters: int, seed: int) -> IntVector:
    """Ward's tree of scikit-learn over all rows."""
    from sklearn.cluster import AgglomerativeClustering

    found: IntVector = AgglomerativeClustering(n_clusters, linkage="ward").fit_predict(space.rows)
    return found


def ward_start(space: Space, n_clusters: int, seed: int) -> IntVector:
    """Spherical k-means from a cut of Ward's tree over micro-clusters."""
    return ward_kmeans(space.rows, n_clusters=n_clusters, seed=seed).assignment


def spectral(space: Space, n_clusters: int, seed: int) -> IntVector:
    """Spectral clustering of scikit-learn on the graph of the ten nearest."""
    from sklearn.cluster import SpectralClustering

    affinity = neighbor_graph(space.neighbors()[:, : SPECTRAL_NEIGHBORS - 1])
    clusters = SpectralClustering(n_clusters, affinity="precomputed", random_state=seed)
    with warnings.catch_warnings():
        # Duplicates and small classes are islands in the graph; the result is still a clustering.
        warnings.filterwarnings("ignore", message="Graph is not fully connected")
        found: IntVector = clusters.fit_predict(affinity)
    return found


def umap_kmeans(space: Space, n_clusters: int, seed: int) -> IntVector:
    """UMAP to ten dimensions, then k-means of scikit-learn, the best of ten."""
    from sklearn.cluster import KMeans

    # UMAP's islands are far apart. From faiss's random starts two of them share a center in all ten restarts (food10:
    # NMI 84 instead of 88); k-means++ starts in each.
    found: IntVector = KMeans(n_clusters, n_init=KMEANS_RESTARTS, random_state=seed).fit_predict(umap_rows(space, seed))
    return found


def umap_hdbscan(space: Space, n_clusters: int, seed: int) -> IntVector:
    """UMAP to ten dimensions, then HDBSCAN, which finds its own number of clusters."""
    from sklearn.cluster import HDBSCAN

    rows = umap_rows(space, seed)
    return join_noise(rows, HDBSCAN(min_cluster_size=MIN_CLUSTER_SIZE, copy=True).fit_predict(rows))


def umap_rows(space: Space, seed: int) -> FloatMatrix:
    """The rows in UMAP's space, float32 (n_images, UMAP_WIDTH), computed once for each seed."""
    return space.once(("umap", seed), lambda: _umap(space, seed))


def neighbor_graph(neighbors: IntMatrix) -> scipy.sparse.csr_matrix:
    """The symmetric affinity: 1 for neighbors of each other, 0.5 for one-sided ones, each row near itself."""
    n_rows, count = neighbors.shape
    own = np.repeat(np.arange(n_rows), count)
    near = scipy.sparse.csr_matrix((np.ones(neighbors.size), (own, neighbors.ravel())), shape=(n_rows, n_rows))
    return ((near + near.T) * 0.5 + scipy.sparse.identity(n_rows)).tocsr()


def join_noise(rows: FloatMatrix, labels: IntVector) -> IntVector:
    """Rows that HDBSCAN leaves out (-1) in the cluster of the nearest mean; all in one when it found none."""
    clusters = np.unique(labels[labels >= 0])
    if not len(clusters):
        return np.zeros(len(labels), dtype=np.int64)
    means = np.stack([rows[labels == cluster].mean(axis=0) for cluster in clusters])
    joined, noise = labels.astype(np.int64), np.flatnonzero(labels < 0)
    distances = np.linalg.norm(rows[noise][:, None] - means, axis=2)  # (n_noise, n_clusters)
    joined[noise] = clusters[distances.argmin(axis=1)]
    return joined


def warm_up() -> None:
    """Import and compile what ways need, so that the seconds of the first set do not hold that."""
    rows = np.random.default_rng(0).normal(size=(50, 8)).astype(np.float32)
    space = Space(unit_rows(rows))
    for way in (*GIVEN_K.values(), *OWN_K.values()):
        way(space, 2, 0)


def _umap(space: Space, seed: int) -> FloatMatrix:
    import umap

    others = space.neighbors()
    near = np.column_stack([np.arange(len(others)), others])
    distances = np.stack(
        [1 - rows @ own for rows, own in zip(space.rows[near], space.rows, strict=True)]
    )  # (n_images, UMAP_NEIGHBORS)
    distances = np.maximum(distances, 0).astype(np.float32)
    distances[:, 0] = 0
    to_few = umap.UMAP(
        n_components=UMAP_WIDTH,
        n_neighbors=UMAP_NEIGHBORS,
        min_dist=0.0,
        metric="cosine",
        random_state=seed,
        n_jobs=1,
        precomputed_knn=(near, distances),
    )
    with warnings.catch_warnings():
        # A table of neighbors without an index places no new rows; none are placed here.
        warnings.filterwarnings("ignore", category=UserWarning, module="umap")
        found: FloatMatrix = to_few.fit_transform(space.rows)
    return found


# In the order in which they are shown; those that take K run on whitened rows too.
GIVEN_K: dict[str, Way] = {
    "k-means": kmeans,
    "Ward": ward,
    "Ward start": ward_start,
    "spectral": spectral,
    "UMAP-10 + k-means": umap_kmeans,
}
OWN_K: dict[str, Way] = {"UMAP + HDBSCAN": umap_hdbscan}
WHITENED = "whitened "
