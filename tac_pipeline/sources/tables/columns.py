"""Our columns in a table: by which names they are known, their values as text, and what is refused or reported."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from tac_pipeline.errors import SourceError, first_few
from tac_pipeline.sources.listing import ListingBuilder

# The usual names of our columns, the first that is there counts. Case, spaces and underscores are ignored.
COLUMN_NAMES: dict[str, tuple[str, ...]] = {
    "uri": ("uri", "url", "path", "file_name", "filepath", "file", "image", "image_path"),
    "image_id": ("image_id", "id"),
    "label": ("label", "class", "category"),
}
PARQUET_SUFFIX = ".parquet"
SEPARATED_SUFFIXES = {".csv": ",", ".tsv": "\t"}
JSON_SUFFIXES = (".jsonl", ".ndjson")
# One path or URL a line.
LINES_SUFFIX = ".txt"
_TEXT_SUFFIXES = (*SEPARATED_SUFFIXES, *JSON_SUFFIXES, LINES_SUFFIX)
TABLE_SUFFIXES = (PARQUET_SUFFIX, *_TEXT_SUFFIXES, *(f"{suffix}.gz" for suffix in _TEXT_SUFFIXES))
# Rows of one kind of problem that are named one by one; more are counted.
SHOWN_ROWS = 1_000


def usual_names(ours: str) -> tuple[str, ...]:
    """The names by which a column is known; a column that is not ours has only its own."""
    return COLUMN_NAMES.get(ours, (ours,))


def table_kind(path: Path) -> str | None:
    """The suffix of TABLE_SUFFIXES, without .gz, that a file's name has; None for other files."""
    name = path.name.lower().removesuffix(".gz")
    kind = Path(name).suffix
    return kind if path.name.lower().endswith(TABLE_SUFFIXES) else None


@dataclass
class TextTable:
    """Columns of a table as text.

    Attributes
    ----------
    path : Path
    numbers : list of int
        Of each row, its line (from 1) in a text, or its row (from 0) in a Parquet file.
    values : dict of list
        By our name of the column, one text per row; None for a null or blank cell.
    names : list of str
        All columns of the file.
    notes : list of str
        What was taken for what.
    problems : list of (place, reason)
        Rows that could not be read; they are in no column.
    """

    path: Path
    numbers: list[int] = field(default_factory=list)
    values: dict[str, list[str | None]] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    problems: list[tuple[str, str]] = field(default_factory=list)

    def place(self, row: int) -> str:
        """Where a row is, as a message names it."""
        return self._place(self.numbers[row])

    def report(self, number: int, reason: str) -> None:
        """A row, by its line or row in the file, that cannot be read."""
        self.problems.append((self._place(number), reason))

    def _place(self, number: int) -> str:
        return f"{self.path.name}, {'row' if table_kind(self.path) == PARQUET_SUFFIX else 'line'} {number}"


def choose_columns(
    names: Sequence[str], *, wanted: Sequence[str], required: Sequence[str], path: Path, skipped: Collection[int] = ()
) -> tuple[dict[str, int], list[str]]:
    """The place of each wanted column that is there, and a note for each one with another name than ours.

    Columns at skipped places cannot be ours.

    Raises
    ------
    SourceError
        A required column is not there, or two columns could be the same one of ours.
    """
    chosen: dict[str, int] = {}
    notes = []
    for ours in wanted:
        ranks = {plain_name(usual): rank for rank, usual in enumerate(usual_names(ours))}
        found = [
            (ranks[plain_name(name)], name != ours, place)
            for place, name in enumerate(names)
            if plain_name(name) in ranks and place not in skipped
        ]
        if not found:
            if ours in required:
                raise SourceError(
                    f"{path} must have a column {ours} (or {', '.join(usual_names(ours)[1:])}); it has "
                    f"{_shown_names(names)}. Name the column {ours}."
                    + (" A list of paths without a header may be a .txt." if len(names) == 1 else "")
                )
            continue
        best = min(found)
        alike = [names[place] for rank, other, place in found if (rank, other) == best[:2]]
        if len(alike) > 1 and ours == "label":  # only evaluation asks for labels
            notes.append(f"label: there is none, because {' and '.join(map(repr, alike))} could be it")
            continue
        if len(alike) > 1:
            raise SourceError(
                f"{path}: one column must be the {ours}; {' and '.join(map(repr, alike))} could be. Rename the others."
            )
        chosen[ours] = best[2]
        if names[best[2]] != ours:
            others = [names[place] for _, _, place in sorted(found)[1:]]
            notes.append(f"{ours}: the column {names[best[2]]}" + (f", not {', '.join(others)}" if others else ""))
    return chosen, notes


def refuse_repeats(image_ids: Sequence[str] | pl.Series, place: Callable[[int], str], *, where: Path) -> None:
    """Raise SourceError when an id occurs twice; place names a row."""
    ids = pl.Series("image_id", image_ids, dtype=pl.String)
    if ids.n_unique() == len(ids):
        return
    twice = ids.is_duplicated()
    rows: dict[str, list[int]] = {}
    for row in twice.arg_true():
        rows.setdefault(image_ids[row], []).append(row)
    shown = [
        f"{image_id!r} ({first_few([place(row) for row in found], 3, separator='; ')})"
        for image_id, found in list(rows.items())[:3]
    ]
    raise SourceError(
        f"{where}: image_id must be unique; {len(rows):,} ids repeat: {', '.join(shown)}. "
        "Remove the rows that repeat, or give every image its own image_id."
    )


def plain_name(name: str) -> str:
    """A column's name as it is compared with the usual names."""
    return re.sub(r"[\s_]+", "", name).lower()


def text_or_none(value: str) -> str | None:
    """A cell's text; None for a blank one."""
    return value if value.strip() else None


def _shown_names(names: Sequence[str]) -> str:
    return f"[{first_few([repr(name[:60]) for name in names], 20)}]"


class RowProblems:
    """Problems of rows: the first of each kind are named, the others are counted."""

    def __init__(self) -> None:
        self._named: list[tuple[str, str]] = []
        self._counts: Counter[str] = Counter()
        self._last: dict[str, str] = {}

    def add(self, place: str, reason: str) -> None:
        """A row, and what is wrong with it."""
        # What comes after a colon or semicolon is the row's own.
        kind = reason.partition(";")[0].partition(":")[0]
        self._counts[kind] += 1
        if self._counts[kind] <= SHOWN_ROWS:
            self._named.append((place, reason))
        else:
            self._last[kind] = place

    def tell(self, found: ListingBuilder) -> None:
        """Report all of them to a listing."""
        for place, reason in self._named:
            found.report(place, reason)
        for kind, place in self._last.items():
            found.report(place, f"and {self._counts[kind] - SHOWN_ROWS - 1:,} rows before it: {kind}")
