"""Step 4: the noun vocabulary, the few candidate nouns that distinguish the semantic centers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tac_pipeline.arrays import FloatMatrix, IntMatrix, IntVector, require_same_width, row_chunks
from tac_pipeline.errors import InputError


@dataclass(frozen=True)
class NounVocabulary:
    """The nouns chosen from the candidates.

    Attributes
    ----------
    rows : int64 (n_chosen,), ascending
        Row numbers into the candidate nouns.
    center : int64 (n_chosen,)
        The semantic center that owns each chosen noun.
    confidence : float32 (n_chosen,)
        The probability that the noun belongs to its center; little above 1 / n_centers, since cosines are close.
    n_centers : int
    """

    rows: IntVector
    center: IntVector
    confidence: npt.NDArray[np.float32]
    n_centers: int

    @property
    def n_centers_without_noun(self) -> int:
        """Centers without any nearest candidate noun: their images get nouns from other centers."""
        return self.n_centers - len(np.unique(self.center))


def choose_noun_vocabulary(
    noun_embeddings: FloatMatrix, semantic_centers: FloatMatrix, *, nouns_per_center: int, chunk_rows: int = 8192
) -> NounVocabulary:
    """Keep the most confident nouns of each semantic center (paper step 4).

    A noun belongs to the center with the highest softmax probability over the cosines, without a temperature. Of
    equally sure nouns the first stays.

    Parameters
    ----------
    noun_embeddings : float32 (n_nouns, dim), unit rows
    semantic_centers : float32 (n_centers, dim), unit rows
    nouns_per_center : int >= 1
    chunk_rows : int
        Bounds memory, to chunk_rows x n_centers cosines; never changes the result.

    Raises
    ------
    InputError
        The widths differ, or nouns_per_center is below 1.
    """
    center, confidence = nearest_centers(noun_embeddings, semantic_centers, count=1, chunk_rows=chunk_rows)
    center, confidence = center[:, 0], confidence[:, 0]
    rows = most_confident(center, confidence, per_center=nouns_per_center)
    return NounVocabulary(rows, center[rows], confidence[rows], len(semantic_centers))


def nearest_centers(
    noun_embeddings: FloatMatrix, semantic_centers: FloatMatrix, *, count: int, chunk_rows: int = 8192
) -> tuple[IntMatrix, npt.NDArray[np.float32]]:
    """The most probable centers of each noun, the most probable first: int64 and float32 (n_nouns, count).

    The probabilities are a softmax over the cosines with all centers, without a temperature. Of equally probable
    centers the first comes first. Raises InputError when the widths differ.
    """
    require_same_width(noun_embeddings, semantic_centers, names=("noun_embeddings", "semantic_centers"))
    count = min(count, len(semantic_centers))
    center = np.empty((len(noun_embeddings), count), dtype=np.int64)
    confidence = np.empty(center.shape, dtype=np.float32)
    for nouns in row_chunks(len(noun_embeddings), chunk_rows):
        cosine = noun_embeddings[nouns] @ semantic_centers.T  # (chunk, n_centers)
        best = cosine.max(axis=1, keepdims=True)
        shares = np.exp(cosine - best)
        total = shares.sum(axis=1)
        for place in range(count):
            center[nouns, place] = owner = cosine.argmax(axis=1)
            own = np.arange(len(cosine)), owner
            confidence[nouns, place] = shares[own] / total
            cosine[own] = -np.inf
    return center, confidence


def most_confident(center: IntVector, confidence: npt.NDArray[np.float32], *, per_center: int) -> IntVector:
    """The entries that are among the `per_center` most confident of their center, int64, ascending.

    Of equally confident ones the first stay. Raises InputError when per_center is below 1.
    """
    if per_center < 1:
        raise InputError(f"nouns_per_center must be at least 1; got {per_center}")
    # Stable in the entry: by center, then by falling confidence.
    order = np.lexsort((-confidence, center))
    first_of_center = np.searchsorted(center[order], center[order], side="left")
    rank = np.arange(len(order)) - first_of_center
    kept: IntVector = np.sort(order[rank < per_center])
    return kept
