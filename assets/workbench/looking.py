"""What the workbench tells beside groups and images: facts of the wall, the tree, what is near, and found pictures.

What must stay out: actions (desk.py), and what people take along (taking.py).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

import polars as pl
from starlette.responses import JSONResponse, Response

from assets.engine.execute import open_store
from assets.engine.step import Inputs, Step
from assets.images import image_labels
from assets.tree import cluster_tree
from assets.workbench.bounds import MOST_PICTURE_BYTES
from assets.workbench.desk import Desk
from assets.workbench.pictures import Pictures, local_file, opener, show_in_folder
from assets.workbench.rows import number_of, shown_rows
from tac_pipeline.errors import InputError, StoreError
from tac_pipeline.store.comparison import compare_assignments
from tac_pipeline.store.publication import Publication

MOST_NEAR = 500
MOST_LABELS = 1_000
MOST_WORDED = 400
WORDS = 3

Query = Mapping[str, str]
Facts = dict[str, list[Any]]


class Looking:
    """The answers about what lies on one desk."""

    def __init__(self, desk: Desk, pictures: Pictures, *, at_home: bool) -> None:
        self._desk, self._pictures, self._at_home = desk, pictures, at_home
        self._facts: tuple[tuple[str, ...], Facts] | None = None
        self._labels: tuple[str, pl.DataFrame] | None = None

    def wall(self, query: Query, _: Mapping[str, Any]) -> Response:
        """Facts of every group: what a wall is filtered and sorted by."""
        since, label = query.get("since", ""), query.get("label", "")
        labels = self._labels_now()
        counted = labels["label"].value_counts().sort("count", "label", descending=[True, False])
        return JSONResponse(
            {
                "groups": self._facts_now(),
                "changed": self._changed(number_of(query, "since", 0)) if since else None,
                "labeled": self._labeled(labels, label) if label else None,
                "versions": self._versions(),
                "labels": [list(row) for row in counted.head(MOST_LABELS).iter_rows()],
            }
        )

    def _facts_now(self) -> Facts:
        """By the group's id: doubtful images, images that are near-duplicates of others of it, mean confidence."""
        view = self._desk.view()
        known = self._facts
        if known is None or known[0] != view.key:
            twins = pl.col("duplicate_group").drop_nulls()
            rows = (
                view.images.drop_nulls("cluster_id")
                .group_by("cluster_id")
                .agg(
                    pl.col("doubtful").sum(),
                    (twins.len() - twins.n_unique()).alias("twins"),
                    pl.col("confidence").cast(pl.Float64).mean().round(3),
                )
            )
            known = self._facts = (view.key, {str(id_): list(facts) for id_, *facts in rows.iter_rows()})
        return known[1]

    def _changed(self, number: int) -> dict[str, int]:
        """How many images of each group are new or moved since a published version."""
        old = Publication(open_store(self._desk.project).published_folder).find(number)
        found = compare_assignments(old.assignments, self._desk.view().images).images.drop_nulls("new_cluster_id")
        return {str(id_): many for id_, many in found["new_cluster_id"].value_counts().iter_rows()}

    def _versions(self) -> list[dict[str, Any]]:
        try:
            versions = Publication(open_store(self._desk.project).published_folder).versions()
        except StoreError:
            return []  # `tac status` says what is wrong with them
        return [{"number": one.number, "madeAt": one.made_at} for one in reversed(versions) if one.whole]

    def _labeled(self, labels: pl.DataFrame, label: str) -> dict[str, int]:
        wanted = labels.filter(pl.col("label") == label).select("image_id")
        found = self._desk.view().images.join(wanted, on="image_id", how="semi").drop_nulls("cluster_id")
        return {str(id_): many for id_, many in found["cluster_id"].value_counts().iter_rows()}

    def _labels_now(self) -> pl.DataFrame:
        """Columns image_id, label, by image_id; no rows where the store has no labels."""
        current = open_store(self._desk.project).current(image_labels.name)
        if current is None or current.artifact.damage():
            return pl.DataFrame(schema={"image_id": pl.String, "label": pl.String})
        known = self._labels
        if known is None or known[0] != current.artifact.content:
            table = current.artifact.frame(image_labels.schema).sort("image_id")
            known = self._labels = (current.artifact.content, table)
        return known[1]

    def tree(self, _: Query, __: Mapping[str, Any]) -> Response:
        """The nodes of the cluster tree, the leaves with the ids of their groups."""
        columns = ["node", "parent", "cluster_id", "name", "size", "height"]
        rows = self._table(cluster_tree, columns)
        nodes = [] if rows is None else rows.rename({"cluster_id": "cluster"}).to_dicts()
        return JSONResponse({"nodes": nodes})

    def _table(self, step: Step, columns: list[str]) -> pl.DataFrame | None:
        current = open_store(self._desk.project).current(step.name)
        if current is None or current.artifact.damage():
            return None
        return Inputs(self._desk.project, {step.name: current.artifact}).table(step, columns=columns)

    def image(self, query: Query, _: Mapping[str, Any]) -> Response:
        """What is known of one image; with `why`, why there is no picture of it."""
        row = self._desk.image(query.get("id", ""))
        labels = self._labels_now()
        place = labels["image_id"].search_sorted(row["image_id"])
        own = labels.row(place, named=True) if place < len(labels) else None
        return JSONResponse(
            {
                **shown_rows(pl.DataFrame([row], infer_schema_length=None))[0],
                "uri": row["uri"],
                "tags": self._desk.tags_of(row["image_id"]),
                "label": own["label"] if own is not None and own["image_id"] == row["image_id"] else None,
                "canShow": self._at_home and opener() is not None and local_file(row["uri"]) is not None,
                "problem": self._pictures.problem(row) if "why" in query else None,
            }
        )

    def near(self, query: Query, _: Mapping[str, Any]) -> Response:
        """The images of the whole store that are nearest to one of them."""
        from assets.lookups.finding import search_by_own_image

        row, count = self._desk.image(query.get("id", "")), min(number_of(query, "count", 200), MOST_NEAR)
        hits = search_by_own_image(self._desk.project, row["image_id"], count=max(count, 1) + 1)
        found = hits.images.filter(pl.col("image_id") != row["image_id"]).head(count)
        return self._found(found, "the image itself")

    def by_picture(self, asked: dict[str, Any]) -> Response:
        """The images of the whole store that are nearest to a picture that was sent."""
        from assets.lookups.finding import search_by_picture

        name, sent = asked.get("name"), asked.get("data")
        if not isinstance(name, str) or not isinstance(sent, str):
            raise InputError("name must be a text, and data the picture's bytes in base64")
        try:
            data = base64.b64decode(sent, validate=True)
        except (binascii.Error, ValueError) as error:
            raise InputError("data must be the picture's bytes in base64") from error
        most = most_picture_bytes(self._desk)
        if len(data) > most:
            raise InputError(f"a picture to search by may have {most:,} bytes at most; {name} has {len(data):,}")
        hits = search_by_picture(self._desk.project, name[:200] or "the picture", data, count=MOST_NEAR // 2)
        return self._found(hits.images, hits.searched_by)

    def _found(self, images: pl.DataFrame, searched_by: str) -> Response:
        rows = images.select("image_id", "score").join(self._desk.view().images, on="image_id", maintain_order="left")
        return JSONResponse({"searchedBy": searched_by, "images": shown_rows(rows)})

    def words(self, asked: dict[str, Any]) -> Response:
        """The nouns that are nearest to images: what is shown where there is no picture."""
        from assets.lookups.finding import nearest_nouns

        ids = asked.get("images")
        if not isinstance(ids, list) or len(ids) > MOST_WORDED or not all(isinstance(one, str) for one in ids):
            raise InputError(f"images must be a list of image_ids, {MOST_WORDED} at most")
        return JSONResponse({"words": nearest_nouns(self._desk.project, ids, count=WORDS)})

    def show(self, asked: dict[str, Any]) -> Response:
        """Open the folder of an image on this machine."""
        row = self._desk.image(str(asked.get("id", "")))
        if not self._at_home:
            raise InputError("a folder is shown by `tac open` alone: whoever looks may be at another machine")
        show_in_folder(row)
        return JSONResponse({})


def most_picture_bytes(desk: Desk) -> int:
    """How large a picture to search by may be."""
    return min(MOST_PICTURE_BYTES, desk.project.settings.images.max_bytes)
