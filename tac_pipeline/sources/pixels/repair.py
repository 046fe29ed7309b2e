"""Files that lack their end, or that hold damage beside the pixels: how many rows are whole, and bytes that decode.

Only for files that a decoder refused or that look half empty; whole files never pass through here. What must stay
out: decoding itself (decoding.py).
"""

from __future__ import annotations

import contextlib
import re
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tac_pipeline.sources.formats import UnreadableImage

Pixels = npt.NDArray[np.uint8]
Decoder = Callable[[bytes], Pixels]

# So much of an image may be missing at its bottom: the rest is the picture.
MISSING_PART = 0.05
END_OF_JPEG = b"\xff\xd9"
# Libjpeg paints what is missing in this gray.
JPEG_GRAY = (127, 129)
# Blocks of color are so high where colors have half the resolution.
ROWS_OF_A_BLOCK = 16
ZEROS_OF_A_HOLE = 64


@dataclass(frozen=True)
class Repaired:
    """Bytes that a decoder takes, and what is missing from them as a sentence (None when nothing is)."""

    data: bytes
    note: str | None = None


# --- JPEG -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Scan:
    """One pass of a JPEG over the image: its coded bytes are data[start:end]; its components and lowest frequency."""

    start: int
    end: int
    components: frozenset[int]
    lowest: int


@dataclass(frozen=True)
class _Jpeg:
    components: frozenset[int]
    progressive: bool
    restarts: bool
    scans: tuple[_Scan, ...]
    first: int


def looks_half_empty(pixels: Pixels, data: bytes, *, inks: bool) -> bool:
    """Whether a decoded JPEG, (height, width, 3), may lack its lower part: its last corner is the decoder's gray.

    `inks` says that the file holds CMYK: what the gray of four inks becomes depends on their profile.
    """
    # One pixel first: this is asked of every JPEG.
    if inks or JPEG_GRAY[0] <= pixels[-1, -1, 0] <= JPEG_GRAY[1]:
        lowest, highest = int(pixels[-8:, -8:].min()), int(pixels[-8:, -8:].max())
        gray = inks or (lowest >= JPEG_GRAY[0] and highest <= JPEG_GRAY[1])
        if gray and highest - lowest <= JPEG_GRAY[1] - JPEG_GRAY[0]:
            return True
    return data[-1] == 0 and ends_in_a_hole(data)


def ends_in_a_hole(data: bytes) -> bool:
    """Whether a JPEG ends in zeros where a copy was cut off: its size was set before its bytes came."""
    if data[-ZEROS_OF_A_HOLE:].strip(b"\0"):
        return False
    return not data.rstrip(b"\0").endswith(END_OF_JPEG)


def repaired_jpeg(data: bytes, decode: Decoder) -> Repaired:
    """A JPEG with an end, when nearly all of its rows are there.

    Two copies are decoded that go on differently behind the last coded byte: rows that are equal come from the file.

    Parameters
    ----------
    data : bytes
    decode : bytes to uint8 (height, width, 3)
        May decode at a smaller scale.

    Raises
    ------
    UnreadableImage
        More than MISSING_PART of the pixels is missing, or no pass covers them all.
    """
    if ends_in_a_hole(data):
        data = data.rstrip(b"\0")
    found = _parse_jpeg(data)
    if found is None or not found.scans:
        raise UnreadableImage("truncated: ends before its first row", kind="truncated")
    last = found.scans[-1]
    # Half a marker at the cut would be read as the start of the end mark.
    whole = data[: last.end].rstrip(b"\xff")
    junk = _junk(data[last.start : last.end], found)
    plain, other = decode(whole + END_OF_JPEG), decode(whole + junk + END_OF_JPEG)
    different = (plain != other).any(axis=2)
    if not different.any():
        return Repaired(whole + END_OF_JPEG)
    if found.progressive and _covered(found):
        note = f"the file ends in pass {len(found.scans)} over its pixels: all are there, in less detail"
        return Repaired(whole + END_OF_JPEG, note)
    row, missing = _missing_part(different)
    if missing > MISSING_PART:
        raise _cut_after(row / len(plain))
    return Repaired(
        whole + END_OF_JPEG, f"the last {max(missing, 0.001):.1%} of the pixels are missing".replace("%", " %")
    )


def _missing_part(different: npt.NDArray[np.bool_]) -> tuple[int, float]:
    """First row with something missing, and the share of all pixels that comes after the last whole block.

    Not the share of different pixels, because further down both copies may lack the same blocks.
    """
    height, width = different.shape
    row = int(different.any(axis=1).argmax())
    band = different[row : row + ROWS_OF_A_BLOCK]
    column = int(band.any(axis=0).argmax())
    return row, 1 - ((row * width) + len(band) * column) / (height * width)


def _cut_after(part: float) -> UnreadableImage:
    return UnreadableImage(f"truncated: ends after {min(int(part * 100), 99)} % of the rows", kind="truncated")


def _covered(jpeg: _Jpeg) -> bool:
    """Whether passes that are followed by another hold the mean of every block and details of the brightness."""
    done = jpeg.scans[:-1]
    means = frozenset[int]().union(*(scan.components for scan in done if scan.lowest == 0))
    return means >= jpeg.components and any(scan.lowest > 0 and jpeg.first in scan.components for scan in done)


def _parse_jpeg(data: bytes) -> _Jpeg | None:
    """The passes of a JPEG's first image; None without a frame header."""
    components: list[int] = []
    progressive = restarts = False
    scans: list[_Scan] = []
    place = 2
    while place + 4 <= len(data) and data[place] == 0xFF:
        marker = data[place + 1]
        if marker == 0xFF:
            place += 1
            continue
        if marker == 0xD9:
            break
        length = struct.unpack(">H", data[place + 2 : place + 4])[0]
        body = data[place + 4 : place + 2 + length]
        place += 2 + length
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            if len(body) < 6:
                return None
            components = list(body[6::3][: body[5]])
            progressive = marker in (0xC2, 0xC6, 0xCA, 0xCE)
        elif marker == 0xDD:
            restarts = body[:2] != b"\0\0"
        elif marker == 0xDA:
            if place > len(data) or not body:
                break
            count = body[0]
            end = _end_of_coded(data, place)
            scans.append(_Scan(place, end, frozenset(body[1 : 1 + 2 * count : 2]), body[1 + 2 * count]))
            place = end
    return _Jpeg(frozenset(components), progressive, restarts, tuple(scans), components[0]) if components else None


def _end_of_coded(data: bytes, start: int) -> int:
    """Where a pass's coded bytes end: at the next marker that is not a restart."""
    found = re.compile(rb"\xff+[^\x00\xd0-\xd7\xff]").search(data, start)
    return found.start() if found else len(data)


def _junk(coded: bytes, jpeg: _Jpeg) -> bytes:
    """Coded bytes that mean something else than nothing, in every interval that may come next."""
    noise = bytes(np.random.default_rng(0).integers(0, 255, 4096, dtype=np.uint8))
    if not jpeg.restarts:
        return noise
    done = len(re.findall(rb"\xff[\xd0-\xd7]", coded))
    return noise + b"".join(bytes((0xFF, 0xD0 + (done + more) % 8)) + noise for more in range(8))


# --- PNG --------------------------------------------------------------------------------------------------------------

PNG_START = b"\x89PNG\r\n\x1a\n"
# What decides the pixels or how they are shown. All else is left out: texts, times, previews, further frames.
_KEPT = (b"IHDR", b"PLTE", b"tRNS", b"iCCP", b"eXIf", b"sBIT")
# Pillow refuses a longer profile.
LARGEST_TEXT = 1 << 20
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
# First row, first column, and the steps down and across, of the seven passes of an interlaced PNG.
_PASSES = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))


def png_largest(data: bytes) -> float | None:
    """The largest gray value that a PNG says it has (its sBIT chunk: the bits that count)."""
    for kind, body, _ in _chunks(data):
        if kind == b"IDAT":
            return None
        if kind == b"sBIT" and body:
            return 2.0 ** max(body[:3]) - 1
    return None


def repaired_png(data: bytes) -> Repaired:
    """A PNG of the pixels alone, without what is damaged, too long or missing beside them.

    Raises
    ------
    UnreadableImage
        Rows are missing, or what decides the pixels is damaged.
    """
    kept: list[tuple[bytes, bytes]] = []
    coded: list[bytes] = []
    for kind, body, whole in _chunks(data):
        if kind == b"IDAT":
            coded.append(body)
        elif coded:
            break
        elif kind in _KEPT:
            if not whole and kind in (b"IHDR", b"PLTE"):
                raise UnreadableImage(f"damaged: the {kind.decode()} chunk of its header", kind="damaged")
            if whole and _usable(kind, body, kept):
                kept.append((kind, body))
    if not kept or kept[0][0] != b"IHDR" or len(kept[0][1]) != 13:
        raise UnreadableImage("damaged: no header", kind="damaged")
    pixels = _whole_stream(b"".join(coded), kept[0][1])
    chunks = [*kept, (b"IDAT", pixels), (b"IEND", b"")]
    return Repaired(
        PNG_START
        + b"".join(
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
            for kind, body in chunks
        )
    )


def _usable(kind: bytes, body: bytes, before: list[tuple[bytes, bytes]]) -> bool:
    """Whether Pillow takes a chunk that it could do without."""
    if kind == b"tRNS":
        color = before[0][1][9] if before and len(before[0][1]) == 13 else 3
        return len(body) >= {0: 2, 2: 6}.get(color, 1)
    if kind == b"iCCP":
        unpacker = zlib.decompressobj()
        with contextlib.suppress(zlib.error):
            unpacker.decompress(body[body.find(b"\0") + 2 :], LARGEST_TEXT)
        return not unpacker.unconsumed_tail
    return True


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes, bool]]:
    """Name and body of each chunk, and whether it is all there and its checksum fits (pixels have their own)."""
    place = len(PNG_START)
    while place + 8 <= len(data):
        length, kind = struct.unpack(">I4s", data[place : place + 8])
        end = place + 8 + length
        body = data[place + 8 : end]
        checksum = data[end : end + 4]
        yield kind, body, kind == b"IDAT" or checksum == struct.pack(">I", zlib.crc32(kind + body))
        place = end + 4


def _whole_stream(coded: bytes, header: bytes) -> bytes:
    """The compressed pixels with a right end; raises when rows are missing."""
    width, height, bits, color, _, _, interlaced = struct.unpack(">IIBBBBB", header)
    wanted = sum(
        rows * (1 + -(-columns * bits * _CHANNELS.get(color, 1) // 8))
        for rows, columns in _pass_sizes(width, height, interlaced)
        if columns
    )
    decoder, encoder = zlib.decompressobj(), zlib.compressobj(1)
    found, again, error = 0, [], False
    # In slices of the input: zlib copies all that it has not yet read.
    for start in range(0, len(coded), 1 << 16):
        rest = coded[start : start + (1 << 16)]
        try:
            while rest and found < wanted:
                part = decoder.decompress(rest, 1 << 20)
                rest = decoder.unconsumed_tail
                found += len(part)
                again.append(encoder.compress(part))
        except zlib.error:
            error = True
            break
    if found < wanted:
        if error:
            raise UnreadableImage(f"damaged: its pixels, after {int(found / wanted * 100)} % of them", kind="damaged")
        raise _cut_after(found / wanted)
    return b"".join(again) + encoder.flush()


def _pass_sizes(width: int, height: int, interlaced: int) -> list[tuple[int, int]]:
    """Rows and columns of each pass."""
    if not interlaced:
        return [(height, width)]
    return [
        (-(-(height - top) // down) if height > top else 0, -(-(width - left) // across) if width > left else 0)
        for top, left, down, across in _PASSES
    ]
