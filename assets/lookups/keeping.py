"""Checking, repairing, backing up and restoring a store: what `tac check`, `tac backup` and `tac restore` do."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from assets.engine.execute import open_store
from assets.engine.step import Log
from assets.graph import STEPS
from tac_pipeline.errors import StoreError
from tac_pipeline.progress import Progress
from tac_pipeline.settings.project import Project
from tac_pipeline.store.artifacts import Store
from tac_pipeline.store.keeping.backup import Backup, back_up
from tac_pipeline.store.keeping.backup import restore as restore_to
from tac_pipeline.store.keeping.check import Report, check_store, repair

# The names of the settings' files in a backup.
SETTINGS_FILE, CORRECTIONS_FILE = "tac.yaml", "corrections.yaml"


@dataclass(frozen=True)
class Checked:
    """What a check found, and the files that its repair took away."""

    report: Report
    repaired: list[Path]

    def __add__(self, other: "Checked") -> "Checked":
        """Both as one."""
        one, two = self.report, other.report
        report = Report(
            [*one.findings, *two.findings],
            one.files + two.files,
            one.bytes + two.bytes,
            one.without_digest + two.without_digest,
        )
        return Checked(report, [*self.repaired, *other.repaired])


def built_parts(project: Project) -> list[Project]:
    """A store and its groupings that were ever built, or a grouping alone."""
    return [one for one in project.parts if one is project or one.store_folder.is_dir()]


def beside(path: Path, project: Project) -> Path:
    """The backup of a grouping, beside that of its store: photos.style.tar beside photos.tar."""
    suffix = path.suffix if path.suffix == ".tar" else ""
    return path.with_name(f"{path.name.removesuffix(suffix)}.{project.grouping}{suffix}")


def check(project: Project, *, mend: bool, progress: Progress | None = None, log: Log = lambda _: None) -> Checked:
    """Compare every file of a store with what was written; `mend` takes away what the next run makes again.

    No run builds meanwhile. In a folder that this process may only read, the check is made without the lock.

    Raises
    ------
    StoreError
        There is no store yet.
    """
    store = _built_store(project)
    names = {step.name for step in STEPS}
    with _locked(store, log, required=mend):
        report = check_store(store, assets=names, progress=progress)
        return Checked(report, repair(store, report) if mend else [])


def _built_store(project: Project) -> Store:
    store = open_store(project)
    if not store.folder.is_dir():
        raise StoreError(f"there is nothing in {store.folder} yet: `tac run` builds this store.")
    return store


@contextmanager
def _locked(store: Store, log: Log, *, required: bool) -> Iterator[None]:
    lock = store.lock(on_wait=log)
    try:
        lock.__enter__()
    except OSError:
        if required:
            raise
        yield
        return
    try:
        yield
    finally:
        lock.__exit__(None, None, None)


def backup(project: Project, destination: Path, *, log: Log = lambda _: None) -> Backup:
    """Back up what cannot be computed again; see back_up."""
    store = _built_store(project)
    # A disk that fails is often mounted so that nobody can write to it: then more than ever.
    with _locked(store, log, required=False):
        return back_up(store, destination, settings=_settings_files(project))


def restore(project: Project, source: Path, *, force: bool, log: Log = lambda _: None) -> tuple[Backup, Path | None]:
    """Restore a backup; the settings file that is there stays, because the store was opened by it."""
    store = open_store(project)
    places = {name: path for name, path in _settings_files(project).items() if name != SETTINGS_FILE}
    with store.lock(on_wait=log):
        return restore_to(store, source, settings=places, force=force)


def _settings_files(project: Project) -> Mapping[str, Path]:
    corrections = project.corrections_file
    own = {SETTINGS_FILE: project.path}
    return own if corrections is None else {**own, CORRECTIONS_FILE: corrections}


def advice(report: Report) -> Iterable[str]:
    """What to do about a report, a sentence for each kind of loss."""
    losses = {finding.loss.name for finding in report.findings}
    if "COMPUTED" in losses:
        yield "What is computed again: `tac check --repair` takes it away, and `tac run` makes it."
    if "REPUBLISHED" in losses:
        yield "What is published again: `tac run` writes it from the result that it was made from."
    if "BACKUP" in losses:
        yield "What must come from a backup: `tac restore SOURCE`."
