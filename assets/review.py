"""Group results: the images that are worth a look, and the nouns of each cluster."""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from assets.clustering import cluster_ids
from assets.engine.execute import open_store
from assets.engine.step import Inputs, Output, stored_asset
from assets.images import image_embeddings, training_set
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
    deps=[assignments, image_embeddings, training_set, noun_vocabulary],
    deps_when={"group_by": [criterion]},
    as_of=cluster_ids,
    code_version="3",
    part="growth",
)
def review(inputs: Inputs, out: Output, review: Review, method: str) -> None:
    """Images worth a look: typical images, border cases, outliers, near-duplicates; and each cluster's nouns.

    New images are compared with all of the store; what was compared before is kept.
    """
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
    """The table DUPLICATES: the images that are like another, in the whole store."""
    from tac_pipeline.results.review.duplicates import (
        alike_images,
        numbered_as_before,
        pairs_of_images,
        similarities_of,
        with_representatives,
    )
    from tac_pipeline.results.review.marks import duplicate_groups
    from tac_pipeline.results.review.near_index import View, near_pairs

    store, parts = open_store(inputs.project), inputs.segments(image_embeddings)
    view = View(
        parts,
        inputs.rows(image_embeddings),
        store.derived,
        store.shards_folder,
        inputs.fact(image_embeddings, "encoder"),
        progress=inputs.progress("images to compare"),
    )
    pairs = near_pairs(view, store.near_folder, similarity=similarity)
    near = np.unique(np.concatenate([pairs["left"].to_numpy(), pairs["right"].to_numpy()]))
    images = alike_images(parts, store.derived, near)
    groups = duplicate_groups(images, pairs_of_images(images, pairs))
    # Numbers that stay: else one new pair would change the rows of all others.
    current = store.whole_current(review.name)
    if len(parts) > 1 and current is not None and f"{DUPLICATES.name}.parquet" in current.artifact.record["files"]:
        groups = numbered_as_before(groups, current.artifact.frame(DUPLICATES))
    similarities = similarities_of(groups.sort("image_id"), inputs.segments(assignments), store.derived)
    groups = with_representatives(groups, images, similarities)
    out.write_other(DUPLICATES, groups)
    return groups


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
        .agg(
            images=pl.len(),
            stands_for_it=pl.col("image_id").filter(pl.col("duplicate_of").is_null()).first(),
            examples=pl.col("image_id").filter(pl.col("duplicate_of").is_not_null()).head(3),
        )
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
