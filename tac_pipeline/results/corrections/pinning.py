"""Carrying out pins: images are where people want them, and not where people say that they are not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl

from tac_pipeline.arrays import FloatMatrix


def pin_images(assigned: pl.DataFrame, pins: pl.DataFrame) -> pl.DataFrame:
    """Put pinned images where people want them: adds the column `curated`.

    A pinned image has confidence and margin 1; its runner-up is the cluster that it was in before, if any. A moved
    image has no similarity (null), because it was not measured to that center. Images that cannot be read stay in no
    cluster.

    Parameters
    ----------
    assigned : DataFrame (the table assignments without `curated`)
    pins : DataFrame with image_id, cluster_id
    """
    wanted = pins.select("image_id", pin="cluster_id")
    pin, was = pl.col("pin"), pl.col("cluster_id")
    here, moved = pin.is_not_null() & was.is_not_null(), pin.is_not_null() & was.is_not_null() & (pin != was)
    return (
        assigned.join(wanted, on="image_id", how="left", maintain_order="left")
        .with_columns(
            cluster_id=pl.when(here).then(pin).otherwise(was),
            confidence=pl.when(here).then(pl.lit(1, dtype=pl.Float32)).otherwise("confidence"),
            margin=pl.when(here).then(pl.lit(1, dtype=pl.Float32)).otherwise("margin"),
            runner_up=pl.when(moved).then(was).otherwise("runner_up"),
            similarity=pl.when(moved).then(None).otherwise("similarity"),
            curated=here,
        )
        .drop("pin")
    )


def barred_images(assigned: pl.DataFrame, barred: pl.DataFrame) -> pl.Series:
    """The image_ids that are now in a group that they are not of, and that nobody pinned there; sorted.

    Parameters
    ----------
    assigned : DataFrame (the table assignments)
    barred : DataFrame with image_id, cluster_id
    """
    here = assigned.filter(~pl.col("curated")).join(barred, on=["image_id", "cluster_id"], how="semi")
    return here["image_id"].sort()


def without_barred(soft: FloatMatrix, image_ids: pl.Series, barred: pl.DataFrame, ids: list[int]) -> FloatMatrix:
    """A soft assignment to the groups that are left, rows sum to 1; a row that has no group left is as it was.

    Parameters
    ----------
    soft : float32 (n_images, n_groups), rows sum to 1
    image_ids : Series of String (n_images,)
    barred : DataFrame with image_id, cluster_id
    ids : list of int
        The cluster id of each group.
    """
    rows = pl.DataFrame({"image_id": image_ids}).with_row_index("row")
    places = pl.DataFrame({"cluster_id": ids}, schema={"cluster_id": pl.Int32}).with_row_index("place")
    cells = barred.join(rows, on="image_id").join(places, on="cluster_id")
    left = soft.copy()
    left[cells["row"].to_numpy(), cells["place"].to_numpy()] = 0
    totals = left.sum(axis=1, keepdims=True)
    found: FloatMatrix = np.where(totals > 0, left / np.maximum(totals, np.finfo(np.float32).tiny), soft)
    return found


def put_elsewhere(
    assigned: pl.DataFrame, barred: pl.DataFrame, again: Callable[[pl.Series], pl.DataFrame]
) -> pl.DataFrame:
    """The table assignments, with images that are not of their group in the most probable other one.

    Parameters
    ----------
    assigned : DataFrame (the table assignments)
    barred : DataFrame with image_id, cluster_id
    again : callable
        Takes image_ids, and gives their rows of the table assignments without `curated`, among the groups left.
    """
    images = barred_images(assigned, barred)
    if images.is_empty():
        return assigned
    found = again(images).with_columns(curated=pl.lit(False))
    return pl.concat([assigned.join(found, on="image_id", how="anti"), found.select(assigned.columns)]).sort("image_id")
