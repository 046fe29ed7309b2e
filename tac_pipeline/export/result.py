"""What is exported: the images of a result with their clusters, and how their bytes and vectors are had."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from tac_pipeline.export.formats import Link
from tac_pipeline.progress import Progress
from tac_pipeline.sources import ByteReader


@dataclass(frozen=True)
class StoredVectors:
    """Where a store's vectors lie: the table image_embeddings, the folder of shards, and the encoder behind them."""

    view: pl.DataFrame
    shards: Path
    encoder: str


@dataclass(frozen=True)
class ExportResult:
    """A result, ready to be exported.

    Attributes
    ----------
    facts : dict
        What export.json says of where it comes from.
    images : DataFrame
        One row an image, sorted by image_id: image_id, uri (null where the source no longer lists the image),
        cluster_id and cluster_name (null where it cannot be read, or the cluster has no name), confidence, runner_up,
        runner_up_name, similarity, and what else the store's assignments hold.
    source : ByteReader or None
        Reads the images; None where the store has vectors alone.
    places : DataFrame with image_id, x, y, or None
        The map of the store. Wanted by embedding-atlas alone.
    vectors : StoredVectors or None
        Wanted by embedding-atlas with --vectors.
    """

    facts: dict[str, Any]
    images: pl.DataFrame
    source: ByteReader | None
    places: pl.DataFrame | None = None
    vectors: StoredVectors | None = None

    @property
    def placed(self) -> pl.DataFrame:
        """The images that have a cluster."""
        return self.images.filter(pl.col("cluster_id").is_not_null())


@dataclass(frozen=True)
class ExportOptions:
    """What was asked of an export besides its format (see export_to)."""

    link: Link | None = None
    vectors: bool = False
    progress: Progress | None = None


@dataclass
class Exported:
    """What an export holds, and what it lacks."""

    images: int = 0
    # image_id and why its file could not be had.
    failed: list[tuple[str, str]] = field(default_factory=list)
