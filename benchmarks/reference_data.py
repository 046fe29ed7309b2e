"""The real CLIP vectors and photographs that benchmarks run on: where they are, and their tables, nouns and classes."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from tac_pipeline.arrays import FloatMatrix, require_unit_rows

DATA_VARIABLE = "TAC_REFERENCE_DATA"
ENCODER_FOLDER = "clip-vit-b-32"


@dataclass(frozen=True)
class ReferenceTable:
    """One table of vectors with labels."""

    name: str
    image_embeddings: FloatMatrix
    labels: npt.NDArray[np.int64] | npt.NDArray[np.str_]

    @property
    def n_clusters(self) -> int:
        """K: the number of classes, as in the published tables."""
        return len(np.unique(self.labels))


def reference_folder() -> Path:
    """The folder of vectors: under $TAC_REFERENCE_DATA, or shared/data beside the repository."""
    beside = Path(__file__).parents[2] / "shared" / "data"
    folder = Path(os.environ.get(DATA_VARIABLE, beside)).expanduser() / ENCODER_FOLDER
    if not folder.is_dir():
        raise SystemExit(f"no reference vectors at {folder}; set ${DATA_VARIABLE} to the folder that holds them")
    return folder


def read_table(folder: Path, name: str) -> ReferenceTable:
    """All rows of a table, whatever their split."""
    rows = pl.read_parquet(folder / f"{name}.parquet", columns=["label", "embedding"])
    return ReferenceTable(name, _unit_vectors(rows), rows["label"].to_numpy().astype(np.int64))


def read_nouns(folder: Path) -> tuple[list[str], FloatMatrix]:
    """The candidate nouns and their vectors, float32 (n_nouns, dim), unit rows."""
    nouns = pl.read_parquet(folder / "nouns.parquet", columns=["noun", "embedding"])
    return nouns["noun"].to_list(), _unit_vectors(nouns)


def read_class_names(folder: Path, table: str) -> list[str]:
    """The names of a table's classes, in the order of its labels; folder is that of all reference data."""
    names: list[str] = json.loads((folder / "classes.json").read_text(encoding="utf-8"))[table]
    return names


def _unit_vectors(rows: pl.DataFrame) -> FloatMatrix:
    """The float16 embeddings of a table as float32 unit rows."""
    return require_unit_rows(rows["embedding"].to_numpy(), name="embedding")
