"""Typicality in a store of many segments: from counts of similarities, which are kept until they are out of date.

How typical an image is depends on all others of its group. So that one new image does not change what is said of every
other, the counts stay in force until they differ by a hundredth of the images, or the store is grouped anew. Memory
holds one row for each group and BIN_WIDTH of similarity in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from tac_pipeline.results.review.marks import MAD_TO_DEVIATION
from tac_pipeline.store.schemas import SIMILARITY_COUNTS
from tac_pipeline.store.segments.derived import Derived
from tac_pipeline.store.segments.reading import Rows

BIN_WIDTH = 1 / 1024
# So large a share of the images may have come, gone, or changed.
STILL_GOOD = 0.01


@dataclass(frozen=True)
class Scales:
    """How similar to their centers the images of each group are.

    Attributes
    ----------
    counts : DataFrame with cluster_id, bin, images
        Images with a similarity from bin times BIN_WIDTH to one BIN_WIDTH more.
    """

    counts: pl.DataFrame

    @property
    def images(self) -> int:
        """All of them."""
        return int(self.counts["images"].sum())

    def last_for(self, now: Scales) -> bool:
        """Whether these can stay in force beside what is counted now."""
        if not set(now.counts["cluster_id"].unique()) <= set(self.counts["cluster_id"].unique()):
            return False
        place = ["cluster_id", "bin"]
        both = self.counts.join(now.counts, on=place, how="full", coalesce=True).fill_null(0)
        differ = (both["images"] - both["images_right"]).abs().sum()
        return bool(differ <= STILL_GOOD * self.images)

    def of_bins(self) -> pl.DataFrame:
        """Columns cluster_id, bin, images, below (images in lower bins), total: by cluster_id and bin."""
        return self.counts.sort("cluster_id", "bin").with_columns(
            below=pl.col("images").cum_sum().over("cluster_id") - pl.col("images"),
            total=pl.col("images").sum().over("cluster_id"),
        )

    def of_groups(self) -> pl.DataFrame:
        """Columns cluster_id, median, deviation (the standard one, from the median absolute one)."""
        middle = (pl.col("bin") + 0.5) * BIN_WIDTH
        ordered = self.counts.with_columns(middle=middle).sort("cluster_id", "middle")
        medians = _weighted_medians(ordered, "middle").rename({"middle": "median"})
        away = ordered.join(medians, on="cluster_id").with_columns(away=(pl.col("middle") - pl.col("median")).abs())
        deviations = _weighted_medians(away.sort("cluster_id", "away"), "away")
        return medians.join(deviations, on="cluster_id").select(
            "cluster_id", "median", deviation=MAD_TO_DEVIATION * pl.col("away")
        )


def count_similarities(parts: Sequence[Rows], derived: Derived) -> Scales:
    """What is counted now, from sums that are kept for each segment of the table assignments."""
    found = pl.concat(derived.of(part, SIMILARITY_COUNTS, _count) for part in parts)
    counts = found.group_by("cluster_id", "bin").agg(pl.col("images").sum()).sort("cluster_id", "bin")
    return Scales(counts)


def _count(rows: Rows) -> pl.DataFrame:
    table = rows.frame(["cluster_id", "similarity"]).drop_nulls()
    bins = table.select("cluster_id", bin=_bin(pl.col("similarity")))
    return bins.group_by("cluster_id", "bin").agg(images=pl.len().cast(pl.Int64)).sort("cluster_id", "bin")


def _bin(similarity: pl.Expr) -> pl.Expr:
    return (similarity / BIN_WIDTH).floor().cast(pl.Int32)


def _weighted_medians(ordered: pl.DataFrame, value: str) -> pl.DataFrame:
    """The median of a column in each group, of rows that stand for `images`; sorted by group and value."""
    reached = pl.col("images").cum_sum().over("cluster_id")
    half = pl.col("images").sum().over("cluster_id") / 2
    return ordered.filter(reached >= half).group_by("cluster_id", maintain_order=True).agg(pl.col(value).first())


def review_segment(
    assignments: pl.DataFrame,
    groups: pl.DataFrame,
    scales: Scales,
    *,
    border_margin: float,
    outlier_deviations: float,
) -> pl.DataFrame:
    """What `review_images` says of all images, for some of them.

    Parameters
    ----------
    assignments : DataFrame with image_id, cluster_id, similarity, margin
    groups : DataFrame with image_id, duplicate_group, duplicate_of
    scales : Scales
    border_margin, outlier_deviations
        See `review_images`.
    """
    cosine, placed = pl.col("similarity"), pl.col("cluster_id").is_not_null()
    known = assignments.join(scales.of_groups(), on="cluster_id", how="left", maintain_order="left")
    nearer = _share_below(known, scales)
    rare = cosine < pl.col("median") - outlier_deviations * pl.col("deviation")
    return (
        known.with_columns(typicality=pl.when(placed & cosine.is_not_null()).then(nearer).cast(pl.Float32))
        .join(groups, on="image_id", how="left", maintain_order="left")
        .select(
            "image_id",
            "cluster_id",
            "typicality",
            "margin",
            border=(placed & (pl.col("margin") < border_margin)).fill_null(False),
            outlier=(placed & rare).fill_null(False),
            duplicate_group=pl.col("duplicate_group").cast(pl.Int32),
            duplicate_of=pl.col("duplicate_of"),
        )
    )


def _share_below(known: pl.DataFrame, scales: Scales) -> pl.Series:
    """The share of each image's group that is no nearer to its center; 0 where that is not known."""
    bins = scales.of_bins()
    # One ascending key for group and bin: the place of an image among them says how many are below.
    groups = {id_: place for place, id_ in enumerate(bins["cluster_id"].unique().sort())}
    width = int(4 / BIN_WIDTH)
    number = bins["cluster_id"].replace_strict(groups, return_dtype=pl.Int64).to_numpy()
    keys = number * width + bins["bin"].to_numpy() + width // 2
    below, images, total = (bins[name].to_numpy().astype(np.float64) for name in ("below", "images", "total"))
    own = known["cluster_id"].replace_strict(groups, default=None, return_dtype=pl.Int64)
    there = (own.is_not_null() & known["similarity"].is_not_null()).to_numpy()
    similarity = known["similarity"].to_numpy()[there].astype(np.float64)
    wanted = own.filter(pl.Series(there)).to_numpy() * width + np.floor(similarity / BIN_WIDTH).astype(int) + width // 2
    place = np.searchsorted(keys, wanted, side="right") - 1
    found = np.zeros(len(known))
    same_group = (place >= 0) & (keys[place] // width == wanted // width)
    inside = keys[place] == wanted
    part = np.clip(similarity / BIN_WIDTH - np.floor(similarity / BIN_WIDTH), 0, 1)
    reached = np.where(inside, below[place] + part * images[place], below[place] + images[place])
    found[there] = np.where(same_group, np.minimum(reached / total[place], 1.0), 0.0)
    return pl.Series("typicality", found)
