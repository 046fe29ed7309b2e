"""Describing a cluster: its size, its typical images, and the history of its id."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from tac_pipeline.arrays import FloatMatrix, IntVector


def lineage_in_words(history: pl.DataFrame, *, entry: int) -> pl.DataFrame:
    """What a re-clustering did to every id, including merges into it.

    Parameters
    ----------
    history : DataFrame (the table lineage)
    entry : int
        The number of the re-clustering in the ledger.

    Returns
    -------
    DataFrame with cluster_id, lineage
    """
    last = history.filter(pl.col("entry") == entry)
    merged = (
        last.filter(pl.col("event") == "merged")
        .group_by(cluster_id="other_id")
        .agg(pl.col("cluster_id").cast(pl.String).str.join(", ").alias("merged"))
    )
    event = pl.when(pl.col("event") == "split").then(pl.format("split from {}", "other_id")).otherwise("event")
    took = pl.when(pl.col("merged").is_null()).then(event).otherwise(pl.format("{}, took in {}", event, "merged"))
    return last.join(merged, on="cluster_id", how="left").select("cluster_id", lineage=took)


def describe_clusters(
    ids: pl.Series,
    sums: pl.DataFrame,
    *,
    image_ids: Sequence[str],
    vectors: FloatMatrix,
    members: IntVector,
    n_medoids: int,
) -> pl.DataFrame:
    """Size, share, confidence and medoids of every cluster id.

    Parameters
    ----------
    ids : int32 (n_clusters,)
    sums : DataFrame with cluster_id, images, confidence (of `group_sums`)
    image_ids : n_known long
        The training images that are still in the store.
    vectors : float32 (n_known, dim), unit rows
    members : int64 (n_known,)
        The position in ids of each image's cluster.
    n_medoids : int
        The most typical images to list for each cluster.

    Returns
    -------
    DataFrame with cluster_id, medoids, size, confidence, share, in the order of ids
    """
    from tac_pipeline.method.clusters.medoids import medoids

    counted = sums.drop_nulls("cluster_id").select(
        "cluster_id", size="images", confidence=(pl.col("confidence") / pl.col("images")).cast(pl.Float32)
    )
    nearest = medoids(vectors, members, n_clusters=len(ids), count=n_medoids)
    typical = [[image_ids[row] for row in rows] for rows in nearest]
    table = pl.DataFrame({"cluster_id": ids, "medoids": typical}, schema_overrides={"medoids": pl.List(pl.String)})
    return (
        table.join(counted, on="cluster_id", how="left", maintain_order="left")
        .with_columns(pl.col("size").fill_null(0))
        .with_columns(share=pl.col("size") / max(counted["size"].sum(), 1))
    )


def with_cluster_names(rows: pl.DataFrame, names: pl.DataFrame) -> pl.DataFrame:
    """Rows with cluster_id and runner_up, and the names of both added: cluster_name, runner_up_name.

    Parameters
    ----------
    rows : DataFrame with cluster_id, runner_up
        Their order stays.
    names : DataFrame with cluster_id, cluster_name
    """
    seconds = names.rename({"cluster_id": "runner_up", "cluster_name": "runner_up_name"})
    return rows.join(names, on="cluster_id", how="left", maintain_order="left").join(
        seconds, on="runner_up", how="left", maintain_order="left"
    )
