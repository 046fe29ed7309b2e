"""What the store knows of the versions that it brought elsewhere, without asking there: telling/elsewhere.json.

What must stay out: bringing them (bringing.py).
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path

from tac_pipeline.files import write_atomically
from tac_pipeline.store.publication import Version

ELSEWHERE_NAME = "elsewhere.json"
# After a failure it is tried again after so many seconds, then after twice as many, and so on.
FIRST_PAUSE, LONGEST_PAUSE = 60.0, 3600.0


@dataclass(frozen=True)
class Elsewhere:
    """What readers of another place have, as this store last knew.

    Attributes
    ----------
    to : str
        The place.
    version : int
        The version that its readers got last; 0 = none yet.
    at : float
        Since when, in seconds since 1970.
    failed : str or None
        Why the last try failed, in words.
    tries : int
        How often it failed in a row.
    tried_at : float
    """

    to: str
    version: int = 0
    at: float = 0.0
    failed: str | None = None
    tries: int = 0
    tried_at: float = 0.0

    def failing(self, why: str, *, now: float) -> Elsewhere:
        """The same after one more failure."""
        return replace(self, failed=why, tries=self.tries + 1, tried_at=now)

    def reaching(self, version: int, at: float, *, now: float) -> Elsewhere:
        """The same once readers there have a version, since a time."""
        return Elsewhere(self.to, version, at, tried_at=now)

    def lacks(self, latest: Version | None) -> bool:
        """Whether readers there do not have what is published here."""
        return latest is not None and latest.number != self.version

    def due_at(self) -> float:
        """When it is worth trying again, in seconds since 1970."""
        if not self.tries:
            return 0.0
        return self.tried_at + min(FIRST_PAUSE * 2.0 ** min(self.tries - 1, 10), LONGEST_PAUSE)

    def in_words(self, latest: Version | None) -> str:
        """What readers there have, and if that is not what is published here, why; to follow a semicolon."""
        day = f"{datetime.fromtimestamp(self.at):%Y-%m-%d %H:%M}"
        have = f"version {self.version} since {day}" if self.version else "nothing yet"
        if latest is None or not self.lacks(latest):
            return f"readers of {self.to} have {have}" + (f", but {self.failed}" if self.failed else "")
        why = f": {self.failed}" if self.failed else ""
        return (
            f"readers of {self.to} have {have}, and not version {latest.number}{why} (`tac run` or `tac publish` "
            "takes it up)"
        )


def read_elsewhere(folder: Path, to: str) -> Elsewhere:
    """What is known of a place; nothing of one that the settings did not name before.

    Parameters
    ----------
    folder : Path
        data/<store>/telling
    """
    try:
        record = json.loads((folder / ELSEWHERE_NAME).read_text(encoding="utf-8"))
        known = Elsewhere(**{name: record[name] for name in asdict(Elsewhere(to))})
    except (OSError, ValueError, KeyError, TypeError):
        return Elsewhere(to)
    return known if known.to == to else Elsewhere(to)


def write_elsewhere(folder: Path, known: Elsewhere) -> None:
    """Keep what is known of a place; makes the folder if there is none."""
    write_atomically(folder / ELSEWHERE_NAME, json.dumps(asdict(known), indent=1, ensure_ascii=False))
