"""One Parquet file for Embedding Atlas, which draws each image as a point and can filter by the other columns.

embedding-atlas FILE --x projection_x --y projection_y          the map of the store, as its page shows it
embedding-atlas FILE --vector embedding                         a new map by its own UMAP (needs --vectors)
"""

from __future__ import annotations

from collections.abc import Iterator
from operator import itemgetter
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from tac_pipeline.errors import InputError
from tac_pipeline.export.result import Exported, ExportOptions, ExportResult, StoredVectors
from tac_pipeline.store.shards import ShardPart, map_shards

GONE = "the store no longer holds its vector"
UNPLACED = "the map of the store does not show it"
WANTED = {False: "the map shows a place", True: "the map shows a place and the store holds a vector"}


def write_embedding_atlas(path: Path, result: ExportResult, options: ExportOptions) -> Exported:
    """Columns of the other tables, cluster (name and id, to color by), projection_x, projection_y and, if asked,
    embedding; for the images with a cluster and a place on the map. Memory holds one shard of vectors.

    Raises
    ------
    InputError
        There is no image to draw.
    """
    if result.places is None:
        raise ValueError("embedding-atlas takes the map of the store")
    images = result.placed.with_columns(
        cluster=pl.format("{} ({})", pl.col("cluster_name").fill_null("unnamed"), "cluster_id")
    )
    places = result.places.select("image_id", projection_x="x", projection_y="y")
    found = images.join(places, on="image_id", maintain_order="left")
    left_out = [(image_id, UNPLACED) for image_id in images.join(found, on="image_id", how="anti")["image_id"]]
    if options.vectors:
        if result.vectors is None:
            raise ValueError("--vectors takes the store's vectors")
        rows = result.vectors.view.filter(pl.col("error").is_null()).select("image_id", "shard", "row")
        held = found.join(rows, on="image_id").sort("shard", "row")
        left_out += [(image_id, GONE) for image_id in found.join(held, on="image_id", how="anti")["image_id"]]
        found = held
    if found.is_empty():
        raise InputError(f"there is nothing to draw: of none of this result's images {WANTED[options.vectors]}")
    tables = _with_vectors(found, result.vectors) if options.vectors and result.vectors else [found.to_arrow()]
    writer: pq.ParquetWriter | None = None
    try:
        for table in tables:
            writer = writer or pq.ParquetWriter(path, table.schema, compression="zstd")
            writer.write_table(table)
            del table  # else its vectors are held while the next shard is read
    finally:
        if writer is not None:
            writer.close()
    return Exported(images=len(found), failed=left_out)


def _with_vectors(images: pl.DataFrame, stored: StoredVectors) -> Iterator[pa.Table]:
    # A generator would hold the table that it gave while the next shard is read; map and itemgetter hold none.
    return map(itemgetter(1), map_shards(_table_of_shard, images, stored.shards, encoder=stored.encoder))


def _table_of_shard(part: ShardPart) -> pa.Table:
    rows = part.read_vectors()
    flat = pa.array(np.ascontiguousarray(rows, dtype=np.float32).reshape(-1))
    column = pa.FixedSizeListArray.from_arrays(flat, rows.shape[1])
    return part.rows.drop("shard", "row").to_arrow().append_column("embedding", column)
