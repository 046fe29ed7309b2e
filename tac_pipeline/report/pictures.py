"""Small square pictures of images, as WebP; pictures of an earlier page are used again."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from PIL import Image

from tac_pipeline.progress import Progress
from tac_pipeline.sources import ByteReader
from tac_pipeline.sources.decoding import UnreadableImage, decode_image

# Side in pixels: a card shows it at half this size on a screen with two pixels per point.
PICTURE_SIZE = 192
QUALITY = 78


@dataclass(frozen=True)
class Wanted:
    """An image that needs a picture: where to read it, the hash of the assigned bytes, its width and height."""

    uri: str
    content_hash: str
    width: int
    height: int


def draw_pictures(
    wanted: Iterable[Wanted],
    source: ByteReader,
    *,
    known: Mapping[str, bytes],
    max_pixels: int,
    max_bytes: int,
    progress: Progress | None = None,
) -> dict[str, bytes]:
    """The pictures of images, by content hash.

    Parameters
    ----------
    wanted : iterable of Wanted
    source : ByteReader
        What listed them.
    known : mapping of content hash to WebP
        Pictures of an earlier page.
    max_pixels, max_bytes : int
        Larger images are skipped.

    Returns
    -------
    dict of content hash to WebP
        Without images that are gone, have changed since they were assigned, or cannot be read.
    """
    images = list({image.content_hash: image for image in wanted}.values())
    found = {image.content_hash: known[image.content_hash] for image in images if image.content_hash in known}
    missing = [image for image in images if image.content_hash not in found]
    with ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="pictures") as pool:
        drawn = pool.map(lambda image: draw_picture(image, source, max_pixels, max_bytes), missing)
        for done, (image, picture) in enumerate(zip(missing, drawn, strict=True), start=1):
            if picture is not None:
                found[image.content_hash] = picture
            if progress is not None:
                progress(done, len(missing))
    return found


def draw_picture(image: Wanted, source: ByteReader, max_pixels: int, max_bytes: int) -> bytes | None:
    """The picture of an image as WebP; None where it is gone, has changed, or cannot be read (see draw_pictures)."""
    try:
        data = source.read(image.uri, limit=max_bytes)
    except (OSError, ValueError):
        return None
    # With other bytes than the assigned ones, the page would show a picture that was never assigned.
    if hashlib.sha256(data).hexdigest() != image.content_hash:
        return None
    # A small image is not enlarged here: the page does that.
    size = max(1, min(PICTURE_SIZE, image.width or PICTURE_SIZE, image.height or PICTURE_SIZE))
    try:
        pixels = decode_image(data, size=size, max_pixels=max_pixels).pixels
    except UnreadableImage:
        return None
    encoded = io.BytesIO()
    Image.fromarray(pixels.transpose(1, 2, 0)).save(encoded, "WEBP", quality=QUALITY, method=4)
    return encoded.getvalue()
