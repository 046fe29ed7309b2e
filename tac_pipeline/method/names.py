"""Names for clusters, from the nouns that their members retrieve and the others do not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tac_pipeline.errors import InputError
from tac_pipeline.method.arrays import FloatMatrix, IntVector
from tac_pipeline.method.text_counterparts import retrieval_weights


@dataclass(frozen=True)
class NounProfiles:
    """What the nouns say of each cluster and of all images.

    Attributes
    ----------
    clusters : float32 (n_clusters, n_nouns)
        Mean retrieval weight over a cluster's members; rows sum to 1, or to 0 for a cluster without members.
    overall : float32 (n_nouns,)
        Mean retrieval weight over all images; sums to 1.
    """

    clusters: FloatMatrix
    overall: npt.NDArray[np.float32]


@dataclass(frozen=True)
class ClusterName:
    """A cluster in words.

    Attributes
    ----------
    name : str or None
        None for a cluster without members.
    alternatives : tuple of str
        The next best nouns, best first.
    weights : tuple of float
        The share of the members' retrieval weight that the name and then each alternative has.
    """

    name: str | None
    alternatives: tuple[str, ...]
    weights: tuple[float, ...]


def noun_profiles(
    image_embeddings: FloatMatrix,
    noun_embeddings: FloatMatrix,
    assignment: IntVector,
    *,
    n_clusters: int,
    tau: float,
    chunk_rows: int = 2048,
) -> NounProfiles:
    """Average the retrieval weights of step 5 over each cluster's members and over all images.

    Parameters
    ----------
    image_embeddings : float32 (n_images, dim), unit rows
    noun_embeddings : float32 (n_nouns, dim), unit rows
        Of the noun vocabulary.
    assignment : int64 (n_images,)
        From 0 to n_clusters - 1.
    n_clusters : int
    tau : float > 0
        The one that retrieved the text counterparts.
    chunk_rows : int
        Bounds memory; never changes the result.

    Raises
    ------
    InputError
        The assignment is of other images or names clusters that do not exist, or what `retrieval_weights` raises.
    """
    from scipy.sparse import csr_array

    if len(assignment) != len(image_embeddings):
        raise InputError(
            f"the assignment must have one entry per image; got {len(assignment)} for {len(image_embeddings)} images"
        )
    if len(assignment) and not 0 <= assignment.min() <= assignment.max() < n_clusters:
        raise InputError(f"the assignment must lie in 0..{n_clusters - 1}; got {assignment.min()}..{assignment.max()}")
    totals = np.zeros((n_clusters, len(noun_embeddings)))
    for rows, weights in retrieval_weights(image_embeddings, noun_embeddings, tau=tau, chunk_rows=chunk_rows):
        n_rows = rows.stop - rows.start
        membership = csr_array((np.ones(n_rows), assignment[rows], np.arange(n_rows + 1)), shape=(n_rows, n_clusters))
        totals += membership.T @ weights
    sizes = np.bincount(assignment, minlength=n_clusters)
    clusters = totals / np.maximum(sizes, 1)[:, np.newaxis]
    overall = totals.sum(axis=0) / max(1, len(assignment))
    return NounProfiles(clusters.astype(np.float32), overall.astype(np.float32))


def name_clusters(
    profiles: FloatMatrix, overall: npt.NDArray[np.float32], nouns: Sequence[str], *, alternatives: int = 4
) -> list[ClusterName]:
    """Name each cluster by the noun that says most of its members against all images.

    A noun's score is its term of the Kullback-Leibler divergence of the cluster's profile from the overall one,
    weight * log(weight / overall weight): high where the members retrieve the noun, and others do not. Two clusters
    may get the same name: the nouns do not tell them apart (docs/decisions/0012-names-of-clusters.md).

    Parameters
    ----------
    profiles : float32 (n_clusters, n_nouns)
        `NounProfiles.clusters`.
    overall : float32 (n_nouns,)
        `NounProfiles.overall`.
    nouns : sequence of str, n_nouns long
    alternatives : int
        So many, or all other nouns where there are fewer; their weights tell how much each is worth.

    Returns
    -------
    list of ClusterName, one per row of profiles

    Raises
    ------
    InputError
        The three arguments are of different numbers of nouns, or of none.
    """
    if not profiles.shape[1] == len(overall) == len(nouns) > 0:
        raise InputError(
            "profiles, overall and nouns must be of the same nouns, at least one; "
            f"got {profiles.shape[1]}, {len(overall)} and {len(nouns)}"
        )
    return [_name(weights, overall, nouns, alternatives=alternatives) for weights in profiles]


def keep_name(
    found: ClusterName, before: str, center: npt.NDArray[np.float32], vectors: Mapping[str, npt.NDArray[np.float32]]
) -> ClusterName:
    """The name that a cluster had before, with the one just found, unless the old one is clearly wrong.

    The old name stays where it is still among the nouns found, or nearer to the cluster's center than one of them.

    Parameters
    ----------
    found : ClusterName
        What names the cluster best now.
    before : str
        What it was called.
    center : float32 (dim,), unit
        Of the cluster.
    vectors : mapping of noun to float32 (dim,), unit
        Of the nouns found and of the old name; a noun that is missing is no candidate any more.
    """
    if found.name is None or found.name == before or before not in vectors:
        return found
    shown = [found.name, *found.alternatives]
    if before not in shown:
        farthest = min((float(np.dot(center, vectors[noun])) for noun in shown if noun in vectors), default=np.inf)
        if float(np.dot(center, vectors[before])) <= farthest:
            return found
        weights = (0.0, *found.weights)
        others = shown
    else:
        place = shown.index(before)
        weights = (found.weights[place], *found.weights[:place], *found.weights[place + 1 :])
        others = shown[:place] + shown[place + 1 :]
    room = len(found.alternatives)
    return ClusterName(before, tuple(others[:room]), weights[: room + 1])


def _name(
    weights: npt.NDArray[np.float32], overall: npt.NDArray[np.float32], nouns: Sequence[str], *, alternatives: int
) -> ClusterName:
    if not weights.any():
        return ClusterName(None, (), ())
    # A weight of zero scores zero whatever the logarithm; the smallest number keeps that from being NaN.
    tiny = np.finfo(np.float32).tiny
    scores = weights * np.log(np.maximum(weights, tiny) / np.maximum(overall, tiny))
    # By weight where scores are equal: all are zero if one cluster holds every image.
    shown = np.lexsort((-weights, -scores))[: 1 + alternatives]
    words = [nouns[noun] for noun in shown]
    return ClusterName(words[0], tuple(words[1:]), tuple(float(weights[noun]) for noun in shown))
