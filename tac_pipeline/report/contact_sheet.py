"""Contact sheets: the most typical images of each cluster side by side, as one small picture per cluster.

Clusters, images and seconds are bounded, because a sheet is only a convenience: an image that cannot be read in time
is a gray square. What must stay out: which images are typical (method/clusters/medoids.py) and where the sheet is shown
(assets/).
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from PIL import Image

from tac_pipeline.sources import ByteReader
from tac_pipeline.sources.decoding import Pixels, UnreadableImage, decode_image
from tac_pipeline.sources.listing import READING_THREADS

MAX_CLUSTERS = 60
TILE, GAP = 56, 2  # pixels
SECONDS = 20.0
QUALITY = 70
GRAY = 225


def draw_strips(
    clusters: Sequence[Sequence[str]],
    uris: Mapping[str, str],
    source: ByteReader,
    *,
    max_pixels: int,
    max_bytes: int,
    seconds: float = SECONDS,
    clock: Callable[[], float] = time.monotonic,
) -> list[bytes]:
    """A strip of images for each of the first MAX_CLUSTERS clusters.

    Parameters
    ----------
    clusters : sequence of sequence of str
        The image_ids of each cluster, most typical first; the most important clusters first, as time may run out.
    uris : mapping of image_id to uri
        Images that are not in it are no longer in the source.
    source : ByteReader
    max_pixels, max_bytes : int
        Limits for decoding and reading, the same as when the store is embedded.
    seconds : float
        After this time no more images are read.

    Returns
    -------
    list of bytes, WebP
    """
    end = clock() + seconds

    def load(image_id: str) -> Pixels | None:
        if image_id not in uris or clock() > end:
            return None
        try:
            data = source.read(uris[image_id], limit=max_bytes)
            return decode_image(data, size=TILE, max_pixels=max_pixels).pixels.transpose(1, 2, 0)
        except (OSError, ValueError, UnreadableImage):
            return None

    shown = [list(image_ids) for image_ids in clusters[:MAX_CLUSTERS]]
    with ThreadPoolExecutor(READING_THREADS, thread_name_prefix="sheet") as pool:
        tiles = iter(list(pool.map(load, (image_id for image_ids in shown for image_id in image_ids))))
    return [_strip([next(tiles) for _ in image_ids]) for image_ids in shown]


def _strip(tiles: Sequence[Pixels | None]) -> bytes:
    width = max(len(tiles) * (TILE + GAP) - GAP, 1)
    strip = np.full((TILE, width, 3), 255, dtype=np.uint8)
    for place, tile in enumerate(tiles):
        left = place * (TILE + GAP)
        strip[:, left : left + TILE] = GRAY if tile is None else tile
    buffer = io.BytesIO()
    Image.fromarray(strip).save(buffer, format="WEBP", quality=QUALITY, method=4)
    return buffer.getvalue()
