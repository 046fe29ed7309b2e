"""The difference between two versions of the assignments: which images moved, and which clusters changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import polars as pl

_COLUMNS = {"image_id": pl.String, "cluster_id": pl.Int32}


class AssignedRows(Protocol):
    """Some rows of a version of the assignments.

    Attributes
    ----------
    assigned : str
        Rows with the same one are of the same images in the same clusters; empty where that is not known.
    """

    @property
    def assigned(self) -> str:
        """See above."""

    def frame(self) -> pl.DataFrame:
        """The rows, with image_id and cluster_id."""

    def sizes(self) -> pl.DataFrame:
        """Columns cluster_id and images: how many images of each cluster are among them."""


@dataclass(frozen=True)
class Comparison:
    """The difference between two versions of the assignments.

    Attributes
    ----------
    images : DataFrame
        Columns image_id, old_cluster_id, new_cluster_id: every image with another cluster; null means no cluster, when
        the image is not in that version or cannot be read there. Sorted by image_id.
    clusters : DataFrame
        Columns cluster_id, old_size, new_size, stayed, came, left: every cluster that differs; the most changed first.
    known : int
        Images that are in a cluster in both versions.
    moved, came, gone : int
        Known images that are in another cluster now; images in a cluster only in the new version; only in the old one.
    """

    images: pl.DataFrame
    clusters: pl.DataFrame
    known: int
    moved: int
    came: int
    gone: int

    @property
    def moved_share(self) -> float:
        """The share of the known images that moved."""
        return self.moved / max(self.known, 1)


def compare_assignments(old: pl.DataFrame, new: pl.DataFrame) -> Comparison:
    """Compare two tables with the columns image_id (unique) and cluster_id (null when there is none)."""
    before, after = (
        side.select(pl.col(name).cast(kind) for name, kind in _COLUMNS.items()).drop_nulls("cluster_id")
        for side in (old, new)
    )
    both = before.rename({"cluster_id": "old_cluster_id"}).join(
        after.rename({"cluster_id": "new_cluster_id"}), on="image_id", how="full", coalesce=True
    )
    was, now = pl.col("old_cluster_id"), pl.col("new_cluster_id")
    changed = both.filter(was.ne_missing(now)).sort("image_id")
    known = len(both.drop_nulls())
    sizes = [
        both.group_by(cluster_id=column).agg(pl.len().alias(name)).drop_nulls("cluster_id")
        for column, name in ((was, "old_size"), (now, "new_size"))
    ]
    stayed = both.filter(was == now).group_by(cluster_id=now).agg(pl.len().alias("stayed"))
    counts = ["old_size", "new_size", "stayed"]
    clusters = (
        sizes[0]
        .join(sizes[1], on="cluster_id", how="full", coalesce=True)
        .join(stayed, on="cluster_id", how="left")
        .with_columns(pl.col(counts).fill_null(0).cast(pl.Int64))
        .with_columns(came=pl.col("new_size") - pl.col("stayed"), left=pl.col("old_size") - pl.col("stayed"))
        .filter(pl.col("came") + pl.col("left") > 0)
        .sort(pl.col("came") + pl.col("left"), "cluster_id", descending=[True, False])
    )
    return Comparison(
        images=changed.select("image_id", "old_cluster_id", "new_cluster_id"),
        clusters=clusters,
        known=known,
        moved=len(changed.drop_nulls()),
        came=int(changed["old_cluster_id"].null_count()),
        gone=int(changed["new_cluster_id"].null_count()),
    )


def compare_parts(old: Sequence[AssignedRows], new: Sequence[AssignedRows]) -> Comparison:
    """Compare two versions of the assignments that share some of their rows; only the others are read."""
    shared = {part.assigned for part in old} & {part.assigned for part in new} - {""}
    rest = [[part.frame().select(*_COLUMNS) for part in side if part.assigned not in shared] for side in (old, new)]
    found = compare_assignments(*(pl.concat([pl.DataFrame(schema=_COLUMNS), *side]) for side in rest))
    if not shared:
        return found
    sizes = pl.concat(part.sizes() for part in new if part.assigned in shared).drop_nulls("cluster_id")
    same = sizes.group_by("cluster_id").agg(pl.col("images").sum().cast(pl.Int64))
    counts = ("old_size", "new_size", "stayed")
    clusters = found.clusters.join(same, on="cluster_id", how="left", maintain_order="left")
    clusters = clusters.with_columns(pl.col(name) + pl.col("images").fill_null(0) for name in counts).drop("images")
    return replace(found, clusters=clusters, known=found.known + int(same["images"].sum()))
