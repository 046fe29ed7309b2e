"""Hugging Face's data sets: folders of Parquet shards, and what `save_to_disk` of datasets writes.

The package datasets is not needed. Classes have their names from the metadata of the files.
"""

from __future__ import annotations

import json
import os
import threading
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tac_pipeline.errors import SourceError
from tac_pipeline.sources.formats import IMAGE_SUFFIXES
from tac_pipeline.sources.layouts.labeled import read_text_file, split_of
from tac_pipeline.sources.layouts.rows import RowFile, RowSet, Values, constant
from tac_pipeline.sources.layouts.trees import is_plain_folder
from tac_pipeline.sources.tables.columns import PARQUET_SUFFIX, plain_name, usual_names
from tac_pipeline.sources.tables.images import ImageColumn, TableImages, image_column
from tac_pipeline.sources.tables.parquet import (
    PARQUET_ERRORS,
    class_labels,
    column_texts,
    is_text_like,
    name_classes,
    names_of_features,
    parquet_schema,
)
from tac_pipeline.sources.tables.reading import read_text_table

ARROW_SUFFIX = ".arrow"
# Each open shard keeps a few blocks of rows.
OPEN_SHARDS = 4
# Shards are in the folder, in data/, or in a folder of a configuration or a split.
MAX_DEPTH = 3
# A folder with more is a tree of something else.
MAX_FOLDERS = 100
MAX_JSON_BYTES = 64 << 20


def usual_columns(schema: pa.Schema, named: dict[str, list[str]], *, has_split: bool) -> dict[str, str]:
    """Of each column as a source gives it the column of the table; "" for the split that a file's name tells.

    A label is a column with a usual name, or the one numbered class, or the finest of several (fine_label).
    """
    names = [name for name, kind in zip(schema.names, schema.types, strict=True) if is_text_like(name, kind)]
    usual = [plain_name(name) for name in usual_names("label")]
    found: dict[str, str] = {}
    of_classes = [name for name in names if name in named]
    labels = sorted(
        (name for name in names if plain_name(name) in usual), key=lambda name: usual.index(plain_name(name))
    )
    fine = [name for name in of_classes if name.lower().startswith("fine")]
    for candidates in (labels, fine, of_classes if len(of_classes) == 1 else []):
        if candidates:
            found["label"] = candidates[0]
            break
    coarse = [name for name in of_classes if name.lower().startswith("coarse")]
    found |= {"coarse": coarse[0]} if coarse else {}
    found |= {"split": ""} if has_split else {}
    return found | {name: name for name in names if name not in found}


# --- Parquet shards ---------------------------------------------------------------------------------------------------


def find_shards(folder: Path) -> Callable[[], RowSet] | None:
    """What opens a folder of Parquet shards with images; None for other folders."""
    paths = _shard_paths(folder)
    return partial(_open_shards, folder) if any(_holds_images(path) for path in paths) else None


def _shard_paths(folder: Path) -> list[Path]:
    """The Parquet files below a folder; none where an image is met, so that large folders are not listed whole."""
    found, places = [], [(folder, 1)]
    for place, depth in places:
        try:
            with os.scandir(place) as entries:
                for entry in entries:
                    small = entry.name.lower()
                    if small.endswith(IMAGE_SUFFIXES):
                        return []
                    if small.endswith(PARQUET_SUFFIX) and not small.startswith("."):
                        found.append(Path(entry.path))
                    elif depth < MAX_DEPTH and is_plain_folder(entry.name) and entry.is_dir(follow_symlinks=False):
                        places.append((Path(entry.path), depth + 1))
        except OSError:
            continue
        if len(places) > MAX_FOLDERS:
            return []
    return sorted(found)


def _holds_images(path: Path) -> bool:
    try:
        return image_column(parquet_schema(path), where=path) is not None
    except SourceError:
        return False


def _open_shards(folder: Path) -> RowSet:
    rows, opened = RowSet("Parquet shards", ()), _OpenShards()
    columns: dict[str, str] = {}
    for path in _shard_paths(folder):
        name = str(path.relative_to(folder))
        try:
            schema = parquet_schema(path)
            if image_column(schema, where=path) is None:
                rows.problems.append((name, f"has no column of images; its columns are {', '.join(schema.names)}"))
                continue
            with pq.ParquetFile(path) as file:
                count = file.metadata.num_rows
            empty = frozenset(row for row, holds in enumerate(TableImages(path).rows_with_images()) if not holds)
        except (SourceError, *PARQUET_ERRORS) as error:
            rows.problems.append((name, str(error)))
            continue
        split = split_of(path.stem) or split_of(path.parent.name if path.parent != folder else "")
        own = usual_columns(schema, class_labels(schema), has_split=split is not None)
        columns = columns or own
        values = partial(_shard_values, path, own, split, count)
        rows.files.append(RowFile(path, name, count, partial(opened.read, path), values, empty=empty))
        rows.notes += _numbers_without_names(path, own)
    rows.columns = tuple(columns)
    return rows


def _shard_values(path: Path, columns: dict[str, str], split: str | None, count: int, column: str) -> Values:
    name = columns.get(column)
    if name is None:  # another shard has it
        return constant(None, count)
    return read_text_table(path, wanted=(name,)).values[name] if name else constant(split, count)


def _numbers_without_names(path: Path, columns: dict[str, str]) -> Iterator[str]:
    for column in ("label", "coarse"):
        if column in columns:
            notes = read_text_table(path, wanted=(columns[column],)).notes
            yield from (f"{path.name}: {note}" for note in notes if "rows have a number" in note)


class _OpenShards:
    """The shards that were read last."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._shards: dict[Path, TableImages] = {}

    def read(self, path: Path, row: int) -> bytes:
        """The image of a row."""
        with self._lock:
            shard = self._shards.pop(path, None) or TableImages(path)
            self._shards[path] = shard
            if len(self._shards) > OPEN_SHARDS:
                del self._shards[next(iter(self._shards))]
        return shard.read(row)


# --- datasets on disk -------------------------------------------------------------------------------------------------


def find_saved_dataset(folder: Path) -> Callable[[], RowSet] | None:
    """What opens a folder that save_to_disk wrote: one split, or several in folders; None for other folders."""
    is_saved = (folder / "dataset_dict.json").is_file() or (folder / "state.json").is_file()
    return partial(_open_saved, folder) if is_saved else None


def open_arrow_file(path: Path) -> Callable[[], RowSet]:
    """What opens one Arrow file."""

    def opened() -> RowSet:
        rows = RowSet("an Arrow file of datasets", ())
        _add_arrow(rows, path, path.name, split_of(path.stem), {})
        return rows

    return opened


def _open_saved(folder: Path) -> RowSet:
    rows = RowSet("datasets on disk", ())
    for split in _splits(folder):
        place = folder / split if split else folder
        try:
            state = _read_json(place / "state.json")
            info = place / "dataset_info.json"
            features = _read_json(info).get("features") if info.is_file() else None
            names = [str(part["filename"]) for part in state["_data_files"]]
        except (SourceError, LookupError, TypeError) as error:
            told = str(error) if isinstance(error, SourceError) else f"must name its _data_files: {error}"
            rows.problems.append((f"{split}/state.json".lstrip("/"), told))
            continue
        own = split_of(split or str(state.get("_split") or ""))
        for name in names:
            below = f"{split}/{name}".lstrip("/")
            if not _is_plain(name):
                rows.problems.append((below, f"state.json must name files in its own folder; got {name!r}"))
            elif not (place / name).is_file():
                rows.problems.append((below, "is not there, and state.json names it. Copy the whole folder."))
            else:
                _add_arrow(rows, place / name, below, own, names_of_features(features))
    return rows


def _splits(folder: Path) -> list[str]:
    """The folders of the splits; [""] for one split."""
    path = folder / "dataset_dict.json"
    if not path.is_file():
        return [""]
    splits = _read_json(path).get("splits")
    if not isinstance(splits, list) or not all(isinstance(split, str) and _is_plain(split) for split in splits):
        raise SourceError(f"{path} must name folders beside it as splits; got {splits!r}"[:300])
    return [split for split in splits if isinstance(split, str)]


def _is_plain(name: str) -> bool:
    """Whether a name is that of something in the same folder."""
    return bool(name) and name not in (".", "..") and "/" not in name and "\\" not in name


def _read_json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(read_text_file(path, limit=MAX_JSON_BYTES))
    except (ValueError, RecursionError) as error:
        if isinstance(error, SourceError):
            raise
        raise SourceError(f"{path} must be JSON: {error}") from error
    if not isinstance(found, dict):
        raise SourceError(f"{path} must be a JSON object; it is {type(found).__name__}")
    return found


def _add_arrow(rows: RowSet, path: Path, name: str, split: str | None, named: dict[str, list[str]]) -> None:
    """One file of a data set, with as many of its rows as can be read."""
    try:
        file = _ArrowFile(path)
    except (SourceError, *PARQUET_ERRORS) as error:
        rows.problems.append((name, f"must be an Arrow stream with a column of images: {error}"))
        return
    if file.wrong:
        rows.problems.append((name, f"is cut after row {file.count:,}: {file.wrong}. Copy it again."))
    named = named or class_labels(file.schema)
    columns = usual_columns(file.schema, named, has_split=split is not None)
    rows.columns = rows.columns or tuple(columns)

    def values(column: str) -> Values:
        own = columns.get(column)
        if own is None:
            return constant(None, file.count)
        if not own:
            return constant(split, file.count)
        texts = file.texts(own)
        return name_classes(texts, named[own])[0] if own in named else texts

    for column in ("label", "coarse"):
        own = columns.get(column)
        wrong = name_classes(file.texts(own), named[own])[1] if own in named and own is not None else ""
        rows.notes += [f"{name}: {column}: {wrong}"] if wrong else []
    rows.files.append(RowFile(path, name, file.count, file.read, values, empty=file.empty))


class _ArrowFile:
    """An Arrow stream, mapped into memory: only what is asked for is read.

    Raises
    ------
    SourceError, ArrowException
        It is none, or has no column of images.
    """

    def __init__(self, path: Path) -> None:
        self._path, self.wrong = path, ""
        reader = pa.ipc.open_stream(pa.memory_map(str(path)))
        self.schema = reader.schema
        column = image_column(self.schema, where=path)
        if column is None:
            raise SourceError(f"its columns are {', '.join(self.schema.names)}")
        self._column: ImageColumn = column
        self._batches: list[pa.RecordBatch] = []
        try:
            self._batches.extend(iter(reader))
        except PARQUET_ERRORS as error:
            self.wrong = str(error).splitlines()[0]
        self._starts = list(accumulate((batch.num_rows for batch in self._batches), initial=0))

    @property
    def count(self) -> int:
        """How many rows there are."""
        return sum(batch.num_rows for batch in self._batches)

    @property
    def empty(self) -> frozenset[int]:
        """The rows without the bytes of an image."""
        found: set[int] = set()
        for start, batch in zip(self._starts, self._batches, strict=False):
            data = self._bytes_in(batch)
            if data.null_count or batch.column(self._column.name).null_count:
                found |= {start + row for row, holds in enumerate(data.is_valid().to_pylist()) if not holds}
        return frozenset(found)

    def read(self, row: int) -> bytes:
        """The image of a row."""
        number = bisect_right(self._starts, row) - 1
        if number >= len(self._batches):
            raise OSError(f"{self._path} ends before row {row}")
        data: bytes | None = self._bytes_in(self._batches[number])[row - self._starts[number]].as_py()
        if data is None:
            raise OSError(f"row {row} of {self._path} holds no image")
        return data

    def texts(self, name: str) -> Sequence[str | None]:
        """The values of a column as text."""
        return [text for batch in self._batches for text in column_texts(batch.column(name))]

    def _bytes_in(self, batch: pa.RecordBatch) -> pa.Array:
        column = batch.column(self._column.name)
        # Flattened, a field is null where its struct is.
        return column.flatten()[column.type.get_field_index("bytes")] if pa.types.is_struct(column.type) else column
