"""Listings of archives, vector tables and folders, kept as tables, because making one looks at everything."""

from __future__ import annotations

from collections.abc import Collection, Set
from contextlib import suppress
from pathlib import Path

import polars as pl

from tac_pipeline.errors import ArtifactDamaged, StoreError
from tac_pipeline.files import Stamp, stamp_of
from tac_pipeline.store.parquet import place_table, read_frame
from tac_pipeline.store.schemas import ARCHIVE_MEMBERS, FOLDER_ROWS, VECTOR_ROWS

# Below the folder: the rows of vector tables.
TABLES_NAME = "tables"
# Below the folder: what was found in the folders of a source.
FOLDERS_NAME = "folders"


class KeptListings:
    """A ListingCache (sources/archives.py) in a folder.

    Parameters
    ----------
    folder : Path
        Created when first written to.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._found: dict[str, Stamp] = {}

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
        self._forget_but(names, self._folder)

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
        self._forget_but(names, self._folder / TABLES_NAME)

    def find_folders(self, name: str) -> pl.DataFrame | None:
        """What was found in folders, kept under a name; None when there is no whole table of it."""
        path = self._path(f"{FOLDERS_NAME}/{name}")
        self._found[name] = stamp_of(path)
        with suppress(ArtifactDamaged):
            return read_frame(path, FOLDER_ROWS)
        return None

    def keep_folders(self, name: str, rows: pl.DataFrame) -> None:
        """Keep what was found in folders, unless another process has kept or forgotten it since `find_folders`.

        A process that may not write here continues without.
        """
        path = self._path(f"{FOLDERS_NAME}/{name}")
        if stamp_of(path) == self._found.get(name, stamp_of(path)):
            with suppress(OSError):
                place_table(path, FOLDER_ROWS, rows)

    def forget_folders_but(self, names: Collection[str]) -> None:
        """Remove what was found in folders and kept under other names."""
        self._forget_but(names, self._folder / FOLDERS_NAME)

    def forget_folders(self) -> None:
        """Remove all that was found in folders: the next look lists every file.

        Raises
        ------
        StoreError
            It cannot be removed.
        """
        for path in (self._folder / FOLDERS_NAME).glob("*.parquet"):
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                raise StoreError(
                    f"{path} must go before every file is listed again, and cannot be removed: {error.strerror}. "
                    "Let this user write there."
                ) from error

    def _forget_but(self, names: Collection[str], folder: Path) -> None:
        for path in folder.glob("*.parquet"):
            if path.stem not in names:
                with suppress(OSError):
                    path.unlink()

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.parquet"
