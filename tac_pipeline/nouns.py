"""Reading the candidate nouns: from WordNet, from a text file, or from a table that may contain vectors.

What belongs here: the three sources, their checks, and dropping offensive nouns from all of them. What must stay out:
WordNet itself (tac_pipeline/wordnet) and the encoding of nouns.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from tac_pipeline.arrays import FloatMatrix, require_unit_rows
from tac_pipeline.errors import InputError, first_few
from tac_pipeline.wordnet import is_offensive, load_nouns

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

WORDNET = "wordnet"

LONGEST_NOUN = 300  # characters; CLIP's text tower reads 77 tokens
LARGEST_TEXT_FILE = 100_000_000  # bytes
LARGEST_TABLE = 8_000_000_000  # bytes, uncompressed: two million vectors of width 1024 in float32

# Controls, line and paragraph separators, and the marks that reverse the direction of text.
CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_SHOWN = 3  # examples in a message


@dataclass(frozen=True)
class CandidateNouns:
    """The nouns from which the vocabulary is chosen.

    Attributes
    ----------
    table : polars.DataFrame
        noun (string, unique): as prompts show it; for a noun in WordNet, about the sense that it has as a candidate:
        synset (string), such as dog.n.01, lexname (string), n_senses (uint32) and tag_count (uint16), else null.
    embeddings : float32 (n_nouns, dim), unit rows, in the table's order; None when the source has none
    encoder : str or None
        The encoder of the embeddings, when the table names it (Parquet metadata tac.encoder).
    excluded : tuple of str
        The nouns of the source that were dropped as offensive.
    """

    table: pl.DataFrame
    embeddings: FloatMatrix | None
    encoder: str | None
    excluded: tuple[str, ...]

    def __len__(self) -> int:
        return self.table.height


@dataclass(frozen=True)
class _Source:
    """The contents of a file; messages call its nouns' positions by `places`."""

    nouns: list[str]
    places: Sequence[int]
    place_name: str
    embeddings: FloatMatrix | None = None
    encoder: str | None = None


def load_candidate_nouns(source: str | Path, *, exclude_offensive: bool) -> CandidateNouns:
    """Read the candidate nouns of a source and check them.

    Parameters
    ----------
    source : str or Path
        "wordnet" (every noun of WordNet 3.0 once, sorted); or a .parquet or .csv file with a column `noun` and
        optionally `embedding` (in .csv a JSON list of numbers); or a text file in UTF-8, one noun per line, where empty
        lines and lines that begin with # are skipped. A file's order is kept.
    exclude_offensive : bool
        Drop the nouns that must not name a group of photographs (tac_pipeline/wordnet/offensive.txt).

    Raises
    ------
    InputError
        The file is missing, empty, too large or not of the kind that its name says; a noun is empty, too long, holds a
        control character or is there twice; an embedding is missing, not finite, zero or of another width.
    """
    if source == WORDNET:
        table, embeddings, encoder = load_nouns().drop("key", "usage_domains"), None, None
    else:
        path = Path(source)
        found = _read_file(path)
        _check_nouns(found, path)
        table, embeddings, encoder = _described(found.nouns), found.embeddings, found.encoder
    if not exclude_offensive:
        return CandidateNouns(table, embeddings, encoder, ())
    import polars as pl

    kept = pl.Series([not is_offensive(noun) for noun in table["noun"]], dtype=pl.Boolean)
    if not kept.any():
        raise InputError(f"{source} must leave a noun to choose; all of its {table.height} are offensive. Add others.")
    excluded = tuple(table["noun"].filter(~kept))
    return CandidateNouns(
        table.filter(kept), None if embeddings is None else embeddings[kept.to_numpy()], encoder, excluded
    )


def _read_file(path: Path) -> _Source:
    if not path.is_file():
        raise InputError(
            f"nouns.source must be {WORDNET}, a text file, or a .parquet or .csv table; there is no file {path}"
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
    if not found.nouns:
        raise InputError(f"{path} must hold at least one noun; it holds none")
    return found


def _read_text(path: Path) -> _Source:
    _require_size(path, path.stat().st_size, LARGEST_TEXT_FILE)
    lines = path.read_text(encoding="utf-8-sig").split("\n")  # reading has turned \r\n and \r into \n
    numbered = [(number, line.strip()) for number, line in enumerate(lines, start=1)]
    kept = [(number, line) for number, line in numbered if line and not line.startswith("#")]
    return _Source([line for _, line in kept], [number for number, _ in kept], "line")


def _read_csv(path: Path) -> _Source:
    _require_size(path, path.stat().st_size, LARGEST_TABLE)
    nouns, places, vectors = [], [], []
    with path.open(encoding="utf-8-sig", newline="") as file:
        for line, record in _csv_records(file, path):
            nouns.append(record["noun"].strip())
            places.append(line)
            if "embedding" in record:
                vectors.append(_parsed_vector(record["embedding"], path, line))
    if not vectors:
        return _Source(nouns, places, "line")
    widths = np.array([len(vector) for vector in vectors])
    _require_one_width(widths, path, places, "line")
    return _Source(nouns, places, "line", require_unit_rows(np.stack(vectors), name=f"embedding of {path}"))


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


def _read_parquet(path: Path) -> _Source:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from tac_pipeline.arrow import ENCODER_KEY, matrix_of_lists

    try:
        with pq.ParquetFile(path, memory_map=True) as file:
            groups = (file.metadata.row_group(number) for number in range(file.metadata.num_row_groups))
            _require_size(path, sum(group.total_byte_size for group in groups), LARGEST_TABLE)
            names = file.schema_arrow.names
            _require_noun_column(names, path)
            table = file.read(columns=[name for name in ("noun", "embedding") if name in names])
            encoder = (file.metadata.metadata or {}).get(ENCODER_KEY)
        nouns = [noun.strip() for noun in _text_column(table["noun"], path)]
    except pa.ArrowException as error:
        raise InputError(f"{path} must be a Parquet file; {error}") from error
    rows = range(len(nouns))
    if "embedding" not in names or not nouns:
        return _Source(nouns, rows, "row")
    embeddings = require_unit_rows(
        matrix_of_lists(table["embedding"], where=f"{path}: embedding"), name=f"embedding of {path}"
    )
    return _Source(nouns, rows, "row", embeddings, encoder.decode() if encoder else None)


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
    if names.count("noun") != 1 or names.count("embedding") > 1:
        shown = ", ".join(names) or "none"
        raise InputError(
            f"{path} must have one column named noun and at most one named embedding; its columns: {shown}"
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


def _check_nouns(found: _Source, path: Path) -> None:
    """Raise InputError for the first kind of fault that any noun has, with a few examples."""
    placed = list(zip(found.places, found.nouns, strict=True))
    first: dict[str, int] = {}
    for place, noun in placed:
        first.setdefault(noun, place)
    faults = {
        "must not be empty": [(place, "") for place, noun in placed if not noun],
        f"must have at most {LONGEST_NOUN} characters": [
            (place, f" has {len(noun)}") for place, noun in placed if len(noun) > LONGEST_NOUN
        ],
        "must not hold control characters": [
            (place, f" is {noun[:LONGEST_NOUN]!r}") for place, noun in placed if CONTROL.search(noun)
        ],
        "must not repeat": [
            (place, f" repeats {noun!r} of {first[noun]}") for place, noun in placed if first[noun] != place
        ],
    }
    for must, where in faults.items():
        if where:
            shown = first_few([f"{found.place_name} {place}{what}" for place, what in where], _SHOWN, separator="; ")
            raise InputError(f"nouns {must}; in {path}, {shown}. Correct the file.")


def _described(nouns: list[str]) -> pl.DataFrame:
    """The nouns in their order, with what WordNet knows of each."""
    import polars as pl

    # WordNet's keys are in lower case with single spaces.
    key = pl.col("noun").str.replace_all(r"[\s_]+", " ").str.to_lowercase().alias("key")
    given = pl.DataFrame({"noun": nouns}, schema={"noun": pl.String}).with_row_index("row").with_columns(key)
    known = load_nouns().drop("noun", "usage_domains")
    return given.join(known, on="key", how="left").sort("row").drop("row", "key")
