"""One Parquet file for Embedding Atlas, which draws each image as a point and filters by the other columns.

    embedding-atlas FILE --x projection_x --y projection_y          the points where this file puts them
    embedding-atlas FILE --vector embedding                         laid out anew by its own UMAP (wants --vectors)

The positions are the two directions in which the images' vectors differ most (principal components): quick and the
same every time, and coarser than UMAP.
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


def write_embedding_atlas(path: Path, result: ExportResult, *, vectors: bool) -> Exported:
    """Columns of the other tables, cluster (name and id, to color by), projection_x, projection_y and, if asked,
    embedding; the images that have a cluster, shard by shard. Holds one shard of vectors at once."""
    stored = result.vectors
    if stored is None:
        raise ValueError("embedding-atlas takes the store's vectors")
    images = result.placed.with_columns(
        cluster=pl.format("{} ({})", pl.col("cluster_name").fill_null("unnamed"), "cluster_id")
    )
    places = stored.view.filter(pl.col("error").is_null()).select("image_id", "shard", "row")
    found = images.join(places, on="image_id").sort("shard", "row")
    gone = images.join(places, on="image_id", how="anti")["image_id"]
    if found.is_empty():
        raise InputError("none of this result's images is in the store any more: there is nothing to draw")
    mean, directions = _principal_directions(rows for _, rows in _by_shard(found, stored))
    writer: pq.ParquetWriter | None = None
    try:
        for part, rows in _by_shard(found, stored):
            points = (rows - mean) @ directions.T  # (shard, 2)
            table = part.with_columns(projection_x=points[:, 0], projection_y=points[:, 1]).to_arrow()
            if vectors:
                flat = pa.array(np.ascontiguousarray(rows, dtype=np.float32).reshape(-1))
                table = table.append_column("embedding", pa.FixedSizeListArray.from_arrays(flat, rows.shape[1]))
            writer = writer or pq.ParquetWriter(path, table.schema, compression="zstd")
            writer.write_table(table)
    finally:
        if writer is not None:
            writer.close()
    return Exported(images=len(found), failed=[(image_id, GONE) for image_id in gone])


def _by_shard(images: pl.DataFrame, stored: StoredVectors) -> Iterator[tuple[pl.DataFrame, FloatMatrix]]:
    for (name,), part in images.group_by(["shard"], maintain_order=True):
        _, vectors = read_shard(stored.shards / str(name), encoder=stored.encoder)
        yield part.drop("shard", "row"), vectors[part["row"].to_numpy()]


def _principal_directions(batches: Iterator[FloatMatrix]) -> tuple[FloatMatrix, FloatMatrix]:
    """Mean, float32 (dim,), and the two directions of the largest spread, float32 (2, dim)."""
    count, total, products = 0, np.zeros(0), np.zeros((0, 0))
    for rows in batches:
        if not count:
            total, products = np.zeros(rows.shape[1]), np.zeros((rows.shape[1], rows.shape[1]))
        exact = rows.astype(np.float64)
        count, total, products = count + len(rows), total + exact.sum(axis=0), products + exact.T @ exact
    mean = total / max(count, 1)
    spread = products / max(count, 1) - np.outer(mean, mean)
    directions = np.linalg.eigh(spread)[1][:, ::-1].T[:2]
    # An eigenvector's sign is arbitrary: the largest part is made positive, so that two exports look alike.
    signs = np.sign(directions[np.arange(len(directions)), np.abs(directions).argmax(axis=1)])
    directions = directions * signs[:, np.newaxis]
    return mean.astype(np.float32), directions.astype(np.float32)
