"""Small pictures of images, made when somebody looks at them and kept within a bound, by the hash of the image."""

from __future__ import annotations

import threading
from pathlib import Path

from tac_pipeline.files import replacing
from tac_pipeline.report.pictures import Wanted, draw_picture
from tac_pipeline.sources import ByteReader

# About 150,000 pictures.
MOST_BYTES = 1_000_000_000
# So much is left when the oldest were taken out.
KEPT_SHARE = 0.8
# The folder is looked through after so many new ones.
LOOK_EVERY = 2_000


class Thumbnails:
    """The pictures of one source.

    Parameters
    ----------
    folder : Path
        Created when first written to; two processes may share it.
    source : ByteReader
        What listed the images.
    max_pixels, max_bytes : int
        Larger images have no picture.
    most_bytes : int
        What the folder may hold, but for the last LOOK_EVERY pictures.
    """

    def __init__(
        self, folder: Path, source: ByteReader, *, max_pixels: int, max_bytes: int, most_bytes: int = MOST_BYTES
    ) -> None:
        self._folder, self._source = folder, source
        self._max_pixels, self._max_bytes, self._most_bytes = max_pixels, max_bytes, most_bytes
        self._new, self._lock = 0, threading.Lock()

    def picture(self, image: Wanted) -> bytes | None:
        """The picture as WebP; None where the image is gone, has changed, or cannot be read."""
        path = self._folder / image.content_hash[:2] / f"{image.content_hash}.webp"
        try:
            return path.read_bytes()
        except OSError:
            picture = draw_picture(image, self._source, self._max_pixels, self._max_bytes)
        if picture is not None:
            self._keep(path, picture)
        return picture

    def _keep(self, path: Path, picture: bytes) -> None:
        try:
            with replacing(path) as aside:
                aside.write_bytes(picture)
        except OSError:
            return  # a full disk, or a folder that may only be read: it is made again next time
        with self._lock:
            self._new += 1
            if self._new % LOOK_EVERY == 1:
                self._take_out()

    def _take_out(self) -> None:
        found = sorted(
            (stat.st_mtime, stat.st_size, path) for path in self._folder.glob("*/*.webp") for stat in [path.stat()]
        )
        size = sum(entry[1] for entry in found)
        if size <= self._most_bytes:
            return
        for _, bytes_, path in found:
            path.unlink(missing_ok=True)
            size -= bytes_
            if size <= KEPT_SHARE * self._most_bytes:
                return
