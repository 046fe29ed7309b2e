"""Which causes are there, who was told of them, and what is still to be told: a small file beside the store.

It is written whole or not at all, before anything is sent and after, so that a process that is killed in between tells
something twice (with the same id) rather than never. What must stay out: sending (delivery.py).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tac_pipeline.alerts.message import Message
from tac_pipeline.digest import digest
from tac_pipeline.files import write_atomically

BOOK_NAME = "alerts.json"
FAILED = "failed"
# Finished runs that were looked at, so that none is taken for new.
KEPT_RUNS = 500
# What waits to be told longer is not worth telling.
KEPT_SECONDS = 7 * 24 * 3600.0
# A failure of which nothing was heard for so long is not told as over, it is dropped.
FORGOTTEN_SECONDS = 60 * 24 * 3600.0
# A channel that fails is left alone for so many seconds, then for twice as many.
FIRST_PAUSE, LONGEST_PAUSE = 30.0, 900.0
_VARYING = re.compile(r"[0-9a-f]{6,}|\d+", re.IGNORECASE)


@dataclass
class Cause:
    """Something that is up.

    Attributes
    ----------
    kind : str
        failed, held, drift, unreadable or upload.
    store : str
    key : str
        The same for the same cause, whenever it is seen.
    sentence : str
    since, seen_at : float
        When it was seen first and last, in seconds since 1970.
    waits_for : list of str
        Of a failure: the steps that must succeed before it is over.
    run : str or None
    told, told_over : list of str
        The channels that know of it, and that know that it is gone.
    over_at : float or None
        Since when it is gone.
    """

    kind: str
    store: str
    key: str
    sentence: str
    since: float
    seen_at: float
    waits_for: list[str] = field(default_factory=list)
    run: str | None = None
    told: list[str] = field(default_factory=list)
    told_over: list[str] = field(default_factory=list)
    over_at: float | None = None

    @property
    def heard_by(self) -> list[str]:
        """The channels that know how it is now."""
        return self.told if self.over_at is None else self.told_over

    def message(self, *, at: float) -> Message:
        """What is told of it now."""
        over = self.over_at is not None
        known = digest([self.store, self.key, self.since, over])[:16]
        sentence = f"It is over. It was: {self.sentence}" if over else self.sentence
        return Message(self.store, self.kind, over, sentence, self.since, at, known, self.run)


def failure_key(sentence: str, steps: Sequence[str]) -> str:
    """The same for two failures that differ only in figures and names that a machine gave."""
    return f"{FAILED} {digest([sorted(steps), _VARYING.sub('#', sentence)])[:16]}"


@dataclass
class Book:
    """The causes of a store and its groupings.

    Attributes
    ----------
    causes : list of Cause
        Those that are there, and those that are gone and of which somebody is still to be told.
    runs : list of str
        Finished runs that were looked at, the newest last.
    looked_at : float
        Runs that changed after this are new; seconds since 1970.
    pauses : dict
        For each channel that failed: how often in a row, and when.
    """

    causes: list[Cause] = field(default_factory=list)
    runs: list[str] = field(default_factory=list)
    looked_at: float = 0.0
    pauses: dict[str, tuple[int, float]] = field(default_factory=dict)

    def note(self, cause: Cause) -> None:
        """Enter what is up, unless it is known."""
        for known in self.causes:
            if (known.store, known.key) == (cause.store, cause.key) and known.over_at is None:
                known.seen_at, known.sentence = cause.seen_at, cause.sentence
                known.waits_for = list(dict.fromkeys([*known.waits_for, *cause.waits_for]))
                return
        self.causes.append(cause)

    def settle(self, store: str, kinds: Iterable[str], found: Sequence[Cause], *, at: float) -> None:
        """Enter what a look at a store found of some kinds of causes; of these kinds, all else is over."""
        keys = {cause.key for cause in found}
        for known in self.causes:
            if known.store == store and known.kind in kinds and known.key not in keys and known.over_at is None:
                known.over_at = at
        for cause in found:
            self.note(cause)

    def done(self, steps: Iterable[str], *, at: float) -> None:
        """Steps that succeeded: failures that waited for nothing else are over."""
        succeeded = set(steps)
        for cause in self.causes:
            if cause.kind == FAILED and cause.over_at is None and succeeded.intersection(cause.waits_for):
                cause.waits_for = [step for step in cause.waits_for if step not in succeeded]
                if not cause.waits_for:
                    cause.over_at = at

    @property
    def failures(self) -> list[Cause]:
        """The failures that are not over."""
        return [cause for cause in self.causes if cause.kind == FAILED and cause.over_at is None]

    @property
    def open(self) -> list[Cause]:
        """The causes that are there."""
        return [cause for cause in self.causes if cause.over_at is None]

    def wanted(
        self, channels: Iterable[str], kinds: Iterable[str], *, at: float, patient: bool = True
    ) -> dict[str, list[Message]]:
        """What each channel is still to be told, the oldest first; a patient caller leaves those that failed alone.

        A cause that was over before anybody could be told is told as over.
        """
        kinds, found = set(kinds), {}
        for channel in channels:
            tries, failed_at = self.pauses.get(channel, (0, 0.0))
            pause = min(FIRST_PAUSE * 2.0 ** min(tries - 1, 10), LONGEST_PAUSE) if tries and patient else 0.0
            due = [cause for cause in self.causes if cause.kind in kinds and channel not in cause.heard_by]
            if due and at >= failed_at + pause:
                found[channel] = [cause.message(at=at) for cause in due]
        return found

    def enter(self, arrived: Mapping[str, Sequence[str]], failed: Iterable[str], *, at: float) -> None:
        """What came of telling: the ids that arrived, by channel, and the channels that failed."""
        for channel, ids in arrived.items():
            self.pauses.pop(channel, None)
            for cause in self.causes:
                if cause.message(at=at).id in ids:
                    cause.heard_by.append(channel)
        for channel in failed:
            self.pauses[channel] = (self.pauses.get(channel, (0, 0.0))[0] + 1, at)

    def tidy(self, channels: Iterable[str], *, at: float) -> None:
        """Drop what is over and known to all channels, or is not worth telling any more."""
        wanted = set(channels)
        self.causes = [cause for cause in self.causes if not _is_settled(cause, wanted, at)]
        self.runs = self.runs[-KEPT_RUNS:]


def _is_settled(cause: Cause, channels: set[str], at: float) -> bool:
    if cause.over_at is None:
        return cause.kind == FAILED and at - cause.seen_at > FORGOTTEN_SECONDS
    return channels.issubset(cause.told_over) or at - cause.over_at > KEPT_SECONDS


def read_book(folder: Path) -> Book | None:
    """The book in a folder; None where there is none, or it cannot be read."""
    try:
        record: dict[str, Any] = json.loads((folder / BOOK_NAME).read_text(encoding="utf-8"))
        return Book(
            causes=[Cause(**cause) for cause in record["causes"]],
            runs=[str(run) for run in record["runs"]],
            looked_at=float(record["looked_at"]),
            pauses={name: (int(tries), float(when)) for name, (tries, when) in record["pauses"].items()},
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def write_book(folder: Path, book: Book) -> None:
    """Keep the book."""
    write_atomically(folder / BOOK_NAME, json.dumps(asdict(book), indent=1, ensure_ascii=False))
