"""The exported result: the images with their clusters, and where their bytes and vectors are read."""

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
    """Where a store's vectors are: the table image_embeddings, the folder of shards, and their encoder."""

    view: pl.DataFrame
    shards: Path
    encoder: str


@dataclass(frozen=True)
class ExportResult:
    """A result, ready to be exported.

    Attributes
    ----------
    facts : dict
        What export.json says about its origin.
    images : DataFrame
        One row per image, sorted by image_id: image_id, uri (null when the source no longer lists the image),
        cluster_id and cluster_name (null when it cannot be read, or the cluster has no name), confidence, runner_up,
        runner_up_name, similarity, and the other columns of the store's assignments.
    source : ByteReader or None
        Reads the images; None when the store has only vectors.
    places : DataFrame with image_id, x, y, or None
        The map of the store. Only embedding-atlas needs it.
    vectors : StoredVectors or None
        Only embedding-atlas with --vectors needs it.
    """

    facts: dict[str, Any]
    images: pl.DataFrame
    source: ByteReader | None
    places: pl.DataFrame | None = None
    vectors: StoredVectors | None = None

    @property
    def placed(self) -> pl.DataFrame:
        """The images with a cluster."""
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
    # image_id and why its file could not be copied.
    failed: list[tuple[str, str]] = field(default_factory=list)
