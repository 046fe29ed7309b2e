"""Results as one table: csv and parquet, one row an image of the store, readable or not."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from tac_pipeline.export.result import Exported, ExportOptions, ExportResult


def write_csv(path: Path, result: ExportResult, _: ExportOptions) -> Exported:
    """A CSV in UTF-8 with a heading; an empty field is a null."""
    plain = [name for name, kind in result.images.schema.items() if not kind.is_nested()]
    # Quoted whatever they hold, so that an empty text stays one, and a line break in a name stays in its field.
    result.images.select(plain).write_csv(path, quote_style="non_numeric")
    return Exported(images=len(result.images))


def write_parquet(path: Path, result: ExportResult, _: ExportOptions) -> Exported:
    """A Parquet file of the same columns."""
    result.images.write_parquet(path, compression="zstd")
    return Exported(images=len(result.images))


def mapped(images: pl.DataFrame, files: list[str]) -> pl.DataFrame:
    """The images of a folder that an export made, each with its file in it: what leads back to the store."""
    return images.select(
        pl.Series("file", files, dtype=pl.String), "image_id", "cluster_id", "cluster_name", "confidence"
    )
