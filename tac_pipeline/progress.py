"""Reporting the progress of long loops: how far, how fast, how long it will take.

A log gets a line from time to time. A terminal that watches is told more often, and keeps only the last of it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

Progress = Callable[[int, int], None]

# What a loop must have shown before anything is said of its end: its first calls hold what is only done once.
EVIDENCE_SECONDS, EVIDENCE_CALLS = 2.0, 3
WATCHED_EVERY = 0.2  # seconds between two looks of a terminal
KEPT_CALLS = 512


@dataclass(frozen=True)
class Pace:
    """How far a loop is.

    Attributes
    ----------
    what : str
        The name of the counted things, in the plural.
    done, total : int
    rate : float or None
        Things in a second of late; None before there is evidence.
    """

    what: str
    done: int
    total: int
    rate: float | None

    @property
    def left(self) -> float | None:
        """Seconds until the end, as far as can be said."""
        return (self.total - self.done) / self.rate if self.rate else None

    @property
    def counted(self) -> str:
        """Such as `64 of 117,377 nouns`."""
        return f"{self.done:,} of {self.total:,} {self.what}"

    def __str__(self) -> str:
        if self.rate is None or self.left is None:
            return self.counted
        shown = f"{self.rate:,.0f}" if self.rate >= 10 else f"{self.rate:.2g}"
        return f"{self.counted}, {shown}/s, about {duration(self.left)} left"


# Who looks at the loops of this process, the last one first; usually one terminal, or nobody.
_watchers: list[Callable[[Pace], None]] = []


@contextmanager
def watching(watcher: Callable[[Pace], None]) -> Iterator[None]:
    """Have every loop of this process tell the watcher how far it is, several times a second."""
    _watchers.append(watcher)
    try:
        yield
    finally:
        _watchers.remove(watcher)


class RateLog:
    """A progress callback (done, total) that logs now and then: often at first, in a long loop less and less.

    The rate is that of the later half of the calls. So what is only done once, such as loading a model, is no part of
    it, and neither is a beginning that was slower or faster.

    Parameters
    ----------
    log : callable
        Takes a line of text.
    what : str
        The name of the counted things, in the plural.
    every : float
        The fewest seconds between two lines and before the first one, so short loops log nothing.
    """

    def __init__(
        self,
        log: Callable[[str], None],
        what: str,
        *,
        every: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._log, self._what, self._every, self._clock = log, what, every, clock
        self._start = self._logged = clock()
        self._shown = float("-inf")
        self._calls: list[tuple[float, int]] = []
        self._apart = WATCHED_EVERY / 2

    def __call__(self, done: int, total: int) -> None:
        """Log how far the loop is, if it is time."""
        now = self._clock()
        self._note(now, done)
        watched = bool(_watchers) and now - self._shown >= WATCHED_EVERY
        # After an hour a line comes every three minutes, so that a log of days stays short.
        due = now - self._logged >= max(self._every, (now - self._start) / 20)
        if not (watched or due):
            return
        pace = Pace(self._what, done, total, self._rate(now, done))
        if watched:
            self._shown = now
            _watchers[-1](pace)
        if due:
            self._logged = now
            self._log(str(pace))

    def _note(self, now: float, done: int) -> None:
        if self._calls and now - self._calls[-1][0] < self._apart:
            return
        self._calls.append((now, done))
        if len(self._calls) > KEPT_CALLS:
            self._calls, self._apart = self._calls[::2], 2 * self._apart

    def _rate(self, now: float, done: int) -> float | None:
        """Things in a second since halfway between the first call and now."""
        first = self._calls[0][0]
        if now - first < EVIDENCE_SECONDS or len(self._calls) < EVIDENCE_CALLS:
            return None
        middle = (first + now) / 2
        since, before = next(call for call in reversed(self._calls) if call[0] <= middle)
        return (done - before) / (now - since) if done > before else None


def duration(seconds: float) -> str:
    """A length of time as people write it: 0.4 s, 12 s, 3 min, 2.5 h."""
    if seconds == float("inf"):
        return "an unknown time"
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
