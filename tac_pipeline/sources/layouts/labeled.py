"""Labels and splits of image files that are listed by their folder: what a layout says of an image's id.

Ids, uris and versions stay those of the folder: a layout only adds columns. A file of labels names images; nothing is
ever opened by such a name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from tac_pipeline.errors import SourceError

# The value of an image, by its id below the layout's own folder.
Value = Callable[[str], str | None]
USUAL = ("label", "coarse", "split")
# Files of labels are texts of at most a few MB.
MAX_TEXT_BYTES = 256 << 20

_SPLITS = {
    "train": "train",
    "training": "train",
    "trainval": "train",
    "trn": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
    "tst": "test",
    "unlabeled": "unlabeled",
    "unlabelled": "unlabeled",
    "unsupervised": "unlabeled",
}


@dataclass(frozen=True)
class FolderLayout:
    """What a folder's files say of its images.

    Attributes
    ----------
    name : str
        As messages call it.
    columns : tuple of str
    value_of : callable
        Of a column, what gives an image's value; SourceError when its file cannot be read.
    base : str
        The layout's own folder below the source, with a slash at its end; "" for the source itself.
    named : callable, optional
        The ids that its files name; what is not there is told.
    is_told : bool
        Whether a listing says that the layout was recognized. Many folders look like a tree of classes.
    is_counted : bool
        Whether a listing counts images without a label. In tars that would take as long as listing them.
    """

    name: str
    columns: tuple[str, ...]
    value_of: Callable[[str], Value]
    base: str = ""
    named: Callable[[], Iterable[str]] | None = None
    is_told: bool = True
    is_counted: bool = True

    def values(self, image_ids: Sequence[str], column: str) -> list[str | None]:
        """The values of a column, one an image."""
        value, start = self.value_of(column), len(self.base)
        return [value(image_id[start:]) if image_id.startswith(self.base) else None for image_id in image_ids]

    def notes(self, image_ids: Sequence[str]) -> Iterator[str]:
        """What there is to say of the images that a listing found.

        Raises
        ------
        SourceError
            A file of labels cannot be read.
        """
        if not self.is_told:
            return
        yield f"the folder is read as {self.name}; its columns are {', '.join(self.columns)}"
        for column in (name for name in USUAL if name in self.columns and self.is_counted):
            without = self.values(image_ids, column).count(None)
            if without:
                yield f"{without:,} of {len(image_ids):,} images have no {column}"
        there = {image_id[len(self.base) :] for image_id in image_ids if image_id.startswith(self.base)}
        gone = sorted(set(self.named()) - there) if self.named is not None else []
        if gone:
            yield f"{len(gone):,} images that the files of {self.name} name are not there, such as {gone[0]}"


def split_of(name: str) -> str | None:
    """The split that a folder or a file names, such as train2017, test-00000-of-00002 or imagenet-val-000.tar."""
    words = re.split(r"[^a-z]+", name.lower())
    return next((_SPLITS[word] for word in words if word in _SPLITS), None)


def split_folder(name: str) -> str | None:
    """The split that a folder is, by its whole name without a year."""
    return _SPLITS.get(re.sub(r"_?\d{4}$", "", name.lower()))


def read_lines(path: Path) -> list[str]:
    """The lines of a text that are not blank.

    Raises
    ------
    SourceError
        It cannot be read, is no UTF-8, or is larger than MAX_TEXT_BYTES.
    """
    return [line for line in read_text_file(path).splitlines() if line.strip()]


def read_text_file(path: Path, *, limit: int = MAX_TEXT_BYTES) -> str:
    """A text of at most `limit` bytes; SourceError where it cannot be had."""
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise SourceError(f"cannot read {path}: {error.strerror}") from error
    if len(data) > limit:
        raise SourceError(f"{path} must have at most {limit:,} bytes; it is larger")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SourceError(f"{path} must be a text in UTF-8: {error}. Download it again.") from error


def plain_words(name: str) -> str:
    """A class as words: apple_pie is apple pie."""
    return " ".join(re.split(r"[_\s]+", name.strip("_ ")))


def without_suffix(name: str) -> str:
    """A path without the suffix of its file."""
    path = PurePosixPath(name)
    return str(path.with_suffix("")) if path.suffix else name
