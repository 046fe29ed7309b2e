"""Equal and nearly equal images in a store of many segments, without all content hashes in memory as texts."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import polars as pl

from tac_pipeline.arrays import IntVector
from tac_pipeline.digest import digest
from tac_pipeline.embedding.known_bytes import hash_keys, sorted_keys
from tac_pipeline.store.schemas import EQUAL_IMAGES, HASH_KEYS
from tac_pipeline.store.segments.derived import Derived
from tac_pipeline.store.segments.reading import Rows


def equal_images(parts: Sequence[Rows], derived: Derived) -> pl.DataFrame:
    """Columns image_id, content_hash of the images that share their bytes with another, and a few that do not.

    Held at once are eight bytes for each image.

    Parameters
    ----------
    parts : sequence of Rows with image_id, content_hash
        Of readable images.
    """
    keys = [derived.of(part, HASH_KEYS, sorted_keys)["key"].to_numpy() for part in parts]
    every = np.sort(np.concatenate(keys))
    twice = np.unique(every[1:][every[1:] == every[:-1]])
    del every
    found = [pl.DataFrame(schema={"image_id": pl.String, "content_hash": pl.String})]
    for part, own in zip(parts, keys, strict=True):
        among = own[np.isin(own, twice)]
        if len(among):
            # Equal images elsewhere come and go: the rows here depend on which of its keys are not alone.
            found.append(derived.of(part, EQUAL_IMAGES, _picks(among), also=digest(among.tolist())))
    return pl.concat(found)


def _picks(among: IntVector) -> Callable[[Rows], pl.DataFrame]:
    def pick(rows: Rows) -> pl.DataFrame:
        table = rows.frame(["image_id", "content_hash"])
        return table.filter(pl.Series(np.isin(hash_keys(table["content_hash"]), among)))

    return pick


def numbered_as_before(groups: pl.DataFrame, before: pl.DataFrame) -> pl.DataFrame:
    """Groups of duplicates with the numbers that they had; new ones get the lowest free numbers.

    Parameters
    ----------
    groups, before : DataFrame with image_id, duplicate_group
        A group continues the one before that its first known image was in.
    """
    was = groups.join(before.rename({"duplicate_group": "was"}), on="image_id", how="left", maintain_order="left")
    first = was.group_by("duplicate_group", maintain_order=True).agg(pl.col("was").drop_nulls().first())
    taken: set[int] = set()
    numbers: dict[int, int] = {}
    waiting = []
    for group, earlier in first.iter_rows():
        if earlier is None or earlier in taken:
            waiting.append(group)
        else:
            taken.add(earlier)
            numbers[group] = earlier
    free = (number for number in range(len(first) + len(taken) + max(taken, default=0) + 1) if number not in taken)
    numbers |= dict(zip(waiting, free, strict=False))
    return groups.with_columns(pl.col("duplicate_group").replace_strict(numbers, return_dtype=pl.Int32))
