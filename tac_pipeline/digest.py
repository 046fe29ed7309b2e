"""Digests: the names of recipes, contents and versions."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

# What JSON writes otherwise than it is, beside the quote.
_ESCAPED = bytes([*range(32), ord("\\")])
_CHUNK_ROWS = 65_536

DIGEST_LENGTH = 20  # hex digits: 80 bits, no collision among any number of artifacts that a disk holds


def digest(value: object) -> str:
    """A short name for a JSON-like value: equal values give equal names, on every machine."""
    return hashlib.sha256(_json(value)).hexdigest()[:DIGEST_LENGTH]


def digest_of_columns(values: Sequence[object]) -> str:
    """What `digest` gives for a list in which every Series is a list, without these lists in memory.

    Parameters
    ----------
    values : sequence of JSON-like values and polars Series
    """
    import polars as pl

    hashed = hashlib.sha256(b"[")
    for place, value in enumerate(values):
        hashed.update(b"," if place else b"")
        for text in _series_json(value) if isinstance(value, pl.Series) else [_json(value)]:
            hashed.update(text)
    hashed.update(b"]")
    return hashed.hexdigest()[:DIGEST_LENGTH]


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, allow_nan=False, ensure_ascii=False, separators=(",", ":")).encode()


def _series_json(column: pl.Series) -> Iterator[bytes]:
    yield b"["
    for start in range(0, len(column), _CHUNK_ROWS):
        yield b"," if start else b""
        chunk = column.slice(start, _CHUNK_ROWS)
        yield _plain_texts(chunk) or _json(chunk.to_list())[1:-1]
    yield b"]"


def _plain_texts(chunk: pl.Series) -> bytes | None:
    """Texts as JSON has them, without the brackets; None when one of them is null or is written otherwise."""
    import polars as pl

    if chunk.dtype != pl.String or chunk.null_count():
        return None
    text: bytes = chunk.str.join('","').item().encode()
    if text.count(b'"') != 2 * (len(chunk) - 1) or len(text.translate(None, _ESCAPED)) != len(text):
        return None
    return b'"' + text + b'"'


def file_sha256(path: Path) -> str:
    """The sha256 of a file's bytes, 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
