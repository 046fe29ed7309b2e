"""Carrying out pins: images are where people want them."""

from __future__ import annotations

import polars as pl


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
