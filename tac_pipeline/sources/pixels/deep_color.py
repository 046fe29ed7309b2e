"""Values of 16 bits from files of which Pillow keeps only 8, and samples of large images.

Pillow reads the high byte of each color of 16 bits. Where that is next to nothing, because the file holds 10 or 12
bits in 16, the low bytes are read too. What must stay out: the choice of a range (depth.py).
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from tac_pipeline.sources.pixels.depth import Scale, Values, choose_scale
from tac_pipeline.sources.pixels.strips import strips

# Colors with a high byte below this have 14 bits or fewer, in 16.
FEW_HIGH = 64
# So many values of an image, about, decide about its range.
SAMPLED = 1_000_000

# How Pillow reads the high byte of each color, and what reads the low byte of the same file instead.
_LOW_BYTES = {"B": "L", "L": "B", "N": "B" if sys.byteorder == "little" else "L"}


def low_bytes_mode(rawmode: object) -> str | None:
    """Pillow's name for reading the low byte of each color, where it reads the high bytes of 16 as 8 bits."""
    found = re.fullmatch(r"(RGBA?;16)([BLN])", rawmode) if isinstance(rawmode, str) else None
    return found[1] + _LOW_BYTES[found[2]] if found else None


def tiles_of_low_bytes(tiles: Sequence[Any]) -> list[Any] | None:
    """The tiles of Pillow's image for reading its low bytes; None when its colors do not have 16 bits."""
    modes = {tile[3] if isinstance(tile[3], str) else tile[3][0] for tile in tiles if tile[3]}
    mode = low_bytes_mode(modes.pop()) if len(modes) == 1 else None
    if mode is None:
        return None
    return [_with_args(tile, mode if isinstance(tile[3], str) else (mode, *tile[3][1:])) for tile in tiles]


def _with_args(tile: Any, args: Any) -> Any:
    """A tile with other arguments for its decoder; a plain tuple before Pillow 11."""
    return tile._replace(args=args) if hasattr(tile, "_replace") else (*tile[:3], args)


@dataclass(frozen=True)
class DeepColor:
    """How an image of high bytes that hold next to nothing is completed.

    Attributes
    ----------
    low : PIL image
        The low bytes, in the same mode.
    scale : Scale
    scaled_alpha : bool
        The alpha channel has the colors' depth, rather than all 16 bits.
    """

    low: Image.Image
    scale: Scale
    scaled_alpha: bool

    def strip(self, high: Image.Image, top: int) -> Image.Image:
        """Rows from `top` on, with 8 bits."""
        eight = self.scale.apply(_joined(high, self.low, top))
        if high.mode == "RGBA" and not self.scaled_alpha:
            eight[..., 3] = np.asarray(high)[..., 3]
        return Image.fromarray(eight)


def has_few_high_bytes(image: Image.Image) -> bool:
    """Whether no color of a loaded image reaches FEW_HIGH."""
    return all(high < FEW_HIGH for strip in strips(image) for _, high in _extrema(strip)[:3])


def _extrema(image: Image.Image) -> list[tuple[float, float]]:
    return list(image.getextrema())  # type: ignore[arg-type]


def deep_color(high: Image.Image, low: Image.Image, *, largest: float | None) -> DeepColor:
    """Choose the range of the values that two images of bytes make up, of all their colors together."""
    step = _step(high)
    parts, top, opaque = [], 0, 0.0
    for strip in strips(high, multiple=step):
        parts.append(_joined(strip, low, top)[::step, ::step, :3].copy())
        opaque = max(opaque, _extrema(strip)[-1][1])
        top += strip.height
    scale = choose_scale(parts, high, largest=largest, kind="16-bit")
    return DeepColor(low, scale, scaled_alpha=high.mode == "RGBA" and opaque < FEW_HIGH)


def _joined(high: Image.Image, low: Image.Image, top: int) -> Values:
    """Values of 16 bits, (height, width, bands), of a strip and the same rows of the whole image of low bytes."""
    rows = low.crop((0, top, high.width, top + high.height))
    values: Values = np.asarray(high).astype(np.uint16) << 8 | np.asarray(rows)
    return values


def sampled(image: Image.Image) -> list[Values]:
    """Every so many-th value in both directions, about SAMPLED in all."""
    step = _step(image)
    return [np.asarray(strip)[::step, ::step].copy() for strip in strips(image, multiple=step)]


def _step(image: Image.Image) -> int:
    return max(1, int((image.width * image.height / SAMPLED) ** 0.5))


def raw_pnm(image: Image.Image) -> tuple[Image.Image, float | None]:
    """A PNM that has not 8 or 16 bits, set to be read as it is, and its largest value where that has more than 8 bits.

    Pillow divides each value in Python: 20 seconds for 12 megapixels.
    """
    tile = image.tile[0]  # type: ignore[attr-defined]
    if tile[0] != "ppm":
        return image, None
    rawmode, largest = tile[3]
    deep = largest > 255
    raw = "I;16B" if image.mode == "I" else f"{rawmode};16B" if deep else rawmode
    image.tile = [("raw", tile[1], tile[2], (raw, 0, 1))]  # type: ignore[attr-defined]
    if deep:
        return image, float(largest)
    image.load()
    return image.point([min(255, round(v / largest * 255)) for v in range(256)] * len(image.getbands())), None
