"""What is told: of one cause, that it is there or that it is over; as JSON, as a line, and as a mail."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

# In words that follow the store's name.
TITLES = {
    "failed": "a run failed",
    "held": "a result is held back from readers",
    "drift": "new images do not fit the groups",
    "unreadable": "images cannot be read",
    "upload": "a version did not reach its readers",
    "test": "a test of the alerts",
}
LONGEST = 3000  # characters of a sentence; Slack takes no more in one block


@dataclass(frozen=True)
class Message:
    """One thing to tell.

    Attributes
    ----------
    store : str
        The store, or its grouping as in photos.style.
    cause : str
        failed, held, drift, unreadable, upload or test.
    over : bool
        The cause is gone.
    sentence : str
    since, at : float
        When the cause was seen first, and the time of this message; seconds since 1970.
    id : str
        The same for a message that is sent again, and another for every other.
    run : str or None
        The id of Dagster's run.
    """

    store: str
    cause: str
    over: bool
    sentence: str
    since: float
    at: float
    id: str
    run: str | None = None

    @property
    def title(self) -> str:
        """A line that says what is up, or that it is over."""
        return f"{self.store}: {'over: ' if self.over else ''}{TITLES[self.cause]}"

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "id": self.id,
            "store": self.store,
            "cause": self.cause,
            "state": "over" if self.over else "open",
            "title": self.title,
            "sentence": self.sentence[:LONGEST],
            "since": _time(self.since),
            "at": _time(self.at),
            "run": self.run,
            "host": socket.gethostname(),
        }

    def as_slack(self) -> dict[str, Any]:
        """For what takes Slack's JSON; the signs that have a meaning there are escaped."""
        escaped = [
            text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
            for text in (self.title, self.sentence[:LONGEST])
        ]
        return {"text": f"*{escaped[0]}*\n{escaped[1]}"}

    def as_mail(self) -> tuple[str, str]:
        """Subject and text."""
        run = f"\nRun: {self.run}" if self.run else ""
        since = f"Since: {_time(self.since)}\nMachine: {socket.gethostname()}{run}"
        # A line break in a subject would begin another header.
        return " ".join(self.title.split()), f"{self.sentence[:LONGEST]}\n\n{since}\n"


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
