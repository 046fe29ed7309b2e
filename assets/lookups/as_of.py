"""The groups of an earlier time, from what is kept: data/.as-of/<store>/<time>/, which no run and no check looks at.

    data/.as-of/photos/2026-10-01T235959/
      result.json             the time, the settings of then, and the version of every asset
      assignments/<recipe>/   the files of what was current then, with the same names as in the store
      clusters/<recipe>/

What was learned again (learned_again.py) is in such a folder as well. What is current, what is published and the ledger
stay as they are. What must stay out: what was current when (tac_pipeline/store/history.py), and how long versions are
kept.
"""

import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, time, timedelta
from pathlib import Path
from typing import Any

from assets.engine.execute import open_store
from assets.engine.step import Log
from assets.graph import STEPS
from assets.lookups.learned_again import IMAGES, learn_again, put
from tac_pipeline.errors import InputError, StoreError, TacError
from tac_pipeline.files import building_folder, hold_lock, place_folder
from tac_pipeline.settings.project import IMAGE_ASSETS, Project
from tac_pipeline.store import history
from tac_pipeline.store.artifacts import Artifact
from tac_pipeline.store.digests import write_sealed
from tac_pipeline.store.history import Moment
from tac_pipeline.store.publication import Publication, Version
from tac_pipeline.store.schemas import ASSIGNMENTS

AS_OF_NAME = ".as-of"
RESULT_NAME = "result.json"
# What is asked for.
GROUPS = ("assignments", "clusters")
# Bytes, some thousand lines: a shorter history is left as it is.
LONG_HISTORY = 1_000_000
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
        What was current then and is kept, or was made again.
    gone : tuple of str
        Assets whose versions of then are not kept.
    published : int or None
        The number of the version that readers had then.
    again : bool
        The groups were learned again.
    otherwise : tuple of str
        Assets that are now made from something else than then: code, or a file beside the settings, has changed.
    equal : bool or None
        Whether every image has the cluster id of then; None where that was not learned again, or is not kept.
    """

    folder: Path
    at: datetime
    settings: dict[str, Any]
    versions: dict[str, Artifact]
    gone: tuple[str, ...]
    published: int | None
    again: bool = False
    otherwise: tuple[str, ...] = ()
    equal: bool | None = None


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


def groups_as_of(project: Project, at: datetime, *, relearn: bool = False, log: Log = lambda _: None) -> AsOf:
    """Put what was current at a time, and is kept, in a folder of its own.

    Where the groups of then are not kept, or with `relearn`, they are learned again from the images of then.

    Raises
    ------
    InputError
        The history of the store begins later.
    StoreError
        Neither the groups nor the images of then are kept, or a run was changing them at that time.
    TacError
        A step refuses something.
    """
    moments = _current_at(project, at)
    kept, gone = _kept(project, moments)
    again = relearn or not set(GROUPS) <= kept.keys()
    if again:
        _require_images(project, at, kept)
        _require_images_of_groups(at, moments, kept)
    else:
        _require_of_one_run(at, moments, kept)
    settings = {key: value for moment in moments.values() for key, value in moment.written.items()}
    place = project.data_folder / AS_OF_NAME / project.settings.store
    target = place / at.strftime("%Y-%m-%dT%H%M%S")
    otherwise: tuple[str, ...] = ()
    with hold_lock(place, log), building_folder(place) as aside:
        if again:
            learned = learn_again(project, aside, moments, kept, settings, at=at.timestamp(), leaves=GROUPS, log=log)
            made, otherwise = learned.versions, learned.otherwise
        else:
            for name, artifact in kept.items():
                put(artifact, aside / name / artifact.recipe)
            made = kept
        there = {name: replace(one, folder=target / name / one.recipe) for name, one in made.items()}
        equal = _equal(made, kept) if again else None
        had = _published_at(project, at)
        published = None if had is None else had.number
        found = AsOf(target, at, settings, there, gone, published, again, otherwise, equal)
        write_sealed(aside / RESULT_NAME, _told(project, found, moments, kept))
        shutil.rmtree(target, ignore_errors=True)
        place_folder(aside, target)
    return found


def forget_unreachable(project: Project) -> None:
    """Shorten a long history to the times that groups can still be asked for; with the store's lock held.

    Of earlier times neither the groups nor the images are kept. A store and its groupings begin at the same time.
    """
    family = project.root.family
    if max(open_store(one).history.size for one in family) < LONG_HISTORY:
        return
    with suppress(TacError):  # a damaged history stays for `tac check`, which tells of it
        begin = min((begin for one in family for begin in _kept_since(one)), default=None)
        if begin is not None:
            for one in family:
                open_store(one).history.forget_before(begin)


def _kept_since(project: Project) -> list[float]:
    """When the oldest kept versions became current that groups of then are read or learned from."""
    store, found = open_store(project), {}
    for moment in store.history.read([*GROUPS, *IMAGES]):
        key = moment.asset, moment.recipe
        if key not in found and store.find(*key) is not None:
            found[key] = moment.at
    return list(found.values())


def _current_at(project: Project, at: datetime) -> dict[str, Moment]:
    """What was current in a store or grouping at a time, by asset, in the order of the graph."""
    own = open_store(project).history
    of_base = {} if project.base is None else open_store(project.base).history.current_at(at.timestamp())
    past = {name: of_base[name] for name in IMAGE_ASSETS if name in of_base} | own.current_at(at.timestamp())
    found = {step.name: past[step.name] for step in STEPS if step.name in past}
    if not set(GROUPS) <= found.keys():
        first = {moment.asset: moment.at for moment in reversed(own.read())}
        begin = max((first[name] for name in GROUPS if name in first), default=None)
        oldest = (
            "has no groups yet" if begin is None else f"begins at {written(datetime.fromtimestamp(begin).astimezone())}"
        )
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


def _equal(made: Mapping[str, Artifact], kept: Mapping[str, Artifact]) -> bool | None:
    """Whether every image has the cluster id of then; None where that is not kept."""
    if "assignments" not in kept:
        return None
    columns = ["image_id", "cluster_id"]
    again, then = (
        versions["assignments"].frame(ASSIGNMENTS, columns=columns).select(columns).sort("image_id")
        for versions in (made, kept)
    )
    return again.equals(then)


def _require_images(project: Project, at: datetime, kept: Mapping[str, Artifact]) -> None:
    gone = [name for name in IMAGES if name not in kept]
    if gone:
        raise StoreError(
            f"{' and '.join(gone)} of {written(at)} are no longer kept in {project.root.store_folder}: the groups of "
            f"then cannot be learned again{_other_source(project, at)}. {_REMEDY[0].upper()}{_REMEDY[1:]}."
        )


def _require_images_of_groups(at: datetime, moments: Mapping[str, Moment], kept: Mapping[str, Artifact]) -> None:
    images, groups = (kept.get(name) for name in ("image_embeddings", "assignments"))
    if images and groups and groups.record["inputs"].get(images.asset, images.content) != images.content:
        raise StoreError(
            f"at {written(at)} a run had read newer images than the groups of then have: ask for a later time, or for "
            f"{_before(moments[images.asset])}, before it read them."
        )


def _before(moment: Moment) -> str:
    """A time at which something was not yet current, as it is typed."""
    return (datetime.fromtimestamp(moment.at).astimezone() - timedelta(seconds=1)).strftime("%Y-%m-%dT%H:%M:%S")


def _require_of_one_run(at: datetime, moments: Mapping[str, Moment], kept: Mapping[str, Artifact]) -> None:
    assigned = kept["assignments"].content
    if kept["clusters"].record["inputs"].get("assignments", assigned) != assigned:
        # clusters is made after assignments, within one run.
        raise StoreError(
            f"at {written(at)} a run had made new assignments, and not yet their clusters: ask for a later time, or "
            f"for {_before(moments['assignments'])}, before them."
        )


def _published_at(project: Project, at: datetime) -> Version | None:
    """The version that readers had at a time."""
    versions = Publication(open_store(project).published_folder).versions()
    then = (version for version in versions if version.made_at <= at.timestamp())
    return max(then, key=lambda version: version.number, default=None)


def _other_source(project: Project, at: datetime) -> str:
    """What else has the groups of then, in words."""
    version = _published_at(project, at)
    if version is None or version.damaged():
        return ""
    return f"; what readers had then is in {version.folder}"


def _told(project: Project, found: AsOf, moments: Mapping[str, Moment], kept: Mapping[str, Artifact]) -> dict[str, Any]:
    """The record of the result."""
    return {
        "store": project.root.settings.store,
        "grouping": project.grouping,
        "as_of": found.at.isoformat(),
        "published": found.published,
        "learned_again": found.again,
        "otherwise": list(found.otherwise),
        "equal_assignments": found.equal,
        "settings": found.settings,
        "then": {
            name: {"recipe": moment.recipe, "since": moment.at, "kept": name in kept}
            for name, moment in moments.items()
        },
        "versions": {name: artifact.recipe for name, artifact in found.versions.items()},
    }
