"""Naming clusters by nouns that are near them, and by the kinds above these nouns.

docs/decisions/0130-names-people-would-give.md has the comparison and the reason for each constant.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain

import numpy as np

from tac_pipeline.arrays import IntVector
from tac_pipeline.errors import InputError
from tac_pipeline.method.words.group_evidence import GroupEvidence
from tac_pipeline.method.words.kinds import NounKinds
from tac_pipeline.method.words.readings import Reading, parts_of, read_group

# The temperature at which nouns are weighed for names, of cosines between centered groups and centered nouns.
TEMPERATURE = 0.03
# The narrowest kind with half of a cluster's evidence names it.
MOST = 0.5
# Below this confidence no noun names a cluster.
MIN_CONFIDENCE = 0.25
# With less, a name of several words is cut to a heard word of it that fits too: turtle, not sea turtle. A name that was
# not heard itself is cut in any case: fish, not teleost fish.
LONGER_WORD = 0.75
# A name that a cluster had stays while its confidence is at least this share of the best one's.
STILL_FITS = 0.5
# The share of WordNet's kinds below "bird" is 0.011, below "mammal" 0.014, below "animal" 0.05, below "artifact" 0.13.
# A wider kind than WIDE says little, and names a cluster only if it is this cluster's alone; beyond WIDEST, never.
WIDE, WIDEST = 0.02, 0.1
# An alternative weighs at least this share of the name, or of the first alternative where there is no name.
LEAST_ALTERNATIVE = 0.1
# Of a kind's nouns that weigh at least this share of the heaviest, the one that texts use most says it.
SAID_OFTEN = 0.3
# How many nouns are in the label of a cluster without a name.
SHOWN_NEAR = 2
UNNAMED = "unnamed "

_BRACKETS = re.compile(r" \([^()]*\)$")
TellApart = Callable[[Mapping[str, Sequence[int]]], Mapping[int, str]]


@dataclass(frozen=True)
class ClusterName:
    """A cluster in words.

    Attributes
    ----------
    name : str or None
        None when no noun fits the cluster, or it has no members.
    alternatives : tuple of str
        The other nouns that are near its members, the heaviest first.
    weights : tuple of float
        The weight of the name (with all nouns of its kind), and then of each alternative; the name's is 0 when there is
        no name.
    confidence : float
        From 0 to 1, see `name_clusters`; without a name, the confidence of the best name that was left.
    twins : tuple of int
        Other clusters that were to have the same name.
    """

    name: str | None
    alternatives: tuple[str, ...]
    weights: tuple[float, ...]
    confidence: float
    twins: tuple[int, ...] = field(default=())


@dataclass(frozen=True)
class _Choice:
    """The kind that names a cluster, and its name; the kind is None where only people know it."""

    kind: int | None
    name: str
    confidence: float
    settled: bool


def name_clusters(
    evidence: GroupEvidence,
    sizes: IntVector,
    kinds: NounKinds,
    *,
    before: Sequence[str | None] | None = None,
    given: Mapping[int, str] | None = None,
    alternatives: int = 4,
    tell_apart: TellApart | None = None,
) -> list[ClusterName]:
    """Name each cluster by the narrowest kind that has most of its evidence.

    A kind has the weight of all nouns that are of it: sports car, convertible and coupe all say car. So a breed names a
    cluster where one breed is ahead of all others, and "dog" does where several breeds are level. The weight is the
    confidence. Clusters that are to have the same name get what tells them apart behind it, in brackets; where nothing
    does, the surest gets the name alone and the others get it with a number. A cluster with no kind of MIN_CONFIDENCE
    stays without a name.

    Parameters
    ----------
    evidence : GroupEvidence
        Its rows are nouns of `kinds`.
    sizes : int64 (n_clusters,)
        Members of each cluster.
    kinds : NounKinds
    before : sequence of str or None, n_clusters long, optional
        The earlier name of each cluster: it stays unless it is clearly wrong (STILL_FITS).
    given : mapping of cluster to name, optional
        Names that people gave to some clusters: no other cluster gets them; their confidence is 1.
    alternatives : int
        At most so many.
    tell_apart : callable, optional
        Told every name that several clusters have, and them; returns for some of them a word that tells them from the
        others.

    Returns
    -------
    list of ClusterName, one per cluster; no two names are equal, even in another case

    Raises
    ------
    InputError
        The arguments have different numbers of clusters, or there is no noun.
    """
    n_clusters = len(evidence.rows)
    old = [None] * n_clusters if before is None else list(before)
    if not kinds.spelled:
        raise InputError("names need at least one noun; there is none")
    if not n_clusters == len(sizes) == len(old):
        raise InputError(
            f"sizes and names from before must be of the {n_clusters} clusters; got {len(sizes)} and {len(old)}"
        )
    readings = [
        read_group(nouns.tolist(), weights.tolist(), kinds)
        for nouns, weights in zip(evidence.rows, evidence.weights, strict=True)
    ]
    called = _called(evidence, readings, kinds)
    alone = _alone(readings, kinds)
    choices: list[_Choice | None] = []
    for row, reading in enumerate(readings):
        choice = _best(row, reading, called, alone, kinds)
        by_people = (given or {}).get(row)
        if by_people is not None:
            choice = _Choice(None, by_people, 1.0, settled=True)
        elif sizes[row] and choice is not None:
            choice = _kept(old[row], choice, reading, called) or choice
        choices.append(choice if sizes[row] or by_people is not None else None)
    names, twins = _distinct(choices, sizes, tell_apart or _nothing_tells, kinds)
    found = []
    for row, (choice, reading) in enumerate(zip(choices, readings, strict=True)):
        words, shares = _alternatives(reading, choice, called, kinds, count=alternatives)
        if not sizes[row]:
            words, shares = (), ()
        sure = choice.confidence if choice is not None else max(reading.own.values(), default=0.0)
        weight = 0.0 if choice is None or choice.kind is None else reading.support.get(choice.kind, 0.0)
        weights = (weight, *shares) if sizes[row] or choice is not None else ()
        found.append(ClusterName(names[row], words, weights, min(sure, 1.0) if weights else 0.0, twins[row]))
    return found


def label(found: ClusterName, cluster_id: int) -> str | None:
    """The label of a cluster: its name, or "unnamed" with near nouns; None for a cluster without members."""
    if found.name is not None or not found.weights:
        return found.name
    near = ", ".join(found.alternatives[:SHOWN_NEAR])
    return f"{UNNAMED}{cluster_id} (near: {near})" if near else f"{UNNAMED}{cluster_id}"


def _called(evidence: GroupEvidence, readings: Sequence[Reading], kinds: NounKinds) -> list[str]:
    """What each kind is called: by the noun that means it with most weight in all clusters, or by WordNet's first.

    Of nouns that weigh about as much, the one that texts use most: banana, not edible banana.
    """
    totals: defaultdict[int, defaultdict[int, float]] = defaultdict(lambda: defaultdict(float))
    for nouns, weights, reading in zip(evidence.rows.tolist(), evidence.weights.tolist(), readings, strict=True):
        for noun, weight in zip(nouns, weights, strict=True):
            if weight > 0:
                totals[reading.meant[noun]][noun] += weight
    called = list(kinds.names)
    for kind, nouns_of in totals.items():
        least = SAID_OFTEN * max(nouns_of.values())
        heard = [noun for noun, weight in nouns_of.items() if weight >= least]

        def often(noun: int, kind: int = kind, weights: Mapping[int, float] = nouns_of) -> tuple[int, int, float, int]:
            used = kinds.common[noun][kinds.senses[noun].index(kind)]
            return (used, -len(kinds.spelled[noun].split()), weights[noun], -noun)

        if called[kind] and kind not in kinds.settled:
            called[kind] = kinds.spelled[max(heard, key=often)]
    return called


def _alone(readings: Sequence[Reading], kinds: NounKinds) -> set[tuple[int, int]]:
    """The pairs (cluster, wide kind) where no other cluster has half as much of this kind."""
    weights: defaultdict[int, list[tuple[float, int]]] = defaultdict(list)
    for row, reading in enumerate(readings):
        for kind, weight in reading.support.items():
            if WIDE < kinds.width[kind] <= WIDEST:
                weights[kind].append((weight, row))
    found = set()
    for kind, rows in weights.items():
        (most, row), *others = sorted(rows, reverse=True)
        if not others or others[0][0] < most / 2:
            found.add((row, kind))
    return found


def _best(
    row: int, reading: Reading, called: Sequence[str], alone: set[tuple[int, int]], kinds: NounKinds
) -> _Choice | None:
    """The narrowest kind with most of the evidence; if none has, the narrowest with enough of it."""
    for least in (MOST, MIN_CONFIDENCE):
        fitting = [
            kind
            for kind, weight in reading.support.items()
            if weight >= least and called[kind] and (kinds.width[kind] <= WIDE or (row, kind) in alone)
        ]
        if fitting:
            kind = min(fitting, key=lambda kind: (kinds.width[kind], -reading.support[kind], called[kind]))
            if kind not in reading.own or reading.support[kind] < LONGER_WORD:
                kind = _shorter(kind, fitting, reading, called, kinds)
            return _Choice(kind, called[kind], reading.support[kind], settled=False)
    return None


def _shorter(kind: int, fitting: Sequence[int], reading: Reading, called: Sequence[str], kinds: NounKinds) -> int:
    """The fitting kind of most weight that a word of this kind's name says, or the kind itself."""
    heard = _heard(reading, kinds)
    pieces = {piece for name in {called[kind], *heard[kind]} for piece in parts_of(name)}
    others = [other for other in fitting if pieces & heard[other]]
    return max(others, key=lambda other: (reading.support[other], called[other]), default=kind)


def _heard(reading: Reading, kinds: NounKinds) -> Mapping[int | None, set[str]]:
    """The nouns that mean each kind in this cluster, in lower case."""
    found: defaultdict[int | None, set[str]] = defaultdict(set)
    for noun, kind in reading.meant.items():
        found[kind].add(kinds.spelled[noun].lower())
    return found


def _kept(name: str | None, best: _Choice, reading: Reading, called: Sequence[str]) -> _Choice | None:
    """The earlier name of a cluster, if it still fits."""
    if name is None:
        return None
    words = {name.lower(), without_brackets(name).lower()}
    meant = [kind for kind in reading.support if called[kind].lower() in words]
    kind = max(meant, key=lambda kind: (reading.support[kind], -kind), default=None)
    if kind is None or reading.support[kind] < max(MIN_CONFIDENCE, STILL_FITS * best.confidence):
        return None
    return _Choice(kind, name, reading.support[kind], settled=True)


def _distinct(
    choices: Sequence[_Choice | None], sizes: IntVector, tell_apart: TellApart, kinds: NounKinds
) -> tuple[list[str | None], list[tuple[int, ...]]]:
    """A name for every choice that no other has, and the clusters that were to have the same name."""
    names: list[str | None] = [None] * len(choices)
    twins: list[tuple[int, ...]] = [()] * len(choices)
    taken: set[str] = set()
    chosen = {row: choice for row, choice in enumerate(choices) if choice is not None}
    # People's names and kept ones first; of the others the surest, then the largest.
    order = sorted(chosen, key=lambda row: (*_rank(chosen[row]), -int(sizes[row]), row))
    # People's own words are told apart by their capitals too: they were written apart.
    exact = set() if kinds.own is None else {kinds.senses[noun][0] for noun in np.flatnonzero(kinds.own).tolist()}

    def same(name: str, choice: _Choice) -> str:
        return name if choice.kind in exact else name.lower()

    alike: defaultdict[str, list[int]] = defaultdict(list)
    for row in order:
        alike[same(without_brackets(chosen[row].name), chosen[row])].append(row)
    said = tell_apart({without_brackets(chosen[rows[0]].name): rows for rows in alike.values() if len(rows) > 1})
    for row in order:
        choice = chosen[row]
        others = {other: chosen[other] for other in alike[same(without_brackets(choice.name), choice)] if other != row}
        twins[row] = tuple(sorted(other for other in others if others[other].kind == choice.kind is not None))
        name = choice.name
        if not choice.settled and others:
            hint = said.get(row) or _hint(choice, others.values(), kinds)
            name = f"{choice.name} ({hint})" if hint else choice.name
        plain = name if choice.settled else without_brackets(name)
        numbered = (f"{plain} ({number})" for number in range(2, 3 + len(taken)))
        names[row] = found = next(one for one in chain((name,), numbered) if same(one, choice) not in taken)
        taken |= {found, found.lower()} if choice.kind not in exact else {found}
    return names, twins


def _rank(choice: _Choice) -> tuple[bool, bool, float]:
    return choice.kind is not None, not choice.settled, -choice.confidence


def _hint(choice: _Choice, others: Iterable[_Choice], kinds: NounKinds) -> str | None:
    """The nearest kind above one of two kinds that are called the same and are not: crane (wading bird)."""
    if choice.kind is None:
        return None
    rivals = {kind for other in others if other.kind not in (None, choice.kind) for kind in _above(other.kind, kinds)}
    if not rivals:
        return None
    return next((kinds.names[kind] for kind in kinds.above[choice.kind][1:] if kind not in rivals), None)


def _above(kind: int | None, kinds: NounKinds) -> tuple[int, ...]:
    return () if kind is None else kinds.above[kind]


def without_brackets(name: str) -> str:
    """A name without what tells it from others of its kind."""
    return _BRACKETS.sub("", name)


def _nothing_tells(_: Mapping[str, Sequence[int]]) -> Mapping[int, str]:
    return {}


def _alternatives(
    reading: Reading, choice: _Choice | None, called: Sequence[str], kinds: NounKinds, *, count: int
) -> tuple[tuple[str, ...], tuple[float, ...]]:
    """The nouns of most weight but for the name, each meaning once, with their weights.

    A noun that contains the name and is nothing of its kind, such as elephant tree, says no more than the name.
    """
    said = set() if choice is None else {choice.name.lower(), without_brackets(choice.name).lower()}
    own = None if choice is None else choice.kind
    heard = _heard(reading, kinds)
    telling = said | heard[own]
    found: dict[str, float] = {}
    for kind in sorted(reading.own, key=lambda kind: (-reading.own[kind], kind)):
        word = called[kind]
        pieces = {piece for name in {word, *heard[kind]} for piece in parts_of(name)}
        if telling & pieces and own is not None and own not in kinds.above[kind]:
            continue
        if word and kind != own and word.lower() not in said and word.lower() not in map(str.lower, found):
            found[word] = reading.own[kind]
    first = 0.0 if own is None else reading.support.get(own, 0.0)
    least = LEAST_ALTERNATIVE * (first or max(found.values(), default=0.0))
    kept = [(word, weight) for word, weight in found.items() if weight >= least][:count]
    return tuple(word for word, _ in kept), tuple(weight for _, weight in kept)
