"""The nouns that may be chosen, found without encoding every prompt of every candidate.

A few hundred of WordNet's 117,377 nouns are ever chosen. One prompt of each noun says roughly where it is. Around each
semantic center a wide list is made from that, and the nouns on it are encoded in the first template; with it the list
is made again, narrower, and so on (successive halving, Jamieson & Talwalkar 2016). Only the last list sees all
templates.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tac_pipeline.arrays import FloatMatrix, FloatVector, IntVector, unit_rows
from tac_pipeline.method.words.noun_vocabulary import most_confident, nearest_centers

# A noun whose nearest center is close to another may change hands when it is heard better.
OWNERS = 2
# How many times the last list's length the earlier lists have, and after which share of the templates each is made.
WIDTHS = (6.0, 3.0, 1.0)
HEARD = (0.0, 1 / 7, 3 / 7)
# So many nouns are heard in all templates at least: few centers get longer lists, and small sources need none.
LEAST_NOUNS = 6000


@dataclass(frozen=True)
class CandidateVectors:
    """The nouns that the vocabulary, and later the nouns of groups, are chosen from.

    Attributes
    ----------
    vectors : float32 (n_nouns, dim), unit rows
    mean : float32 (dim,)
        Of all nouns of the source, of which these may be a part.
    """

    vectors: FloatMatrix
    mean: FloatVector

    @classmethod
    def whole(cls, vectors: FloatMatrix) -> CandidateVectors:
        """All nouns of a source."""
        return cls(vectors, vectors.mean(axis=0))

    def __len__(self) -> int:
        return len(self.vectors)

    def centered(self) -> FloatMatrix:
        """The nouns less what all nouns share, float32 (n_nouns, dim), unit rows."""
        return unit_rows(self.vectors - self.mean)


def choose_list_length(n_nouns: int, n_centers: int, *, nouns_per_center: int, factor: int | None) -> int | None:
    """How many nouns each center's last list has; None where all nouns are to be heard in all templates.

    Parameters
    ----------
    n_nouns, n_centers, nouns_per_center : int >= 1
    factor : int, optional
        Nouns on the list for each that the center gets; None asks for all nouns.
    """
    if factor is None or n_nouns <= LEAST_NOUNS:
        return None
    return max(factor * nouns_per_center, -(-LEAST_NOUNS // n_centers))


def shortlist_nouns(
    noun_embeddings: FloatMatrix,
    semantic_centers: FloatMatrix,
    *,
    per_center: int,
    n_templates: int,
    encode: Callable[[IntVector, int], FloatMatrix],
) -> tuple[IntVector, CandidateVectors]:
    """The nouns nearest to each center, and their vectors in all templates.

    Parameters
    ----------
    noun_embeddings : float32 (n_nouns, dim), unit rows
        Of one prompt each.
    semantic_centers : float32 (n_centers, dim), unit rows
    per_center : int >= 1
        Length of each center's last list; lists overlap, and a noun is on the lists of its two nearest centers at most.
    n_templates : int >= 1
    encode : callable (rows, count) -> float32 (len(rows), dim), unit rows
        The vectors of some nouns as the mean of their first `count` templates.

    Returns
    -------
    rows : int64 (n_shortlisted,), ascending
        Into noun_embeddings.
    candidates : CandidateVectors
        The mean of all nouns in all templates is estimated: that of their one prompts, moved as far as the shortlisted
        nouns' mean moves.
    """
    rows, seen = np.arange(len(noun_embeddings)), noun_embeddings
    turns = _turns(n_templates)
    for width, count in turns:
        rows = rows[_near(seen, semantic_centers, per_center=round(width * per_center))]
        vectors = encode(rows, count)
        seen = unit_rows(noun_embeddings[rows] + count * vectors)
    moved = vectors.mean(axis=0) - noun_embeddings[rows].mean(axis=0)
    return rows, CandidateVectors(vectors, noun_embeddings.mean(axis=0) + moved)


def _turns(n_templates: int) -> list[tuple[float, int]]:
    """The width of each list, and how many templates its nouns are heard in; the last in all."""
    heard = [round(share * n_templates) for share in HEARD]
    ends = [*heard[1:], n_templates]
    turns = [(width, end) for width, begin, end in zip(WIDTHS, heard, ends, strict=True) if end > begin]
    # With few templates there are fewer lists; the first is made from one prompt, so it stays the widest.
    return [(WIDTHS[0], turns[0][1]), *turns[1:]]


def _near(nouns: FloatMatrix, centers: FloatMatrix, *, per_center: int) -> IntVector:
    center, confidence = nearest_centers(nouns, centers, count=OWNERS)
    entries = most_confident(center.ravel(), confidence.ravel(), per_center=per_center)
    return np.unique(entries // center.shape[1])
