"""What corrections say to the next learning: the groups that it starts from, and where people put which images.

Learning starts from the groups to which the corrections were made, however often it is repeated: an image that people
moved then counts as moved again, and what nothing was said about does not drift. What must stay out: where tables are
kept (assets/people/lessons.py), and how groups are taught (tac_pipeline/method/clusters/teaching.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from tac_pipeline.arrays import IntVector
from tac_pipeline.method.clusters.teaching import FREE, Lessons
from tac_pipeline.results.corrections.applied import Applied

# With fewer rows whose groups are known the store has changed too much: its groups are looked for anew.
KNOWN_SHARE = 0.5


@dataclass(frozen=True)
class LessonTables:
    """Lessons in terms of images and cluster ids, as they are kept.

    Attributes
    ----------
    rows : DataFrame with image_id, content_hash, cluster_id, fixed
        One for each training image, in its order; empty where there is nothing to learn from.
    groups : DataFrame with cluster_id, merged_into
        The groups before, then those made by hand.
    barred : DataFrame with image_id, cluster_id
        Training images, and groups that they are not of.
    locked : DataFrame with image_id, cluster_id
        All images of locked groups, sorted by image_id.
    """

    rows: pl.DataFrame
    groups: pl.DataFrame
    barred: pl.DataFrame
    locked: pl.DataFrame


def find_lessons(
    before: pl.DataFrame, ids: Sequence[int], applied: Applied, locked: pl.DataFrame
) -> LessonTables | None:
    """Lessons from corrections of groups; None where these say nothing that could be learned.

    Parameters
    ----------
    before : DataFrame with image_id, content_hash, cluster_id
        The training images in their order, and the group, of `ids`, that each was in.
    ids : sequence of int
        The groups before.
    applied : Applied
        What the corrections mean for these groups.
    locked : DataFrame with image_id, cluster_id
        The images of groups that are locked.
    """
    images = before["image_id"]
    kept = applied.pins.join(locked, on="image_id", how="anti")
    fixed = pl.concat([kept, locked.select(kept.columns)]).filter(pl.col("image_id").is_in(images.implode()))
    barred = applied.barred.filter(pl.col("image_id").is_in(images.implode())).join(
        fixed, on=["image_id", "cluster_id"], how="anti"
    )
    merged = {id_: stays for id_, stays in applied.merged_into.items() if id_ in ids}
    stays = set(ids).union(applied.made) - set(merged)
    # An image must be of some group.
    homeless = barred.group_by("image_id").len().filter(pl.col("len") >= len(stays))
    barred = barred.join(homeless, on="image_id", how="anti").sort("image_id", "cluster_id")
    if not (len(fixed) or len(barred) or merged):
        return None
    rows = before.join(fixed.rename({"cluster_id": "fixed"}), on="image_id", how="left", maintain_order="left")
    groups = [*ids, *(id_ for id_ in applied.made if id_ not in ids)]
    return LessonTables(
        rows.select("image_id", "content_hash", "cluster_id", "fixed"),
        pl.DataFrame(
            {"cluster_id": groups, "merged_into": [merged.get(id_) for id_ in groups]},
            schema={"cluster_id": pl.Int32, "merged_into": pl.Int32},
        ),
        barred.select("image_id", "cluster_id"),
        locked.select("image_id", "cluster_id").sort("image_id"),
    )


def lessons_of(rows: pl.DataFrame, groups: pl.DataFrame, barred: pl.DataFrame) -> Lessons:
    """Lessons by row and number of group, as learning reads them; see LessonTables."""
    places = {id_: place for place, id_ in enumerate(groups["cluster_id"])}
    fixed = _places(rows["fixed"], places)
    at = {image_id: row for row, image_id in enumerate(rows["image_id"])} if len(barred) else {}
    cannot = [(at[image_id], places[id_]) for image_id, id_ in barred.iter_rows()]
    merged = {places[id_]: places[into] for id_, into in groups.drop_nulls("merged_into").iter_rows()}
    return Lessons(
        groups=_places(rows["cluster_id"], places),
        fixed=fixed,
        n_groups=len(groups),
        cannot=np.array(cannot, dtype=np.int64).reshape(-1, 2),
        merged_into=merged,
    )


def kept_ids(lessons: Lessons, groups: pl.DataFrame) -> dict[int, int]:
    """The cluster id of each column that is learned from lessons."""
    ids = groups["cluster_id"].to_list()
    return {column: ids[group] for column, group in enumerate(lessons.group_of)}


def _places(ids: pl.Series, places: Mapping[int, int]) -> IntVector:
    found = ids.replace_strict(list(places), list(places.values()), default=FREE, return_dtype=pl.Int64)
    return found.fill_null(FREE).to_numpy().astype(np.int64)


def groups_before_pins(assigned: pl.DataFrame) -> pl.DataFrame:
    """Columns image_id, cluster_id: where learning put the images of the table assignments, whatever people said.

    An image that was moved has no similarity, and its runner-up is the group that it came from.
    """
    moved = pl.col("curated") & pl.col("similarity").is_null()
    return assigned.select("image_id", cluster_id=pl.when(moved).then("runner_up").otherwise("cluster_id")).drop_nulls()
