"""Data sets with their splits or classes in lists of names.

DTD, UCF-101, Food-101, Oxford-IIIT Pet, FGVC Aircraft, SUN397.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path, PurePosixPath

from tac_pipeline.errors import SourceError
from tac_pipeline.sources.layouts.labeled import FolderLayout, Value, plain_words, read_lines, without_suffix
from tac_pipeline.sources.layouts.trees import folders_in

# Of an image its key in the lists; None where it can have none.
Key = Callable[[str], str | None]


def find_by_lists(folder: Path) -> FolderLayout | None:
    """The layout of one of these data sets; None for other folders."""
    found = (find(folder) for find in (_dtd, _ucf101, _food101, _pets, _aircraft, _sun397))
    return next((layout for layout in found if layout is not None), None)


def from_lists(column: Mapping[str, Iterable[Path]], key: Key) -> Value:
    """The split of an image, by the lists of each split.

    Raises
    ------
    SourceError
        A list cannot be read, or an image is in two splits.
    """
    splits: dict[str, str] = {}
    for split, paths in column.items():
        for path in paths:
            for name in listed_names(path):
                if splits.setdefault(name, split) != split:
                    raise SourceError(
                        f"{path} must name images of {split} alone; {name} is in {splits[name]} too. Download it again."
                    )

    def value(image_id: str) -> str | None:
        found = key(image_id)
        return None if found is None else splits.get(found)

    return value


def listed_names(path: Path) -> Iterator[str]:
    """The names in a list, one a line before the first blank, without suffixes."""
    return (without_suffix(line.split()[0].lstrip("/")) for line in read_lines(path))


def _numbered(folder: Path, lists: Mapping[str, str], numbers: Iterable[int]) -> dict[str, dict[str, list[Path]]]:
    """Of each column split, split2, ... the lists of each split; lists has patterns with the number in them."""
    columns = {}
    for number in numbers:
        found = {split: [folder / pattern.format(number)] for split, pattern in lists.items()}
        there = {split: paths for split, paths in found.items() if all(path.is_file() for path in paths)}
        if there:
            columns["split" if number == 1 else f"split{number}"] = there
    return columns


def _layout(name: str, label: Value, columns: Mapping[str, Mapping[str, Iterable[Path]]], key: Key) -> FolderLayout:
    def value_of(column: str) -> Value:
        return label if column == "label" else from_lists(columns[column], key)

    return FolderLayout(name, ("label", *columns), value_of)


# --- DTD --------------------------------------------------------------------------------------------------------------


def _dtd(folder: Path) -> FolderLayout | None:
    lists = {split: f"{split}{{}}.txt" for split in ("train", "val", "test")}
    columns = _numbered(folder / "labels", lists, range(1, 11))
    if not columns or not (folder / "images").is_dir():
        return None
    layout = _layout("DTD (Describable Textures)", _second, columns, _below("images"))
    return _naming(layout, folder / "images", columns, suffix=True)


def _second(image_id: str) -> str | None:
    """The class folder below images/."""
    parts = image_id.split("/")
    return parts[1] if len(parts) == 3 else None


def _below(name: str) -> Key:
    """What a list calls an image below a folder: class/image without a suffix."""

    def key(image_id: str) -> str | None:
        folder, _, rest = image_id.partition("/")
        return without_suffix(rest) if folder == name else None

    return key


def _naming(
    layout: FolderLayout, images: Path, columns: Mapping[str, Mapping[str, Iterable[Path]]], *, suffix: bool
) -> FolderLayout:
    """The layout, with the ids that its first lists name."""
    first = next(iter(columns.values()))

    def named() -> Iterator[str]:
        for paths in first.values():
            for path in paths:
                for line in read_lines(path):
                    yield f"{images.name}/{line.split()[0]}{'' if suffix else '.jpg'}"

    return FolderLayout(layout.name, layout.columns, layout.value_of, named=named)


# --- UCF-101 ----------------------------------------------------------------------------------------------------------

_VIDEO = re.compile(r"v_(?P<name>\w+?)_g\d+_c\d+")
UCF_LISTS = "ucfTrainTestlist"


def _ucf101(folder: Path) -> FolderLayout | None:
    """Frames named as their videos, in class folders; the lists are in the folder, or beside it."""
    inner = [folder, *(folder / name for name in folders_in(folder)[:5])]
    if not any(_holds_frames(path / name) for path in inner for name in folders_in(path)[:5]):
        return None
    lists = next((place / UCF_LISTS for place in (folder, folder.parent) if (place / UCF_LISTS).is_dir()), None)
    patterns = {"train": "trainlist{:02d}.txt", "test": "testlist{:02d}.txt"}
    columns = {} if lists is None else _numbered(lists, patterns, range(1, 4))
    # By the video alone: the lists write the folder of one class in another way than the videos.
    splits = {
        column: partial(_ucf_split, {split: list(paths) for split, paths in parts.items()})
        for column, parts in columns.items()
    }
    return FolderLayout(
        "UCF-101 (one frame a video)",
        ("label", *columns),
        lambda column: _ucf_label if column == "label" else splits[column](),
    )


def _holds_frames(folder: Path) -> bool:
    try:
        return any(_VIDEO.match(path.name) for path, _ in zip(folder.iterdir(), range(20), strict=False))
    except OSError:
        return False


def _ucf_label(image_id: str) -> str | None:
    """The class as words: ApplyEyeMakeup is Apply Eye Makeup."""
    found = _VIDEO.match(PurePosixPath(image_id).name)
    return re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", found["name"]) if found else None


def _ucf_split(lists: Mapping[str, Iterable[Path]]) -> Value:
    splits: dict[str, str] = {}
    for split, paths in lists.items():
        for path in paths:
            for name in listed_names(path):
                splits[PurePosixPath(name).name.lower()] = split

    def value(image_id: str) -> str | None:
        found = _VIDEO.match(PurePosixPath(image_id).name)
        return splits.get(found[0].lower()) if found else None

    return value


# --- Food-101, pets, aircraft, SUN397 ---------------------------------------------------------------------------------


def _food101(folder: Path) -> FolderLayout | None:
    meta = folder / "meta"
    columns = {"split": {split: [meta / f"{split}.txt"] for split in ("train", "test")}}
    if not all(path.is_file() for paths in columns["split"].values() for path in paths):
        return None
    layout = _layout("Food-101", lambda image_id: _words(_second(image_id)), columns, _below("images"))
    return _naming(layout, folder / "images", columns, suffix=False)


def _words(name: str | None) -> str | None:
    return None if name is None else plain_words(name)


def _pets(folder: Path) -> FolderLayout | None:
    notes = folder / "annotations"
    columns = {"split": {"train": [notes / "trainval.txt"], "test": [notes / "test.txt"]}}
    if not (notes / "list.txt").is_file() or not (notes / "trainval.txt").is_file():
        return None

    def label(image_id: str) -> str | None:
        name = _below("images")(image_id)
        return plain_words(name.rpartition("_")[0]) if name else None

    layout = _layout("Oxford-IIIT Pet", label, columns, _below("images"))
    return _naming(layout, folder / "images", columns, suffix=False)


def _aircraft(folder: Path) -> FolderLayout | None:
    if not (folder / "images_variant_train.txt").is_file():
        return None
    splits = ("train", "val", "test")
    kinds = {"label": "variant", "family": "family", "manufacturer": "manufacturer"}

    def value_of(column: str) -> Value:
        if column == "split":
            lists = {split: [folder / f"images_variant_{split}.txt"] for split in splits}
            return from_lists(lists, _below("images"))
        classes = {}
        for split in splits:
            for line in read_lines(folder / f"images_{kinds[column]}_{split}.txt"):
                name, _, value = line.partition(" ")
                classes[name] = value.strip()
        return lambda image_id: classes.get(_below("images")(image_id) or "")

    return FolderLayout("FGVC Aircraft", (*kinds, "split"), value_of)


def _sun397(folder: Path) -> FolderLayout | None:
    names = folder / "ClassName.txt"
    if not names.is_file():
        return None
    places = [place for place in (folder, folder / "Partitions") if (place / "Training_01.txt").is_file()]
    lists = {"train": "Training_{:02d}.txt", "test": "Testing_{:02d}.txt"}
    columns = _numbered(places[0], lists, range(1, 11)) if places else {}

    def label(image_id: str) -> str | None:
        parts = image_id.split("/")
        # The first folder is a letter.
        return plain_words(" ".join(parts[1:-1])) if len(parts) > 2 else None

    return _layout("SUN397", label, columns, without_suffix)
