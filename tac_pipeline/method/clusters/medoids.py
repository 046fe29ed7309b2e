"""The members of a cluster that are nearest to its center."""

from __future__ import annotations

import numpy as np

from tac_pipeline.arrays import FloatMatrix, IntVector, unit_mean


def medoids(image_embeddings: FloatMatrix, assignment: IntVector, *, n_clusters: int, count: int) -> list[list[int]]:
    """The rows of each cluster with the highest cosine to the unit mean of its members.

    Parameters
    ----------
    image_embeddings : float32 (n_images, dim), unit rows
    assignment : int64 (n_images,), 0 to n_clusters - 1
    count : int
        Rows for each cluster; a smaller cluster gives all its rows.

    Returns
    -------
    n_clusters lists of row numbers, nearest first, equally near ones in row order
    """
    found: list[list[int]] = []
    for cluster in range(n_clusters):
        rows = np.flatnonzero(assignment == cluster)
        if not len(rows):
            found.append([])
            continue
        members = image_embeddings[rows]
        nearness = members @ unit_mean(members)[0]
        found.append(rows[np.argsort(-nearness, kind="stable")[:count]].tolist())
    return found
