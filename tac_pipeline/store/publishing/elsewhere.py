"""The place that a store's settings name for its published versions: whether it can be written, and what is there.

A failure is told and kept, and never ends a run: what is published here stays, and the next run takes it up.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from tac_pipeline.errors import SettingsError, TacError
from tac_pipeline.settings.project import Project
from tac_pipeline.store.artifacts import Store
from tac_pipeline.store.publication import Publication
from tac_pipeline.store.publishing.bringing import HOUR, Brought, bring, kept_there, named, probe
from tac_pipeline.store.publishing.brought import Elsewhere, read_elsewhere, write_elsewhere
from tac_pipeline.store.publishing.places import Place, local_folder, open_place

# Before a run there is nothing to wait for long: it writes a few bytes.
PROBE_TIMEOUT = 10.0


@dataclass(frozen=True)
class Carried:
    """What came of bringing the latest version elsewhere.

    Attributes
    ----------
    known : Elsewhere
        What readers there have now.
    done : Brought or None
        The files that it took; None after a failure, and before anything was published.
    """

    known: Elsewhere
    done: Brought | None = None

    @property
    def failed(self) -> bool:
        """Whether readers there do not have what is published here."""
        return self.known.failed is not None

    @property
    def sentence(self) -> str:
        """What readers there have now, and what it took; empty where there is nothing to say."""
        if self.known.failed is not None:
            return f"{self.known.failed}. The next `tac run` or `tac publish` takes it up"
        if self.done is None:
            return ""
        pruned = f"; {len(self.done.pruned)} old versions keep only their changes there" if self.done.pruned else ""
        files = f" ({self.done.sentence})" if self.done.sentence else ""
        return f"readers of {self.known.to} have version {self.known.version}{files}{pruned}"


def destination_of(project: Project) -> str | None:
    """Where a store's versions are written too, by publication.to; None = nowhere.

    Raises
    ------
    SettingsError
        It is a folder in the data folder.
    """
    to = project.settings.publication.to
    if to is None:
        return None
    place = f"{project.resolve(to).rstrip('/')}/{project.settings.store}"
    folder, data = local_folder(place), project.data_folder.resolve()
    if folder is not None and folder.resolve().is_relative_to(data):
        raise SettingsError(
            f"publication.to must be a place outside the data folder {data}; got {to} ({project.path.name})"
        )
    return place


def open_destination(project: Project, to: str, *, timeout: float | None = None) -> Place:
    """The place that destination_of says.

    Raises
    ------
    SettingsError, MissingDependency, StoreError
        It cannot be opened.
    """
    settings = project.settings.publication
    return open_place(to, options=settings.resolved_options, timeout=timeout or settings.timeout)


def require_destination(project: Project) -> None:
    """Refuse, before any work, a place that cannot be written. It is not asked where nothing will be written.

    Raises
    ------
    SettingsError, MissingDependency, StoreError
        With the reason, and what to do.
    """
    to = destination_of(project)
    if to is None or (project.settings.publishes == "manual" and not _lacks(project, to)):
        return
    place = open_destination(project, to, timeout=min(project.settings.publication.timeout, PROBE_TIMEOUT))
    with named(place, then="Nothing was run. Mend that, or set publication.to to null."):
        probe(place)


def bring_elsewhere(store: Store, project: Project, *, log: Callable[[str], None]) -> Carried | None:
    """Bring the latest version to the place of publication.to; None where the settings name none.

    Call it with the store's lock held. A failure is in what it returns, and is written down.
    """
    try:
        to = destination_of(project)
    except SettingsError as error:
        return Carried(Elsewhere(str(project.settings.publication.to)).failing(str(error), now=time.time()))
    if to is None:
        return None
    publication, folder, now = Publication(store.published_folder), store.telling_folder, time.time()
    known, settings, done = read_elsewhere(folder, to), project.settings, None
    try:
        place = open_destination(project, to)
        if known.lacks(publication.latest()):
            log(f"bringing what is published to {to}")
        with named(place):
            done = bring(
                publication,
                place,
                keep=settings.keep_versions,
                grace=settings.publication.grace_hours * HOUR,
                now=now,
            )
        if done is not None:
            known = known.reaching(done.version, done.switched_at, now=time.time())
    except TacError as error:
        known = known.failing(str(error).rstrip("."), now=time.time())
    if done is not None or known.failed is not None:
        write_elsewhere(folder, known)
    return Carried(known, done)


def known_elsewhere(project: Project, store: Store) -> Elsewhere | None:
    """What readers of the place of publication.to have, as this store last knew; None where the settings name none."""
    to = destination_of(project)
    return None if to is None else read_elsewhere(store.telling_folder, to)


def look_there(project: Project, to: str) -> dict[int, str]:
    """What the place that destination_of says has of each version, asked now: see kept_there.

    Raises
    ------
    SettingsError, MissingDependency, StoreError
        It cannot be read.
    """
    place = open_destination(project, to, timeout=min(project.settings.publication.timeout, PROBE_TIMEOUT))
    with named(place, doing="read from"):
        return kept_there(place)


def _lacks(project: Project, to: str) -> bool:
    store = Store(project.store_folder)
    return read_elsewhere(store.telling_folder, to).lacks(Publication(store.published_folder).latest())
