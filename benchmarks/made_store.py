"""A large store of made-up vectors for benchmarks: points around centers that lie around fewer, farther ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from ruamel.yaml import YAML

from tac_pipeline.arrays import row_chunks
from tac_pipeline.settings.project import Project, load_project

DIM = 64
COLORS = ("red", "green", "blue")
NOUNS_PER_GROUP = len(COLORS)
# So far are images from their group's center, and centers from those of their kind, in all dimensions together.
SPREAD, KIND_SPREAD, GROUPS_PER_KIND = 0.5, 0.9, 40
# The images that are learned from: the seconds that this benchmark is about do not hang on them.
LEARNED_PER_GROUP = 20
CHUNK_ROWS = 100_000
IMAGES = pa.schema([("image_id", pa.string()), ("embedding", pa.list_(pa.float16(), DIM))])


def make_store(folder: Path, *, rows: int, groups: int, seed: int = 0) -> Project:
    """Tables of vectors and nouns, and a settings file, in a folder; written once.

    Parameters
    ----------
    rows : int
        Images; the largest group has about three times as many as the mean.
    groups : int
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "tac.yaml"
    if path.is_file():
        return load_project(path)
    generator = np.random.default_rng(seed)
    kinds = _around(np.zeros((1, DIM)), np.zeros(max(groups // GROUPS_PER_KIND, 1), dtype=int), 1.0, generator)
    centers = _around(kinds, generator.integers(len(kinds), size=groups), KIND_SPREAD, generator)
    weights = generator.gamma(4.0, size=groups)
    _write_images(folder / "images.parquet", centers, weights / weights.sum(), rows, generator)
    of = np.repeat(np.arange(groups), NOUNS_PER_GROUP)
    words = [f"{COLORS[n % NOUNS_PER_GROUP]} thing {group}" for n, group in enumerate(of)]
    vectors = _around(centers, of, 0.3, generator)
    pq.write_table(pa.table({"noun": words, "embedding": _column(vectors)}), folder / "nouns.parquet")
    settings = {
        "store": "made",
        "images": {"source": "images.parquet"},
        "nouns": {"source": "nouns.parquet"},
        "clusters": {"count": groups},
        "training_set": {"max_images": min(rows, LEARNED_PER_GROUP * groups)},
        # No schedules: the benchmark itself starts everything.
        "schedule": {"observe": None, "recluster": None, "refresh": False},
    }
    with path.open("w", encoding="utf-8") as file:
        YAML().dump(settings, file)
    return load_project(path)


def new_images(count: int, *, prefix: str, seed: int) -> pa.Table:
    """Images that come to such a store: they are around one center, and their ids begin with the prefix."""
    generator = np.random.default_rng(seed)
    vectors = _around(np.eye(1, DIM), np.zeros(count, dtype=int), SPREAD, generator)
    ids = [f"{prefix}-{number:08d}.jpg" for number in range(count)]
    return pa.table({"image_id": ids, "embedding": _column(vectors)}, schema=IMAGES)


def _write_images(
    path: Path, centers: np.ndarray, shares: np.ndarray, rows: int, generator: np.random.Generator
) -> None:
    with pq.ParquetWriter(path, IMAGES) as writer:
        for chunk in row_chunks(rows, CHUNK_ROWS):
            ids = [f"photographs/{number:08d}.jpg" for number in range(rows)[chunk]]
            of = generator.choice(len(centers), size=len(ids), p=shares)
            vectors = _column(_around(centers, of, SPREAD, generator))
            writer.write_table(pa.table({"image_id": ids, "embedding": vectors}, schema=IMAGES))


def _around(centers: np.ndarray, of: np.ndarray, spread: float, generator: np.random.Generator) -> np.ndarray:
    noise = generator.normal(size=(len(of), DIM)) * spread / np.sqrt(DIM)
    vectors = centers[of] + noise
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def _column(vectors: np.ndarray) -> pa.Array:
    return pa.FixedSizeListArray.from_arrays(pa.array(vectors.astype(np.float16).reshape(-1)), DIM)
