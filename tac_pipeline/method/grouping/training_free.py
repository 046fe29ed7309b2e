"""Step 6: clusters without training, and the image k-means that every result is compared with."""

from __future__ import annotations

from collections.abc import Callable

from tac_pipeline.arrays import FloatMatrix
from tac_pipeline.method.grouping.blend import blend_rows
from tac_pipeline.method.grouping.spherical_kmeans import KMeansResult, spherical_kmeans
from tac_pipeline.method.values.published import KMEANS_ITERATIONS


def image_kmeans(
    image_embeddings: FloatMatrix,
    *,
    n_clusters: int,
    restarts: int,
    seed: int,
    levels: int = 1,
    device: str = "cpu",
    progress: Callable[[int, int], None] | None = None,
) -> KMeansResult:
    """Spherical k-means on only the image embeddings: the baseline that the nouns must beat."""
    return spherical_kmeans(
        image_embeddings,
        n_clusters=n_clusters,
        restarts=restarts,
        max_iterations=KMEANS_ITERATIONS,
        seed=seed,
        levels=levels,
        device=device,
        progress=progress,
    )


def training_free_clusters(
    image_embeddings: FloatMatrix,
    text_counterparts: FloatMatrix,
    *,
    text_weight: float,
    n_clusters: int,
    restarts: int,
    seed: int,
    levels: int = 1,
    device: str = "cpu",
    progress: Callable[[int, int], None] | None = None,
) -> KMeansResult:
    """Cluster the images by embedding and text counterpart, joined (paper step 6).

    Parameters
    ----------
    image_embeddings, text_counterparts : float32 (n_images, dim), unit rows, in the same order
    text_weight : float >= 0
        1 in the published method.
    n_clusters : int
        From 1 to n_images.
    restarts : int >= 1
    seed : int >= 0
    levels, device : optional
        See spherical_kmeans.

    Returns
    -------
    KMeansResult, its centers (n_clusters, 2 dim), or (n_clusters, dim) when text_weight is 0

    Raises
    ------
    InputError
        The two matrices differ in their number of rows, or a number is out of range.
    """
    return spherical_kmeans(
        blend_rows(image_embeddings, text_counterparts, text_weight=text_weight),
        n_clusters=n_clusters,
        restarts=restarts,
        max_iterations=KMEANS_ITERATIONS,
        seed=seed,
        levels=levels,
        device=device,
        progress=progress,
    )
