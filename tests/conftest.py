"""Fixtures that many tests share: a small store of vectors with known groups, and the reference data."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ruamel.yaml import YAML

REPOSITORY = Path(__file__).parents[1]
GROUPS, PER_GROUP, DIM = 3, 20, 16


@pytest.fixture(scope="session")
def reference_data() -> Path:
    """The folder of real CLIP vectors and photographs; tests that need it skip where it is absent."""
    folder = Path(os.environ.get("TAC_REFERENCE_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no reference data at {folder} (set TAC_REFERENCE_DATA)")
    return folder


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads the settings or the Dagster instance of whoever runs it."""
    monkeypatch.delenv("TAC_SETTINGS", raising=False)
    monkeypatch.delenv("DAGSTER_HOME", raising=False)


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


SettingsWriter = Callable[..., Path]


@pytest.fixture
def vector_store(tmp_path: Path) -> SettingsWriter:
    """Writes the settings of a small store of vectors, with dotted keys changed as asked, and returns their path."""
    vectors, truth = grouped_vectors()
    ids = [f"image-{number:03d}" for number in range(len(vectors))]
    write_vectors(tmp_path / "images.parquet", ids, vectors, [f"group {group}" for group in truth])
    write_nouns(tmp_path / "nouns.parquet")
    tree: dict[str, Any] = {
        "store": "small",
        "images": {"source": "images.parquet", "labels": "column"},
        "nouns": {"source": "nouns.parquet"},
        "clusters": {"count": GROUPS},
        "semantic_centers": {"images_per_center": 10},
        "neighbors": {"count": 5},
        "heads": {"epochs": 4, "batch_size": 30},
    }

    def write(changes: dict[str, Any] | None = None, *, name: str = "tac.yaml") -> Path:
        for key, value in (changes or {}).items():
            place = tree
            *sections, last = key.split(".")
            for section in sections:
                place = place.setdefault(section, {})
            place[last] = value
        with (tmp_path / name).open("w", encoding="utf-8") as file:
            YAML().dump(tree, file)
        return tmp_path / name

    return write
