"""A finished store for people who work in Python: its tables, its vectors, and a clusterer with its heads.

What must stay out: building or changing anything (assets/).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import polars as pl

from tac_pipeline.arrays import FloatMatrix
from tac_pipeline.errors import ArtifactMissing, ArtifactOutdated, StoreError
from tac_pipeline.results.corrections.merging import head_groups
from tac_pipeline.results.in_force import read_view
from tac_pipeline.settings.project import IMAGE_ASSETS, SETTINGS_NAME, load_project
from tac_pipeline.store.artifacts import PUBLISHED_NAME, Artifact, Store, open_store
from tac_pipeline.store.parquet import TableSchema, vectors_of
from tac_pipeline.store.publication import LATEST_NAME, VERSION_NAME, Publication, Version
from tac_pipeline.store.schemas import (
    ASSIGNMENTS,
    CLUSTER_CENTERS,
    CLUSTERS,
    IMAGE_EMBEDDINGS,
    IMAGE_LABELS,
    IMAGE_MANIFEST,
)
from tac_pipeline.store.shards import gather_vectors

if TYPE_CHECKING:
    from tac_pipeline.estimator import TextAidedClustering

# A file of the artifact cluster_heads.
HEADS_NAME = "heads.safetensors"


class StoreVectors:
    """The vectors of a store's images, read when somebody asks for rows; float32 (n_images, dim), unit rows.

    They are in Parquet shards as float16, which cannot be mapped into memory as they are: `vectors[rows]` reads the
    shards with these rows, `np.asarray(vectors)` all of them. An image that cannot be read is a row of NaN.

    Parameters
    ----------
    view : DataFrame of IMAGE_EMBEDDINGS
    shards : Path
    encoder : str
        Fingerprint of the encoder behind them.
    """

    dtype = np.dtype(np.float32)
    ndim = 2

    def __init__(self, view: pl.DataFrame, shards: Path, *, encoder: str) -> None:
        self._view, self._shards, self.encoder = view, shards, encoder

    @cached_property
    def shape(self) -> tuple[int, int]:
        """Images, and the width of their vectors."""
        first = self._view.filter(pl.col("error").is_null()).head(1)
        width = gather_vectors(first, self._shards, encoder=self.encoder).shape[1] if len(first) else 0
        return len(self._view), width

    def __len__(self) -> int:
        return len(self._view)

    def __getitem__(self, rows: Any) -> FloatMatrix:
        wanted = np.arange(len(self))[rows]
        some = self._view[np.atleast_1d(wanted)]
        readable = some["error"].is_null().to_numpy()
        found = np.full((len(some), self.shape[1]), np.nan, dtype=np.float32)
        if readable.any():
            found[readable] = gather_vectors(some, self._shards, encoder=self.encoder)
        return found if np.ndim(wanted) else found[0]

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> npt.NDArray[Any]:
        return np.asarray(self[:], dtype=dtype)

    def __repr__(self) -> str:
        return f"StoreVectors({len(self):,} x {self.shape[1]}, {self.encoder})"


@dataclass(frozen=True)
class FinishedStore:
    """A store's result: of the newest run, or a published one.

    `images`, `assignments` and `vectors` have a row for each image, in one order: by image_id.

    Attributes
    ----------
    folder : Path
        Of the store or the grouping.
    version : int or None
        The number of the published version; None for the newest result.
    """

    folder: Path
    _store: Store
    _published: Version | None = None

    @property
    def version(self) -> int | None:
        """The number of the published version; None for the newest result."""
        return None if self._published is None else self._published.number

    @cached_property
    def clusters(self) -> pl.DataFrame:
        """One row per cluster: its lasting cluster_id, its name, its size and so on (docs/reference/results.md)."""
        return self._read("clusters", CLUSTERS) if self._published is None else self._published.clusters

    @cached_property
    def assignments(self) -> pl.DataFrame:
        """One row per image: its cluster_id, the name of its cluster, the confidence, the runner-up."""
        if self._published is not None:
            return self._published.assignments.sort("image_id")
        names = self.clusters.select("cluster_id", cluster_name="name")
        found = self._read("assignments", ASSIGNMENTS).join(names, on="cluster_id", how="left", maintain_order="left")
        first = ["image_id", "cluster_id", "cluster_name"]
        return found.select(*first, *(name for name in found.columns if name not in first)).sort("image_id")

    @cached_property
    def images(self) -> pl.DataFrame:
        """One row per image: where it is read from, its size, why it cannot be read, and its label if it has one."""
        places = self._current_frame("image_manifest", IMAGE_MANIFEST).select("image_id", "uri", "size")
        found = self._view.select("image_id", "width", "height", "error", "content_hash")
        found = found.join(places, on="image_id", how="left", maintain_order="left")
        labels = self._store.whole_current("image_labels")
        if labels is not None and labels.artifact.rows:
            given = labels.artifact.frame(IMAGE_LABELS)
            found = found.join(given, on="image_id", how="left", maintain_order="left")
        return found

    @cached_property
    def vectors(self) -> StoreVectors:
        """The vectors, in the order of `images`; read from the shards when rows are asked for."""
        view = self._behind("assignments", "image_embeddings")
        return StoreVectors(self._view, self._store.shards_folder, encoder=view.facts["encoder"])

    @cached_property
    def estimator(self) -> TextAidedClustering:
        """A fitted clusterer with the heads of this result: it assigns new vectors of the same encoder.

        Its cluster k is the id `cluster_ids_[k]`. Its labels_ are those of the readable images here. The vectors that
        were learned from are not in it, so that it cannot merge, name or draw.
        """
        return _clusterer(self)

    @cached_property
    def groupings(self) -> dict[str, FinishedStore]:
        """The other groupings of the same images, by name."""
        base = (self._store.base or self._store).folder
        return {
            path.name.partition(".")[2]: FinishedStore(path, _store_at(path))
            for path in sorted(base.parent.glob(f"{base.name}.*"))
            if path.is_dir() and path != self.folder
        }

    def __repr__(self) -> str:
        which = "the newest result" if self.version is None else f"version {self.version}"
        held = f"{len(self.assignments):,} images, {len(self.clusters)} clusters"
        return f"FinishedStore({str(self.folder)!r}, {which}: {held})"

    @cached_property
    def _view(self) -> pl.DataFrame:
        """The table image_embeddings that was assigned, in the order of assignments."""
        return self._behind("assignments", "image_embeddings").frame(IMAGE_EMBEDDINGS).sort("image_id")

    def _artifact(self, asset: str) -> Artifact:
        """The artifact of a result's asset: the current one, or what was published."""
        if self._published is not None:
            return self._with_content(asset, self._published.source.get(asset, ""))
        current = self._store.current(asset)
        if current is None:
            raise ArtifactMissing(f"the store in {self.folder} has no result yet: no {asset}. `tac run` makes it")
        return current.artifact

    def _behind(self, asset: str, above: str) -> Artifact:
        """What an asset of the result was made from."""
        return self._with_content(above, self._artifact(asset).record["inputs"][above])

    def _with_content(self, asset: str, content: str) -> Artifact:
        found = self._store.find_content(asset, content)
        if found is None:
            raise ArtifactOutdated(
                f"the {asset} that this result was made from is not in {self._store.folder} any more, or damaged. "
                "`tac run` makes a new result"
            )
        return found

    def _read(self, asset: str, schema: TableSchema) -> pl.DataFrame:
        return self._artifact(asset).frame(schema)

    def _current_frame(self, asset: str, schema: TableSchema) -> pl.DataFrame:
        return self._store.require_current(asset).artifact.frame(schema)


def load_store(path: str | Path) -> FinishedStore:
    """A finished store (see tac_pipeline.load)."""
    place = Path(path).expanduser().absolute()
    if place.is_file() or (place / SETTINGS_NAME).is_file():
        store = open_store(load_project(place if place.is_file() else place / SETTINGS_NAME))
        return _with_result(FinishedStore(store.folder, store))
    if (place / VERSION_NAME).is_file() or (place / LATEST_NAME).is_symlink() or place.name == PUBLISHED_NAME:
        return _published_store(place)
    if not place.is_dir() or not (place / "clusters").is_dir():
        raise _no_store(place)
    return _with_result(FinishedStore(place, _store_at(place)))


def _with_result(found: FinishedStore) -> FinishedStore:
    """The store, when it has a result."""
    found._artifact("assignments"), found._artifact("clusters")
    return found


def _published_store(place: Path) -> FinishedStore:
    folder = place
    publication = Publication(place)
    if (place / VERSION_NAME).is_file():
        folder = place.resolve().parent
        publication = Publication(folder)
        version: Version | None = publication.find(int(place.resolve().name.lstrip("v")))
    else:
        version = publication.latest()
    if version is None:
        raise ArtifactMissing(f"nothing is published in {place} yet: `tac run` or `tac publish` does")
    return FinishedStore(folder.parent, _store_at(folder.parent), version)


def _store_at(folder: Path) -> Store:
    """The store of a data folder; a grouping, photos.style, reads what is about the images from photos."""
    name, dot, _ = folder.name.partition(".")
    base = folder.parent / name
    if dot and base.is_dir():
        return Store(folder, base=Store(base), of_base=IMAGE_ASSETS)
    return Store(folder)


def _no_store(place: Path) -> StoreError:
    must = f"{place} must be a store's data folder such as data/photos, its settings file, or its published folder"
    if not place.exists():
        return StoreError(f"{must}; there is nothing")
    if (place / "image_manifest").is_dir():
        return ArtifactMissing(f"the store in {place} has no result yet. `tac run` makes it")
    below = sorted(path.parent.name for path in place.glob("*/image_manifest"))
    hint = f" of its stores, give one: {', '.join(below[:5])}" if below else " it holds no artifacts of a run"
    return StoreError(f"{must};{hint}")


def _clusterer(store: FinishedStore) -> TextAidedClustering:
    """The clusterer of a result, from the artifacts that assigned its images."""
    from tac_pipeline.estimator import TextAidedClustering
    from tac_pipeline.method.heads.cluster_head import load_heads
    from tac_pipeline.method.words.names import ClusterName

    heads, corrections = store._behind("assignments", "cluster_heads"), store._behind("assignments", "corrections")
    ids, groups = head_groups(corrections)
    loaded = load_heads(heads.file(HEADS_NAME))
    by_id = {row["cluster_id"]: row for row in store.clusters.iter_rows(named=True)}
    centers = corrections.table(CLUSTER_CENTERS)
    places = {id_: row for row, id_ in enumerate(centers.column("cluster_id").to_pylist())}
    label_of = {id_: number for number, id_ in enumerate(ids)}
    placed = store.assignments["cluster_id"].drop_nulls().to_list()
    words = [_words(by_id[id_], ClusterName) for id_ in ids]
    has_view = "criterion" in store._artifact("assignments").record["inputs"]
    found = {
        "n_clusters_": len(ids),
        "cluster_ids_": np.array(ids, dtype=np.int32),
        "column_groups_": groups,
        "image_head_": loaded.image_head,
        "text_head_": loaded.text_head,
        "cluster_centers_": vectors_of(centers)[[places[id_] for id_ in ids]],
        "cluster_words_": words,
        "cluster_names_": [by_id[id_]["name"] for id_ in ids],
        "given_names_": {},
        # A group that was made by hand and not learned has no column.
        "labels_": np.array([label_of.get(id_, -1) for id_ in placed], dtype=np.int64),
        "view_": read_view(store._behind("assignments", "criterion")) if has_view else None,
        "n_features_in_": store.vectors.shape[1],
    }
    method = str(heads.record["values"].get("method", "robust"))
    return TextAidedClustering(len(ids), method=method)._keep(found)


def _words(row: Mapping[str, Any], kind: Any) -> Any:
    """The name of a cluster from its row of the table clusters."""
    sure = row["name_confidence"] or 0.0
    return kind(row["name"], tuple(row["alternatives"]), (sure, *(row["alternative_weights"] or ())), sure)
