"""The append-only table of what an encoder's text tower made of nouns, shared by all stores of a data folder.

One folder per encoder and list of templates. A row says what a noun is as the mean of the first so many templates.
Files are only added, so readers need no lock. What must stay
out: which nouns are wanted, and encoding them (embedding/nouns.py).
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from tac_pipeline.arrays import FloatMatrix, IntVector
from tac_pipeline.arrow import encoder_of, frame_of
from tac_pipeline.digest import digest
from tac_pipeline.errors import ArtifactDamaged
from tac_pipeline.store.parquet import add_table, read_table, vectors_of
from tac_pipeline.store.schemas import PROMPTED_NOUNS

# Stands for any number of templates, where one vector serves for all of them.
ANY = 0

# So many files are joined into one, or a store that is learned again every week would leave one a week.
MANY_FILES = 32


@dataclass(frozen=True)
class NounMeans:
    """Means over prompts, in the order of the nouns that were asked for.

    Attributes
    ----------
    prompts : int64 (n_nouns,)
        How many templates each mean is of; 0 where nothing is known.
    means : float32 (n_nouns, dim)
        Not of unit length: further prompts are added to them. Zero where nothing is known.
    """

    prompts: IntVector
    means: FloatMatrix


class PromptedNouns:
    """The table of one encoder and list of templates.

    Parameters
    ----------
    home : Path
        The folder of all such tables.
    encoder : str
        The encoder's fingerprint.
    templates : sequence of str
    dim : int
        Width of the vectors.
    """

    def __init__(self, home: Path, *, encoder: str, templates: Sequence[str], dim: int) -> None:
        self.folder = home / digest([encoder, list(templates)])[:32]
        self.encoder, self.dim = encoder, dim

    def read(self, nouns: Sequence[str], *, most: int) -> NounMeans:
        """What is known of some nouns, each as the mean of as many templates as there are, up to `most`.

        Means over more are left out: what a run computes must not hang on what others have encoded before it.
        Holds one row without vector for every row of the table, one file of vectors, and the result.
        """
        damaged: set[str] = set()
        retried = False
        while True:
            try:
                return self._read(nouns, most, damaged)
            except ArtifactDamaged as error:
                if error.file is not None:
                    # It counts as absent: its nouns are encoded again.
                    damaged.add(error.file.name)
                elif not retried:
                    # Another process has just joined the files: they are looked for again.
                    retried = True
                else:
                    raise

    def _read(self, nouns: Sequence[str], most: int, damaged: Set[str]) -> NounMeans:
        prompts = np.zeros(len(nouns), dtype=np.int64)
        means = np.zeros((len(nouns), self.dim), dtype=np.float32)
        wanted = pl.DataFrame({"noun": list(nouns)}, schema={"noun": pl.String}).with_row_index("place")
        usable = (pl.col("prompts") <= most) & ~pl.col("file").is_in(list(damaged))
        rows = self._index().filter(usable).join(wanted, on="noun")
        heard = pl.when(pl.col("prompts") == ANY).then(most).otherwise("prompts").alias("prompts")
        best = rows.with_columns(heard).sort("prompts", "file", "row").unique("place", keep="last")
        for (name,), chosen in best.group_by("file"):
            table = read_table(self.folder / str(name), PROMPTED_NOUNS)
            own = chosen["row"].to_numpy()
            lengths = table.column("length").to_numpy()[own].astype(np.float32)
            places = chosen["place"].to_numpy()
            means[places] = vectors_of(table.take(own)) * lengths[:, None]
            prompts[places] = chosen["prompts"].to_numpy()
        return NounMeans(prompts, means)

    def append(self, nouns: Sequence[str], found: NounMeans) -> Path | None:
        """Add rows, in a file of their own, and return it; needs no lock."""
        if not len(nouns):
            return None
        lengths = np.linalg.norm(found.means, axis=1)
        columns = {
            "noun": list(nouns),
            "prompts": found.prompts,
            "length": lengths,
            "embedding": found.means / np.maximum(lengths, np.finfo(np.float32).tiny)[:, None],
        }
        return add_table(self.folder, PROMPTED_NOUNS, columns, encoder=self.encoder)

    @property
    def has_many_files(self) -> bool:
        """Whether it is time to join them."""
        return len(self._files()) >= MANY_FILES

    def join_files(self) -> None:
        """Join many files into one for each number of templates; call it with the shared lock held."""
        old = self._files()
        if not self.has_many_files:
            return  # another process was faster
        joined = set()
        for (count,), rows in self._index().group_by(["prompts"], maintain_order=True):
            nouns = rows["noun"].unique(maintain_order=True).to_list()
            found = self.read(nouns, most=count)
            known = np.flatnonzero(found.prompts)
            means = NounMeans(np.full(len(known), count), found.means[known])
            joined.add(self.append([nouns[row] for row in known], means))
        for path in old:
            if path not in joined:  # equal rows have equal names
                path.unlink(missing_ok=True)

    def __bool__(self) -> bool:
        return bool(self._files())

    def _files(self) -> list[Path]:
        return sorted(self.folder.glob("*.parquet"))

    def _index(self) -> pl.DataFrame:
        """Every row without its vector; unreadable files count as absent."""
        parts = [pl.DataFrame(schema={"noun": pl.String, "prompts": pl.Int32, "file": pl.String, "row": pl.Int32})]
        for path in self._files():
            try:
                table = read_table(path, PROMPTED_NOUNS, columns=["noun", "prompts"])
            except ArtifactDamaged:
                continue
            if encoder_of(table) == self.encoder:
                placed = frame_of(table).with_columns(
                    file=pl.lit(path.name), row=pl.int_range(pl.len(), dtype=pl.Int32)
                )
                parts.append(placed)
        return pl.concat(parts)
