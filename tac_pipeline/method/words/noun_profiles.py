"""How much each noun of the vocabulary weighs in each cluster: the mean of the members' retrieval weights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tac_pipeline.arrays import FloatMatrix, IntVector, require_assignment
from tac_pipeline.method.words.text_counterparts import retrieval_weights


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

    require_assignment(assignment, n_images=len(image_embeddings), n_groups=n_clusters)
    totals = np.zeros((n_clusters, len(noun_embeddings)))
    for rows, weights in retrieval_weights(image_embeddings, noun_embeddings, tau=tau, chunk_rows=chunk_rows):
        n_rows = rows.stop - rows.start
        membership = csr_array((np.ones(n_rows), assignment[rows], np.arange(n_rows + 1)), shape=(n_rows, n_clusters))
        totals += membership.T @ weights
    sizes = np.bincount(assignment, minlength=n_clusters)
    clusters = totals / np.maximum(sizes, 1)[:, np.newaxis]
    overall = totals.sum(axis=0) / max(1, len(assignment))
    return NounProfiles(clusters.astype(np.float32), overall.astype(np.float32))
