"""Finding images that are worth a look: typical images, border cases, outliers, near-duplicates.

All of it comes from existing tables: the assignments, the content hashes, and pairs of nearly equal images.
Pure functions on tables; memory holds one small row per image.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl

from tac_pipeline.errors import InputError

# The standard deviation of normally distributed values is their median absolute deviation times this.
MAD_TO_DEVIATION = 1.4826


def review_images(
    assignments: pl.DataFrame, groups: pl.DataFrame, *, border_margin: float, outlier_deviations: float
) -> pl.DataFrame:
    """For every image, how typical it is of its cluster and whether it is worth a look.

    Parameters
    ----------
    assignments : DataFrame with image_id, cluster_id, similarity, margin (the table assignments)
    groups : DataFrame with image_id, duplicate_group, duplicate_of
        From `duplicate_groups` and `with_representatives` (duplicates.py).
    border_margin : float
        An image with a smaller margin is on the border between its cluster and the runner-up.
    outlier_deviations : float
        An image is an outlier when its cosine to the center is lower than its cluster's median by more than this many
        deviations. They are estimated from the median absolute deviation, which outliers hardly change.

    Returns
    -------
    DataFrame with the columns of the table review, in the order of the assignments
        typicality is the share of the cluster's images that are no nearer to its center: 1 for the nearest.
    """
    cosine, cluster = pl.col("similarity"), "cluster_id"
    median = cosine.median().over(cluster)
    deviation = MAD_TO_DEVIATION * (cosine - median).abs().median().over(cluster)
    placed = pl.col(cluster).is_not_null()
    return assignments.join(groups, on="image_id", how="left", maintain_order="left").select(
        "image_id",
        cluster,
        typicality=pl.when(placed).then(cosine.rank("max").over(cluster) / pl.len().over(cluster)).cast(pl.Float32),
        margin=pl.col("margin"),
        border=(placed & (pl.col("margin") < border_margin)).fill_null(False),
        outlier=(placed & (cosine < median - outlier_deviations * deviation)).fill_null(False),
        duplicate_group=pl.col("duplicate_group").cast(pl.Int32),
        duplicate_of=pl.col("duplicate_of"),
    )


def duplicate_groups(images: pl.DataFrame, pairs: pl.DataFrame) -> pl.DataFrame:
    """Join images with equal bytes, and nearly equal pairs of images, into groups.

    Groups are closed: if a equals b and b equals c, all three are one group.

    Parameters
    ----------
    images : DataFrame with image_id, content_hash
        An image with an empty hash equals no other image.
    pairs : DataFrame with left, right
        image_ids; pairs with an unknown image are ignored.

    Returns
    -------
    DataFrame with image_id, duplicate_group (int32)
        The members of groups of two or more, largest group first, equally large groups by their first image_id.

    Raises
    ------
    InputError
        An image_id repeats.
    """
    if images["image_id"].n_unique() != len(images):
        raise InputError(f"image_ids must be unique; got {len(images) - images['image_id'].n_unique()} twice")
    # Most images are like no other: only the rest is sorted and joined.
    paired = pl.concat([pairs["left"], pairs["right"]]).unique()
    equal_to_some = (pl.col("content_hash") != "") & pl.col("content_hash").is_duplicated()
    alike = images.filter(equal_to_some | pl.col("image_id").is_in(paired.implode()))
    known = alike.sort("image_id").with_row_index("node")
    first = pl.col("node").first().over("content_hash")
    equal = known.filter(pl.col("content_hash") != "").select(left="node", right=first)
    ends = known.select("image_id", "node")
    near = (
        pairs.join(ends.rename({"image_id": "left", "node": "from"}), on="left")
        .join(ends.rename({"image_id": "right", "node": "to"}), on="right")
        .select(left="from", right="to")
    )
    labels = _components(pl.concat([equal, near]), len(known))
    found = known.select("image_id", component=pl.Series(labels, dtype=pl.Int32)).with_columns(
        size=pl.len().over("component"), first=pl.col("image_id").first().over("component")
    )
    grouped = found.filter(pl.col("size") > 1).sort("size", "first", "image_id", descending=[True, False, False])
    return grouped.select("image_id", duplicate_group=(pl.col("first").rle_id()).cast(pl.Int32))


def _components(edges: pl.DataFrame, n_nodes: int) -> npt.NDArray[np.int32]:
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    ends = (edges["left"].to_numpy(), edges["right"].to_numpy())
    graph = csr_array((np.ones(len(edges), dtype=np.bool_), ends), shape=(n_nodes, n_nodes))
    labels: npt.NDArray[np.int32] = connected_components(graph, directed=False)[1]
    return labels
