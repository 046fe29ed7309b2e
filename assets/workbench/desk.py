"""What lies on the desk: the current result of one store or grouping, and the actions of people on it.

An action is in the log when `act` returns, and in the tables soon after: the ordinary steps are run on a thread of
their own, one after the other, and wait while a run of the store goes on. Holds one row per image (about 150 bytes).
"""

from __future__ import annotations

import getpass
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from assets.clustering import corrections, corrections_with
from assets.engine.execute import execute, open_store
from assets.engine.step import Inputs, Step
from assets.images import image_embeddings, image_manifest
from assets.orchestration.publishing import publish
from assets.results import assignments, clusters
from assets.review import review
from assets.tree import cluster_tree
from tac_pipeline.errors import ArtifactMissing, InputError
from tac_pipeline.failures import TRACES_NAME, tell
from tac_pipeline.results.corrections.acting import History, replay
from tac_pipeline.settings.project import Project
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
    """

    history: History
    seen: int
    waiting: int
    problem: str | None


class Desk:
    """One store or grouping, as the workbench shows it."""

    def __init__(self, project: Project) -> None:
        self.project, self._store = project, open_store(project)
        self.log = ActionLog(self._store.ledger_folder)
        self._view: View | None = None
        self._reading, self._wake = threading.Lock(), threading.Event()
        self._applied = 0
        self._problem: str | None = None
        self._end = threading.Event()
        self._worker = threading.Thread(target=self._work, name="corrections", daemon=True)

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
        return Standing(replay(actions), len(actions), max(len(actions) - self._applied, 0), self._problem)

    def act(self, do: str, what: dict[str, Any], *, seen: int) -> Action:
        """Enter an action into the log, on the disk when this returns; the tables follow.

        Raises
        ------
        Overtaken
            Somebody acted meanwhile.
        InputError, SettingsError, StoreError
            It cannot be done; nothing was entered.
        """
        action = self.log.append(do, what, who=_user(), seen=seen, accept=self._accept)
        self._wake.set()
        return action

    def _accept(self, actions: Sequence[Action]) -> None:
        """Refuse what could not be carried out."""
        last = actions[-1]
        found = corrections_with(self.project, actions)
        view = self.view()
        shown = {group["id"] for group in view.groups}
        wanted = {last.what.get("id"), last.what.get("to"), *(last.what.get("ids") or ())} - {None}
        gone = sorted(wanted - shown - set(found.merged_into))
        if gone:
            raise InputError(f"there is no group {gone[0]} any more: look again")
        if last.do == "merge" and len({found.merged_into.get(id_, id_) for id_ in shown}) < 2:
            raise InputError("a merge must leave at least two groups")
        if last.do == "move":
            given = pl.Series(last.what["images"], dtype=pl.String)
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
                self._problem, due = tell(error, self.project.data_folder / TRACES_NAME), []

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


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "somebody"
