"""The check of a store: every file's bytes against what was written, with one file in memory at a time.

It reads, and changes nothing; `repair` takes what is damaged and can be computed again out of the way.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Set
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from tac_pipeline.errors import ArtifactDamaged
from tac_pipeline.files import LEFTOVER_SECONDS, is_leftover, leftovers, sweep
from tac_pipeline.progress import Progress
from tac_pipeline.store.artifacts import (
    BEFORE_RESTORE,
    CURRENT_NAME,
    DERIVED_NAME,
    NEAR_NAME,
    PAGES_NAME,
    RECORD_NAME,
    RUNS_NAME,
    SCRATCH_NAME,
    SET_ASIDE_NAME,
    TELLING_NAME,
    THUMBNAILS_NAME,
    Store,
)
from tac_pipeline.store.digests import (
    beside,
    file_problem,
    known_digest,
    name_problem,
    read_sealed,
    size_problem,
)
from tac_pipeline.store.history import History
from tac_pipeline.store.keeping.action_log import ActionLog
from tac_pipeline.store.keeping.training_sets import MADE_NAME, TRAINING_SETS_NAME
from tac_pipeline.store.ledger import ENTRY_NAME, Ledger
from tac_pipeline.store.ledger import TABLES as LEDGER_TABLES
from tac_pipeline.store.listings import FOLDERS_NAME, TABLES_NAME
from tac_pipeline.store.parquet import TableSchema, read_table
from tac_pipeline.store.publication import HOLD_NAME, LATEST_NAME, Publication
from tac_pipeline.store.schemas import (
    ARCHIVE_MEMBERS,
    CLUSTER_IDS,
    EMBEDDING_SHARD,
    FOLDER_ROWS,
    PROMPTED_NOUNS,
    SHARD_ASSIGNMENTS,
    VECTOR_ROWS,
)

LOCKS = {".lock", ".lock-holder"}
_PASSED_OVER = {
    DERIVED_NAME,
    NEAR_NAME,
    PAGES_NAME,
    THUMBNAILS_NAME,
    RUNS_NAME,
    SCRATCH_NAME,
    SET_ASIDE_NAME,
    TELLING_NAME,
}


class Loss(StrEnum):
    """What becomes of a file with a finding."""

    COMPUTED = "computed again"
    REPUBLISHED = "published again"
    BACKUP = "backup"
    FOREIGN = "foreign"
    LEFTOVER = "leftover"


@dataclass(frozen=True)
class Finding:
    """A file that is not as it was written, or that nothing here has written."""

    path: Path
    problem: str
    loss: Loss

    @property
    def damage(self) -> bool:
        """Whether something is lost: a foreign file and a leftover are only told."""
        return self.loss in (Loss.COMPUTED, Loss.REPUBLISHED, Loss.BACKUP)


@dataclass
class Report:
    """What a check found.

    Attributes
    ----------
    files, bytes : int
        How much was read.
    without_digest : int
        Files from before digests were kept, of which only the form can be checked.
    """

    findings: list[Finding] = field(default_factory=list)
    files: int = 0
    bytes: int = 0
    without_digest: int = 0

    @property
    def damaged(self) -> list[Finding]:
        """The findings by which something is lost."""
        return [finding for finding in self.findings if finding.damage]


def check_store(store: Store, *, assets: Set[str], progress: Progress | None = None) -> Report:
    """Compare every file of a store, and the nouns of all stores beside it, with what was written.

    Parameters
    ----------
    assets : set of str
        The names of all assets; other folders are foreign.
    progress : callable, optional
        Takes bytes done and bytes in all.
    """
    look = _Look(store, assets, progress)
    for step in (look.artifacts, look.shards, look.tables, look.ledger, look.published, look.others):
        step()
    look.report.findings.sort(key=lambda finding: (not finding.damage, str(finding.path)))
    return look.report


def check_kept(store: Store) -> list[Finding]:
    """The damage of what cannot be computed again: the ledger, and what is published."""
    look = _Look(store, frozenset(), None)
    look.ledger()
    look.published()
    return look.report.damaged


def ledger_gap(store: Store) -> str | None:
    """What the ledger lacks of the entries that cluster ids in use come from, in words; None when nothing."""
    current = store.current(CLUSTER_IDS.name)
    used = 0 if current is None else int(current.artifact.facts.get("entry", 0))
    with suppress(ArtifactDamaged):  # what is published is checked by itself
        latest = Publication(store.published_folder).latest()
        used = max(used, 0 if latest is None else latest.entry)
    have = max((int(path.name) for path in store.ledger_folder.glob("[0-9]*") if path.is_dir()), default=0)
    if have >= used:
        return None
    return (
        f"{store.ledger_folder} must hold the entry {used}, which gave the cluster ids in use; it ends with {have}. "
        "Without it learning cannot go on, and corrections of ids that are gone do nothing"
    )


class _Look:
    def __init__(self, store: Store, assets: Set[str], progress: Progress | None) -> None:
        self.store, self.assets, self.report = store, assets, Report()
        self._progress = progress
        # What a grouping shares is looked at with the store whose images it groups.
        self._homes = store.homes if store.base is None else (store.folder,)
        self._all = [path for home in self._homes for path in _files(home)]
        self._bytes = sum(_size(path) for path in self._all)
        self._known: set[Path] = set()

    def artifacts(self) -> None:
        """Every kept version of every asset, and which is current."""
        for asset in sorted(self.assets):
            for home in self._homes:
                for folder in sorted(path for path in (home / asset).glob("[!.]*") if path.is_dir()):
                    self._artifact(asset, folder)
            self._pointer(asset)

    def _artifact(self, asset: str, folder: Path) -> None:
        record = folder / RECORD_NAME
        self._took(record)
        found = self.store.read(asset, folder)
        if found is None:
            self._find(record, f"{record} is gone, or is not what was written", Loss.COMPUTED)
            self._known |= set(_files(folder))
            return
        for name, wanted in found.record["files"].items():
            path = folder / name
            self._took(path)
            self._find(path, file_problem(path, wanted), Loss.COMPUTED)
        for name, size in found.record["links"].items():
            path = self.store.folder / name
            self._find(path, size_problem(path, size), Loss.COMPUTED)

    def _pointer(self, asset: str) -> None:
        pointer = self.store.folder / asset / CURRENT_NAME
        self._took(pointer)
        kept = any(pointer.parent.glob(f"*/{RECORD_NAME}"))
        if self.store.has_bad_pointer(asset) or (kept and not pointer.exists()):
            self._find(pointer, f"{pointer} is gone, or is not what was written", Loss.COMPUTED)

    def shards(self) -> None:
        """Every shard, by its digest, and by reading it."""
        if self.store.base is not None:
            return
        for path in sorted(self.store.shards_folder.glob("*/*.parquet")):
            self._added(path, EMBEDDING_SHARD)
            self._known.add(beside(path))

    def tables(self) -> None:
        """Noun vectors, assignments of shards, listings: tables that are found by their names."""
        shared = [
            (self.store.prompted_nouns_folder, "*/*.parquet", PROMPTED_NOUNS),
            (self.store.listings_folder, "*.parquet", ARCHIVE_MEMBERS),
            (self.store.listings_folder, f"{TABLES_NAME}/*.parquet", VECTOR_ROWS),
            (self.store.listings_folder, f"{FOLDERS_NAME}/*.parquet", FOLDER_ROWS),
        ]
        own = (self.store.assigned_folder, "*/*/*.parquet", SHARD_ASSIGNMENTS)
        for folder, pattern, schema in [own] if self.store.base else [own, *shared]:
            for path in sorted(folder.glob(pattern)):
                self._added(path, schema)

    def _added(self, path: Path, schema: TableSchema) -> None:
        self._took(path)
        named = schema in (EMBEDDING_SHARD, PROMPTED_NOUNS)
        self.report.without_digest += named and known_digest(path) is None
        self._find(path, (name_problem(path) if named else None) or _table_problem(path, schema), Loss.COMPUTED)

    def ledger(self) -> None:
        """Every entry, by the digests in its record, and the rows of training sets."""
        folder, ledger = self.store.ledger_folder, Ledger(self.store.ledger_folder)
        try:
            entries = ledger.entries()
        except ArtifactDamaged as error:
            self._find(folder, str(error), Loss.BACKUP)
            self._known |= set(_files(folder))
            return
        for entry in entries:
            self._took(entry.folder / ENTRY_NAME)
            for name, schema in LEDGER_TABLES.items():
                path, wanted = entry.folder / f"{name}.parquet", entry.files.get(f"{name}.parquet")
                self._took(path)
                self.report.without_digest += wanted is None
                problem = _table_problem(path, schema) if wanted is None else file_problem(path, wanted)
                self._find(path, problem, Loss.BACKUP)
        self._find(folder, ledger_gap(self.store), Loss.BACKUP)
        for log in (ActionLog(folder), self.store.history):
            self._lines(log)
        for made in sorted((folder / TRAINING_SETS_NAME).glob("[!.]*")):
            self._training_set(made)

    def _lines(self, log: ActionLog | History) -> None:
        if log.path.exists():
            self._took(log.path)
            try:
                log.read()
            except ArtifactDamaged as error:
                self._find(log.path, str(error), Loss.BACKUP)

    def _training_set(self, folder: Path) -> None:
        path = folder / MADE_NAME
        self._took(path)
        try:
            files = read_sealed(path)["files"]
        except (OSError, ValueError, KeyError) as error:
            self._find(path, f"{path} cannot be read ({error})", self._loss_of_rows)
            return
        for name, wanted in files.items():
            own = folder / name
            self._took(own)
            self._find(own, file_problem(own, wanted), self._loss_of_rows)

    @property
    def _loss_of_rows(self) -> Loss:
        # While the training set is whole, its rows are written again from it.
        return Loss.COMPUTED if self.store.whole_current("training_set") is not None else Loss.BACKUP

    def published(self) -> None:
        """Every version up to the latest, by the digests in its record."""
        publication = Publication(self.store.published_folder)
        try:
            versions = publication.versions()
        except ArtifactDamaged as error:
            self._find(publication.folder, str(error), Loss.BACKUP)
            self._known |= set(_files(publication.folder))
            return
        for version in versions:
            last = version.number == versions[-1].number
            for path, problem in version.damaged_files(by_digest=True).items():
                self._find(path, problem, Loss.REPUBLISHED if last else Loss.BACKUP)
            for path in version.folder.rglob("*"):
                if path.suffix in (".parquet", ".json"):
                    self._took(path)
            self.report.without_digest += not version.files
        for name in (HOLD_NAME, LATEST_NAME):
            self._known.add(publication.folder / name)

    def others(self) -> None:
        """What killed writers left, and what nothing here has written."""
        shared, own = self.store.homes
        left = leftovers(own) if self.store.base else [*leftovers(own), *leftovers(shared, older_than=LEFTOVER_SECONDS)]
        for path in left:
            self._find(path, f"{path} was left by a process that was killed", Loss.LEFTOVER)
            self._known |= {path, *_files(path)}
        for path in self._all:
            home = shared if path.is_relative_to(shared) else own
            first = path.relative_to(home).parts[0]
            passed = first in _PASSED_OVER or first.startswith(BEFORE_RESTORE) or path.name in LOCKS
            if passed or path in self._known:
                continue
            if path.exists() and not (home == shared and is_leftover(path)):
                self._find(path, f"{path} was written by nothing in this project", Loss.FOREIGN)

    def _find(self, path: Path, problem: str | None, loss: Loss) -> None:
        if problem is not None:
            self.report.findings.append(Finding(path, problem, loss))

    def _took(self, path: Path) -> None:
        if path in self._known:
            return
        self._known.add(path)
        self.report.files += 1
        self.report.bytes += _size(path)
        if self._progress is not None:
            self._progress(min(self.report.bytes, self._bytes), max(self._bytes, 1))


def repair(store: Store, report: Report) -> list[Path]:
    """Take damaged files that can be computed again out of the store, and remove leftovers; with the lock held.

    The ledger, the published versions and foreign files are left as they are.

    Returns
    -------
    list of Path
        What is no longer there.
    """
    done = []
    for finding in report.findings:
        path = finding.path
        if finding.loss == Loss.LEFTOVER:
            done += sweep(path.parent)
        elif finding.loss == Loss.COMPUTED:
            # Without its record, or one of its tables, a folder is nothing.
            whole = path.name == RECORD_NAME or path.parent.parent.name == TRAINING_SETS_NAME
            if whole and path.parent.is_dir():
                shutil.rmtree(path.parent)
                done.append(path.parent)
            elif not whole and path.exists():
                if not store.set_aside(path):
                    path.unlink()
                done.append(path)
    return list(dict.fromkeys(done))


def _table_problem(path: Path, schema: TableSchema) -> str | None:
    try:
        read_table(path, schema)
    except ArtifactDamaged as error:
        return str(error)
    return None


def _files(home: Path) -> Iterator[Path]:
    for parent, _, files in os.walk(home):
        yield from (Path(parent, name) for name in files)


def _size(path: Path) -> int:
    try:
        return path.lstat().st_size
    except OSError:
        return 0
