"""Naming groups of images: the nouns near them, what these mean in WordNet, and what tells groups of one name apart."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tac_pipeline.arrays import FloatMatrix, IntVector
from tac_pipeline.method.words.contrasts import tell_apart
from tac_pipeline.method.words.group_evidence import weigh_nouns
from tac_pipeline.method.words.kinds import NounKinds
from tac_pipeline.method.words.names import ClusterName, name_clusters
from tac_pipeline.method.words.noun_shortlist import CandidateVectors
from tac_pipeline.wordnet import noun_kinds

# A group's own nouns of this weight may tell it from others of its name.
LEAST_TELLING = 0.05


@dataclass(frozen=True)
class ContrastWords:
    """Words for how things look or where they are, which tell groups of one name apart: blue, in the snow.

    Attributes
    ----------
    words : sequence of str, n_words long
    vectors : float32 (n_words, dim), unit rows
    """

    words: Sequence[str]
    vectors: FloatMatrix


def name_groups(
    image_embeddings: FloatMatrix,
    candidates: CandidateVectors,
    nouns: Sequence[str],
    assignment: IntVector,
    *,
    n_groups: int,
    temperature: float,
    before: Sequence[str | None] | None = None,
    given: Mapping[int, str] | None = None,
    alternatives: int = 4,
    contrasts: ContrastWords | None = None,
    kinds_of: Callable[[list[str]], NounKinds] = noun_kinds,
) -> list[ClusterName]:
    """Name every group (see `name_clusters`).

    Parameters
    ----------
    image_embeddings : float32 (n_images, dim), unit rows
    candidates : CandidateVectors, n_nouns of them
    nouns : sequence of str, n_nouns long
    assignment : int64 (n_images,)
        From 0 to n_groups - 1.
    n_groups, temperature, before, given, alternatives
        See `weigh_nouns` and `name_clusters`.
    contrasts : ContrastWords, optional
        Without them only a group's own nouns tell it from others of its name.
    kinds_of : callable
        What nouns mean, are called and weigh; by default what WordNet says.

    Returns
    -------
    list of ClusterName, n_groups long
    """
    evidence = weigh_nouns(image_embeddings, candidates, assignment, n_groups=n_groups, temperature=temperature)
    heard, evidence = evidence.of_nouns_heard()
    kinds = kinds_of([nouns[row] for row in heard])
    if kinds.weight is not None:
        evidence = evidence.preferring(kinds.weight)
    words, vectors = list(kinds.spelled), candidates.vectors[heard]
    shared = np.arange(0)
    if contrasts is not None:
        shared = len(words) + np.arange(len(contrasts.words))
        words, vectors = [*words, *contrasts.words], np.concatenate([vectors, contrasts.vectors])

    def allowed(group: int, name: str) -> IntVector:
        heavy = evidence.rows[group][evidence.weights[group] >= LEAST_TELLING]
        return np.concatenate([_kin(name, heavy, kinds), shared])

    def apart(alike: Mapping[str, Sequence[int]]) -> Mapping[int, str]:
        return tell_apart(
            image_embeddings,
            assignment,
            alike,
            words=words,
            word_embeddings=vectors,
            mean=candidates.mean,
            allowed=allowed,
        )

    sizes = np.bincount(assignment, minlength=n_groups)
    return name_clusters(
        evidence, sizes, kinds, before=before, given=given, alternatives=alternatives, tell_apart=apart
    )


def _kin(name: str, nouns: IntVector, kinds: NounKinds) -> IntVector:
    """The nouns that may mean a kind of what the name says, or of what is right above it."""
    named = {kind for kind, word in enumerate(kinds.names) if word.lower() == name.lower()}
    for word, senses in zip(kinds.spelled, kinds.senses, strict=True):
        named |= set(senses) if word.lower() == name.lower() else set()
    around = {near for kind in named for near in kinds.above[kind][:2]}
    # What snakes are tells no snake from another.
    above = {wider for kind in named for wider in kinds.above[kind][1:]} - named

    def is_kin(noun: int) -> bool:
        senses = kinds.senses[noun]
        return any(around & set(kinds.above[sense]) for sense in senses) and not above & set(senses)

    return np.array([noun for noun in nouns.tolist() if is_kin(noun)], dtype=np.int64)
