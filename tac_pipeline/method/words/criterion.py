"""Grouped by what people ask for: the words of a criterion, and images seen only by what these words tell apart.

The vectors of an encoder hold what a picture shows, how it is drawn, where it is and much more, and the strongest of
these decides the groups. The span of a criterion's words, less what all of them share, holds what tells these words
apart; projected on it, images differ by the criterion alone. docs/decisions/0132-grouped-by-what-you-ask.md has the
comparison with other ways.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tac_pipeline.arrays import FloatMatrix, FloatVector, require_same_width, row_chunks, unit_rows
from tac_pipeline.errors import InputError
from tac_pipeline.method.values.criteria import FEWEST_WORDS

# Directions with less than this share of the largest spread are rounding.
FLOOR = 1e-3
# A word counts for the center when at least this share of the images is nearest to it.
LEAST_SHARE = 0.01
# Most stores need 3 to 10; the rest moves few images.
ITERATIONS = 20
CHUNK_ROWS = 8192


@dataclass(frozen=True)
class View:
    """How images look by a criterion: a move to a center, and a projection on the span of its words.

    Attributes
    ----------
    directions : float32 (n_directions, dim), orthonormal rows
        The span of the centered words.
    center : float32 (n_directions,)
        The point of the span that images are seen from.
    """

    directions: FloatMatrix
    center: FloatVector

    def apply(self, rows: FloatMatrix) -> FloatMatrix:
        """The images as the criterion shows them: their places along its directions.

        Parameters
        ----------
        rows : float32 (n_rows, dim), unit rows
            As the encoder gives them.

        Returns
        -------
        float32 (n_rows, n_directions), unit rows

        Raises
        ------
        InputError
            The rows are not as wide as the words.
        """
        require_same_width(self.directions, rows, names=("the criterion", "the images"))
        seen = np.empty((len(rows), len(self.directions)), dtype=np.float32)
        for part in row_chunks(len(rows), CHUNK_ROWS):
            places = rows[part] @ self.directions.T - self.center  # (chunk, n_directions)
            # An image at the center is on no side: the first one keeps it a unit row.
            places[~places.any(axis=1), 0] = 1
            seen[part] = unit_rows(places)
        return seen


@dataclass(frozen=True)
class SeenWords:
    """A criterion's view of images, and its words in the same space.

    Attributes
    ----------
    view : View
    words : float32 (n_words, n_directions), unit rows
        Less their mean, along the same directions.
    """

    view: View
    words: FloatMatrix


def find_view(image_embeddings: FloatMatrix, word_embeddings: FloatMatrix) -> SeenWords:
    """The view of images by a criterion.

    Images are seen from a center of their own, because the images of an encoder are elsewhere than its texts. It is
    the mean of what is nearest to each word, every such word counting the same, and not the mean of the images: where
    three quarters have a dark ground, the border between dark and light is not in the middle of the images.

    Parameters
    ----------
    image_embeddings : float32 (n_images, dim), unit rows
    word_embeddings : float32 (n_words, dim), unit rows

    Raises
    ------
    InputError
        There are fewer than two words, all of them have the same vector, there is no image, or the widths differ.
    """
    if len(word_embeddings) < FEWEST_WORDS or not len(image_embeddings):
        raise InputError(
            f"a criterion needs at least {FEWEST_WORDS} words and one image; got {len(word_embeddings)} words and "
            f"{len(image_embeddings)} images"
        )
    require_same_width(image_embeddings, word_embeddings, names=("the images", "the words"))
    centered = word_embeddings - word_embeddings.mean(axis=0)
    _, spread, axes = np.linalg.svd(centered, full_matrices=False)
    if not spread[0] > FLOOR:
        raise InputError(
            "the words of a criterion must differ; all of them have the same vector. Write words that mean other things"
        )
    directions = axes[spread > FLOOR * spread[0]].astype(np.float32)
    words = unit_rows(centered @ directions.T)  # (n_words, n_directions)
    places = image_embeddings @ directions.T
    return SeenWords(View(directions, _balanced_center(places, words)), words)


def _balanced_center(places: FloatMatrix, words: FloatMatrix) -> FloatVector:
    """The mean of the means of the places nearest to each word, once none of them moves to another word."""
    center: FloatVector = places.mean(axis=0)
    least = max(1.0, LEAST_SHARE * len(places))
    nearest = None
    for _ in range(ITERATIONS):
        before, nearest = nearest, ((places - center) @ words.T).argmax(axis=1)
        if before is not None and np.array_equal(before, nearest):
            break
        counts = np.bincount(nearest, minlength=len(words))
        means = [places[nearest == word].mean(axis=0) for word in np.flatnonzero(counts >= least)]
        center = np.mean(means, axis=0, dtype=np.float32) if means else center
    return center.astype(np.float32)
