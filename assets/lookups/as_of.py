"""The groups of an earlier time, from what is kept: data/.as-of/<store>/<time>/, a store of its own that nothing sweeps.

    data/.as-of/photos/2026-10-01T2359/
      result.json             the time, the settings of then, and the version of every asset
      assignments/<recipe>/   the files of what was current then, with the same names as in the store
      clusters/<recipe>/

What is current, what is published and the ledger stay as they are. What must stay out: what was current when
(tac_pipeline/store/history.py), and how long versions are kept.
"""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from pathlib import Path
from typing import Any

from assets.engine.execute import open_store
from assets.engine.step import Log
from assets.graph import STEPS
from tac_pipeline.errors import InputError, StoreError
from tac_pipeline.files import building_folder, hold_lock, place_folder
from tac_pipeline.settings.project import IMAGE_ASSETS, Project
from tac_pipeline.store import history
from tac_pipeline.store.artifacts import CURRENT_NAME, RECORD_NAME, Artifact
from tac_pipeline.store.digests import damage_of, write_sealed
from tac_pipeline.store.history import Moment
from tac_pipeline.store.publication import Publication
from tac_pipeline.store.segments.cutting import share

AS_OF_NAME = ".as-of"
RESULT_NAME = "result.json"
# Without these there are no groups of then.
GROUPS = ("assignments", "clusters")
_REMEDY = "keep_days in the settings says for how many days versions are kept from now on"


@dataclass(frozen=True)
class AsOf:
    """The groups of an earlier time.

    Attributes
    ----------
    folder : Path
        Where they are now.
    at : datetime
        With its time zone.
    settings : dict of dotted key to value
        The settings of then that results depend on.
    versions : dict of asset to Artifact
        What was current then and is kept.
    gone : tuple of str
        Assets whose versions of then are not kept.
    published : int or None
        The number of the version that readers had then.
    """

    folder: Path
    at: datetime
    settings: dict[str, Any]
    versions: dict[str, Artifact]
    gone: tuple[str, ...]
    published: int | None


def parse_time(text: str) -> datetime:
    """A date, which means its end, or a date and time, in the time zone of this machine unless it says another.

    Raises
    ------
    InputError
        It is no date, or is not over yet.
    """
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise InputError(f"must be a date such as 2026-10-01, or 2026-10-01T18:30; got {text!r}") from None
    if len(text) <= len("2026-10-01"):
        found = datetime.combine(found.date(), time(23, 59, 59))
    try:
        found = found.astimezone()
        ahead = found.timestamp() - history.now()
    except (OverflowError, OSError, ValueError):
        raise InputError(f"must be a date that this machine can count; got {text!r}") from None
    if ahead > 0:
        raise InputError(f"must be over: {written(found)} is still to come; give an earlier day, or a time of today")
    return found


def written(at: datetime) -> str:
    """A time for people, with its zone."""
    return at.strftime("%Y-%m-%d %H:%M:%S %Z")


def groups_as_of(project: Project, at: datetime, *, log: Log = lambda _: None) -> AsOf:
    """Put what was current at a time, and is kept, in a folder of its own.

    Raises
    ------
    InputError
        The history of the store begins later.
    StoreError
        The groups of then are not kept, or a run was changing them at that time.
    """
    moments = _current_at(project, at)
    kept, gone = _kept(project, moments)
    _require_groups(project, at, moments, kept)
    settings = {key: value for moment in moments.values() for key, value in moment.written.items()}
    published = _published_at(project, at)
    place = project.data_folder / AS_OF_NAME / project.settings.store
    target = place / at.strftime("%Y-%m-%dT%H%M%S")
    with hold_lock(place, log), building_folder(place) as aside:
        for name, artifact in kept.items():
            _put(artifact, aside / name / artifact.recipe)
            moment = moments[name]
            pointer = {"recipe": moment.recipe, "version": moment.version, "written": moment.written}
            write_sealed(aside / name / CURRENT_NAME, pointer, indent=None)
        found = AsOf(target, at, settings, kept, gone, published)
        write_sealed(aside / RESULT_NAME, _told(project, found, moments))
        shutil.rmtree(target, ignore_errors=True)
        place_folder(aside, target)
    return found


def _current_at(project: Project, at: datetime) -> dict[str, Moment]:
    """What was current in a store or grouping at a time, by asset, in the order of the graph."""
    own = open_store(project).history.read()
    of_images = [] if project.base is None else open_store(project.base).history.read()
    of_images = [moment for moment in of_images if moment.asset in IMAGE_ASSETS]
    past = {moment.asset: moment for moment in [*of_images, *own] if moment.at <= at.timestamp()}
    found = {step.name: past[step.name] for step in STEPS if step.name in past}
    if not set(GROUPS) <= found.keys():
        first = {moment.asset: moment.at for moment in reversed(own)}
        begin = max((first[name] for name in GROUPS if name in first), default=None)
        oldest = "has no groups yet" if begin is None else f"begins at {written(datetime.fromtimestamp(begin).astimezone())}"
        raise InputError(
            f"what was current in {project.settings.store} at {written(at)} is not known: its history {oldest}; "
            f"{_REMEDY}"
        )
    return found


def _kept(project: Project, moments: Mapping[str, Moment]) -> tuple[dict[str, Artifact], tuple[str, ...]]:
    """The versions of then that are kept and whole, and the names of those that are not."""
    kept: dict[str, Artifact] = {}
    for name, moment in moments.items():
        artifact = open_store(project.owner_of(name)).find(name, moment.recipe)
        if artifact is not None and not artifact.damage():
            kept[name] = artifact
    return kept, tuple(name for name in moments if name not in kept)


def _require_groups(
    project: Project, at: datetime, moments: Mapping[str, Moment], kept: Mapping[str, Artifact]
) -> None:
    gone = [name for name in GROUPS if name not in kept]
    if gone:
        raise StoreError(
            f"{' and '.join(gone)} of {written(at)} are no longer kept in {project.store_folder}"
            f"{_other_source(project, at)}. {_REMEDY[0].upper()}{_REMEDY[1:]}."
        )
    assigned = kept["assignments"].content
    if kept["clusters"].record["inputs"].get("assignments", assigned) != assigned:
        # clusters is made after assignments, within one run.
        start = datetime.fromtimestamp(moments["assignments"].at).astimezone() - timedelta(seconds=1)
        raise StoreError(
            f"at {written(at)} a run had made new assignments, and not yet their clusters: ask for a later time, or "
            f"for {start.strftime('%Y-%m-%dT%H:%M:%S')}, before them."
        )


def _published_at(project: Project, at: datetime) -> int | None:
    """The number of the version that readers had at a time."""
    versions = Publication(open_store(project).published_folder).versions()
    return max((version.number for version in versions if version.made_at <= at.timestamp()), default=None)


def _other_source(project: Project, at: datetime) -> str:
    """What else has the groups of then, in words."""
    number = _published_at(project, at)
    versions = Publication(open_store(project).published_folder).versions()
    version = next((version for version in versions if version.number == number), None)
    if version is None or version.damaged():
        return ""
    return f"; what readers had then is in {version.folder}"


def _put(artifact: Artifact, folder: Path) -> None:
    """Give the files of a version second names in another folder."""
    folder.mkdir(parents=True)
    for name in (*artifact.record["files"], RECORD_NAME):
        try:
            share(artifact.folder / name, folder / name)
        except OSError as error:
            raise StoreError(f"{artifact.folder / name} cannot be read: {error.strerror}. Nothing was changed.") from error
    damage = damage_of(folder, artifact.record["files"])
    if damage:
        raise StoreError(f"{damage}: another process removed it. Nothing was changed; try again.")


def _told(project: Project, found: AsOf, moments: Mapping[str, Moment]) -> dict[str, Any]:
    """The record of the result."""
    return {
        "store": project.root.settings.store,
        "grouping": project.grouping,
        "as_of": found.at.isoformat(),
        "published": found.published,
        "settings": found.settings,
        "versions": {
            name: {"recipe": moment.recipe, "since": moment.at, "kept": name in found.versions}
            for name, moment in moments.items()
        },
    }
