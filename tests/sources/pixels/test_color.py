"""Colors: profiles against their definition, CMYK against its inks, transparency against white, in strips or whole."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from picture_files import P3_PRIMARIES, SRGB_PRIMARIES, gray_profile, rgb_profile, saved, smooth, to_srgb
from PIL import Image, ImageCms

from tac_pipeline.sources.decoding import decode_image
from tac_pipeline.sources.formats import can_read
from tac_pipeline.sources.pixels import strips as pieces
from tac_pipeline.sources.pixels.color import color_transform, to_rgb
from tac_pipeline.sources.pixels.strips import strips

PICTURE = smooth(32, 32, seed=4)
# Not at the edge of either space, where colors are cut off.
INNER = Image.fromarray((np.asarray(PICTURE) * 0.5 + 60).astype(np.uint8))
P3 = rgb_profile(P3_PRIMARIES)
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def decode(data: bytes) -> np.ndarray:
    """(3, 32, 32)"""
    return decode_image(data, size=32, max_pixels=10_000_000).pixels.astype(int)


LOSSLESS = {
    "PNG": {},
    "TIFF": {},
    "JPEG": {"quality": 100, "subsampling": 0},
    "WEBP": {"lossless": True},
    "AVIF": {"quality": 100, "subsampling": "4:4:4"},
    "HEIF": {"quality": 100, "chroma": 444},
}


@pytest.mark.parametrize("kind", LOSSLESS)
def test_colors_of_a_profile_become_srgb(kind: str) -> None:
    if kind == "HEIF" and not can_read("HEIC"):
        pytest.skip("no package that writes HEIC")
    plain = decode(saved(INNER, kind, **LOSSLESS[kind]))
    found = decode(saved(INNER, kind, icc_profile=P3, **LOSSLESS[kind]))
    expected = to_srgb(plain.transpose(1, 2, 0).astype(float), P3_PRIMARIES).transpose(2, 0, 1)
    assert np.abs(found - expected).max() <= 2
    assert np.abs(found - plain).max() > 15, "the profile changes nothing: the test shows nothing"


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
@pytest.mark.parametrize(
    "profile",
    [SRGB, b"no profile", P3[:200], gray_profile(gamma=1.0), P3.replace(b"RGB ", b"7CLR")],
    ids=["sRGB", "text", "cut", "of another mode", "of another space"],
)
def test_a_profile_that_is_srgb_or_broken_changes_nothing(kind: str, profile: bytes) -> None:
    np.testing.assert_array_equal(
        decode(saved(PICTURE, kind, icc_profile=profile)), decode(saved(PICTURE, kind, icc_profile=b""))
    )


def test_srgb_by_another_name_needs_no_conversion() -> None:
    assert color_transform(with_profile_info(PICTURE, SRGB)) is None
    assert color_transform(with_profile_info(PICTURE, P3)) is not None
    assert color_transform(with_profile_info(PICTURE, rgb_profile(SRGB_PRIMARIES, gamma=1.0))) is not None


def with_profile_info(image: Image.Image, profile: bytes) -> Image.Image:
    image = image.copy()
    image.info["icc_profile"] = profile
    return image


def test_a_gray_profile_is_applied_to_grays() -> None:
    gray = INNER.convert("L")
    found = decode(saved(gray, "PNG", icc_profile=gray_profile(gamma=1.0)))
    linear = np.asarray(gray) / 255
    expected = 255 * (1.055 * linear ** (1 / 2.4) - 0.055)
    assert np.abs(found[0] - expected).max() <= 2
    assert (found[0] == found[2]).all()


def test_a_palette_and_an_alpha_channel_have_profiles_too() -> None:
    flat = Image.new("RGB", (32, 32), (200, 80, 60))
    expected = to_srgb(np.array([200.0, 80, 60]), P3_PRIMARIES)
    clear = flat.convert("RGBA")
    clear.putpixel((0, 0), (0, 0, 0, 0))
    for image in (flat.quantize(4), clear):
        found = decode(saved(image, "PNG", icc_profile=P3))
        assert np.abs(found[:, 20, 20] - expected).max() <= 2
    assert (decode(saved(clear, "PNG", icc_profile=P3))[:, 0, 0] >= 254).all()


def test_lab_becomes_rgb() -> None:
    to_lab = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB")
    lab = ImageCms.applyTransform(INNER, to_lab)
    assert lab is not None
    assert np.abs(decode(saved(lab, "TIFF")) - np.asarray(INNER).transpose(2, 0, 1)).mean() < 3


# --- inks -------------------------------------------------------------------------------------------------------------


def ycck(image: Image.Image) -> bytes:
    """A JPEG of four channels as Photoshop writes it: the inks of CMYK, inverted, as brightness and colors."""
    inks = np.asarray(image.convert("CMYK"))
    # The format inverts colors once more: what is coded as red is the ink cyan.
    rgb = Image.fromarray(np.ascontiguousarray(inks[..., :3]))
    coded = np.dstack([np.asarray(rgb.convert("YCbCr")), 255 - inks[..., 3]])
    # Pillow inverts what it is given, and marks it as plain inks.
    data = bytearray(saved(Image.frombytes("CMYK", image.size, (255 - coded).tobytes()), "JPEG", quality=100))
    place = data.index(b"Adobe")
    data[place + 11] = 2
    return bytes(data)


def test_inks_are_turned_into_colors_however_they_are_coded() -> None:
    expected = np.asarray(PICTURE.convert("CMYK").convert("RGB")).transpose(2, 0, 1).astype(int)
    plain = saved(PICTURE.convert("CMYK"), "JPEG", quality=100, subsampling=0)
    assert np.abs(decode(plain) - expected).mean() < 1.5
    assert np.abs(decode(ycck(PICTURE)) - expected).mean() < 3
    assert np.abs(decode(saved(PICTURE.convert("CMYK"), "TIFF")) - expected).max() == 0


# --- strips -----------------------------------------------------------------------------------------------------------


@given(
    st.integers(1, 40),
    st.integers(1, 40),
    st.integers(1, 300),
    st.integers(1, 4),
    st.sampled_from(["1", "L", "P", "RGB", "LA", "RGBA", "CMYK"]),
)
def test_strips_never_change_the_result(wide: int, high: int, pixels: int, factor: int, mode: str) -> None:
    image = smooth(wide, high).convert(mode)
    whole = to_rgb(image, factor=factor)
    before = pieces.STRIP_PIXELS
    pieces.STRIP_PIXELS = pixels
    try:
        parts = list(strips(image, multiple=factor))
        np.testing.assert_array_equal(to_rgb(image, factor=factor), whole)
    finally:
        pieces.STRIP_PIXELS = before
    assert sum(part.height for part in parts) == high
    assert all(part.height % factor == 0 for part in parts[:-1])
    assert whole.shape == (-(-high // factor), -(-wide // factor), 3)


def test_a_reduced_image_is_the_mean_of_its_squares() -> None:
    image = smooth(40, 24)
    means = np.asarray(image).reshape(6, 4, 10, 4, 3).mean(axis=(1, 3))
    assert np.abs(to_rgb(image, factor=4) - means).max() <= 0.51


def test_an_alpha_of_sixteen_bit_grays_shows_white() -> None:
    buffer = io.BytesIO()
    Image.new("LA", (8, 8), (0, 0)).save(buffer, "PNG")
    assert (decode(buffer.getvalue()) == 255).all()
