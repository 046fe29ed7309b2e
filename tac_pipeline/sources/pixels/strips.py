"""Large images in strips, so that no second copy of all their pixels is made."""

from __future__ import annotations

from collections.abc import Iterator

from PIL import Image

# Large images are converted in strips of about so many pixels, because each mode on the way takes 4 bytes a pixel.
STRIP_PIXELS = 1_000_000


def strips(image: Image.Image, *, multiple: int = 1) -> Iterator[Image.Image]:
    """The image in strips from top to bottom; each but the last has a multiple of so many rows."""
    width, height = image.size
    rows = max(STRIP_PIXELS // width // multiple, 1) * multiple
    if rows >= height:
        yield image
        return
    for top in range(0, height, rows):
        yield image.crop((0, top, width, min(top + rows, height)))
