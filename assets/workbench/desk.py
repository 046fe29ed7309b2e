"""What lies on the desk: the current result of one store or grouping, and the actions of people on it.

An action is in the log when `act` returns, and in the tables soon after: the ordinary steps are run on a thread of
their own, one after the other, and wait while a run of the store goes on. Holds one row per image (about 150 bytes).
"""

from __future__ import annotations

import getpass
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from assets.engine.execute import execute, open_store
from assets.engine.step import Inputs, Step
from assets.images import image_embeddings, image_manifest
from assets.orchestration.publishing import publish
from assets.people.corrections import corrections
from assets.people.written import corrections_with, next_free_id, unread_edit
from assets.results import assignments, clusters
from assets.review import review
from assets.tree import cluster_tree
from tac_pipeline.errors import ArtifactMissing, InputError, SettingsError, TacError
from tac_pipeline.failures import TRACES_NAME, tell
from tac_pipeline.results.corrections.acting import FILE, History, named_groups, named_images, replay, tags_of
from tac_pipeline.results.corrections.written import Corrections
from tac_pipeline.settings.project import Project, load_project
from tac_pipeline.store.keeping.action_log import Action, ActionLog

# What an action changes at once, and what follows when nobody acts for a moment.
AT_ONCE = (corrections, assignments, clusters)
AFTERWARDS = (cluster_tree, review)
QUIET_SECONDS = 2.0
# Of a card.
TYPICAL = 3
MOST_SEARCHED = 500


@dataclass(frozen=True)
class View:
    """The tables of one result.

    Attributes
    ----------
    key : tuple
        The contents that they are of.
    groups : list of dict
        One for each group, the largest first: id, name, sureness, alternatives, size, share, curated, typical.
    images : DataFrame
        image_id, cluster_id, confidence, margin, runner_up, curated, typicality, doubtful, duplicate_group,
        content_hash, width, height, uri; one row per image, by image_id.
    """

    key: tuple[str, ...]
    groups: list[dict[str, Any]]
    images: pl.DataFrame


@dataclass(frozen=True)
class Standing:
    """How far the log and the tables are.

    Attributes
    ----------
    history : History
        What holds of the actions, and what was undone.
    seen : int
        The number of the last action.
    waiting : int
        How many actions are not in the tables yet; all of them until the first look at the log is over.
    problem : str, optional
        Why the last ones are not, in words.
    locked, aside : frozenset of int
        The groups that learning takes no image from, and those that are shown apart.
    tags : dict of str to set of image_id
    """

    history: History
    seen: int
    waiting: int
    problem: str | None
    locked: frozenset[int]
    aside: frozenset[int]
    tags: dict[str, set[str]]


class Desk:
    """One store or grouping, as the workbench shows it."""

    def __init__(self, project: Project) -> None:
        self._project, self._written = project, _stamp(project)
        self._store = open_store(project)
        self.log = ActionLog(self._store.ledger_folder)
        self._view: View | None = None
        self._reading, self._wake = threading.Lock(), threading.Event()
        self._splitting = threading.Lock()
        self._splits: tuple[object, list[list[list[str]]]] | None = None
        self._applied = 0
        self._problem: str | None = None
        self._end = threading.Event()
        self._worker = threading.Thread(target=self._work, name="corrections", daemon=True)

    @property
    def project(self) -> Project:
        """The project, with the settings as they are now.

        Raises
        ------
        SettingsError
            The file was broken meanwhile, or names another store or no such grouping.
        """
        stamp = _stamp(self._project)
        if stamp != self._written:
            found = load_project(self._project.path)
            found = found.find_grouping(self._project.grouping) if self._project.grouping else found
            if found.store_folder != self._project.store_folder:
                raise SettingsError(f"{found.path} names another store now: {found.store_folder}. Open it again")
            self._project, self._written = found, stamp
        return self._project

    @property
    def traces(self) -> Path:
        """Where what nobody expected is kept; also while the settings file is broken."""
        return self._project.data_folder / TRACES_NAME

    @property
    def thumbnails_folder(self) -> Path:
        """Where small pictures are kept."""
        return self._store.thumbnails_folder

    def start(self) -> None:
        """Begin to carry out actions, also such as an earlier workbench left."""
        self._worker.start()
        self._wake.set()

    def stop(self) -> None:
        """Let the step that is going on end."""
        self._end.set()
        self._wake.set()
        if self._worker.ident is not None:
            self._worker.join()

    def view(self) -> View:
        """The current tables; read again when they are others.

        Raises
        ------
        ArtifactMissing
            There is no result yet.
        """
        with self._reading:
            key = self._key()
            if self._view is None or self._view.key != key:
                self._view = self._read(key)
            return self._view

    def _key(self) -> tuple[str, ...]:
        steps = (assignments, clusters, image_embeddings, review)
        found = [self._store.current(step.name) for step in steps]
        if any(current is None for current in found[:3]):
            raise ArtifactMissing(f"nothing was built yet in {self._store.folder}: `tac run` builds it, and then this")
        return tuple("" if current is None else current.artifact.content for current in found)

    def _table(self, step: Step, columns: Sequence[str]) -> pl.DataFrame:
        artifact = self._store.require_current(step.name).artifact
        return Inputs(self.project, {step.name: artifact}).table(step, columns=columns)

    def _read(self, key: tuple[str, ...]) -> View:
        columns = ["image_id", "cluster_id", "confidence", "margin", "runner_up", "curated"]
        images = self._table(assignments, columns)
        images = images.join(
            self._table(image_embeddings, ["image_id", "content_hash", "width", "height"]), on="image_id", how="left"
        ).join(self._table(image_manifest, ["image_id", "uri"]), on="image_id", how="left")
        known = key[3] != ""
        looks = self._table(review, _REVIEW_COLUMNS) if known else _NO_REVIEW
        looks = looks.with_columns(doubtful=pl.col("border") | pl.col("outlier")).drop("border", "outlier")
        images = images.join(looks, on="image_id", how="left").sort("image_id")
        rows = self._table(clusters, _GROUP_COLUMNS).sort(["size", "cluster_id"], descending=[True, False])
        return View(key, [_group(row) for row in rows.iter_rows(named=True)], images)

    def members(
        self, group: int, *, order: str, start: int, count: int | None, distinct: bool = False
    ) -> tuple[int, pl.DataFrame]:
        """How many images a group has, and some of them: typical or doubtful first.

        With `distinct`, one of each group of near-duplicates: the most typical.
        """
        own = self.view().images.filter(pl.col("cluster_id") == group)
        if distinct:
            own = distinct_images(own)
        keys = ["typicality", "image_id"] if order == "typical" else ["margin", "image_id"]
        ranked = own.sort(keys, descending=[order == "typical", False], nulls_last=True)
        return len(own), ranked.slice(start, count)

    def image(self, image_id: str) -> dict[str, Any]:
        """The row of an image of this store's manifest.

        Raises
        ------
        InputError
            There is none of this id.
        """
        # The page knows ids from a view; to look whether there is a newer one would cost more than the picture.
        images = (self._view or self.view()).images
        place = images["image_id"].search_sorted(image_id)
        row = images.row(place, named=True) if place < len(images) else None
        if row is None or row["image_id"] != image_id:
            raise InputError(f"there is no image {image_id!r} in this store")
        return row

    def tagged(self, tag: str) -> pl.DataFrame:
        """The images that have a tag, by image_id."""
        images = self.standing().tags.get(tag, set())
        return self.view().images.filter(pl.col("image_id").is_in(list(images)))

    def tags_of(self, image_id: str) -> list[str]:
        """The tags of an image."""
        return [tag for tag, images in self.standing().tags.items() if image_id in images]

    def search(self, text: str, *, count: int) -> tuple[str, pl.DataFrame]:
        """What was searched by, and the images that are nearest to a text, best first, with their score."""
        from assets.lookups.finding import search_by_text

        hits = search_by_text(self.project, text, count=min(count, MOST_SEARCHED))
        found = hits.images.select("image_id", "score")
        return hits.searched_by, found.join(self.view().images, on="image_id", maintain_order="left")

    def alike(self, picked: Sequence[str]) -> pl.DataFrame:
        """Images that are proposed as like picked ones, best first, with their score."""
        from assets.lookups.finding import propose_alike

        found = propose_alike(self.project, picked, count=MOST_SEARCHED)
        return found.join(self.view().images, on="image_id", maintain_order="left")

    def standing(self) -> Standing:
        """How far the log and the tables are."""
        actions = self.log.read()
        history = replay(actions)
        found = self._corrections(actions)
        return Standing(
            history,
            len(actions),
            max(len(actions) - self._applied, 0),
            self._problem,
            frozenset() if found is None else frozenset(found.locked),
            frozenset() if found is None else frozenset(found.aside),
            tags_of(history.done),
        )

    def _corrections(self, actions: Sequence[Action]) -> Corrections | None:
        """What holds now; None where the corrections file cannot be read, which the step says."""
        try:
            return corrections_with(self.project, actions)
        except TacError:
            return None

    def act(self, do: str, what: dict[str, Any], *, seen: int) -> Action:
        """Enter an action into the log, on the disk when this returns; the tables follow.

        Beside the kinds of the log (results/corrections/acting.py): `make` without ids, which are given here; `pin` of
        `images`, each in the group where it is; and `split` of a group into `parts`, which makes groups of all but the
        largest part.

        Raises
        ------
        Overtaken
            Somebody acted meanwhile, or edited the corrections file.
        InputError, SettingsError, StoreError
            It cannot be done; nothing was entered.
        """
        kind, told = self._spelled_out(do, what)
        with self.log.standing_still():
            edit = unread_edit(self.project, self.log.read())
            if edit is not None:
                number = len(self.log.read())
                self.log.append(FILE, edit, who=_user(), seen=number)
                # That a log begins is nothing that anybody overlooked.
                seen += bool(edit.get("base")) and seen == number
            action = self.log.append(kind, told, who=_user(), seen=seen, accept=self._accept)
        self._wake.set()
        return action

    def _spelled_out(
        self, do: str, what: dict[str, Any]
    ) -> tuple[str, dict[str, Any] | Callable[[Sequence[Action]], dict[str, Any]]]:
        """An action as it stands in the log."""
        if do == FILE:
            raise InputError(f"{FILE} is no action of a page: the corrections file is read by itself")
        if do == "pin" and "groups" not in what:
            return do, {"groups": self._groups_of(what.get("images"))}
        if do == "split":
            do, what = "make", {"groups": self._parts(what)}
        groups = what.get("groups")
        if do == "make" and isinstance(groups, list) and all(isinstance(group, dict) for group in groups):

            def with_ids(known: Sequence[Action]) -> dict[str, Any]:
                first = next_free_id(self.project, known)
                return {"groups": [{**group, "id": first + number} for number, group in enumerate(groups)]}

            return do, with_ids
        return do, what

    def _groups_of(self, images: Any) -> dict[str, list[str]]:
        if not isinstance(images, list) or not images or not all(isinstance(image, str) for image in images):
            raise InputError("images must be a list of image_ids, at least one")
        found: dict[str, list[str]] = {}
        for image_id in images:
            found.setdefault(str(self.image(image_id)["cluster_id"]), []).append(image_id)
        return found

    def _parts(self, what: dict[str, Any]) -> list[dict[str, Any]]:
        """The groups that a split makes: the largest part stays what it was."""
        wanted, names = what.get("parts"), what.get("names") or []
        proposed = {len(split): split for split in self.split(what.get("id"))}
        if wanted not in proposed:
            raise InputError(f"parts must be one of {', '.join(map(str, proposed))}; got {wanted!r}")
        texts = [name if isinstance(name, str) and name.strip() else None for name in names]
        named = dict(enumerate(texts))
        parts = list(enumerate(proposed[wanted]))
        return [{"name": named.get(number), "images": images} for number, images in parts[1:]]

    def split(self, group: Any) -> list[list[list[str]]]:
        """Proposals of two to five parts of a group, each as its image_ids, typical ones first; the largest first.

        Raises
        ------
        InputError
            There is no such group, or it has too few images.
        """
        from assets.lookups.finding import propose_splits

        view = self.view()
        if type(group) is not int or group not in {known["id"] for known in view.groups}:
            raise InputError(f"id must be the id of a group; got {group!r}")
        with self._splitting:
            if self._splits is None or self._splits[0] != (view.key, group):
                own = view.images.filter(pl.col("cluster_id") == group)["image_id"]
                self._splits = (view.key, group), propose_splits(self.project, own)
            return self._splits[1]

    def _accept(self, actions: Sequence[Action]) -> None:
        """Refuse what could not be carried out."""
        last, found, view = actions[-1], corrections_with(self.project, actions), self.view()
        shown = {group["id"] for group in view.groups}
        gone = sorted(set(named_groups(last)) - shown - set(found.merged_into) - found.made)
        if gone:
            raise InputError(f"there is no group {gone[0]} any more: look again")
        if last.do == "merge" and len({found.merged_into.get(id_, id_) for id_ in shown}) < 2:
            raise InputError("a merge must leave at least two groups")
        given = pl.Series(named_images(last), dtype=pl.String)
        unknown = given.filter(~given.is_in(view.images["image_id"].implode()))
        if len(unknown):
            raise InputError(f"there is no image {unknown[0]!r} in this store")

    def _work(self) -> None:
        due: list[Step] = []
        while not self._end.is_set():
            # What is left is done when nobody acts for a moment.
            acted = self._wake.wait(QUIET_SECONDS if due else None)
            if self._end.is_set():
                return
            if acted:
                self._wake.clear()
            try:
                if acted:
                    self._apply()
                    due = list(AFTERWARDS)
                else:
                    self._run(due)
                    due = []
                    publish(self.project, by_hand=False)
                self._problem = None
            except Exception as error:  # noqa: BLE001 - it is shown on the page, and the next action tries again
                self._problem, due = tell(error, self.traces), []

    def _apply(self) -> None:
        """Carry out all actions there are."""
        entered = len(self.log.read())
        self._run(AT_ONCE)
        self._applied = entered

    def _run(self, steps: Sequence[Step]) -> None:
        for step in steps:
            execute(step, self.project, in_force=True)


def distinct_images(images: pl.DataFrame) -> pl.DataFrame:
    """Images of one group with one of each group of near-duplicates, the most typical."""
    ranked = images.sort("typicality", "image_id", descending=[True, False], nulls_last=True)
    alone = pl.col("duplicate_group").is_null()
    return ranked.filter(alone | pl.struct("duplicate_group").is_first_distinct())


_NO_REVIEW = pl.DataFrame(
    schema={
        "image_id": pl.String,
        "typicality": pl.Float32,
        "border": pl.Boolean,
        "outlier": pl.Boolean,
        "duplicate_group": pl.Int32,
    }
)
_REVIEW_COLUMNS = list(_NO_REVIEW.columns)
_GROUP_COLUMNS = ["cluster_id", "name", "name_confidence", "alternatives", "size", "share", "curated", "medoids"]


def _group(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": row["cluster_id"],
        "name": row["name"],
        "sureness": row["name_confidence"],
        "alternatives": row["alternatives"],
        "size": row["size"],
        "share": row["share"],
        "curated": row["curated"],
        "typical": row["medoids"][:TYPICAL],
    }


def _stamp(project: Project) -> tuple[int, int]:
    """Changes when the settings file was written again; a file that is gone for a moment is as it was."""
    try:
        found = project.path.stat()
    except OSError:
        return 0, 0
    return found.st_mtime_ns, found.st_size


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "somebody"
