"""STL-10 as its page hands it out: binaries of pixels, by columns, and of labels from 1."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from tac_pipeline.errors import SourceError
from tac_pipeline.sources.layouts.rows import (
    RowFile,
    RowSet,
    Values,
    constant,
    named,
    out_of_range,
    picture_file,
    picture_size,
    read_at,
    read_names,
    wrong_md5,
)

SIDE = 96
PIXELS = 3 * SIDE * SIDE
NAMES = "class_names.txt"
# The unlabeled images are 2.8 GB, which would be read at every listing.
PUBLISHED = {
    "train_X.bin": (5_000, "918c2871b30a85fa023e0c44e0bee87f"),
    "test_X.bin": (8_000, "7f263ba9f9e0b06b93213547f721ac82"),
}
_SPLITS = ("train", "test", "unlabeled")


def find_stl10(folder: Path) -> Callable[[], RowSet] | None:
    """What opens a folder of STL-10; None for other folders."""
    return partial(_open, folder) if any((folder / f"{split}_X.bin").is_file() for split in _SPLITS) else None


def _open(folder: Path) -> RowSet:
    rows = RowSet("STL-10 (binary)", ("label", "split"))
    names = _class_names(folder, rows)
    for split in _SPLITS:
        path = folder / f"{split}_X.bin"
        if not path.is_file():
            if split != "unlabeled":  # many people leave out what is 2.8 GB and has no labels
                rows.problems.append((path.name, "is not there: STL-10 has train and test. Unpack it again."))
            continue
        count, rest = divmod(path.stat().st_size, PIXELS)
        try:
            differs = list(wrong_md5(path, count, PUBLISHED))
        except OSError as error:
            rows.problems.append((path.name, str(error)))
            continue
        if rest:
            reason = f"is cut: it ends in row {count}, after {rest:,} of its {PIXELS:,} bytes. Download it again."
            rows.problems.append((path.name, reason))
        labels = constant(None, count) if split == "unlabeled" else _labels(folder, split, count, names, rows)
        values = {"label": labels, "split": constant(split, count)}
        rows.files.append(
            RowFile(path, path.name, count, partial(_read, path), values.__getitem__, size=picture_size(SIDE))
        )
        rows.problems += differs
    return rows


def _class_names(folder: Path, rows: RowSet) -> list[str] | None:
    path = folder / NAMES
    try:
        if path.is_file():
            return read_names(path)
        rows.problems.append((NAMES, "is not there: the classes are numbers without it. Unpack it again."))
    except SourceError as error:
        rows.problems.append((NAMES, str(error)))
    return None


def _labels(folder: Path, split: str, count: int, names: Sequence[str] | None, rows: RowSet) -> Values:
    path = folder / f"{split}_y.bin"
    try:
        with path.open("rb") as file:
            numbers = list(file.read(count + 1))
        size = path.stat().st_size
    except OSError as error:
        reason = f"cannot be read, so the images of {split} have no labels: {error.strerror}. Unpack it again."
        rows.problems.append((path.name, reason))
        return constant(None, count)
    if size != count:
        rows.problems.append(
            (
                path.name,
                f"must have as many labels as {split}_X.bin has images; they have {size:,} and {count:,}. None is "
                "taken, because nobody knows whose they are. Download both again.",
            )
        )
        return constant(None, count)
    if names is None:
        return [str(number) for number in numbers]
    values = named(numbers, names, first=1)
    rows.problems += out_of_range(path.name, numbers, values, "label", first=1, last=len(names))
    return values


def _read(path: Path, row: int) -> bytes:
    pixels = np.frombuffer(read_at(path, row * PIXELS, PIXELS), dtype=np.uint8)
    # Each of the three colors goes column by column.
    return picture_file(pixels.reshape(3, SIDE, SIDE).transpose(2, 1, 0))
