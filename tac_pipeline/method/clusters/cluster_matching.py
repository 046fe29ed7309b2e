"""Matching new clusters to old ones, one to one: by the images that both sides know, and then by centers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tac_pipeline.arrays import FloatMatrix, IntMatrix, IntVector, require_same_width, unit_rows
from tac_pipeline.errors import InputError

# Two clusters are the same when they share at least this part of the images of one of them.
SHARED_PART = 0.5
# With a smaller share of known images a cluster is matched by its center: most of its images are new.
KNOWN_PART = 0.1
# A matched cluster counts as grown when it has this many times the images.
GROWN_FACTOR = 1.1

NONE = -1


@dataclass(frozen=True)
class Clustering:
    """One side of a matching.

    Attributes
    ----------
    known : int64 (n_known,)
        The cluster, 0 to len(sizes) - 1, of every image that both sides know, in one order on both sides.
    sizes : int64 (n_clusters,)
        All images of each cluster, known to the other side or not.
    centers : float32 (n_clusters, dim), unit rows
    """

    known: IntVector
    sizes: IntVector
    centers: FloatMatrix


@dataclass(frozen=True)
class ClusterMatch:
    """Which old cluster every new one continues.

    Attributes
    ----------
    old_of : int64 (n_new,)
        The old cluster that it continues, or NONE.
    shared : int64 (n_old, n_new)
        Images that both sides know, by old cluster and new cluster.
    """

    old_of: IntVector
    shared: IntMatrix

    @property
    def new_of(self) -> IntVector:
        """The new cluster that continues each old one, int64 (n_old,), or NONE."""
        found = np.full(self.shared.shape[0], NONE, dtype=np.int64)
        matched = np.flatnonzero(self.old_of != NONE)
        found[self.old_of[matched]] = matched
        return found


def match_clusters(
    old: Clustering, new: Clustering, *, same_space: bool, fixed: Mapping[int, int] | None = None
) -> ClusterMatch:
    """Match new clusters to old ones, each at most once, so that as many known images as possible stay together.

    A pair counts only when it shares at least half of one cluster's known images. Clusters with almost no known images
    are matched by their centers: a pair is matched when each is the other's nearest, and nearer than any cluster of
    its own side.

    Parameters
    ----------
    old, new : Clustering
    same_space : bool
        Whether the centers come from one encoder; else they are not compared.
    fixed : mapping of new cluster to old cluster, optional
        Pairs that are the same whatever they share, such as known classes of one name.

    Raises
    ------
    InputError
        The two sides know different numbers of images, or a known image is in no cluster.
    """
    from scipy.optimize import linear_sum_assignment

    _require_same_images(old, new)
    n_old, n_new = len(old.sizes), len(new.sizes)
    pairs = old.known * n_new + new.known
    shared = np.bincount(pairs, minlength=n_old * n_new).reshape(n_old, n_new)
    known_old, known_new = shared.sum(axis=1, keepdims=True), shared.sum(axis=0, keepdims=True)
    part_of_old, part_of_new = shared / np.maximum(known_old, 1), shared / np.maximum(known_new, 1)
    kept = np.where(np.maximum(part_of_old, part_of_new) >= SHARED_PART, shared, 0)
    old_of = np.full(n_new, NONE, dtype=np.int64)
    for now, was in (fixed or {}).items():
        old_of[now], kept[was], kept[:, now] = was, 0, 0
    for was, now in zip(*linear_sum_assignment(kept, maximize=True), strict=True):
        if kept[was, now]:
            old_of[now] = was
    if same_space and n_old and n_new:
        _match_centers(old, new, shared, old_of)
    return ClusterMatch(old_of, shared)


def _require_same_images(old: Clustering, new: Clustering) -> None:
    if len(old.known) != len(new.known):
        raise InputError(
            f"both sides must know the same images; the old one has {len(old.known)}, the new one {len(new.known)}"
        )
    for side, name in ((old, "old"), (new, "new")):
        if len(side.known) and not 0 <= side.known.min() <= side.known.max() < len(side.sizes):
            raise InputError(f"known images of the {name} clusters must lie in 0..{len(side.sizes) - 1}")


def _match_centers(old: Clustering, new: Clustering, shared: IntMatrix, old_of: IntVector) -> None:
    """Write into old_of the pairs of nearest centers, among clusters with too few known images."""
    require_same_width(old.centers, new.centers, names=("the old centers", "the new centers"))
    cosine = new.centers @ old.centers.T  # (n_new, n_old)
    nearest_old, nearest_new = cosine.argmax(axis=1), cosine.argmax(axis=0)
    # Without this an old cluster that is gone and a new one would be matched at any distance.
    among_old, among_new = _nearest_neighbor(old.centers), _nearest_neighbor(new.centers)
    silent_old = shared.sum(axis=1) < KNOWN_PART * np.maximum(old.sizes, 1)
    silent_new = shared.sum(axis=0) < KNOWN_PART * np.maximum(new.sizes, 1)
    for now in np.flatnonzero(silent_new & (old_of == NONE)):
        was = nearest_old[now]
        same = cosine[now, was] > max(among_old[was], among_new[now])
        if same and silent_old[was] and nearest_new[was] == now and was not in old_of:
            old_of[now] = was


def _nearest_neighbor(centers: FloatMatrix) -> FloatMatrix:
    """The cosine of every center to the nearest other one, float32 (n,); -1 when there is no other."""
    cosine = centers @ centers.T
    np.fill_diagonal(cosine, -1.0)
    nearest: FloatMatrix = cosine.max(axis=1)
    return nearest


@dataclass(frozen=True)
class Likeliest:
    """What centers need of a soft assignment.

    Attributes
    ----------
    columns : int64 (n_images,)
        The likeliest column of each image, the first of several.
    images : int64 (n_clusters,)
        The image that leans most to each column, the first of several.
    """

    columns: IntVector
    images: IntVector


def likeliest(parts: Iterable[FloatMatrix]) -> Likeliest:
    """The likeliest columns and images of a soft assignment.

    Parameters
    ----------
    parts : iterable of float32 (any, n_clusters), rows sum to 1
        The rows of all images in their order; only one part is held at once.
    """
    columns: list[IntVector] = []
    best, images, done = np.empty(0), np.empty(0, dtype=np.int64), 0
    for soft in parts:
        columns.append(soft.argmax(axis=1))
        leaning = soft.argmax(axis=0)
        most = soft[leaning, np.arange(soft.shape[1])]
        if not done:
            best, images = np.full(len(most), -np.inf), np.zeros(len(most), dtype=np.int64)
        images = np.where(most > best, done + leaning, images)
        best = np.maximum(most, best)
        done += len(soft)
    return Likeliest(np.concatenate(columns), images)


def assignment_centers(vectors: FloatMatrix, found: Likeliest) -> FloatMatrix:
    """The center of every column of a head: the unit mean of its members.

    Parameters
    ----------
    vectors : float32 (n_images, dim), unit rows
    found : Likeliest
        Of these images.

    Returns
    -------
    float32 (n_clusters, dim), unit rows; a column without members gets its most probable vector
    """
    from scipy.sparse import csr_array

    n_images, n_clusters = len(found.columns), len(found.images)
    shape = (n_images, n_clusters)
    membership = csr_array((np.ones(n_images), found.columns, np.arange(n_images + 1)), shape=shape)
    totals = membership.T @ vectors  # (n_clusters, dim)
    empty = np.bincount(found.columns, minlength=n_clusters) == 0
    totals[empty] = vectors[found.images[empty]]
    return unit_rows(totals.astype(np.float32))


@dataclass(frozen=True)
class Change:
    """What became of one cluster id.

    Attributes
    ----------
    cluster_id : int
    event : str
        kept, grown, split, merged, born or retired.
    other_id : int or None
        The id that it was split from or merged into.
    shared, images_before, images_after : int
        Images known then and now that it kept, gave or took; all that it had, and all that it has.
    """

    cluster_id: int
    event: str
    other_id: int | None
    shared: int
    images_before: int
    images_after: int


def trace_lineage(
    match: ClusterMatch,
    old: Clustering,
    new: Clustering,
    old_ids: npt.NDArray[np.int64],
    new_ids: npt.NDArray[np.int64],
) -> list[Change]:
    """The lineage of ids: what happened to every old one, and the origin of every new one; sorted by id.

    Parameters
    ----------
    old_ids, new_ids : int64 (n_old,), (n_new,)
        The lasting ids; a matched cluster has the same on both sides.
    """
    changes = []
    for now, was in enumerate(match.old_of):
        share, before, after = match.shared[:, now], 0, int(new.sizes[now])
        if was != NONE:
            before = int(old.sizes[was])
            event = "grown" if after > GROWN_FACTOR * before else "kept"
            changes.append(Change(int(new_ids[now]), event, None, int(share[was]), before, after))
            continue
        source = int(share.argmax()) if len(share) else 0
        if len(share) and share[source] and share[source] >= SHARED_PART * share.sum():
            changes.append(Change(int(new_ids[now]), "split", int(old_ids[source]), int(share[source]), 0, after))
        else:
            changes.append(Change(int(new_ids[now]), "born", None, 0, 0, after))
    for was in np.flatnonzero(match.new_of == NONE):
        share, before = match.shared[was], int(old.sizes[was])
        target = int(share.argmax()) if len(share) else 0
        merged = bool(len(share) and share[target] and share[target] >= SHARED_PART * share.sum())
        other = int(new_ids[target]) if merged else None
        gone_to = int(share[target]) if merged else 0
        changes.append(Change(int(old_ids[was]), "merged" if merged else "retired", other, gone_to, before, 0))
    return sorted(changes, key=lambda change: change.cluster_id)
