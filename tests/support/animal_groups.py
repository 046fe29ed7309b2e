"""Vectors around three directions with nouns near them, and the clusterer fitted to them in milliseconds."""

import numpy as np

from tac_pipeline import TextAidedClustering

DIM, GROUPS, PER_GROUP = 16, 3, 30
NOUNS = ["cat", "kitten", "dog", "puppy", "bird", "chick", "table", "chair"]
QUICK = {
    "n_clusters": GROUPS,
    "tau": 0.05,
    "epochs": 20,
    "batch_size": 45,
    "learning_rate": 1e-2,
    "n_neighbors": 10,
    "n_members": 2,
}


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def images_of(seed: int) -> np.ndarray:
    """Thirty vectors around each of three directions."""
    centers = np.eye(DIM)[np.repeat(np.arange(GROUPS), PER_GROUP)]
    return unit(centers + 0.06 * np.random.default_rng(seed).normal(size=centers.shape))


# Two nouns near each direction, and two near none.
NOUN_EMBEDDINGS = unit(
    np.eye(DIM)[[0, 0, 1, 1, 2, 2, 8, 9]] + 0.1 * np.random.default_rng(9).normal(size=(len(NOUNS), DIM))
)
IMAGES, TRUTH = images_of(0), np.repeat(np.arange(GROUPS), PER_GROUP)


def fit(images: object = IMAGES, **changes: object) -> TextAidedClustering:
    given = {"nouns": NOUNS, "noun_embeddings": NOUN_EMBEDDINGS}
    given |= {name: changes.pop(name) for name in list(changes) if name in (*given, "known")}
    return TextAidedClustering(**(QUICK | changes)).fit(images, **given)
