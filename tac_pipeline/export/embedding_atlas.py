"""One Parquet file for Embedding Atlas, which draws each image as a point and filters by the other columns.

embedding-atlas FILE --x projection_x --y projection_y          the map of the store, as its page shows it
embedding-atlas FILE --vector embedding                         laid out anew by its own UMAP (wants --vectors)
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from tac_pipeline.embedding import read_shard
from tac_pipeline.errors import InputError
from tac_pipeline.export.result import Exported, ExportResult, StoredVectors
from tac_pipeline.method.arrays import FloatMatrix

GONE = "the store no longer holds its vector"
UNPLACED = "the map of the store does not show it"


def write_embedding_atlas(path: Path, result: ExportResult, *, vectors: bool) -> Exported:
    """Columns of the other tables, cluster (name and id, to color by), projection_x, projection_y and, if asked,
    embedding; the images that have a cluster, shard by shard. Holds one shard of vectors at once."""
    stored = result.vectors
    if stored is None:
        raise ValueError("embedding-atlas takes the store's vectors")
    images = result.placed.with_columns(
        cluster=pl.format("{} ({})", pl.col("cluster_name").fill_null("unnamed"), "cluster_id")
    )
    rows = stored.view.filter(pl.col("error").is_null()).select("image_id", "shard", "row")
    places = stored.places.select("image_id", projection_x="x", projection_y="y")
    held = images.join(rows, on="image_id")
    found = held.join(places, on="image_id").sort("shard", "row")
    if found.is_empty():
        raise InputError("none of this result's images is in the store any more: there is nothing to draw")
    left_out = [(image_id, GONE) for image_id in images.join(held, on="image_id", how="anti")["image_id"]]
    left_out += [(image_id, UNPLACED) for image_id in held.join(found, on="image_id", how="anti")["image_id"]]
    writer: pq.ParquetWriter | None = None
    try:
        for table in _with_vectors(found, stored) if vectors else [found.drop("shard", "row").to_arrow()]:
            writer = writer or pq.ParquetWriter(path, table.schema, compression="zstd")
            writer.write_table(table)
    finally:
        if writer is not None:
            writer.close()
    return Exported(images=len(found), failed=left_out)


def _with_vectors(images: pl.DataFrame, stored: StoredVectors) -> Iterator[pa.Table]:
    for (name,), part in images.group_by(["shard"], maintain_order=True):
        _, vectors = read_shard(stored.shards / str(name), encoder=stored.encoder)
        rows: FloatMatrix = vectors[part["row"].to_numpy()]
        flat = pa.array(np.ascontiguousarray(rows, dtype=np.float32).reshape(-1))
        column = pa.FixedSizeListArray.from_arrays(flat, rows.shape[1])
        yield part.drop("shard", "row").to_arrow().append_column("embedding", column)
