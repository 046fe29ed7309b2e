"""decode_image against Pillow and torchvision's own transforms, and against damage of every kind."""

from __future__ import annotations

import io
import resource
import struct
import sys
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps
from torchvision.transforms import CenterCrop, Compose, InterpolationMode, Resize

from tac_pipeline.errors import InputError
from tac_pipeline.sources import decoding
from tac_pipeline.sources.decoding import DecodedImage, UnreadableImage, decode_image

MANY_PIXELS = 10_000_000


def noise(width: int, height: int, *, seed: int = 0) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def smooth(width: int, height: int, *, seed: int = 0) -> Image.Image:
    return noise(7, 5, seed=seed).resize((width, height), Image.Resampling.BICUBIC)


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def reference(
    image: Image.Image, size: int, interpolation: InterpolationMode = InterpolationMode.BICUBIC
) -> np.ndarray:
    """The result of open_clip's evaluation transform for an RGB image, before it normalizes."""
    transform = Compose([Resize(size, interpolation), CenterCrop(size)])
    return np.asarray(transform(image.convert("RGB"))).transpose(2, 0, 1).astype(int)


def decode(data: bytes, size: int = 32, **options: object) -> DecodedImage:
    return decode_image(data, size=size, max_pixels=MANY_PIXELS, **options)


def assert_same_but_for_rounding(found: np.ndarray, expected: np.ndarray) -> None:
    away = np.abs(found.astype(int) - expected)
    assert away.max() <= 2
    assert (away > 1).mean() < 1e-3
    assert away.mean() < 0.2


# --- what comes out ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wide,high", [(500, 375), (375, 500), (225, 224), (101, 67), (33, 40), (640, 321)])
@pytest.mark.parametrize("interpolation", list(InterpolationMode)[2:4], ids=["bilinear", "bicubic"])
def test_jpeg_equals_the_transform_of_open_clip(wide: int, high: int, interpolation: InterpolationMode) -> None:
    data = saved(smooth(wide, high), "JPEG", quality=90)
    image = decode(data, 224, interpolation=interpolation.value)
    assert image.pixels.shape == (3, 224, 224)
    assert image.pixels.dtype == np.uint8
    assert (image.width, image.height) == (wide, high)
    assert_same_but_for_rounding(image.pixels, reference(Image.open(io.BytesIO(data)), 224, interpolation))


@pytest.mark.parametrize("wide,high", [(90, 61), (61, 90), (47, 200), (300, 100), (32, 32)])
def test_png_equals_the_transform_of_open_clip(wide: int, high: int) -> None:
    image = noise(wide, high)
    assert_same_but_for_rounding(decode(saved(image, "PNG")).pixels, reference(image, 32))


def test_photographs_equal_the_transform_of_open_clip(reference_data: Path) -> None:
    paths = sorted((reference_data / "imagenette").rglob("*.JPEG"))[::40]
    assert paths, "no photographs in the reference data"
    for number, path in enumerate(paths):
        data = path.read_bytes()
        photograph = Image.open(io.BytesIO(data))
        np.testing.assert_array_equal(decode(data, 224).pixels, reference(photograph, 224))
        # Like a camera's file, larger than the square; quality and size differ between photographs.
        larger = photograph.convert("RGB").resize((300 + 11 * number, 460), Image.Resampling.BICUBIC)
        data = saved(larger, "JPEG", quality=70 + number)
        assert_same_but_for_rounding(decode(data, 224).pixels, reference(Image.open(io.BytesIO(data)), 224))


@pytest.mark.parametrize("kind", ["JPEG", "progressive JPEG"])
def test_both_jpeg_decoders_give_the_same_pixels(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = saved(smooth(200, 150), "JPEG", quality=85, progressive=kind != "JPEG")
    by_torchvision = decode(data, 96).pixels
    monkeypatch.setattr(decoding, "_decode_jpeg", lambda data: None)
    np.testing.assert_array_equal(decode(data, 96).pixels, by_torchvision)


def test_squash_keeps_the_whole_image() -> None:
    for kind in ("JPEG", "PNG"):
        data = saved(smooth(90, 61), kind)
        whole = Image.open(io.BytesIO(data)).convert("RGB").resize((32, 32), Image.Resampling.BILINEAR)
        squashed = decode(data, resize_mode="squash", interpolation="bilinear").pixels
        assert_same_but_for_rounding(squashed, np.asarray(whole).transpose(2, 0, 1).astype(int))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = saved(smooth(60, 41), kind, exif=exif)
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    image = decode(data)
    assert (image.width, image.height) == upright.size == ((41, 60) if orientation >= 5 else (60, 41))
    assert_same_but_for_rounding(image.pixels, reference(upright, 32))


@pytest.mark.parametrize(
    "exif", [b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12"]
)
def test_damaged_exif_leaves_the_image_as_it_is(exif: bytes) -> None:
    image = smooth(60, 41)
    np.testing.assert_array_equal(decode(saved(image, "JPEG", exif=exif)).pixels, decode(saved(image, "JPEG")).pixels)


def test_modes_become_rgb() -> None:
    image = smooth(32, 32)
    gray = reference(image.convert("L"), 32)
    np.testing.assert_array_equal(decode(saved(image.convert("L"), "PNG")).pixels, gray)
    assert_same_but_for_rounding(decode(saved(image.convert("L"), "JPEG", quality=100)).pixels, gray)
    palette = image.quantize(64)
    np.testing.assert_array_equal(decode(saved(palette, "PNG")).pixels, reference(palette, 32))
    np.testing.assert_array_equal(decode(saved(image.convert("1"), "PNG")).pixels, reference(image.convert("1"), 32))
    cmyk = saved(image.convert("CMYK"), "JPEG", quality=100)
    np.testing.assert_array_equal(decode(cmyk).pixels, reference(Image.open(io.BytesIO(cmyk)), 32))
    for kind in ("BMP", "TIFF", "PPM"):
        np.testing.assert_array_equal(decode(saved(image, kind)).pixels, reference(image, 32))
    np.testing.assert_array_equal(decode(saved(image, "WEBP", lossless=True)).pixels, reference(image, 32))


def test_what_is_transparent_shows_white() -> None:
    red = Image.new("RGBA", (40, 40), (200, 0, 0, 255))
    red.paste((0, 0, 0, 0), (0, 0, 20, 40))
    half = decode(saved(red, "PNG")).pixels
    np.testing.assert_array_equal(half[:, 16, 2], [255, 255, 255])
    np.testing.assert_array_equal(half[:, 16, 30], [200, 0, 0])
    faint = decode(saved(Image.new("LA", (40, 40), (0, 128)), "PNG")).pixels
    assert set(np.unique(faint)) == {127}
    keyed = Image.new("RGB", (40, 40), "navy").quantize(2)
    assert set(np.unique(decode(saved(keyed, "PNG", transparency=keyed.getpixel((0, 0)))).pixels)) == {255}


@pytest.mark.parametrize(
    "values,expected",
    [
        (np.full((8, 8), 65535, dtype=np.uint16), 255),
        (np.full((8, 8), 257 * 100, dtype=np.uint16), 100),
        (np.full((8, 8), 257 * 100, dtype=np.int32), 100),
        (np.full((8, 8), 0.4, dtype=np.float32), 102),
    ],
)
def test_deep_grayscale_is_scaled_not_clipped(values: np.ndarray, expected: int) -> None:
    assert set(np.unique(decode(saved(Image.fromarray(values), "TIFF")).pixels)) == {expected}


def test_deep_grayscale_beyond_its_range_is_stretched() -> None:
    values = np.linspace(-3, 900, 64, dtype=np.float32).reshape(8, 8)
    values[0, 1] = np.nan
    pixels = decode(saved(Image.fromarray(values), "TIFF"), 8).pixels
    assert (pixels[0, 0, 0], pixels[0, 0, 1], pixels[0, 7, 7]) == (0, 0, 255)


def test_only_the_first_frame_counts() -> None:
    frames = [Image.new("RGB", (40, 40), color) for color in ("blue", "red")]
    for kind in ("GIF", "WEBP", "TIFF", "PNG"):
        data = saved(
            frames[0], kind, save_all=True, append_images=frames[1:], **({"lossless": True} if kind == "WEBP" else {})
        )
        np.testing.assert_array_equal(decode(data).pixels[:, 5, 5], [0, 0, 255])


# --- limits -----------------------------------------------------------------------------------------------------------


def png_header(width: int, height: int) -> bytes:
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header)) + b"\0\0\0\0IDAT"
    )


def test_too_many_pixels_are_refused_by_the_header_alone() -> None:
    with pytest.raises(UnreadableImage, match=r"60,000 x 60,000 pixels, over max_pixels \(10,000,000\)") as caught:
        decode(png_header(60_000, 60_000))
    assert caught.value.over_limit
    data = saved(noise(50, 40), "JPEG")
    assert decode_image(data, size=8, max_pixels=2000).pixels.shape == (3, 8, 8)
    with pytest.raises(UnreadableImage, match="over max_pixels"):
        decode_image(data, size=8, max_pixels=1999)


@pytest.mark.parametrize("wide,high", [(1, 20_000), (20_000, 1), (3, 9_000), (1, 1)])
@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_thin_images_take_little_memory(wide: int, high: int, kind: str) -> None:
    data = saved(noise(wide, high), kind)
    decode(saved(noise(300, 200), kind), 224)
    before = peak_resident()
    image = decode(data, 224)
    assert (image.width, image.height) == (wide, high)
    assert peak_resident() - before < 100_000_000


def peak_resident() -> int:
    """Bytes; macOS counts them, Linux counts KiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


@pytest.mark.parametrize("wide,high", [(9, 300), (300, 9)])
def test_a_thin_image_shows_its_middle(wide: int, high: int) -> None:
    image = smooth(wide, high)
    away = np.abs(decode(saved(image, "PNG")).pixels.astype(int) - reference(image, 32))
    # Cut out of a larger resize, or resized from the middle alone: rows and columns may be filtered in another order.
    assert away.max() <= 2


# --- damage -----------------------------------------------------------------------------------------------------------

SMALL = smooth(24, 18, seed=3)
FILES = {
    "JPEG": saved(SMALL, "JPEG"),
    "progressive JPEG": saved(SMALL, "JPEG", progressive=True),
    "PNG": saved(SMALL, "PNG"),
    "palette PNG": saved(SMALL.quantize(16), "PNG"),
    "GIF": saved(SMALL.quantize(16), "GIF"),
    "WEBP": saved(SMALL, "WEBP"),
    "TIFF": saved(SMALL, "TIFF"),
    "TIFF LZW": saved(SMALL, "TIFF", compression="tiff_lzw"),
    "BMP": saved(SMALL, "BMP"),
}


def decode_or_refuse(data: bytes) -> DecodedImage | None:
    try:
        image = decode_image(data, size=16, max_pixels=100_000)
    except UnreadableImage as error:
        assert 0 < len(str(error)) < 250
        assert "\n" not in str(error)
        assert " at 0x" not in str(error), "a reason that differs between two runs"
        return None
    assert image.pixels.shape == (3, 16, 16)
    assert image.width * image.height <= 100_000
    return image


@given(st.binary(max_size=300))
def test_random_bytes_never_escape(data: bytes) -> None:
    decode_or_refuse(data)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(FILES)), st.data())
def test_truncations_and_flipped_bits_never_escape(kind: str, choice: st.DataObject) -> None:
    data = bytearray(FILES[kind])
    for place in choice.draw(st.lists(st.integers(0, len(data) - 1), max_size=8)):
        data[place] ^= 1 << choice.draw(st.integers(0, 7))
    decode_or_refuse(bytes(data[: choice.draw(st.integers(1, len(data)))]))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP"])
def test_a_file_cut_short_is_refused_rather_than_gray(kind: str) -> None:
    data = saved(noise(64, 64), kind)
    for share in (0.3, 0.6, 0.9):
        with pytest.raises(UnreadableImage, match=r"truncated|damaged"):
            decode(data[: int(len(data) * share)])


@pytest.mark.parametrize(
    "data,reason",
    [
        (b"", r"empty file \(0 bytes\)"),
        (b"<html>404</html>", "^is an HTML page, not an image$"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "^is a PostScript file, a format that is not read$"),
        (b"\x93\x12\xf0 of no kind", "^not an image, or its header is damaged"),
        (saved(SMALL, "JPEG")[:-60], "truncated: ends after 0 % of the rows"),
    ],
)
def test_reasons_that_a_person_understands(data: bytes, reason: str) -> None:
    with pytest.raises(UnreadableImage, match=reason) as caught:
        decode(data)
    assert isinstance(caught.value, InputError)
    assert not caught.value.over_limit


def test_no_memory_is_over_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    def exhausted(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(Image, "open", exhausted)
    with pytest.raises(UnreadableImage, match="memory") as caught:
        decode(FILES["PNG"])
    assert caught.value.over_limit


def test_threads_get_what_one_thread_gets() -> None:
    alone = {kind: decode(data).pixels for kind, data in FILES.items()}
    started = threading.Barrier(4)

    def work(kinds: list[str]) -> list[np.ndarray]:
        started.wait()
        return [decode(FILES[kind]).pixels for kind in kinds]

    orders = [sorted(FILES)[turn:] + sorted(FILES)[:turn] for turn in range(4)]
    with ThreadPoolExecutor(4) as pool:
        for kinds, found in zip(orders, pool.map(work, orders), strict=True):
            for kind, pixels in zip(kinds, found, strict=True):
                np.testing.assert_array_equal(pixels, alone[kind])
