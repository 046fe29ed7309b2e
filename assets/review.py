"""Group results: the images that are worth a look, and the nouns of each cluster."""

import numpy as np
import polars as pl

from assets.clustering import cluster_ids
from assets.engine.step import Inputs, Output, stored_asset
from assets.images import training_set
from assets.map import image_map
from assets.neighbors import image_neighbors, load_neighbors
from assets.results import assignments, vocabulary_profiles
from assets.text_space import criterion, noun_vocabulary
from assets.ui import previews
from tac_pipeline.method import load_method
from tac_pipeline.settings.keys import Review
from tac_pipeline.store.schemas import CLUSTER_NOUNS, REVIEW

NOUNS_PER_CLUSTER = 12
# Rows of the small tables that the UI shows.
SHOWN = 30


@stored_asset(
    group="results",
    schema=REVIEW,
    settings=["review", "method"],
    # The contents of the images come through the map, because image_embeddings is newer than the training set.
    deps=[assignments, image_map, training_set, image_neighbors, noun_vocabulary],
    deps_when={"group_by": [criterion]},
    as_of=cluster_ids,
    code_version="2",
    part="growth",
)
def review(inputs: Inputs, out: Output, review: Review, method: str) -> None:
    """Images worth a look: typical images, border cases, outliers, near-duplicates; and each cluster's nouns."""
    from tac_pipeline.results.review import duplicate_groups, review_images

    readable = inputs.table(image_map, columns=["image_id", "content_hash"])
    assigned = inputs.table(assignments)
    groups = duplicate_groups(readable, _near_pairs(inputs, readable, review.duplicate_similarity))
    table = review_images(
        assigned, groups, border_margin=review.border_margin, outlier_deviations=review.outlier_deviations
    )
    out.write(table)
    out.write_other(CLUSTER_NOUNS, _cluster_nouns(inputs, assigned, load_method(method).naming_tau))
    duplicates = table.drop_nulls("duplicate_group")
    out.fact(
        border_images=int(table["border"].sum()),
        outliers=int(table["outlier"].sum()),
        duplicate_groups=duplicates["duplicate_group"].n_unique(),
        images_in_duplicate_groups=len(duplicates),
    )
    _show(out, table, assigned)


def _near_pairs(inputs: Inputs, readable: pl.DataFrame, similarity: float) -> pl.DataFrame:
    """Nearly equal training images that are still unchanged in the store, as pairs of image_ids."""
    from tac_pipeline.results.review import near_pairs

    known = inputs.table(training_set, columns=["image_id", "content_hash"])
    pairs = near_pairs(inputs.vectors(training_set), load_neighbors(inputs, image_neighbors), similarity=similarity)
    there = known.join(readable, on=["image_id", "content_hash"], how="left", coalesce=False)["image_id_right"]
    ids = pl.DataFrame({"left": there[pairs[:, 0]], "right": there[pairs[:, 1]]})
    return ids.drop_nulls()


def _cluster_nouns(inputs: Inputs, assigned: pl.DataFrame, tau: float) -> pl.DataFrame:
    """The nouns that each cluster's training images retrieve, largest weight first."""
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
        table.drop_nulls("duplicate_group")
        .group_by("duplicate_group")
        .agg(images=pl.len(), examples=pl.col("image_id").head(3))
        .sort("duplicate_group")
    )
    outliers = table.filter("outlier").join(assigned.select("image_id", "similarity"), on="image_id")
    border = table.filter("border").join(assigned.select("image_id", "runner_up"), on="image_id")
    notes = {
        "largest duplicate groups": groups,
        "farthest outliers": outliers.sort("similarity").select("image_id", "cluster_id", "similarity"),
        "closest border cases": border.sort("margin").select("image_id", "cluster_id", "runner_up", "margin"),
    }
    for label, rows in notes.items():
        out.markdown(label, previews.table(rows.head(SHOWN)) if len(rows) else "There are none.")
