"""Drift: whether the images that came since the groups were learned still lie in them as the training images do."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

# An image is an outlier when all but this part of its cluster's training images lie nearer to the center.
OUTLIER_QUANTILE = 0.01


@dataclass(frozen=True)
class Drift:
    """New images beside those that the groups were learned from.

    Attributes
    ----------
    known, new : int
        Images in a cluster that were learned from, and that were not.
    new_share : float
        Of all images in a cluster, 0 to 1.
    outlier_share : float
        Of the new images, those farther from their center than all but OUTLIER_QUANTILE of its training images, or of
        all training images where it has none; 0 where there is none at all.
    new_confidence, known_confidence : float
        Means, 0 to 1.
    """

    known: int
    new: int
    new_share: float
    outlier_share: float
    new_confidence: float
    known_confidence: float


def measure_drift(assigned: pl.DataFrame, learned: pl.DataFrame) -> Drift:
    """Compare new images with training images.

    Parameters
    ----------
    assigned : DataFrame with image_id, content_hash, cluster_id, confidence, similarity
        The table assignments, with what each image holds: one that was replaced in place is a new one.
    learned : DataFrame with image_id, content_hash
        The training set.
    """
    placed = assigned.drop_nulls("cluster_id")
    known, new = (placed.join(learned, on=["image_id", "content_hash"], how=how) for how in ("semi", "anti"))
    floor = pl.col("similarity").quantile(OUTLIER_QUANTILE, interpolation="lower")
    # Where none of the training images is left, nothing lies farther out than they do.
    everywhere = known.select(floor.fill_null(-1.0)).item()
    floors = known.group_by("cluster_id").agg(floor.alias("floor"))
    # A cluster that no training image lies in has no floor of its own.
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
