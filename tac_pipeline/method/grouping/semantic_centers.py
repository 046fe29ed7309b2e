"""Step 3: semantic centers, finer than the wanted clusters, which choose the nouns."""

from __future__ import annotations

from collections.abc import Callable

from tac_pipeline.arrays import FloatMatrix
from tac_pipeline.errors import InputError
from tac_pipeline.method.grouping.spherical_kmeans import KMeansResult, spherical_kmeans
from tac_pipeline.method.values.published import CENTER_RESTARTS, KMEANS_ITERATIONS


def count_semantic_centers(n_images: int, n_clusters: int, *, images_per_center: int, count: int | None = None) -> int:
    """How many semantic centers to find (paper step 3).

    Parameters
    ----------
    n_images, n_clusters : int >= 1
    images_per_center : int >= 1
        One center for this many images; if the wanted clusters are smaller than that, three centers per cluster.
    count : int, optional
        The number itself, instead of the rule.

    Returns
    -------
    int, from 1 to n_images

    Raises
    ------
    InputError
        A number is below 1.
    """
    given = {"n_images": n_images, "n_clusters": n_clusters, "images_per_center": images_per_center, "count": count}
    for name, value in given.items():
        if value is not None and value < 1:
            raise InputError(f"{name} must be at least 1; got {value}")
    if count is None:
        large = n_images >= images_per_center * n_clusters
        count = round(n_images / images_per_center) if large else 3 * n_clusters
    return min(count, n_images)


def find_semantic_centers(
    image_embeddings: FloatMatrix,
    *,
    n_centers: int,
    seed: int,
    levels: int = 1,
    device: str = "cpu",
    progress: Callable[[int, int], None] | None = None,
) -> KMeansResult:
    """Spherical k-means on the image embeddings with the published restarts (paper step 3)."""
    return spherical_kmeans(
        image_embeddings,
        n_clusters=n_centers,
        restarts=CENTER_RESTARTS,
        max_iterations=KMEANS_ITERATIONS,
        seed=seed,
        levels=levels,
        device=device,
        progress=progress,
    )
