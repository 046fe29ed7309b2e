"""Reading a group's nouns as kinds: what each noun means here, and what its weight says of every kind above it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tac_pipeline.method.words.kinds import NounKinds

# Another sense than the usual one is taken when other nouns of the group support it so many times as well, ...
BETTER_SUPPORTED = 1.5
# ... and by so many nats x weight more: next to nothing must not decide.
LEAST_SUPPORT = 0.1
# ... and these weigh at least so much of what the noun itself does: a house beside "US House" stays a building.
LEAST_BESIDE = 0.25
# A choice of senses changes what supports the others; the second pass settles nearly all.
PASSES = 2
# A noun with this weight is supported by those that contain it as a word: bus by bus stop, banana by second banana.
HEARD_ALONE = 0.02


@dataclass(frozen=True)
class Reading:
    """A group's nouns as kinds.

    Attributes
    ----------
    meant : mapping of noun to kind
        The sense of each noun that has weight.
    own : mapping of kind to float
        The weight of the nouns that mean the kind itself.
    support : mapping of kind to float
        The weight of the nouns that mean the kind or one below it, or contain a noun that does; at most 1.
    """

    meant: dict[int, int]
    own: dict[int, float]
    support: dict[int, float]


def read_group(nouns: Sequence[int], weights: Sequence[float], kinds: NounKinds) -> Reading:
    """Choose the sense of every noun that other nouns of the group support, and add up the kinds.

    "Dolphin" is a fish by its usual sense; beside whales it is a whale. A sense is supported by the weight of the other
    nouns that are of one of its kinds, the more the narrower this kind is (its information content, Resnik 1995).

    Parameters
    ----------
    nouns : sequence of int
        Places in kinds.
    weights : sequence of float, as many
    kinds : NounKinds
    """
    weighed = [(noun, weight) for noun, weight in zip(nouns, weights, strict=True) if weight > 0]
    parts = _parts(weighed, kinds)
    meant = {noun: kinds.senses[noun][0] for noun, _ in weighed}
    unsure = [(noun, weight) for noun, weight in weighed if len(kinds.senses[noun]) > 1]
    for _ in range(PASSES if unsure else 0):
        # Without what contains a noun: that would speak for whatever sense the noun has now.
        support = _support(weighed, meant, {}, kinds)
        meant |= {noun: _best_sense(noun, weight, meant[noun], support, kinds) for noun, weight in unsure}
    own: dict[int, float] = {}
    for noun, weight in weighed:
        own[meant[noun]] = own.get(meant[noun], 0.0) + weight
    return Reading(meant, own, _support(weighed, meant, parts, kinds))


def _parts(weighed: Sequence[tuple[int, float]], kinds: NounKinds) -> dict[int, list[int]]:
    """For each noun of several words, the nouns heard by themselves that it begins or ends with.

    A large vocabulary has many nouns that are near a group only for one of their words.
    """
    alone = {kinds.spelled[noun].lower(): noun for noun, weight in reversed(weighed) if weight >= HEARD_ALONE}
    found = {}
    for noun, _ in weighed:
        found[noun] = [alone[part] for part in sorted(parts_of(kinds.spelled[noun])) if part in alone]
    return found


def parts_of(noun: str) -> set[str]:
    """What a noun of several words begins and ends with, in lower case; nothing for a single word."""
    words = noun.lower().split()
    return {" ".join(part) for cut in range(1, len(words)) for part in (words[:cut], words[cut:])}


def _support(
    weighed: Sequence[tuple[int, float]], meant: dict[int, int], parts: dict[int, list[int]], kinds: NounKinds
) -> dict[int, float]:
    found: dict[int, float] = {}
    for noun, weight in weighed:
        for kind in {kind for said in (noun, *parts.get(noun, ())) for kind in kinds.above[meant[said]]}:
            found[kind] = found.get(kind, 0.0) + weight
    return found


def _best_sense(noun: int, weight: float, now: int, support: dict[int, float], kinds: NounKinds) -> int:
    """The sense with the most support by other nouns, or the one that the noun has now."""
    counted = set(kinds.above[now])

    def supported(sense: int) -> tuple[float, float]:
        """The most that others say for a kind of this sense, in nats x weight, and the weight alone."""
        found = []
        for kind in kinds.above[sense]:
            beside = support.get(kind, 0.0) - (weight if kind in counted else 0.0)
            found.append((beside * -float(np.log(kinds.width[kind])), beside))
        return max(found)

    best = max(kinds.senses[noun], key=supported)
    most, beside = supported(best)
    better = most > BETTER_SUPPORTED * supported(now)[0] + LEAST_SUPPORT
    return best if better and beside >= LEAST_BESIDE * weight else now
