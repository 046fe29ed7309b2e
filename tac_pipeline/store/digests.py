"""How a file or a record shows that its bytes are those that were written.

A file that is only added, such as a shard, has its digest as its name; one from before has it in a small file beside
it, once it was read whole. The files of a folder that appears whole have theirs in the folder's record. A record (a
JSON file) carries its own, the seal.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tac_pipeline.digest import file_sha256
from tac_pipeline.files import write_atomically

SEAL = "seal"
# Hex digits of a sha256 in a file's name: 128 bits. Names from before have 16 digits, which mean nothing.
NAME_DIGITS = 32
_NAMED = re.compile(rf"[0-9a-f]{{{NAME_DIGITS}}}\.\w+")

_SHA256 = re.compile(r"[0-9a-f]{64}")

Files = Mapping[str, Mapping[str, Any]]


def digest_name(path: Path, *, suffix: str) -> str:
    """The name of a file that is named by its digest."""
    return f"{file_sha256(path)[:NAME_DIGITS]}{suffix}"


def is_named_by_digest(path: Path) -> bool:
    """Whether the name of a file says its digest."""
    return _NAMED.fullmatch(path.name) is not None


def describe_files(paths: Iterable[Path]) -> dict[str, dict[str, Any]]:
    """Size in bytes and sha256 of files, by name: what `damage_of` compares."""
    return {path.name: {"size": path.stat().st_size, "sha256": file_sha256(path)} for path in sorted(paths)}


def size_problem(path: Path, size: int) -> str | None:
    """What is wrong with a file that must have a size, in words; None when it has it."""
    try:
        found = path.stat().st_size
    except (FileNotFoundError, NotADirectoryError):
        return f"{path} is gone"
    return None if found == size else f"{path} must have {size:,} bytes; it has {found:,}"


def bytes_problem(path: Path, sha256: str) -> str | None:
    """What is wrong with a file that must have a digest, or one that begins with this one; None when it has it."""
    found = file_sha256(path)
    if found.startswith(sha256):
        return None
    return f"{path} has other bytes than were written: its sha256 must be {sha256[:12]}..., and is {found[:12]}..."


def known_digest(path: Path) -> str | None:
    """The digest, or the first digits of it, that a file must have; None of a file from before, not yet taken in."""
    if is_named_by_digest(path):
        return path.stem
    try:
        text = beside(path).read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return None
    return text if _SHA256.fullmatch(text) else None


def beside(path: Path) -> Path:
    """The small file that has the digest of a file with a name from before."""
    return path.with_suffix(".sha256")


def name_problem(path: Path) -> str | None:
    """What is wrong with a file whose digest is known by itself, in words; None when nothing is, or none is known."""
    known = known_digest(path)
    return None if known is None else bytes_problem(path, known)


def file_problem(path: Path, wanted: Mapping[str, Any]) -> str | None:
    """What is wrong with a file that must have a size and a sha256, as `describe_files` says them."""
    return size_problem(path, wanted["size"]) or bytes_problem(path, wanted.get("sha256", ""))


def damage_of(folder: Path, files: Files) -> str | None:
    """The first of a folder's files that is gone or has another size, in words; None when there is none."""
    return next((found for name, file in files.items() if (found := size_problem(folder / name, file["size"]))), None)


def seal(record: Mapping[str, Any]) -> dict[str, Any]:
    """A record with its own digest in it."""
    # As it is read again: tuples are lists, keys are texts.
    written: dict[str, Any] = json.loads(json.dumps(dict(record)))
    return {**written, SEAL: _seal_of(written)}


def write_sealed(path: Path, record: Mapping[str, Any], *, indent: int | None = 1) -> dict[str, Any]:
    """Write a record as JSON, whole or not at all, with its seal; returns it as it was written."""
    sealed = seal(record)
    write_atomically(path, json.dumps(sealed, indent=indent, ensure_ascii=False))
    return sealed


def read_sealed(path: Path) -> dict[str, Any]:
    """A record from a JSON file; one from before seals is taken as it is.

    Raises
    ------
    OSError
        The file cannot be read.
    ValueError
        It is not a JSON object, or not what was written.
    """
    return parse_sealed(path.read_bytes())


def parse_sealed(text: bytes) -> dict[str, Any]:
    """Like read_sealed, of the bytes of the file."""
    record = json.loads(text.decode("utf-8"))
    if not isinstance(record, dict):
        raise ValueError(f"it must be a JSON object, and is a {type(record).__name__}")
    if record.get(SEAL, (expected := _seal_of(record))) != expected:
        raise ValueError("its text is not what was written")
    return record


def _seal_of(record: Mapping[str, Any]) -> str:
    rest = {name: value for name, value in record.items() if name != SEAL}
    text = json.dumps(rest, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:NAME_DIGITS]
