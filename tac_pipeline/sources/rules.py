"""Which files below a source are taken for images, which for archives, and by which rule the others are passed over.

Nothing here opens a file but to look at its first bytes, and only where the name does not tell. What must stay out:
walking folders (folders.py) and decoding (decoding.py).
"""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from tac_pipeline.errors import SourceError
from tac_pipeline.sources.formats import EXTRA_FORMATS, IMAGE_SUFFIXES, REMEDY, readable_suffixes, sniff

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

ARCHIVE_SUFFIX = ".tar"
COMPRESSED_SUFFIXES = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst")
# A folder that an export made holds this file: its pictures are copies.
EXPORT_RECORD = "export.json"

# Folders that systems, cameras and programs keep for themselves, by their names in lower case.
OWN_FOLDERS = (
    "@eadir",
    "#recycle",
    "$recycle.bin",
    "recycler",
    "system volume information",
    "lost+found",
    "__macosx",
    "node_modules",
    "__pycache__",
)
# The same by a pattern of the path below the source.
OWN_PATHS = ("*.photoslibrary/resources", "*.photoslibrary/database", "*.photoslibrary/private")


def _suffixes(names: str) -> frozenset[str]:
    return frozenset(f".{name}" for name in names.split())


# Suffixes of files that are not looked into. Of unfinished downloads the first bytes lie.
UNFINISHED = _suffixes("part partial crdownload download tmp temp filepart opdownload aria2")
RAW = _suffixes("dng cr2 cr3 crw nef nrw arw srf sr2 orf rw2 raf pef raw")
OTHERS = _suffixes(
    "3gp 7z aac aae ai atom avi bak bat bin bz2 c cfg conf cpp css csv dat db dll doc docx eml eps epub exe flac flv "
    "gz h htm html ico ics ini iso java jks js json jsonl key lnk lock log lrcat m4a m4v md mkv mov mp3 mp4 mpeg mpg "
    "mts npy npz numbers ods odt ogg opus pages parquet pdf php pkl plist ppt pptx ps psb psd pt pth py pyc rar rtf sh "
    "sql sqlite srt svg thm toml torrent ts txt url vob wav webm wma wmv xcf xls xlsx xml xmp xz yaml yml zip zst"
)


@dataclass(frozen=True)
class Rules:
    """The rules of a source.

    Parameters
    ----------
    exclude : sequence of str
        Patterns as in a .gitignore, of paths below the source.
    own : sequence of str
        Absolute paths of folders that are this project's own: its data, its exports.
    follow_links : bool
        Whether linked folders are looked through.
    """

    exclude: Sequence[str] = ()
    own: Sequence[str] = ()
    follow_links: bool = False

    def passes_folder(self, name: str, below: str) -> str | None:
        """The rule that passes a folder over, or None; below is its path below the source."""
        small = name.lower()
        if name.startswith("."):
            return "in a hidden folder"
        if small in OWN_FOLDERS or any(fnmatch.fnmatchcase(below.lower(), pattern) for pattern in OWN_PATHS):
            return f"in {name} (a system's own folder)"
        if self.exclude and self._excluded(below + "/"):
            return "images.exclude"
        return None

    def passes_file(self, below: str, head: Callable[[], bytes]) -> str | None:
        """The rule that passes a file over, or None for an image or an archive.

        Parameters
        ----------
        below : str
            Its path below the source.
        head : callable
            Gives its first bytes; asked only where the name does not tell. It may raise OSError; a file without suffix
            is then an image, and reading it says what is wrong.
        """
        name = below.rpartition("/")[2]
        if name.startswith("."):
            return "hidden"
        if self.exclude and self._excluded(below):
            return "images.exclude"
        small = name.lower()
        if small.endswith(COMPRESSED_SUFFIXES):
            return "a compressed tar, whose members cannot be read in place: unpack it, or pack it without compression"
        suffix = suffix_of(small)
        if suffix == ARCHIVE_SUFFIX or suffix in self._readable:
            return None
        if suffix in IMAGE_SUFFIXES:
            return f"{suffix} ({REMEDY})" if suffix in _EXTRA_SUFFIXES else f"{suffix} (this Pillow cannot read it)"
        if suffix in UNFINISHED:
            return f"{suffix} (not finished)"
        if suffix in RAW:
            return f"{suffix} (a camera's raw file)"
        if suffix in OTHERS:
            return suffix
        try:
            content = sniff(head())
        except OSError:
            return suffix or None
        if content.is_image:
            return None
        return suffix or f"no suffix ({content.name})"

    @cached_property
    def _readable(self) -> frozenset[str]:
        return frozenset(readable_suffixes())

    @cached_property
    def _patterns(self) -> GitIgnoreSpec:
        from pathspec import GitIgnoreSpec

        try:
            return GitIgnoreSpec.from_lines(self.exclude)
        except ValueError as error:
            raise SourceError(f"images.exclude must be patterns as in a .gitignore: {error}") from error

    def _excluded(self, below: str) -> bool:
        return self._patterns.match_file(below)


_EXTRA_SUFFIXES = frozenset(suffix for suffixes in EXTRA_FORMATS.values() for suffix in suffixes)
# Longer ones are the end of a name: "from 12.10.2019 at the lake".
LONGEST_SUFFIX = 12


def suffix_of(name: str) -> str:
    """The suffix of a file's name in lower case; "" for none, and for what is no suffix but a part of a name."""
    stem, dot, suffix = name.lower().rpartition(".")
    return f".{suffix}" if dot and stem and suffix and len(suffix) <= LONGEST_SUFFIX and " " not in suffix else ""


def is_archive(path: str) -> bool:
    """Whether a path names a tar."""
    return path.lower().endswith(ARCHIVE_SUFFIX)
