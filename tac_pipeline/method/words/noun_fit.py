"""How much the chosen nouns say of a store's images, measured without labels.

Images are grouped by what they show alone, and by their words alone. Where the nouns fit, both are nearly the same
groups. Any nouns agree with the images to some degree, because an image's text is computed from the image: what the
same nouns reach when they are turned at random is the measure of that.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tac_pipeline.arrays import FloatMatrix, IntVector, unit_rows
from tac_pipeline.method.grouping.ward import ward_kmeans
from tac_pipeline.method.grouping.whitening import whiten_by_total
from tac_pipeline.method.values.robust import WHITENING_POWER
from tac_pipeline.method.words.text_counterparts import retrieve_text_counterparts

# Groups of fewer images than this, in the mean, would be compared by chance alone.
IMAGES_PER_GROUP = 10


@dataclass(frozen=True)
class NounFit:
    """The agreement of the groups by words alone with those by images alone, as adjusted mutual information.

    Attributes
    ----------
    words : float, from about 0 to 1
        Of the chosen nouns.
    turned : float
        Of the same nouns, turned at random together.
    """

    words: float
    turned: float

    @property
    def gain(self) -> float:
        """The part of what random nouns leave open that the chosen ones say; at least 0."""
        return max(0.0, (self.words - self.turned) / max(1 - self.turned, 1e-9))

    @property
    def sentence(self) -> str:
        """The same in words."""
        if self.gain >= 0.4:
            judged = "the words know these images"
        elif self.gain >= 0.2:
            judged = "the words know a part of what sets these images apart"
        else:
            judged = (
                "the words say little of these images, so that other candidate nouns (nouns.source) may serve better"
            )
        return (
            f"{judged}: groups by words alone and groups by what the images show agree to {self.words:.2f} (1: the "
            f"same groups), with nouns turned at random to {self.turned:.2f}"
        )


def measure_noun_fit(
    image_embeddings: FloatMatrix, noun_embeddings: FloatMatrix, *, tau: float, n_clusters: int, seed: int
) -> NounFit:
    """How much nouns say of images.

    Parameters
    ----------
    image_embeddings : float32 (n_images, dim), unit rows
        A sample serves; at least 2.
    noun_embeddings : float32 (n_nouns, dim), unit rows
        The chosen vocabulary.
    tau : float > 0
        Of the text counterparts.
    n_clusters : int >= 1
        Fewer are formed where there are not ten images for each.
    seed : int >= 0
    """
    from sklearn.metrics import adjusted_mutual_info_score

    n_groups = max(1, min(n_clusters, len(image_embeddings) // IMAGES_PER_GROUP))

    def groups(rows: FloatMatrix) -> IntVector:
        seen = whiten_by_total(rows, power=WHITENING_POWER).apply(rows)
        return ward_kmeans(seen, n_clusters=n_groups, seed=seed).assignment

    def by_words(nouns: FloatMatrix) -> float:
        found = groups(retrieve_text_counterparts(image_embeddings, nouns, tau=tau))
        return float(adjusted_mutual_info_score(by_images, found))

    by_images = groups(image_embeddings)
    return NounFit(by_words(noun_embeddings), by_words(turn_at_random(noun_embeddings, seed=seed)))


def turn_at_random(rows: FloatMatrix, *, seed: int) -> FloatMatrix:
    """The rows turned by a random rotation, float32 (n_rows, dim), unit rows: they keep their angles to each other."""
    drawn = np.random.default_rng(seed).normal(size=(rows.shape[1], rows.shape[1]))
    orthogonal, upper = np.linalg.qr(drawn)
    # Without the signs, the rotation would not be drawn evenly (Mezzadri 2007).
    turned: FloatMatrix = unit_rows((rows @ (orthogonal * np.sign(np.diag(upper)))).astype(np.float32))
    return turned
