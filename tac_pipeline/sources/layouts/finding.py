"""Which layout a folder has. The files decide, never the folder's name."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from tac_pipeline.sources.formats import IMAGE_SUFFIXES
from tac_pipeline.sources.layouts.annotations import find_annotations
from tac_pipeline.sources.layouts.cifar import find_cifar
from tac_pipeline.sources.layouts.huggingface import ARROW_SUFFIX, find_saved_dataset, find_shards, open_arrow_file
from tac_pipeline.sources.layouts.imagenet import find_imagenet
from tac_pipeline.sources.layouts.labeled import FolderLayout
from tac_pipeline.sources.layouts.lists import find_by_lists
from tac_pipeline.sources.layouts.matlab import find_matlab
from tac_pipeline.sources.layouts.rows import RowSet, RowSource
from tac_pipeline.sources.layouts.stl10 import find_stl10
from tac_pipeline.sources.layouts.trees import find_tree, is_plain_folder
from tac_pipeline.sources.layouts.webdataset import find_webdataset
from tac_pipeline.sources.rules import is_archive

# An archive often unpacks into a folder of its own, and that into another.
MAX_DEPTH = 3
# As many files are looked at for an image, before a folder is taken for rows of files.
LOOKED_AT = 100_000

_OF_ROWS: tuple[Callable[[Path], Callable[[], RowSet] | None], ...] = (
    find_cifar,
    find_stl10,
    find_saved_dataset,
    find_shards,
)
_OF_IMAGES: tuple[Callable[[Path], FolderLayout | None], ...] = (
    find_by_lists,
    find_annotations,
    find_matlab,
    find_webdataset,
    find_imagenet,
)


def find_row_source(location: Path) -> RowSource | None:
    """The source of a folder in which images are rows of files; None for other folders.

    A folder with image files stays a folder of image files.
    """
    if location.suffix.lower() == ARROW_SUFFIX and location.is_file():
        return RowSource(location, open_arrow_file(location))
    if not location.is_dir():
        return None
    for folder, _ in _inner_folders(location):
        for find in _OF_ROWS:
            open_set = find(folder)
            if open_set is not None:
                return None if _has_images(location) else RowSource(folder, open_set)
    return None


def find_folder_layout(folder: Path) -> FolderLayout | None:
    """What the files of a folder of images say of them; None when they say nothing."""
    if not folder.is_dir():
        return find_webdataset(folder)
    places = list(_inner_folders(folder))
    for finders in (_OF_IMAGES, (find_tree,)):
        for place, base in places:
            for find in finders:
                layout = find(place)
                if layout is not None:
                    return replace(layout, base=base)
    return None


def _inner_folders(folder: Path) -> Iterator[tuple[Path, str]]:
    """The folder, and the one folder in it, as long as there is nothing else to see; each with its path below."""
    base = ""
    for _ in range(MAX_DEPTH):
        yield folder, base
        inner = _only_folder(folder)
        if inner is None:
            return
        folder, base = folder / inner, f"{base}{inner}/"


def _only_folder(folder: Path) -> str | None:
    """The name of the one folder in a folder without images; None for others. A large folder is not listed whole."""
    inner: list[str] = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir() and is_plain_folder(entry.name):
                    inner.append(entry.name)
                if len(inner) > 1 or entry.name.lower().endswith(IMAGE_SUFFIXES) or is_archive(entry.name):
                    return None
    except OSError:
        return None
    return inner[0] if inner else None


def _has_images(folder: Path) -> bool:
    looked = 0
    for _, _, names in os.walk(folder):
        if any(name.lower().endswith(IMAGE_SUFFIXES) or is_archive(name) for name in names):
            return True
        looked += len(names)
        if looked > LOOKED_AT:
            return True
    return False
