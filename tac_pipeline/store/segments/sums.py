"""Sums over segments: sizes of clusters, counts of what is in the view, without a look at every image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from tac_pipeline.digest import digest_of_columns
from tac_pipeline.store.schemas import GROUP_SUMS, SHARD_COUNTS, VIEW_SUMS
from tac_pipeline.store.segments.derived import Derived
from tac_pipeline.store.segments.reading import Rows, Segment


@dataclass(frozen=True)
class AssignedSegment:
    """Rows of the table assignments, to be compared with those of another version (comparison.py)."""

    part: Segment
    derived: Derived

    @property
    def assigned(self) -> str:
        """See AssignedRows."""
        return "" if self.part.alone else self.part.digest

    def frame(self) -> pl.DataFrame:
        """See AssignedRows."""
        return self.part.frame()

    def sizes(self) -> pl.DataFrame:
        """See AssignedRows."""
        return group_sums([self.part], self.derived).select("cluster_id", "images")


def group_sums(parts: Sequence[Rows], derived: Derived) -> pl.DataFrame:
    """The columns of GROUP_SUMS for a whole table: a row for each cluster that has images, by cluster_id.

    Parameters
    ----------
    parts : sequence of Rows with cluster_id, confidence, curated (the table assignments)
    """
    found = pl.concat(derived.of(part, GROUP_SUMS, _sums) for part in parts)
    return found.group_by("cluster_id").agg(pl.exclude("cluster_id").sum()).sort("cluster_id")


def view_sums(parts: Sequence[Rows], derived: Derived, *, unreached: str) -> pl.DataFrame:
    """The columns of VIEW_SUMS, a row for each segment.

    Parameters
    ----------
    parts : sequence of Rows with image_id, content_hash, error, note (the table image_embeddings)
    unreached : str
        How the error of an image begins that may be reached another time.
    """

    def count(rows: Rows) -> pl.DataFrame:
        table = rows.frame(["image_id", "content_hash", "error", "note"])
        error = pl.col("error")
        found = table.select(
            images=pl.len().cast(pl.Int64),
            unreadable=error.is_not_null().sum().cast(pl.Int64),
            noted=(error.is_null() & pl.col("note").is_not_null()).sum().cast(pl.Int64),
            unreached=error.str.starts_with(unreached).sum().cast(pl.Int64),
        )
        return found.with_columns(content=pl.lit(digest_of_columns([table["image_id"], table["content_hash"]])))

    return pl.concat(derived.of(part, VIEW_SUMS, count) for part in parts)


def shard_counts(parts: Sequence[Rows], derived: Derived) -> list[pl.DataFrame]:
    """The columns of SHARD_COUNTS for each segment: the shards that it names, and how many of its images are there."""

    def count(rows: Rows) -> pl.DataFrame:
        counts = rows.frame(["shard"])["shard"].value_counts()
        return counts.with_columns(pl.col("count").cast(pl.Int64)).sort("shard")

    return [derived.of(part, SHARD_COUNTS, count) for part in parts]


def _sums(rows: Rows) -> pl.DataFrame:
    table = rows.frame(["cluster_id", "confidence", "curated"])
    return table.group_by("cluster_id").agg(
        images=pl.len().cast(pl.Int64),
        confidence=pl.col("confidence").cast(pl.Float64).sum(),
        curated=pl.col("curated").sum().cast(pl.Int64),
    )
