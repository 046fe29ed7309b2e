"""CIFAR-10 and CIFAR-100, as their page hands them out: pickles of Python, and binaries."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tac_pipeline.errors import SourceError, first_few
from tac_pipeline.sources.layouts.labeled import plain_words
from tac_pipeline.sources.layouts.pickles import ArrayPlace, read_pickle
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

SIDE = 32
PIXELS = 3 * SIDE * SIDE
_TEN_BATCHES = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]

# The md5 of the files as they are published, and their rows. A file with other rows is another data set: it has no md5.
PUBLISHED = {
    "data_batch_1": (10_000, "c99cafc152244af753f735de768cd75f"),
    "data_batch_2": (10_000, "d4bba439e000b95fd0a9bffe97cbabec"),
    "data_batch_3": (10_000, "54ebc095f3ab1f0389bbae665268c751"),
    "data_batch_4": (10_000, "634d18415352ddfa80567beed471001a"),
    "data_batch_5": (10_000, "482c414d41f54cd18b22e5b47cb7c3cb"),
    "test_batch": (10_000, "40351d587109b95175f43aff81a1287e"),
    "train": (50_000, "16019d7e3df5f24257cddd939b257f8d"),
    "test": (10_000, "f0ef6b0ae62326f3e7ffdfab6717acfc"),
}


@dataclass(frozen=True)
class _Kind:
    """One of the four forms.

    Attributes
    ----------
    name : str
        As messages call it.
    files : sequence of str
        Those with images.
    meta : dict
        Of each column of classes the file with their names, and in a pickle their key there.
    keys : dict
        Of each column of classes the key of its numbers, in a pickle.
    """

    name: str
    files: Sequence[str]
    meta: dict[str, tuple[str, str]]
    keys: dict[str, str]

    @property
    def is_binary(self) -> bool:
        return not self.keys


KINDS = (
    _Kind("CIFAR-10 (Python)", _TEN_BATCHES, {"label": ("batches.meta", "label_names")}, {"label": "labels"}),
    _Kind(
        "CIFAR-100 (Python)",
        ["train", "test"],
        {"label": ("meta", "fine_label_names"), "coarse": ("meta", "coarse_label_names")},
        {"label": "fine_labels", "coarse": "coarse_labels"},
    ),
    _Kind("CIFAR-10 (binary)", [f"{name}.bin" for name in _TEN_BATCHES], {"label": ("batches.meta.txt", "")}, {}),
    _Kind(
        "CIFAR-100 (binary)",
        ["train.bin", "test.bin"],
        # In a row the number of the superclass comes first.
        {"coarse": ("coarse_label_names.txt", ""), "label": ("fine_label_names.txt", "")},
        {},
    ),
)
# What else a batch holds, which is not needed.
_OTHER_KEYS = {"filenames", "batch_label"}


def find_cifar(folder: Path) -> Callable[[], RowSet] | None:
    """What opens a folder of CIFAR; None for other folders."""
    for kind in KINDS:
        there = [name for name in kind.files if (folder / name).is_file()]
        meta = {name for name, _ in kind.meta.values()}
        # train and test are names of many a file: they count with the file of the names, or as pickles.
        sure = kind.files[-1].startswith("test_batch") or any((folder / name).is_file() for name in meta)
        if there and (sure or (not kind.is_binary and all(_is_pickle(folder / name) for name in there))):
            return partial(_open, folder, kind)
    return None


def _is_pickle(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(1) == b"\x80"
    except OSError:
        return True  # the listing says why it cannot be read


def _open(folder: Path, kind: _Kind) -> RowSet:
    rows = RowSet(kind.name, (*sorted(kind.meta, reverse=True), "split"))
    names = {column: _names(folder, kind, column, rows) for column in kind.meta}
    for name in kind.files:
        path = folder / name
        if not path.is_file():
            rows.problems.append((name, f"is not there: {kind.name} has {', '.join(kind.files)}. Unpack it again."))
            continue
        try:
            batch = _of_binary(path, kind, rows) if kind.is_binary else _of_pickle(path, kind)
            differs = list(wrong_md5(path, batch.count, PUBLISHED))
        except (SourceError, OSError) as error:
            rows.problems.append((name, str(error)))
            continue
        classes = {column: _classes(path, batch, column, names[column], rows) for column in kind.meta}
        classes["split"] = constant("test" if name.startswith("test") else "train", batch.count)
        rows.files.append(RowFile(path, name, batch.count, batch.read, classes.__getitem__, size=picture_size(SIDE)))
        rows.problems += differs
    return rows


@dataclass(frozen=True)
class _Batch:
    """The images of a file, and the numbers of their classes."""

    count: int
    read: Callable[[int], bytes]
    numbers: dict[str, Sequence[int]]


def _of_pickle(path: Path, kind: _Kind) -> _Batch:
    found = read_pickle(path)
    strange = set(found) - {"data", *kind.keys.values(), *_OTHER_KEYS}
    if strange:
        raise SourceError(
            f"{path} must hold data, {', '.join(kind.keys.values())} alone; it also holds "
            f"{first_few(sorted(strange), 3)}. Download the data set again from its own page."
        )
    data = found.get("data")
    if not isinstance(data, ArrayPlace) or len(data.shape) != 2 or data.shape[1] != PIXELS:
        shape = data.shape if isinstance(data, ArrayPlace) else "none"
        raise SourceError(f"{path} must hold an array data of the shape (images, {PIXELS}); got {shape}")
    numbers: dict[str, Sequence[int]] = {}
    for column, key in kind.keys.items():
        values: Any = found.get(key)
        if not isinstance(values, list) or not all(type(value) is int for value in values):
            raise SourceError(f"{path} must hold {key}, a list of whole numbers; it holds {', '.join(sorted(found))}")
        numbers[column] = values
    return _Batch(data.shape[0], partial(_read_pickled, path, data), numbers)


def _of_binary(path: Path, kind: _Kind, rows: RowSet) -> _Batch:
    """A row is one byte for each column of classes, and the pixels."""
    width = len(kind.meta) + PIXELS
    count, rest = divmod(path.stat().st_size, width)
    if rest:
        rows.problems.append(
            (path.name, f"is cut: it ends in row {count}, after {rest:,} of its {width:,} bytes. Download it again.")
        )
    with path.open("rb") as file:
        table = np.memmap(file, dtype=np.uint8, mode="r", shape=(count, width)) if count else np.zeros((0, width))
        numbers = {column: table[:, place].tolist() for place, column in enumerate(kind.meta)}
    return _Batch(count, partial(_read_binary, path, width), numbers)


def _read_pickled(path: Path, place: ArrayPlace, row: int) -> bytes:
    if not place.by_columns:
        return _picture(np.frombuffer(read_at(path, place.offset + row * PIXELS, PIXELS), dtype=np.uint8))
    table = np.memmap(path, dtype=np.uint8, mode="r", offset=place.offset, shape=place.shape, order="F")
    return _picture(np.array(table[row]))


def _read_binary(path: Path, width: int, row: int) -> bytes:
    return _picture(np.frombuffer(read_at(path, (row + 1) * width - PIXELS, PIXELS), dtype=np.uint8))


def _picture(pixels: npt.NDArray[np.uint8]) -> bytes:
    """The image file of a row: all of red, all of green, all of blue, each row by row."""
    return picture_file(pixels.reshape(3, SIDE, SIDE).transpose(1, 2, 0))


def _names(folder: Path, kind: _Kind, column: str, rows: RowSet) -> list[str] | None:
    """The names of a column's classes; None, with a problem, when they cannot be had."""
    name, key = kind.meta[column]
    path = folder / name
    if not path.is_file():
        rows.problems.append((name, f"is not there: the classes of {column} are numbers without it. Unpack it again."))
        return None
    try:
        if kind.is_binary:
            return read_names(path)
        names = read_pickle(path).get(key)
        if isinstance(names, list) and names and all(isinstance(text, str) for text in names):
            return [plain_words(str(text)) for text in names]
        raise SourceError(f"{path} must hold {key}, a list of names; it does not. Unpack it again.")
    except SourceError as error:
        rows.problems.append((name, str(error)))
        return None


def _classes(path: Path, batch: _Batch, column: str, names: Sequence[str] | None, rows: RowSet) -> Values:
    numbers = batch.numbers[column]
    if len(numbers) != batch.count:
        rows.problems.append(
            (
                path.name,
                f"must have as many values of {column} as images; it has {len(numbers):,} and {batch.count:,}. None is "
                "taken, because nobody knows whose they are. Download it again.",
            )
        )
        return constant(None, batch.count)
    if names is None:
        return [str(number) for number in numbers]
    values = named(numbers, names)
    rows.problems += out_of_range(path.name, numbers, values, column, last=len(names) - 1)
    return values
