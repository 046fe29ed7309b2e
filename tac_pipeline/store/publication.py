"""What readers build on: data/<store>/published/, in versions with ever higher numbers.

    published/
      latest -> v000007       what readers open; replaced in one move when the version is whole
      v000007/
        assignments.parquet   one row per image: its cluster and the cluster's name
        clusters.parquet      one row per cluster
        lineage.parquet       what became of every cluster id up to this version
        changes.parquet       what differs from version 6, image by image
        version.json          number, time, schema version, what it was made from, the digests of its tables
      v000008/                of a store of more than a million images
        assignments/          the same table in several files, which versions share where they do not differ
          part-00000-3f0c....parquet
      hold.json               somebody rolled back: nothing is published automatically until somebody publishes

Going back publishes an old version's tables under a new number, so that readers of the changes get these changes too.
docs/reference/published-tables.md describes the tables and what readers may rely on. What must stay out: when a result
is good enough to be published (assets/orchestration/publishing.py).
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import polars as pl

from tac_pipeline.errors import ArtifactDamaged, ArtifactMissing, StoreError
from tac_pipeline.files import building_folder, place_folder, replacing, write_atomically
from tac_pipeline.store.comparison import AssignedRows, Comparison, compare_parts
from tac_pipeline.store.digests import bytes_problem, describe_files, read_sealed, size_problem, write_sealed
from tac_pipeline.store.parquet import TableSchema, read_frame, read_table, write_table
from tac_pipeline.store.schemas import PUBLISHED_ASSIGNMENTS, PUBLISHED_CHANGES, PUBLISHED_CLUSTERS, PUBLISHED_LINEAGE
from tac_pipeline.store.segments.cutting import share

# Raised when a column is removed or changes its meaning; a new column does not raise it.
PUBLISHED_SCHEMA = 1
# Of a version with its assignments in several files.
PARTS_SCHEMA = 2
PARTS_NAME = "assignments"
LATEST_NAME, VERSION_NAME, HOLD_NAME = "latest", "version.json", "hold.json"

TABLES: dict[str, TableSchema] = {
    "assignments": PUBLISHED_ASSIGNMENTS,
    "clusters": PUBLISHED_CLUSTERS,
    "lineage": PUBLISHED_LINEAGE,
    "changes": PUBLISHED_CHANGES,
}

# The columns with cluster ids; every id in the assignments is in clusters too.
_ID_COLUMNS = {
    "clusters": ["cluster_id"],
    "lineage": ["cluster_id", "other_id"],
    "changes": ["old_cluster_id", "new_cluster_id"],
}


class PublishedRows(AssignedRows, Protocol):
    """Some rows of published assignments: what one file of a version holds.

    Attributes
    ----------
    digest : str
        Of the rows; names the file.
    alone : bool
        Whether these are all rows.
    """

    @property
    def digest(self) -> str:
        """See above."""

    @property
    def alone(self) -> bool:
        """See above."""


@dataclass(frozen=True)
class PublishedFile:
    """A file of a version's assignments."""

    path: Path
    assigned: str
    alone: bool

    @property
    def digest(self) -> str:
        """See PublishedRows."""
        return "" if self.alone else self.path.stem.rpartition("-")[2]

    def frame(self) -> pl.DataFrame:
        """See AssignedRows.

        Raises
        ------
        ArtifactDamaged
            It cannot be read.
        """
        try:
            return read_frame(self.path, PUBLISHED_ASSIGNMENTS)
        except ArtifactDamaged as error:
            folder = self.path.parent.parent if self.alone else self.path.parent.parent.parent
            raise ArtifactDamaged(f"{error}. {_remedy(folder)}") from error

    def sizes(self) -> pl.DataFrame:
        """See AssignedRows."""
        return self.frame().group_by("cluster_id").agg(images=pl.len())


Tables = Mapping[str, pl.DataFrame | Sequence[PublishedRows]]


@dataclass(frozen=True)
class Version:
    """One published version.

    Attributes
    ----------
    number : int
    entry : int
        The ledger's entry that gave its cluster ids.
    source : dict
        Contents of the artifacts that it was made from.
    rolled_back_to : int or None
        The older version that it repeats.
    made_at : float
        Seconds since 1970.
    files : dict
        Size and sha256 of its tables, {name: {size, sha256}}; empty in a version from before they were kept.
    pruned : bool
        Only its changes are kept.
    parts : dict
        Of a version with its assignments in several files: what each was made from, {name: digest}.
    """

    number: int
    entry: int
    source: dict[str, str]
    rolled_back_to: int | None
    made_at: float
    folder: Path
    files: dict[str, Any] = field(default_factory=dict)
    pruned: bool = False
    parts: dict[str, str] = field(default_factory=dict)

    def table(self, name: str) -> pl.DataFrame:
        """One of its tables: assignments, clusters, lineage, changes.

        Raises
        ------
        ArtifactDamaged
            It cannot be read.
        """
        if name == PARTS_NAME and self.parts:
            return pl.concat(part.frame() for part in self.assigned)
        try:
            return read_frame(self.folder / f"{name}.parquet", TABLES[name])
        except ArtifactDamaged as error:
            raise ArtifactDamaged(f"{error}. {_remedy(self.folder.parent)}") from error

    @property
    def assignments(self) -> pl.DataFrame:
        """One row per image."""
        return self.table("assignments")

    @property
    def assigned(self) -> list[PublishedFile]:
        """The files of its assignments, in order."""
        folder = self.folder / PARTS_NAME
        found = [PublishedFile(folder / name, digest, alone=False) for name, digest in sorted(self.parts.items())]
        return found or [PublishedFile(self.folder / f"{PARTS_NAME}.parquet", "", alone=True)]

    @property
    def clusters(self) -> pl.DataFrame:
        """One row per cluster."""
        return self.table("clusters")

    @property
    def whole(self) -> bool:
        """Whether its tables are still there: old versions keep only their changes."""
        return not self.pruned and self.assigned[0].path.exists()

    def damaged(self, *, by_digest: bool = False) -> dict[str, str]:
        """What is wrong with the tables that it should have, in words, by the tables' names.

        Sizes are compared, or digests too. Of a version from before these were kept, the tables are opened, or read.
        """
        found: dict[str, str] = {}
        for path, problem in self.damaged_files(by_digest=by_digest).items():
            found.setdefault(path.relative_to(self.folder).parts[0].removesuffix(".parquet"), problem)
        return found

    def damaged_files(self, *, by_digest: bool = False) -> dict[Path, str]:
        """What is wrong with the files that it should have, in words; see damaged."""
        # Before pruning was noted, only the assignments told.
        whole = not self.pruned and (bool(self.files) or self.whole)
        parts = [f"{PARTS_NAME}/{part}" for part in self.parts] if whole else []
        found = {self.folder / part: self.file_problem(part, by_digest=by_digest) for part in parts}
        for name in TABLES if whole else ["changes"]:
            if name != PARTS_NAME or not self.parts:
                found[self.folder / f"{name}.parquet"] = self._problem(name, by_digest=by_digest)
        return {path: problem for path, problem in found.items() if problem is not None}

    def _problem(self, name: str, *, by_digest: bool) -> str | None:
        path, wanted = self.folder / f"{name}.parquet", self.files.get(f"{name}.parquet")
        if wanted is None:
            try:
                read_table(path, TABLES[name], columns=None if by_digest else [])
            except ArtifactDamaged as error:
                return str(error)
            return None
        return self.file_problem(f"{name}.parquet", by_digest=by_digest)

    def file_problem(self, name: str, *, by_digest: bool) -> str | None:
        """What is wrong with one of `files`, in words; None when nothing is."""
        path, wanted = self.folder / name, self.files[name]
        found = size_problem(path, wanted["size"])
        return found or (bytes_problem(path, wanted["sha256"]) if by_digest else None)


class Publication:
    """The published versions of a store; a process that writes holds the store's lock.

    Parameters
    ----------
    folder : Path
        data/<store>/published; created with the first version.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def latest(self) -> Version | None:
        """What readers get now; None before anything was published.

        Raises
        ------
        ArtifactDamaged
            The link or the version that it names is gone or cannot be read.
        """
        link = self.folder / LATEST_NAME
        try:
            target = link.readlink()
        except OSError as error:
            newest = max((path.name for path in self.folder.glob("v*")), default=_folder_name(1))
            # A single version without a link was killed before the swap: the first gets its link before the second.
            if isinstance(error, FileNotFoundError) and newest == _folder_name(1):
                return None
            raise ArtifactDamaged(
                f"{link} must be a link to the newest version: {error}. Delete what is there and make it: "
                f"`ln -s {newest} {link}`."
            ) from error
        return self._read(self.folder / target.name)

    def versions(self) -> list[Version]:
        """Every version up to the latest, oldest first; old ones keep only their changes (see Version.whole).

        Raises
        ------
        ArtifactDamaged
            One of them is gone or cannot be read: the changes would not add up.
        """
        latest = self.latest()
        numbers = range(1, 1 if latest is None else latest.number + 1)
        return [self._read(self.folder / _folder_name(number)) for number in numbers]

    def next_id(self) -> int:
        """Higher than every cluster id that readers can still find, in the kept tables and in all changes."""
        highest = -1
        for version in self.versions():
            for name in _ID_COLUMNS if version.whole else ["changes"]:
                ids = [version.table(name)[column].max() for column in _ID_COLUMNS[name]]
                highest = max([highest, *(id_ for id_ in ids if isinstance(id_, int))])
        return highest + 1

    def find(self, number: int) -> Version:
        """The whole version with a number.

        Raises
        ------
        ArtifactMissing
            There is none, or only its changes are kept.
        """
        versions = self.versions()
        for version in versions:
            if version.number == number and version.whole:
                return version
        kept = ", ".join(str(version.number) for version in versions if version.whole) or "none"
        raise ArtifactMissing(f"there is no published version {number} in {self.folder}; kept are {kept}")

    def publish(
        self,
        tables: Tables,
        *,
        source: Mapping[str, str],
        entry: int,
        compared: Comparison | None = None,
    ) -> Version:
        """Publish new assignments, clusters and lineage, together with their changes against the latest version.

        Assignments are a table, or the rows of several files of one.
        `compared` is what `compare` found for these assignments, where somebody has asked already.
        """
        version = self._add(tables, source=dict(source), entry=entry, rolled_back_to=None, compared=compared)
        self.release()
        return version

    def rollback(self, number: int | None = None) -> Version:
        """Publish an older version's tables again (by default the one before the latest), and hold there.

        Raises
        ------
        ArtifactMissing
            There is no such version.
        StoreError
            Its tables are published now.
        """
        latest = self.latest()
        if latest is None:
            raise ArtifactMissing(f"nothing is published in {self.folder}: there is nothing to go back to")
        old = self.find(self._before(latest) if number is None else number)
        original = old.rolled_back_to or old.number
        if original == (latest.rolled_back_to or latest.number):
            raise StoreError(f"version {old.number} is what is published now; name an older one")
        tables: Tables = {"assignments": old.assigned, **{name: old.table(name) for name in ("clusters", "lineage")}}
        # The hold comes first: if this is interrupted, the rolled-back result must not be published automatically.
        write_atomically(self.folder / HOLD_NAME, json.dumps({"rolled_back_to": original}))
        return self._add(tables, source=old.source, entry=old.entry, rolled_back_to=original)

    def _before(self, latest: Version) -> int:
        """The last version with other tables than the latest."""
        shown = latest.rolled_back_to or latest.number
        older = [version.number for version in self.versions() if version.whole and version.number < shown]
        if not older:
            raise ArtifactMissing(f"no version older than {shown} is kept in {self.folder}")
        return older[-1]

    def held(self) -> str | None:
        """Why nothing is published automatically, in words; None when it is."""
        try:
            hold = json.loads((self.folder / HOLD_NAME).read_text(encoding="utf-8"))
            return f"held since the rollback to version {hold['rolled_back_to']}"
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError):
            return f"held: {self.folder / HOLD_NAME} cannot be read"

    def release(self) -> None:
        """End a hold."""
        (self.folder / HOLD_NAME).unlink(missing_ok=True)

    def changes(self, *, since: int) -> pl.DataFrame:
        """Every change after a version, in order: columns of PUBLISHED_CHANGES.

        Raises
        ------
        ArtifactMissing
            The version was never published.
        """
        versions = self.versions()
        newest = versions[-1].number if versions else 0
        if not 0 <= since <= newest:
            have = f"versions 1 to {newest} are" if newest else "nothing is"
            raise ArtifactMissing(f"there are no changes since version {since}: {have} published in {self.folder}")
        empty = pl.DataFrame(
            schema={"image_id": pl.String, "old_cluster_id": pl.Int32, "new_cluster_id": pl.Int32, "version": pl.Int32}
        )
        return pl.concat([empty, *(version.table("changes") for version in versions if version.number > since)])

    def prune(self, *, keep: int, keep_days: int = 0) -> list[int]:
        """Remove the tables of all but the newest `keep` versions, not their changes; returns the affected numbers.

        Versions that readers had at some time in the last `keep_days` days keep their tables as well.
        """
        versions = self.versions()
        since = time.time() - keep_days * 24 * 3600
        # Readers had a version until the next was made.
        old = pairwise(versions[: max(len(versions) - keep + 1, 0)])
        lost = [version for version, after in old if version.whole and not (keep_days and after.made_at >= since)]
        for version in lost:
            # Noted first: what is gone then is not damage.
            self._note_pruned(version)
            for name in ("assignments", "clusters", "lineage"):
                (version.folder / f"{name}.parquet").unlink(missing_ok=True)
            shutil.rmtree(version.folder / PARTS_NAME, ignore_errors=True)
        return [version.number for version in lost]

    def _note_pruned(self, version: Version) -> None:
        path = version.folder / VERSION_NAME
        write_sealed(path, {**read_sealed(path), "pruned": True})

    def repair(self, version: Version, tables: Tables) -> list[str]:
        """Write the damaged tables of a version again, from the result that it was made from; returns their names.

        Its changes are compared again with the version before.

        Raises
        ------
        ArtifactDamaged
            Its changes are damaged, and the version before is not kept.
        """
        damaged = version.damaged(by_digest=True)
        found = dict(tables)
        if "changes" in damaged:
            found["changes"] = self._changes_again(version, found["assignments"])
        for name in damaged:
            table = found[name]
            if name == PARTS_NAME and version.parts:
                self._write_parts_again(version, _rows(table))
                continue
            with replacing(version.folder / f"{name}.parquet") as aside:
                _write(aside, name, table if isinstance(table, pl.DataFrame) else table[0].frame())
        path = version.folder / VERSION_NAME
        write_sealed(path, {**read_sealed(path), "files": _described(version.folder)})
        return list(damaged)

    def _write_parts_again(self, version: Version, parts: Sequence[PublishedRows]) -> None:
        for part in version.assigned:
            name = f"{PARTS_NAME}/{part.path.name}"
            if version.file_problem(name, by_digest=True):
                same = next((rows for rows in parts if rows.digest == part.digest), None)
                if same is None:
                    raise ArtifactDamaged(f"{part.path} cannot be made again. {_remedy(self.folder)}")
                with replacing(part.path) as aside:
                    _write(aside, PARTS_NAME, same.frame())

    def _changes_again(self, version: Version, assignments: pl.DataFrame | Sequence[PublishedRows]) -> pl.DataFrame:
        before = None if version.number == 1 else self._read(self.folder / _folder_name(version.number - 1))
        if before is not None and (not before.whole or "assignments" in before.damaged()):
            raise ArtifactDamaged(
                f"{version.folder / 'changes.parquet'} is damaged, and version {before.number}, with which it would be "
                f"compared again, is not kept. {_remedy(self.folder)}"
            )
        changed = compare_parts([] if before is None else before.assigned, _rows(assignments)).images
        return changed.with_columns(version=pl.lit(version.number, dtype=pl.Int32))

    def compare(self, assignments: pl.DataFrame | Sequence[PublishedRows]) -> Comparison:
        """What would change if these assignments were published."""
        latest = self.latest()
        return compare_parts([] if latest is None else latest.assigned, _rows(assignments))

    def _add(
        self,
        tables: Tables,
        *,
        source: dict[str, str],
        entry: int,
        rolled_back_to: int | None,
        compared: Comparison | None = None,
    ) -> Version:
        latest = self.latest()
        number = 1 if latest is None else latest.number + 1
        compared = self.compare(tables["assignments"]) if compared is None else compared
        changes = compared.images.with_columns(version=pl.lit(number, dtype=pl.Int32))
        rows = _rows(tables[PARTS_NAME])
        parts = {} if rows[0].alone else {_part_name(place, part): part.assigned for place, part in enumerate(rows)}
        record = {
            "version": number,
            "schema": PARTS_SCHEMA if parts else PUBLISHED_SCHEMA,
            "entry": entry,
            "source": source,
            "rolled_back_to": rolled_back_to,
            "made_at": time.time(),
        }
        target = self.folder / _folder_name(number)
        with building_folder(self.folder) as aside:
            for name, table in {**tables, "changes": changes}.items():
                if not isinstance(table, pl.DataFrame) and parts:
                    self._write_parts(aside / PARTS_NAME, rows, latest)
                else:
                    _write(
                        aside / f"{name}.parquet", name, table if isinstance(table, pl.DataFrame) else rows[0].frame()
                    )
            described = {**record, "files": _described(aside)} | ({"parts": parts} if parts else {})
            write_sealed(aside / VERSION_NAME, described)
            # A version above the latest was killed before the swap, and nobody has seen it: it is made again.
            shutil.rmtree(target, ignore_errors=True)
            place_folder(aside, target)
            self._announce(target)
        return self._read(target)

    def _write_parts(self, folder: Path, rows: Sequence[PublishedRows], latest: Version | None) -> None:
        """Write the files of the assignments; those that the latest version has too are shared with it."""
        folder.mkdir()
        known = {part.digest: part for part in ([] if latest is None else latest.assigned) if not part.alone}
        for place, part in enumerate(rows):
            path, same = folder / _part_name(place, part), known.get(part.digest)
            named = None if same is None else f"{PARTS_NAME}/{same.path.name}"
            if same is not None and latest is not None and latest.file_problem(str(named), by_digest=True) is None:
                share(same.path, path)
            else:
                _write(path, PARTS_NAME, part.frame())

    def _announce(self, target: Path) -> None:
        with replacing(self.folder / LATEST_NAME) as link:
            link.symlink_to(target.name)

    def _read(self, folder: Path) -> Version:
        path = folder / VERSION_NAME
        try:
            record = read_sealed(path)
            return Version(
                number=int(record["version"]),
                entry=int(record["entry"]),
                source=dict(record["source"]),
                rolled_back_to=record["rolled_back_to"],
                made_at=float(record["made_at"]),
                folder=folder,
                files=dict(record.get("files", {})),
                pruned=bool(record.get("pruned", False)),
                parts=dict(record.get("parts", {})),
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ArtifactDamaged(f"{path} cannot be read ({error}). {_remedy(self.folder)}") from error


@dataclass(frozen=True)
class _Whole:
    """A table as the rows of one file."""

    table: pl.DataFrame
    digest: str = ""
    assigned: str = ""
    alone: bool = True

    def frame(self) -> pl.DataFrame:
        return self.table

    def sizes(self) -> pl.DataFrame:
        return self.table.group_by("cluster_id").agg(images=pl.len())


def _rows(assignments: pl.DataFrame | Sequence[PublishedRows]) -> Sequence[PublishedRows]:
    return [_Whole(assignments)] if isinstance(assignments, pl.DataFrame) else assignments


def _part_name(place: int, part: PublishedRows) -> str:
    return f"part-{place:05d}-{part.digest}.parquet"


def _described(folder: Path) -> dict[str, dict[str, Any]]:
    """The tables of a version as its record has them, by their paths in its folder."""
    tables = describe_files(path for path in folder.iterdir() if path.suffix == ".parquet")
    parts = describe_files((folder / PARTS_NAME).glob("*.parquet"))
    return {**tables, **{f"{PARTS_NAME}/{name}": file for name, file in parts.items()}}


def _write(path: Path, name: str, table: pl.DataFrame) -> None:
    schema = TABLES[name]
    # A version from before a column was kept is rolled back to without it.
    names = [column.name for column in schema.columns]
    absent = {column: pl.lit(None) for column in names if column not in table.columns}
    write_table(path, schema, table.with_columns(**absent).select(names), checksums=True)


def _folder_name(number: int) -> str:
    return f"v{number:06d}"


def _remedy(folder: Path) -> str:
    return f"Restore it from a backup (`tac restore`), or delete {folder} and publish again."
