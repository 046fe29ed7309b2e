"""How many near-duplicates of a store are found, and what does it cost?

    python -m benchmarks.near_duplicates [--rows 100000 1000000] [--groups 1000] [--similarity 0.98]

Made-up vectors of width 64 (`benchmarks/made_store.py`), of which one in twenty has a copy with a cosine of 0.97 to
0.999, and real vectors where $TAC_REFERENCE_DATA has some. Recall and precision are against every pair of 2,000 images
with all others; "clear" leaves out pairs within 0.001 of the limit. Seconds are CPU seconds, without those that write
the vectors. `all alike` has vectors of which each is a near-duplicate of hundreds: frames of films.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl
from rich.console import Console
from rich.table import Table

from benchmarks import made_store
from benchmarks.reference_data import read_table, reference_folder
from tac_pipeline.arrays import FloatMatrix, row_chunks, unit_rows
from tac_pipeline.digest import digest
from tac_pipeline.embedding.known_bytes import hash_keys
from tac_pipeline.results.review.near_index import View, near_pairs
from tac_pipeline.store.segments.derived import Derived
from tac_pipeline.store.segments.reading import HeldRows
from tac_pipeline.store.shards import EmbeddedBatch, ImageRow, write_shards

COPIES = 20
ASKED = 2000
FRAMES = 500
ENCODER = "made"
UNCLEAR = 0.001
REAL = ("caltech101", "cifar10_500", "food10", "oxford_pets", "ucf101")
Pairs = set[tuple[int, int]]


@dataclass
class Made:
    """A store that is only shards and a view, in a folder."""

    folder: Path
    similarity: float
    vectors: list[FloatMatrix] = field(default_factory=list)
    parts: list[HeldRows] = field(default_factory=list)

    def add(self, vectors: FloatMatrix) -> None:
        """Images that come."""
        start = sum(map(len, self.vectors))
        held = unit_rows(vectors.astype(np.float16).astype(np.float32))
        placed = pl.concat(write_shards(_batches(held, start), self.folder / "shards", ENCODER, len(held), None))
        self.vectors.append(held)
        self.parts.append(HeldRows(placed, digest([start, len(held)]), alone=True))

    def pairs(self) -> tuple[pl.DataFrame, float]:
        """The near-duplicates, and the CPU seconds that they took."""
        n_images = sum(map(len, self.vectors))
        view = View(self.parts, n_images, Derived(self.folder / "derived"), self.folder / "shards", ENCODER)
        started = time.process_time()
        found = near_pairs(view, self.folder / "near", similarity=self.similarity)
        return found, time.process_time() - started


def _hash(number: int) -> str:
    return f"{number * 2654435761 % 2**52:015x}{number:049x}"


def _batches(vectors: FloatMatrix, start: int) -> Iterator[EmbeddedBatch]:
    for rows in row_chunks(len(vectors), 4096):
        named = [ImageRow(f"{start + n:09d}", "1", _hash(start + n)) for n in range(rows.start, rows.stop)]
        yield EmbeddedBatch(named, vectors[rows])


def made_vectors(rows: int, groups: int, generator: np.random.Generator) -> FloatMatrix:
    """Vectors as in a made store."""
    kinds = made_store._around(np.zeros((1, made_store.DIM)), np.zeros(25, dtype=int), 1.0, generator)
    centers = made_store._around(kinds, generator.integers(len(kinds), size=groups), made_store.KIND_SPREAD, generator)
    chunks = [len(range(rows)[chunk]) for chunk in row_chunks(rows, made_store.CHUNK_ROWS)]
    found = [
        made_store._around(centers, generator.integers(groups, size=count), made_store.SPREAD, generator)
        for count in chunks
    ]
    return np.concatenate([part.astype(np.float32) for part in found])


def copies_of(vectors: FloatMatrix, generator: np.random.Generator) -> FloatMatrix:
    """Nearly equal vectors, with cosines from 0.97 to 0.999: half differ at random, half as real images do."""
    cosine = generator.uniform(0.97, 0.999, (len(vectors), 1)).astype(np.float32)
    noise = generator.normal(size=vectors.shape).astype(np.float32)
    noise[::2] = (vectors - np.roll(vectors, 1, axis=0))[::2]
    noise -= (noise * vectors).sum(axis=1, keepdims=True) * vectors
    return cosine * vectors + np.sqrt(1 - cosine**2) * unit_rows(noise)


def frames(rows: int, generator: np.random.Generator) -> FloatMatrix:
    """Films of FRAMES images, each nearly equal to many others of its film."""
    films = unit_rows(generator.normal(size=(rows // FRAMES, made_store.DIM)))
    steps = 0.1 * generator.normal(size=(rows // FRAMES * FRAMES, made_store.DIM)) / made_store.DIM**0.5
    return unit_rows(np.repeat(films, FRAMES, axis=0) + steps)


def true_pairs(vectors: FloatMatrix, asked: np.ndarray, similarity: float) -> Pairs:
    """Which images are near-duplicates of some, by all cosines."""
    found: Pairs = set()
    for rows in row_chunks(len(vectors), 20_000):
        one, other = np.nonzero(vectors[asked] @ vectors[rows].T >= similarity)
        found |= {(int(asked[a]), int(b) + rows.start) for a, b in zip(one, other, strict=True)}
    return {(min(pair), max(pair)) for pair in found if pair[0] != pair[1]}


@dataclass(frozen=True)
class Judged:
    """Recall and precision, also without pairs within UNCLEAR of the limit, and how many pairs are true."""

    recall: float
    precision: float
    clear_recall: float
    clear_precision: float
    true: int

    def cells(self) -> tuple[str, str]:
        """What the table shows."""
        recall = f"{self.recall:.2%} of {self.true:,}, clear {self.clear_recall:.2%}"
        return recall, f"{self.precision:.2%}, clear {self.clear_precision:.2%}"


def judge(made: Made, pairs: pl.DataFrame, generator: np.random.Generator) -> Judged:
    """How good the pairs of some images are, of which half are copies."""
    vectors = np.concatenate(made.vectors)
    n_images = len(vectors)
    asked = np.unique(np.concatenate([_last(n_images, ASKED // 2), generator.integers(n_images, size=ASKED // 2)]))
    number = {int(key): n for n, key in enumerate(hash_keys(pl.Series([_hash(n) for n in range(n_images)])))}
    chosen, found = set(asked.tolist()), set()
    for left, right in pairs.select("left", "right").iter_rows():
        one, other = number[left], number[right]
        if one in chosen or other in chosen:
            found.add((min(one, other), max(one, other)))
    below, true, above = (true_pairs(vectors, asked, made.similarity + more) for more in (-UNCLEAR, 0.0, UNCLEAR))

    def share(part: Pairs, whole: Pairs) -> float:
        return len(part & whole) / max(len(part), 1)

    return Judged(share(true, found), share(found, true), share(above, found), share(found, below), len(true))


def _last(n_images: int, count: int) -> np.ndarray:
    """The copies are the last images."""
    return np.arange(n_images - count, n_images)


def measure(name: str, vectors: FloatMatrix, shown: Table, *, similarity: float, judged: bool = True) -> None:
    """One row of the table."""
    generator = np.random.default_rng(1)
    with tempfile.TemporaryDirectory(prefix="tac-near-") as scratch:
        made = Made(Path(scratch), similarity)
        made.add(vectors)
        Path("/proc/self/clear_refs").write_text("5")  # the peak from here on
        before = _resident("VmRSS")
        pairs, first = made.pairs()
        peak = _resident("VmHWM") - before
        kept = sum(path.stat().st_size for path in (made.folder / "near").rglob("*") if path.is_file()) / 1e6
        recall, precision = judge(made, pairs, generator).cells() if judged else ("", "")
        made.add(copies_of(vectors[:1], generator))
        _, one = made.pairs()
        made.add(copies_of(vectors[: len(vectors) // 100], generator))
        later, hundredth = made.pairs()
    shown.add_row(
        name,
        f"{len(vectors):,}",
        f"{first:.1f} s",
        f"{first / len(vectors) * 1e6:.1f} µs",
        f"{one:.2f} s",
        f"{hundredth:.2f} s",
        recall,
        precision,
        f"{len(pairs):,}, {len(later):,}",
        f"{kept:,.0f} MB",
        f"{peak:,.0f} MB",
    )


def _resident(what: str) -> float:
    """Of this process, in MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(what)) / 1e3


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.near_duplicates", description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000], metavar="N")
    parser.add_argument("--groups", type=int, default=1000, metavar="N", help="around which the made vectors are")
    parser.add_argument("--similarity", type=float, default=0.98)
    asked = parser.parse_args(arguments)
    columns = ("first", "an image", "one new", "1 % new", "recall", "precision", "pairs, then", "kept", "memory")
    shown = Table("vectors", "images", *columns, box=None, pad_edge=False)
    generator = np.random.default_rng(0)
    try:
        folder = reference_folder()
        real = np.concatenate([read_table(folder, name).image_embeddings for name in REAL])
        copied = real[generator.choice(len(real), len(real) // COPIES, replace=False)]
        both = np.concatenate([real, copies_of(copied, generator)])
        measure("real, width 512", both, shown, similarity=asked.similarity)
    except SystemExit as missing:
        print(missing, file=sys.stderr)
    measure("all alike", frames(asked.rows[0], generator), shown, similarity=asked.similarity, judged=False)
    for rows in asked.rows:
        vectors = made_vectors(rows, asked.groups, generator)
        copied = vectors[generator.choice(rows, rows // COPIES, replace=False)]
        both = np.concatenate([vectors, copies_of(copied, generator)])
        measure("made, width 64", both, shown, similarity=asked.similarity)
    Console(width=200).print(shown)
    return 0


if __name__ == "__main__":
    sys.exit(main())
