"""Joining image and text vectors: the rows that the robust method clusters and gives to its text head."""

from __future__ import annotations

import numpy as np

from tac_pipeline.arrays import FloatMatrix, row_chunks, unit_rows
from tac_pipeline.errors import InputError

CHUNK_ROWS = 8192


def blend_rows(image_embeddings: FloatMatrix, text_counterparts: FloatMatrix, *, text_weight: float) -> FloatMatrix:
    """unit([v ; weight x t]): in the cosine of two rows the images count 1 and the texts weight squared.

    Parameters
    ----------
    image_embeddings, text_counterparts : float32 (n_images, dim), unit rows, in the same order
    text_weight : float >= 0
        0 keeps only the images, 1 counts both equally (the published training-free rows).

    Returns
    -------
    float32 (n_images, 2 dim), unit rows; the image embeddings themselves, (n_images, dim), when text_weight is 0

    Raises
    ------
    InputError
        The two matrices differ in their number of rows, or the weight is below 0.
    """
    if len(image_embeddings) != len(text_counterparts):
        raise InputError(
            "image_embeddings and text_counterparts must have one row per image each; "
            f"got {len(image_embeddings)} and {len(text_counterparts)} rows"
        )
    if not 0 <= text_weight < np.inf:
        raise InputError(f"text_weight must be >= 0; got {text_weight}")
    if text_weight == 0:
        return image_embeddings
    n_images, dim = image_embeddings.shape
    blended = np.empty((n_images, dim + text_counterparts.shape[1]), dtype=np.float32)
    for part in row_chunks(n_images, CHUNK_ROWS):  # so that no second whole copy is held
        blended[part, :dim] = image_embeddings[part]
        blended[part, dim:] = np.float32(text_weight) * text_counterparts[part]
        blended[part] = unit_rows(blended[part])
    return blended
