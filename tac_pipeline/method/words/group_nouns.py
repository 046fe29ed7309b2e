"""The nouns that are nearest to groups: a vocabulary that speaks of the groups that were found."""

from __future__ import annotations

import numpy as np

from tac_pipeline.arrays import FloatMatrix, IntVector, require_same_width, row_chunks, unit_rows
from tac_pipeline.method.words.noun_shortlist import CandidateVectors
from tac_pipeline.tensors import group_sums

# Bounds memory, to so many groups x n_nouns cosines.
GROUPS_AT_ONCE = 1000


def nouns_of_groups(
    image_embeddings: FloatMatrix,
    candidates: CandidateVectors,
    groups: IntVector,
    *,
    n_groups: int,
    nouns_per_group: int,
) -> IntVector:
    """Row numbers of the nouns nearest to each group's mean, int64 (n_chosen,), ascending, each once.

    Both sides are centered first, the group means on the mean of all images and the nouns on that of all nouns, because
    images and nouns are in different parts of CLIP's space. Ties go to the earlier noun.

    Parameters
    ----------
    image_embeddings : float32 (n_images, dim), unit rows
    candidates : CandidateVectors, n_nouns of them
    groups : int64 (n_images,), from 0 to n_groups - 1
    n_groups, nouns_per_group : int >= 1
    """
    require_same_width(image_embeddings, candidates.vectors, names=("image_embeddings", "candidates"))
    sizes = np.bincount(groups, minlength=n_groups)
    means = group_sums(image_embeddings, groups, n_groups=n_groups) / np.maximum(sizes, 1)[:, None]
    filled = unit_rows(means[sizes > 0] - image_embeddings.mean(axis=0))
    nouns, count = candidates.centered().T, min(nouns_per_group, len(candidates))
    chosen = np.zeros(len(candidates), dtype=bool)
    for part in row_chunks(len(filled), GROUPS_AT_ONCE):
        nearness = filled[part] @ nouns  # (chunk, n_nouns)
        # A few passes, not a sort: of thousands of groups and all of WordNet, that takes longer than k-means.
        for _ in range(count):
            nearest = nearness.argmax(axis=1)
            chosen[nearest] = True
            nearness[np.arange(len(nearness)), nearest] = -np.inf
    found: IntVector = np.flatnonzero(chosen)
    return found
