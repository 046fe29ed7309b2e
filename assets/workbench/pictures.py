"""The pictures of the images on a desk: small ones, originals, why there is none, and where they are on this machine.

What must stay out: what a request may name (app.py, looking.py).
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from assets.images import open_project_source
from assets.workbench.desk import Desk
from tac_pipeline.errors import InputError
from tac_pipeline.export.image_files import UNLISTED, why_unread
from tac_pipeline.report.pictures import PICTURE_SIZE, Wanted
from tac_pipeline.report.thumbnails import Thumbnails
from tac_pipeline.sources import ByteReader, NamedPictures
from tac_pipeline.sources.archives import place_in_archive
from tac_pipeline.sources.decoding import UnreadableImage, decode_image
from tac_pipeline.sources.manifests import local_path
from tac_pipeline.sources.tables.images import place_in_table

# What a browser shows by itself and cannot be made to run anything; other images are shown as their small picture.
SHOWN_KINDS = {
    b"\xff\xd8\xff": "image/jpeg",
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"GIF87a": "image/gif",
    b"GIF89a": "image/gif",
    b"RIFF": "image/webp",
}
# Of a store of vectors so many rows are looked at for a picture on this machine.
LOOKED_AT = 50
CHANGED = "has changed since it was grouped; `tac run` looks at it again"

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Small:
    """A small picture, and whether the hash of its row is that of its bytes."""

    data: bytes
    is_hashed: bool


class Pictures:
    """The pictures of one desk.

    Attributes
    ----------
    reader : ByteReader, optional
        Reads the image files. Of a store of vectors it reads those files on this machine that the rows name; None
        where there are none. Nothing else is ever fetched.
    """

    def __init__(self, desk: Desk) -> None:
        images = desk.project.settings.images
        self._desk, self._own = desk, open_project_source(desk.project).reader
        self._is_hashed, self._limit, self._max_pixels = self._own is not None, images.max_bytes, images.max_pixels

    # Not at once: a workbench may be opened before there is a result.
    @cached_property
    def reader(self) -> ByteReader | None:
        """See Pictures."""
        return self._own if self._own is not None else _named_pictures(self._desk)

    @cached_property
    def _thumbnails(self) -> Thumbnails | None:
        if self.reader is None:
            return None
        folder = self._desk.thumbnails_folder
        return Thumbnails(folder, self.reader, max_pixels=self._max_pixels, max_bytes=self._limit)

    def small(self, row: Row) -> Small | None:
        """The small picture of an image as WebP; None where it is gone, has changed, or cannot be read."""
        if self._thumbnails is None or row["uri"] is None:
            return None
        wanted = Wanted(row["uri"], row["content_hash"], row["width"], row["height"])
        if not self._is_hashed:
            # The hash of such a row is that of its vector.
            data = self._read(row)
            if data is None:
                return None
            wanted = Wanted(row["uri"], hashlib.sha256(data).hexdigest(), 0, 0)
        picture = self._thumbnails.picture(wanted)
        return None if picture is None else Small(picture, self._is_hashed)

    def original(self, row: Row) -> tuple[str, bytes] | None:
        """The kind and bytes of an image file that a browser shows; None for another kind.

        Raises
        ------
        OSError, ValueError
            It cannot be read, or is not the image that was grouped.
        """
        if self.reader is None or row["uri"] is None:
            raise FileNotFoundError("this store has vectors and no image files" if self.reader is None else UNLISTED)
        data = self.reader.read(row["uri"], limit=self._limit)
        if not self._is_same(row, data):
            # Whatever has its place now, behind a link for example, was never part of the store.
            raise ValueError(CHANGED)
        kind = next((kind for start, kind in SHOWN_KINDS.items() if data.startswith(start)), None)
        if kind is None or (kind == "image/webp" and data[8:12] != b"WEBP"):
            return None
        return kind, data

    def problem(self, row: Row) -> str | None:
        """Why there is no picture of an image, in words; None where there is one."""
        if self.reader is None:
            return "the store has vectors and no image files"
        if row["uri"] is None:
            return UNLISTED
        try:
            data = self.reader.read(row["uri"], limit=self._limit)
        except (OSError, ValueError) as error:
            return why_unread(error)
        if not self._is_same(row, data):
            return CHANGED
        try:
            decode_image(data, size=PICTURE_SIZE, max_pixels=self._max_pixels)
        except UnreadableImage as error:
            return str(error)
        return None

    def _is_same(self, row: Row, data: bytes) -> bool:
        """Whether bytes are those that were grouped; of a store of vectors nobody knows."""
        return not self._is_hashed or hashlib.sha256(data).hexdigest() == row["content_hash"]

    def _read(self, row: Row) -> bytes | None:
        try:
            return None if self.reader is None else self.reader.read(row["uri"], limit=self._limit)
        except (OSError, ValueError):
            return None


def _named_pictures(desk: Desk) -> NamedPictures | None:
    uris = desk.view().images["uri"].drop_nulls().head(LOOKED_AT)
    return NamedPictures() if any(local_file(uri) is not None for uri in uris) else None


def local_file(uri: str | None) -> Path | None:
    """The file on this machine that holds an image: its own, a tar or a table; None where there is none."""
    if uri is None:
        return None
    holder = place_in_archive(uri) or place_in_table(uri)
    try:
        path = Path(local_path(uri if holder is None else holder[0]))
        return path if path.is_absolute() and path.is_file() else None
    except OSError:
        return None


def opener() -> Sequence[str] | None:
    """The program that shows a file in its folder, with its first arguments; None without a desktop before people.

    On macOS it selects the file. Elsewhere it opens the folder: it never opens the file, which may be anything.
    """
    if os.environ.get("SSH_CONNECTION"):
        return None
    if sys.platform == "darwin":
        return ("/usr/bin/open", "-R")
    if sys.platform == "win32" or not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return None
    program = shutil.which("xdg-open")
    return None if program is None else (program,)


def show_in_folder(row: Row) -> None:
    """Open the file manager of this machine where an image is.

    Raises
    ------
    InputError
        The file is not on this machine, or there is no desktop.
    """
    program, file = opener(), local_file(row["uri"])
    if program is None or file is None:
        raise InputError("a folder can be shown only where the workbench runs, with a desktop and the file on its disk")
    # The path is the manifest's, whole and absolute: no shell reads it, and it cannot be taken for an option.
    target = file if program[-1] == "-R" else file.parent
    subprocess.Popen(
        [*program, str(target)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
