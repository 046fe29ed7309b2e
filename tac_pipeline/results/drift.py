"""Drift: whether images that are newer than the groups fit into them as well as the training images do."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

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


def measure_drift(assigned: pl.DataFrame, learned: pl.DataFrame) -> Drift:
    """Compare new images with training images.

    Parameters
    ----------
    assigned : DataFrame with image_id, cluster_id, confidence, similarity
        The table assignments.
    learned : DataFrame with image_id
        The images of the training set that are `unchanged`.
    """
    placed = assigned.drop_nulls("cluster_id")
    known, new = (placed.join(learned, on="image_id", how=how) for how in ("semi", "anti"))
    floor = pl.col("similarity").quantile(OUTLIER_QUANTILE, interpolation="lower")
    # When none of the training images is left, no image is an outlier.
    everywhere = known.select(floor.fill_null(-1.0)).item()
    floors = known.group_by("cluster_id").agg(floor.alias("floor"))
    # A cluster without training images has no floor of its own.
    outliers = new.join(floors, on="cluster_id", how="left").filter(
        pl.col("similarity") < pl.col("floor").fill_null(everywhere)
    )
    return Drift(
        known=len(known),
        new=len(new),
        new_share=len(new) / max(len(placed), 1),
        outlier_share=len(outliers) / max(len(new), 1),
        new_confidence=_mean(new),
        known_confidence=_mean(known),
    )


def _mean(rows: pl.DataFrame) -> float:
    found = rows.select(pl.col("confidence").cast(pl.Float64).mean()).item()
    return 0.0 if found is None else float(found)
