"""Group results: what is worth a look, and where every image lies on the map of the store."""

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from assets import previews
from assets.clustering import cluster_ids
from assets.images import image_embeddings, sample_images, training_set
from assets.neighbors import image_neighbors, neighbor_rows
from assets.results import assignments, vocabulary_profiles
from assets.step import Inputs, Output, Values, open_store, step
from assets.text_space import noun_vocabulary
from tac_pipeline.settings import Retrieval, Review
from tac_pipeline.tables import (
    CLUSTER_NOUNS,
    IMAGE_MAP,
    MAP_LAYOUT,
    REVIEW,
    read_table,
    require_same_encoder,
)

if TYPE_CHECKING:
    from tac_pipeline.method.arrays import FloatMatrix

NOUNS_PER_CLUSTER = 12
# Rows of the small tables that the UI shows.
SHOWN = 30


def _resolve_layout(inputs: Inputs, seed: int) -> Values:
    from tac_pipeline.map_layout import LARGEST_SAMPLE

    return {"images": min(LARGEST_SAMPLE, inputs.rows(training_set)), "seed": seed}


@step(
    group="neighbors",
    schema=MAP_LAYOUT,
    reads=["seed"],
    deps=[training_set],
    resolve=_resolve_layout,
    kinds=["parquet", "scikitlearn"],
)
def map_layout(inputs: Inputs, out: Output, seed: int) -> None:
    """A plane on which a sample of the training images lies, near images near each other (t-SNE)."""
    from tac_pipeline.map_layout import lay_out

    known = inputs.table(training_set, columns=["image_id"]).with_row_index("row")
    chosen = sample_images(known, max_images=inputs.values["images"], seed=seed)
    vectors = inputs.vectors_at(training_set, chosen["row"].to_numpy())
    positions = lay_out(vectors, seed=seed)
    out.write({"image_id": chosen["image_id"].to_arrow(), "x": positions[:, 0], "y": positions[:, 1],
               "embedding": vectors}, encoder=inputs.encoder(training_set))  # fmt: skip


@step(group="results", schema=IMAGE_MAP, deps=[image_embeddings, map_layout])
def image_map(inputs: Inputs, out: Output) -> None:
    """Where every readable image lies on the map; images that lay there before are not placed anew."""
    view = inputs.table(image_embeddings).filter(pl.col("error").is_null())
    known = _placed_before(inputs)
    new = view.join(known, on=["image_id", "content_hash"], how="anti")
    placed = pl.concat([known, _placed(inputs, new)])
    # Back to the view's order, and without images that have gone.
    table = view.select("image_id", "content_hash").join(
        placed, on=["image_id", "content_hash"], how="left", maintain_order="left"
    )
    out.write(table)
    out.fact(images_placed=len(new))


def _placed_before(inputs: Inputs) -> pl.DataFrame:
    """The rows of the current map, where it shows the same layout."""
    current = open_store(inputs.project).whole_current(image_map.name)
    layout = inputs.artifact(map_layout).content
    empty = pl.DataFrame(schema={"image_id": pl.String, "content_hash": pl.String, "x": pl.Float32, "y": pl.Float32})
    if current is None or current.artifact.record["inputs"].get(map_layout.name) != layout:
        return empty
    found = read_table(current.artifact.file("image_map.parquet"), IMAGE_MAP)
    return pl.DataFrame(pl.from_arrow(found))


def _placed(inputs: Inputs, view: pl.DataFrame) -> pl.DataFrame:
    """Positions of some images of the store, one shard after the other."""
    from tac_pipeline.embedding import read_shard
    from tac_pipeline.map_layout import place

    encoder = inputs.fact(image_embeddings, "encoder")
    layout = inputs.table(map_layout, columns=["image_id", "x", "y"])
    require_same_encoder(encoder, inputs.encoder(map_layout))
    sample, positions = inputs.vectors(map_layout), layout.select("x", "y").to_numpy()
    parts, done, progress = [_no_places(view)], 0, inputs.progress("images")
    for (name,), rows in view.group_by(["shard"], maintain_order=True):
        _, vectors = read_shard(open_store(inputs.project).shards_folder / str(name), encoder=encoder)
        parts.append(_with_places(rows, place(vectors[rows["row"].to_numpy()], sample, positions)))
        done += len(rows)
        progress(done, len(view))
    return pl.concat(parts)


def _no_places(view: pl.DataFrame) -> pl.DataFrame:
    return _with_places(view.clear(), np.empty((0, 2), dtype=np.float32))


def _with_places(rows: pl.DataFrame, places: "FloatMatrix") -> pl.DataFrame:
    x, y = (pl.Series(column, dtype=pl.Float32) for column in places.T)
    return rows.select("image_id", "content_hash").with_columns(x=x, y=y)


@step(
    group="results",
    schema=REVIEW,
    reads=["review", "retrieval.tau"],
    # The contents of the images come through the map: image_embeddings itself has moved on since the training set.
    deps=[assignments, image_map, training_set, image_neighbors, noun_vocabulary],
    as_of=cluster_ids,
    code="2",
)
def review(inputs: Inputs, out: Output, review: Review, retrieval: Retrieval) -> None:
    """What is worth a look: typical images, border cases, outliers, near-duplicates; and each cluster's nouns."""
    from tac_pipeline.review import duplicate_groups, review_images

    readable = inputs.table(image_map, columns=["image_id", "content_hash"])
    assigned = inputs.table(assignments)
    groups = duplicate_groups(readable, _near_pairs(inputs, readable, review.duplicate_similarity))
    table = review_images(
        assigned, groups, border_margin=review.border_margin, outlier_deviations=review.outlier_deviations
    )
    out.write(table)
    out.write_other(CLUSTER_NOUNS, _cluster_nouns(inputs, assigned, retrieval.tau))
    duplicates = table.drop_nulls("duplicate_group")
    out.fact(
        border_images=int(table["border"].sum()),
        outliers=int(table["outlier"].sum()),
        duplicate_groups=duplicates["duplicate_group"].n_unique(),
        images_in_duplicate_groups=len(duplicates),
    )
    _show(out, table, assigned)


def _near_pairs(inputs: Inputs, readable: pl.DataFrame, similarity: float) -> pl.DataFrame:
    """Nearly equal training images that are still in the store as they were, as pairs of image_ids."""
    from tac_pipeline.review import near_pairs

    known = inputs.table(training_set, columns=["image_id", "content_hash"])
    pairs = near_pairs(inputs.vectors(training_set), neighbor_rows(inputs, image_neighbors), similarity=similarity)
    there = known.join(readable, on=["image_id", "content_hash"], how="left", coalesce=False)["image_id_right"]
    ids = pl.DataFrame({"left": there[pairs[:, 0]], "right": there[pairs[:, 1]]})
    return ids.drop_nulls()


def _cluster_nouns(inputs: Inputs, assigned: pl.DataFrame, tau: float) -> pl.DataFrame:
    """The nouns that each cluster's training images retrieve, heaviest first."""
    ids = assigned["cluster_id"].drop_nulls().unique().sort()
    profiles = vocabulary_profiles(inputs, ids, tau=tau)
    nouns = inputs.table(noun_vocabulary, columns=["noun"])["noun"]
    top = np.argsort(-profiles, axis=1, kind="stable")[:, :NOUNS_PER_CLUSTER]
    weights = np.take_along_axis(profiles, top, axis=1)
    return pl.DataFrame(
        {
            "cluster_id": np.repeat(ids.to_numpy(), top.shape[1]),
            "noun": nouns[top.reshape(-1)],
            "weight": weights.reshape(-1),
        }
    ).filter(pl.col("weight") > 0)


def _show(out: Output, table: pl.DataFrame, assigned: pl.DataFrame) -> None:
    """The small tables that the UI shows."""
    groups = (
        table.drop_nulls("duplicate_group").group_by("duplicate_group")
        .agg(images=pl.len(), examples=pl.col("image_id").head(3)).sort("duplicate_group")
    )  # fmt: skip
    outliers = table.filter("outlier").join(assigned.select("image_id", "similarity"), on="image_id")
    border = table.filter("border").join(assigned.select("image_id", "runner_up"), on="image_id")
    notes = {
        "largest duplicate groups": groups,
        "farthest outliers": outliers.sort("similarity").select("image_id", "cluster_id", "similarity"),
        "closest border cases": border.sort("margin").select("image_id", "cluster_id", "runner_up", "margin"),
    }
    for label, rows in notes.items():
        out.markdown(label, previews.table(rows.head(SHOWN)) if len(rows) else "There are none.")
