"""Reading one file of words: text, .csv or .parquet, with what the user says of each word, and its checks.

What must stay out: WordNet, and how the words of several sources become candidates (candidates.py).
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from tac_pipeline.arrays import FloatMatrix, require_unit_rows
from tac_pipeline.errors import InputError, first_few
from tac_pipeline.wordnet.spelling import CONTROL, LONGEST_NOUN

if TYPE_CHECKING:
    import pyarrow as pa

LARGEST_TEXT_FILE = 100_000_000  # bytes
LARGEST_TABLE = 8_000_000_000  # bytes, uncompressed: two million vectors of width 1024 in float32
LARGEST_WEIGHT = 100.0
NEVER = "never"

# Only the last comma counts, so that a word may hold others: "salt, pepper, 2".
_MARKED = re.compile(r"(?P<word>.*),\s*(?P<mark>never|[+-]?[0-9]*\.?[0-9]+)", re.IGNORECASE)
_YES, _NO = ("true", "yes", "1", NEVER), ("false", "no", "0", "")
_COLUMNS = ("noun", "embedding", "weight", NEVER)
_SHOWN = 3  # examples in a message


class Entry(NamedTuple):
    """What a file says of one word; `place` is its line or row, and no weight means 1."""

    place: int
    word: str
    weight: float | None = None
    never: bool = False


@dataclass(frozen=True)
class WordFile:
    """The contents of a file.

    Attributes
    ----------
    path : Path
    entries : list of Entry
        In the file's order; no word is there twice.
    place_name : str
        What messages call a place: line or row.
    embeddings : float32 (n_candidates, dim), unit rows, or None
        Of the entries that are not `never`, in their order.
    encoder : str or None
        The encoder of the embeddings, when the table names it (Parquet metadata tac.encoder).
    notes : list of str
        What was read in another way than its writer may have meant.
    """

    path: Path
    entries: list[Entry]
    place_name: str
    embeddings: FloatMatrix | None = None
    encoder: str | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def nouns(self) -> list[str]:
        """The words that may be candidates."""
        return [entry.word for entry in self.entries if not entry.never]


def read_word_file(path: Path) -> WordFile:
    """Read a .parquet or .csv table, or any other file as text.

    Raises
    ------
    InputError
        The file is missing, empty, too large or not of the kind that its name says; a word is empty, too long, holds a
        control character or is there twice; a weight is not a number over 0 and at most LARGEST_WEIGHT; an embedding
        is missing, not finite, zero or of another width.
    """
    if not path.is_file():
        raise InputError(
            f"nouns.source must be wordnet, a text file, or a .parquet or .csv table; there is no file {path}"
        )
    readers = {".parquet": _read_parquet, ".csv": _read_csv}
    read = readers.get(path.suffix.lower(), _read_text)
    try:
        found = read(path)
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path} must be UTF-8; byte {error.object[error.start]:#04x} does not fit. Save it as UTF-8."
        ) from error
    except OSError as error:
        raise InputError(f"cannot read {path}: {error}") from error
    if not found.entries:
        raise InputError(f"{path} must hold at least one noun; it holds none")
    _check_words(found)
    return found


def _read_text(path: Path) -> WordFile:
    _require_size(path, path.stat().st_size, LARGEST_TEXT_FILE)
    lines = path.read_text(encoding="utf-8-sig").split("\n")  # reading has turned \r\n and \r into \n
    numbered = [(number, line.strip()) for number, line in enumerate(lines, start=1)]
    notes: list[str] = []
    entries = [
        _parsed_line(line, number, path, notes) for number, line in numbered if line and not line.startswith("#")
    ]
    return WordFile(path, entries, "line", notes=notes)


def _parsed_line(line: str, number: int, path: Path, notes: list[str]) -> Entry:
    """A line of a text file: a word, and after its last comma a weight or `never`, or nothing of both."""
    found = _MARKED.fullmatch(line) if "," in line else None
    if found is None:
        return Entry(number, line)
    word, mark = found["word"].strip(), found["mark"].lower()
    if mark == NEVER:
        return Entry(number, word, never=True)
    if float(mark) > LARGEST_WEIGHT:
        notes.append(
            f"{path}, line {number}: {line[:LONGEST_NOUN]!r} is read as one word, because a weight is at most "
            f"{LARGEST_WEIGHT:g}"
        )
        return Entry(number, line)
    return Entry(number, word, _checked_weight(float(mark), f"{path}, line {number}"))


def _checked_weight(weight: float, where: str) -> float:
    if not 0 < weight <= LARGEST_WEIGHT:
        raise InputError(
            f"{where}: a weight must be over 0 and at most {LARGEST_WEIGHT:g}; got {weight:g}. "
            f"To keep a word out, write {NEVER} for the weight."
        )
    return weight


def _read_csv(path: Path) -> WordFile:
    _require_size(path, path.stat().st_size, LARGEST_TABLE)
    entries, vectors = [], []
    with path.open(encoding="utf-8-sig", newline="") as file:
        for line, record in _csv_records(file, path):
            entry = _parsed_record(record, line, path)
            entries.append(entry)
            if "embedding" in record and not entry.never:
                vectors.append(_parsed_vector(record["embedding"], path, line))
    if not vectors:
        return WordFile(path, entries, "line")
    places = [entry.place for entry in entries if not entry.never]
    _require_one_width(np.array([len(vector) for vector in vectors]), path, places, "line")
    return WordFile(path, entries, "line", require_unit_rows(np.stack(vectors), name=f"embedding of {path}"))


def _parsed_record(record: dict[str, str], line: int, path: Path) -> Entry:
    weight, never = record.get("weight", "").strip(), record.get("never", "").strip().lower()
    if never not in (*_YES, *_NO):
        raise InputError(f"{path}, line {line}: never must be true, false or empty; got {never[:40]!r}")
    try:
        number = float(weight) if weight else None
    except ValueError as error:
        raise InputError(f"{path}, line {line}: weight must be a number or empty; got {weight[:40]!r}") from error
    if number is not None:
        _checked_weight(number, f"{path}, line {line}")
    return Entry(line, record["noun"].strip(), number, never in _YES)


def _csv_records(lines: Iterable[str], path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Each row below the header by column name, with the number of its last line."""
    rows = csv.reader(lines, strict=True)
    try:
        header = next(rows, [])
        _require_noun_column(header, path)
        for row in rows:
            if row and len(row) != len(header):
                raise InputError(f"{path}, line {rows.line_num}: a line must have {len(header)} fields; got {len(row)}")
            if row:
                yield rows.line_num, dict(zip(header, row, strict=True))
    except csv.Error as error:
        raise InputError(f"{path}, line {rows.line_num}: not valid CSV: {error}") from error


def _parsed_vector(text: str, path: Path, line: int) -> npt.NDArray[np.float64]:
    try:
        vector = np.asarray(json.loads(text), dtype=np.float64)
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise InputError(f"{path}, line {line}: embedding must be a JSON list of numbers; got {text[:40]!r}") from error
    if vector.ndim != 1:
        raise InputError(f"{path}, line {line}: embedding must be a JSON list of numbers; got {text[:40]!r}")
    return vector


def _read_parquet(path: Path) -> WordFile:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from tac_pipeline.arrow import ENCODER_KEY, matrix_of_lists

    try:
        with pq.ParquetFile(path, memory_map=True) as file:
            groups = (file.metadata.row_group(number) for number in range(file.metadata.num_row_groups))
            _require_size(path, sum(group.total_byte_size for group in groups), LARGEST_TABLE)
            names = file.schema_arrow.names
            _require_noun_column(names, path)
            table = file.read(columns=[name for name in _COLUMNS if name in names])
            encoder = (file.metadata.metadata or {}).get(ENCODER_KEY)
        entries = _entries_of(table, path)
    except pa.ArrowException as error:
        raise InputError(f"{path} must be a Parquet file; {error}") from error
    rows = [row for row, entry in enumerate(entries) if not entry.never]
    if "embedding" not in names or not rows:
        return WordFile(path, entries, "row")
    column = table["embedding"] if len(rows) == len(table) else table["embedding"].take(rows)
    embeddings = require_unit_rows(matrix_of_lists(column, where=f"{path}: embedding"), name=f"embedding of {path}")
    return WordFile(path, entries, "row", embeddings, encoder.decode() if encoder else None)


def _entries_of(table: pa.Table, path: Path) -> list[Entry]:
    """The rows of a Parquet table without their vectors."""
    import pyarrow as pa

    words = [noun.strip() for noun in _text_column(table["noun"], path)]
    weights: list[float | None] = [None] * len(words)
    never: list[bool | None] = [None] * len(words)
    if "weight" in table.column_names:
        kind = table["weight"].type
        if not (pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_null(kind)):
            raise InputError(f"{path}: column weight must be numbers; got {kind}")
        weights = [None if value is None else float(value) for value in table["weight"].to_pylist()]
    if "never" in table.column_names:
        kind = table["never"].type
        if not (pa.types.is_boolean(kind) or pa.types.is_null(kind)):
            raise InputError(f"{path}: column never must be true or false; got {kind}")
        never = table["never"].to_pylist()
    for row, weight in enumerate(weights):
        if weight is not None:
            _checked_weight(weight, f"{path}, row {row}")
    return [Entry(row, *said) for row, said in enumerate(zip(words, weights, map(bool, never), strict=True))]


def _text_column(column: pa.ChunkedArray, path: Path) -> list[str]:
    import pyarrow as pa

    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)):
        raise InputError(f"{path}: column noun must be text; got {column.type}")
    column.validate(full=True)  # bytes that are not UTF-8
    # The checks below treat a missing noun as an empty one.
    return [noun or "" for noun in column.to_pylist()]


def _require_size(path: Path, size: int, largest: int) -> None:
    if size > largest:
        raise InputError(f"{path} must have at most {largest:,} bytes; it has {size:,}. Split it or keep fewer nouns.")


def _require_noun_column(names: Sequence[str], path: Path) -> None:
    if names.count("noun") != 1 or any(names.count(name) > 1 for name in _COLUMNS):
        shown = ", ".join(names) or "none"
        raise InputError(
            f"{path} must have one column named noun and at most one named embedding, weight and never; "
            f"its columns: {shown}"
        )


def _require_one_width(widths: npt.NDArray[np.integer], path: Path, places: Sequence[int], place_name: str) -> None:
    """Check that every embedding is there (-1 means a missing one) and as wide as the first."""
    other = np.flatnonzero((widths != widths[0]) | (widths < 0))
    if len(other):
        row = other[0]
        came = "none" if widths[row] < 0 else f"one of width {widths[row]}"
        must = f"must have an embedding as wide as the first, {widths[0]}" if row else "must have an embedding"
        raise InputError(
            f"{path}: every noun {must}; {place_name} {places[row]} has {came} ({len(other)} of {len(widths)} are so)"
        )


def _check_words(found: WordFile) -> None:
    """Raise InputError for the first kind of fault that any word has, with a few examples."""
    placed = [(entry.place, entry.word) for entry in found.entries]
    first: dict[str, int] = {}
    for place, word in placed:
        first.setdefault(word, place)
    faults = {
        "must not be empty": [(place, "") for place, word in placed if not word],
        f"must have at most {LONGEST_NOUN} characters": [
            (place, f" has {len(word)}") for place, word in placed if len(word) > LONGEST_NOUN
        ],
        "must not hold control characters": [
            (place, f" is {word[:LONGEST_NOUN]!r}") for place, word in placed if CONTROL.search(word)
        ],
        "must not repeat": [
            (place, f" repeats {word!r} of {first[word]}") for place, word in placed if first[word] != place
        ],
    }
    for must, where in faults.items():
        if where:
            shown = first_few([f"{found.place_name} {place}{what}" for place, what in where], _SHOWN, separator="; ")
            raise InputError(f"nouns {must}; in {found.path}, {shown}. Correct the file.")
