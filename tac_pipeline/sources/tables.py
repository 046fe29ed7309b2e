"""Tables as people have them: which of their columns are ours, and these columns as text, row by row.

Columns that are not ours are never parsed, so they cannot refuse a file. A row that cannot be read is a sentence with
its place, and the others are read. What must stay out: what the values mean (manifests.py, vectors.py).
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from tac_pipeline.errors import SourceError, first_few
from tac_pipeline.sources.formats import sniff

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
SEPARATORS = ",;\t|"
GZIP_MARK = b"\x1f\x8b"
PARQUET_BATCH_ROWS = 65_536
# Rows of one kind of problem that are named one by one; more are counted.
SHOWN_ROWS = 1_000


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


def table_kind(path: Path) -> str | None:
    """The suffix of TABLE_SUFFIXES, without .gz, that a file's name has; None for other files."""
    name = path.name.lower().removesuffix(".gz")
    kind = Path(name).suffix
    return kind if path.name.lower().endswith(TABLE_SUFFIXES) else None


def read_text_table(path: Path, *, wanted: Sequence[str], required: Sequence[str] = ()) -> TextTable:
    """Read those of the wanted columns that are there.

    Parameters
    ----------
    wanted : sequence of str
        Keys of COLUMN_NAMES.
    required : sequence of str
        Those that must be there.

    Raises
    ------
    SourceError
        The file cannot be read, a required column is not there, or two columns could be the same one of ours.
    """
    kind = table_kind(path)
    table = TextTable(path)
    if kind == PARQUET_SUFFIX:
        _read_parquet(table, wanted, required)
        return table
    lines = _Lines(path)
    try:
        if kind == LINES_SUFFIX:
            _read_lines(table, lines)
        elif kind in JSON_SUFFIXES:
            _read_json(table, lines, wanted, required)
        else:
            _read_separated(table, lines, SEPARATED_SUFFIXES[kind or ".csv"], wanted, required)
    except (OSError, EOFError, zlib.error, csv.Error) as error:
        raise SourceError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error
    if lines.not_utf8:
        table.notes.append(f"{lines.not_utf8:,} lines are not UTF-8; they were read as Windows-1252 (Latin-1)")
    return table


def choose_columns(
    names: Sequence[str], *, wanted: Sequence[str], required: Sequence[str], path: Path
) -> tuple[dict[str, int], list[str]]:
    """The place of each wanted column that is there, and a note for each one with another name than ours.

    Raises
    ------
    SourceError
        A required column is not there, or two columns could be the same one of ours.
    """
    chosen: dict[str, int] = {}
    notes = []
    for ours in wanted:
        ranks = {_plain(usual): rank for rank, usual in enumerate(COLUMN_NAMES[ours])}
        found = [
            (ranks[_plain(name)], name != ours, place) for place, name in enumerate(names) if _plain(name) in ranks
        ]
        if not found:
            if ours in required:
                raise SourceError(
                    f"{path} must have a column {ours} (or {', '.join(COLUMN_NAMES[ours][1:])}); it has "
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


def refuse_repeats(image_ids: Sequence[str], place: Callable[[int], str], *, where: Path) -> None:
    """Raise SourceError when an id occurs twice; place names a row."""
    ids = pl.Series("image_id", image_ids, dtype=pl.String)
    twice = ids.is_duplicated()
    if not twice.any():
        return
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


def _plain(name: str) -> str:
    return re.sub(r"[\s_]+", "", name).lower()


def _shown_names(names: Sequence[str]) -> str:
    return f"[{first_few([repr(name[:60]) for name in names], 20)}]"


def _text(value: str) -> str | None:
    return value if value.strip() else None


# --- the lines of a text ----------------------------------------------------------------------------------------------


class _Lines:
    """The lines of a text file with their ends, packed or not, in any usual encoding."""

    def __init__(self, path: Path) -> None:
        self._path = path
        # Lines that were read as Windows-1252.
        self.not_utf8 = 0

    def __iter__(self) -> Iterator[str]:
        with self._open() as file:
            encoding = self._encoding(file.peek(4096)[:4096])
            if encoding:
                yield from io.TextIOWrapper(file, encoding=encoding, errors="replace", newline="")
                return
            for number, line in enumerate(file):
                text = self._decode(line)
                if number == 0:
                    text = text.removeprefix("\ufeff")
                # Old Macs end a line with \r alone.
                yield from (text,) if "\r" not in text[:-2] else re.findall(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+", text)

    def _open(self) -> Any:
        # By the content, because a browser may unpack a download and leave its name.
        with self._path.open("rb") as file:
            packed = file.read(2) == GZIP_MARK
        return gzip.open(self._path, "rb") if packed else self._path.open("rb")

    def _encoding(self, head: bytes) -> str | None:
        """The encoding that the first bytes tell; None for one in which a line ends with a plain newline."""
        if head.startswith((b"\xff\xfe\0\0", b"\0\0\xfe\xff")):
            return "utf-32"
        if head.startswith((b"\xff\xfe", b"\xfe\xff")):
            return "utf-16"
        if b"\0" not in head:
            return None
        content, even, odd = sniff(head).name, head[::2].count(0), head[1::2].count(0)
        if content != "unknown":
            raise SourceError(f"{self._path} must be a text; it is {content}. Save it as CSV in UTF-8.")
        if (even + odd) * 5 > len(head) and max(even, odd) > 4 * min(even, odd):
            return "utf-16-le" if odd > even else "utf-16-be"
        return None

    def _decode(self, line: bytes) -> str:
        try:
            return line.decode()
        except UnicodeDecodeError:
            self.not_utf8 += 1
        try:
            return line.decode("cp1252")
        except UnicodeDecodeError:
            return line.decode("latin-1")


# --- the kinds of text ------------------------------------------------------------------------------------------------


def _read_lines(table: TextTable, lines: Iterable[str]) -> None:
    table.names = ["uri"]
    uris = table.values["uri"] = []
    blank: list[int] = []
    for number, line in enumerate(lines, start=1):
        value = _text(line.rstrip("\r\n"))
        if value is None:
            blank.append(number)
            continue
        # Blank lines at the end are no rows.
        for empty in blank:
            table.report(empty, "is empty")
        blank = []
        table.numbers.append(number)
        uris.append(value)


def _read_json(table: TextTable, lines: Iterable[str], wanted: Sequence[str], required: Sequence[str]) -> None:
    known = {_plain(usual) for ours in wanted for usual in COLUMN_NAMES[ours]}
    columns: dict[str, list[str | None]] = {}
    names: dict[str, None] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            table.report(number, f"is not JSON: {error}")
            continue
        if not isinstance(row, dict):
            table.report(number, f"must be a JSON object; it is {type(row).__name__}")
            continue
        names |= dict.fromkeys(row)
        for name, value in row.items():
            if _plain(name) in known:
                column = columns.setdefault(name, [])
                column += [None] * (len(table.numbers) - len(column))
                column.append(_json_text(value))
        table.numbers.append(number)
    table.names = list(names)
    if not table.numbers:
        return
    chosen, table.notes = choose_columns(table.names, wanted=wanted, required=required, path=table.path)
    for ours, place in chosen.items():
        column = columns[table.names[place]]
        table.values[ours] = column + [None] * (len(table.numbers) - len(column))


def _json_text(value: Any) -> str | None:
    if value is None:
        return None
    text = value if isinstance(value, str) else json.dumps(value)
    # JSON may hold halves of a letter, which no table can.
    return _text(text.encode("utf-8", "backslashreplace").decode())


def _read_separated(
    table: TextTable, lines: Iterable[str], separator: str, wanted: Sequence[str], required: Sequence[str]
) -> None:
    # A column that is not ours may hold a picture as text.
    csv.field_size_limit(2**31 - 1)
    reading = iter(lines)
    header, done = _header(reading)
    told = re.fullmatch(r"sep=(.)\s*", header)
    if told:  # Excel's own line before the header
        separator = told[1]
        header, more = _header(reading)
        done += more
    if not header:
        return
    separator, table.names = _split_header(header, separator)
    chosen, table.notes = choose_columns(table.names, wanted=wanted, required=required, path=table.path)
    for ours in chosen:
        table.values[ours] = []
    options = {"delimiter": separator, "skipinitialspace": any(name.startswith(" ") for name in table.names[1:])}
    blank: list[int] = []
    for number, row in _records(table, reading, done, options):
        if not any(value.strip() for value in row):
            blank.append(number)
            continue
        for empty in blank:
            table.report(empty, "is empty")
        blank = []
        # A separator at the end of a line moves nothing.
        if len(row) < len(table.names) or any(row[len(table.names) :]):
            table.report(number, f"must have {len(table.names)} values, as the header has; it has {len(row)}")
            continue
        table.numbers.append(number)
        for ours, place in chosen.items():
            table.values[ours].append(_text(row[place]))


def _header(lines: Iterator[str]) -> tuple[str, int]:
    """The first line that is not blank, as long as its quotes are open, and the number of lines that this took."""
    header, done = "", 0
    for line in lines:
        done += 1
        header += line
        if not header.strip():
            header = ""
        elif header.count('"') % 2 == 0 or done > 100:
            break
    return header, done


def _split_header(header: str, separator: str) -> tuple[str, list[str]]:
    """The separator and the names: the one that gives a column of ours counts, then the one that gives most columns."""
    usual = {_plain(name) for names in COLUMN_NAMES.values() for name in names}
    found = []
    for candidate in (separator, *SEPARATORS.replace(separator, "")):
        names = next(csv.reader(header.splitlines(keepends=True), delimiter=candidate, skipinitialspace=True), [])
        found.append((sum(_plain(name) in usual for name in names), len(names), candidate))
    best = max(found, key=lambda entry: entry[:2])[2]
    names = next(csv.reader(header.splitlines(keepends=True), delimiter=best), [])
    return best, names


def _records(
    table: TextTable, lines: Iterator[str], done: int, options: dict[str, Any]
) -> Iterator[tuple[int, list[str]]]:
    """The rows after the header, with the line that each begins in; done lines are read already."""
    end = "\0end of the file"
    while True:
        since: list[str] = []  # the lines of the record that is being read

        def fed(lines: Iterator[str] = lines, since: list[str] = since) -> Iterator[str]:
            for line in chain(lines, [end]):
                since.append(line)
                yield line

        for row in csv.reader(fed(), **options):
            if row == [end]:
                return
            if row and end in row[-1]:
                break
            yield done + 1, row
            done += len(since)
            since.clear()
        # A quote that is never closed takes all lines to the end: only its own line is lost.
        table.report(done + 1, 'opens a quote (") that is never closed')
        done += 1
        lines = iter(since[1:-1])


# --- Parquet ----------------------------------------------------------------------------------------------------------


def parquet_schema(path: Path) -> pa.Schema:
    """The schema of a Parquet file.

    Raises
    ------
    SourceError
        It is none, or it cannot be read.
    """
    try:
        return pq.read_schema(path)
    except (OSError, pa.ArrowException) as error:
        raise SourceError(f"{path} must be a whole Parquet file: {error}") from error


def is_text_like(kind: pa.DataType) -> bool:
    """Whether the values of a column can be read as text: text of any kind, numbers, dates."""
    if pa.types.is_dictionary(kind):
        return is_text_like(kind.value_type)
    return not (pa.types.is_nested(kind) or is_bytes(kind))


def is_bytes(kind: pa.DataType) -> bool:
    """Whether a column holds bytes."""
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind))


def _read_parquet(table: TextTable, wanted: Sequence[str], required: Sequence[str]) -> None:
    schema = parquet_schema(table.path)
    table.names = list(schema.names)
    texts = [name for name in schema.names if schema.names.count(name) > 1 or is_text_like(schema.field(name).type)]
    chosen, table.notes = choose_columns(texts, wanted=wanted, required=required, path=table.path)
    columns = {ours: texts[place] for ours, place in chosen.items()}
    for ours in columns:
        table.values[ours] = []
    try:
        with pq.ParquetFile(table.path) as file:
            table.numbers = list(range(file.metadata.num_rows))
            if columns:
                for batch in file.iter_batches(batch_size=PARQUET_BATCH_ROWS, columns=list(columns.values())):
                    for ours, name in columns.items():
                        table.values[ours] += column_texts(batch.column(name))
    except (OSError, pa.ArrowException, pl.exceptions.PolarsError) as error:
        raise SourceError(f"cannot read {table.path}: {error}") from error


def column_texts(column: pa.Array) -> list[str | None]:
    """The values of a column as text; None for a null or a blank."""
    texts = pl.Series(pl.from_arrow(column)).cast(pl.String, strict=False).to_list()
    return [None if text is None else _text(text) for text in texts]
