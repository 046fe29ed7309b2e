"""Reporting the progress of long loops, in a line from time to time: how far, how fast, how long it will take."""

from __future__ import annotations

import time
from collections.abc import Callable

Progress = Callable[[int, int], None]


class RateLog:
    """A progress callback (done, total) that logs at most once in `every` seconds.

    Parameters
    ----------
    log : callable
        Takes a line of text.
    what : str
        The name of the counted things, in the plural.
    every : float
        Seconds between two lines and before the first one, so short loops log nothing.
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
        self._start = self._last = clock()

    def __call__(self, done: int, total: int) -> None:
        """Log how far the loop is, if it is time."""
        now = self._clock()
        if now - self._last < self._every:
            return
        self._last = now
        rate = done / (now - self._start)
        left = (total - done) / rate if rate > 0 else float("inf")
        shown_rate = f"{rate:,.0f}" if rate >= 10 else f"{rate:.2g}"
        self._log(f"{done:,} of {total:,} {self._what}, {shown_rate}/s, about {duration(left)} left")


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
