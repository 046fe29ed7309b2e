"""Groups of equal and nearly equal images, without all content hashes in memory as texts, and what stands for each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import polars as pl

from tac_pipeline.arrays import IntVector
from tac_pipeline.digest import digest
from tac_pipeline.embedding.known_bytes import hash_keys, sorted_keys
from tac_pipeline.store.schemas import ALIKE_IMAGES, ALIKE_SIMILARITIES, HASH_KEYS
from tac_pipeline.store.segments.derived import Derived
from tac_pipeline.store.segments.reading import Rows, Segment, rows_between


def alike_images(parts: Sequence[Rows], derived: Derived, near: IntVector) -> pl.DataFrame:
    """The columns of ALIKE_IMAGES for the images that are like another, and for a few that are not.

    Held at once are eight bytes for each image.

    Parameters
    ----------
    parts : sequence of Rows with image_id, content_hash, error, width, height (the table image_embeddings)
    near : int64 (n_contents,), ascending
        Hash keys of contents that are nearly equal to another.
    """
    keys = [derived.of(part, HASH_KEYS, sorted_keys)["key"].to_numpy() for part in parts]
    every = np.sort(np.concatenate(keys))
    alike = np.union1d(every[1:][every[1:] == every[:-1]], near)
    del every
    found = [pl.DataFrame(schema={"image_id": pl.String, "content_hash": pl.String, **_SIZES})]
    for part, own in zip(parts, keys, strict=True):
        among = own[np.isin(own, alike)]
        if len(among):
            # Equal images elsewhere come and go: the rows here depend on which of its keys are not alone.
            found.append(derived.of(part, ALIKE_IMAGES, _picks(among), also=digest(among.tolist())))
    return pl.concat(found)


_SIZES = {"width": pl.Int32, "height": pl.Int32}


def _picks(among: IntVector) -> Callable[[Rows], pl.DataFrame]:
    def pick(rows: Rows) -> pl.DataFrame:
        table = rows.frame(["image_id", "content_hash", "error", *_SIZES])
        readable = table.filter(pl.col("error").is_null() & (pl.col("content_hash") != "")).drop("error")
        return readable.filter(pl.Series(np.isin(hash_keys(readable["content_hash"]), among)))

    return pick


def pairs_of_images(images: pl.DataFrame, pairs: pl.DataFrame) -> pl.DataFrame:
    """Pairs of contents as pairs of image_ids: columns left, right; those of which one is gone are left out.

    Parameters
    ----------
    images : DataFrame with image_id, content_hash
    pairs : DataFrame with left, right
        Hash keys. Of images with equal bytes one is enough: they are in one group anyway.
    """
    keyed = images.select("image_id", key=pl.Series(hash_keys(images["content_hash"]))).unique("key", keep="first")
    ends = (
        pairs.select(key=side).join(keyed, on="key", how="left", maintain_order="left") for side in ("left", "right")
    )
    left, right = (found["image_id"] for found in ends)
    return pl.DataFrame({"left": left, "right": right}).drop_nulls()


def similarities_of(images: pl.DataFrame, parts: Sequence[Segment], derived: Derived) -> pl.DataFrame:
    """The columns of ALIKE_SIMILARITIES for some images, sorted by image_id.

    Parameters
    ----------
    images : DataFrame with image_id, sorted by it
    parts : sequence of Segment
        Of the table assignments.
    """

    def pick(rows: Rows, ids: pl.Series) -> pl.DataFrame:
        return rows.frame(["image_id", "similarity"]).filter(pl.col("image_id").is_in(ids.implode()))

    found = [pl.DataFrame(schema={"image_id": pl.String, "similarity": pl.Float32})]
    for part in parts:
        ids = rows_between(images, part)["image_id"]
        if len(ids):
            found.append(derived.of(part, ALIKE_SIMILARITIES, partial(pick, ids=ids), also=digest(ids.to_list())))
    return pl.concat(found)


def with_representatives(groups: pl.DataFrame, images: pl.DataFrame, similarities: pl.DataFrame) -> pl.DataFrame:
    """Groups of duplicates with the column duplicate_of: the image that stands for the group, null for itself.

    Parameters
    ----------
    groups : DataFrame with image_id, duplicate_group
    images : DataFrame with image_id, width, height
        The image with the most pixels stands for its group.
    similarities : DataFrame with image_id, similarity
        Of equally large ones it is the one nearest to the center of its cluster, then the first by image_id.
    """
    known = groups.join(images.select("image_id", *_SIZES), on="image_id", how="left").join(
        similarities, on="image_id", how="left"
    )
    pixels = pl.col("width").cast(pl.Int64) * pl.col("height").cast(pl.Int64)
    ranked = known.sort(
        "duplicate_group",
        pixels,
        "similarity",
        "image_id",
        descending=[False, True, True, False],
        nulls_last=True,
    )
    first = ranked.unique("duplicate_group", keep="first", maintain_order=True)
    stands = first.select("duplicate_group", duplicate_of="image_id")
    found = groups.join(stands, on="duplicate_group", how="left", maintain_order="left")
    copy = pl.col("duplicate_of") != pl.col("image_id")
    return found.with_columns(pl.when(copy).then("duplicate_of"))


def numbered_as_before(groups: pl.DataFrame, before: pl.DataFrame) -> pl.DataFrame:
    """Groups of duplicates with the numbers that they had; new ones get the lowest free numbers.

    Parameters
    ----------
    groups, before : DataFrame with image_id, duplicate_group
        A group continues the one before that its first known image was in.
    """
    was = groups.join(
        before.select("image_id", was="duplicate_group"), on="image_id", how="left", maintain_order="left"
    )
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
