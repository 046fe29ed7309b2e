"""Reading the images of a manifest within bounds: of one image, of all that wait, and of patience with a server.

An image that cannot be read is a row with its reason. What must stay out: threads (reading.py) and decoding
(the package).
"""

from __future__ import annotations

from collections import Counter
from urllib.parse import urlsplit

import polars as pl

from tac_pipeline.embedding.reading import ByteBudget
from tac_pipeline.errors import SourceError
from tac_pipeline.sources import ByteReader
from tac_pipeline.sources.archives import MEMBER_URI
from tac_pipeline.sources.streaming import GaveUp, OverLimit
from tac_pipeline.store.shards import ImageRow

Row = dict[str, str | int | None]

# What an image of unknown size is expected to have at most; larger ones are asked for twice.
UNKNOWN_BYTES = 4 * 2**20
# After this many reads in a row that did not come in time, a server is not asked any more in this run.
SILENT_READS = 64

# The start of the error of an image that could not be read: it may be readable next time.
UNREACHED = "cannot be read: "
# Groups that were learned from a smaller share of the listed images would be those of a part of the store.
LEAST_REACHED = 0.9


def require_reached(view: pl.DataFrame, places: str) -> None:
    """Refuse to learn while many images cannot be reached. Those that are damaged, or over a limit, are not missed.

    Parameters
    ----------
    view : DataFrame with image_id, error
        The table image_embeddings.
    places : str
        The source, for the message.

    Raises
    ------
    SourceError
        Fewer than LEAST_REACHED of the images could be reached.
    """
    missed = view.filter(pl.col("error").str.starts_with(UNREACHED))
    listed = len(missed) + view["error"].null_count()
    reached = listed - len(missed)
    if reached < LEAST_REACHED * listed:
        raise SourceError(
            f"groups are learned from at least {LEAST_REACHED:.0%} of the listed images; {reached:,} of {listed:,} in "
            f"{places} could be reached, and others not, such as {missed['image_id'][0]} ({missed['error'][0]}). See "
            "that the source is there and run again (after an hour where groups were learned before), or leave these "
            "images out (images.exclude)."
        )


def in_reading_order(missing: pl.DataFrame) -> pl.DataFrame:
    """The members of an archive by their offset, so that one pass over it is enough; all else as it is."""
    place = pl.col("uri").str.extract_groups(MEMBER_URI)
    keys = missing.select(archive=place.struct[0], offset=place.struct[1].cast(pl.Int64, strict=False))
    if keys["archive"].null_count() == len(missing):
        return missing
    order = keys.with_row_index("row").with_columns(first=pl.col("row").min().over("archive"))
    order = order.with_columns(
        first=pl.when(pl.col("archive").is_null()).then(pl.col("row")).otherwise(pl.col("first"))
    )
    return missing[order.sort("first", "offset", "row")["row"]]


class BoundedReads:
    """Reads that never hold more bytes than a budget has, nor more of one image than max_bytes.

    An image's size may be unknown, or wrong. It is read with a small bound first, and with a larger one if it is
    larger.

    Parameters
    ----------
    source : ByteReader
    max_bytes : int
        Of one image.
    budget : ByteBudget
        Of all images; `read` takes from it as many bytes as it returns.
    """

    def __init__(self, source: ByteReader, *, max_bytes: int, budget: ByteBudget) -> None:
        self.budget = budget
        self._source, self._max_bytes = source, max_bytes
        self._guess = UNKNOWN_BYTES
        # By server, how many reads in a row did not come in time.
        self._silent: Counter[str] = Counter()

    def read(self, row: Row) -> bytes | ImageRow:
        """The bytes of an image, taken from the budget; or the row of one that cannot be read."""
        image_id, version, listed = str(row["image_id"]), str(row["version"]), row["size"]
        if isinstance(listed, int) and listed > self._max_bytes:
            return _failed(image_id, version, self._too_large(listed))
        bound = min(listed if isinstance(listed, int) else self._guess, self._max_bytes)
        server = urlsplit(str(row["uri"])).netloc
        if server and self._silent[server] >= SILENT_READS:
            return _failed(image_id, version, f"{UNREACHED}{server} did not answer {SILENT_READS} reads in a row")
        try:
            return self._read(str(row["uri"]), bound, server)
        except OverLimit as error:
            return _failed(image_id, version, self._too_large(error.size))
        except (OSError, ValueError) as error:
            if isinstance(error, GaveUp):
                self._silent[server] += 1
            return _failed(image_id, version, f"{UNREACHED}{getattr(error, 'strerror', None) or error}")

    def _read(self, uri: str, bound: int, server: str) -> bytes:
        try:
            data = self._held(uri, bound)
        except OverLimit as error:
            if bound == self._max_bytes or (error.size or 0) > self._max_bytes:
                raise
            larger = error.size or self._max_bytes
            self._guess = max(self._guess, min(2 * (error.size or 0), self.budget.size // 4))
            data = self._held(uri, larger)
        self._silent[server] = 0
        return data

    def _held(self, uri: str, bound: int) -> bytes:
        self.budget.take(bound)
        used = 0
        try:
            data = self._source.read(uri, limit=bound)
            used = len(data)
            return data
        finally:
            self.budget.give_back(bound - used)

    def _too_large(self, size: int | None) -> str:
        return f"{'' if size is None else f'{size:,} bytes, '}over images.max_bytes ({self._max_bytes:,})"


def _failed(image_id: str, version: str, error: str) -> ImageRow:
    return ImageRow(image_id, version, "", error=error)
