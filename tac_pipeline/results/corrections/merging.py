"""Carrying out merges by hand: columns of merged ids are one cluster, and the history tells of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import polars as pl

from tac_pipeline.arrays import FloatMatrix, IntVector
from tac_pipeline.errors import InputError
from tac_pipeline.store.artifact import Artifact
from tac_pipeline.store.schemas import CORRECTIONS


def groups_of(ids: Sequence[int], merged_into: Mapping[int, int]) -> tuple[list[int], IntVector]:
    """The ids that stay, in order of first appearance, and for each of `ids` the position of the one that holds it."""
    stays = [merged_into.get(id_, id_) for id_ in ids]
    kept = list(dict.fromkeys(stays))
    place = {id_: number for number, id_ in enumerate(kept)}
    return kept, np.array([place[id_] for id_ in stays], dtype=np.int64)


def head_groups(artifact: Artifact) -> tuple[list[int], IntVector]:
    """The ids that columns of the head have after merges, and for each column the position of its id among them.

    Groups that were made by hand and not learned have no column, and are left out.
    """
    table = artifact.frame(CORRECTIONS).sort("column")
    return groups_of(table["cluster_id"].head(artifact.facts.get("columns", len(table))).to_list(), {})


def sum_groups(soft: FloatMatrix, groups: IntVector) -> FloatMatrix:
    """The soft assignment to groups of columns, float32 (n_images, n_groups), rows sum to 1."""
    n_groups = int(groups.max()) + 1
    if n_groups == len(groups):
        return soft
    member = np.zeros((len(groups), n_groups), dtype=np.float32)
    member[np.arange(len(groups)), groups] = 1
    summed: FloatMatrix = soft @ member
    return summed


def merge_lineage(lineage: pl.DataFrame, *, entry: int, merged_into: Mapping[int, int]) -> pl.DataFrame:
    """The lineage, with merges by hand shown as events of the latest re-clustering.

    Parameters
    ----------
    lineage : DataFrame of LINEAGE
        What the ledger says.
    entry : int
        The latest re-clustering; older ones do not change.
    merged_into : mapping of id to id

    Returns
    -------
    DataFrame of LINEAGE, sorted by entry and id
        An id that is merged away but still in the ledger gets the event `merged` into the id that stays. Splits from
        it and merges into it then name the id that stays, which has the images of all.
    """
    if not merged_into:
        return lineage
    rows = {row["cluster_id"]: row for row in lineage.filter(pl.col("entry") == entry).iter_rows(named=True)}
    alive = {id_ for id_, row in rows.items() if row["event"] not in ("merged", "retired")}
    for id_, row in rows.items():
        other = row["other_id"]
        if other is not None:
            row["other_id"] = merged_into.get(other, other)
        if row["other_id"] == id_ or (row["event"] == "split" and row["other_id"] == merged_into.get(id_, id_)):
            row |= {"event": "kept", "other_id": None}
    for stays in sorted(set(merged_into.values())):
        parts = [id_ for id_ in sorted(merged_into) if merged_into[id_] == stays and id_ in alive]
        if not parts:
            continue
        old = rows.get(stays)
        own = old if old is not None and stays in alive else None
        total = sum(rows[id_]["images_after"] for id_ in parts) + (own["images_after"] if own else 0)
        kept = own or rows[parts[0]]
        before = old["images_before"] if old is not None else kept["images_before"]
        event = kept["event"] if kept["event"] in ("kept", "grown", "born") or own else "kept"
        rows[stays] = {**kept, "cluster_id": stays, "event": event, "images_before": before, "images_after": total}
        for id_ in parts:
            rows[id_] = {
                **rows[id_],
                "event": "merged",
                "other_id": stays,
                "shared": rows[id_]["images_after"],
                "images_after": 0,
            }
    latest = pl.DataFrame(list(rows.values()), schema=lineage.schema)
    return pl.concat([lineage.filter(pl.col("entry") != entry), latest.sort("cluster_id")])


def lineage_by_hand(
    lineage: pl.DataFrame, *, entry: int, merged_into: Mapping[int, int], made: Mapping[int, int]
) -> pl.DataFrame:
    """The lineage with merges by hand (see merge_lineage), and groups made by hand as born; `made` has their sizes."""
    found = merge_lineage(lineage, entry=entry, merged_into=merged_into)
    rows = [(entry, id_, "born", None, 0, 0, size) for id_, size in made.items()]
    if not rows:
        return found
    known = pl.col("cluster_id").is_in(list(made)) & (pl.col("entry") == entry)
    born = pl.DataFrame(rows, schema=lineage.schema, orient="row")
    return pl.concat([found.filter(~known), born]).sort("entry", "cluster_id", maintain_order=True)


def require_two_clusters(ids: Sequence[int], merged_into: Mapping[int, int], *, path: Path | None) -> None:
    """Raise InputError when merges leave fewer than two clusters."""
    if len({merged_into.get(id_, id_) for id_ in ids}) < 2:
        raise InputError(
            f"merge must leave at least two clusters; {path} makes all of {len(ids)} one. Remove a merge from it."
        )
