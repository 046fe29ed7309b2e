"""The codes of a store's images by cell, and the near-duplicates that were found: kept, so that only new images cost.

    .near/5b1e.../                 one folder per encoder and least cosine
      record.json                  which files count, and which segments of the view are in them
      8f02....npz                  the cells
      91ab....parquet              a run: the codes of some images, by cell
      c77d....parquet              pairs

What is here is said of contents, by their hash keys (embedding/known_bytes.py): it stays true when an image moves, goes
or comes back. Cells are made once, from the store's own vectors, and again when the store has grown GROWN times: what
is learned does not touch them. A folder that is lost or damaged is made again.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from tac_pipeline.arrays import FloatMatrix, IntVector
from tac_pipeline.digest import digest
from tac_pipeline.embedding.known_bytes import hash_keys, sorted_keys
from tac_pipeline.errors import ArtifactDamaged
from tac_pipeline.files import adding
from tac_pipeline.progress import Progress
from tac_pipeline.results.review.near import Cells, Codes, Mask, make_cells, pairs_in_cell, sample_size
from tac_pipeline.store.digests import digest_name, name_problem, read_sealed, write_sealed
from tac_pipeline.store.parquet import TableSchema, add_table, read_frame, read_rows_between, read_table
from tac_pipeline.store.schemas import HASH_KEYS, NEAR_PAIRS, near_codes
from tac_pipeline.store.segments.derived import UNUSED_DAYS, Derived
from tac_pipeline.store.segments.reading import Rows
from tac_pipeline.store.segments.sums import shard_counts
from tac_pipeline.store.shards import ShardPart, map_shards

RECORD_NAME = "record.json"
# Raise it when other code would find other pairs: everything is then compared again.
NEAR_CODE = 1
# Images of one run, and rows of codes that are compared at once.
RUN_IMAGES, BATCH_ROWS = 262_144, 131_072
# Blocks of cells that are compared at once, on as many cores; each holds a batch.
MOST_THREADS = 4
# So many small files are joined.
SMALL_FILES = 16
# Shards from which the sample for the cells is taken.
MOST_SHARDS = 64
# With so many times the images, or so many times fewer, the cells no longer suit the store.
GROWN = 4


@dataclass(frozen=True)
class View:
    """The images of a store.

    Attributes
    ----------
    parts : sequence of Rows with content_hash, error, shard, row (the table image_embeddings)
    n_images : int
        In all parts.
    derived : Derived
    shards : Path
        The store's folder of shards.
    encoder : str
        Fingerprint of the encoder behind them.
    progress : callable, optional
        Is told how many of the new images have codes.
    """

    parts: Sequence[Rows]
    n_images: int
    derived: Derived
    shards: Path
    encoder: str
    progress: Progress | None = None

    def keys(self, parts: Sequence[Rows]) -> list[IntVector]:
        """The hash keys of some parts, each ascending."""
        return [self.derived.of(part, HASH_KEYS, sorted_keys)["key"].to_numpy() for part in parts]


def near_pairs(view: View, folder: Path, *, similarity: float) -> pl.DataFrame:
    """All near-duplicates of a store: columns left, right (hash keys), cosine.

    New contents are compared with all others, and nothing else is. Contents that are gone may be among the pairs. Held
    at once are 16 bytes for each image of changed segments, 20 for each pair, and BATCH_ROWS codes for each thread.

    Parameters
    ----------
    view : View
    folder : Path
        Of the store; what is found is kept in it.
    similarity : float
        The least cosine.

    Raises
    ------
    ArtifactDamaged
        A shard is gone or damaged.
    """
    own = folder / digest([NEAR_CODE, view.encoder, similarity])
    _forget_unused(folder, own)
    index = _Index.read(own, similarity=similarity)
    if index is not None and index.suits(view.n_images):
        try:
            return index.renewed(view)
        except ArtifactDamaged as error:
            if error.file is None or own not in error.file.parents:
                raise
    shutil.rmtree(own, ignore_errors=True)
    return _Index(own, similarity, {"made_for": view.n_images, "taken": [], "runs": {}, "pairs": []}).renewed(view)


def _forget_unused(folder: Path, own: Path) -> None:
    """Remove what other encoders and limits left, when no run has used it in a long time."""
    with suppress(OSError):
        os.utime(own / RECORD_NAME)
    since = time.time() - UNUSED_DAYS * 24 * 3600
    for record in folder.glob(f"*/{RECORD_NAME}"):
        with suppress(OSError):
            if record.parent != own and record.stat().st_mtime < since:
                shutil.rmtree(record.parent, ignore_errors=True)


@dataclass
class _Index:
    """What is in the folder, and what its record says: cells, taken, runs (rows by name), pairs (names), made_for."""

    folder: Path
    similarity: float
    record: dict[str, Any]
    _read: Cells | None = None

    @classmethod
    def read(cls, folder: Path, *, similarity: float) -> _Index | None:
        try:
            found = cls(folder, similarity, read_sealed(folder / RECORD_NAME))
        except (OSError, ValueError):
            return None
        return found if all((folder / name).is_file() for name in found.files) else None

    @property
    def files(self) -> set[str]:
        """The files that count, beside the record."""
        cells = {self.record["cells"]} if "cells" in self.record else set()
        return {*cells, *self.record["runs"], *self.record["pairs"]}

    @property
    def images(self) -> int:
        return sum(images for images, _ in self.record["runs"].values())

    def suits(self, n_images: int) -> bool:
        # Contents that are gone are still in the runs.
        return max(n_images, 1) <= GROWN * max(self.record["made_for"], 1) and self.images <= GROWN * n_images

    def renewed(self, view: View) -> pl.DataFrame:
        """Take in the segments that are new, and give all pairs."""
        taken = set(self.record["taken"])
        parts = [part for part in view.parts if part.digest not in taken]
        if parts:
            from threadpoolctl import threadpool_limits

            # Thousands of small products: beside other work, threads of one product that wait for each other took five
            # times as long. Blocks of cells have a thread each.
            with threadpool_limits(limits=1):
                self._take_in(view, parts)
            self.record["taken"] = [part.digest for part in view.parts]
            self._commit()
        return self._pairs()

    def _take_in(self, view: View, parts: Sequence[Rows]) -> None:
        keys = view.keys(parts)
        missing = self._not_known(np.unique(np.concatenate(keys)))
        if not len(missing):
            return
        before, new = [*self.record["runs"]], dict[str, tuple[int, int]]()
        held = [part for part, own in zip(parts, keys, strict=True) if _are_among(own, missing).any()]
        for rows in _in_runs(_missing_rows(held, missing)):
            name, size = self._write_run(rows, self._cells(view), view)
            new[name] = len(rows), size
            if view.progress is not None:
                view.progress(sum(images for images, _ in new.values()), len(missing))
        if not new:
            return
        self.record["runs"] |= new
        found = self._compare(before, [*new], self._cells(view))
        if len(found):
            self.record["pairs"].append(add_table(self.folder, NEAR_PAIRS, found).name)
        self._join_runs()
        if len(self.record["pairs"]) > SMALL_FILES:
            self.record["pairs"] = [add_table(self.folder, NEAR_PAIRS, self._pairs()).name]

    def _not_known(self, keys: IntVector) -> IntVector:
        """Those of some ascending keys of which no run has a code."""
        known = np.zeros(len(keys), dtype=bool)
        for name in self.record["runs"]:
            table = read_frame(self.folder / name, self._schema, columns=["key", "home"])
            own = table.filter("home")["key"].to_numpy()
            known[np.searchsorted(keys, own[_are_among(own, keys)])] = True
        return keys[~known]

    @property
    def _schema(self) -> TableSchema:
        return near_codes(self.record["width"])

    def _cells(self, view: View) -> Cells:
        if self._read is None:
            if "cells" in self.record:
                self._read = _read_cells(self.folder / self.record["cells"])
            else:
                self._read = make_cells(_sample(view), n_images=view.n_images)
                self.record["cells"] = _write_cells(self.folder, self._read)
                self.record["width"] = len(self._read.basis)
        return self._read

    def _write_run(self, rows: pl.DataFrame, cells: Cells, view: View) -> tuple[str, int]:
        """Write the codes of some images: columns key, shard, row; the name of the file, and the rows in it."""
        encode = partial(_encode, cells=cells, similarity=self.similarity)
        found = map_shards(encode, rows, view.shards, encoder=view.encoder)
        parts = [(part.rows["key"].to_numpy(), codes, places) for part, (codes, places) in found]
        key, codes, places = (np.concatenate(column) for column in zip(*parts, strict=True))
        row, column = np.nonzero(places >= 0)
        cell = places[row, column]
        order = np.lexsort((key[row], cell))
        run = _Codes(cell[order], key[row][order], (column == 0)[order], codes[row[order]])
        return add_table(self.folder, self._schema, run.columns()).name, len(order)

    def _compare(self, before: list[str], new: list[str], cells: Cells) -> pl.DataFrame:
        """The near-duplicates of which at least one is in a new run: the table NEAR_PAIRS."""
        touched = [read_frame(self.folder / name, self._schema, columns=["cell"])["cell"].unique() for name in new]
        wanted = np.unique(np.concatenate([cell.to_numpy() for cell in touched]))
        rows_of_cell = sum(size for _, size in self.record["runs"].values()) / len(cells.centers)
        together = max(1, int(BATCH_ROWS / rows_of_cell))
        blocks = np.split(wanted, np.flatnonzero(np.diff(wanted // together)) + 1)
        compare = partial(self._compare_block, before=before, new=new, cells=cells)
        with ThreadPoolExecutor(min(MOST_THREADS, os.cpu_count() or 1), thread_name_prefix="near") as pool:
            found = [NEAR_PAIRS_NONE, *pool.map(compare, blocks)]
        return _unique_pairs(pl.concat(found))

    def _compare_block(self, block: IntVector, before: list[str], new: list[str], cells: Cells) -> pl.DataFrame:
        parts, is_new = [], []
        for name in (*before, *new):
            part = _read_codes(self.folder / name, self._schema, int(block[0]), int(block[-1])).of_cells(block)
            parts.append(part)
            is_new.append(np.full(len(part.cell), name in new))
        together, fresh = _Codes.joined(parts), np.concatenate(is_new)
        order = np.lexsort((together.key, together.cell))
        starts = np.searchsorted(together.cell[order], block)
        ends, cosines = [np.empty((0, 2), dtype=np.int64)], [np.empty(0, dtype=np.float32)]
        for rows in np.split(order, starts[1:]):
            if not fresh[rows].any():
                continue
            decoded, home, limit = cells.decode(together.code[rows]), together.home[rows], self.similarity
            pairs, near = pairs_in_cell(decoded, home, fresh[rows], similarity=limit, rounding=cells.rounding)
            ends.append(together.key[rows][pairs])
            cosines.append(near)
        sides = np.sort(np.concatenate(ends), axis=1)
        return pl.DataFrame({"left": sides[:, 0], "right": sides[:, 1], "cosine": np.concatenate(cosines)})

    def _join_runs(self) -> None:
        """Join small runs, so that a store that grows by a few images at a time has few."""
        small = sorted((images, name) for name, (images, _) in self.record["runs"].items() if images < RUN_IMAGES // 2)
        if len(small) < SMALL_FILES:
            return
        parts, images, joined = [], 0, []
        for own, name in small:
            if images + own > RUN_IMAGES:
                break
            parts.append(_read_codes(self.folder / name, self._schema))
            joined.append(name)
            images += own
        run = _Codes.joined(parts)
        run = run.at(np.lexsort((run.key, run.cell)))
        for name in joined:
            del self.record["runs"][name]
        self.record["runs"][add_table(self.folder, self._schema, run.columns()).name] = (images, len(run.key))

    def _pairs(self) -> pl.DataFrame:
        files = (read_frame(self.folder / name, NEAR_PAIRS) for name in self.record["pairs"])
        return _unique_pairs(pl.concat([NEAR_PAIRS_NONE, *files]))

    def _commit(self) -> None:
        """Say which files count, and remove those that do not, of a run that was interrupted too."""
        write_sealed(self.folder / RECORD_NAME, self.record)
        counts = {RECORD_NAME, *self.files}
        for path in self.folder.iterdir():
            if path.name not in counts:
                path.unlink(missing_ok=True)


NEAR_PAIRS_NONE = pl.DataFrame(schema={"left": pl.Int64, "right": pl.Int64, "cosine": pl.Float32})


def _unique_pairs(pairs: pl.DataFrame) -> pl.DataFrame:
    """Each pair once; a run that was interrupted may have left a content twice."""
    return pairs.filter(pl.col("left") != pl.col("right")).unique(["left", "right"], keep="first").sort("left", "right")


@dataclass(frozen=True)
class _Codes:
    """Rows of the table near_codes: cell, key int64 (n,), home bool (n,), code int8 (n, dim)."""

    cell: IntVector
    key: IntVector
    home: Mask
    code: Codes

    @classmethod
    def joined(cls, parts: Sequence[_Codes]) -> _Codes:
        return cls(
            *(np.concatenate([getattr(part, name) for part in parts]) for name in ("cell", "key", "home", "code"))
        )

    def at(self, rows: npt.NDArray[Any]) -> _Codes:
        return _Codes(self.cell[rows], self.key[rows], self.home[rows], self.code[rows])

    def of_cells(self, cells: IntVector) -> _Codes:
        """The rows of some ascending cells."""
        return self.at(_are_among(self.cell, cells))

    def columns(self) -> dict[str, Any]:
        width = pa.binary(self.code.shape[1])
        codes = pa.FixedSizeBinaryArray.from_buffers(
            width, len(self.code), [None, pa.py_buffer(np.ascontiguousarray(self.code))]
        )
        return {"cell": self.cell, "key": self.key, "home": self.home, "code": codes}


def _read_codes(path: Path, schema: TableSchema, low: int | None = None, high: int | None = None) -> _Codes:
    """A run, or what of it may be in the cells from low to high."""
    if low is None or high is None:
        table = read_table(path, schema)
    else:
        table = read_rows_between(path, schema, "cell", low, high)
    code = table.column("code").combine_chunks()
    code = pa.concat_arrays(code.chunks) if isinstance(code, pa.ChunkedArray) else code
    width = code.type.byte_width
    flat = np.frombuffer(code.buffers()[1], dtype=np.int8) if len(code) else np.empty(0, dtype=np.int8)
    codes = flat.reshape(-1, width)[code.offset : code.offset + len(code)]
    cell, key, home = (table.column(name).to_numpy() for name in ("cell", "key", "home"))
    return _Codes(cell.astype(np.int64), key, home, codes)


def _are_among(values: IntVector, ascending: IntVector) -> Mask:
    if not len(ascending):
        return np.zeros(len(values), dtype=bool)
    place = np.minimum(np.searchsorted(ascending, values), len(ascending) - 1)
    found: Mask = ascending[place] == values
    return found


def _encode(part: ShardPart, *, cells: Cells, similarity: float) -> tuple[Codes, npt.NDArray[np.int64]]:
    codes = cells.code(part.read_vectors())
    return codes, cells.places(codes, similarity=similarity)


def _missing_rows(parts: Sequence[Rows], missing: IntVector) -> Iterator[pl.DataFrame]:
    """The readable images with keys that are missing, each content once: columns key, shard, row."""
    done = np.zeros(len(missing), dtype=bool)
    for part in parts:
        table = part.frame(["content_hash", "error", "shard", "row"])
        table = table.filter(pl.col("error").is_null() & (pl.col("content_hash") != ""))
        keys = hash_keys(table["content_hash"])
        rows = np.flatnonzero(_are_among(keys, missing))
        places, first = np.unique(np.searchsorted(missing, keys[rows]), return_index=True)
        rows = np.sort(rows[first[~done[places]]])
        done[places] = True
        yield table[rows].select("shard", "row", key=pl.Series(keys[rows]))


def _in_runs(tables: Iterator[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    """The same rows, RUN_IMAGES at a time."""
    waiting: list[pl.DataFrame] = []
    for table in tables:
        waiting.append(table)
        while sum(map(len, waiting)) >= RUN_IMAGES:
            rows = pl.concat(waiting)
            yield rows.head(RUN_IMAGES)
            waiting = [rows.slice(RUN_IMAGES)]
    rest = [table for table in waiting if len(table)]
    if rest:
        yield pl.concat(rest)


def _sample(view: View) -> FloatMatrix:
    """Vectors of some readable images, from shards that are evenly spread over the store."""
    names = pl.concat(shard_counts(view.parts, view.derived)).filter(pl.col("shard") != "")["shard"].unique().sort()
    size = sample_size(view.n_images)
    chosen = np.unique(np.linspace(0, len(names) - 1, min(len(names), MOST_SHARDS)).astype(int))
    each, found = max(1, -(-size // len(chosen))), list[FloatMatrix]()
    # Where the images of all these shards cannot be read, one with others is looked for.
    for some in (names[chosen], names):
        whole = pl.DataFrame({"shard": some, "row": 0})
        for _, (rows, vectors) in map_shards(ShardPart.read_whole, whole, view.shards, encoder=view.encoder):
            readable = vectors[rows["error"].is_null().to_numpy()]
            found.append(readable[:: max(1, -(-len(readable) // each))].copy())
            del vectors, readable
            if some is names and len(found[-1]):
                break
        if any(map(len, found)):
            break
    return np.concatenate(found)


def _write_cells(folder: Path, cells: Cells) -> str:
    with adding(folder, "cells") as (aside, place):
        with aside.open("wb") as file:
            np.savez(file, basis=cells.basis, middle=cells.middle, step=cells.step, centers=cells.centers)
        return place(digest_name(aside, suffix=".npz")).name


def _read_cells(path: Path) -> Cells:
    problem = name_problem(path) if path.exists() else f"{path} is gone"
    if problem:
        raise ArtifactDamaged(problem, file=path)
    with np.load(path, allow_pickle=False) as arrays:
        return Cells(**{name: arrays[name] for name in ("basis", "middle", "step", "centers")})
