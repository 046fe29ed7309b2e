"""The log of actions, a file of the ledger's folder: a line each, with who, when and what; nothing is ever taken out.

    {"number": 3, "at": 1795728167.5, "who": "ada", "do": "merge", "what": {"ids": [3, 9]}, "seal": "0f3a..."}

An action is in the log when its whole line is on the disk. A last line that was cut short was never acknowledged: it is
passed over, and the next action takes its place.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tac_pipeline.digest import digest
from tac_pipeline.errors import ArtifactDamaged, InputError, StoreError
from tac_pipeline.files import Stamp, hold_lock, read_lines, stamp_of, write_line

LOG_NAME = "actions.jsonl"
# One action on a hundred thousand images takes some megabytes.
LONGEST_LINE = 100_000_000  # bytes
# The lock of the folder keeps other processes out, and not other threads.
_HERE = threading.RLock()


class Overtaken(InputError):
    """Somebody else has acted since the person who acts last looked."""


@dataclass(frozen=True)
class Action:
    """One thing that somebody did.

    Attributes
    ----------
    number : int
        From 1, without gaps.
    at : float
        Seconds since 1970.
    who : str
    do : str
        Its kind (results/corrections/acting.py says which there are).
    what : dict
        What its kind needs.
    """

    number: int
    at: float
    who: str
    do: str
    what: dict[str, Any]

    @property
    def line(self) -> str:
        """As it stands in the log, without its end."""
        body = asdict(self)
        return json.dumps({**body, "seal": digest(body)}, ensure_ascii=False, separators=(",", ":"))


class ActionLog:
    """The actions on one store or grouping.

    Parameters
    ----------
    ledger : Path
        The ledger's folder.
    """

    def __init__(self, ledger: Path) -> None:
        self.path = ledger / LOG_NAME

    @property
    def stamp(self) -> Stamp:
        """Changes when an action is added."""
        return stamp_of(self.path)

    @contextmanager
    def standing_still(self) -> Iterator[None]:
        """Keep everybody from adding an action meanwhile."""
        with _HERE, hold_lock(self.path.parent, lambda _: None):
            yield

    def read(self) -> list[Action]:
        """Every action, the first one first.

        Raises
        ------
        ArtifactDamaged
            A line that is not the last one is not what was written.
        StoreError
            The file cannot be read.
        """
        return [_parsed(line, number, self.path) for number, line in enumerate(read_lines(self.path), start=1)]

    def append(
        self,
        do: str,
        what: dict[str, Any] | Callable[[Sequence[Action]], dict[str, Any]],
        *,
        who: str,
        seen: int,
        accept: Callable[[Sequence[Action]], object] = lambda _: None,
    ) -> Action:
        """Add an action, on the disk when this returns.

        Parameters
        ----------
        what : dict, or callable
            What its kind needs; or what takes all earlier actions and gives that.
        seen : int
            The number of the last action that the person knew of.
        accept : callable
            Takes all actions with the new one, and raises TacError to refuse it.

        Raises
        ------
        Overtaken
            There are newer actions than `seen`. Nothing is added.
        StoreError
            The log cannot be written.
        """
        with self.standing_still():
            known = self.read()
            if len(known) != seen:
                newer = f", the last one by {known[-1].who}: look at what changed" if len(known) > seen else ""
                raise Overtaken(f"the log has {len(known):,} actions, and not {seen:,}{newer}, and act again")
            told = what(known) if callable(what) else what
            action = Action(len(known) + 1, round(time.time(), 3), who, do, told)
            accept([*known, action])
            self._write(action)
        return action

    def _write(self, action: Action) -> None:
        line = action.line
        if (size := len(line.encode()) + 1) > LONGEST_LINE:
            raise InputError(f"an action may take {LONGEST_LINE:,} bytes at most; this one takes {size:,}")
        try:
            write_line(self.path, line)
        except OSError as error:
            raise StoreError(f"cannot write to {self.path}: {error.strerror}. The action is not done.") from error


def _parsed(line: bytes, number: int, path: Path) -> Action:
    try:
        body = json.loads(line)
        seal = body.pop("seal")
        action = Action(**body)
    except (ValueError, KeyError, TypeError, AttributeError):
        seal, body, action = "", None, None
    if action is None or digest(body) != seal or action.number != number:
        raise ArtifactDamaged(
            f"{path}, line {number}, is not what was written. What people did after it cannot be told: restore the "
            "file from a backup (`tac restore SOURCE`), or delete its lines from here on."
        )
    return action
