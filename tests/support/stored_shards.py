"""Shards of random vectors in a folder, the view of them, and what an executor elsewhere would get of them."""

import pickle
from pathlib import Path
from typing import TypeVar

import numpy as np
import polars as pl
from reference import random_unit_rows

from tac_pipeline.store.parquet import place_table
from tac_pipeline.store.schemas import EMBEDDING_SHARD
from tac_pipeline.store.shards import read_shard

Thing = TypeVar("Thing")

ENCODER, DIM = "the encoder of these shards", 4


def write_view(folder: Path, sizes: list[int]) -> tuple[pl.DataFrame, np.ndarray]:
    """Shards of so many rows, all readable; the view of them, and their vectors in its order, as they are stored."""
    views, vectors = [], []
    for number, size in enumerate(sizes):
        name, ids, ones = f"e/{number}.parquet", [f"{number}-{row}" for row in range(size)], [1] * size
        columns = {"image_id": ids, "version": ids, "content_hash": ids, "width": ones, "height": ones}
        own = random_unit_rows(size, DIM, number)
        place_table(
            folder / name,
            EMBEDDING_SHARD,
            {**columns, "error": [None] * size, "note": [None] * size, "embedding": own},
            encoder=ENCODER,
        )
        placed = pl.DataFrame({"image_id": ids, "content_hash": ids, "row": range(size)})
        views.append(placed.with_columns(shard=pl.lit(name), error=pl.lit(None, pl.String)))
        vectors.append(read_shard(folder / name, encoder=ENCODER)[1])
    return pl.concat(views), np.concatenate(vectors)


def sent(thing: Thing) -> Thing:
    """What arrives of it in another process."""
    return pickle.loads(pickle.dumps(thing))  # noqa: S301
