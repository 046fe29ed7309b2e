"""A small store of vectors with known groups, as a user would have it."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

REPOSITORY = Path(__file__).parents[2]
GROUPS, PER_GROUP, DIM = 3, 20, 16
# Drawn pictures in the folder pictures, few nouns.
PICTURE_SETTINGS = """\
store: pictures
images: {source: pictures, labels: folder, max_pixels: 100000}
encoder: {model: tac-small, pretrained: drawn, batch_size: 32}
nouns: {source: nouns.txt}
clusters: {count: 4}
semantic_centers: {count: 6}
neighbors: {count: 5}
heads: {epochs: 20, batch_size: 64}
"""


def copied(settings: Path, folder: Path) -> Path:
    """The settings of a copy of a whole store of pictures, which has looked at where its images are now."""
    from plain_runs import run_step

    shutil.copytree(settings.parent, folder, symlinks=True)
    run_step(folder / settings.name, "image_manifest")
    return folder / settings.name


def grouped_vectors(
    seed: int = 0, *, groups: int = GROUPS, per_group: int = PER_GROUP
) -> tuple[np.ndarray, np.ndarray]:
    """Vectors around well-separated centers, float32 (groups * per_group, DIM), and the group of each."""
    generator = np.random.default_rng(seed)
    centers = np.eye(DIM, dtype=np.float32)[:groups]
    truth = np.repeat(np.arange(groups), per_group)
    vectors = centers[truth] + 0.08 * generator.normal(size=(len(truth), DIM)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True), truth


def write_vectors(path: Path, ids: list[str], vectors: np.ndarray, labels: list[str] | None = None) -> Path:
    """A vector table as a user would have it."""
    rows = pa.FixedSizeListArray.from_arrays(pa.array(vectors.astype(np.float16).reshape(-1)), vectors.shape[1])
    columns: dict[str, Any] = {"image_id": ids, "embedding": rows}
    if labels is not None:
        columns["label"] = labels
    pq.write_table(pa.table(columns), path)
    return path


def write_nouns(path: Path) -> Path:
    """Five nouns near each group's center, float16 vectors."""
    vectors, truth = grouped_vectors(7, per_group=5)
    words = [f"{['red', 'green', 'blue'][group]} thing {number % 5}" for number, group in enumerate(truth)]
    rows = pa.FixedSizeListArray.from_arrays(pa.array(vectors.astype(np.float16).reshape(-1)), DIM)
    pq.write_table(pa.table({"noun": words, "embedding": rows}), path)
    return path
