"""Results as one table: csv and parquet, one row per image of the store, readable or not."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from tac_pipeline.export.result import Exported, ExportOptions, ExportResult


def write_csv(path: Path, result: ExportResult, _: ExportOptions) -> Exported:
    """A CSV in UTF-8 with a heading; an empty field is a null."""
    plain = [name for name, kind in result.images.schema.items() if not kind.is_nested()]
    # Every text is quoted, so an empty text stays a text and a line break in a name stays in its field.
    result.images.select(plain).write_csv(path, quote_style="non_numeric")
    return Exported(images=len(result.images))


def write_parquet(path: Path, result: ExportResult, _: ExportOptions) -> Exported:
    """A Parquet file of the same columns."""
    result.images.write_parquet(path, compression="zstd")
    return Exported(images=len(result.images))


def mapped(images: pl.DataFrame, files: list[str]) -> pl.DataFrame:
    """The images in an exported folder, each with its file: this links files to the store's images."""
    return images.select(
        pl.Series("file", files, dtype=pl.String), "image_id", "cluster_id", "cluster_name", "confidence"
    )
