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
from picture_files import noise, saved, smooth, tiff
from PIL import Image, ImageOps
from torchvision.transforms import CenterCrop, Compose, InterpolationMode, Resize

from tac_pipeline.errors import InputError
from tac_pipeline.sources import decoding, formats
from tac_pipeline.sources.decoding import DecodedImage, UnreadableImage, decode_image
from tac_pipeline.sources.formats import KINDS, REMEDY, can_read
from tac_pipeline.sources.pixels import deep_color

MANY_PIXELS = 10_000_000


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


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF", "HEIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied_once(kind: str, orientation: int) -> None:
    if kind == "HEIF" and not can_read("HEIC"):
        pytest.skip("no package that writes HEIC")
    exif = Image.Exif()
    exif[0x0112] = orientation
    upright = smooth(60, 41)
    upright.getexif()[0x0112] = orientation
    upright = ImageOps.exif_transpose(upright)
    lossless = {"JPEG": {"quality": 100, "subsampling": 0}, "WEBP": {"lossless": True}}
    options = lossless.get(kind, {"quality": 100} if kind in ("AVIF", "HEIF") else {})
    image = decode(saved(smooth(60, 41), kind, exif=exif.tobytes(), **options))
    assert (image.width, image.height) == upright.size == ((41, 60) if orientation >= 5 else (60, 41))
    assert np.abs(image.pixels - reference(upright, 32)).mean() < 3
    if kind in ("PNG", "TIFF"):
        assert_same_but_for_rounding(image.pixels, reference(upright, 32))


@pytest.mark.parametrize("orientation", [1, 6])
def test_a_jpeg_inside_a_jpeg_xl_is_turned_as_it_was(orientation: int, tmp_path: Path) -> None:
    if not can_read("JPEG XL"):
        pytest.skip("no package that writes JPEG XL")
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "photo.jpg"
    path.write_bytes(saved(smooth(60, 41), "JPEG", exif=exif.tobytes()))
    with Image.open(path) as image:
        packed = decode(saved(image, "JXL", lossless_jpeg=True))
    np.testing.assert_array_equal(packed.pixels, decode(path.read_bytes()).pixels)
    assert (packed.width, packed.height) == ((41, 60) if orientation == 6 else (60, 41))


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


# --- every format -----------------------------------------------------------------------------------------------------

EVERY_FORMAT: dict[str, tuple[str, dict[str, object]]] = {
    "JPEG": ("JPEG", {"quality": 98, "subsampling": 0}),
    "PNG": ("PNG", {}),
    "WebP": ("WEBP", {"quality": 98}),
    "GIF": ("GIF", {}),
    "BMP": ("BMP", {}),
    "BMP, without its first header": ("DIB", {}),
    "TIFF": ("TIFF", {}),
    "TIFF, large": ("TIFF", {"big_tiff": True}),
    "TIFF, JPEG in it": ("TIFF", {"compression": "jpeg", "quality": 98}),
    "PNM": ("PPM", {}),
    "TGA": ("TGA", {}),
    "TGA, packed": ("TGA", {"compression": "tga_rle"}),
    "JPEG 2000": ("JPEG2000", {}),
    "JPEG 2000, bare": ("JPEG2000", {"no_jp2": True}),
    "AVIF": ("AVIF", {"quality": 95}),
    "HEIC": ("HEIF", {"quality": 95}),
    "JPEG XL": ("JXL", {"quality": 98}),
    "JPEG XL, bare": ("JXL", {"quality": 98, "use_container": False}),
    "JPEG XL, boxed": ("JXL", {"quality": 98, "use_container": True}),
}


def file_of(name: str, image: Image.Image) -> bytes:
    if not can_read(name.split(",")[0]):
        pytest.skip(f"{name} cannot be written here")
    kind, options = EVERY_FORMAT[name]
    return saved(image.quantize(256) if kind == "GIF" else image, kind, **options)


@pytest.mark.parametrize("name", EVERY_FORMAT)
def test_every_format_is_read_by_its_content(name: str) -> None:
    picture = smooth(90, 61, seed=5)
    image = decode(file_of(name, picture))
    picture = picture.quantize(256) if name == "GIF" else picture
    assert (image.width, image.height) == (90, 61)
    assert np.abs(image.pixels - reference(picture, 32)).mean() < 3
    assert image.note is None


@pytest.mark.parametrize("name", ["HEIC", "JPEG XL", "AVIF", "JPEG 2000", "WebP"])
def test_formats_with_an_alpha_channel_show_white(name: str) -> None:
    clear = Image.new("RGBA", (48, 48), (200, 0, 0, 255))
    clear.paste((0, 0, 0, 0), (0, 0, 24, 48))
    pixels = decode(file_of(name, clear)).pixels
    assert (pixels[:, :, :12] > 245).all()
    assert np.abs(pixels[:, 16, 26].astype(int) - [200, 0, 0]).max() < 12


@pytest.mark.parametrize("name", ["HEIC", "JPEG XL"])
@pytest.mark.parametrize("how", ["absent", "broken"])
def test_without_the_extra_the_reason_names_the_remedy(name: str, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = file_of(name, smooth(40, 30))

    def register() -> None:
        raise ImportError("absent") if how == "absent" else OSError("libde265.so: cannot open shared object file")

    monkeypatch.setattr(formats, "_PLUGINS", dict.fromkeys(formats.EXTRA_FORMATS, register))
    monkeypatch.setattr(formats, "_here", {})
    with pytest.raises(UnreadableImage) as caught:
        decode(data)
    assert str(caught.value) == f"{name}: needs {REMEDY}"
    assert caught.value.kind == "needs an extra"
    # It is tried again when the extra is installed.
    assert caught.value.over_limit
    assert decode(saved(smooth(40, 30), "PNG")).note is None


def test_kinds_of_tiff_that_pillow_lacks_are_unsupported_not_damaged() -> None:
    with pytest.raises(UnreadableImage, match="TIFF of a kind that is not read") as caught:
        decode(tiff(np.zeros((9, 9, 3), dtype=np.float32)))
    assert caught.value.kind == "unsupported"


# --- large images -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["JPEG", "PNG", "TIFF", "JPEG 2000", "WebP", "GIF"])
@pytest.mark.parametrize("orientation", [1, 6])
def test_a_large_image_at_a_smaller_scale_is_the_same_picture(
    name: str, orientation: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = Image.blend(smooth(900, 610), noise(900, 610), 0.1)
    kind, options = EVERY_FORMAT[name]
    turned = {"exif": exif.tobytes()} if kind in ("JPEG", "PNG", "TIFF", "WEBP") else {}
    data = saved(picture.quantize(256) if kind == "GIF" else picture, kind, **options, **turned)
    whole = decode(data)
    monkeypatch.setattr(decoding, "LARGE_PIXELS", 400_000)
    smaller = decode(data)
    assert (smaller.width, smaller.height) == (whole.width, whole.height)
    away = np.abs(smaller.pixels.astype(int) - whole.pixels)
    assert 0 < away.max() < 16, "the same pixels: nothing was decoded at a smaller scale"
    # JPEG 2000 filters with its wavelets.
    assert away.mean() < (2 if name == "JPEG 2000" else 1)


def test_deep_values_of_a_large_image_are_the_same_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.asarray(smooth(900, 610)).astype(np.uint16) * 16
    files = (tiff(values[..., 0]), tiff(values), saved(Image.fromarray(values[..., 0]), "PNG"))
    wholes = [decode(data) for data in files]
    monkeypatch.setattr(decoding, "LARGE_PIXELS", 400_000)
    monkeypatch.setattr(deep_color, "SAMPLED", 1000)
    for data, whole in zip(files, wholes, strict=True):
        smaller = decode(data)
        away = np.abs(smaller.pixels.astype(int) - whole.pixels)
        assert away.max() <= 6
        assert away.mean() < 1
        assert smaller.note is not None


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
    "CMYK JPEG": saved(SMALL.convert("CMYK"), "JPEG"),
    "TGA": saved(SMALL, "TGA", compression="tga_rle"),
    "PGM": b"P5 24 18 4095\n" + bytes(range(216)) * 4,
    "text PPM": b"P3 2 2 255\n1 2 3 4 5 6 7 8 9 10 11 12\n",
    "JPEG 2000": saved(SMALL, "JPEG2000"),
    "AVIF": saved(SMALL, "AVIF"),
    "16-bit PNG": saved(Image.fromarray(np.arange(432, dtype=np.uint16).reshape(18, 24)), "PNG"),
    "16-bit color TIFF": tiff(np.arange(1296, dtype=np.uint16).reshape(18, 24, 3)),
    "float TIFF": tiff(np.arange(432, dtype=np.float32).reshape(18, 24), packed=True),
    **({"HEIC": saved(SMALL, "HEIF")} if can_read("HEIC") else {}),
    **({"JPEG XL": saved(SMALL, "JXL", use_container=True)} if can_read("JPEG XL") else {}),
}


def decode_or_refuse(data: bytes) -> DecodedImage | None:
    try:
        image = decode_image(data, size=16, max_pixels=100_000)
    except UnreadableImage as error:
        assert 0 < len(str(error)) < 250
        assert error.kind in KINDS
        assert "\n" not in str(error)
        assert " at 0x" not in str(error), "a reason that differs between two runs"
        return None
    assert image.pixels.shape == (3, 16, 16)
    assert image.width * image.height <= 100_000
    return image


@given(st.binary(max_size=300))
def test_random_bytes_never_escape(data: bytes) -> None:
    decode_or_refuse(data)


@settings(max_examples=600, deadline=None)
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
