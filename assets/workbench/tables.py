"""The tables of one result, as the workbench shows them: read again when they are others.

Holds one row per image (about 150 bytes).
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from assets.engine.execute import open_store
from assets.engine.step import Inputs, Step
from assets.images import image_embeddings, image_manifest
from assets.results import assignments, clusters
from assets.review import review
from tac_pipeline.errors import ArtifactMissing, InputError, SettingsError
from tac_pipeline.failures import TRACES_NAME
from tac_pipeline.files import stamp_of
from tac_pipeline.settings.project import Project, load_project

# Of a card.
TYPICAL = 3


@dataclass(frozen=True)
class View:
    """The tables of one result.

    Attributes
    ----------
    key : tuple
        The contents that they are of.
    groups : list of dict
        One for each group, the largest first: id, name, sureness, alternatives, size, share, curated, typical.
    images : DataFrame
        image_id, cluster_id, confidence, margin, runner_up, curated, typicality, doubtful, duplicate_group,
        duplicate_of, content_hash, width, height, uri; one row per image, by image_id.
    """

    key: tuple[str, ...]
    groups: list[dict[str, Any]]
    images: pl.DataFrame


class Tables:
    """What can be looked at of one store or grouping."""

    def __init__(self, project: Project) -> None:
        self._project, self._written = project, stamp_of(project.path)
        self._store = open_store(project)
        self._view: View | None = None
        # By step and columns: the content and the table that were read last. A view shares their columns.
        self._tables: dict[tuple[str, ...], tuple[str, pl.DataFrame]] = {}
        self._reading = threading.Lock()

    @property
    def project(self) -> Project:
        """The project, with the settings as they are now.

        Raises
        ------
        SettingsError
            The file was broken meanwhile, or names another store or no such grouping.
        """
        stamp = stamp_of(self._project.path)
        if stamp != self._written:
            found = load_project(self._project.path)
            found = found.find_grouping(self._project.grouping) if self._project.grouping else found
            if found.store_folder != self._project.store_folder:
                raise SettingsError(f"{found.path} names another store now: {found.store_folder}. Open it again")
            self._project, self._written = found, stamp
        return self._project

    @property
    def traces(self) -> Path:
        """Where what nobody expected is kept; also while the settings file is broken."""
        return self._project.data_folder / TRACES_NAME

    @property
    def thumbnails_folder(self) -> Path:
        """Where small pictures are kept."""
        return self._store.thumbnails_folder

    def view(self) -> View:
        """The current tables; read again when they are others.

        Raises
        ------
        ArtifactMissing
            There is no result yet.
        """
        with self._reading:
            key = self._key()
            if self._view is None or self._view.key != key:
                self._view = self._read(key)
            return self._view

    def _key(self) -> tuple[str, ...]:
        steps = (assignments, clusters, image_embeddings, review)
        found = [self._store.current(step.name) for step in steps]
        if any(current is None for current in found[:3]):
            raise ArtifactMissing(f"nothing was built yet in {self._store.folder}: `tac run` builds it, and then this")
        return tuple("" if current is None else current.artifact.content for current in found)

    def _table(self, step: Step, columns: Sequence[str]) -> pl.DataFrame:
        artifact = self._store.require_current(step.name).artifact
        asked = (step.name, *columns)
        kept = self._tables.get(asked)
        if kept is None or kept[0] != artifact.content:
            kept = artifact.content, Inputs(self.project, {step.name: artifact}).table(step, columns=columns)
            self._tables[asked] = kept
        return kept[1]

    def _read(self, key: tuple[str, ...]) -> View:
        columns = ["image_id", "cluster_id", "confidence", "margin", "runner_up", "curated"]
        images = self._table(assignments, columns).sort("image_id")
        images = _beside(images, self._table(image_embeddings, ["image_id", "content_hash", "width", "height"]))
        images = _beside(images, self._table(image_manifest, ["image_id", "uri"]))
        known = key[3] != ""
        looks = self._table(review, _REVIEW_COLUMNS) if known else _NO_REVIEW
        looks = looks.with_columns(doubtful=pl.col("border") | pl.col("outlier")).drop("border", "outlier")
        images = _beside(images, looks)
        rows = self._table(clusters, _GROUP_COLUMNS).sort(["size", "cluster_id"], descending=[True, False])
        return View(key, [_group(row) for row in rows.iter_rows(named=True)], images)

    def members(
        self, group: int, *, order: str, start: int, count: int | None, distinct: bool = False
    ) -> tuple[int, pl.DataFrame]:
        """How many images a group has, and some of them: typical or doubtful first.

        With `distinct`, one of each group of near-duplicates (`distinct_images`).
        """
        own = self.view().images.filter(pl.col("cluster_id") == group)
        if distinct:
            own = distinct_images(own)
        keys = ["typicality", "image_id"] if order == "typical" else ["margin", "image_id"]
        ranked = own.sort(keys, descending=[order == "typical", False], nulls_last=True)
        return len(own), ranked.slice(start, count)

    def image(self, image_id: str) -> dict[str, Any]:
        """The row of an image of this store's manifest.

        Raises
        ------
        InputError
            There is none of this id.
        """
        # The page knows ids from a view; to look whether there is a newer one would cost more than the picture.
        images = (self._view or self.view()).images
        place = images["image_id"].search_sorted(image_id)
        row = images.row(place, named=True) if place < len(images) else None
        if row is None or row["image_id"] != image_id:
            raise InputError(f"there is no image {image_id!r} in this store")
        return row


def distinct_images(images: pl.DataFrame) -> pl.DataFrame:
    """Images of one group with one of each group of near-duplicates: what stands for it, else the most typical."""
    stands = pl.col("duplicate_of").is_null()
    ranked = images.sort(stands, "typicality", "image_id", descending=[True, True, False], nulls_last=True)
    alone = pl.col("duplicate_group").is_null()
    return ranked.filter(alone | pl.struct("duplicate_group").is_first_distinct())


_NO_REVIEW = pl.DataFrame(
    schema={
        "image_id": pl.String,
        "typicality": pl.Float32,
        "border": pl.Boolean,
        "outlier": pl.Boolean,
        "duplicate_group": pl.Int32,
        "duplicate_of": pl.String,
    }
)
_REVIEW_COLUMNS = list(_NO_REVIEW.columns)
_GROUP_COLUMNS = ["cluster_id", "name", "name_confidence", "alternatives", "size", "share", "curated", "medoids"]


def _beside(images: pl.DataFrame, more: pl.DataFrame) -> pl.DataFrame:
    """Images with the columns of another table; usually both have the same images in the same order."""
    if images["image_id"].equals(more["image_id"]):
        return images.hstack(more.drop("image_id"))
    return images.join(more, on="image_id", how="left", maintain_order="left")


def _group(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": row["cluster_id"],
        "name": row["name"],
        "sureness": row["name_confidence"],
        "alternatives": row["alternatives"],
        "size": row["size"],
        "share": row["share"],
        "curated": row["curated"],
        "typical": row["medoids"][:TYPICAL],
    }
