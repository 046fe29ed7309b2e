"""What was computed of single segments, kept so that it is computed once: sums, counts, and the rows of few images.

    .derived/group_sums-3f0c....parquet

A table here is named by what it is and a digest of all that it was computed from. So it is never out of step with the
segment, needs no record, and can be removed at any time. Of a table with one file nothing is kept.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import polars as pl

from tac_pipeline.digest import digest
from tac_pipeline.errors import ArtifactDamaged
from tac_pipeline.files import write_atomically
from tac_pipeline.store.parquet import TableSchema, place_table, read_frame
from tac_pipeline.store.segments.reading import Rows, Segment

# What no run has asked for in so long is removed, and so is what none of the last few runs that asked for anything did:
# each new image leaves what was computed of the segment before it.
UNUSED_DAYS = 14
UNUSED_RUNS = 6
RUNS_NAME = "runs.json"


class Derived:
    """Small tables, each computed from one segment.

    Parameters
    ----------
    folder : Path
        Created when first written to.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def of(
        self, rows: Rows, schema: TableSchema, make: Callable[[Rows], pl.DataFrame], *, also: object = None
    ) -> pl.DataFrame:
        """What `make` gives for some rows: kept, or computed now.

        Parameters
        ----------
        schema : TableSchema
            Of what `make` gives; its name says what is computed.
        also : JSON-like value
            What it depends on beside the rows.
        """
        if rows.alone:
            return make(rows)
        path = self._folder / f"{schema.name}-{digest([rows.digest, also])}.parquet"
        with suppress(ArtifactDamaged):
            if path.exists():
                found = read_frame(path, schema)
                with suppress(OSError):  # a process that may only read
                    os.utime(path)
                return found
        table = make(rows)
        with suppress(OSError):
            place_table(path, schema, table)
        return table

    def rows_of_few(
        self, parts: Sequence[Segment], keys: pl.Series, columns: Sequence[str], *, named: str
    ) -> pl.DataFrame:
        """The rows of few keys that are all over a table, in its order.

        Parameters
        ----------
        columns : sequence of str
            The key among them.
        named : str
            A digest of the keys.
        """
        schema = parts[0].schema
        kept = replace(
            schema,
            name=f"few_{schema.name}",
            columns=tuple(column for column in schema.columns if column.name in columns),
            grows=False,
        )

        def pick(rows: Rows) -> pl.DataFrame:
            return rows.frame(columns).filter(pl.col(str(schema.key)).is_in(keys.implode()))

        return pl.concat(self.of(part, kept, pick, also=[named, sorted(columns)]) for part in parts)

    def forget_unused(self) -> None:
        """Remove what nobody has asked for in a long time, or in the last runs; call it once a run."""
        asked: dict[Path, float] = {}
        for path in self._folder.glob("*.parquet"):
            with suppress(OSError):
                asked[path] = path.stat().st_mtime
        now, runs = time.time(), self._runs()
        # A run in which nothing is new asks for nothing, and is no reason.
        if max(asked.values(), default=0.0) > max(runs, default=0.0):
            runs = [*runs[-(UNUSED_RUNS - 1) :], now]
            with suppress(OSError):
                write_atomically(self._folder / RUNS_NAME, json.dumps(runs))
        since = now - UNUSED_DAYS * 24 * 3600
        if len(runs) == UNUSED_RUNS:
            since = max(since, runs[0])
        for path, last in asked.items():
            if last < since:
                with suppress(OSError):
                    path.unlink()

    def _runs(self) -> list[float]:
        """When the last runs called forget_unused that had asked for something, oldest first."""
        try:
            return [float(at) for at in json.loads((self._folder / RUNS_NAME).read_text(encoding="utf-8"))]
        except (OSError, ValueError, TypeError):
            return []
