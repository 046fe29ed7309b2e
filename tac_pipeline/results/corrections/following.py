"""Where the images of ids that are gone are now: the ledger keeps the training images of every id that it ever gave.

An id that vanished may have been merged into another, or its images may be back under a new id. Both show in the
images: those of its last entry in the ledger are looked up in the entry that is current.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import polars as pl

from tac_pipeline.arrow import frame_of
from tac_pipeline.method.clusters.cluster_matching import KNOWN_PART, SHARED_PART
from tac_pipeline.store.ledger import Entry, Ledger, known_images
from tac_pipeline.store.schemas import LEDGER_IMAGES


@dataclass(frozen=True)
class Heir:
    """The cluster that has most of the images of an id that is gone.

    Attributes
    ----------
    cluster_id : int
    shared : int
        Training images of the id that are in this cluster now.
    known : int
        Training images of the id that are still known, wherever they are now.
    was : int
        All training images that the id had when it was last there.
    size : int
        All training images of this cluster.
    """

    cluster_id: int
    shared: int
    known: int
    was: int
    size: int

    @property
    def has_it(self) -> bool:
        """Whether more than half of the id's images are here, and enough of them are known to say so."""
        return self.shared > SHARED_PART * self.known and self.known >= KNOWN_PART * self.was

    @property
    def is_it(self) -> bool:
        """Whether this cluster is also mostly it: more than half of its images are the id's."""
        return self.has_it and self.shared > SHARED_PART * self.size


def last_entries(ledger: Ledger, gone: Collection[int]) -> dict[int, int]:
    """The number of the newest entry of the ledger in which each id was a cluster; ids that never were are left out."""
    left, found = set(gone), dict[int, int]()
    # The ledger is read only where it is needed: a damaged one must not stop growth.
    for entry in reversed(ledger.entries() if left else []):
        if not left:
            break
        there = left.intersection(entry.ids["cluster_id"])
        found |= dict.fromkeys(there, entry.number)
        left -= there
    return {id_: found[id_] for id_ in sorted(found)}


def find_heirs(ledger: Ledger, now: int, last: Mapping[int, int]) -> dict[int, Heir]:
    """The heir of each id that is gone.

    Parameters
    ----------
    now : int
        The number of the entry that gave today's ids.
    last : mapping of id to the number of an entry
        From last_entries.

    Returns
    -------
    dict of id to Heir; an id of which no image is known any more has none
    """
    if not last:
        return {}
    by_number = {entry.number: entry for entry in ledger.entries()}
    after = _images(by_number[now])
    sizes = dict(after["cluster_id"].value_counts().iter_rows())
    found: dict[int, Heir] = {}
    for number in sorted(set(last.values())):
        before = _images(by_number[number])
        ids = [id_ for id_, entry in last.items() if entry == number]
        found |= _heirs(before, after, ids, sizes)
    return found


def _images(entry: Entry) -> pl.DataFrame:
    return frame_of(entry.table("images", LEDGER_IMAGES))


def _heirs(before: pl.DataFrame, after: pl.DataFrame, ids: Iterable[int], sizes: Mapping[int, int]) -> dict[int, Heir]:
    """The heirs of ids that were clusters of one entry."""
    wanted, was = pl.Series(list(ids), dtype=pl.Int32), dict(before["cluster_id"].value_counts().iter_rows())
    # `column` is the caller's name for the side of today (see known_images).
    pairs = known_images(before, after.rename({"cluster_id": "column"})).filter(
        pl.col("cluster_id").is_in(wanted.implode())
    )
    counted = (
        pairs.group_by("cluster_id", "column")
        .len()
        .sort("cluster_id", "len", "column", descending=[False, True, False])
    )
    return {
        part["cluster_id"][0]: Heir(
            cluster_id=part["column"][0],
            shared=part["len"][0],
            known=int(part["len"].sum()),
            was=was[part["cluster_id"][0]],
            size=sizes[part["column"][0]],
        )
        for part in counted.partition_by("cluster_id", maintain_order=True)
    }
