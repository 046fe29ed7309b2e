"""Joining image and text vectors: the rows that the robust method clusters and gives to its text head."""

from __future__ import annotations

import numpy as np

from tac_pipeline.arrays import FloatMatrix, unit_rows
from tac_pipeline.errors import InputError


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
    return unit_rows(np.hstack([image_embeddings, np.float32(text_weight) * text_counterparts]))
