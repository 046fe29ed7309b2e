"""The rows that the report of a store in segments may show: each segment gives its own, and keeps them."""

from functools import partial

import polars as pl

from assets.engine.execute import open_store
from assets.engine.step import Inputs
from assets.images import image_embeddings, image_manifest
from assets.images.unchanged import first_rows
from assets.map import image_map
from assets.results import assignments
from assets.review import count_marks, review
from tac_pipeline.embedding.bounded_reads import UNREACHED
from tac_pipeline.report.contents import LISTED_ERRORS, Counts, choose_duplicates, most_per_cluster, narrow_review
from tac_pipeline.store.schemas import DUPLICATES, MAP_SAMPLE, PAGE_ROWS
from tac_pipeline.store.segments.reading import Rows, Segment, rows_between
from tac_pipeline.store.segments.sums import group_sums, view_sums

# So many times the images of the map are drawn, because the segments have unequal shares of them.
SPARE = 2


def count_all(inputs: Inputs) -> Counts:
    """What the page counts over all images, from the sums of segments."""
    derived = open_store(inputs.project).derived
    view = view_sums(inputs.segments(image_embeddings), derived, unreached=UNREACHED)
    marks = count_marks(inputs.segments(review), derived)
    twins = _duplicates(inputs).group_by("duplicate_group").agg(images=pl.len())
    return Counts(int(view["images"].sum()), int(view["unreadable"].sum()), marks, twins)


def _duplicates(inputs: Inputs) -> pl.DataFrame:
    made = inputs.artifact(review)
    if f"{DUPLICATES.name}.parquet" in made.record["files"]:
        return made.frame(DUPLICATES)
    # Of a version that kept them in the large table alone.
    return inputs.table(review, columns=["image_id", "duplicate_group"]).drop_nulls()


def page_rows(inputs: Inputs, *, images_per_cluster: int) -> pl.DataFrame:
    """The columns of PAGE_ROWS: images that clusters may show, and members of the largest groups of duplicates."""
    derived = open_store(inputs.project).derived
    n_clusters = len(group_sums(inputs.segments(assignments), derived).drop_nulls("cluster_id"))
    most = most_per_cluster(n_clusters, images_per_cluster=images_per_cluster)
    twins = choose_duplicates(_duplicates(inputs)).sort("image_id")
    found = []
    # Each of these tables was written segment by segment from the one before.
    others = (inputs.segments(step) for step in (assignments, image_embeddings, image_manifest, image_map))
    for marked, *beside in zip(inputs.segments(review), *others, strict=True):
        mine = rows_between(twins, marked)["image_id"]
        also = [most, mine.to_list(), *(part.digest for part in beside)]
        pick = partial(_page_rows, beside=beside, most=most, twins=mine)
        found.append(derived.of(marked, PAGE_ROWS, pick, also=also))
    return pl.concat(found)


def _page_rows(marked: Rows, *, beside: list[Segment], most: int, twins: pl.Series) -> pl.DataFrame:
    table = marked.frame()
    chosen = pl.concat([narrow_review(table, images_per_cluster=most)["image_id"], twins]).unique()
    rows = table.filter(pl.col("image_id").is_in(chosen.implode()))
    wanted = (["confidence", "runner_up"], ["content_hash", "width", "height"], ["uri"], ["x", "y"])
    for part, columns in zip(beside, wanted, strict=True):
        rows = rows.join(part.frame(["image_id", *columns]), on="image_id", how="inner", maintain_order="left")
    return rows.select(column.name for column in PAGE_ROWS.columns)


def listed_errors(inputs: Inputs) -> pl.DataFrame:
    """The first images of the store that cannot be read: rows of image_embeddings."""
    parts = inputs.segments(image_embeddings)
    counts = view_sums(parts, open_store(inputs.project).derived, unreached=UNREACHED)["unreadable"]
    return first_rows(parts, counts, pl.col("error").is_not_null(), most=LISTED_ERRORS)


def map_sample(inputs: Inputs, *, images: int) -> pl.DataFrame:
    """The columns of MAP_SAMPLE: about twice as many images as are asked for, or all."""
    derived, parts = open_store(inputs.project).derived, inputs.segments(image_map)
    share = SPARE * images / max(inputs.rows(image_map), 1)
    found = []
    for placed, assigned in zip(parts, inputs.segments(assignments), strict=True):
        # In powers of two, so that a store that grows by one image asks for as many of each segment as before.
        count = 1 << max(int(share * placed.rows), 1).bit_length()
        pick = partial(_sample, assigned=assigned, count=count)
        found.append(derived.of(placed, MAP_SAMPLE, pick, also=[count, assigned.digest]))
    return pl.concat(found)


def _sample(placed: Rows, *, assigned: Segment, count: int) -> pl.DataFrame:
    rows = placed.frame(["image_id", "x", "y"])
    rows = rows.with_columns(order=pl.col("image_id").hash(0)).bottom_k(count, by="order").drop("order")
    groups = assigned.frame(["image_id", "cluster_id"])
    return rows.join(groups, on="image_id", how="inner").sort("image_id")
