"""One version of an asset on disk, and whether its files are what was written. What must stay out: which is current."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tac_pipeline.errors import ArtifactDamaged
from tac_pipeline.store.digests import bytes_problem, damage_of, size_problem

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

    from tac_pipeline.store.parquet import TableSchema

TABLE_SUFFIX = ".parquet"
# Files with the bytes that were written, by path, digest, size, time and inode.
_whole_files: set[tuple[str, str, int, int, int]] = set()


@dataclass(frozen=True)
class Artifact:
    """One version of an asset on disk, immutable.

    Attributes
    ----------
    asset, recipe : str
        What it is and what it was made from.
    folder : Path
        Holds the files.
    record : dict
        artifact.json: content (digest of what it holds), files ({name: {size, sha256}}), links (files of the store
        that it refers to, {path: size}), values (resolved settings), inputs ({asset: content}), facts (small numbers
        that later steps read), rows, seconds, made_at, notes (texts that the UI shows).
    """

    asset: str
    recipe: str
    folder: Path
    record: dict[str, Any]

    @property
    def content(self) -> str:
        """Digest of what the artifact holds. When it stays equal, nothing downstream runs again."""
        return str(self.record["content"])

    @property
    def facts(self) -> dict[str, Any]:
        """Small numbers that later steps read without opening a table."""
        return dict(self.record["facts"])

    @property
    def rows(self) -> int | None:
        """Rows of the main table."""
        rows = self.record["rows"]
        return None if rows is None else int(rows)

    def file(self, name: str) -> Path:
        """The path of one of its files, after a check that the file is whole; the bytes of a table are not read.

        Raises
        ------
        ArtifactDamaged
            The file is gone, or has not the size, or not the bytes, that were written.
        """
        path, wanted = self.folder / name, self.record["files"][name]
        problem = size_problem(path, wanted["size"])
        if problem is None and path.suffix != TABLE_SUFFIX:
            problem = self._other_bytes(name)
        if problem:
            raise ArtifactDamaged(f"{problem}. {self._remedy}", file=path)
        return path

    def table(self, schema: TableSchema, *, columns: Sequence[str] | None = None, checked: bool = False) -> pa.Table:
        """One of its tables, or some columns of it; the file is checked like any other.

        Its digest is compared when it is read whole, when its vectors are, or on request.
        """
        # Not at the top: `tac path` opens no table.
        import pyarrow as pa

        from tac_pipeline.store.segments.cutting import segments_of

        names = segments_of(schema, self.record["files"])
        parts = [self.part(name, schema, columns=columns, checked=checked) for name in names]
        return parts[0] if len(parts) == 1 else pa.concat_tables(parts)

    def part(
        self, name: str, schema: TableSchema, *, columns: Sequence[str] | None = None, checked: bool = False
    ) -> pa.Table:
        """One of the files of a table; see table."""
        from tac_pipeline.store.parquet import read_table

        path = self.file(name)
        whole = checked or columns is None or schema.vector_column in columns
        if whole and (problem := self._other_bytes(name)):
            raise ArtifactDamaged(f"{problem}. {self._remedy}", file=path)
        try:
            return read_table(path, schema, columns=columns)
        except ArtifactDamaged as error:
            raise ArtifactDamaged(f"{error}. {self._remedy}", file=error.file) from error

    def find_segment(self, digest: str) -> Path | None:
        """A whole file of it with the rows of a digest: a segment of a table."""
        name = next((name for name in self.record["files"] if name.endswith(f"-{digest}.parquet")), None)
        if name is None or size_problem(self.folder / name, self.record["files"][name]["size"]):
            return None
        return None if self._other_bytes(name) else self.folder / name

    def frame(
        self, schema: TableSchema, *, columns: Sequence[str] | None = None, checked: bool = False
    ) -> pl.DataFrame:
        """Like table, as a polars frame."""
        from tac_pipeline.arrow import frame_of

        return frame_of(self.table(schema, columns=columns, checked=checked))

    def damage(self) -> str | None:
        """What is wrong with its files, in words; None when all are whole. Sizes are compared, not bytes."""
        links = {
            name: link if isinstance(link, dict) else {"size": link} for name, link in self.record["links"].items()
        }
        return damage_of(self.folder, self.record["files"]) or damage_of(self.folder.parent.parent, links)

    def _other_bytes(self, name: str) -> str | None:
        """What is wrong with the bytes of a file; read once in the life of a process while the file is the same."""
        path, sha256 = self.folder / name, str(self.record["files"][name].get("sha256", ""))
        mark = _mark(path, sha256)
        if mark in _whole_files:
            return None
        problem = bytes_problem(path, sha256)
        if problem is None:
            _whole_files.add(mark)
        return problem

    def note_whole(self) -> None:
        """Remember that the files have the bytes in the record, whose digests this process has just computed."""
        for name, file in self.record["files"].items():
            path = self.folder / name
            _whole_files.add(_mark(path, file["sha256"]))

    @property
    def _remedy(self) -> str:
        return (
            f"`tac check --repair` sets it aside, and `tac run` makes {self.asset} again as it was "
            f"(or `tac run --select {self.asset}`)."
        )


def _mark(path: Path, sha256: str) -> tuple[str, str, int, int, int]:
    found = path.stat()
    return str(path), sha256, found.st_size, found.st_mtime_ns, found.st_ino


@dataclass(frozen=True)
class Current:
    """What readers of an asset get: the artifact, and the version and settings that it is current for.

    Attributes
    ----------
    version : str
        The chained version: a digest of the settings and code of the asset and of all assets upstream.
    written : dict
        The asset's own result settings, as the settings file had them.
    """

    artifact: Artifact
    version: str
    written: dict[str, Any]
