"""The ledger of cluster ids: data/<store>/ledger/, one folder for each re-clustering, append-only and never pruned.

    ledger/000001/
      entry.json          its number, the digest of the heads, the entry that it was matched to, the next free id; the
                        digests of the tables, and what was learned from
      ids.parquet         head column -> lasting cluster id
      centers.parquet     the center of each cluster
      images.parquet      which training image was in which cluster, as digests
      lineage.parquet     what became of every id

Heads that the ledger knows keep their ids. New heads are matched to the ids in force
(method/clusters/cluster_matching.py); a cluster that matches nothing gets an id that no cluster ever had. An entry
takes about 17 bytes per training image. Beside the entries, ledger/training_sets/ says which images the kept training
sets have (keeping/training_sets.py). What must stay out: who asks, and what is published (assets/, publication.py).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from tac_pipeline.arrays import FloatMatrix, IntVector
from tac_pipeline.arrow import encoder_of, frame_of
from tac_pipeline.errors import ArtifactDamaged
from tac_pipeline.files import building_folder, place_folder
from tac_pipeline.method.clusters.cluster_matching import NONE, Clustering, match_clusters, trace_lineage
from tac_pipeline.store.artifacts import PUBLISHED_NAME
from tac_pipeline.store.digests import describe_files, read_sealed, write_sealed
from tac_pipeline.store.parquet import TableSchema, read_table, vectors_of, write_table
from tac_pipeline.store.schemas import CLUSTER_CENTERS, CLUSTER_IDS, LEDGER_IMAGES, LINEAGE

ENTRY_NAME = "entry.json"
TABLES: dict[str, TableSchema] = {
    "ids": CLUSTER_IDS,
    "lineage": LINEAGE,
    "images": LEDGER_IMAGES,
    "centers": CLUSTER_CENTERS,
}


@dataclass(frozen=True)
class Learned:
    """Newly trained heads, and the clusters that they give to their training images.

    Attributes
    ----------
    key : str
        Digest of the heads and of what they were trained on.
    image_ids, content_hashes : Series of String
        Of the training images.
    column : int64 (n_images,)
        The head's column for each image.
    centers : float32 (n_clusters, dim), unit rows
        By column.
    encoder : str
        Fingerprint of the encoder behind the centers.
    roots : str
        Digest of what learning started from. If it is that of an earlier entry with other heads, something that was
        learned then was lost and came out otherwise.
    classes : tuple of str
        Names of the known classes, which are the first columns: each keeps the id that it had in the entry before.
    keeps : mapping of column to cluster id
        Columns that were learned from groups with ids, or from groups made by hand: these are their ids.
    """

    key: str
    image_ids: pl.Series
    content_hashes: pl.Series
    column: IntVector
    centers: FloatMatrix
    encoder: str
    roots: str = ""
    classes: tuple[str, ...] = ()
    keeps: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Entry:
    """One re-clustering in the ledger.

    Attributes
    ----------
    otherwise : int or None
        The earlier entry that was learned from the same, with other heads (see Learned.roots).
    files : dict
        The digests of its tables; empty in an entry from before they were kept.
    classes : dict
        The cluster id of each known class, by its name.
    """

    number: int
    key: str
    parent: int | None
    next_id: int
    folder: Path
    roots: str = ""
    otherwise: int | None = None
    files: dict[str, Any] = field(default_factory=dict)
    classes: dict[str, int] = field(default_factory=dict)

    @property
    def ids(self) -> pl.DataFrame:
        """Columns column, cluster_id, kept_name; sorted by column."""
        return frame_of(self.table("ids", CLUSTER_IDS)).sort("column")

    @property
    def lineage(self) -> pl.DataFrame:
        """What became of every id in this re-clustering."""
        return frame_of(self.table("lineage", LINEAGE))

    def table(self, name: str, schema: TableSchema) -> pa.Table:
        """One of its tables.

        Raises
        ------
        ArtifactDamaged
            It cannot be read.
        """
        try:
            return read_table(self.folder / f"{name}.parquet", schema)
        except ArtifactDamaged as error:
            raise ArtifactDamaged(f"{error}. {_remedy(self.folder.parent)}") from error


class Ledger:
    """The cluster ids that a store ever had.

    Parameters
    ----------
    folder : Path
        data/<store>/ledger; created with the first entry. A process that writes holds the store's lock.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def entries(self) -> list[Entry]:
        """Every entry, oldest first.

        Raises
        ------
        ArtifactDamaged
            An entry cannot be read: its ids could be given a second time.
        """
        found = [self._read(path) for path in sorted(self.folder.glob("[0-9]*")) if path.is_dir()]
        numbers = [entry.number for entry in found]
        if numbers != list(range(1, len(found) + 1)):
            raise ArtifactDamaged(
                f"{self.folder} must hold every entry from 1 on; it holds {numbers}. {_remedy(self.folder)}"
            )
        return found

    def find(self, key: str) -> Entry | None:
        """The entry of heads that the ledger knows."""
        return next((entry for entry in self.entries() if entry.key == key), None)

    def history(self, entry: Entry) -> pl.DataFrame:
        """The lineage of an entry and of all its ancestors, oldest first."""
        by_number = {found.number: found for found in self.entries()}
        chain = [entry]
        while chain[-1].parent is not None:
            chain.append(by_number[chain[-1].parent])
        return pl.concat([found.lineage for found in reversed(chain)])

    def enter(
        self, learned: Learned, *, in_force: int | None, names: Mapping[int, str], lowest_new_id: int = 0
    ) -> Entry:
        """Give new heads their ids and write that down.

        Parameters
        ----------
        in_force : int or None
            Number of the entry with the ids that people use now; the new clusters are matched to it. None: the last.
        names : mapping of cluster id to the name that it has now
            Kept for the ids that continue.
        lowest_new_id : int
            Higher than every id that is known elsewhere, such as in published versions. New clusters get no lower id,
            even when the ledger has lost the entry that gave it.

        Raises
        ------
        ArtifactDamaged
            The entry in force is missing: the ledger is older than the ids that people use.
        """
        entries = self.entries()
        parent = self._parent(entries, in_force)
        next_id = max([lowest_new_id, *(entry.next_id for entry in entries)])
        sizes = np.bincount(learned.column, minlength=len(learned.centers))
        ids = np.full(len(sizes), NONE, dtype=np.int64)
        old, new, old_ids = self._both_sides(parent, learned, sizes)
        same_space = parent is not None and _encoder(parent) == learned.encoder
        match = match_clusters(old, new, same_space=same_space, fixed=_same_groups(parent, learned, old_ids))
        made = [column for column, id_ in learned.keeps.items() if id_ not in old_ids]
        match.old_of[made] = NONE
        matched = match.old_of != NONE
        ids[matched] = old_ids[match.old_of[matched]]
        ids[made] = [learned.keeps[column] for column in made]
        matched[made] = True
        next_id = max([next_id, *(id_ + 1 for id_ in learned.keeps.values())])
        # The largest cluster first, so that the ids of a first clustering read like a ranking.
        born = [column for column in np.argsort(-sizes, kind="stable") if not matched[column]]
        ids[born] = np.arange(next_id, next_id + len(born))
        number = len(entries) + 1
        changes = trace_lineage(match, old, new, old_ids, ids)
        images = short_digests(learned.image_ids, learned.content_hashes)
        tables = {
            "ids": pl.DataFrame(
                {
                    "column": np.arange(len(ids)),
                    "cluster_id": ids,
                    "kept_name": pl.Series([names.get(int(id_)) for id_ in ids], dtype=pl.String),
                }
            ),
            "lineage": pl.DataFrame(
                [{"entry": number, **vars(change)} for change in changes], infer_schema_length=None
            ),
            "images": images.with_columns(cluster_id=pl.Series(ids[learned.column])),
        }
        record = {
            "entry": number,
            "key": learned.key,
            "parent": None if parent is None else parent.number,
            "next_id": next_id + len(born),
            "roots": learned.roots,
            "otherwise": next((old.number for old in reversed(entries) if _differs(old, learned)), None),
        }
        if learned.classes:
            record["classes"] = {name: int(ids[column]) for column, name in enumerate(learned.classes)}
        return self._append(record, tables, pl.Series(ids), learned)

    def _parent(self, entries: list[Entry], in_force: int | None) -> Entry | None:
        if in_force is None:
            return entries[-1] if entries else None
        if not 1 <= in_force <= len(entries):
            raise ArtifactDamaged(
                f"{self.folder} must hold the entry {in_force}, which gave the cluster ids in force; it holds "
                f"{[entry.number for entry in entries]}. {_remedy(self.folder)}"
            )
        return entries[in_force - 1]

    def _both_sides(
        self, parent: Entry | None, learned: Learned, sizes: IntVector
    ) -> tuple[Clustering, Clustering, IntVector]:
        """The parent's clusters and the new ones, over the images that both have; and the parent's ids."""
        empty = np.empty(0, dtype=np.int64)
        if parent is None:
            return Clustering(empty, empty, learned.centers[:0]), Clustering(empty, sizes, learned.centers), empty
        table = parent.table("centers", CLUSTER_CENTERS)
        old_ids = table.column("cluster_id").to_numpy().astype(np.int64)
        before = frame_of(parent.table("images", LEDGER_IMAGES))
        after = short_digests(learned.image_ids, learned.content_hashes).with_columns(column=pl.Series(learned.column))
        known = known_images(before, after)
        positions = {id_: position for position, id_ in enumerate(old_ids)}
        was = np.array([positions[id_] for id_ in known["cluster_id"].to_list()], dtype=np.int64)
        old_sizes = np.zeros(len(old_ids), dtype=np.int64)
        for id_, count in before["cluster_id"].value_counts().iter_rows():
            old_sizes[positions[id_]] = count
        old = Clustering(was, old_sizes, vectors_of(table))
        return old, Clustering(known["column"].to_numpy(), sizes, learned.centers), old_ids

    def _append(
        self, record: dict[str, Any], tables: Mapping[str, pl.DataFrame], ids: pl.Series, learned: Learned
    ) -> Entry:
        with building_folder(self.folder) as aside:
            for name, table in tables.items():
                write_table(aside / f"{name}.parquet", TABLES[name], table, checksums=True)
            centers = {"cluster_id": ids, "embedding": learned.centers}
            path = aside / "centers.parquet"
            write_table(path, CLUSTER_CENTERS, centers, encoder=learned.encoder, checksums=True)
            write_sealed(aside / ENTRY_NAME, {**record, "files": describe_files(aside.iterdir())})
            target = self.folder / f"{record['entry']:06d}"
            place_folder(aside, target)
        return self._read(target)

    def _read(self, folder: Path) -> Entry:
        path = folder / ENTRY_NAME
        try:
            record = read_sealed(path)
            told = {name: record[name] for name in ("roots", "otherwise", "files", "classes") if name in record}
            return Entry(int(record["entry"]), record["key"], record["parent"], int(record["next_id"]), folder, **told)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ArtifactDamaged(f"{path} cannot be read ({error}). {_remedy(self.folder)}") from error


def _remedy(folder: Path) -> str:
    # Ids that readers can still find elsewhere must never mean other clusters.
    others = " and ".join(str(folder.parent / name) for name in (CLUSTER_IDS.name, PUBLISHED_NAME))
    return (
        "The ledger says which cluster ids are used: restore it from a backup (`tac restore`), or delete all of "
        f"{folder}, {others} to number clusters from 0 again."
    )


def _same_groups(parent: Entry | None, learned: Learned, old_ids: IntVector) -> dict[int, int]:
    """The columns of groups, or of known classes, that the parent knew too, with the place of their ids there."""
    places = {int(id_): place for place, id_ in enumerate(old_ids)}
    known = {} if parent is None else parent.classes
    classes = {column: known[name] for column, name in enumerate(learned.classes) if name in known}
    return {column: places[id_] for column, id_ in {**classes, **learned.keeps}.items() if id_ in places}


def _differs(entry: Entry, learned: Learned) -> bool:
    return bool(entry.roots) and entry.roots == learned.roots and entry.key != learned.key


def _encoder(entry: Entry) -> str:
    return encoder_of(entry.table("centers", CLUSTER_CENTERS).slice(0, 0))


def known_images(before: pl.DataFrame, after: pl.DataFrame) -> pl.DataFrame:
    """Images on both sides, matched one to one: by the same bytes, or else by the same id.

    Bytes are compared first, so renamed files are found too. Among images with equal bytes, the same id is preferred.
    """
    # The turn counts copies of the same image, so that each copy on one side meets one copy on the other.
    turn = pl.int_range(pl.len()).over("content").alias("turn")
    found = []
    for keys in (["image", "content"], ["content", "turn"], ["image"]):
        before, after = before.with_columns(turn), after.with_columns(turn)
        found.append(after.join(before.select(*keys, "cluster_id"), on=keys).select("column", "cluster_id"))
        before, after = before.join(after, on=keys, how="anti"), after.join(before, on=keys, how="anti")
    return pl.concat(found)


def short_digests(image_ids: pl.Series, content_hashes: pl.Series) -> pl.DataFrame:
    """Columns image, content: what the ledger keeps of images, UInt64."""

    def short(image_id: str) -> int:
        return int.from_bytes(hashlib.blake2b(image_id.encode(), digest_size=8).digest())

    return pl.DataFrame(
        {
            "image": pl.Series([short(image_id) for image_id in image_ids], dtype=pl.UInt64),
            "content": pl.Series([int(hash_[:16], 16) for hash_ in content_hashes], dtype=pl.UInt64),
        }
    )
