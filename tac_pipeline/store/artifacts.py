"""The artifact store: data/<store>/<asset>/<recipe>/, with `current.json` naming the version that readers get.

    data/photos/
      text_counterparts/
        3f0c.../          one folder per recipe: the files, and artifact.json that describes them
        current.json      which recipe is current, and the chained version that it was made for
      shards/             append-only image vectors, found by encoder and image (embedding/)
      assigned/           the assignment of every shard, found by heads and shard (assigning.py)
      ledger/             every cluster id that was ever given (ledger.py)
      thumbnails/         small pictures for the workbench, bounded
      pages/              the pages of all groupings in one file
      published/          what readers build on, in numbered versions (publication.py)
      telling/            what was told of the store outside: the last run's summary, alerts, versions in other places
      .scratch/           artifacts being built; renamed whole when they are valid
      .lock               held by the process that builds
      .runs/              a lock for every run that is alive
      .listings/          what was found in archives, in folders, and in the files of a vector table
      .derived/           what was computed of single segments of large tables (segments/derived.py)
      .near/              near-duplicates, and what finds those of new images (results/review/near_index.py)
      .damaged/           files with wrong bytes that were set aside, for some days
    data/photos.style/    the same of a grouping, called style, of the images of photos: without shards and .near, and
                          without a lock and runs of its own
    data/.shared/         versions of the assets that depend on no image: every store finds them
      prompted_nouns/     append-only noun vectors, found by encoder, templates and noun (prompted_nouns.py)

An artifact is built in a scratch folder, validated, renamed whole, and only then made current. A recipe that exists is
used again. A table of more than a million rows is several files, some of them hard links to those of the version before
(segments/).
What must stay out: what an asset means and what it reads (assets/).
"""

from __future__ import annotations

import os
import shutil
import time
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tac_pipeline.digest import digest
from tac_pipeline.errors import ArtifactMissing, StoreError, TacError
from tac_pipeline.files import LEFTOVER_SECONDS, hold_lock, place_folder, sweep
from tac_pipeline.settings.project import IMAGE_ASSETS, Project
from tac_pipeline.store.artifact import Artifact as Artifact
from tac_pipeline.store.artifact import Current as Current
from tac_pipeline.store.digests import beside, describe_files, read_sealed, write_sealed
from tac_pipeline.store.history import History, now

if TYPE_CHECKING:
    from tac_pipeline.store.segments.derived import Derived

RECORD_NAME = "artifact.json"
CURRENT_NAME = "current.json"
SCRATCH_NAME = ".scratch"
SHARED_NAME = ".shared"
SHARDS_NAME = "shards"
RUNS_NAME = ".runs"
LISTINGS_NAME = ".listings"
ASSIGNED_NAME = "assigned"
# What was computed of single segments of large tables (segments/derived.py).
DERIVED_NAME = ".derived"
# Near-duplicates and what finds those of new images (results/review/near_index.py).
NEAR_NAME = ".near"
LEDGER_NAME = "ledger"
PUBLISHED_NAME = "published"
# The last run's summary, alerts, and what is known of versions in other places; lost, it is made again.
TELLING_NAME = "telling"
# The pages of a store and its groupings in one file, to open or to send; written anew by each `tac report`.
PAGES_NAME = "pages"
# Small pictures that the workbench made on demand, by the hash of the image.
THUMBNAILS_NAME = "thumbnails"
PROMPTED_NOUNS_NAME = "prompted_nouns"
# Damaged files that a run made again, so that somebody can still look at them for some days.
SET_ASIDE_NAME = ".damaged"
SET_ASIDE_SECONDS = 7 * 24 * 3600.0
# Where a restore keeps what was there (keeping/backup.py); a time follows.
BEFORE_RESTORE = ".before-restore"
# Files of an artifact that only people look at.
SHOWN_SUFFIXES = (".png", ".md")


class Store:
    """The artifacts of one image store.

    Parameters
    ----------
    folder : Path
        data/<store>; created when first written to.
    base : Store, optional
        The store whose images a grouping groups: it has the shards, the listings, the lock, and the assets in
        `of_base`. Those are only read here.
    of_base : collection of str
        Names of assets.
    """

    def __init__(self, folder: Path, *, base: Store | None = None, of_base: Collection[str] = ()) -> None:
        self.folder, self.base, self._of_base = folder, base, frozenset(of_base)

    def _owner(self, asset: str) -> Store:
        """The store that has an asset's versions, and says which is current."""
        return self.base if self.base is not None and asset in self._of_base else self

    def _home(self, *, shared: bool) -> Path:
        """The folder that an asset's versions are built in, with the scratch folder beside them.

        Versions of a shared asset depend on no image. They are in data/.shared, where every store in data finds them.
        Each store says for itself which of them is current.
        """
        return self.folder.parent / SHARED_NAME if shared else self.folder

    @property
    def homes(self) -> tuple[Path, Path]:
        """The folders to search for versions; a store from before sharing has some in its own, the second."""
        return self._home(shared=True), self.folder

    @property
    def shards_folder(self) -> Path:
        """Append-only image vectors."""
        return (self.base or self).folder / SHARDS_NAME

    @property
    def derived(self) -> Derived:
        """What was computed of single segments of large tables."""
        # Not at the top: `tac path` opens no table.
        from tac_pipeline.store.segments.derived import Derived

        return Derived(self.folder / DERIVED_NAME)

    @property
    def near_folder(self) -> Path:
        """Near-duplicates of the images, and what finds those of new ones."""
        return (self.base or self).folder / NEAR_NAME

    @property
    def ledger_folder(self) -> Path:
        """Every cluster id that was ever given."""
        return self.folder / LEDGER_NAME

    @property
    def history(self) -> History:
        """What was current when."""
        return History(self.ledger_folder)

    @property
    def published_folder(self) -> Path:
        """What readers build on."""
        return self.folder / PUBLISHED_NAME

    @property
    def telling_folder(self) -> Path:
        """What was told of the store outside; written without the lock."""
        return self.folder / TELLING_NAME

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
        return (self.base or self).folder / LISTINGS_NAME

    @property
    def thumbnails_folder(self) -> Path:
        """Small pictures of images, made on demand."""
        return (self.base or self).folder / THUMBNAILS_NAME

    @property
    def assigned_folder(self) -> Path:
        """The assignments of each shard, found by heads and shard."""
        return self.folder / ASSIGNED_NAME

    def current(self, asset: str) -> Current | None:
        """The current version of an asset, even if files are damaged; None when it was never built.

        A pointer that cannot be read counts as none: the next run finds the artifact by its recipe, and points to it.
        """
        pointer = _pointer(self._owner(asset).folder / asset / CURRENT_NAME)
        if pointer is None:
            return None
        artifact = self.find(asset, pointer["recipe"])
        return None if artifact is None else Current(artifact, pointer["version"], pointer["written"])

    def has_bad_pointer(self, asset: str) -> bool:
        """Whether it is no longer known which version of an asset is current; a run finds it by its recipe."""
        path = self._owner(asset).folder / asset / CURRENT_NAME
        return path.exists() and _pointer(path) is None

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
        found = (self.read(asset, home / asset / recipe) for home in self._owner(asset).homes)
        return next((artifact for artifact in found if artifact is not None), None)

    def read(self, asset: str, folder: Path) -> Artifact | None:
        """The artifact in a folder; without a readable record it is none, and the next build replaces it."""
        try:
            record = read_sealed(folder / RECORD_NAME)
        except (OSError, ValueError):
            return None
        whole = {"content", "files", "links", "values", "inputs", "facts", "rows", "notes"} <= record.keys()
        return Artifact(asset, folder.name, folder, record) if whole else None

    def find_content(self, asset: str, content: str) -> Artifact | None:
        """A whole version of an asset with this content, the current one first; None when none is kept."""
        return next(iter(self.find_contents(asset, content)), None)

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
        files = describe_files(built.iterdir())
        content = record["content"] or content_of(files)
        made = {**record, "content": content, "files": files, "made_at": time.time()}
        whole = write_sealed(built / RECORD_NAME, made)
        target = self._home(shared=shared) / asset / recipe
        if target.exists():
            # A damaged version of the same recipe is moved away first, so that a crash leaves one or the other.
            self._discard(target)
        place_folder(built, target)
        artifact = Artifact(asset, recipe, target, whole)
        artifact.note_whole()
        return artifact

    def make_current(self, artifact: Artifact, *, version: str, written: Mapping[str, Any]) -> None:
        """Make this artifact the one that readers get, for these settings (see Current)."""
        path = self.folder / artifact.asset / CURRENT_NAME
        pointer = {"recipe": artifact.recipe, "version": version, "written": dict(written)}
        before = _pointer(path) or {}
        logged = before.get("logged", 0)
        # A history that is shorter than it was then has been restored, or deleted.
        in_it = 0 < logged <= self.history.size and (before["recipe"], before["version"]) == (artifact.recipe, version)
        if not in_it:
            logged = self.history.add(artifact.asset, artifact.recipe, version=version, written=written)
        write_sealed(path, {**pointer, "logged": logged}, indent=None)
        self.note_use(artifact)

    def note_use(self, artifact: Artifact) -> None:
        """Write down the time of last use, which prune reads; a process that may only read skips this."""
        with suppress(OSError):
            os.utime(artifact.folder / RECORD_NAME)

    def versions(self, asset: str) -> list[Artifact]:
        """Every kept version of an asset, the last used first."""
        records = sorted(
            (path for home in self._owner(asset).homes for path in (home / asset).glob(f"*/{RECORD_NAME}")),
            key=lambda path: path.stat().st_mtime_ns,
            reverse=True,
        )
        # A recipe may be in both folders: made here before it was shared, and by another store since.
        found = (self.find(asset, recipe) for recipe in dict.fromkeys(path.parent.name for path in records))
        return [artifact for artifact in found if artifact is not None]

    def prune(
        self, asset: str, *, keep: int, keep_days: int = 0, shared: bool = False, in_use: bool = False
    ) -> list[str]:
        """Keep the `keep` versions that were used last, and current ones; returns the recipes that were removed.

        Damaged ones are of no use to anybody, unless they are current: the next run makes these again. With `in_use`,
        versions that something current was made from, directly or not, are kept as well. With `keep_days`, so are all
        that were current in these days, by the history, or before there was one by their last use.
        """
        stores = self.folder.parent.glob("*") if shared else [self.folder]
        try:
            found = [_pointer(folder / asset / CURRENT_NAME) for folder in stores]
        except StoreError:
            return []  # another store's, which may need any of them
        pointers = [pointer["recipe"] for pointer in found if pointer is not None]
        others = [artifact for artifact in self.versions(asset) if artifact.recipe not in pointers]
        whole = [artifact for artifact in others if artifact.damage() is None]
        kept = whole[: max(keep - 1, 0)]
        if keep_days and len(kept) < len(whole):
            kept += self._of_days(asset, whole, days=keep_days, shared=shared)
        removed = [artifact for artifact in others if artifact not in kept]
        needed = self._contents_in_use() if in_use and removed else set()
        removed = [artifact for artifact in removed if artifact.content not in needed]
        for artifact in removed:
            self._discard(artifact.folder)
        return [artifact.recipe for artifact in removed]

    def _of_days(self, asset: str, versions: list[Artifact], *, days: int, shared: bool) -> list[Artifact]:
        """Those of some versions, the last used first, that were current at some time in the last days."""
        since = now() - days * 24 * 3600
        recipes, known = set[str](), True
        pointers = self.folder.parent.glob(f"*/{asset}/{CURRENT_NAME}")
        for folder in (path.parent.parent for path in pointers) if shared else [self.folder]:
            try:
                found, goes_back = History(folder / LEDGER_NAME).recipes_since(asset, since)
            except TacError:
                found, goes_back = set(), False
            recipes |= found
            known = known and goes_back
        used = [(artifact.folder / RECORD_NAME).stat().st_mtime for artifact in versions]
        # From before there was a history, the last use tells. The first that is older was current when the days began.
        by_use = 0 if known else sum(moment >= since for moment in used) + 1
        return [artifact for number, artifact in enumerate(versions) if number < by_use or artifact.recipe in recipes]

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

    def sweep(self) -> None:
        """Remove what killed processes left in the store, and what was set aside long ago; with the lock held."""
        self.sweep_scratch()
        # Listings, small pictures, pages, alerts, and the nouns of all stores are written without this lock.
        pages = self.folder / PAGES_NAME
        unlocked = (
            self.listings_folder,
            self.thumbnails_folder,
            pages,
            self.prompted_nouns_folder,
            self.telling_folder,
        )
        for home in unlocked:
            sweep(home, older_than=LEFTOVER_SECONDS)
        for folder in self.folder.glob("*"):
            if folder not in unlocked:
                sweep(folder)
        since = time.time() - SET_ASIDE_SECONDS
        for path in (self.folder / SET_ASIDE_NAME).glob("*"):
            if path.lstat().st_mtime < since:
                path.unlink(missing_ok=True)

    def set_aside(self, path: Path) -> bool:
        """Take a damaged file that can be computed again out of the store, so that the next run makes it again.

        Call it with the lock held. The file is kept for some days.

        Returns
        -------
        bool
            False when it is no such file, or is gone already: the ledger and what is published are never touched.
        """
        if self.base is not None and path.is_relative_to(self.base.folder):
            return self.base.set_aside(path)
        homes = [home for home in self.homes if path.is_relative_to(home)]
        parts = path.relative_to(homes[0]).parts if homes else ()
        if len(parts) != 3 or parts[0] in (LEDGER_NAME, PUBLISHED_NAME) or parts[0].startswith("."):
            return False
        aside = self.folder / SET_ASIDE_NAME / "-".join(parts)
        aside.parent.mkdir(parents=True, exist_ok=True)
        try:
            path.rename(aside)
        except FileNotFoundError:
            return False
        os.utime(aside)
        beside(path).unlink(missing_ok=True)
        return True

    def _discard(self, folder: Path) -> None:
        aside = folder.parent.parent / SCRATCH_NAME / f"removed-{uuid.uuid4().hex[:12]}"
        aside.parent.mkdir(parents=True, exist_ok=True)
        folder.rename(aside)
        shutil.rmtree(aside, ignore_errors=True)

    @contextmanager
    def lock(self, *, on_wait: Callable[[str], None] = lambda _: None) -> Iterator[None]:
        """Hold the store's OS lock: one build at a time, from any process; re-entrant within a process.

        A store and its groupings have one lock, so that no image is taken away from a grouping that reads it.

        The operating system releases the lock when the process ends, even when it is killed. What such a process left
        half-written is removed by the next one that takes the lock.

        Parameters
        ----------
        on_wait : callable
            Called once with a sentence when another process holds the lock.
        """
        root = self.base or self
        with hold_lock(root.folder, on_wait) as first:
            if first:
                # Whoever holds the lock is alone with the store and all groupings, whose folders have its name first.
                for folder in (root.folder, *root.folder.parent.glob(f"{root.folder.name}.*")):
                    Store(folder, base=None if folder == root.folder else root).sweep()
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


def open_store(project: Project) -> Store:
    """The store of a project; that of a grouping reads what is about the images from the store itself."""
    base = None if project.base is None else open_store(project.base)
    return Store(project.store_folder, base=base, of_base=IMAGE_ASSETS)


def _pointer(path: Path) -> dict[str, Any] | None:
    """What a pointer says; None when there is none, or it is not what was written.

    Keys recipe, version, written, and logged: the bytes of the history with it, or 0. It only repeats what a run finds
    out.
    """
    try:
        found = read_sealed(path)
        return {
            "recipe": str(found["recipe"]),
            "version": str(found["version"]),
            "written": dict(found["written"]),
            "logged": int(found.get("logged", 0)),
        }
    except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError):
        return None
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror}. Let this user read the store's folder.") from error


def content_of(files: Mapping[str, Mapping[str, Any]]) -> str:
    """The content of an artifact with these files, each with its sha256, where the step does not say it itself."""
    # Pictures are for people: they are drawn from the data and never decide whether anything downstream is stale.
    return digest({name: entry["sha256"] for name, entry in files.items() if not name.endswith(SHOWN_SUFFIXES)})
