"""Group results: the images that are worth a look, and the nouns of each cluster."""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from assets.clustering import cluster_ids
from assets.engine.execute import open_store
from assets.engine.step import Inputs, Output, stored_asset
from assets.images import training_set
from assets.map import image_map
from assets.neighbors import image_neighbors, load_neighbors
from assets.results import assignments, vocabulary_profiles
from assets.text_space import criterion, noun_vocabulary
from assets.ui import previews
from tac_pipeline.digest import digest_of_columns
from tac_pipeline.method import load_method
from tac_pipeline.settings.keys import Review
from tac_pipeline.store.parquet import TableSchema
from tac_pipeline.store.schemas import (
    CLOSEST,
    CLUSTER_NOUNS,
    DUPLICATES,
    FARTHEST,
    REVIEW,
    REVIEW_SUMS,
    SIMILARITY_COUNTS,
)
from tac_pipeline.store.segments.reading import rows_between
from tac_pipeline.store.segments.sums import group_sums

if TYPE_CHECKING:
    from tac_pipeline.store.segments.derived import Derived
    from tac_pipeline.store.segments.reading import Rows, Segment

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
    from tac_pipeline.results.review.marks import review_images

    derived = open_store(inputs.project).derived
    parts, duplicates = inputs.segments(assignments), _duplicates(inputs, out, review.duplicate_similarity)
    limits = {"border_margin": review.border_margin, "outlier_deviations": review.outlier_deviations}
    if len(parts) == 1:
        written = out.write_each(
            parts, lambda part: review_images(part.frame(), duplicates, **limits), key=lambda _: None
        )
    else:
        written = _write_by_scales(inputs, out, duplicates, limits)
    ids = group_sums(parts, derived)["cluster_id"].drop_nulls()
    out.write_other(CLUSTER_NOUNS, _cluster_nouns(inputs, ids, load_method(method).naming_tau))
    marked = count_marks(written, derived)
    out.fact(
        border_images=int(marked["border"].sum()),
        outliers=int(marked["outlier"].sum()),
        duplicate_groups=duplicates["duplicate_group"].n_unique(),
        images_in_duplicate_groups=len(duplicates),
    )
    _show(out, duplicates, list(zip(written, parts, strict=True)), derived)


def _write_by_scales(inputs: Inputs, out: Output, duplicates: pl.DataFrame, limits: dict[str, float]) -> "list[Rows]":
    """The table of a store in segments: typicality is by counts that stay in force while the store hardly changes."""
    from tac_pipeline.results.review.scales import Scales, count_similarities, review_segment

    parts, key = inputs.segments(assignments), inputs.fact(assignments, "key")
    scales = count_similarities(parts, open_store(inputs.project).derived)
    current = open_store(inputs.project).whole_current(review.name)
    if current is not None and current.artifact.facts.get("scales_of") == key:
        before = Scales(current.artifact.frame(SIMILARITY_COUNTS))
        scales = before if before.last_for(scales) else scales
    out.write_other(SIMILARITY_COUNTS, scales.counts)
    out.fact(scales_of=key)
    counted = digest_of_columns([scales.counts[name] for name in scales.counts.columns])
    ordered = duplicates.sort("image_id")
    return out.write_each(
        parts,
        lambda part: review_segment(part.frame(), rows_between(ordered, part), scales, **limits),
        key=lambda part: [counted, limits, rows_between(ordered, part).rows()],
    )


def _duplicates(inputs: Inputs, out: Output, similarity: float) -> pl.DataFrame:
    """Columns image_id, duplicate_group of the images that are like another."""
    from tac_pipeline.results.review.duplicates import equal_images, numbered_as_before
    from tac_pipeline.results.review.marks import duplicate_groups

    store, parts = open_store(inputs.project), inputs.segments(image_map)
    known = inputs.table(training_set, columns=["image_id", "content_hash"])
    hashed = ["image_id", "content_hash"]
    there = store.derived.rows_of_few(parts, known["image_id"], hashed, named=inputs.artifact(training_set).content)
    pairs = _near_pairs(inputs, known, there, similarity)
    if len(parts) == 1:
        return duplicate_groups(parts[0].frame(hashed), pairs)
    paired = there.filter(pl.col("image_id").is_in(pl.concat([pairs["left"], pairs["right"]]).implode()))
    alike = pl.concat([equal_images(parts, store.derived), paired]).unique("image_id")
    groups = duplicate_groups(alike, pairs)
    # Numbers that stay: else one new pair would change the rows of all others.
    current = store.whole_current(review.name)
    if current is not None and f"{DUPLICATES.name}.parquet" in current.artifact.record["files"]:
        groups = numbered_as_before(groups, current.artifact.frame(DUPLICATES))
    out.write_other(DUPLICATES, groups)
    return groups


def _near_pairs(inputs: Inputs, known: pl.DataFrame, there: pl.DataFrame, similarity: float) -> pl.DataFrame:
    """Nearly equal training images that are still unchanged in the store, as pairs of image_ids."""
    from tac_pipeline.results.review.marks import near_pairs

    pairs = near_pairs(inputs.vectors(training_set), load_neighbors(inputs, image_neighbors), similarity=similarity)
    still = known.join(there, on=["image_id", "content_hash"], how="left", coalesce=False)["image_id_right"]
    ids = pl.DataFrame({"left": still[pairs[:, 0]], "right": still[pairs[:, 1]]})
    return ids.drop_nulls()


def count_marks(parts: "Sequence[Rows]", derived: "Derived") -> pl.DataFrame:
    """The columns of REVIEW_SUMS for the table review: a row for each cluster."""
    counts = [pl.col(name).sum().cast(pl.Int64) for name in ("border", "outlier")]

    def count(rows: "Rows") -> pl.DataFrame:
        return rows.frame(["cluster_id", "border", "outlier"]).group_by("cluster_id").agg(*counts)

    found = pl.concat(derived.of(part, REVIEW_SUMS, count) for part in parts)
    return found.group_by("cluster_id").agg(*counts).sort("cluster_id")


def _cluster_nouns(inputs: Inputs, ids: pl.Series, tau: float) -> pl.DataFrame:
    """The nouns that each cluster's training images retrieve, largest weight first."""
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


def _show(out: Output, duplicates: pl.DataFrame, parts: "list[tuple[Rows, Segment]]", derived: "Derived") -> None:
    """The small tables that the UI shows; `parts` has the segments of review, each with that of assignments."""
    groups = (
        duplicates.sort("image_id")
        .group_by("duplicate_group")
        .agg(images=pl.len(), examples=pl.col("image_id").head(3))
        .sort(["images", "duplicate_group"], descending=[True, False])
    )

    def first(schema: TableSchema, mark: str, by: str) -> pl.DataFrame:
        def pick(marked: "Rows", assigned: "Segment") -> pl.DataFrame:
            images = marked.frame(["image_id", mark]).filter(mark).select("image_id")
            wanted = [column.name for column in schema.columns]
            return assigned.frame(wanted).join(images, on="image_id", how="semi").sort(by).head(SHOWN)

        rows = (
            derived.of(marked, schema, partial(pick, assigned=assigned), also=assigned.digest)
            for marked, assigned in parts
        )
        return pl.concat(rows).sort(by)

    notes = {
        "largest duplicate groups": groups,
        "farthest outliers": first(FARTHEST, "outlier", "similarity").select("image_id", "cluster_id", "similarity"),
        "closest border cases": first(CLOSEST, "border", "margin").select(
            "image_id", "cluster_id", "runner_up", "margin"
        ),
    }
    for label, rows in notes.items():
        out.markdown(label, previews.table(rows.head(SHOWN)) if len(rows) else "There are none.")
