"""Naming clusters, by nouns that their members retrieve and other images do not, and by the kinds above these nouns.

docs/decisions/0060-names-worth-trusting.md has the comparison and the reason for each constant.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from tac_pipeline.arrays import FloatMatrix, IntVector
from tac_pipeline.errors import InputError
from tac_pipeline.method.words.text_counterparts import retrieval_weights

if TYPE_CHECKING:
    from tac_pipeline.method.words.kinds import NounKinds

FloatTable = npt.NDArray[np.float64]

# A wider kind must add something: at least this share of its weight lies outside the largest kind right below it.
MIN_ADDED = 0.2
# Below this confidence no noun names a cluster.
MIN_CONFIDENCE = 0.25
# A name that a cluster had stays while its confidence is at least this share of the best one's.
STILL_FITS = 0.5
# How many names of each cluster take part in the matching: a cluster that finds all of them taken has no name.
CONTENDERS = 20
# How many nouns are in the label of a cluster without a name.
SHOWN_NEAR = 2


@dataclass(frozen=True)
class NounProfiles:
    """The weights of the nouns in each cluster and in all images.

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
        None when no noun fits the cluster, or it has no members.
    alternatives : tuple of str
        The nouns that set its members apart best, best first, without the name itself.
    weights : tuple of float
        The share of the members' retrieval weight of the name (with all nouns of its kind), and then of each
        alternative; the name's is 0 when there is no name.
    confidence : float
        From 0 to 1, see `name_clusters`; without a name, the confidence of the best name that was left.
    """

    name: str | None
    alternatives: tuple[str, ...]
    weights: tuple[float, ...]
    confidence: float


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
        The same as for the text counterparts.
    chunk_rows : int
        Bounds memory; never changes the result.

    Raises
    ------
    InputError
        The assignment is of other images or of clusters that do not exist, or `retrieval_weights` raises it.
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
    profiles: NounProfiles,
    sizes: IntVector,
    kinds: NounKinds,
    *,
    before: Sequence[str | None] | None = None,
    given: Mapping[int, str] | None = None,
    alternatives: int = 4,
) -> list[ClusterName]:
    """Name each cluster by the noun, or the kind above several nouns, that sets its members apart from all images.

    A kind has the weight of all nouns that are of it. Its score is its term of the Kullback-Leibler divergence of the
    cluster's profile from the overall one, weight * log(weight / overall weight): high where the members retrieve such
    nouns and others do not, so that a breed names a cluster in a store of dogs, and "dog" does in a store of animals.
    The confidence is the score over log(n_images / size), the most that any name could have: 1 where all of the
    members' weight is on the name, and nobody else's. Names go to clusters so that their confidences add up to most,
    each to one cluster; whom no name of MIN_CONFIDENCE is left for stays without.

    Parameters
    ----------
    profiles : NounProfiles
    sizes : int64 (n_clusters,)
        Members of each cluster.
    kinds : NounKinds
        Of the profiles' nouns.
    before : sequence of str or None, n_clusters long, optional
        The earlier name of each cluster: it stays unless it is clearly wrong (STILL_FITS).
    given : mapping of cluster to name, optional
        Names that people gave to some clusters: no other cluster gets them; their confidence is 1.
    alternatives : int
        How many, or all other nouns if there are fewer; their weights show how good each is.

    Returns
    -------
    list of ClusterName, one per cluster; no two names are equal, even in another case

    Raises
    ------
    InputError
        The arguments have different numbers of nouns or clusters, or no noun.
    """
    n_clusters, n_nouns = profiles.clusters.shape
    if not n_nouns == len(profiles.overall) == len(kinds.spelled) > 0:
        raise InputError(
            "profiles and kinds must be of the same nouns, at least one; "
            f"got {n_nouns}, {len(profiles.overall)} and {len(kinds.spelled)}"
        )
    old, by_people = [None] * n_clusters if before is None else list(before), dict(given or {})
    if not n_clusters == len(sizes) == len(old):
        raise InputError(
            f"sizes and names from before must be of the {n_clusters} clusters; got {len(sizes)} and {len(old)}"
        )
    names, columns = _names_of_kinds(profiles, kinds, by_people.values())
    weights = kinds.sums(profiles.clusters)
    confidence = _confidence(weights, kinds.sums(profiles.overall[np.newaxis])[0], sizes)
    if np.count_nonzero(sizes) == 1:
        # If one cluster holds every image, there is nothing to compare with: only the nouns' own weight counts.
        confidence = _own_weights(profiles.clusters, kinds)
    name_confidence = _by_name(confidence, columns, len(names))
    eligible = _by_name(np.where(_adds_nothing(weights, kinds), 0, confidence), columns, len(names))
    places = {name.lower(): column for column, name in enumerate(names)}
    fixed = {row: places[name.lower()] for row, name in by_people.items()}
    kept = _kept([None if row in fixed else name for row, name in enumerate(old)], places, eligible, name_confidence)
    name_confidence[list(fixed), list(fixed.values())] = 1
    chosen = _match(eligible, name_confidence, kept, fixed)
    by_name = _by_name(weights, columns, len(names))
    eligible[:, [column for column in chosen if column >= 0]] = 0
    found = []
    for row, column in enumerate(chosen):
        name = by_people.get(row, names[column] if column >= 0 else None)
        if name is None and not sizes[row]:
            found.append(ClusterName(None, (), (), 0.0))
            continue
        near = _alternatives(profiles, kinds, row, name, count=alternatives)
        sure = name_confidence[row, column] if name is not None else eligible[row].max(initial=0)
        weight = by_name[row, column] if name is not None else 0
        words, shares = [noun for noun, _ in near], [share for _, share in near]
        found.append(ClusterName(name, tuple(words), (float(weight), *shares), float(sure)))
    return found


def label(found: ClusterName, cluster_id: int) -> str | None:
    """The label of a cluster: its name, or "unnamed" with near nouns; None for a cluster without members."""
    if found.name is not None or not found.weights:
        return found.name
    near = ", ".join(found.alternatives[:SHOWN_NEAR])
    return f"unnamed {cluster_id} (near: {near})" if near else f"unnamed {cluster_id}"


def _names_of_kinds(profiles: NounProfiles, kinds: NounKinds, by_people: Iterable[str]) -> tuple[list[str], IntVector]:
    """The names that kinds go by, and those that people gave; and each kind's place among them, -1 where it has none.

    A kind is called by its noun with the largest weight. Kinds with the same name share it.
    """
    called = list(kinds.names)
    for noun in np.argsort(profiles.overall, kind="stable"):
        called[kinds.meant[noun]] = kinds.spelled[noun]
    places: dict[str, int] = {}
    names: list[str] = []
    columns = np.full(len(called), -1, dtype=np.int64)
    for kind, name in enumerate(called):
        if name:
            columns[kind] = places.setdefault(name.lower(), len(names))
            if columns[kind] == len(names):
                names.append(name)
    names += [name for name in by_people if name.lower() not in places]
    return names, columns


def _confidence(weights: FloatTable, overall: FloatTable, sizes: IntVector) -> FloatTable:
    """Each kind's confidence as the name of each cluster, (n_clusters, n_kinds), 0 to 1."""
    most = np.log(max(sizes.sum(), 1) / np.maximum(sizes, 1))[:, np.newaxis]
    found: FloatTable = np.clip(_divergence(weights, overall) / np.where(most > 0, most, 1), 0, 1)
    return found


def _divergence(weights: FloatTable, overall: FloatTable) -> FloatTable:
    """The terms of the Kullback-Leibler divergence of each row from the overall weights, nats."""
    # A weight of zero must score zero; the smallest number keeps the logarithm from making it NaN.
    tiny = np.finfo(np.float64).tiny
    terms: FloatTable = weights * np.log(np.maximum(weights, tiny) / np.maximum(overall, tiny))
    return terms


def _own_weights(weights: npt.NDArray[np.floating], kinds: NounKinds) -> FloatTable:
    """The weight of the nouns that mean each kind itself, without those below it, (n_rows, n_kinds)."""
    return np.array([np.bincount(kinds.meant, row, minlength=len(kinds.names)) for row in weights])


def _adds_nothing(weights: FloatTable, kinds: NounKinds) -> npt.NDArray[np.bool_]:
    """Whether nearly all weight of a kind in a cluster is in one kind directly below it, (n_clusters, n_kinds)."""
    largest = np.zeros(weights.T.shape)
    np.maximum.at(largest, kinds.parents, weights.T[kinds.children])
    return np.asarray((1 - MIN_ADDED) * weights < largest.T)


def _by_name(values: FloatTable, columns: IntVector, n_names: int) -> FloatTable:
    """The largest value of the kinds that share a name, (n_clusters, n_names)."""
    found = np.zeros((n_names, len(values)))
    named = columns >= 0
    np.maximum.at(found, columns[named], values.T[named])
    return found.T


def _kept(
    old: Sequence[str | None], places: Mapping[str, int], eligible: FloatTable, name_confidence: FloatTable
) -> dict[int, int]:
    """The clusters whose name from before still fits, with its column; of two with one name the surer."""
    found: dict[int, int] = {}
    for row, name in enumerate(old):
        column = places.get(name.lower()) if name is not None else None
        least = max(MIN_CONFIDENCE, STILL_FITS * eligible[row].max(initial=0.0))
        if column is None or name_confidence[row, column] < least:
            continue
        rival = next((other for other, taken in found.items() if taken == column), None)
        if rival is None or name_confidence[rival, column] < name_confidence[row, column]:
            if rival is not None:
                del found[rival]
            found[row] = column
    return found


def _match(
    eligible: FloatTable, name_confidence: FloatTable, kept: Mapping[int, int], fixed: Mapping[int, int]
) -> list[int]:
    """The column of each cluster's name, -1 for none: what people gave, what is kept, then what adds up to most."""
    from scipy.optimize import linear_sum_assignment

    gains = np.where(eligible >= MIN_CONFIDENCE, eligible, 0)
    settled = {row: column for row, column in kept.items() if column not in fixed.values()} | dict(fixed)
    gains[:, list(settled.values())] = 0
    gains[list(settled)] = 0
    for row, column in settled.items():
        gains[row, column] = name_confidence[row, column]
    contenders = np.unique(np.argsort(-gains, axis=1, kind="stable")[:, :CONTENDERS])
    rows, places = linear_sum_assignment(gains[:, contenders], maximize=True)
    chosen = [-1] * len(eligible)
    for row, place in zip(rows, places, strict=True):
        if gains[row, contenders[place]] > 0:
            chosen[row] = int(contenders[place])
    return chosen


def _alternatives(
    profiles: NounProfiles, kinds: NounKinds, row: int, name: str | None, *, count: int
) -> list[tuple[str, float]]:
    """The nouns with the highest scores except the name, each meaning once, with their share of the weight."""
    weight, overall = _own_weights(np.stack([profiles.clusters[row], profiles.overall]), kinds)
    scores = _divergence(weight, overall)
    own = profiles.clusters[row]
    # Of each meaning, the noun of most weight in this cluster says it.
    noun_of = {kinds.meant[noun]: kinds.spelled[noun] for noun in np.argsort(own, kind="stable")}
    found: dict[str, tuple[str, float]] = {}
    # By weight where scores are equal: all are zero if one cluster holds every image.
    for kind in sorted(noun_of, key=lambda kind: (-scores[kind], -weight[kind], kind)):
        noun = noun_of[kind]
        if len(found) < count and noun.lower() != (name or "").lower():
            found.setdefault(noun.lower(), (noun, float(weight[kind])))
    return list(found.values())
