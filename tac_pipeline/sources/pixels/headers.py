"""What an image's header alone tells, where Pillow does not: how much memory decoding takes, sizes, levels.

What must stay out: pixels.
"""

from __future__ import annotations

import struct
from typing import Any

from PIL import Image

from tac_pipeline.sources.formats import UnreadableImage

# What one image may take, in bytes, beside its file: images are decoded in several threads.
LARGEST_MEMORY = 1_000_000_000


def may_be_tga(data: bytes) -> bool:
    """Whether the first 18 bytes are a TGA header, and as many bytes follow as it needs: the format has no mark."""
    if len(data) < 18:
        return False
    comment, has_map, kind, _, colors, color_bits, _, _, width, height, bits, flags = struct.unpack(
        "<BBBHHBHHHHBB", data[:18]
    )
    mapped = kind in (1, 9)
    if kind not in (1, 2, 3, 9, 10, 11) or has_map > 1 or flags & 0xC0 or not width or not height:
        return False
    if (
        mapped != bool(has_map)
        or (not has_map and (colors or color_bits))
        or (has_map and color_bits not in (16, 24, 32))
    ):
        return False
    if bits not in ((8,) if mapped else (1, 8, 16) if kind in (3, 11) else (15, 16, 24, 32)):
        return False
    # A run of 128 equal pixels takes one byte more than a pixel.
    needed = width * height * bits // 8 if kind < 8 else width * height // 128
    return bool(len(data) >= 18 + comment + colors * -(-color_bits // 8) + needed)


def jpeg_2000_levels(data: bytes) -> int:
    """How many times a JPEG 2000 can be halved: the least of its coding styles."""
    place = data.find(b"\xff\x4f\xff\x51")
    place += 2
    while place >= 2 and place + 4 <= len(data):
        marker, length = struct.unpack(">HH", data[place : place + 4])
        if marker == 0xFF52:
            return data[place + 9] if place + 9 < len(data) else 0
        if marker == 0xFF90:
            break
        place += 2 + length
    return 0


_JPEG_XL_RATIOS = {1: (1, 1), 2: (12, 10), 3: (4, 3), 4: (3, 2), 5: (16, 9), 6: (5, 4), 7: (2, 1)}


def jpeg_xl_size(data: bytes) -> tuple[int, int]:
    """Width and height by a JPEG XL's header."""
    place = 0
    if not data.startswith(b"\xff\x0a"):
        while (kind := data[place + 4 : place + 8]) not in (b"jxlc", b"jxlp"):
            length = int.from_bytes(data[place : place + 4], "big")
            if length < 8 or place + length > len(data):
                raise UnreadableImage("damaged: its header (no image in it)", kind="damaged")
            place += length
        place += 12 if kind == b"jxlp" else 8
    # Bits from the lowest up; at most 77 of them.
    bits = int.from_bytes(data[place + 2 : place + 14], "little")

    def take(count: int) -> int:
        nonlocal bits
        value = bits & (1 << count) - 1
        bits >>= count
        return value

    small = take(1)

    def side() -> int:
        return 8 * (1 + take(5)) if small else 1 + take((9, 13, 18, 30)[take(2)])

    height = side()
    ratio = take(3)
    if not ratio:
        return side(), height
    wide, high = _JPEG_XL_RATIOS[ratio]
    return height * wide // high, height


# --- memory -----------------------------------------------------------------------------------------------------------

# Bytes per pixel that Pillow holds; all other modes take 4.
_BYTES_IN_PILLOW = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2, "I;16L": 2}
# Decoders of these formats hold several copies of all pixels. Bytes per pixel in all, measured on the worst kinds
# (benchmarks/decoding_memory.py) and rounded up: more bits, no subsampling, an alpha channel.
_BYTES_WITH_COPIES = {"WebP": 17, "AVIF": 16, "HEIC": 16}
_BYTES_OF_JPEG_XL = 16
_BYTES_OF_PLAIN_HEIC = 11
_BYTES_OF_JPEG_2000_BAND = 6.5
_BYTES_OF_TEXT_PNM = 16
# Strips on their way to RGB.
_ALWAYS = 60_000_000
_TIFF_STRIP_ROWS, _TIFF_TILE_WIDTH, _TIFF_TILE_HEIGHT, _TIFF_PLANES, _TIFF_TURN = 278, 322, 323, 284, 274


def memory_of_jpeg_xl(width: int, height: int) -> int:
    """Bytes that decoding a JPEG XL takes; asked before it is opened, because that decodes it."""
    return _BYTES_OF_JPEG_XL * width * height + _ALWAYS


def memory_to_decode(name: str, image: Image.Image, data: bytes, *, factor: int) -> int:
    """Bytes that decoding takes at its peak, beside the file itself; rather too many than too few.

    Parameters
    ----------
    name : str
        Its format, as formats.py names it; not JPEG XL.
    image : PIL image
        Opened, not loaded.
    data : bytes
        The file.
    factor : int
        How many pixels become one in each direction, before the resize.
    """
    pixels = image.width * image.height
    held = _BYTES_IN_PILLOW.get(image.mode, 4)
    # As RGB, and once more when it is turned.
    after = 6 * pixels / factor**2 + _ALWAYS
    if name == "JPEG":
        scale = min(8, 1 << (factor.bit_length() - 1))
        return int(held * pixels / scale**2 + max(_jpeg_coefficients(image, data) + _ALWAYS, after))
    if name == "JPEG 2000":
        steps = jpeg_2000_steps(image, data, factor=factor)
        return int(max(_jpeg_2000_memory(image), held * pixels + 6 * pixels) / 4**steps + _ALWAYS)
    if name == "TIFF":
        turned = 2 if image.tag_v2.get(_TIFF_TURN, 1) != 1 else 1  # type: ignore[attr-defined]
        return int(held * pixels * turned + _tiff_strip(image) + after)
    if name == "HEIC" and image.info.get("bit_depth", 8) == 8:
        return int(_BYTES_OF_PLAIN_HEIC * pixels + _ALWAYS)
    if name == "PNM" and getattr(image, "tile", None) and image.tile[0][0] == "ppm_plain":  # type: ignore[attr-defined]
        return int(_BYTES_OF_TEXT_PNM * pixels + after)
    if name in _BYTES_WITH_COPIES:
        return int(_BYTES_WITH_COPIES[name] * pixels + _ALWAYS)
    return int(held * pixels + after)


def _jpeg_coefficients(image: Image.Image, data: bytes) -> float:
    """Bytes that libjpeg keeps when a file goes over its pixels several times; 2 a coefficient."""
    if not image.info.get("progressive") and _first_pass_holds_all(image, data):
        return 0
    across = [int(layer[1]) for layer in image.layer]  # type: ignore[attr-defined]
    down = [int(layer[2]) for layer in image.layer]  # type: ignore[attr-defined]
    parts = sum(one * other for one, other in zip(across, down, strict=True)) / (max(across) * max(down))
    return 2 * image.width * image.height * parts


def _first_pass_holds_all(image: Image.Image, data: bytes) -> bool:
    place = data.find(b"\xff\xda", image.tile[0][2])  # type: ignore[attr-defined]
    return place < 0 or data[place + 4 : place + 5] == bytes((len(image.layer),))  # type: ignore[attr-defined]


def _jpeg_2000_memory(image: Image.Image) -> float:
    return _BYTES_OF_JPEG_2000_BAND * len(image.getbands()) * image.width * image.height


def jpeg_2000_steps(image: Image.Image, data: bytes, *, factor: int) -> int:
    """How many times a JPEG 2000 is halved while it is decoded: as the factor allows, and more where memory asks."""
    steps, levels = factor.bit_length() - 1, jpeg_2000_levels(data)
    while steps < levels and _jpeg_2000_memory(image) / 4**steps > LARGEST_MEMORY / 2:
        steps += 1
    return min(steps, levels)


def _tiff_strip(image: Image.Image) -> float:
    """Bytes of the largest part that is decoded at once."""
    header: dict[int, Any] = image.tag_v2  # type: ignore[attr-defined]
    # Not the image's own sides: Pillow gives those of the upright image.
    width, height = int(header.get(256, image.width)), int(header.get(257, image.height))
    row = width * sum(header.get(258, (8,))) / 8
    planes = 3 if header.get(_TIFF_PLANES) == 2 else 1
    if header.get(_TIFF_TILE_WIDTH):
        part = min(header[_TIFF_TILE_WIDTH] * header.get(_TIFF_TILE_HEIGHT, 1) * row / width, 2 * row * height)
    else:
        part = row * min(header.get(_TIFF_STRIP_ROWS) or height, height)
    packed = header.get(259, 1) != 1
    # Without compression Pillow reads all bytes up to the next plane, and joins them.
    return float(part) if packed else 2.0 * float(part) / planes if planes > 1 else 0.0
