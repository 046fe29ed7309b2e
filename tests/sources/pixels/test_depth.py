"""More than 8 bits: the picture comes out as its 8-bit version does, whatever range its values are in."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from picture_files import png, png_chunk, saved, smooth, tiff
from PIL import Image

from tac_pipeline.sources.decoding import DecodedImage, UnreadableImage, decode_image
from tac_pipeline.sources.pixels.deep_color import low_bytes_mode
from tac_pipeline.sources.pixels.depth import choose_scale

COLORS = np.asarray(smooth(61, 47, seed=1)).copy()
COLORS[:3, :3], COLORS[-3:, -3:] = 0, 255
GRAY = COLORS[..., 0]
WIDE = GRAY.astype(np.float64)


def decode(data: bytes, size: int = 32) -> DecodedImage:
    return decode_image(data, size=size, max_pixels=10_000_000)


def away(data: bytes, picture: np.ndarray = GRAY) -> float:
    """The mean difference to the 8-bit picture, in levels."""
    expected = decode(saved(Image.fromarray(picture), "PNG")).pixels
    return float(np.abs(decode(data).pixels.astype(int) - expected).mean())


def as_files(values: np.ndarray) -> dict[str, bytes]:
    """The same 16-bit values in every kind of file."""
    deepest, kind = int(values.max()), b"P6" if values.ndim == 3 else b"P5"
    size = b"%d %d" % values.shape[1::-1]
    declared = b"%s %s %d\n" % (kind, size, deepest) + values.astype(">u2").tobytes()
    return {
        "PNG": png(values),
        "TIFF": tiff(values),
        "TIFF, Motorola": tiff(values, order=">"),
        "TIFF, packed": tiff(values, packed=True),
        "TIFF, packed, Motorola": tiff(values, order=">", packed=True),
        "PNM": b"%s %s 65535\n" % (kind, size) + values.astype(">u2").tobytes(),
        # Up to 255, a PNM has one byte a value.
        **({"PNM with its depth": declared} if deepest > 255 else {}),
    }


@pytest.mark.parametrize("factor,bits", [(257, 16), (64, 14), (16, 12), (4, 10), (1, 8)])
@pytest.mark.parametrize("picture", [GRAY, COLORS], ids=["gray", "color"])
def test_any_depth_in_sixteen_bits_shows_the_picture(picture: np.ndarray, factor: int, bits: int) -> None:
    for kind, data in as_files(picture.astype(np.uint16) * factor).items():
        assert away(data, picture) < 1, (kind, bits)
        note = decode(data).note
        if factor == 257:
            assert note is None
        else:
            assert note == f"16-bit values from 0 to {255 * factor:,} were brought to 8 bits", kind


def test_an_alpha_channel_may_have_all_bits_or_the_colors_depth() -> None:
    for opaque in (65535, 4095):
        values = np.dstack([COLORS.astype(np.uint16) * 16, np.full_like(GRAY, opaque, dtype=np.uint16)])
        for data in (png(values), tiff(values)):
            assert away(data, COLORS) < 1


def test_colors_of_sixteen_bits_stay_as_pillow_gives_them() -> None:
    values = np.random.default_rng(0).integers(0, 65536, (32, 32, 3), dtype=np.uint16)
    image = decode(png(values))
    np.testing.assert_array_equal(image.pixels, (values >> 8).transpose(2, 0, 1))
    assert image.note is None


@given(st.integers(0, 99), st.integers(16_384, 65_535))
def test_gray_of_all_sixteen_bits_stays_as_it_is(seed: int, brightest: int) -> None:
    values = np.random.default_rng(seed).integers(0, brightest + 1, (32, 32)).astype(np.uint16)
    values[0] = brightest
    image = decode(tiff(values))
    assert np.abs(image.pixels[0] - values / 257).max() <= 0.51
    assert image.note is None


@pytest.mark.parametrize(
    "values",
    [
        (WIDE * 16).astype(np.int16),
        (WIDE * 128).astype(np.int16),
        (WIDE * 12 - 1024).astype(np.int16),
        (WIDE * 16).astype(np.int32),
        (WIDE * 1000 - 7).astype(np.int32),
        (WIDE * 16).astype(np.uint32),
        (WIDE * 16_843_009).astype(np.uint32),
        (WIDE / 255).astype(np.float32),
        WIDE / 255,
        (WIDE / 2550).astype(np.float32),
        (WIDE * 0.03 - 4).astype(np.float32),
        WIDE.astype(np.float32),
    ],
    ids=lambda values: f"{values.dtype} to {values.max():.4g}",
)
def test_numbers_of_every_type_show_the_picture(values: np.ndarray) -> None:
    assert away(tiff(values)) < 1
    assert away(tiff(values, packed=True)) < 1


@pytest.mark.parametrize("mark", [np.nan, np.inf, -np.inf, -9999, -3.4e38, -32768])
@pytest.mark.parametrize("low,high", [(0, 1), (-3, 3), (100, 4000)])
def test_floats_without_a_value_do_not_hide_the_others(mark: float, low: float, high: float) -> None:
    values = (WIDE / 255 * (high - low) + low).astype(np.float32)
    values[:10] = mark
    shown = decode(tiff(values), 47)
    kept = decode(tiff(values[10:]), 37)
    # The same rows with and without the marked ones above them.
    assert np.ptp(shown.pixels[0, 14:].astype(int)) > 200
    assert np.ptp(kept.pixels[0].astype(int)) > 200
    assert shown.note
    assert "21.3 % of the pixels hold no value" in shown.note


def test_a_mark_that_the_file_declares_is_no_value() -> None:
    values = (WIDE / 255 * 50 + 200).astype(np.float32)
    values[:10] = 203.25
    tags = {42113: (2, list(b"203.25\0"))}
    assert "hold no value" not in (decode(tiff(values)).note or "")
    image = decode(tiff(values, tags=tags), 47)
    assert "21.3 % of the pixels hold no value" in (image.note or "")
    assert image.pixels[:, :9].max() == 0


def test_a_depth_map_shows_its_distances_beside_its_marks() -> None:
    values = (30_000 + WIDE * 4).astype(np.uint16)
    values[:5], values[5:10] = 0, 65535
    image = decode(tiff(values), 47)
    assert "from 30,0" in (image.note or "")
    assert "to 31,020" in (image.note or "")
    assert "21.3 %" in (image.note or "")
    assert np.ptp(image.pixels[0, 12:].astype(int)) > 200


def test_a_mask_of_black_and_white_stays_one() -> None:
    values = np.where(GRAY > 127, 65535, 0).astype(np.uint16)
    image = decode(tiff(values), 47)
    assert image.note is None
    assert {0, 255} <= set(np.unique(image.pixels))


def test_few_labels_are_told_apart() -> None:
    values = (GRAY // 64).astype(np.uint16)
    assert np.ptp(decode(tiff(values)).pixels.astype(int)) == 255


def test_a_hot_pixel_does_not_make_the_rest_black() -> None:
    values = (np.asarray(smooth(200, 150).convert("L")).astype(np.uint16)) * 16
    values[75, 100] = 60_000
    assert decode(png(values)).pixels.mean() == pytest.approx(
        decode(saved(smooth(200, 150).convert("L"), "PNG")).pixels.mean(), abs=2
    )


def test_white_may_be_zero() -> None:
    assert away(tiff(65535 - GRAY.astype(np.uint16) * 257, tags={262: (3, [0])})) < 0.1


def test_the_headers_bits_count() -> None:
    dark = (GRAY // 4).astype(np.uint16) * 16
    told = png(dark, before=png_chunk(b"sBIT", b"\x0c"))
    assert away(told, GRAY // 4) < 1.5
    assert away(tiff(dark, tags={281: (3, [4095])}), GRAY // 4) < 1.5
    # Of sixteen bits with twelve that count, all are used.
    full = GRAY.astype(np.uint16) * 257
    assert away(png(full, before=png_chunk(b"sBIT", b"\x0c"))) < 0.1


def test_a_pnm_of_fewer_values_is_scaled_as_pillow_scales_it() -> None:
    data = b"P6 61 47 100\n" + (COLORS // 3).tobytes()
    values = np.round(COLORS // 3 / 100 * 255).clip(0, 255).astype(np.uint8)
    assert away(data, values) == 0


def test_no_value_at_all_is_damage() -> None:
    with pytest.raises(UnreadableImage, match="no pixel holds a finite value") as caught:
        decode(tiff(np.full((9, 9), np.nan, dtype=np.float32)))
    assert caught.value.kind == "damaged"


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 65535), st.integers(0, 65535), st.integers(0, 9))
def test_no_picture_comes_out_black_or_white(wide: int, high: int, one: int, other: int, seed: int) -> None:
    values = np.random.default_rng(seed).integers(min(one, other), max(one, other) + 1, (high, wide)).astype(np.uint16)
    low, top = values.min(), values.max()
    scale = choose_scale([values], Image.fromarray(values))
    shown = scale.apply(values)
    assert shown.shape == values.shape
    # Order is kept, and values that differ by much differ.
    order = np.argsort(values, axis=None, kind="stable")
    assert (np.diff(shown.ravel()[order].astype(int)) >= 0).all()
    if top > low:
        assert int(shown.max()) - int(shown.min()) >= 31


@pytest.mark.parametrize("mode,low", [("RGB;16B", "RGB;16L"), ("RGBA;16L", "RGBA;16B"), ("RGB", None), (None, None)])
def test_low_bytes_are_read_by_the_other_order(mode: str | None, low: str | None) -> None:
    assert low_bytes_mode(mode) == low
