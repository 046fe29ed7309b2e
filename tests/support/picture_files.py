"""Image files for tests: saved by Pillow, or put together by hand where Pillow does not write the kind."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image


def noise(width: int, height: int, *, seed: int = 0) -> Image.Image:
    """Every pixel another color."""
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def smooth(width: int, height: int, *, seed: int = 0) -> Image.Image:
    """Large soft patches of all colors."""
    return noise(7, 5, seed=seed).resize((width, height), Image.Resampling.BICUBIC)


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    """The bytes of a file."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


# --- TIFF -------------------------------------------------------------------------------------------------------------

Tags = Mapping[int, tuple[int, Sequence[int]]]
_CODES = {2: "B", 3: "H", 4: "I"}
_SAMPLE_FORMATS = {"u": 1, "i": 2, "f": 3}


def tiff(
    values: np.ndarray,
    *,
    order: str = "<",
    packed: bool = False,
    tags: Tags | None = None,
) -> bytes:
    """A TIFF with one strip of any numbers, (height, width) or (height, width, 3 or 4); tags are (type, values)."""
    height, width, bands = *values.shape[:2], values.shape[2] if values.ndim == 3 else 1
    strip = values.astype(values.dtype.newbyteorder(order)).tobytes()
    strip = zlib.compress(strip) if packed else strip
    found: dict[int, tuple[int, Sequence[int]]] = {
        256: (4, [width]),
        257: (4, [height]),
        258: (3, [8 * values.dtype.itemsize] * bands),
        259: (3, [8 if packed else 1]),
        262: (3, [2 if bands > 1 else 1]),
        273: (4, [0]),
        277: (3, [bands]),
        278: (4, [height]),
        279: (4, [len(strip)]),
        339: (3, [_SAMPLE_FORMATS[values.dtype.kind]] * bands),
        **({338: (3, [2])} if bands == 4 else {}),
        **(tags or {}),
    }
    longest = {tag: struct.pack(f"{order}{len(value)}{_CODES[kind]}", *value) for tag, (kind, value) in found.items()}
    place = 8 + 2 + 12 * len(found) + 4
    places: dict[int, int] = {}
    for tag, packed_value in longest.items():
        if len(packed_value) > 4:
            places[tag] = place
            place += len(packed_value) + len(packed_value) % 2
    longest[273] = struct.pack(f"{order}I", place)
    header = struct.pack(f"{order}2sHIH", b"II" if order == "<" else b"MM", 42, 8, len(found))
    body = b""
    for tag in sorted(found):
        value = longest[tag]
        header += struct.pack(f"{order}HHI", tag, found[tag][0], len(found[tag][1]))
        header += struct.pack(f"{order}I", places[tag]) if tag in places else value.ljust(4, b"\0")
    for tag in places:
        body += longest[tag] + b"\0" * (len(longest[tag]) % 2)
    return header + bytes(4) + body + strip


# --- PNG --------------------------------------------------------------------------------------------------------------


def png_chunk(kind: bytes, body: bytes) -> bytes:
    """A chunk with its length and checksum."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(values: np.ndarray, *, before: bytes = b"", after: bytes = b"") -> bytes:
    """A PNG of 8 or 16 bits, (height, width) or (height, width, bands), with chunks before and after the pixels."""
    height, width, bands = *values.shape[:2], values.shape[2] if values.ndim == 3 else 1
    color = {1: 0, 2: 4, 3: 2, 4: 6}[bands]
    rows = values.astype(values.dtype.newbyteorder(">")).reshape(height, -1)
    data = b"".join(b"\0" + row.tobytes() for row in rows)
    header = struct.pack(">IIBBBBB", width, height, 8 * values.dtype.itemsize, color, 0, 0, 0)
    chunks = png_chunk(b"IHDR", header) + before + png_chunk(b"IDAT", zlib.compress(data)) + after
    return b"\x89PNG\r\n\x1a\n" + chunks + png_chunk(b"IEND", b"")


def with_chunk(data: bytes, kind: bytes, body: bytes) -> bytes:
    """A PNG file with one more chunk before its pixels."""
    place = data.index(b"IDAT") - 4
    return data[:place] + png_chunk(kind, body) + data[place:]


# --- color profiles ---------------------------------------------------------------------------------------------------

# The primaries of Display P3 as XYZ under D50, one a row.
P3_PRIMARIES = np.array([[0.5151, 0.2412, -0.0011], [0.2920, 0.6922, 0.0419], [0.1571, 0.0666, 0.7841]])
SRGB_PRIMARIES = np.array([[0.4361, 0.2225, 0.0139], [0.3851, 0.7169, 0.0971], [0.1431, 0.0606, 0.7141]])


def rgb_profile(primaries: np.ndarray, *, gamma: float = 2.2) -> bytes:
    """An ICC profile of version 2, with one power for all three colors."""
    tags = {b"rXYZ": _xyz(primaries[0]), b"gXYZ": _xyz(primaries[1]), b"bXYZ": _xyz(primaries[2])}
    tags |= {name: _power(gamma) for name in (b"rTRC", b"gTRC", b"bTRC")}
    return _profile(b"RGB ", tags)


def gray_profile(*, gamma: float) -> bytes:
    """An ICC profile of grays."""
    return _profile(b"GRAY", {b"kTRC": _power(gamma)})


def _profile(space: bytes, tags: dict[bytes, bytes]) -> bytes:
    text = b"made for a test\0"
    tags = {
        b"desc": b"desc\0\0\0\0" + struct.pack(">I", len(text)) + text + bytes(78),
        b"cprt": b"text\0\0\0\0none\0",
        b"wtpt": _xyz(np.array([0.9642, 1.0, 0.8249])),
        **tags,
    }
    place = 128 + 4 + 12 * len(tags)
    table, body = struct.pack(">I", len(tags)), b""
    for name, value in tags.items():
        value += b"\0" * (-len(value) % 4)
        table += struct.pack(">4sII", name, place + len(body), len(value))
        body += value
    header = struct.pack(">I4sI4s4s4s", place + len(body), bytes(4), 0x02100000, b"mntr", space, b"XYZ ")
    header += bytes(12) + b"acsp" + bytes(28) + struct.pack(">3i", 63190, 65536, 54061)
    return header.ljust(128, b"\0") + table + body


def _xyz(values: np.ndarray) -> bytes:
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(value * 65536) for value in values))


def _power(gamma: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256)) + b"\0\0"


def to_srgb(pixels: np.ndarray, primaries: np.ndarray, *, gamma: float = 2.2) -> np.ndarray:
    """Float (..., 3) of 0 to 255 in the colors of a profile as those of sRGB, by its definition."""
    linear = (pixels / 255) ** gamma @ primaries @ np.linalg.inv(SRGB_PRIMARIES)
    linear = linear.clip(0, 1)
    return 255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
