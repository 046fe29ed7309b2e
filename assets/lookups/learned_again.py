"""The groups of an earlier time, learned again from the images of then, in a store of their own.

The images, their vectors, the nouns and the training set are pinned to the versions of then, and the settings are those
of then. The ledger and the log of what people did are copies up to then, so that ids are the same. What must stay out:
which versions those are (as_of.py).
"""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assets.engine.execute import execute, open_store
from assets.engine.step import Log, Step
from assets.graph import ancestors, find
from tac_pipeline.errors import StoreError
from tac_pipeline.files import write_atomically
from tac_pipeline.settings.keys import Settings, settings_keys
from tac_pipeline.settings.project import IMAGE_ASSETS, Project
from tac_pipeline.store.artifacts import RECORD_NAME, Artifact, Store
from tac_pipeline.store.digests import damage_of
from tac_pipeline.store.history import Moment
from tac_pipeline.store.keeping.action_log import ActionLog
from tac_pipeline.store.keeping.training_sets import TRAINING_SETS_NAME
from tac_pipeline.store.ledger import ENTRY_NAME, Ledger
from tac_pipeline.store.segments.cutting import share

# Nothing can be learned again without these.
IMAGES = ("image_manifest", "image_embeddings")
# What is taken as it was then, where it is kept.
_PINNED = (*IMAGE_ASSETS, "image_splits", "known_labels", "candidate_nouns", "noun_embeddings", "training_set")
# So is what people said, where it is about the same groups: it was read at another time than then, and files have no
# past.
_SAID = ("lessons", "corrections")


@dataclass(frozen=True)
class Learned:
    """What was learned again.

    Attributes
    ----------
    versions : dict of asset to Artifact
    otherwise : tuple of str
        Assets that were made from something else than then, the first one first.
    """

    versions: dict[str, Artifact]
    otherwise: tuple[str, ...]


def put(artifact: Artifact, folder: Path) -> None:
    """Give the files of a version second names in a folder of another store.

    Raises
    ------
    StoreError
        They are gone or cannot be read.
    """
    folder.mkdir(parents=True)
    for name in artifact.record["files"]:
        _second_name(artifact.folder / name, folder / name)
    try:
        # Its time says when the version was last used, in each store for itself.
        shutil.copyfile(artifact.folder / RECORD_NAME, folder / RECORD_NAME)
    except OSError as error:
        raise _unreadable(artifact.folder / RECORD_NAME, error) from error
    damage = damage_of(folder, artifact.record["files"])
    if damage:
        raise StoreError(f"{damage}: another process removed it. Nothing was changed; try again.")


def learn_again(
    project: Project,
    folder: Path,
    moments: Mapping[str, Moment],
    kept: Mapping[str, Artifact],
    values: Mapping[str, Any],
    *,
    at: float,
    leaves: tuple[str, ...],
    log: Log,
) -> Learned:
    """Make the assets `leaves`, and all that they need, in a folder that becomes a store.

    Parameters
    ----------
    moments, kept
        What was current then, and those of its versions that are whole.
    values
        The settings of then (see settings_of_then).
    at : float
        The time, in seconds since 1970.

    Raises
    ------
    TacError
        A step refuses something.
    """
    settings = settings_of_then(project.settings, values)
    settings = settings.model_copy(update={"data": str(folder.parent), "store": folder.name, "groupings": {}})
    apart, source = Project(settings, project.path), open_store(project)
    store = open_store(apart)
    _copy_ledger(source, store, moments, kept, at)
    _second_names(source.prompted_nouns_folder, store.prompted_nouns_folder)
    for name in _PINNED:
        if name in kept:
            for link in kept[name].record["links"]:
                owner = source.base or source
                _second_name(owner.folder / link, store.folder / link)
            _pin(find(name), kept[name], store, settings)
    made, otherwise = {name: kept[name] for name in _PINNED if name in kept}, []
    for step in ancestors([find(name) for name in leaves], settings):
        if step.name in made:
            continue
        known = kept.get(step.name)
        if step.name in _SAID and known is not None and _fits(known, made):
            _pin(step, known, store, settings)
            made[step.name] = known
            continue
        log(f"{step.name} is made again")
        made[step.name] = execute(step, apart, log=log, anew=not _is_known(step, moments, store)).artifact
        if step.name not in moments or moments[step.name].recipe != made[step.name].recipe:
            otherwise.append(step.name)
    return Learned(made, tuple(otherwise))


def settings_of_then(settings: Settings, values: Mapping[str, Any]) -> Settings:
    """Settings with other values of the keys that results depend on.

    Parameters
    ----------
    values : mapping of dotted key to value
        As steps write them; an added key that is not there has its default.
    """
    tree = settings.model_dump(exclude_unset=True)
    for key in settings_keys():
        *sections, last = key.name.split(".")
        place: Any = tree
        if key.name in values:
            for section in sections:
                place = place.setdefault(section, {})
            place[last] = values[key.name]
        elif key.affects == "result" and key.added:
            for section in sections:
                place = place.get(section, {})
            place.pop(last, None)
    # A grouping's name has a dot, which no file may say.
    return Settings.model_validate({**tree, "store": "then"})


def _fits(known: Artifact, made: Mapping[str, Artifact]) -> bool:
    """Whether a version was made from what there is now."""
    inputs = known.record["inputs"]
    return all(name in made and made[name].content == content for name, content in inputs.items())


def _is_known(step: Step, moments: Mapping[str, Moment], store: Store) -> bool:
    """Whether the training set of then can be made as it was; of all other steps, yes."""
    rows = store.ledger_folder / TRAINING_SETS_NAME
    return step.name != "training_set" or (step.name in moments and (rows / moments[step.name].recipe).is_dir())


def _pin(step: Step, artifact: Artifact, store: Store, settings: Settings) -> None:
    """Make a version of another store current in this one."""
    folder = store.folder / artifact.asset / artifact.recipe
    put(artifact, folder)
    pinned = Artifact(artifact.asset, artifact.recipe, folder, artifact.record)
    store.make_current(pinned, version=step.version(settings), written=step.written(settings))


def _copy_ledger(
    source: Store, store: Store, moments: Mapping[str, Moment], kept: Mapping[str, Artifact], at: float
) -> None:
    """Copy the entries, the rows of the training set, and the actions of people, up to a time."""
    ids, target = kept.get("cluster_ids"), store.ledger_folder
    for entry in Ledger(source.ledger_folder).entries():
        # An entry that was given later than the one in force then may be from a learning that was not finished.
        late = (entry.folder / ENTRY_NAME).stat().st_mtime > at if ids is None else entry.number > ids.facts["entry"]
        if late:
            break
        _second_names(entry.folder, target / entry.folder.name)
    if "training_set" in moments:
        name = Path(TRAINING_SETS_NAME, moments["training_set"].recipe)
        _second_names(source.ledger_folder / name, target / name)
    actions = [action.line for action in ActionLog(source.ledger_folder).read() if action.at <= at]
    if actions:
        write_atomically(ActionLog(target).path, "".join(f"{line}\n" for line in actions))


def _second_names(source: Path, target: Path) -> None:
    """Give every file of a folder a second name in another, where it has none."""
    for path in sorted(source.rglob("*")):
        place = target / path.relative_to(source)
        if path.is_file() and not path.name.startswith(".") and not place.exists():
            _second_name(path, place)


def _second_name(path: Path, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    try:
        share(path, place)
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: OSError) -> StoreError:
    return StoreError(f"{path} cannot be copied: {error.strerror}. Nothing was changed; try again.")
