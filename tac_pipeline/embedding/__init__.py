"""Image vectors: append-only shards, and the view over them that is a version of image_embeddings.

Rows are found by (encoder, image_id, version), so only new or changed images are read; equal bytes are encoded once.
Shards are written one by one as images are encoded: a crash loses only the shard that is being written. Memory holds
the view (one small row per image), three batches of decoded images, and one shard of vectors. What must stay out: what
an encoder is (encoders/).
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
import polars as pl
import pyarrow as pa

from tac_pipeline.arrays import FloatMatrix
from tac_pipeline.digest import digest
from tac_pipeline.embedding.bounded_reads import UNREACHED, BoundedReads, Row, in_reading_order
from tac_pipeline.embedding.known_bytes import KEY_DIGITS, KnownInSegments, Place, hash_keys
from tac_pipeline.embedding.reading import HELD_BYTES, ByteBudget, ReadAhead, batches
from tac_pipeline.errors import SourceError
from tac_pipeline.progress import Progress
from tac_pipeline.sources import ByteReader, ManySources, VectorSource
from tac_pipeline.sources.decoding import DecodedImage, UnreadableImage, decode_image
from tac_pipeline.sources.vectors import VectorBatch
from tac_pipeline.store.parquet import read_table, vectors_of
from tac_pipeline.store.schemas import EMBEDDING_SHARD
from tac_pipeline.store.shards import (
    INDEX_SCHEMA,
    READER,
    EmbeddedBatch,
    ImageRow,
    join_small_shards,
    known_rows,
    read_shard_index,
    write_shards,
)

if TYPE_CHECKING:
    from tac_pipeline.encoders import Encoder
_Loaded = tuple[ImageRow, DecodedImage | None]
_PLACE = ("shard", "row", "width", "height")
BATCHES_AHEAD = 2
CONCURRENT_READS = 32
OPEN_SHARDS = 4  # 16 MiB at width 512


class KnownVectors:
    """The vectors that an encoder's shards hold, found by the bytes that they were made from.

    Those of earlier runs are looked up in arrays of about 100 bytes per image of the store. They are made when somebody
    asks; a table of given vectors never does. Beside them are the float16 vectors of the last OPEN_SHARDS shards.

    Parameters
    ----------
    folder : Path
        The encoder's shards.
    index : DataFrame, optional
        Their rows, of read_shard_index; read when somebody asks, if not given.
    known : callable, optional
        Gives what finds the vectors of earlier runs, in place of the index.
    """

    def __init__(
        self,
        folder: Path,
        index: pl.DataFrame | None,
        *,
        encoder: str,
        known: Callable[[], KnownInSegments] | None = None,
    ) -> None:
        self._folder, self._encoder = folder, encoder
        self._given, self._lookup = index, known
        self._before: _KnownBefore | KnownInSegments | None = None
        self._making = threading.Lock()
        # Of the shards that this run wrote; their rows are looked into when somebody asks.
        self._written: list[pl.DataFrame] = []
        self._places: dict[bytes, Place] = {}
        # By name, the last used at the end.
        self._opened: dict[str, pa.Table] = {}
        # Encoded in this run, but not yet in a shard.
        self._pending: dict[bytes, tuple[FloatMatrix, int, int]] = {}

    def find(self, content_hash: str) -> tuple[int, int] | None:
        """Width and height of the image with these bytes; None when its vector is not known."""
        key = _key(content_hash)
        # One look in each, and in this order: another thread may be moving it from the first to the second.
        pending = self._pending.get(key)
        if pending is not None:
            return pending[1:]
        place = self._place(content_hash)
        return None if place is None else place[2:]

    def _place(self, content_hash: str) -> Place | None:
        with self._making:
            while self._written:
                readable = self._written[0].filter(pl.col("error").is_null())
                for hash_, *where in readable.select("content_hash", *_PLACE).iter_rows():
                    self._places[_key(hash_)] = cast("Place", tuple(where))
                del self._written[0]
            place = self._places.get(_key(content_hash))
            if place is not None:
                return place
            if self._before is None:
                self._before = _KnownBefore(self._index) if self._lookup is None else self._lookup()
        return self._before.find(content_hash)

    @cached_property
    def _index(self) -> pl.DataFrame:
        return read_shard_index(self._folder, encoder=self._encoder) if self._given is None else self._given

    def sizes(self) -> pl.DataFrame:
        """Columns content_hash, width, height of all that was known before this run."""
        return self._index.filter(pl.col("error").is_null()).select("content_hash", "width", "height")

    def vectors(self, content_hashes: Sequence[str]) -> list[FloatMatrix]:
        """The vectors of bytes that `find` knows, each float32 (dim,), unit; each shard is read only once."""
        keys = [_key(content_hash) for content_hash in content_hashes]
        found = {key: self._pending[key][0] for key in keys if key in self._pending}
        rows_of: dict[str, dict[bytes, int]] = {}
        for key, content_hash in zip(keys, content_hashes, strict=True):
            if key not in found:
                place = self._place(content_hash)
                if place is None:
                    raise KeyError(content_hash)
                rows_of.setdefault(place[0], {})[key] = place[1]
        for shard, rows in rows_of.items():
            found |= zip(rows, vectors_of(self._open(shard).take(list(rows.values()))), strict=True)
        return [found[key] for key in keys]

    def _open(self, shard: str) -> pa.Table:
        # Moved files come in the order in which they were encoded, so the next batch mostly needs the same shard.
        table = self._opened.pop(shard, None)
        if table is None:
            table = read_table(self._folder / shard, EMBEDDING_SHARD, columns=["embedding"])
        self._opened[shard] = table
        if len(self._opened) > OPEN_SHARDS:
            del self._opened[next(iter(self._opened))]
        return table

    def remember(self, row: ImageRow, vector: FloatMatrix) -> None:
        """Remember a new vector."""
        self._pending[_key(row.content_hash)] = (vector, row.width, row.height)

    def written(self, rows: pl.DataFrame) -> None:
        """Remember that a shard holds these rows now."""
        self._written.append(rows)
        self._pending.clear()


class _KnownBefore:
    """Where the vectors of an index's readable rows are, found by their content hash."""

    def __init__(self, index: pl.DataFrame) -> None:
        rows = index.filter(pl.col("error").is_null()).select("content_hash", *_PLACE)
        keys = hash_keys(rows["content_hash"])
        # Of equal bytes the last row counts.
        self._order = np.argsort(keys, kind="stable")
        self._keys, self._rows = keys[self._order], rows

    def find(self, content_hash: str) -> Place | None:
        """The shard, the row in it, width and height of the image with these bytes."""
        key = int(content_hash[:KEY_DIGITS], 16)
        first, end = np.searchsorted(self._keys, key), np.searchsorted(self._keys, key, side="right")
        for row in reversed(self._order[first:end].tolist()):
            found, *place = self._rows.row(row)
            if found == content_hash:
                return cast("Place", tuple(place))
        return None


class NoKnownVectors(KnownVectors):
    """For images outside every store: no vector is kept from one batch to the next."""

    def __init__(self) -> None:
        super().__init__(Path(), pl.DataFrame(schema=INDEX_SCHEMA), encoder="")

    def find(self, content_hash: str) -> None:
        """Nothing is known, because batches are read ahead and a known vector could be forgotten meanwhile."""
        return

    def forget(self) -> None:
        """Forget the vectors of this batch."""
        self._pending.clear()


def _key(content_hash: str) -> bytes:
    # Half of a sha256 is unique among any number of images.
    return bytes.fromhex(content_hash[:32])


def embed_missing(
    manifest: pl.DataFrame,
    embed: Callable[[pl.DataFrame, KnownVectors], Iterable[EmbeddedBatch]],
    *,
    shards: Path,
    encoder: str,
    progress: Progress | None = None,
    try_again_after: float = 0,
    among: Set[str] | None = None,
    small: pl.Series | None = None,
    known_bytes: Callable[[], KnownInSegments] | None = None,
) -> pl.DataFrame:
    """Embed the images of a manifest that no shard holds yet, and return the view of all of them.

    Parameters
    ----------
    manifest : DataFrame with image_id, version (the table image_manifest)
    embed : callable
        Takes the missing manifest rows and the known vectors, and yields these rows embedded, in any order.
    shards : Path
        The store's folder of shards, in which each encoder has its own folder.
    encoder : str
        Fingerprint of the encoder.
    try_again_after : float
        Seconds for which an image that could not be read is not read again.
    among : set of str, optional
        The shards, by their names in the encoder's folder, in which the images are looked for by name; None = all.
    small : Series of String, optional
        The shards to join into larger ones, where the manifest has not all images of the store.
    known_bytes : callable, optional
        Gives what finds the vectors of known bytes, where the manifest has not all images of the store.

    Returns
    -------
    DataFrame with the columns of image_embeddings, `computed` (read in this run) and `copied` (in this run, from an
    image with equal bytes), sorted by image_id

    Raises
    ------
    SourceError
        The source changed while it was being read.
    """
    folder = shards / digest(encoder)
    index = read_shard_index(folder, encoder=encoder, among=among)
    known = known_rows(manifest, index)
    if try_again_after:
        known = pl.concat([known, _waiting_rows(manifest, index, known, folder, try_again_after).select(known.columns)])
    missing = manifest.join(known, on="image_id", how="anti")
    written: list[pl.DataFrame] = []
    if len(missing):
        every = index if among is None else None
        vectors = KnownVectors(folder, every, encoder=encoder, known=known_bytes)
        batches = embed(missing, vectors)
        for rows in write_shards(batches, folder, encoder, len(missing), progress):
            vectors.written(rows)
            written.append(rows)
    kept = known.select(list(INDEX_SCHEMA)).with_columns(copied=pl.lit(False))
    view = pl.concat([rows.with_columns(computed=pl.lit(place > 0)) for place, rows in enumerate([kept, *written])])
    if len(view) != len(manifest):
        raise SourceError(
            f"every image of the manifest must be embedded; {len(manifest) - len(view)} of {len(manifest)} are not. "
            "The source changed while it was read: run again."
        )
    if written:  # deletions alone rewrite no vectors
        view = join_small_shards(view, folder, encoder, small=small)
    return view.with_columns(shard=pl.format("{}/{}", pl.lit(folder.name), "shard")).drop("version").sort("image_id")


def _waiting_rows(
    manifest: pl.DataFrame, index: pl.DataFrame, known: pl.DataFrame, folder: Path, seconds: float
) -> pl.DataFrame:
    """The rows of images that could not be read and are not yet to be read again."""
    unreached = index.filter(pl.col("error").str.starts_with(UNREACHED)).join(known, on="image_id", how="anti")
    # A shard is written when its images were read, and never changed.
    since = time.time() - seconds
    recent = [name for name in unreached["shard"].unique() if (folder / name).stat().st_mtime > since]
    rows = unreached.filter(pl.col("shard").is_in(recent)).join(manifest, on=["image_id", "version"], how="semi")
    return rows.with_columns(held=pl.lit(0, pl.UInt32)).unique("image_id", keep="last")


def given_batches(missing: pl.DataFrame, source: VectorSource | ManySources) -> Iterator[EmbeddedBatch]:
    """Rows of a vector table, in the same form as encoded images; a vector that cannot be used is a row with its error.

    Raises
    ------
    SourceError
        The table cannot be read, or no width is common to at least half of its vectors.
    """
    wanted = dict(zip(missing["image_id"], missing["version"], strict=True))
    for batch in source.vectors(wanted):
        found = zip(batch.image_ids, batch.digests, strict=True)
        picked = [row for row, (image_id, digest_) in enumerate(found) if wanted.get(image_id) == digest_]
        if picked:
            rows = [_given_row(batch, row) for row in picked]
            yield EmbeddedBatch(rows, batch.vectors[picked])


def _given_row(batch: VectorBatch, row: int) -> ImageRow:
    digest_, error = batch.digests[row], batch.errors[row]
    return ImageRow(batch.image_ids[row], digest_, digest_, error=error, note=None if error is None else READER)


def encoded_batches(
    missing: pl.DataFrame,
    source: ByteReader,
    encoder: Encoder,
    *,
    known: KnownVectors,
    batch_size: int,
    max_pixels: int,
    max_bytes: int,
    concurrent_reads: int = CONCURRENT_READS,
    any_order: bool = False,
    threads: int | None = None,
) -> Iterator[EmbeddedBatch]:
    """Read, decode and encode image files; an image that cannot be read becomes a row with its error.

    Reading and decoding run in threads of their own, BATCHES_AHEAD batches ahead of the encoder. Bytes with a known
    vector are neither decoded nor encoded. At most HELD_BYTES are read and not yet decoded, or one
    larger image.

    Parameters
    ----------
    missing : DataFrame with image_id, uri, size, version
        The rows of a manifest.
    concurrent_reads : int
        How many images are read at once.
    any_order : bool
        Whether images that come late are in a later batch, so that nothing waits for them.
    threads : int, optional
        How many images are decoded at once; None = the number of cores.
    """
    reads = BoundedReads(source, max_bytes=max_bytes, budget=ByteBudget(HELD_BYTES))

    def read(row: Row) -> Callable[[], _Loaded]:
        data = reads.read(row)
        if isinstance(data, ImageRow):
            return lambda: (data, None)
        # The list lets go of the bytes as soon as they are decoded.
        held, size = [data], len(data)

        def decode() -> _Loaded:
            try:
                return load_image(row, held.pop(), encoder, known=known, max_pixels=max_pixels)
            finally:
                reads.budget.give_back(size)

        return decode

    rows = in_reading_order(missing) if any_order else missing
    ahead = max((1 + BATCHES_AHEAD) * batch_size, concurrent_reads)
    with ReadAhead(read, readers=concurrent_reads, decoders=threads) as pool:
        loading = (pool.submit(row) for part in rows.iter_slices(batch_size) for row in part.iter_rows(named=True))
        for loaded in batches(loading, size=batch_size, ahead=ahead, any_order=any_order):
            yield _encode(loaded, encoder, known)


def load_image(
    row: Row, data: bytes, encoder: Encoder, *, known: KnownVectors, max_pixels: int
) -> tuple[ImageRow, DecodedImage | None]:
    """Make the bytes of one manifest row the encoder's square; a damaged image never raises.

    No error and no pixels mean that the vector of the image's bytes is already known.
    """
    image_id, version = str(row["image_id"]), str(row["version"])
    content_hash = hashlib.sha256(data).hexdigest()
    size = known.find(content_hash)
    if size is not None and size[0] * size[1] <= max_pixels:
        return ImageRow(image_id, version, content_hash, *size, copied=True), None
    try:
        image = decode_image(
            data,
            size=encoder.image_size,
            max_pixels=max_pixels,
            resize_mode=encoder.resize_mode,
            interpolation=encoder.interpolation,
        )
    except UnreadableImage as error:
        # Over a limit that settings can raise: without a content hash the image is tried again.
        return ImageRow(
            image_id, version, "" if error.over_limit else content_hash, error=str(error), note=READER
        ), None
    return ImageRow(image_id, version, content_hash, image.width, image.height, note=image.note), image


def _encode(loaded: list[_Loaded], encoder: Encoder, known: KnownVectors) -> EmbeddedBatch:
    rows = [row for row, _ in loaded]
    # Of equal bytes only the first is encoded; an equal image may have arrived after this batch was read.
    new: dict[str, int] = {}
    for place, (row, image) in enumerate(loaded):
        if image is not None and row.content_hash not in new and known.find(row.content_hash) is None:
            new[row.content_hash] = place
    if new:
        images = [image for image in (loaded[place][1] for place in new.values()) if image is not None]
        for place, vector in zip(
            new.values(), encoder.encode_images(np.stack([image.pixels for image in images])), strict=True
        ):
            known.remember(rows[place], vector)
    vectors = np.zeros((len(rows), encoder.dim), dtype=np.float32)
    encoded = set(new.values())
    readable = [place for place, row in enumerate(rows) if row.error is None]
    for place, vector in zip(readable, known.vectors([rows[place].content_hash for place in readable]), strict=True):
        vectors[place] = vector
        rows[place] = replace(rows[place], copied=place not in encoded)
    return EmbeddedBatch(rows, vectors)
