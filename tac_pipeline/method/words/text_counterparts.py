"""Step 5: the text counterpart of each image, a blend of the nouns nearest to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tac_pipeline.arrays import FloatMatrix, require_same_width, row_chunks, unit_rows
from tac_pipeline.errors import InputError

# Below this, cosines differ by the rounding of float32 only.
SMALLEST_SPREAD = 1e-6


@dataclass(frozen=True)
class Counterparts:
    """Text counterparts, float32 (n_images, dim), unit rows, and the temperature that they were blended at."""

    rows: FloatMatrix
    tau: float


def require_tau(tau: float) -> None:
    """Raise InputError unless tau can divide a float32 cosine."""
    # Below float32's smallest number tau would round to 0 and the weights to NaN.
    if not np.finfo(np.float32).tiny <= tau < np.inf:
        raise InputError(f"tau must be > 0; got {tau}. OpenAI's ViT-B/32 takes 0.005, other encoders 0.008 to 0.1.")


def choose_tau(
    image_embeddings: FloatMatrix, noun_embeddings: FloatMatrix, *, per_spread: float, max_images: int
) -> float:
    """A temperature that follows the encoder: so many standard deviations of the cosines of images and nouns.

    Each noun's mean cosine is taken off first: nouns that are near to every image say nothing of any. Encoders differ
    in how far their cosines spread: one temperature blends many nouns for one encoder, a single noun for another.

    Parameters
    ----------
    image_embeddings : float32 (n_images, dim), unit rows
    noun_embeddings : float32 (n_nouns, dim), unit rows
        Of the noun vocabulary.
    per_spread : float > 0
    max_images : int >= 1
        At most so many images are looked at, evenly spread over the rows.

    Returns
    -------
    float > 0; 1 where all cosines of a noun are equal, so that no temperature tells images apart
    """
    require_same_width(image_embeddings, noun_embeddings, names=("image_embeddings", "noun_embeddings"))
    cosines = image_embeddings[:: -(-len(image_embeddings) // max_images)] @ noun_embeddings.T
    spread = float((cosines - cosines.mean(axis=0)).std())
    return per_spread * spread if spread > SMALLEST_SPREAD else 1.0


def retrieval_weights(
    image_embeddings: FloatMatrix, noun_embeddings: FloatMatrix, *, tau: float, chunk_rows: int
) -> Iterator[tuple[slice, FloatMatrix]]:
    """The weight of each noun for each image (paper step 5), chunk by chunk.

    Parameters
    ----------
    image_embeddings : float32 (n_images, dim), unit rows
    noun_embeddings : float32 (n_nouns, dim), unit rows
    tau : float > 0
        Softmax temperature on the cosine; lower weighs fewer nouns. It belongs to the encoder.
    chunk_rows : int
        Bounds memory, to chunk_rows x n_nouns weights; never changes the result.

    Yields
    ------
    The rows of the chunk, and their weights: float32 (chunk, n_nouns), rows sum to 1

    Raises
    ------
    InputError
        The widths differ, or tau is not above 0.
    """
    require_same_width(image_embeddings, noun_embeddings, names=("image_embeddings", "noun_embeddings"))
    require_tau(tau)
    return _softmax_chunks(image_embeddings, noun_embeddings, tau=tau, chunk_rows=chunk_rows)


def _softmax_chunks(
    image_embeddings: FloatMatrix, noun_embeddings: FloatMatrix, *, tau: float, chunk_rows: int
) -> Iterator[tuple[slice, FloatMatrix]]:
    for rows in row_chunks(len(image_embeddings), chunk_rows):
        # float32 throughout: a small tau would turn the rounding of a half precision cosine into whole nats.
        weights = image_embeddings[rows] @ noun_embeddings.T  # (chunk, n_nouns)
        # exp stays finite at small tau only if each row's maximum is taken off first.
        weights -= weights.max(axis=1, keepdims=True)
        weights /= np.float32(tau)
        np.exp(weights, out=weights)
        weights /= weights.sum(axis=1, keepdims=True)
        yield rows, weights


def retrieve_text_counterparts(
    image_embeddings: FloatMatrix,
    noun_embeddings: FloatMatrix,
    *,
    tau: float,
    chunk_rows: int = 2048,
    progress: Callable[[int, int], None] | None = None,
) -> FloatMatrix:
    """Blend noun embeddings into one text counterpart per image (paper step 5).

    Parameters
    ----------
    image_embeddings : float32 (n_images, dim), unit rows
    noun_embeddings : float32 (n_nouns, dim), unit rows
        Of the noun vocabulary.
    tau : float > 0
        Softmax temperature on the cosine; lower blends fewer nouns.
    chunk_rows : int
        Bounds memory; never changes the result.
    progress : callable, optional
        Told after each chunk how many images are done.

    Returns
    -------
    float32 (n_images, dim), unit rows, in image order

    Raises
    ------
    InputError
        The widths differ, or tau is not above 0.
    """
    counterparts = np.empty_like(image_embeddings)
    for rows, weights in retrieval_weights(image_embeddings, noun_embeddings, tau=tau, chunk_rows=chunk_rows):
        counterparts[rows] = unit_rows(weights @ noun_embeddings)
        if progress is not None:
            progress(rows.stop, len(image_embeddings))
    return counterparts


def count_nouns_heard(
    image_embeddings: FloatMatrix, noun_embeddings: FloatMatrix, *, tau: float, chunk_rows: int = 2048
) -> npt.NDArray[np.float64]:
    """How many nouns make an image's counterpart in effect: the perplexity of its weights, to see whether tau fits.

    Near 1 only the nearest noun counts; many nouns make a blur. OpenAI's ViT-B/32 with
    tau = 0.005 has medians from 1.5 to 3.

    Parameters
    ----------
    image_embeddings, noun_embeddings, tau, chunk_rows
        As in retrieve_text_counterparts.

    Returns
    -------
    float64 (n_images,), from 1 to n_nouns
    """
    heard = np.empty(len(image_embeddings))
    for rows, weights in retrieval_weights(image_embeddings, noun_embeddings, tau=tau, chunk_rows=chunk_rows):
        logarithms = np.log(np.maximum(weights, np.finfo(np.float32).tiny))
        heard[rows] = np.exp(-(weights * logarithms).sum(axis=1, dtype=np.float64))
    return heard
