"""A store of which every image shows a thing strongly, and a time of day weakly: there are two right groupings."""

from pathlib import Path

import numpy as np
import polars as pl
from small_store import DIM, write_vectors

from assets.engine.execute import open_store
from tac_pipeline.arrays import unit_rows
from tac_pipeline.settings.project import Project
from tac_pipeline.store.schemas import ASSIGNMENTS


def two_facts(n: int = 60, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vectors that show a thing strongly and the time weakly: the vectors, the thing (0 to 2), the time (0 or 1)."""
    generator = np.random.default_rng(seed)
    thing = np.arange(n) % 3
    # Three quarters are by day.
    time = (np.arange(n) % 4 == 3).astype(int)
    axes = np.eye(DIM)
    rows = axes[thing] + 0.35 * axes[3 + time] + 0.05 * generator.normal(size=(n, DIM))
    return unit_rows(rows.astype(np.float32)), thing, time


def write_two_facts(folder: Path, *, n: int = 60) -> None:
    """The tables of images and nouns of such a store."""
    vectors, thing, _ = two_facts(n)
    ids = [f"{number:03d}" for number in range(n)]
    write_vectors(folder / "images.parquet", ids, vectors, [f"thing {n}" for n in thing])
    axes = np.eye(DIM, dtype=np.float32)
    # As texts are elsewhere than images: all of them share a direction that no image has.
    words = {"ball": axes[0], "cube": axes[1], "cone": axes[2], "Day": axes[3], "night": axes[4]}
    nouns = unit_rows(np.stack(list(words.values())) + axes[9])
    pl.DataFrame({"noun": list(words), "embedding": nouns}).write_parquet(folder / "nouns.parquet")


def agree(project: Project, truth: np.ndarray) -> bool:
    """Whether the groups are exactly the true ones, by any number."""
    artifact = open_store(project).require_current("assignments").artifact
    found = artifact.frame(ASSIGNMENTS).sort("image_id")["cluster_id"].to_numpy()
    pairs = set(zip(found.tolist(), truth.tolist(), strict=True))
    return len(pairs) == len(set(truth.tolist())) == len(set(found.tolist()))
