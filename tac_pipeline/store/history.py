"""What was current when: a file of the ledger's folder, with a line for every change.

    {"at": 1795728167.5, "asset": "clusters", "recipe": "3f0c...", "version": "9a1b...", "written": {}, "seal": "0f..."}

`written` has the settings of the asset, so that the settings of a time are those of all assets that were current then.
A last line that was cut short is passed over, and the next one takes its place. What must stay out: which versions are
kept (artifacts.py), and how far back anybody can ask (assets/lookups/as_of.py).
"""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tac_pipeline.errors import ArtifactDamaged, StoreError
from tac_pipeline.files import read_lines, write_atomically, write_line
from tac_pipeline.store.digests import parse_sealed, seal

HISTORY_NAME = "history.jsonl"


def now() -> float:
    """The time that lines say: seconds since 1970."""
    return time.time()


@dataclass(frozen=True)
class Moment:
    """An asset became current.

    Attributes
    ----------
    at : float
        Seconds since 1970.
    recipe, version, written
        See Artifact and Current.
    """

    at: float
    asset: str
    recipe: str
    version: str
    written: dict[str, Any]


class History:
    """What was current in a store or grouping.

    Parameters
    ----------
    ledger : Path
        The ledger's folder. A process that writes holds the store's lock.
    """

    def __init__(self, ledger: Path) -> None:
        self.path = ledger / HISTORY_NAME

    @property
    def size(self) -> int:
        """In bytes; 0 while nothing is written."""
        try:
            return self.path.stat().st_size
        except (FileNotFoundError, NotADirectoryError):
            return 0

    def add(self, asset: str, recipe: str, *, version: str, written: Mapping[str, Any]) -> int:
        """Write down that a version has become current, and return the size of the file with it."""
        line = {"at": round(now(), 3), "asset": asset, "recipe": recipe, "version": version, "written": dict(written)}
        text = json.dumps(seal(line), ensure_ascii=False, separators=(",", ":"))
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            return write_line(self.path, text)
        except OSError as error:
            raise StoreError(f"cannot write to {self.path}: {error.strerror}. {asset} was not changed.") from error

    def read(self, assets: Collection[str] = ()) -> list[Moment]:
        """Every line, or those of some assets, the first one first; none of a store from before there was a history.

        Raises
        ------
        ArtifactDamaged
            A line is not what was written.
        StoreError
            The file cannot be read.
        """
        return [moment for _, moment in self._lines(assets)]

    def _lines(self, assets: Collection[str] = ()) -> list[tuple[bytes, Moment]]:
        # Most lines of a long history are of other assets, and need not be parsed.
        marks = [f'"asset":{json.dumps(asset)}'.encode() for asset in assets]
        found = []
        for number, line in enumerate(read_lines(self.path), start=1):
            if marks and not any(mark in line for mark in marks):
                continue
            try:
                said = parse_sealed(line)
                found.append((line, Moment(*(said[name] for name in ("at", "asset", "recipe", "version", "written")))))
            except (ValueError, KeyError, TypeError) as error:
                raise ArtifactDamaged(
                    f"{self.path}, line {number}, is not what was written. What was current then cannot be told: "
                    "restore the file from a backup (`tac restore SOURCE`), or delete it; a new one begins then."
                ) from error
        return found

    def current_at(self, at: float) -> dict[str, Moment]:
        """What was current at a time, by asset; raises as read."""
        return {moment.asset: moment for moment in self.read() if moment.at <= at}

    def recipes_since(self, asset: str, since: float) -> tuple[set[str], bool]:
        """The recipes of an asset that were current at some time since then, and whether the history goes back so far.

        Raises as read.
        """
        moments = self.read([asset])
        before = [moment for moment in moments if moment.at <= since]
        return {moment.recipe for moment in [*before[-1:], *moments[len(before) :]]}, bool(before)

    def forget_before(self, begin: float) -> None:
        """Take out the lines from before a time, but for what was current then; with the store's lock held.

        Raises as read.
        """
        lines = self._lines()
        last = {moment.asset: number for number, (_, moment) in enumerate(lines) if moment.at <= begin}
        kept = [line for number, (line, moment) in enumerate(lines) if number >= last.get(moment.asset, 0)]
        if len(kept) < len(lines):
            write_atomically(self.path, "".join(f"{line.decode()}\n" for line in kept))
