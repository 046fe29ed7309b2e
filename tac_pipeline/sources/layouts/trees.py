"""Trees of class folders, as torchvision's ImageFolder reads them: class/image, or train/class/image."""

from __future__ import annotations

import os
from pathlib import Path

from tac_pipeline.sources.formats import IMAGE_SUFFIXES
from tac_pipeline.sources.layouts.labeled import FolderLayout, Value, split_folder
from tac_pipeline.sources.rules import OWN_FOLDERS, is_archive

# So many class folders are looked into: a class may be empty.
LOOKED_AT = 5


def folders_in(folder: Path) -> list[str]:
    """The names of the folders in a folder that nobody keeps for themselves, sorted; none where images are beside them.

    So a folder of a million images is not listed whole. None also when it cannot be listed.
    """
    names = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.lower().endswith(IMAGE_SUFFIXES):
                    return []
                if is_plain_folder(entry.name) and entry.is_dir():
                    names.append(entry.name)
    except OSError:
        return []
    return sorted(names)


def is_plain_folder(name: str) -> bool:
    """Whether a folder's name is not that of one which people or systems hide."""
    return not name.startswith((".", "_")) and name.lower() not in OWN_FOLDERS


def holds_images(folder: Path) -> bool:
    """Whether an image or a tar is in the folder itself, by its name."""
    try:
        with os.scandir(folder) as entries:
            return any(entry.name.lower().endswith(IMAGE_SUFFIXES) or is_archive(entry.name) for entry in entries)
    except OSError:
        return False


def find_tree(folder: Path) -> FolderLayout | None:
    """The layout of a tree of class folders; None for other folders."""
    names = [] if holds_images(folder) else folders_in(folder)
    if not names:
        return None
    if all(split_folder(name) for name in names):
        classes = [folder / split / name for split in names for name in folders_in(folder / split)[:LOOKED_AT]]
        if any(holds_images(path) for path in classes):
            return FolderLayout("a tree of splits and classes", ("label", "split"), _of_splits, is_told=False)
        return None
    if any(holds_images(folder / name) for name in names[:LOOKED_AT]):
        return FolderLayout("a tree of classes", ("label",), lambda _: _class, is_told=False)
    return None


def _class(image_id: str) -> str | None:
    parts = image_id.split("/")
    return parts[0] if len(parts) == 2 and not is_archive(parts[0]) else None


def _of_splits(column: str) -> Value:
    return _split if column == "split" else lambda image_id: _class(image_id.partition("/")[2])


def _split(image_id: str) -> str | None:
    return split_folder(image_id.partition("/")[0])
