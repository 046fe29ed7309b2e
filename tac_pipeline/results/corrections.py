"""People's corrections, in a small file that stays valid after every re-clustering.

    names: {17: "red boats"}          what a cluster is called
    merge: [[3, 9]]                   these ids are one; the first stays
    pins: {path/of/image.jpg: 17}     this image belongs here

The ids are the lasting ones of the ledger. Corrections are applied on top of the ledger, which keeps the clustering's
own result; removing a correction brings that result back. What must stay out: which asset applies which correction
(assets/), and what an id means (store/ledger.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import polars as pl
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from ruamel.yaml.nodes import Node

from tac_pipeline.arrays import FloatMatrix, IntVector
from tac_pipeline.errors import InputError, SettingsError, first_few
from tac_pipeline.nouns import CONTROL, LONGEST_NOUN
from tac_pipeline.settings.reading import line_of, read_text, read_yaml, shown

LARGEST_FILE = 50_000_000  # bytes
SECTIONS = ("names", "merge", "pins")
# How many ids or images a warning names.
SHOWN = 5

ClusterId = Annotated[int, Field(ge=0, le=2**31 - 1)]


class Corrections(BaseModel):
    """A corrections file: unknown keys are refused, values are not converted.

    Attributes
    ----------
    names : dict of cluster id to name
    merge : list of lists of cluster ids
        The ids of a list are one; the first of them stays.
    pins : dict of image_id to cluster id
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    names: dict[ClusterId, str] = {}
    merge: list[Annotated[list[ClusterId], Field(min_length=2)]] = []
    pins: dict[Annotated[str, Field(min_length=1)], ClusterId] = {}

    @property
    def merged_into(self) -> dict[int, int]:
        """Every id that is merged away, with the id that replaces it; chains are followed to their end."""
        direct = {other: group[0] for group in self.merge for other in group[1:]}
        found = {}
        for id_ in direct:
            stays = direct[id_]
            while stays in direct:
                stays = direct[stays]
            found[id_] = stays
        return found

    @property
    def pinned(self) -> dict[str, int]:
        """Every pinned image with its cluster id after merges, by image_id."""
        merged = self.merged_into
        return {image_id: merged.get(id_, id_) for image_id, id_ in sorted(self.pins.items())}

    @property
    def ids(self) -> set[int]:
        """Every cluster id in the file."""
        return {*self.names, *self.pins.values(), *(id_ for group in self.merge for id_ in group)}


def load_corrections(path: Path | None) -> Corrections:
    """Read and validate a corrections file; None means no corrections.

    Raises
    ------
    SettingsError
        It cannot be read, is not YAML, or holds an unknown key, an invalid value, a name twice, ids merged into two
        or in a circle, or a name for an id that is merged away; names the line.
    """
    if path is None:
        return Corrections()
    text = read_text(path, max_bytes=LARGEST_FILE, what="the file of corrections")
    return parse_corrections(text, name=path.name)


def parse_corrections(text: str, *, name: str) -> Corrections:
    """Validate the text of a corrections file; `name` is what messages call it."""
    tree, written = read_yaml(text, name=name)
    if written is None:
        return Corrections()
    if not isinstance(written, Mapping):
        raise SettingsError(f"{name} must hold some of names, merge and pins; got {type(written).__name__}")
    try:
        found = Corrections.model_validate(written)
    except ValidationError as error:
        lines = [_sentence(dict(problem), tree, name) for problem in error.errors(include_url=False)]
        raise SettingsError("\n".join(dict.fromkeys(lines))) from None
    for problem, parts in (*_name_faults(found), *_merge_faults(found)):
        raise SettingsError(f"{problem} ({name}, line {line_of(tree, parts)})")
    return found


def require_known(corrections: Corrections, *, next_id: int, path: Path | None) -> None:
    """Raise InputError when the file names an id that no cluster ever had: a typing mistake."""
    unknown = sorted(id_ for id_ in corrections.ids if id_ >= next_id)
    if unknown:
        raise InputError(
            f"{path}: no cluster ever had the id {first_few(unknown, SHOWN)}; ids go up to {next_id - 1}. "
            "Look them up in the table clusters, and correct the file."
        )


def unused(corrections: Corrections, *, ids: Iterable[int], images: pl.Series) -> list[str]:
    """The parts of the file about clusters and images that are not there now, in words; empty when all applies.

    Parameters
    ----------
    ids : iterable of int
        The existing cluster ids, without merged ones.
    images : Series of String
        The image_ids that are in a cluster.
    """
    merged, live, pinned = corrections.merged_into, set(ids), corrections.pinned
    there = set(images.filter(images.is_in(list(pinned))))
    nameless = sorted(id_ for id_ in corrections.names if id_ not in live)
    bare = sorted({stays for stays in merged.values() if stays not in live})
    astray = [image_id for image_id, id_ in pinned.items() if id_ not in live]
    gone = [image_id for image_id in pinned if image_id not in there and image_id not in set(astray)]
    found = []
    if nameless:
        found.append(f"names: no cluster has the id {first_few(nameless, SHOWN)} any more")
    if bare:
        found.append(f"merge: nothing is left of {first_few(bare, SHOWN)} or of what is merged into it")
    if astray:
        found.append(
            f"pins: no cluster has the id that {first_few(astray, SHOWN)} is pinned to any more; it is left where it is"
        )
    if gone:
        found.append(f"pins: {first_few(gone, SHOWN)} is not in the store, or cannot be read there")
    return found


def groups_of(ids: Sequence[int], merged_into: Mapping[int, int]) -> tuple[list[int], IntVector]:
    """The ids that stay, in order of first appearance, and for each of `ids` the position of the one that holds it."""
    stays = [merged_into.get(id_, id_) for id_ in ids]
    kept = list(dict.fromkeys(stays))
    place = {id_: number for number, id_ in enumerate(kept)}
    return kept, np.array([place[id_] for id_ in stays], dtype=np.int64)


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


def pin_images(assigned: pl.DataFrame, pinned: Mapping[str, int], *, ids: Iterable[int]) -> pl.DataFrame:
    """Put pinned images where people want them: adds the column `curated`.

    A pinned image has confidence and margin 1; its runner-up is the cluster that it was in before, if any. A moved
    image has no similarity (null), because it was not measured to that center. Images that cannot be read stay in no
    cluster, and pins to clusters that no longer exist do nothing.
    """
    live = set(ids)
    wanted = pl.DataFrame(
        [(image_id, id_) for image_id, id_ in pinned.items() if id_ in live],
        schema={"image_id": pl.String, "pin": pl.Int32},
        orient="row",
    )
    pin, was = pl.col("pin"), pl.col("cluster_id")
    here, moved = pin.is_not_null() & was.is_not_null(), pin.is_not_null() & was.is_not_null() & (pin != was)
    return (
        assigned.join(wanted, on="image_id", how="left", maintain_order="left")
        .with_columns(
            cluster_id=pl.when(here).then(pin).otherwise(was),
            confidence=pl.when(here).then(pl.lit(1, dtype=pl.Float32)).otherwise("confidence"),
            margin=pl.when(here).then(pl.lit(1, dtype=pl.Float32)).otherwise("margin"),
            runner_up=pl.when(moved).then(was).otherwise("runner_up"),
            similarity=pl.when(moved).then(None).otherwise("similarity"),
            curated=here,
        )
        .drop("pin")
    )


def _name_faults(found: Corrections) -> Iterable[tuple[str, tuple[str | int, ...]]]:
    said: dict[str, int] = {}
    merged = found.merged_into if not list(_merge_faults(found)) else {}
    for id_, name in found.names.items():
        where = ("names", id_)
        if not name.strip() or name != name.strip():
            yield f"names.{id_} must be a name without spaces around it; got {name!r}", where
        if len(name) > LONGEST_NOUN or CONTROL.search(name):
            yield f"names.{id_} must have at most {LONGEST_NOUN} characters, none of control; got {shown(name)}", where
        if name.lower() in said:
            yield f"no two clusters may have one name; {said[name.lower()]} and {id_} are both named {name!r}", where
        if id_ in merged:
            yield f"names.{id_}: merge says that {id_} is one with {merged[id_]}; name {merged[id_]} instead", where
        said[name.lower()] = id_


def _merge_faults(found: Corrections) -> Iterable[tuple[str, tuple[str | int, ...]]]:
    into: dict[int, int] = {}
    for number, group in enumerate(found.merge):
        where = ("merge", number)
        if len(set(group)) < len(group):
            yield f"merge must name each id once in a list; got {group}", where
            return
        for id_ in group[1:]:
            if id_ in into:
                yield f"merge puts {id_} into two ids, {into[id_]} and {group[0]}; write all three in one list", where
                return
            into[id_] = group[0]
        stays, seen = group[0], []
        while stays in into and stays not in seen:
            seen.append(stays)
            stays = into[stays]
        if stays in seen:
            circle = " -> ".join(map(str, [*seen, stays]))
            yield f"merge goes in a circle: {circle}; say which id stays", where
            return


def _sentence(problem: dict[str, Any], tree: Node | None, name: str) -> str:
    """One validation problem: what must hold, what came, where."""
    parts = tuple(part for part in problem["loc"] if part != "[key]")
    where = f"{name}, line {line_of(tree, parts)}"
    key = ".".join(map(str, parts))
    if problem["type"] == "extra_forbidden":
        return f"{key} is not a key of a corrections file, which has {', '.join(SECTIONS)} ({where})"
    must = {
        "names": "must be cluster ids with their names, as in {17: red boats}",
        "merge": "must be lists of two or more cluster ids, as in [[3, 9]]",
        "pins": "must be image_ids with their cluster ids, as in {path/of/image.jpg: 17}",
    }[str(parts[0])]
    return f"{parts[0]} {must}; got {shown(problem['input'])} ({where})"
