"""Where the vectors of known bytes are in a store of many segments, without its content hashes in memory.

Held are eight bytes for each image, and the hashes of the last OPEN_SEGMENTS segments in which something was found.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
import polars as pl

from tac_pipeline.arrays import IntVector
from tac_pipeline.store.schemas import HASH_KEYS
from tac_pipeline.store.segments.derived import Derived
from tac_pipeline.store.segments.reading import Rows

# As many hex digits of a content hash as an int64 has room for.
KEY_DIGITS = 15
OPEN_SEGMENTS = 4
# Shard, row, width, height.
Place = tuple[str, int, int, int]


def hash_keys(content_hashes: pl.Series, *, part: int = 0) -> IntVector:
    """The first KEY_DIGITS hex digits of content hashes, or of another part the next ones, int64 (n_hashes,)."""
    digits = content_hashes.str.slice(part * KEY_DIGITS, KEY_DIGITS)
    return digits.str.to_integer(base=16).to_numpy().astype(np.int64)


def sorted_keys(rows: Rows) -> pl.DataFrame:
    """The table HASH_KEYS of some rows: the keys of readable images, ascending."""
    hashes = rows.frame(["content_hash"])["content_hash"]
    return pl.DataFrame({"key": np.sort(hash_keys(hashes.filter(hashes != "")))})


class KnownInSegments:
    """The images of a view of a store, found by their bytes.

    Parameters
    ----------
    parts : sequence of Rows with content_hash, error, shard, row, width, height (the table image_embeddings)
    derived : Derived
        Keeps the keys of each segment.
    """

    def __init__(self, parts: Sequence[Rows], derived: Derived) -> None:
        self._parts = parts
        self._keys = [derived.of(part, HASH_KEYS, sorted_keys)["key"].to_numpy() for part in parts]
        # By the place of the segment, the last used at the end: content hash to place.
        self._opened: dict[int, dict[str, Place]] = {}

    def find(self, content_hash: str) -> Place | None:
        """The shard by its name in the encoder's folder, the row in it, width and height of the image."""
        key = int(content_hash[:KEY_DIGITS], 16)
        for number, keys in enumerate(self._keys):
            at = int(np.searchsorted(keys, key))
            if at < len(keys) and keys[at] == key:
                found = self._open(number).get(content_hash)
                if found is not None:
                    return found
        return None

    def _open(self, number: int) -> dict[str, Place]:
        places = self._opened.pop(number, None)
        if places is None:
            place = ["shard", "row", "width", "height"]
            rows = self._parts[number].frame(["content_hash", "error", *place]).filter(pl.col("error").is_null())
            named = rows.with_columns(pl.col("shard").str.split("/").list.last())
            found = zip(named["content_hash"], named.select(place).iter_rows(), strict=True)
            places = {content_hash: cast("Place", tuple(row)) for content_hash, row in found}
        self._opened[number] = places
        if len(self._opened) > OPEN_SEGMENTS:
            del self._opened[next(iter(self._opened))]
        return places
