"""Group results: the group of every image of the store, the groups' names, and how right they are."""

import numpy as np
import polars as pl

from assets import previews
from assets.clustering import HEADS_NAME, cluster_heads, cluster_ids, image_kmeans, training_free_clusters
from assets.images import image_embeddings, image_labels, training_set
from assets.step import Inputs, Output, open_store, step
from assets.text_space import noun_vocabulary, text_counterparts
from tac_pipeline.settings import Retrieval
from tac_pipeline.tables import ASSIGNMENTS, CLUSTERS, EVALUATION, require_same_encoder

MEDOIDS = 9
ALTERNATIVES = 4


@step(
    group="results",
    schema=ASSIGNMENTS,
    deps=[image_embeddings, cluster_heads, cluster_ids],
    kinds=["parquet", "pytorch"],
)
def assignments(inputs: Inputs, out: Output) -> None:
    """One row per image of the whole store: its group, how sure that is, and the runner-up (paper step 10)."""
    from tac_pipeline.embedding import shard_vectors
    from tac_pipeline.method.assignment import assign
    from tac_pipeline.method.heads import load_heads, soft_assignment

    view = inputs.table(image_embeddings)
    encoder = inputs.fact(image_embeddings, "encoder")
    require_same_encoder(encoder, inputs.fact(cluster_heads, "encoder"))
    head = load_heads(inputs.path(cluster_heads, HEADS_NAME)).image_head
    ids = inputs.table(cluster_ids).sort("column")["cluster_id"].to_numpy()
    columns = {"image_id": pl.String, "cluster_id": pl.Int32, "confidence": pl.Float32, "runner_up": pl.Int32}
    parts, done, progress = [pl.DataFrame(schema=columns)], 0, inputs.progress("images")
    for rows, vectors in shard_vectors(view, open_store(inputs.project).shards_folder, encoder=encoder):
        found = assign(soft_assignment(head, vectors))
        parts.append(rows.select("image_id").with_columns(
            cluster_id=pl.Series(ids[found.column], dtype=pl.Int32),
            confidence=pl.Series(found.confidence, dtype=pl.Float32),
            runner_up=pl.Series(ids[found.runner_up], dtype=pl.Int32),
        ))  # fmt: skip
        done += len(rows)
        progress(done, len(view))
    table = view.select("image_id").join(pl.concat(parts), on="image_id", how="left").sort("image_id")
    out.write(table)
    sure = table["confidence"].mean()
    out.fact(mean_confidence=None if sure is None else float(sure), n_clusters=len(ids))
    sizes = table["cluster_id"].drop_nulls().to_numpy()
    out.picture("cluster sizes", previews.sizes_picture(sizes, len(ids)))


@step(
    group="results",
    schema=CLUSTERS,
    reads=["retrieval"],
    deps=[assignments, cluster_ids, training_set, text_counterparts, noun_vocabulary],
)
def clusters(inputs: Inputs, out: Output, retrieval: Retrieval) -> None:
    """Every group: its name and alternatives, its size, and its most typical images."""
    from tac_pipeline.method.names import name_clusters, noun_profiles

    ids = inputs.table(cluster_ids)["cluster_id"].sort()
    assigned = inputs.table(assignments)
    # The groups of the training images, as positions in ids; images that have left the store since count no more.
    position = pl.DataFrame({"cluster_id": ids}).with_row_index("position")
    known = (
        inputs.table(training_set, columns=["image_id"]).with_row_index("row")
        .join(assigned, on="image_id").join(position, on="cluster_id").sort("row")
    )  # fmt: skip
    rows, members = known["row"].to_numpy(), known["position"].to_numpy().astype(np.int64)
    vectors = inputs.vectors(training_set)[rows]
    profiles = noun_profiles(vectors, inputs.vectors(noun_vocabulary), members, n_clusters=len(ids), tau=retrieval.tau)
    nouns = inputs.table(noun_vocabulary, columns=["noun"])["noun"].to_list()
    names = name_clusters(profiles.clusters, profiles.overall, nouns, alternatives=ALTERNATIVES)
    table = _describe(ids, assigned, known["image_id"].to_list(), vectors, members).with_columns(
        name=pl.Series([name.name for name in names], dtype=pl.String),
        alternatives=pl.Series([list(name.alternatives) for name in names], dtype=pl.List(pl.String)),
        lineage=pl.lit("born"),
    )
    out.write(table.select(column.name for column in CLUSTERS.columns))
    out.fact(n_clusters=len(ids), empty=int((table["size"] == 0).sum()), largest_share=float(table["share"].max()))
    shown = table.sort("size", descending=True).select("cluster_id", "name", "size", "share", "alternatives")
    out.markdown("clusters", previews.table(shown.head(100)))


def _describe(
    ids: pl.Series, assigned: pl.DataFrame, image_ids: list[str], vectors: np.ndarray, members: np.ndarray
) -> pl.DataFrame:
    """Size, share, confidence and medoids of every cluster id."""
    from tac_pipeline.method.medoids import medoids

    placed = assigned.filter(pl.col("cluster_id").is_not_null())
    counted = placed.group_by("cluster_id").agg(size=pl.len().cast(pl.Int64), confidence=pl.col("confidence").mean())
    nearest = medoids(vectors, members, n_clusters=len(ids), count=MEDOIDS)
    return (
        pl.DataFrame({"cluster_id": ids, "medoids": [[image_ids[row] for row in rows] for rows in nearest]},
                     schema_overrides={"medoids": pl.List(pl.String)})
        .join(counted, on="cluster_id", how="left", maintain_order="left")
        .with_columns(pl.col("size").fill_null(0))
        .with_columns(share=pl.col("size") / max(len(placed), 1))
    )  # fmt: skip


@step(
    group="results",
    schema=EVALUATION,
    deps=[image_labels, image_kmeans, training_free_clusters, assignments, training_set],
    kinds=["parquet", "scikitlearn"],
)
def evaluation(inputs: Inputs, out: Output) -> None:
    """NMI, ACC and ARI of k-means on images, training-free and trained, where there are labels; else an empty table."""
    from tac_pipeline.method.evaluation import score

    labels = inputs.table(image_labels)
    trained = inputs.table(assignments).select("image_id", pl.col("cluster_id").alias("cluster"))
    learned = inputs.table(training_set, columns=["image_id"])
    candidates = [
        ("image_kmeans", "training_set", inputs.table(image_kmeans)),
        ("training_free", "training_set", inputs.table(training_free_clusters)),
        ("trained", "training_set", trained.join(learned, on="image_id", how="semi")),
        ("trained", "whole_store", trained),
    ]
    rows = []
    for result, where, assigned in candidates:
        scored = assigned.drop_nulls().join(labels, on="image_id")
        if len(scored):
            found = score(scored["label"].to_list(), scored["cluster"].to_numpy())
            rows.append((result, where, len(scored), found.nmi, found.acc, found.ari))
    table = pl.DataFrame(
        rows,
        schema={"result": pl.String, "rows": pl.String, "labeled_images": pl.Int64,
                "nmi": pl.Float64, "acc": pl.Float64, "ari": pl.Float64},
        orient="row",
    )  # fmt: skip
    out.write(table)
    if rows:
        out.markdown("scores", previews.table(table))
        for result, where, _, *figures in rows:
            place = "" if where == "training_set" else "_store"
            out.fact(**{f"{result}{place}_{name}": value
                        for name, value in zip(("nmi", "acc", "ari"), figures, strict=True)})  # fmt: skip
    else:
        out.markdown("scores", "No labels: set `images.labels` to `folder` or `column` to have the result scored.")
