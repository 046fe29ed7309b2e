"""Tables that are text: separated values, JSON lines, or a path a line; packed or not, in any usual encoding."""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from tac_pipeline.errors import SourceError
from tac_pipeline.sources.formats import sniff
from tac_pipeline.sources.tables.columns import (
    COLUMN_NAMES,
    JSON_SUFFIXES,
    LINES_SUFFIX,
    SEPARATED_SUFFIXES,
    TextTable,
    choose_columns,
    plain_name,
    table_kind,
    text_or_none,
    usual_names,
)

SEPARATORS = ",;\t|"
GZIP_MARK = b"\x1f\x8b"


def read_text(table: TextTable, *, wanted: Sequence[str], required: Sequence[str]) -> None:
    """Read the wanted columns of a text into a table; see reading.read_text_table."""
    kind = table_kind(table.path)
    lines = _Lines(table.path)
    try:
        if kind == LINES_SUFFIX:
            _read_lines(table, lines)
        elif kind in JSON_SUFFIXES:
            _read_json(table, lines, wanted, required)
        else:
            _read_separated(table, lines, SEPARATED_SUFFIXES[kind or ".csv"], wanted, required)
    except (OSError, EOFError, zlib.error, csv.Error) as error:
        raise SourceError(f"cannot read {table.path}: {getattr(error, 'strerror', None) or error}") from error
    if lines.not_utf8:
        table.notes.append(f"{lines.not_utf8:,} lines are not UTF-8; they were read as Windows-1252 (Latin-1)")


# --- the lines of a text ----------------------------------------------------------------------------------------------


def _windows(byte: int) -> str:
    try:
        return bytes([byte]).decode("cp1252")
    except UnicodeDecodeError:
        return chr(byte)


# What Python makes of a byte that is no UTF-8: the letter that Windows means by it.
_WINDOWS = {0xDC00 + byte: _windows(byte) for byte in range(0x80, 0x100)}


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
            # Only the bytes that are no UTF-8: a name in the same line may be.
            return line.decode("utf-8", "surrogateescape").translate(_WINDOWS)


# --- the kinds of text ------------------------------------------------------------------------------------------------


def _read_lines(table: TextTable, lines: Iterable[str]) -> None:
    table.names = ["uri"]
    uris = table.values["uri"] = []
    blank: list[int] = []
    for number, line in enumerate(lines, start=1):
        value = text_or_none(line.rstrip("\r\n"))
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
    known = {plain_name(usual) for ours in wanted for usual in usual_names(ours)}
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
            if plain_name(name) in known:
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
    return text_or_none(text.encode("utf-8", "backslashreplace").decode())


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
            table.values[ours].append(text_or_none(row[place]))


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
    usual = {plain_name(name) for names in COLUMN_NAMES.values() for name in names}
    found = []
    for candidate in (separator, *SEPARATORS.replace(separator, "")):
        names = next(csv.reader(header.splitlines(keepends=True), delimiter=candidate, skipinitialspace=True), [])
        found.append((sum(plain_name(name) in usual for name in names), len(names), candidate))
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
