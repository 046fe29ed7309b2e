"""Digests: the names of recipes, contents and versions."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

DIGEST_LENGTH = 20  # hex digits: 80 bits, no collision among any number of artifacts that a disk holds


def digest(value: object) -> str:
    """A short name for a JSON-like value: equal values give equal names, on every machine."""
    text = json.dumps(value, sort_keys=True, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:DIGEST_LENGTH]


def file_sha256(path: Path) -> str:
    """The sha256 of a file's bytes, 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
