"""Which layout a folder has. The files decide, never the folder's name."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from tac_pipeline.sources.formats import IMAGE_SUFFIXES
from tac_pipeline.sources.layouts.cifar import find_cifar
from tac_pipeline.sources.layouts.imagenet import find_imagenet
from tac_pipeline.sources.layouts.labeled import FolderLayout
from tac_pipeline.sources.layouts.lists import find_by_lists
from tac_pipeline.sources.layouts.rows import RowSet, RowSource
from tac_pipeline.sources.layouts.stl10 import find_stl10
from tac_pipeline.sources.layouts.trees import find_tree, folders_in, holds_images
from tac_pipeline.sources.rules import is_archive

# An archive often unpacks into a folder of its own, and that into another.
MAX_DEPTH = 3
# As many files are looked at for an image, before a folder is taken for rows of files.
LOOKED_AT = 100_000

_OF_ROWS: tuple[Callable[[Path], Callable[[], RowSet] | None], ...] = (find_cifar, find_stl10)
_OF_IMAGES: tuple[Callable[[Path], FolderLayout | None], ...] = (find_by_lists, find_imagenet)


def find_row_source(location: Path) -> RowSource | None:
    """The source of a folder in which images are rows of files; None for other folders.

    A folder with image files stays a folder of image files.
    """
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
        return None
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
        inner = folders_in(folder)
        if len(inner) != 1 or holds_images(folder):
            return
        folder, base = folder / inner[0], f"{base}{inner[0]}/"


def _has_images(folder: Path) -> bool:
    looked = 0
    for _, _, names in os.walk(folder):
        if any(name.lower().endswith(IMAGE_SUFFIXES) or is_archive(name) for name in names):
            return True
        looked += len(names)
        if looked > LOOKED_AT:
            return True
    return False
