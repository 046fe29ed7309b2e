"""What lies on the desk: the current result of one store or grouping, and the actions of people on it.

An action is in the log when `act` returns, and in the tables soon after: the ordinary steps are run on a thread of
their own, one after the other, and wait while a run of the store goes on.
"""

from __future__ import annotations

import getpass
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import polars as pl

from assets.clustering import cluster_ids
from assets.engine.execute import execute
from assets.engine.step import Step
from assets.orchestration.publishing import publish
from assets.people.corrections import corrections
from assets.people.written import corrections_with, unread_edit
from assets.results import assignments, clusters
from assets.review import review
from assets.tree import cluster_tree
from assets.workbench.spelling import spelled_out
from assets.workbench.tables import Tables
from tac_pipeline.errors import ArtifactMissing, ArtifactOutdated, InputError, TacError
from tac_pipeline.failures import tell
from tac_pipeline.files import Stamp, stamp_of
from tac_pipeline.results.corrections.acting import FILE, REDO, History, named_groups, named_images, replay, tags_of
from tac_pipeline.settings.project import Project
from tac_pipeline.store.keeping.action_log import Action, ActionLog

# What an action changes at once, and what follows when nobody acts for a moment.
AT_ONCE = (corrections, assignments, clusters)
AFTERWARDS = (cluster_tree, review)
QUIET_SECONDS = 2.0
LOOK_SECONDS = 0.1
MOST_SEARCHED = 500


@dataclass(frozen=True)
class Said:
    """What the log and the corrections file come to.

    Attributes
    ----------
    history : History
        What holds of the actions, and what was undone.
    seen : int
        The number of the last action.
    locked, aside : frozenset of int
        The groups that learning takes no image from, and those that are shown apart.
    tags : dict of str to set of image_id
    """

    history: History
    seen: int
    locked: frozenset[int]
    aside: frozenset[int]
    tags: dict[str, set[str]]


@dataclass(frozen=True)
class Standing(Said):
    """How far the tables are behind what was said.

    Attributes
    ----------
    waiting : int
        How many actions are not in the tables yet; all of them until the first look at the log is over.
    problem : str, optional
        Why the last ones are not, in words.
    held_up : bool
        Whether they wait for a run of the store to end.
    """

    waiting: int
    problem: str | None
    held_up: bool


class Desk(Tables):
    """One store or grouping, as the workbench shows it and people act on it."""

    def __init__(self, project: Project) -> None:
        super().__init__(project)
        self.log = ActionLog(self._store.ledger_folder)
        self._said: tuple[tuple[Stamp, Stamp], Said] | None = None
        self._wake, self._end = threading.Event(), threading.Event()
        self._splitting = threading.Lock()
        self._splits: tuple[object, list[list[list[str]]]] | None = None
        self._applied = self._tried = 0
        self._problem: str | None = None
        self._held_up = False
        self._worker = threading.Thread(target=self._work, name="corrections", daemon=True)

    def start(self) -> None:
        """Begin to carry out actions, also such as an earlier workbench left."""
        self._worker.start()
        self._wake.set()

    def stop(self) -> None:
        """Let the step that is going on end; one that waits for a run of the store is not begun."""
        self._end.set()
        self._wake.set()
        while self._worker.is_alive() and not self._held_up:
            self._worker.join(LOOK_SECONDS)

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
        """Images that are proposed as like picked ones, and the next best, with their score: see propose_alike."""
        from assets.lookups.finding import propose_alike

        found = propose_alike(self.project, picked, count=MOST_SEARCHED)
        return found.join(self.view().images, on="image_id", maintain_order="left")

    def standing(self) -> Standing:
        """How far the log and the tables are."""
        applied, tried, problem, said = self._applied, self._tried, self._problem, self._read_said()
        # What went wrong with earlier actions says nothing of one that was not tried yet.
        problem = problem if said.seen <= tried else None
        return Standing(**vars(said), waiting=max(said.seen - applied, 0), problem=problem, held_up=self._held_up)

    def _read_said(self) -> Said:
        """What the log and the file say; read again when one of them was written."""
        file = self._project.corrections_file
        stamps = self.log.stamp, (0, 0, 0) if file is None else stamp_of(file)
        if self._said is None or self._said[0] != stamps:
            actions = self.log.read()
            history = replay(actions)
            try:
                found = corrections_with(self.project, actions)
                marks = frozenset(found.locked), frozenset(found.aside)
            except TacError:
                # The step that reads the file says what is wrong with it.
                marks = frozenset[int](), frozenset[int]()
            self._said = stamps, Said(history, len(actions), *marks, tags_of(history.done))
        return self._said[1]

    def act(self, do: str, what: dict[str, Any], *, seen: int) -> Action:
        """Enter an action into the log, on the disk when this returns; the tables follow.

        Beside the kinds of the log (results/corrections/acting.py): `make` without ids, which are given here, also of
        one `name` and its `images`; `pin` of `images`, each in the group where it is; and `split` of a group into
        `parts`, which makes groups of all but the largest part.

        Raises
        ------
        Overtaken
            Somebody acted meanwhile, or edited the corrections file.
        InputError, SettingsError, StoreError
            It cannot be done; nothing was entered.
        """
        kind, told = spelled_out(self, self.split, do, what)
        with self.log.standing_still():
            known = self.log.read()
            edit, number = unread_edit(self.project, known), len(known)
            if edit is not None:
                self.log.append(FILE, edit, who=_user(), seen=number)
                # That a log begins is nothing that anybody overlooked.
                seen += bool(edit.get("base")) and seen == number
            action = self.log.append(kind, told, who=_user(), seen=seen, accept=self._accept)
        self._wake.set()
        return action

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
        learned = self._table(cluster_ids, ["cluster_id"])["cluster_id"]
        if last.do in ("merge", REDO) and len({found.merged_into.get(id_, id_) for id_ in learned}) < 2:
            raise InputError("a merge must leave at least two groups that were learned, and not made by hand")
        given = pl.Series(named_images(last), dtype=pl.String)
        unknown = given.filter(~given.is_in(view.images["image_id"].implode()))
        if len(unknown):
            raise InputError(f"there is no image {unknown[0]!r} in this store")

    def _work(self) -> None:
        due: list[Step] = []
        follows = False
        while not self._end.is_set():
            # What is left is done when nobody acts for a moment, and step by step, so that an action need not wait.
            acted = self._wake.wait((QUIET_SECONDS if len(due) == len(AFTERWARDS) else 0) if follows else None)
            if self._end.is_set():
                return
            if acted:
                self._wake.clear()
            try:
                if acted:
                    self._problem = None
                    self._apply()
                    due, follows = list(AFTERWARDS), True
                elif due:
                    self._run(due[:1])
                    due = due[1:]
                else:
                    follows = False
                    with self._alone():
                        publish(self.project, by_hand=False)
                self._problem = None
            except Exception as error:  # noqa: BLE001 - it is shown on the page, and the next action tries again
                # Before the first run there is nothing to carry out, and nothing to do it with, or half of it.
                early = isinstance(error, ArtifactMissing | ArtifactOutdated) and not self._tried
                self._problem, due, follows = None if early else tell(error, self.traces), [], False

    def _apply(self) -> None:
        """Carry out all actions there are."""
        self._tried = entered = len(self.log.read())
        self._run(AT_ONCE)
        self._applied = entered

    def _run(self, steps: Sequence[Step]) -> None:
        for step in steps:
            with self._alone():
                if self._end.is_set():
                    return
                execute(step, self.project, in_force=True)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Hold the store's lock; whether it is waited for is known meanwhile."""

        def wait(_: str) -> None:
            self._held_up = True

        with self._store.lock(on_wait=wait):
            self._held_up = False
            yield


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "somebody"
