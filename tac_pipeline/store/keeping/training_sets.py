"""Which images a training set has, kept beside the ledger, so that a lost one is made again and not drawn again.

    ledger/training_sets/<recipe>/
      training_rows.parquet   its images in their order, and the bytes of each
      made.json               the settings' version and the record of the artifact
      training_cells.parquet, training_weights.parquet   of one that was drawn evenly

A training set is drawn from what the store holds on that day. Its vectors are in the shards, but no recipe leads back
to it once the store has grown. What must stay out: when it is drawn (assets/images.py).
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from tac_pipeline.arrays import FloatMatrix
from tac_pipeline.arrow import encoder_of, frame_of
from tac_pipeline.digest import digest
from tac_pipeline.errors import ArtifactDamaged, StoreError
from tac_pipeline.files import building_folder, place_folder
from tac_pipeline.store.artifacts import Current, Store
from tac_pipeline.store.digests import damage_of, describe_files, read_sealed, write_sealed
from tac_pipeline.store.parquet import read_frame, write_table
from tac_pipeline.store.schemas import TRAINING_CELLS, TRAINING_ROWS, TRAINING_SET, TRAINING_WEIGHTS
from tac_pipeline.store.shards import gather_vectors, read_shard_index

TRAINING_SETS_NAME = "training_sets"
MADE_NAME = "made.json"
_KEPT = ("content", "values", "inputs", "facts")
# What is beside the vectors in some artifacts, and cannot be found again from the images.
_BESIDE = (TRAINING_CELLS.file_name, TRAINING_WEIGHTS.file_name)


@dataclass(frozen=True)
class KnownTrainingSet:
    """A training set that was current.

    Attributes
    ----------
    recipe : str
        The name of its artifact.
    version : str
        The settings that it was current for (see Current).
    encoder : str
        The fingerprint of the encoder behind its vectors.
    record : dict
        content, values, inputs and facts of its artifact.
    """

    recipe: str
    version: str
    encoder: str
    record: dict[str, Any]
    folder: Path

    def rows(self) -> pl.DataFrame:
        """Columns image_id and content_hash, in the order of the training set.

        Raises
        ------
        ArtifactDamaged
            The table cannot be read.
        """
        return read_frame(self.folder / TRAINING_ROWS.file_name, TRAINING_ROWS)

    def copy_beside(self, folder: Path) -> None:
        """Copy the tables that were beside the vectors into a folder."""
        for name in _BESIDE:
            if (self.folder / name).exists():
                shutil.copyfile(self.folder / name, folder / name)


class TrainingSets:
    """The training sets of a store that are known by their rows; a process that writes holds the store's lock.

    Parameters
    ----------
    store : Store
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self.folder = store.ledger_folder / TRAINING_SETS_NAME

    def keep(self, current: Current | None) -> None:
        """Keep the rows of the training set that is current, and let go of those that no artifact has any more."""
        if current is None or current.artifact.damage():
            return
        artifact, known = current.artifact, self.find(current.artifact.recipe)
        if known is None or known.version != current.version:
            table = artifact.table(TRAINING_SET, columns=["image_id", "content_hash"])
            made = {
                "recipe": artifact.recipe,
                "version": current.version,
                "encoder": encoder_of(table),
                **{name: artifact.record[name] for name in _KEPT},
            }
            target = self.folder / artifact.recipe
            with building_folder(self.folder) as aside:
                write_table(aside / TRAINING_ROWS.file_name, TRAINING_ROWS, frame_of(table), checksums=True)
                for name in _BESIDE:
                    if name in artifact.record["files"]:
                        shutil.copyfile(artifact.file(name), aside / name)
                write_sealed(aside / MADE_NAME, {**made, "files": describe_files(aside.iterdir())})
                shutil.rmtree(target, ignore_errors=True)
                place_folder(aside, target)
        kept = {version.recipe for version in self._store.versions(TRAINING_SET.name)}
        for folder in self.folder.glob("[!.]*"):
            if folder.name not in kept | {artifact.recipe}:
                shutil.rmtree(folder, ignore_errors=True)

    def find(self, recipe: str) -> KnownTrainingSet | None:
        """The training set of a recipe; None when its rows are not kept, or cannot be read."""
        folder = self.folder / recipe
        try:
            made = read_sealed(folder / MADE_NAME)
            record = {name: made[name] for name in _KEPT}
            if damage_of(folder, made["files"]):
                return None
            return KnownTrainingSet(made["recipe"], made["version"], made["encoder"], record, folder)
        except (OSError, ValueError, KeyError):
            return None

    def last(self) -> KnownTrainingSet | None:
        """The one that was current last."""
        folders = sorted(self.folder.glob(f"*/{MADE_NAME}"), key=lambda path: path.stat().st_mtime_ns, reverse=True)
        return next((known for path in folders if (known := self.find(path.parent.name)) is not None), None)


def vectors_as_they_were(known: KnownTrainingSet, rows: pl.DataFrame, shards: Path) -> FloatMatrix:
    """The vectors of a training set's rows, float32 (n_images, dim), found in the store's shards by their bytes.

    Raises
    ------
    StoreError
        Some of them are in no shard any more.
    """
    folder = shards / digest(known.encoder)
    index = read_shard_index(folder, encoder=known.encoder).filter(pl.col("error").is_null())
    places = index.unique("content_hash").select("content_hash", "shard", "row")
    found = rows.join(places, on="content_hash", how="left", maintain_order="left")
    lost = found.filter(pl.col("shard").is_null())
    if len(lost):
        raise StoreError(
            f"the training set was lost, and {len(lost):,} of its {len(rows):,} images (such as {lost['image_id'][0]}) "
            "are neither in the store nor in its shards: it cannot be made again as it was. Readers keep what is "
            "published. `tac run --recluster` learns from the images that the store holds now."
        )
    view = found.with_columns(error=pl.lit(None, pl.String))
    return gather_vectors(view, folder, encoder=known.encoder)


def require_readable(known: KnownTrainingSet) -> pl.DataFrame:
    """The rows of a known training set.

    Raises
    ------
    StoreError
        They cannot be read.
    """
    try:
        return known.rows()
    except ArtifactDamaged as error:
        raise StoreError(
            f"the training set was lost, and which images it had cannot be read either: {error}. Restore the ledger "
            "from a backup (`tac restore`), or learn from the images that the store holds now: `tac run --recluster`."
        ) from error
