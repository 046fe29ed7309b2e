"""Drift: whether images that are newer than the groups fit into them as well as the training images do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from tac_pipeline.digest import digest
from tac_pipeline.store.schemas import DRIFT_SUMS
from tac_pipeline.store.segments.derived import Derived
from tac_pipeline.store.segments.reading import Rows

# An image is an outlier when all but this share of its cluster's training images are nearer to the center.
OUTLIER_QUANTILE = 0.01


@dataclass(frozen=True)
class Drift:
    """New images compared with the training images.

    Attributes
    ----------
    known, new : int
        Images in a cluster that are training images, and that are not.
    new_share : float
        Share of new images among all images in a cluster, 0 to 1.
    outlier_share : float
        Share of new images that are farther from their center than all but OUTLIER_QUANTILE of its training images (of
        all training images when the cluster has none); 0 when no training image is left.
    new_confidence, known_confidence : float
        Mean confidences, 0 to 1.
    """

    known: int
    new: int
    new_share: float
    outlier_share: float
    new_confidence: float
    known_confidence: float


def unchanged(images: pl.DataFrame, view: pl.DataFrame) -> pl.DataFrame:
    """Those of some images that a view has with the same bytes: one that was replaced in place is a new image.

    Parameters
    ----------
    images, view : DataFrame with image_id, content_hash

    Returns
    -------
    DataFrame with the columns of images, in their order
    """
    # The training images are few: first the rows of the view that may be theirs.
    found = view.filter(pl.col("image_id").is_in(images["image_id"].implode()))
    return images.join(found, on=["image_id", "content_hash"], how="semi", maintain_order="left")


def measure_drift(assigned: Sequence[Rows], known: pl.DataFrame, derived: Derived) -> Drift:
    """Compare new images with training images.

    Parameters
    ----------
    assigned : sequence of Rows with image_id, cluster_id, confidence, similarity
        The table assignments.
    known : DataFrame with image_id, cluster_id, confidence, similarity
        Its rows of the training images that are `unchanged`. Of a training set that is not a uniform sample, with a
        column `weight`: how many images of the store each of them is one of.
    derived : Derived
        Keeps the sums of each segment.
    """
    known = known.drop_nulls("cluster_id")
    floor = pl.col("similarity").quantile(OUTLIER_QUANTILE, interpolation="lower")
    if "weight" in known.columns:
        floor = _weighted_floor()
    # When none of the training images is left, no image is an outlier.
    everywhere = known.select(floor.fill_null(-1.0)).item()
    floors = known.group_by("cluster_id").agg(floor.alias("floor")).sort("cluster_id")

    def count(rows: Rows) -> pl.DataFrame:
        placed = rows.frame(["image_id", "cluster_id", "confidence", "similarity"]).drop_nulls("cluster_id")
        new = placed.join(known, on="image_id", how="anti").join(floors, on="cluster_id", how="left")
        # A cluster without training images has no floor of its own.
        far = pl.col("similarity") < pl.col("floor").fill_null(everywhere)
        return new.select(
            new=pl.len().cast(pl.Int64),
            outliers=far.sum().cast(pl.Int64),
            confidence=pl.col("confidence").cast(pl.Float64).sum(),
        )

    compared_with = digest([everywhere, floors.rows(), known["image_id"].to_list()])
    sums = pl.concat(derived.of(rows, DRIFT_SUMS, count, also=compared_with) for rows in assigned).sum()
    new, outliers, confidence = sums.row(0)
    return Drift(
        known=len(known),
        new=new,
        new_share=new / max(new + len(known), 1),
        outlier_share=outliers / max(new, 1),
        new_confidence=confidence / max(new, 1),
        known_confidence=_mean_confidence(known),
    )


def _weighted_floor() -> pl.Expr:
    """The least similarity that OUTLIER_QUANTILE of all weight is below; with equal weights, the lower quantile."""
    weight = pl.col("weight").cast(pl.Float64).sort_by("similarity")
    below = weight.cum_sum() - weight
    # Of n equal weights, the quantile is among n - 1 steps.
    bound = OUTLIER_QUANTILE * (weight.sum() - weight.mean())
    return pl.col("similarity").sort().filter(below <= bound + 1e-9).last()


def _mean_confidence(known: pl.DataFrame) -> float:
    confidence = known["confidence"].cast(pl.Float64)
    if "weight" not in known.columns:
        return float(confidence.sum()) / max(len(known), 1)
    weight = known["weight"].cast(pl.Float64)
    return float((confidence * weight).sum()) / (float(weight.sum()) or 1.0)
