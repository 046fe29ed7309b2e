"""Append-only shards of image vectors: written as images are encoded, found by encoder, image and version.

A crash loses the shard that is being written. Memory holds one shard of vectors, and one small row per image while a
view is made. Everything that reads a store's vectors does so in one pass, `map_shards`. What must stay out: reading and
encoding images (embedding/).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Set
from dataclasses import dataclass, field
from functools import partial
from itertools import tee
from pathlib import Path
from typing import Protocol, TypeVar, cast

import numpy as np
import polars as pl
import pyarrow as pa

from tac_pipeline.arrays import FloatMatrix
from tac_pipeline.arrow import encoder_of, frame_of
from tac_pipeline.digest import digest
from tac_pipeline.errors import ArtifactDamaged, InputError
from tac_pipeline.progress import Progress
from tac_pipeline.store.digests import is_named_by_digest, name_problem
from tac_pipeline.store.parquet import add_table, read_table, vectors_of
from tac_pipeline.store.schemas import EMBEDDING_SHARD

Part = TypeVar("Part")
Result = TypeVar("Result")

SHARD_ROWS = 4096  # 4 MiB at width 512
SHARD_SECONDS = 60.0  # a slower encoder writes smaller shards, so that a crash costs a minute's work at most
# A store that grows by a few images at a time would get one file each time: this many small ones are joined.
SMALL_SHARD_ROWS = 512
SMALL_SHARDS = 32
# How long the shards of an interrupted build are kept while another encoder is in use.
UNFINISHED_DAYS = 7
SHARD_REMEDY = "`tac check --repair`, then `tac run`: only its images are encoded again."

_ROW_COLUMNS = ["image_id", "version", "content_hash", "width", "height", "error", "note"]
INDEX_SCHEMA = {
    "image_id": pl.String,
    "version": pl.String,
    "content_hash": pl.String,
    "width": pl.Int32,
    "height": pl.Int32,
    "error": pl.String,
    "note": pl.String,
    "shard": pl.String,
    "row": pl.Int32,
}


# Raise it when files that could not be read may be readable by newer code: they are then read once more.
READER = "reader 2"


@dataclass(frozen=True)
class ImageRow:
    """The outcome for one image. A passing error (not reached, over a limit) leaves content_hash empty."""

    image_id: str
    version: str
    content_hash: str
    width: int = 0
    height: int = 0
    error: str | None = None
    # What was chosen to read it, such as the range of values of a 16-bit image; of a lasting error, the READER.
    note: str | None = None
    # The vector comes from an image with equal bytes that was encoded before.
    copied: bool = False


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
    since: float = field(default_factory=time.monotonic)

    @property
    def due(self) -> bool:
        return len(self.rows) >= SHARD_ROWS or time.monotonic() - self.since >= SHARD_SECONDS

    def take(self) -> tuple[list[ImageRow], FloatMatrix]:
        rows, vectors = self.rows, np.concatenate(self.vectors)
        self.rows, self.vectors, self.since = [], [], time.monotonic()
        return rows, vectors


def known_rows(manifest: pl.DataFrame, index: pl.DataFrame) -> pl.DataFrame:
    """The index rows of the manifest's images, one per image."""
    # Images that could not be reached, or were over a limit, are tried again, and those that older code could not read.
    lasting = (pl.col("content_hash") != "") & (pl.col("error").is_null() | (pl.col("note") == READER))
    # By one key, and the other compared: twice as quick as by both.
    wanted = manifest.select("image_id", wanted="version")
    held = wanted.join(index.filter(lasting), on="image_id").filter(pl.col("wanted") == pl.col("version"))
    held = held.select("image_id", "version", pl.exclude("image_id", "version", "wanted"))
    if held["image_id"].n_unique() == len(held):
        return held.with_columns(held=pl.lit(0, pl.UInt32))
    # Joined rows are in two shards. The shard with more of the wanted images stays, not the larger one: most of the
    # larger one's images may be gone.
    ranked = held.with_columns(held=pl.len().over("shard")).sort("held", "shard")
    return ranked.unique("image_id", keep="last")


def small_shards(counts: pl.DataFrame) -> pl.Series:
    """The shards to join, when they are many enough to be worth it; counts has the columns shard, count."""
    small = counts.filter(pl.col("count") < SMALL_SHARD_ROWS)["shard"]
    return small if len(small) >= SMALL_SHARDS else small.clear()


def join_small_shards(
    view: pl.DataFrame, folder: Path, encoder: str, *, small: pl.Series | None = None
) -> pl.DataFrame:
    """The view after many small shards are joined into few; small ones are removed once no version names them.

    `small` has the shards to join, where the view has not all rows of a store.
    """
    if small is None:
        small = small_shards(view["shard"].value_counts())
    if small.is_empty():
        return view
    scattered = view.filter(pl.col("shard").is_in(small.implode())).sort("shard", "row")
    joined = []
    for part in scattered.iter_slices(SHARD_ROWS):
        vectors = np.zeros((len(part), _width_of(folder / part["shard"][0])), dtype=np.float32)
        readable = part["error"].is_null().to_numpy()
        if readable.any():
            vectors[readable] = gather_vectors(part, folder, encoder=encoder)
        rows = [ImageRow(**row) for row in part.select(_ROW_COLUMNS).iter_rows(named=True)]
        places = _write_shard(rows, vectors, folder=folder, encoder=encoder)
        joined.append(part.with_columns(places["shard"], places["row"]))
    return pl.concat([view.filter(~pl.col("shard").is_in(small.implode())), *joined])


def _width_of(path: Path) -> int:
    return int(read_table(path, EMBEDDING_SHARD, columns=["embedding"]).schema.field("embedding").type.list_size)


def read_shard_index(folder: Path, *, encoder: str, among: Set[str] | None = None) -> pl.DataFrame:
    """Every row of an encoder's shards, or of some, without vectors; unreadable shards count as absent."""
    parts = []
    for path in sorted(folder.glob("*.parquet")):
        if among is not None and path.name not in among:
            continue
        try:
            table = read_table(path, EMBEDDING_SHARD, columns=_ROW_COLUMNS)
        except ArtifactDamaged as error:
            if error.file is None and path.exists():
                raise  # a disk or a limit of the system refused, and the images must not all be encoded again
            continue
        if encoder_of(table) == encoder:
            parts.append(_placed(frame_of(table), path.name))
    if not parts:
        return pl.DataFrame(schema=INDEX_SCHEMA)
    return pl.concat(parts)


def _placed(rows: pl.DataFrame, shard: str) -> pl.DataFrame:
    placed = rows.with_columns(shard=pl.lit(shard), row=pl.int_range(pl.len(), dtype=pl.Int32))
    return placed.select(pl.col(name).cast(kind) for name, kind in INDEX_SCHEMA.items())


def write_shards(
    batches: Iterable[EmbeddedBatch], folder: Path, encoder: str, total: int, progress: Progress | None
) -> Iterator[pl.DataFrame]:
    """Write batches as shards as they arrive, and yield the rows of each written shard."""
    pending, done = _Pending(), 0
    for batch in batches:
        pending.rows += batch.rows
        pending.vectors.append(batch.vectors)
        done += len(batch.rows)
        if progress is not None:
            progress(done, total)
        if pending.due:
            yield _write_shard(*pending.take(), folder=folder, encoder=encoder)
    if pending.rows:
        yield _write_shard(*pending.take(), folder=folder, encoder=encoder)


def _write_shard(rows: list[ImageRow], vectors: FloatMatrix, *, folder: Path, encoder: str) -> pl.DataFrame:
    columns = {name: [getattr(row, name) for row in rows] for name in _ROW_COLUMNS}
    path = add_table(folder, EMBEDDING_SHARD, {**columns, "embedding": vectors}, encoder=encoder)
    placed = _placed(pl.DataFrame(columns, schema={key: INDEX_SCHEMA[key] for key in _ROW_COLUMNS}), path.name)
    return placed.with_columns(copied=pl.Series([row.copied for row in rows], dtype=pl.Boolean))


def read_shard(path: Path, *, encoder: str) -> tuple[pl.DataFrame, FloatMatrix]:
    """A whole shard: its rows without vectors, and its vectors, float32 (n_rows, dim), zero for rows with an error.

    Raises
    ------
    ArtifactDamaged
        It is gone or damaged, or another encoder made it.
    """
    try:
        _require_same_bytes(path)
        table = read_table(path, EMBEDDING_SHARD)
        if encoder_of(table) != encoder:
            # A folder of shards is named by its encoder, which the file itself says too.
            spoiled = path if path.parent.name == digest(encoder) else None
            raise ArtifactDamaged(f"{path} must hold vectors of {encoder}; it says {encoder_of(table)}", file=spoiled)
        return frame_of(table.select(_ROW_COLUMNS)), _vectors(table, path)
    except ArtifactDamaged as error:
        raise ArtifactDamaged(f"{error}. {SHARD_REMEDY}", file=error.file) from error


def _require_same_bytes(path: Path) -> None:
    # The pages of newer shards have checksums, which the read verifies.
    if not is_named_by_digest(path) and path.exists() and (problem := name_problem(path)):
        raise ArtifactDamaged(problem, file=path)


def require_whole_shard(path: Path) -> None:
    """Raise ArtifactDamaged when a shard, of whatever encoder, cannot be read whole."""
    _vectors(read_table(path, EMBEDDING_SHARD), path)


def _vectors(table: pa.Table, path: Path) -> FloatMatrix:
    try:
        return vectors_of(table)
    except ArtifactDamaged as error:
        raise ArtifactDamaged(f"{path}: {error}", file=path) from error


class Executor(Protocol):
    """Decides where the work of a pass is done: in this process, in threads, in a cluster.

    A `concurrent.futures` executor is one too; it keeps the results of all shards until they are taken.
    """

    def map(self, function: Callable[[Part], Result], parts: Iterable[Part], /) -> Iterable[Result]:
        """The function's result for every part, in the order of the parts.

        Function, parts and results can be pickled. The parts are made one by one, as this asks for them.
        """


class InProcess:
    """Does the work in this process: a part is made and worked on when its result is asked for, and not before."""

    def map(self, function: Callable[[Part], Result], parts: Iterable[Part], /) -> Iterator[Result]:
        """The function's result for every part, in the order of the parts."""
        return map(function, parts)


IN_PROCESS = InProcess()


@dataclass(frozen=True, eq=False)
class ShardPart:
    """The rows of a view that are in one shard: the work of one step of a pass. It holds no vectors.

    Attributes
    ----------
    folder : Path
        The store's folder of shards.
    name : str
        The shard's path in it.
    rows : DataFrame
        The view's rows that are in this shard, in the view's order; `row` is the place in the shard.
    encoder : str
        Fingerprint of the encoder behind the vectors.
    """

    folder: Path
    name: str
    rows: pl.DataFrame
    encoder: str

    @property
    def path(self) -> Path:
        """The shard's file."""
        return self.folder / self.name

    def read_whole(self) -> tuple[pl.DataFrame, FloatMatrix]:
        """All rows of the shard, also those that the view does not have; see read_shard."""
        return read_shard(self.path, encoder=self.encoder)

    def read_vectors(self) -> FloatMatrix:
        """The vectors of `rows`, float32 (n_rows, dim), in their order; see read_shard."""
        _, vectors = self.read_whole()
        found: FloatMatrix = vectors[self.rows["row"].to_numpy()]
        return found


def map_shards(
    function: Callable[[ShardPart], Result],
    view: pl.DataFrame,
    shards: Path,
    *,
    encoder: str,
    executor: Executor = IN_PROCESS,
    progress: Progress | None = None,
) -> Iterator[tuple[ShardPart, Result]]:
    """One pass over the shards that hold a view's images: what a function makes of each of them.

    The function only reads and computes. The caller takes its results one after the other, and alone writes. With the
    executor IN_PROCESS no shard is read before the caller asks for its result. Held at once are then the view, one
    shard of vectors, and the result that the caller has: a caller that takes vectors lets go of them before it asks
    for more.

    Parameters
    ----------
    function : callable
        Takes a ShardPart and reads the shard, if it must. An executor that works in other processes pickles it and its
        result: it is a function of a module, or a `functools.partial` of one.
    view : DataFrame with shard, row
        And the columns that the function needs.
    shards : Path
        The store's folder of shards.
    encoder : str
        Fingerprint of the encoder behind them.
    executor : Executor
        Where the function runs; never changes the result.
    progress : callable, optional
        Is told how many of the view's rows are done, after the caller took the result of a shard.

    Yields
    ------
    part : ShardPart
        In the order in which the view first names the shards.
    result : object
        What the function returned.

    Raises
    ------
    Exception
        What the function raised, with a note that names the shard.
    """
    # The executor may make parts ahead of their results: this second iterator has the part of the next result.
    parts, given = tee(_parts(view, shards, encoder))
    results, done = iter(executor.map(partial(_on_shard, function), given)), 0
    for part in parts:
        # Not kept in a variable: what the caller let go of is not held while the next shard is read.
        yield part, next(results)
        done += len(part.rows)
        if progress is not None:
            progress(done, len(view))


def _parts(view: pl.DataFrame, shards: Path, encoder: str) -> Iterator[ShardPart]:
    for (name,), rows in view.group_by(["shard"], maintain_order=True):
        yield ShardPart(shards, str(name), rows, encoder)


def _on_shard(function: Callable[[ShardPart], Result], part: ShardPart) -> Result:
    try:
        return function(part)
    except Exception as error:
        error.add_note(f"This happened in shard {part.path}.")
        raise


def gather_vectors(view: pl.DataFrame, shards: Path, *, encoder: str) -> FloatMatrix:
    """The vectors of a view's readable rows, float32 (n_readable, dim), in the view's order.

    Holds all of these, and one shard of vectors.

    Raises
    ------
    InputError
        No row is readable.
    ArtifactDamaged
        A shard is gone or damaged, or another encoder made it.
    """
    readable = view.filter(pl.col("error").is_null()).select("shard", "row").with_row_index("position")
    if readable.is_empty():
        raise InputError("no image of the store can be read: see the errors in image_embeddings")
    found: FloatMatrix | None = None
    for part, vectors in map_shards(ShardPart.read_vectors, readable, shards, encoder=encoder):
        if found is None:
            found = np.empty((len(readable), vectors.shape[1]), dtype=np.float32)
        found[part.rows["position"].to_numpy()] = vectors
        del vectors  # else it is held while the next shard is read
    return cast("FloatMatrix", found)


def unnamed_shards(named: Set[str], shards: Path) -> list[Path]:
    """The shards that no kept version of image_embeddings names, and that may be removed; `named` are paths in shards.

    Shards of an encoder that no kept version has are from an interrupted build. That build continues from them when
    its encoder is used again, so they stay until the newest of them is UNFINISHED_DAYS old.
    """
    built = {name.split("/")[0] for name in named}
    since = time.time() - UNFINISHED_DAYS * 24 * 3600
    found = []
    for folder in shards.glob("*"):
        paths = list(folder.glob("*.parquet"))
        if folder.name in built or max((path.stat().st_mtime for path in paths), default=since) < since:
            found += [path for path in paths if f"{folder.name}/{path.name}" not in named]
    return found
