"""The artifact store: data/<store>/<asset>/<recipe>/, with `current.json` naming the version that readers get.

    data/photos/
      text_counterparts/
        3f0c.../          one folder per recipe: the files, and artifact.json that describes them
        current.json      which recipe is current, and the chained version that it was made for
      shards/             append-only image vectors, found by encoder and image (embedding/)
      assigned/           the assignment of every shard, found by heads and shard (assigning.py)
      ledger/             every cluster id that was ever given (ledger.py)
      published/          what readers build on, in numbered versions (publication.py)
      .scratch/           artifacts being built; renamed whole when they are valid
      .lock               held by the process that builds
      .runs/              a lock for every run that is alive
      .listings/          what was found in archives
    data/.shared/         versions of the assets that depend on no image: every store finds them
      prompted_nouns/     append-only noun vectors, found by encoder, templates and noun (prompted_nouns.py)

An artifact is built in a scratch folder, validated, renamed whole, and only then made current. A recipe that exists is
used again.
What must stay out: what an asset means and what it reads (assets/).
"""

from __future__ import annotations

import json
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tac_pipeline.digest import digest, file_sha256
from tac_pipeline.errors import ArtifactDamaged, ArtifactMissing
from tac_pipeline.files import hold_lock, place_folder, write_atomically

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

    from tac_pipeline.store.parquet import TableSchema

RECORD_NAME = "artifact.json"
CURRENT_NAME = "current.json"
SCRATCH_NAME = ".scratch"
SHARED_NAME = ".shared"
SHARDS_NAME = "shards"
RUNS_NAME = ".runs"
LISTINGS_NAME = ".listings"
ASSIGNED_NAME = "assigned"
LEDGER_NAME = "ledger"
PUBLISHED_NAME = "published"
PROMPTED_NOUNS_NAME = "prompted_nouns"
# Files of an artifact that only people look at.
SHOWN_SUFFIXES = (".png", ".md")


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
        """The path of one of its files, after a check that the file is whole.

        Raises
        ------
        ArtifactDamaged
            The file is gone, or its size is not the size that was written.
        """
        problem = self._problem(self.folder / name, self.record["files"][name]["size"])
        if problem:
            raise ArtifactDamaged(
                f"{problem}. Materialize {self.asset} again (`tac run --select {self.asset}`): it is rebuilt in place."
            )
        return self.folder / name

    def table(self, schema: TableSchema, *, columns: Sequence[str] | None = None) -> pa.Table:
        """One of its tables, or some columns of it; the file is checked like any other."""
        # Not at the top: `tac path` opens no table.
        from tac_pipeline.store.parquet import read_table

        return read_table(self.file(schema.file_name), schema, columns=columns)

    def frame(self, schema: TableSchema, *, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """Like table, as a polars frame."""
        from tac_pipeline.store.parquet import read_frame

        return read_frame(self.file(schema.file_name), schema, columns=columns)

    def damage(self) -> str | None:
        """What is wrong with its files, in words; None when all are whole. Sizes are compared, not bytes."""
        store_folder = self.folder.parent.parent
        wanted = [(self.folder / name, entry["size"]) for name, entry in self.record["files"].items()]
        wanted += [(store_folder / name, size) for name, size in self.record["links"].items()]
        return next((problem for path, size in wanted if (problem := self._problem(path, size))), None)

    @staticmethod
    def _problem(path: Path, size: int) -> str | None:
        try:
            found = path.stat().st_size
        except FileNotFoundError:
            return f"{path} is gone"
        return None if found == size else f"{path} must have {size:,} bytes; it has {found:,}"


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


class Store:
    """The artifacts of one image store.

    Parameters
    ----------
    folder : Path
        data/<store>; created when first written to.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def _home(self, *, shared: bool) -> Path:
        """The folder that an asset's versions are built in, with the scratch folder beside them.

        Versions of a shared asset depend on no image. They are in data/.shared, where every store in data finds them.
        Each store says for itself which of them is current.
        """
        return self.folder.parent / SHARED_NAME if shared else self.folder

    @property
    def _homes(self) -> tuple[Path, Path]:
        """The folders to search for versions: a store from before sharing has some in its own folder."""
        return self._home(shared=True), self.folder

    @property
    def shards_folder(self) -> Path:
        """Append-only image vectors."""
        return self.folder / SHARDS_NAME

    @property
    def ledger_folder(self) -> Path:
        """Every cluster id that was ever given."""
        return self.folder / LEDGER_NAME

    @property
    def published_folder(self) -> Path:
        """What readers build on."""
        return self.folder / PUBLISHED_NAME

    @property
    def runs_folder(self) -> Path:
        """A lock for every run that is alive."""
        return self.folder / RUNS_NAME

    @property
    def prompted_nouns_folder(self) -> Path:
        """Append-only noun vectors of all stores."""
        return self._home(shared=True) / PROMPTED_NOUNS_NAME

    @property
    def listings_folder(self) -> Path:
        """Kept listings of archives, which are slow to list."""
        return self.folder / LISTINGS_NAME

    @property
    def assigned_folder(self) -> Path:
        """The assignments of each shard, found by heads and shard."""
        return self.folder / ASSIGNED_NAME

    def current(self, asset: str) -> Current | None:
        """The current version of an asset, even if files are damaged; None when it was never built."""
        path = self.folder / asset / CURRENT_NAME
        try:
            pointer = json.loads(path.read_text(encoding="utf-8"))
            recipe, version, written = str(pointer["recipe"]), str(pointer["version"]), dict(pointer["written"])
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ArtifactDamaged(
                f"{path} cannot be read ({error}). Delete it and materialize {asset} again."
            ) from error
        artifact = self.find(asset, recipe)
        return None if artifact is None else Current(artifact, version, written)

    def whole_current(self, asset: str) -> Current | None:
        """Like current, but None when its files are damaged: for callers that can do without it."""
        current = self.current(asset)
        return None if current is None or current.artifact.damage() else current

    def require_current(self, asset: str) -> Current:
        """Like current, but an asset that was never built is an error.

        Raises
        ------
        ArtifactMissing
            It was never built.
        """
        found = self.current(asset)
        if found is None:
            raise ArtifactMissing(
                f"{asset} has not been materialized in {self.folder}. Build it first: `tac run --select {asset}`."
            )
        return found

    def find(self, asset: str, recipe: str) -> Artifact | None:
        """The artifact of a recipe, even if files are damaged; None when there is none."""
        for home in self._homes:
            folder = home / asset / recipe
            try:
                record = json.loads((folder / RECORD_NAME).read_text(encoding="utf-8"))
                if {"content", "files", "links", "values", "inputs", "facts", "rows", "notes"} <= record.keys():
                    return Artifact(asset, recipe, folder, record)
            except (OSError, ValueError, AttributeError):
                continue
        # A folder without a readable record is not an artifact: the next build replaces it.
        return None

    def find_contents(self, asset: str, content: str) -> list[Artifact]:
        """The whole versions of an asset with this content, the current one first."""
        current = self.current(asset)
        kept = [*([current.artifact] if current else []), *self.versions(asset)]
        return [version for version in kept if version.content == content and not version.damage()]

    @contextmanager
    def scratch(self, asset: str, *, shared: bool = False) -> Iterator[Path]:
        """A new folder to build an artifact in; anything left in it at the end is removed."""
        folder = self._home(shared=shared) / SCRATCH_NAME / f"{asset}-{uuid.uuid4().hex[:12]}"
        folder.mkdir(parents=True)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def commit(
        self, asset: str, recipe: str, built: Path, record: Mapping[str, Any], *, shared: bool = False
    ) -> Artifact:
        """Turn a scratch folder into the artifact of a recipe, whole or not at all.

        Parameters
        ----------
        built : Path
            The scratch folder; its files become the artifact's.
        record : mapping
            All of Artifact.record except files and made_at, which are added here. If content is None, it becomes the
            digest of the files' bytes.
        """
        files = {
            path.name: {"size": path.stat().st_size, "sha256": file_sha256(path)} for path in sorted(built.iterdir())
        }
        content = record["content"] or _content_of(files)
        whole = {**record, "content": content, "files": files, "made_at": time.time()}
        write_atomically(built / RECORD_NAME, json.dumps(whole, indent=1, ensure_ascii=False))
        target = self._home(shared=shared) / asset / recipe
        if target.exists():
            # A damaged version of the same recipe is moved away first, so that a crash leaves one or the other.
            self._discard(target)
        place_folder(built, target)
        return Artifact(asset, recipe, target, whole)

    def make_current(self, artifact: Artifact, *, version: str, written: Mapping[str, Any]) -> None:
        """Make this artifact the one that readers get, for these settings (see Current)."""
        pointer = {"recipe": artifact.recipe, "version": version, "written": dict(written)}
        write_atomically(self.folder / artifact.asset / CURRENT_NAME, json.dumps(pointer, ensure_ascii=False))
        self.note_use(artifact)

    def note_use(self, artifact: Artifact) -> None:
        """Write down the time of last use, which prune reads; a process that may only read skips this."""
        with suppress(OSError):
            os.utime(artifact.folder / RECORD_NAME)

    def versions(self, asset: str) -> list[Artifact]:
        """Every kept version of an asset, the last used first."""
        records = sorted(
            (path for home in self._homes for path in (home / asset).glob(f"*/{RECORD_NAME}")),
            key=lambda path: path.stat().st_mtime_ns,
            reverse=True,
        )
        # A recipe may be in both folders: made here before it was shared, and by another store since.
        found = (self.find(asset, recipe) for recipe in dict.fromkeys(path.parent.name for path in records))
        return [artifact for artifact in found if artifact is not None]

    def prune(self, asset: str, *, keep: int, shared: bool = False, in_use: bool = False) -> list[str]:
        """Keep the `keep` versions that were used last, and current ones; returns the recipes that were removed.

        With `in_use`, versions that something current was made from, directly or not, are kept as well.
        """
        stores = self.folder.parent.glob("*") if shared else [self.folder]
        pointers = [_pointed(folder / asset / CURRENT_NAME) for folder in stores]
        others = [artifact for artifact in self.versions(asset) if artifact.recipe not in pointers]
        removed = others[max(keep - 1, 0) :]
        needed = self._contents_in_use() if in_use and removed else set()
        removed = [artifact for artifact in removed if artifact.content not in needed]
        for artifact in removed:
            self._discard(artifact.folder)
        return [artifact.recipe for artifact in removed]

    def _contents_in_use(self) -> set[str]:
        """The contents of everything current, and of all that it was made from."""
        pointers = self.folder.glob(f"*/{CURRENT_NAME}")
        currents = [self.current(path.parent.name) for path in pointers]
        waiting = [current.artifact for current in currents if current is not None]
        found: set[str] = set()
        while waiting:
            artifact = waiting.pop()
            if artifact.content in found:
                continue
            found.add(artifact.content)
            for name, content in artifact.record["inputs"].items():
                waiting += self.find_contents(name, content)
        return found

    def sweep_scratch(self, *, shared: bool = False) -> None:
        """Remove what killed builds of an asset left behind; call it with the lock held."""
        for folder in (self._home(shared=shared) / SCRATCH_NAME).glob("*"):
            shutil.rmtree(folder, ignore_errors=True)

    def _discard(self, folder: Path) -> None:
        aside = folder.parent.parent / SCRATCH_NAME / f"removed-{uuid.uuid4().hex[:12]}"
        aside.parent.mkdir(parents=True, exist_ok=True)
        folder.rename(aside)
        shutil.rmtree(aside, ignore_errors=True)

    @contextmanager
    def lock(self, *, on_wait: Callable[[str], None] = lambda _: None) -> Iterator[None]:
        """Hold the store's OS lock: one build at a time, from any process; re-entrant within a process.

        The operating system releases the lock when the process ends, even when it is killed.

        Parameters
        ----------
        on_wait : callable
            Called once with a sentence when another process holds the lock.
        """
        with hold_lock(self.folder, on_wait):
            yield

    @contextmanager
    def building(self, *, shared: bool = False, on_wait: Callable[[str], None] = lambda _: None) -> Iterator[None]:
        """Hold the locks for building an asset: the store's, and for a shared asset also the one of all stores."""
        with self.lock(on_wait=on_wait):
            if shared:
                # Always taken after the store's own lock, so that two stores never wait for each other.
                with hold_lock(self._home(shared=True), on_wait):
                    yield
            else:
                yield


def _pointed(path: Path) -> str | None:
    """The recipe that a pointer names."""
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["recipe"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _content_of(files: Mapping[str, Mapping[str, Any]]) -> str:
    # Pictures are for people: they are drawn from the data and never decide whether anything downstream is stale.
    return digest({name: entry["sha256"] for name, entry in files.items() if not name.endswith(SHOWN_SUFFIXES)})
