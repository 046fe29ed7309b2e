"""Group results: the group of every image of the store, the groups' names, and how right they are."""

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from assets import previews
from assets.clustering import HEADS_NAME, cluster_heads, cluster_ids, image_kmeans, training_free_clusters
from assets.images import image_embeddings, image_labels, training_set
from assets.nouns import noun_embeddings
from assets.step import Inputs, Output, open_store, step
from assets.text_space import noun_vocabulary, text_counterparts
from tac_pipeline.method.arrays import FloatMatrix
from tac_pipeline.settings import Retrieval
from tac_pipeline.store import Store
from tac_pipeline.tables import (
    ASSIGNMENTS,
    CLUSTER_CENTERS,
    CLUSTERS,
    EVALUATION,
    LINEAGE,
    read_table,
    require_same_encoder,
    vectors_of,
)

if TYPE_CHECKING:
    from tac_pipeline.method.names import ClusterName

MEDOIDS = 9
ALTERNATIVES = 4


def _drop_unused_assignments(store: Store) -> None:
    from tac_pipeline.assigning import drop_unused

    kept = {str(version.facts["key"]) for version in store.versions(assignments.name) if "key" in version.facts}
    drop_unused(store.assigned_folder, kept, store.shards_folder)


@step(
    group="results",
    schema=ASSIGNMENTS,
    deps=[image_embeddings, cluster_heads, cluster_ids],
    kinds=["parquet", "pytorch"],
    code="3",
    cleanup=_drop_unused_assignments,
)
def assignments(inputs: Inputs, out: Output) -> None:
    """One row per image of the whole store: its group, how sure that is, and the runner-up (paper step 10).

    Shards that these heads have assigned before are not read again.
    """
    from tac_pipeline.assigning import assign_shards
    from tac_pipeline.method.heads import load_heads

    store, key = open_store(inputs.project), inputs.fact(cluster_ids, "key")
    view, encoder = inputs.table(image_embeddings), inputs.fact(image_embeddings, "encoder")
    require_same_encoder(encoder, inputs.fact(cluster_heads, "encoder"))
    head = load_heads(inputs.path(cluster_heads, HEADS_NAME)).image_head
    ids = inputs.table(cluster_ids).sort("column")["cluster_id"]
    found = assign_shards(
        view, store.shards_folder, encoder=encoder, head=head, centers=_centers_by_column(inputs, ids),
        kept=store.assigned_folder / key, progress=inputs.progress("images"),
    )  # fmt: skip
    lasting = pl.DataFrame({"column": range(len(ids)), "cluster_id": ids}, schema_overrides={"column": pl.Int32})
    runners_up = lasting.rename({"column": "runner_up", "cluster_id": "runner_up_id"})
    table = (
        found.rows.join(lasting, on="column", how="left").join(runners_up, on="runner_up", how="left")
        .select(
            "image_id", "cluster_id", "confidence", pl.col("runner_up_id").alias("runner_up"), "similarity", "margin"
        )
        .sort("image_id")
    )  # fmt: skip
    out.write(table)
    sure = table["confidence"].mean()
    out.fact(
        mean_confidence=None if sure is None else float(sure),
        n_clusters=len(ids),
        key=key,
        images_computed=found.computed,
    )
    sizes = ids.to_frame().with_row_index("place").join(table, on="cluster_id")["place"].to_numpy()
    out.picture("cluster sizes", previews.sizes_picture(sizes, len(ids)))


def _centers_by_column(inputs: Inputs, ids: pl.Series) -> FloatMatrix:
    """The centers of the groups in the order of the head's columns."""
    table = read_table(inputs.path(cluster_ids, "cluster_centers.parquet"), CLUSTER_CENTERS)
    position = {id_: row for row, id_ in enumerate(table.column("cluster_id").to_pylist())}
    return vectors_of(table)[[position[id_] for id_ in ids]]


@step(
    group="results",
    schema=CLUSTERS,
    reads=["retrieval"],
    deps=[assignments, cluster_ids, training_set, text_counterparts, noun_vocabulary, noun_embeddings],
    code="2",
)
def clusters(inputs: Inputs, out: Output, retrieval: Retrieval) -> None:
    """Every group: its name and alternatives, its size, its most typical images, and how its id came to be.

    A group that goes on keeps its name unless that is clearly wrong: unless all of the nouns that now fit best are
    nearer to it.
    """
    from tac_pipeline.method.names import name_clusters, noun_profiles

    known_ids = inputs.table(cluster_ids).sort("cluster_id")
    ids = known_ids["cluster_id"]
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
    names = _keep_names(inputs, known_ids, names)
    table = (
        _describe(ids, assigned, known["image_id"].to_list(), vectors, members)
        .with_columns(
            name=pl.Series([name.name for name in names], dtype=pl.String),
            alternatives=pl.Series([list(name.alternatives) for name in names], dtype=pl.List(pl.String)),
        )
        .join(_lineage_in_words(inputs), on="cluster_id", how="left", maintain_order="left")
    )
    out.write(table.select(column.name for column in CLUSTERS.columns))
    out.fact(n_clusters=len(ids), empty=int((table["size"] == 0).sum()), largest_share=float(table["share"].max()))
    shown = table.sort("size", descending=True).select("cluster_id", "name", "size", "share", "alternatives")
    out.markdown("clusters", previews.table(shown.head(100)))


def _keep_names(inputs: Inputs, known_ids: pl.DataFrame, names: "list[ClusterName]") -> "list[ClusterName]":
    """The names that the ids had, where they still fit."""
    from tac_pipeline.method.names import keep_name

    earlier = known_ids["kept_name"].to_list()
    centers = read_table(inputs.path(cluster_ids, "cluster_centers.parquet"), CLUSTER_CENTERS)
    by_id = dict(zip(centers.column("cluster_id").to_pylist(), vectors_of(centers), strict=True))
    wanted = {name for name in earlier if name is not None}
    wanted |= {noun for name in names for noun in (name.name, *name.alternatives) if noun is not None}
    vectors = _noun_vectors(inputs, wanted) if any(earlier) else {}
    return [
        found if before is None else keep_name(found, before, by_id[id_], vectors)
        for id_, before, found in zip(known_ids["cluster_id"], earlier, names, strict=True)
    ]


def _noun_vectors(inputs: Inputs, wanted: set[str]) -> dict[str, np.ndarray]:
    """The vectors of some nouns, where they are still among the candidates; unit rows."""
    nouns = inputs.table(noun_embeddings, columns=["noun"]).with_row_index("row")
    rows = nouns.filter(pl.col("noun").is_in(list(wanted)))
    vectors = inputs.vectors_at(noun_embeddings, rows["row"].to_numpy())
    return dict(zip(rows["noun"], vectors, strict=True))


def _lineage_in_words(inputs: Inputs) -> pl.DataFrame:
    """Columns cluster_id, lineage: what the last re-clustering did to every id, merges into it included."""
    history = read_table(inputs.path(cluster_ids, "lineage.parquet"), LINEAGE)
    last = pl.DataFrame(pl.from_arrow(history)).filter(pl.col("entry") == inputs.fact(cluster_ids, "entry"))
    merged = (
        last.filter(pl.col("event") == "merged").group_by(cluster_id="other_id")
        .agg(pl.col("cluster_id").cast(pl.String).str.join(", ").alias("merged"))
    )  # fmt: skip
    event = pl.when(pl.col("event") == "split").then(pl.format("split from {}", "other_id")).otherwise("event")
    took = pl.when(pl.col("merged").is_null()).then(event).otherwise(pl.format("{}, took in {}", event, "merged"))
    return last.join(merged, on="cluster_id", how="left").select("cluster_id", lineage=took)


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
