"""Webdataset's shards: labels in members beside the images, by the same key.

A key is a member's name before the first dot. The label is in a member .cls (a number or a text) or .json.
"""

from __future__ import annotations

import json
import os
import posixpath
import tarfile
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path

from tac_pipeline.errors import SourceError
from tac_pipeline.sources.formats import IMAGE_SUFFIXES
from tac_pipeline.sources.layouts.labeled import FolderLayout, Value, read_lines, split_of
from tac_pipeline.sources.layouts.trees import folders_in
from tac_pipeline.sources.listing import as_path, as_text
from tac_pipeline.sources.rules import is_archive

CLASS_MEMBERS = ("cls", "cls.txt", "label.txt", "json")
# Keys of a .json member, the first that is there counts.
JSON_KEYS = ("label", "class", "category", "class_name", "label_name", "cls")
# Of numbered classes their names, one a line, as CLIP's benchmark keeps them beside the shards.
NAMES_FILE = "classnames.txt"
MAX_MEMBER_BYTES = 1 << 20
LOOKED_AT = 32
KEPT_SHARDS = 4
# A folder with more is a tree of something else.
MAX_FOLDERS = 20


def find_webdataset(place: Path) -> FolderLayout | None:
    """The layout of a tar, or of a folder of tars, with members of classes; None for others."""
    first = next(_shards(place), None)
    if first is None or not any(kind in CLASS_MEMBERS for _, kind in islice(_kinds(first), LOOKED_AT)):
        return None
    folder = place.parent if place.is_file() else place
    labels = _Labels(folder)
    has_split = any(split_of(str(path.relative_to(folder))) for path in _shards(place))
    return FolderLayout(
        "webdataset",
        ("label", "split") if has_split else ("label",),
        lambda column: _split if column == "split" else labels.open(),
        is_counted=False,
    )


def _shards(place: Path) -> Iterator[Path]:
    """The tar itself, or the tars of a folder and of the folders in it."""
    if place.is_file():
        yield from (place,) if is_archive(place.name) else ()
        return
    inner = folders_in(place)
    for folder in (place, *((place / name for name in inner) if len(inner) <= MAX_FOLDERS else ())):
        yield from _tars_in(folder)


def _tars_in(folder: Path) -> list[Path]:
    """The tars in a folder; none where images are beside them, so that a large folder is not listed whole."""
    found = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.lower().endswith(IMAGE_SUFFIXES):
                    return []
                if is_archive(entry.name) and entry.is_file():
                    found.append(Path(entry.path))
    except OSError:
        return []
    return sorted(found)


def _kinds(path: Path) -> Iterator[tuple[str, str]]:
    try:
        with tarfile.open(path, "r:", errors="surrogateescape") as archive:
            for member in archive:
                yield _key(member.name)
    except (OSError, tarfile.TarError):
        return  # the listing says what is wrong


def _key(name: str) -> tuple[str, str]:
    """A member's name before the first dot, and what follows the dot."""
    folder, _, last = posixpath.normpath(as_text(name)).rpartition("/")
    key, _, kind = last.partition(".")
    return (f"{folder}/{key}" if folder else key), kind.lower()


def _in_shard(image_id: str) -> tuple[str, str]:
    """The shard of an image, and its member there; ("", "") for other images."""
    parts = image_id.split("/")
    at = next((place for place, part in enumerate(parts[:-1]) if is_archive(part)), None)
    return ("", "") if at is None else ("/".join(parts[: at + 1]), "/".join(parts[at + 1 :]))


def _split(image_id: str) -> str | None:
    shard, _ = _in_shard(image_id)
    return next((split for part in reversed(shard.split("/")) if (split := split_of(part))), None)


class _Labels:
    """The labels of shards, each read when one of its images is asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def open(self) -> Value:
        """What gives the label of an image."""
        path = self._folder / NAMES_FILE
        names = read_lines(path) if path.is_file() else []
        known = {str(number): name.strip() for number, name in enumerate(names)}
        shards: dict[str, Mapping[str, str]] = {}

        def value(image_id: str) -> str | None:
            shard, member = _in_shard(image_id)
            if not shard:
                return None
            if shard not in shards:
                shards[shard] = read_tar_labels(self._folder / as_path(shard))
                if len(shards) > KEPT_SHARDS:  # images come shard by shard
                    del shards[next(iter(shards))]
            label = shards[shard].get(_key(member)[0])
            return known.get(label, label) if label is not None else None

        return value


def read_tar_labels(path: Path) -> dict[str, str]:
    """The label of each key of a shard.

    Raises
    ------
    SourceError
        A member of classes cannot be read.
    """
    labels: dict[str, str] = {}
    try:
        with tarfile.open(path, "r:", errors="surrogateescape") as archive:
            for member in archive:
                archive.members = []  # type: ignore[attr-defined]  # it would keep every header
                key, kind = _key(member.name)
                if not member.isreg() or kind not in CLASS_MEMBERS:
                    continue
                if member.size > MAX_MEMBER_BYTES:
                    limit = f"at most {MAX_MEMBER_BYTES >> 20} MB"
                    raise SourceError(f"{path}: {member.name} must have {limit}; it has {member.size:,} bytes")
                file = archive.extractfile(member)
                label = None if file is None else _label(file.read(), kind, f"{path}: {member.name}")
                if label is not None:
                    labels.setdefault(key, label)
    except (OSError, tarfile.TarError):
        pass  # its whole members are read, and the listing says what is wrong
    return labels


def _label(data: bytes, kind: str, where: str) -> str | None:
    text = data.decode("utf-8", "backslashreplace").strip()
    if kind != "json":
        return text or None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise SourceError(f"{where} must be JSON: {error}") from error
    values = found if isinstance(found, dict) else {"label": found}
    chosen = next((values[key] for key in JSON_KEYS if values.get(key) is not None), None)
    return str(chosen) if isinstance(chosen, str | int) else None
