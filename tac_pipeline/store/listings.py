"""Listings of archives and of vector tables, kept as tables, because making one reads the whole file."""

from __future__ import annotations

from collections.abc import Collection, Set
from contextlib import suppress
from pathlib import Path

import polars as pl

from tac_pipeline.errors import ArtifactDamaged
from tac_pipeline.store.parquet import place_table, read_frame
from tac_pipeline.store.schemas import ARCHIVE_MEMBERS, VECTOR_ROWS

# Below the folder: the rows of vector tables.
TABLES_NAME = "tables"


class KeptListings:
    """A ListingCache (sources/archives.py) in a folder.

    Parameters
    ----------
    folder : Path
        Created when first written to.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def find(self, name: str) -> pl.DataFrame | None:
        """The members that were kept under a name; None when there is no whole table of them."""
        with suppress(ArtifactDamaged):
            return read_frame(self._path(name), ARCHIVE_MEMBERS)
        return None

    def keep(self, name: str, members: pl.DataFrame) -> None:
        """Keep the members of an archive; a process that may not write here continues without."""
        with suppress(OSError):
            place_table(self._path(name), ARCHIVE_MEMBERS, members)

    def forget_all_but(self, names: Set[str]) -> None:
        """Remove what was kept under other names."""
        for path in self._folder.glob("*.parquet"):
            if path.stem not in names:
                with suppress(OSError):
                    path.unlink()

    def find_rows(self, name: str) -> pl.DataFrame | None:
        """The rows of a vector table that were kept under a name; None when there is no whole table of them."""
        with suppress(ArtifactDamaged):
            return read_frame(self._path(f"{TABLES_NAME}/{name}"), VECTOR_ROWS)
        return None

    def has_rows(self, name: str) -> bool:
        """Whether rows were kept under a name."""
        return self._path(f"{TABLES_NAME}/{name}").exists()

    def keep_rows(self, name: str, rows: pl.DataFrame) -> None:
        """Keep the rows of a vector table; a process that may not write here continues without."""
        with suppress(OSError):
            place_table(self._path(f"{TABLES_NAME}/{name}"), VECTOR_ROWS, rows)

    def forget_rows_but(self, names: Collection[str]) -> None:
        """Remove the rows of vector tables that were kept under other names."""
        for path in (self._folder / TABLES_NAME).glob("*.parquet"):
            if path.stem not in names:
                with suppress(OSError):
                    path.unlink()

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.parquet"
