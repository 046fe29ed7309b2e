"""Files without their end: read where the rows are there, reported where they are not, and the share is right."""

from __future__ import annotations

import io
import os
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from picture_files import noise, png, png_chunk, saved, smooth, with_chunk
from PIL import Image, PngImagePlugin

from tac_pipeline.sources.decoding import DecodedImage, UnreadableImage, decode_image

PHOTO = Image.fromarray(
    (np.asarray(smooth(320, 240, seed=2)) * 0.8 + np.asarray(noise(320, 240)) * 0.2).astype(np.uint8)
)


def decode(data: bytes) -> DecodedImage:
    return decode_image(data, size=64, max_pixels=10_000_000)


def refusal(data: bytes) -> UnreadableImage:
    with pytest.raises(UnreadableImage) as caught:
        decode(data)
    return caught.value


# --- JPEG -------------------------------------------------------------------------------------------------------------

JPEGS = {
    "plain": saved(PHOTO, "JPEG", quality=90),
    "without subsampling": saved(PHOTO, "JPEG", quality=90, subsampling=0),
    "restarts": saved(PHOTO, "JPEG", quality=90, restart_marker_rows=1),
    "restarts within rows": saved(PHOTO, "JPEG", quality=90, restart_marker_blocks=3),
    "gray": saved(PHOTO.convert("L"), "JPEG", quality=90),
    "inks": saved(PHOTO.convert("CMYK"), "JPEG", quality=90),
}
PROGRESSIVE = saved(PHOTO, "JPEG", quality=90, progressive=True)


@pytest.mark.parametrize("kind", [*JPEGS, "progressive"])
@pytest.mark.parametrize("missing", [1, 2, 3, 4])
def test_a_jpeg_that_lacks_its_end_mark_is_read(kind: str, missing: int) -> None:
    data = {**JPEGS, "progressive": PROGRESSIVE}[kind]
    image = decode(data[:-missing])
    # The last block may lack its last bits.
    assert image.note is None or missing > 2, image.note
    assert np.abs(image.pixels.astype(int) - decode(data).pixels)[:, :60].max() <= 1


@pytest.mark.parametrize("kind", JPEGS)
@pytest.mark.parametrize("share", [0.2, 0.4, 0.5, 0.75, 0.9])
@pytest.mark.parametrize("tail", ["nothing", "an end mark", "zeros"])
def test_a_jpeg_with_a_gray_part_is_reported_with_its_share(kind: str, share: float, tail: str) -> None:
    data = JPEGS[kind]
    start = data.index(b"\xff\xda")
    cut = data[: start + int((len(data) - start) * share)]
    cut += {"nothing": b"", "an end mark": b"\xff\xd9", "zeros": bytes(len(data) - len(cut))}[tail]
    error = refusal(cut)
    assert error.kind == "truncated"
    told = int(str(error).removeprefix("truncated: ends after ").split(" %")[0])
    assert abs(told - 100 * share) < 8, str(error)


def test_every_cut_at_a_restart_is_reported() -> None:
    data = JPEGS["restarts"]
    places = [place for place in range(len(data)) if data[place] == 0xFF and 0xD0 <= data[place + 1] <= 0xD7]
    assert len(places) >= 14
    for place in places[:-1]:
        for end in (place, place + 1, place + 2):
            assert refusal(data[:end]).kind == "truncated"


def test_a_jpeg_that_lacks_its_last_rows_is_read_with_a_note() -> None:
    tall = Image.fromarray(np.tile(np.asarray(PHOTO), (4, 1, 1)))
    data = saved(tall, "JPEG", quality=90)
    image = decode(data[:-700])
    assert image.note is not None
    assert image.note.startswith("the last ")
    assert image.note.endswith(" % of the pixels are missing")
    assert (image.width, image.height) == (320, 960)


def test_a_whole_jpeg_with_a_gray_corner_is_read() -> None:
    gray = PHOTO.copy()
    gray.paste((128, 128, 128), (160, 120, 320, 240))
    for options in ({}, {"progressive": True}, {"restart_marker_rows": 1}):
        image = decode(saved(gray, "JPEG", **options))
        assert image.note is None
        assert (np.abs(image.pixels[:, -8:, -8:].astype(int) - 128) <= 1).all()


@pytest.mark.parametrize("tail", [b"\xff\xd9" * 9, os.urandom(999), bytes(999), b"\xff\xd8\xff" + bytes(99)])
def test_bytes_behind_a_jpeg_do_not_matter(tail: bytes) -> None:
    for data in (JPEGS["plain"], PROGRESSIVE):
        image = decode(data + tail)
        assert image.note is None
        np.testing.assert_array_equal(image.pixels, decode(data).pixels)


def test_a_progressive_jpeg_is_read_from_its_first_passes() -> None:
    whole = decode(PROGRESSIVE).pixels.astype(int)
    image = decode(PROGRESSIVE[: len(PROGRESSIVE) * 3 // 4])
    assert image.note is not None
    assert "less detail" in image.note
    assert np.abs(image.pixels - whole).mean() < 4
    # The first pass ends within the first tenth.
    assert refusal(PROGRESSIVE[:1500]).kind == "truncated"


@pytest.mark.parametrize("length", [3, 20, 200, 600])
def test_a_jpeg_cut_in_its_header_is_truncated(length: int) -> None:
    assert refusal(JPEGS["plain"][:length]).kind == "truncated"


# --- PNG --------------------------------------------------------------------------------------------------------------

PNG = saved(PHOTO, "PNG")


def same(data: bytes) -> bool:
    """Whether it comes out as the plain PNG does."""
    return bool((decode(data).pixels == decode(PNG).pixels).all())


def long_texts() -> dict[str, bytes]:
    text = os.urandom(1 << 21).hex().encode()
    packed = zlib.compress(b"a" * (1 << 25))
    return {
        "tEXt": with_chunk(PNG, b"tEXt", b"Comment\0" + text),
        "zTXt": with_chunk(PNG, b"zTXt", b"Comment\0\0" + packed),
        "iTXt": with_chunk(PNG, b"iTXt", b"Comment\0\1\0\0\0" + packed),
        "many": with_chunk(PNG, b"tEXt", b"Comment\0" + b"a" * (PngImagePlugin.MAX_TEXT_MEMORY + 1)),
        "behind the pixels": PNG[:-12] + png_chunk(b"zTXt", b"Comment\0\0" + packed) + PNG[-12:],
        "profile": with_chunk(PNG, b"iCCP", b"name\0\0" + packed),
        "half a text": with_chunk(PNG, b"zTXt", b"Comment"),
    }


@pytest.mark.parametrize("kind", long_texts())
def test_text_beside_the_pixels_is_no_reason(kind: str) -> None:
    assert same(long_texts()[kind])


def broken(data: bytes, kind: bytes) -> bytes:
    """With a wrong checksum of the first chunk of a kind."""
    place = data.index(kind)
    length = struct.unpack(">I", data[place - 4 : place])[0]
    end = place + 4 + length
    return data[:end] + bytes(byte ^ 1 for byte in data[end : end + 4]) + data[end + 4 :]


def test_damage_beside_the_pixels_is_no_reason() -> None:
    with_time = with_chunk(PNG, b"tIME", b"\x07\xe8\1\1\1\1\1")
    for data in (
        broken(with_time, b"tIME"),
        broken(PNG, b"IEND"),
        PNG[:-12],
        PNG[:-5],
        PNG + os.urandom(500),
        PNG[:-8] + b"IEN\xc4" + PNG[-4:],
        broken(PNG, b"IDAT"),
        with_chunk(PNG, b"acTL", b"\0"),
        with_chunk(PNG, b"tRNS", b""),
    ):
        assert same(data)


def test_a_png_that_lacks_only_the_sum_of_its_pixels_is_read() -> None:
    values = np.asarray(PHOTO)
    data = png(values)
    end = data.index(b"IEND") - 4
    for missing in range(1, 9):
        assert same(data[: end - missing])


def test_a_damaged_header_is_reported() -> None:
    assert refusal(broken(PNG, b"IHDR")).kind == "damaged"


@given(st.integers(5, 95), st.booleans())
def test_a_png_that_lacks_rows_is_reported_with_its_share(share: int, packed: bool) -> None:
    # Noise cannot be packed: the share of the bytes is the share of the rows.
    data = saved(noise(100, 100), "PNG", compress_level=9 if packed else 0)
    error = refusal(data[: len(data) * share // 100])
    assert error.kind == "truncated"
    assert abs(int(str(error).removeprefix("truncated: ends after ").split(" %")[0]) - share) <= 3


def test_damaged_pixels_are_damage() -> None:
    data = bytearray(saved(PHOTO, "PNG"))
    place = len(data) // 2
    data[place : place + 40] = bytes(40)
    error = refusal(bytes(data))
    assert error.kind in ("damaged", "truncated")
    assert "%" in str(error)


# --- other formats ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind,options",
    [
        ("WEBP", {}),
        ("WEBP", {"lossless": True}),
        ("GIF", {}),
        ("BMP", {}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("JPEG2000", {}),
        ("AVIF", {}),
        ("PPM", {}),
        ("TGA", {}),
    ],
)
def test_files_of_other_formats_that_lack_rows_are_reported(kind: str, options: dict[str, object]) -> None:
    data = saved(PHOTO.quantize(64) if kind == "GIF" else PHOTO, kind, **options)
    for share in (0.3, 0.6, 0.9):
        error = refusal(data[: int(len(data) * share)])
        assert error.kind in ("truncated", "damaged", "not an image"), (share, str(error))


def test_frames_and_bytes_behind_the_first_frame_do_not_matter() -> None:
    buffer = io.BytesIO()
    PHOTO.save(buffer, "GIF", save_all=True, append_images=[PHOTO.rotate(90)] * 3)
    data = buffer.getvalue()
    whole = decode(data).pixels
    np.testing.assert_array_equal(decode(data[: len(data) - 2000]).pixels, whole)
