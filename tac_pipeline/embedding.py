"""Image vectors: append-only shards, and the view over them that is a version of image_embeddings.

Rows are found by (encoder, image_id, version), so only new or changed images are read. Shards are written one by one
as images are encoded: a crash loses the shard in flight. At once this holds the view (one small row an image), the
images being decoded (three batches), and one shard of vectors. What must stay out: what an encoder is (encoders/).
"""

from __future__ import annotations

import hashlib
import os
import uuid
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from tac_pipeline.decoding import DecodedImage, UnreadableImage, decode_image
from tac_pipeline.digest import digest
from tac_pipeline.errors import ArtifactDamaged, InputError, SourceError
from tac_pipeline.method.arrays import FloatMatrix
from tac_pipeline.progress import Progress
from tac_pipeline.sources import ByteSource, VectorSource
from tac_pipeline.tables import EMBEDDING_SHARD, encoder_of, read_table, vectors_of, write_table

if TYPE_CHECKING:
    from tac_pipeline.encoders import Encoder

SHARD_ROWS = 4096  # 4 MiB at width 512; at 100 images a second a crash costs 40 s
BATCHES_AHEAD = 2

# How the error of an image begins whose bytes could not be had: it may be there next time.
UNREACHED = "cannot be read: "

_ROW_COLUMNS = ["image_id", "version", "content_hash", "width", "height", "error"]
_INDEX_SCHEMA = {
    "image_id": pl.String,
    "version": pl.String,
    "content_hash": pl.String,
    "width": pl.Int32,
    "height": pl.Int32,
    "error": pl.String,
    "shard": pl.String,
    "row": pl.Int32,
}


@dataclass(frozen=True)
class ImageRow:
    """What came of one image. An error that may pass (not reached, over a limit) leaves content_hash empty."""

    image_id: str
    version: str
    content_hash: str
    width: int = 0
    height: int = 0
    error: str | None = None


@dataclass
class EmbeddedBatch:
    """Rows and their vectors, float32 (n_rows, dim); a row with an error has a zero vector."""

    rows: list[ImageRow]
    vectors: FloatMatrix


@dataclass
class _Pending:
    """Rows that wait to become a shard."""

    rows: list[ImageRow] = field(default_factory=list)
    vectors: list[FloatMatrix] = field(default_factory=list)

    def take(self) -> tuple[list[ImageRow], FloatMatrix]:
        rows, vectors = self.rows, np.concatenate(self.vectors)
        self.rows, self.vectors = [], []
        return rows, vectors


def embed_missing(
    manifest: pl.DataFrame,
    embed: Callable[[pl.DataFrame], Iterable[EmbeddedBatch]],
    *,
    shards: Path,
    encoder: str,
    progress: Progress | None = None,
) -> pl.DataFrame:
    """Embed the images of a manifest that no shard holds yet, and return the view of all of them.

    Parameters
    ----------
    manifest : DataFrame with image_id, version (the table image_manifest)
    embed : callable
        Takes the manifest rows that are missing and yields them embedded, in any order.
    shards : Path
        The store's folder of shards; those of one encoder lie together.
    encoder : str
        Fingerprint of the encoder.

    Returns
    -------
    DataFrame with the columns of image_embeddings and `computed`, sorted by image_id
    """
    folder = shards / digest(encoder)
    wanted = manifest.select("image_id", "version")
    # What could not be reached, or was over a limit, is tried again.
    known = wanted.join(
        read_shard_index(folder, encoder=encoder).filter(pl.col("content_hash") != ""), on=["image_id", "version"]
    )
    missing = manifest.join(known, on="image_id", how="anti")
    written = list(_write_shards(embed(missing), folder, encoder, len(missing), progress)) if len(missing) else []
    found = [known.select(list(_INDEX_SCHEMA)), *written]
    view = pl.concat([rows.with_columns(computed=pl.lit(place > 0)) for place, rows in enumerate(found)])
    if len(view) != len(manifest):
        raise SourceError(
            f"every image of the manifest must be embedded; {len(manifest) - len(view)} of {len(manifest)} are not. "
            "The source changed while it was read: run again."
        )
    return view.with_columns(shard=pl.format("{}/{}", pl.lit(folder.name), "shard")).drop("version").sort("image_id")


def read_shard_index(folder: Path, *, encoder: str) -> pl.DataFrame:
    """Every row of an encoder's shards without its vector; shards that cannot be read count as absent."""
    parts = []
    for path in sorted(folder.glob("*.parquet")):
        try:
            table = read_table(path, EMBEDDING_SHARD, columns=_ROW_COLUMNS)
        except ArtifactDamaged:
            continue
        if encoder_of(table) == encoder:
            parts.append(_placed(pl.DataFrame(pl.from_arrow(table)), path.name))
    if not parts:
        return pl.DataFrame(schema=_INDEX_SCHEMA)
    return pl.concat(parts).unique(["image_id", "version"], keep="last")


def _placed(rows: pl.DataFrame, shard: str) -> pl.DataFrame:
    placed = rows.with_columns(shard=pl.lit(shard), row=pl.int_range(pl.len(), dtype=pl.Int32))
    return placed.select(pl.col(name).cast(kind) for name, kind in _INDEX_SCHEMA.items())


def _write_shards(
    batches: Iterable[EmbeddedBatch], folder: Path, encoder: str, total: int, progress: Progress | None
) -> Iterator[pl.DataFrame]:
    pending, done = _Pending(), 0
    for batch in batches:
        pending.rows += batch.rows
        pending.vectors.append(batch.vectors)
        done += len(batch.rows)
        if progress is not None:
            progress(done, total)
        if len(pending.rows) >= SHARD_ROWS:
            yield _write_shard(*pending.take(), folder=folder, encoder=encoder)
    if pending.rows:
        yield _write_shard(*pending.take(), folder=folder, encoder=encoder)


def _write_shard(rows: list[ImageRow], vectors: FloatMatrix, *, folder: Path, encoder: str) -> pl.DataFrame:
    folder.mkdir(parents=True, exist_ok=True)
    columns = {name: [getattr(row, name) for row in rows] for name in _ROW_COLUMNS}
    name = f"{uuid.uuid4().hex[:16]}.parquet"
    aside = folder / f".{name}"
    try:
        write_table(aside, EMBEDDING_SHARD, {**columns, "embedding": vectors}, encoder=encoder)
        with aside.open("rb") as file:
            os.fsync(file.fileno())
        aside.rename(folder / name)
    finally:
        aside.unlink(missing_ok=True)
    return _placed(pl.DataFrame(columns, schema={key: _INDEX_SCHEMA[key] for key in _ROW_COLUMNS}), name)


def given_batches(missing: pl.DataFrame, source: VectorSource) -> Iterator[EmbeddedBatch]:
    """Rows of a vector table, as if they had just been encoded.

    Raises
    ------
    InputError
        A vector is NaN, infinite or zero, or the widths differ.
    """
    wanted = dict(zip(missing["image_id"], missing["version"], strict=True))
    for ids, digests, vectors in source.vectors():
        picked = [row for row, (image_id, found) in enumerate(zip(ids, digests, strict=True))
                  if wanted.get(image_id) == found]  # fmt: skip
        if picked:
            rows = [ImageRow(ids[row], digests[row], digests[row]) for row in picked]
            yield EmbeddedBatch(rows, vectors[picked])


def encoded_batches(
    missing: pl.DataFrame,
    source: ByteSource,
    encoder: Encoder,
    *,
    batch_size: int,
    max_pixels: int,
    max_bytes: int,
    threads: int | None = None,
) -> Iterator[EmbeddedBatch]:
    """Read, decode and encode image files; what cannot be read becomes a row with its error.

    Reading and decoding run in threads, BATCHES_AHEAD batches ahead of the encoder.
    """

    def load(row: dict[str, str | int | None]) -> tuple[ImageRow, DecodedImage | None]:
        return load_image(row, source, encoder, max_pixels=max_pixels, max_bytes=max_bytes)

    with ThreadPoolExecutor(threads or os.cpu_count() or 1, thread_name_prefix="decode") as pool:
        slices = missing.iter_slices(batch_size)
        submitted: Iterator[list[Future[tuple[ImageRow, DecodedImage | None]]]] = (
            [pool.submit(load, row) for row in part.iter_rows(named=True)] for part in slices
        )
        ahead = [batch for _, batch in zip(range(BATCHES_AHEAD), submitted, strict=False)]
        for upcoming in chain(submitted, [None] * len(ahead)):
            if upcoming is not None:
                ahead.append(upcoming)
            yield _encode([future.result() for future in ahead.pop(0)], encoder)


def load_image(
    row: dict[str, str | int | None], source: ByteSource, encoder: Encoder, *, max_pixels: int, max_bytes: int
) -> tuple[ImageRow, DecodedImage | None]:
    """Read the image of one manifest row and make it the encoder's square; what is wrong with it never raises."""
    image_id, version = str(row["image_id"]), str(row["version"])
    known_size = row["size"]
    if isinstance(known_size, int) and known_size > max_bytes:
        return _failed(image_id, version, f"{known_size:,} bytes, over images.max_bytes ({max_bytes:,})"), None
    try:
        data = source.read(str(row["uri"]))
    except (OSError, ValueError) as error:
        return _failed(image_id, version, f"{UNREACHED}{getattr(error, 'strerror', None) or error}"), None
    if len(data) > max_bytes:
        return _failed(image_id, version, f"{len(data):,} bytes, over images.max_bytes ({max_bytes:,})"), None
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
        content_hash = "" if error.over_limit else hashlib.sha256(data).hexdigest()
        return ImageRow(image_id, version, content_hash, error=str(error)), None
    content_hash = hashlib.sha256(data).hexdigest()
    return ImageRow(image_id, version, content_hash, image.width, image.height), image


def _failed(image_id: str, version: str, error: str) -> ImageRow:
    return ImageRow(image_id, version, "", error=error)


def _encode(loaded: list[tuple[ImageRow, DecodedImage | None]], encoder: Encoder) -> EmbeddedBatch:
    vectors = np.zeros((len(loaded), encoder.dim), dtype=np.float32)
    images = [(place, image) for place, (_, image) in enumerate(loaded) if image is not None]
    if images:
        pixels = np.stack([image.pixels for _, image in images])
        vectors[[place for place, _ in images]] = encoder.encode_images(pixels)
    return EmbeddedBatch([row for row, _ in loaded], vectors)


def shard_vectors(view: pl.DataFrame, shards: Path, *, encoder: str) -> Iterator[tuple[pl.DataFrame, FloatMatrix]]:
    """The readable images of a view, shard by shard, with their vectors.

    Yields
    ------
    (DataFrame, float32 (n_rows, dim))
        Rows of the view that lie in one shard, and their unit vectors in the same order.

    Raises
    ------
    ArtifactDamaged
        A shard is gone or damaged, or another encoder made it.
    """
    readable = view.filter(pl.col("error").is_null())
    for (name,), rows in readable.group_by(["shard"], maintain_order=True):
        path = shards / str(name)
        try:
            table = read_table(path, EMBEDDING_SHARD, columns=["embedding"])
        except ArtifactDamaged as error:
            raise ArtifactDamaged(
                f"{error}. Materialize image_embeddings again: only what is lost is redone."
            ) from error
        if encoder_of(table) != encoder:
            raise ArtifactDamaged(f"{path} must hold vectors of {encoder}; it says {encoder_of(table)}")
        yield rows, vectors_of(table)[rows["row"].to_numpy()]


def gather_vectors(view: pl.DataFrame, shards: Path, *, encoder: str) -> FloatMatrix:
    """The vectors of readable view rows, float32 (n_rows, dim), in the view's order."""
    positions = view.with_row_index("position")
    found: FloatMatrix | None = None
    for rows, vectors in shard_vectors(positions, shards, encoder=encoder):
        if found is None:
            found = np.empty((len(view), vectors.shape[1]), dtype=np.float32)
        found[rows["position"].to_numpy()] = vectors
    if found is None:
        raise InputError("no image of the store can be read: see the errors in image_embeddings")
    return found


def unnamed_shards(views: Iterable[pl.DataFrame], shards: Path) -> list[Path]:
    """The shards that no kept version of image_embeddings names: the ones that may go."""
    named = set(chain.from_iterable(view["shard"].unique().to_list() for view in views))
    return [path for path in shards.glob("*/*.parquet") if f"{path.parent.name}/{path.name}" not in named]
