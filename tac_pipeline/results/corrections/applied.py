"""What a file of corrections means for the clusters that there are now.

A correction names an id. While the id is a cluster, the correction is about that cluster. When the id is gone, the
correction follows its images (following.py): a pin goes where most of them are; a name and a merge only to a cluster
that is mostly them, because they speak of a whole cluster. What follows, and what does nothing, is told in words; the
file is never changed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import polars as pl

from tac_pipeline.errors import first_few
from tac_pipeline.results.corrections.following import Heir
from tac_pipeline.results.corrections.written import SHOWN, Corrections

_PINS = {"image_id": pl.String, "pin": pl.Int64}
_BARRED = {"image_id": pl.String, "cluster_id": pl.Int32}


def _nothing_barred() -> pl.DataFrame:
    return pl.DataFrame(schema=_BARRED)


@dataclass(frozen=True)
class Applied:
    """Corrections as they apply.

    Attributes
    ----------
    names : dict of cluster id to name
    merged_into : dict of id to id
        Every id that is shown as another one.
    pins : DataFrame with image_id, cluster_id
        Sorted by image_id; pins to nothing are left out.
    followed : list of str
        What applies to another id than the file names.
    unused : list of str
        What applies to nothing.
    made : list of int, ascending
        The groups made by hand that are there, and that no learning has found.
    barred : DataFrame with image_id, cluster_id
        Images, and groups that they are not of; sorted by image_id.
    locked : set of int
        The groups that learning takes no image from.
    """

    names: dict[int, str]
    merged_into: dict[int, int]
    pins: pl.DataFrame
    followed: list[str] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)
    made: list[int] = field(default_factory=list)
    barred: pl.DataFrame = field(default_factory=_nothing_barred)
    locked: set[int] = field(default_factory=set)

    @property
    def curated(self) -> set[int]:
        """The ids that people named or merged others into."""
        return {*self.names, *self.merged_into.values()}


def apply_corrections(corrections: Corrections, ids: Collection[int], heirs: Mapping[int, Heir]) -> Applied:
    """Decide what corrections mean.

    Parameters
    ----------
    ids : collection of int
        The ledger's ids of today's clusters, before merges.
    heirs : mapping of id to Heir
        Of the ids in the file that are gone.
    """
    work = _Work(corrections, corrections.made.union(ids), heirs)
    merged = work.merges()
    learned = {merged.get(id_, id_) for id_ in ids}
    shown = learned.union(merged.get(id_, id_) for id_ in corrections.made)
    names, pins = work.names(merged, shown), work.pins(merged, shown)
    barred, locked = work.barred(merged), work.locked(merged)
    made = sorted(shown - learned)
    return Applied(names, merged, pins, work.told_followed(), work.unused, made, barred, locked)


class _Work:
    """The decisions of one file, and the sentences about them."""

    def __init__(self, corrections: Corrections, live: set[int], heirs: Mapping[int, Heir]) -> None:
        self.corrections, self.live, self.heirs = corrections, live, heirs
        self.unused: list[str] = []
        self._followed: dict[int, list[str]] = {}

    def told_followed(self) -> list[str]:
        """A sentence for each id that corrections follow."""
        return [
            f"{id_} is no cluster any more; {heir.shared:,} of its {heir.known:,} images are in {heir.cluster_id} now, "
            f"which has its {' and its '.join(what)}"
            for id_, what in sorted(self._followed.items())
            for heir in (self.heirs[id_],)
        ]

    def merges(self) -> dict[int, int]:
        """Every id that is shown as another, chains followed to their end."""
        written: list[tuple[int, int]] = []
        followed: list[tuple[int, int]] = []
        bare: list[int] = []
        lost: list[int] = []
        for stays, others in self._groups().items():
            there = {id_: now for id_ in (stays, *others) if (now := self._whole(id_)) is not None}
            if not there:
                bare.append(stays)
                continue
            lost += [id_ for id_ in (stays, *others) if id_ not in there and id_ in self.heirs]
            # An id that clustering gave to one that the file merges into it goes on: readers know it.
            root = there.get(stays, stays) if there.get(stays) not in others else stays
            for id_, now in there.items():
                if now != root:
                    (written if now == id_ and root == stays else followed).append((now, root))
                if now != id_ and (now == root) == (id_ == stays):
                    self._follow(id_, "merge")
        direct: dict[int, int] = {}
        # What the file says of ids that are there goes before what follows from ids that are gone.
        for now, root in (*written, *followed):
            self._join(direct, now, root)
        self._tell_merges(bare, lost)
        return {id_: _end(direct, id_) for id_ in sorted(direct)}

    def _groups(self) -> dict[int, list[int]]:
        """The ids that the file merges, by the one that stays; in the order of the file."""
        merged = self.corrections.merged_into
        found: dict[int, list[int]] = {}
        for id_, stays in merged.items():
            found.setdefault(stays, []).append(id_)
        return found

    def _join(self, direct: dict[int, int], id_: int, stays: int) -> None:
        """Note that an id is shown as another, unless it is already, or is shown as a third."""
        if _end(direct, stays) == _end(direct, id_):
            return
        if id_ in direct:
            self.unused.append(f"merge: {id_} cannot be one with {stays} too: it is one with {direct[id_]} already")
            return
        direct[id_] = stays

    def _tell_merges(self, bare: list[int], lost: list[int]) -> None:
        if bare:
            self.unused.append(f"merge: nothing is left of {first_few(bare, SHOWN)} or of what is merged into it")
        if lost:
            self.unused.append(f"merge: no cluster is mostly {first_few(lost, SHOWN)} any more; it is left where it is")

    def names(self, merged: Mapping[int, int], shown: Collection[int]) -> dict[int, str]:
        """The names of clusters by their ids: those that the file names first, then those of ids that are gone."""
        written = self.corrections.names
        found = {id_: name for id_, name in written.items() if id_ in shown}
        nameless: list[int] = []
        taken: list[int] = []
        # Of two ids that became one cluster, the one that is more of it gives the name.
        gone = sorted((id_ for id_ in written if id_ not in shown), key=lambda id_: (-self._shared(id_), id_))
        for id_ in gone:
            now = self._whole(id_)
            if now is None:
                nameless.append(id_)
            elif now in found or now in merged:
                taken.append(id_)
            else:
                found[now] = written[id_]
                self._follow(id_, "name")
        self._tell_names(sorted(nameless), taken)
        return dict(sorted(found.items()))

    def _tell_names(self, nameless: list[int], taken: list[int]) -> None:
        parted = [id_ for id_ in nameless if id_ in self.heirs]
        lost = [id_ for id_ in nameless if id_ not in self.heirs]
        if lost:
            self.unused.append(f"names: no cluster has the id {first_few(lost, SHOWN)} any more")
        if parted:
            self.unused.append(f"names: no cluster is mostly {first_few(parted, SHOWN)} any more")
        if taken:
            self.unused.append(f"names: what {first_few(taken, SHOWN)} was is one with a cluster that has another name")

    def pins(self, merged: Mapping[int, int], shown: Collection[int]) -> pl.DataFrame:
        """The pinned images that have a place, with the id of the cluster where they belong."""
        written = self.corrections.pins
        table = pl.DataFrame({"image_id": list(written), "pin": list(written.values())}, schema=_PINS)
        places: list[tuple[int, int | None]] = []
        for id_ in sorted(set(written.values())):
            now = id_ if id_ in self.live or id_ in shown else self._mostly(id_)
            places.append((id_, None if now is None else merged.get(now, now)))
        to = pl.DataFrame(places, schema={"pin": pl.Int64, "cluster_id": pl.Int32}, orient="row")
        placed = table.join(to, on="pin", how="left").sort("image_id")
        self._tell_pins(placed)
        return placed.drop_nulls("cluster_id").select("image_id", "cluster_id")

    def _tell_pins(self, placed: pl.DataFrame) -> None:
        counts = dict(placed["pin"].value_counts().iter_rows())
        for id_ in sorted(counts):
            if id_ not in self.live and self._mostly(id_) is not None:
                self._follow(id_, "pin" if counts[id_] == 1 else f"{counts[id_]:,} pins")
        astray = placed.filter(pl.col("cluster_id").is_null())["image_id"].to_list()
        if astray:
            self.unused.append(
                f"pins: no cluster has the id that {first_few(astray, SHOWN)} is pinned to any more; it is left where "
                "it is"
            )

    def barred(self, merged: Mapping[int, int]) -> pl.DataFrame:
        """Images, and groups that they are not of; what an id was is followed only where it is a group as a whole."""
        rows, lost = [], set()
        for image_id, ids in self.corrections.not_in.items():
            for id_ in ids:
                now = self._whole(id_)
                if now is None:
                    lost.add(id_)
                    continue
                rows.append((image_id, merged.get(now, now)))
                if now != id_:
                    self._follow(id_, "not_in")
        if lost:
            self.unused.append(f"not_in: no cluster is mostly {first_few(sorted(lost), SHOWN)} any more")
        return pl.DataFrame(rows, schema=_BARRED, orient="row").unique().sort("image_id", "cluster_id")

    def locked(self, merged: Mapping[int, int]) -> set[int]:
        """The groups that learning takes no image from."""
        there = {id_: self._whole(id_) for id_ in self.corrections.locked}
        for id_, now in there.items():
            if now not in (None, id_):
                self._follow(id_, "lock")
        lost = sorted(id_ for id_, now in there.items() if now is None)
        if lost:
            self.unused.append(f"locked: no cluster is mostly {first_few(lost, SHOWN)} any more")
        return {merged.get(now, now) for now in there.values() if now is not None}

    def _shared(self, id_: int) -> int:
        return self.heirs[id_].shared if id_ in self.heirs else 0

    def _whole(self, id_: int) -> int | None:
        """The cluster that an id is, or that is mostly what the id was."""
        if id_ in self.live:
            return id_
        heir = self.heirs.get(id_)
        return heir.cluster_id if heir is not None and heir.is_it else None

    def _mostly(self, id_: int) -> int | None:
        """The cluster that an id is, or where most of its images are."""
        if id_ in self.live:
            return id_
        heir = self.heirs.get(id_)
        return heir.cluster_id if heir is not None and heir.has_it else None

    def _follow(self, id_: int, what: str) -> None:
        said = self._followed.setdefault(id_, [])
        if what not in said:
            said.append(what)


def _end(direct: Mapping[int, int], id_: int) -> int:
    while id_ in direct:
        id_ = direct[id_]
    return id_


def tell_absent(pins: pl.DataFrame, images: pl.Series) -> list[str]:
    """The pins of images that are in no cluster of the store, in words.

    Parameters
    ----------
    pins : DataFrame with image_id
    images : Series of String
        The image_ids that are in a cluster.
    """
    there = pl.DataFrame({"image_id": images}, schema={"image_id": pl.String})
    absent = pins.join(there, on="image_id", how="anti", maintain_order="left")["image_id"].to_list()
    return [f"pins: {first_few(absent, SHOWN)} is not in the store, or cannot be read there"] if absent else []
