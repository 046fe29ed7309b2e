"""Labels in JSON beside the images: COCO's, Roboflow's, and FiftyOne's.

An image of COCO has many objects and no class of its own. Its label is the category that covers most of it.
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, TextIO

from tac_pipeline.errors import SourceError
from tac_pipeline.sources.layouts.labeled import FolderLayout, Value, read_text_file, split_of, without_suffix
from tac_pipeline.sources.layouts.trees import folders_in

# The largest of COCO has 470 MB; it is read object by object.
MAX_FILE_BYTES = 8 << 30
MAX_OBJECT_BYTES = 64 << 20
CHUNK = 1 << 20
ROBOFLOW = "_annotations.coco.json"
COCO_NAME = "COCO (the label of an image is the category that covers most of it)"
LABELS = "labels.json"


@dataclass(frozen=True)
class _Part:
    """A file of annotations, the folder of its images below the source, with a slash at its end, and their split."""

    path: Path
    below: str
    split: str | None


def find_annotations(folder: Path) -> FolderLayout | None:
    """The layout of a folder with annotations in JSON; None for other folders."""
    labels = folder / LABELS
    if labels.is_file() and (folder / "data").is_dir():
        try:
            with labels.open("rb") as file:
                head = file.read(CHUNK)
        except OSError:
            return None
        if b'"annotations"' not in head and b'"categories"' not in head:
            return FolderLayout("FiftyOne's image classification", ("label",), lambda _: _read_fiftyone(labels))
        return _coco([_Part(labels, "data/", None)])
    parts = [*_coco_parts(folder), *_roboflow_parts(folder)]
    return _coco(parts) if parts else None


def _coco_parts(folder: Path) -> Iterator[_Part]:
    for place in (folder, folder / "annotations"):
        for path in _instances_in(place):
            name = path.stem.removeprefix("instances_")
            wanted = (f"{name}/", f"images/{name}/", "images/", "data/")
            below = next((inner for inner in wanted if (folder / inner).is_dir()), "")
            yield _Part(path, below, split_of(name))


def _instances_in(folder: Path) -> list[Path]:
    try:
        names = os.listdir(folder)  # noqa: PTH208 - a path for each of a million images is slow
    except OSError:
        return []
    return sorted(folder / name for name in names if name.startswith("instances_") and name.endswith(".json"))


def _roboflow_parts(folder: Path) -> Iterator[_Part]:
    for name in ("", *folders_in(folder)):
        path = folder / name / ROBOFLOW
        if path.is_file():
            yield _Part(path, f"{name}/" if name else "", split_of(name))


def _coco(parts: list[_Part]) -> FolderLayout:
    columns = ("label", "split") if any(part.split for part in parts) else ("label",)
    return FolderLayout(COCO_NAME, columns, partial(_coco_value, parts))


def _coco_value(parts: list[_Part], column: str) -> Value:
    found: dict[str, str | None] = {}
    for part in parts:
        for name, label in read_coco(part.path).items():
            found[f"{part.below}{name}"] = label if column == "label" else part.split
    return found.get


def read_coco(path: Path) -> dict[str, str | None]:
    """The label of each image by its file name: the category with the largest area in it, None without objects.

    Of two with the same area, the one with the lower number counts.

    Raises
    ------
    SourceError
        The file is not whole, or not COCO's.
    """
    names: dict[Any, str] = {}
    categories: dict[Any, str] = {}
    areas: defaultdict[Any, dict[Any, float]] = defaultdict(dict)
    read: Mapping[str, Callable[[dict[str, Any]], None]] = {
        "images": lambda row: names.update({row["id"]: _file_name(row["file_name"])}),
        "categories": lambda row: categories.update({row["id"]: str(row["name"])}),
        "annotations": lambda row: _add_area(areas[row["image_id"]], row),
    }
    for key, row in read_arrays(path, tuple(read)):
        try:
            read[key](row)
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            shown = json.dumps(row)[:80]
            raise SourceError(f"{path} must have COCO's {key}; got {shown} ({error}). Export it again.") from error
    if not names or not categories:
        raise SourceError(f"{path} must have COCO's lists images, annotations and categories; one is empty or absent")
    unknown = {category for found in areas.values() for category in found} - set(categories)
    if unknown:
        raise SourceError(
            f"{path} must name every category of its annotations; it does not name {min(map(str, unknown))}"
        )
    largest = {
        image: categories[min(found, key=lambda category: (-found[category], category))]
        for image, found in areas.items()
    }
    return {name: largest.get(image) for image, name in names.items()}


def _file_name(name: str) -> str:
    return str(PurePosixPath(name.replace("\\", "/")))


def _add_area(areas: dict[Any, float], row: dict[str, Any]) -> None:
    box = row.get("bbox") or (0, 0, 0, 0)
    area = row.get("area")
    areas[row["category_id"]] = areas.get(row["category_id"], 0.0) + float(box[2] * box[3] if area is None else area)


def read_arrays(path: Path, keys: tuple[str, ...]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The objects in some lists of the object that a JSON file is, one by one, so that memory does not grow with it.

    Raises
    ------
    SourceError
        The file is cut, is no JSON, or is too large.
    """
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise SourceError(
                f"{path} must have at most {MAX_FILE_BYTES >> 30} GB; it has {path.stat().st_size:,} bytes"
            )
        with path.open(encoding="utf-8-sig") as file:
            for key, row in _Stream(file).arrays():
                if key in keys:
                    if not isinstance(row, dict):
                        raise SourceError(f"{path} must have objects in its list {key}; got {json.dumps(row)[:80]}")
                    yield key, row
    except (_Cut, ValueError, RecursionError) as error:
        if isinstance(error, SourceError):
            raise
        told = "it ends in the middle" if isinstance(error, _Cut) else f"it is cut or damaged ({error})"
        raise SourceError(f"{path} must be whole JSON, an object with lists: {told}. Export it again.") from error
    except OSError as error:
        raise SourceError(f"cannot read {path}: {error.strerror}") from error


class _Cut(Exception):
    """The text ends too soon."""


class _Stream:
    """A JSON text, read a part at a time."""

    def __init__(self, file: TextIO) -> None:
        self._file, self._text, self._at, self._is_read = file, "", 0, False
        self._decoder = json.JSONDecoder()

    def arrays(self) -> Iterator[tuple[str, Any]]:
        """Key and item of every list in the object; other values are passed over."""
        self._expect("{")
        while self._next() != "}":
            key = self._value()
            self._expect(":")
            if self._next() == "[":
                self._at += 1
                while self._next() != "]":
                    yield str(key), self._value()
                    self._comma("]")
                self._at += 1
            else:
                self._value()
            self._comma("}")

    def _comma(self, end: str) -> None:
        if self._next() != end:
            self._expect(",")

    def _expect(self, sign: str) -> None:
        if self._next() != sign:
            raise ValueError(f"{sign} must come where {self._text[self._at : self._at + 20]!r} does")
        self._at += 1

    def _next(self) -> str:
        """The next sign that is not a blank; it is not taken."""
        while True:
            while self._at < len(self._text):
                sign = self._text[self._at]
                if not sign.isspace():
                    return sign
                self._at += 1
            self._more()

    def _value(self) -> Any:
        self._next()
        while True:
            try:
                value, end = self._decoder.raw_decode(self._text, self._at)
            except json.JSONDecodeError:
                if self._is_read:
                    raise
                self._more()
                continue
            # A number may go on behind the end of what was read.
            if end < len(self._text) or self._is_read:
                self._at = end
                return value
            self._more()

    def _more(self) -> None:
        if self._is_read:
            raise _Cut
        rest = self._text[self._at :]
        if len(rest) > MAX_OBJECT_BYTES:
            raise ValueError(f"an object must have at most {MAX_OBJECT_BYTES >> 20} MB")
        # Twice as much each time, or one long object would be read over and over.
        part = self._file.read(max(CHUNK, len(rest)))
        self._is_read = not part
        self._text, self._at = rest + part, 0


def _read_fiftyone(path: Path) -> Value:
    """Labels by the name of a file in data/, with or without its suffix."""
    try:
        found = json.loads(read_text_file(path))
        classes, labels = found.get("classes") or [], found["labels"]
        named = {f"data/{name}": _fiftyone_label(value, classes, path) for name, value in labels.items()}
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        if isinstance(error, SourceError):
            raise
        raise SourceError(
            f"{path} must be FiftyOne's object of classes and labels: {error}. Export it again."
        ) from error
    return lambda image_id: named.get(image_id, named.get(without_suffix(image_id)))


def _fiftyone_label(value: Any, classes: list[str], path: Path) -> str | None:
    if isinstance(value, dict):
        value = value.get("label")
    if isinstance(value, int) and classes:
        if not 0 <= value < len(classes):
            raise SourceError(f"{path} must have labels from 0 to {len(classes) - 1}; got {value}. Export it again.")
        return str(classes[value])
    return str(value) if isinstance(value, str | int) else None
