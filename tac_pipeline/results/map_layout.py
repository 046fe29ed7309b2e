"""A map of the store: every image has a place on a plane, and similar images are near each other.

A bounded sample of the training set is laid out by t-SNE; every other image is put where its nearest images in the
sample are. So a map costs the same for any store, and new images get a place on the map that people know.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tac_pipeline.arrays import FloatMatrix, row_chunks
from tac_pipeline.method.grouping.neighbors import Index, build_index

# Seconds, not minutes, on two cores; more points would say no more at the size of a screen.
LARGEST_SAMPLE = 5_000
# t-SNE uses only distances: components after these are mostly noise, and these take a tenth of the time.
COMPONENTS = 50
PERPLEXITY = 30.0
# Half the time of scikit-learn's defaults for the same neighborhoods (docs/decisions/0081-the-page-and-its-map.md).
ITERATIONS, ANGLE = 500, 0.8
# How many images of the sample decide the place of another image.
PLACED_BY = 4
# To compare each of millions of images with the whole sample takes many minutes. In small samples lists save nothing.
MANY_IMAGES, LISTED_SAMPLE = 1_000_000, 1_000
# The softmax temperature on the cosine: how much more a nearer image counts than a farther one.
PLACING_SCALE = 0.02
# On the map's scale of 1: places farther than this from the nearest image's place are another part of the map.
NEARBY = 0.05
# The share of points on each side that is ignored when the map is scaled to the unit square.
MARGIN_SHARE = 0.002


def lay_out(vectors: FloatMatrix, *, seed: int) -> FloatMatrix:
    """Positions on a plane for a sample of images.

    Parameters
    ----------
    vectors : float32 (n_images, dim), unit rows
        At most LARGEST_SAMPLE or so: the time grows a little faster than their number.
    seed : int

    Returns
    -------
    float32 (n_images, 2), about 0 to 1 along the longer side
    """
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    if len(vectors) < 2:
        return np.full((len(vectors), 2), 0.5, dtype=np.float32)
    start = np.zeros((len(vectors), 2), dtype=np.float32)
    if (vectors == vectors[0]).all():
        return _to_unit_square(start)
    components = min(COMPONENTS, *vectors.shape)
    reduced = PCA(components, random_state=seed).fit_transform(vectors)
    start[:, :components] = reduced[:, :2]
    spread = start[:, 0].std()
    if len(vectors) <= 3 or spread == 0:
        return _to_unit_square(start)
    tsne = TSNE(
        init=(start / spread * 1e-4).astype(np.float32),
        perplexity=min(PERPLEXITY, (len(vectors) - 1) / 3),
        max_iter=ITERATIONS,
        angle=ANGLE,
        random_state=seed,
    )
    # Its threads meet several times an iteration: on a machine that is busy with other work, two of them took fifty
    # times as long as one (docs/decisions/0081-the-page-and-its-map.md).
    with threadpool_limits(limits=1, user_api="openmp"):
        return _to_unit_square(tsne.fit_transform(reduced))


def _to_unit_square(points: npt.NDArray[np.floating]) -> FloatMatrix:
    low, high = np.quantile(points, [MARGIN_SHARE, 1 - MARGIN_SHARE], axis=0)
    # One scale for both axes: distances are all that the map says.
    scale = max(float((high - low).max()), np.finfo(np.float32).tiny)
    return np.asarray((points - (low + high) / 2) / scale + 0.5, dtype=np.float32)


def placing_index(sample: FloatMatrix, *, n_images: int) -> Index:
    """What finds the nearest images of the sample: exactly, but for stores of more than MANY_IMAGES.

    Parameters
    ----------
    sample : float32 (n_sample, dim), unit rows
        The images that are on the map.
    n_images : int
        Images of the store, and not only those that are to be placed: the same image gets the same place in any run.
    """
    in_lists = n_images > MANY_IMAGES and len(sample) > LISTED_SAMPLE
    return build_index(sample, count=PLACED_BY, exact_rows=LISTED_SAMPLE if in_lists else len(sample))


def place(vectors: FloatMatrix, index: Index, positions: FloatMatrix, *, chunk_rows: int = 2048) -> FloatMatrix:
    """Positions of more images on an existing map.

    Parameters
    ----------
    vectors : float32 (n_images, dim), unit rows
    index : Index
        Of the images that are on the map (`placing_index`).
    positions : float32 (n_sample, 2)
        Their positions.
    chunk_rows : int
        Bounds memory, to chunk_rows x dim; never changes the result.

    Returns
    -------
    float32 (n_images, 2)
        The weighted mean of the positions of the PLACED_BY nearest images in the sample. When these are far apart,
        only those near the nearest count: a place halfway between two groups would be empty.
    """
    count = min(PLACED_BY, len(positions))
    placed = np.empty((len(vectors), 2), dtype=np.float32)
    for rows in row_chunks(len(vectors), chunk_rows):
        near, nearest = index.faiss.search(np.ascontiguousarray(vectors[rows]), count)  # (chunk, count), nearest first
        weights = np.exp((near - near[:, :1]) / PLACING_SCALE)
        where = positions[nearest]  # (chunk, count, 2)
        away = np.linalg.norm(where - where[:, :1], axis=2)
        weights *= away < NEARBY
        placed[rows] = np.einsum("nk,nkd->nd", weights, where) / weights.sum(axis=1, keepdims=True)
    return placed
