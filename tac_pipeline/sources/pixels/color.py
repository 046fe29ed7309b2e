"""Any mode of Pillow's images as RGB on white, and colors of an embedded profile as sRGB.

What must stay out: the choice of a range for more than 8 bits (depth.py), reading files (decoding.py).
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PIL import Image

from tac_pipeline.sources.pixels.deep_color import DeepColor
from tac_pipeline.sources.pixels.depth import Scale
from tac_pipeline.sources.pixels.strips import strips

if TYPE_CHECKING:
    from PIL.ImageCms import ImageCmsTransform

Pixels = npt.NDArray[np.uint8]

# Profiles that change no color by more levels of 255 than this are sRGB by another name.
SAME_COLOR = 2
LARGEST_PROFILE = 8_000_000

# The modes that a profile's own color space describes.
_MODES_OF_SPACE = {
    "RGB": ("RGB", "RGBA", "RGBX", "RGBa", "P", "PA"),
    "GRAY": ("L", "LA", "La", "1", "I", "I;16", "I;16B", "F"),
    "CMYK": ("CMYK",),
}
# Colors of these modes must be turned into sRGB before anything else; those of all others once the image is small.
NEVER_RGB = ("CMYK", "LAB")
_TRANSFORM_MODES = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}


def to_rgb(image: Image.Image, *, factor: int = 1, depth: Scale | DeepColor | None = None) -> Pixels:
    """The image as RGB, transparent parts on white.

    Parameters
    ----------
    image : PIL image
        Loaded, of any mode.
    factor : int
        Each square of so many pixels becomes one, their mean.
    depth : Scale or DeepColor, optional
        For gray, or colors, of more than 8 bits.

    Returns
    -------
    uint8 (height, width, 3), both sides divided by `factor` and rounded up
    """
    width, height = image.size
    pixels = np.empty((-(-height // factor), -(-width // factor), 3), dtype=np.uint8)
    row = top = 0
    for strip in strips(image, multiple=factor):
        rgb = _strip_to_rgb(strip, depth, top)
        top += strip.height
        part = np.asarray(rgb.reduce(factor) if factor > 1 else rgb)
        pixels[row : row + len(part)] = part
        row += len(part)
    return pixels


def _strip_to_rgb(image: Image.Image, depth: Scale | DeepColor | None, top: int) -> Image.Image:
    if isinstance(depth, DeepColor):
        image = depth.strip(image, top)
    elif depth is not None:
        image = Image.fromarray(depth.apply(np.asarray(image)))
    if image.mode == "La":
        image = image.convert("LA")
    if image.has_transparency_data:
        # The color under a transparent pixel is arbitrary, often black; a web page would show white.
        on_white = Image.new("RGBA", image.size, "white")
        on_white.alpha_composite(image.convert("RGBA"))
        image = on_white
    if image.mode in NEVER_RGB and (transform := color_transform(image)):
        return _applied(image, transform)
    return image if image.mode == "RGB" else image.convert("RGB")


def color_transform(image: Image.Image) -> ImageCmsTransform | None:
    """What turns the colors of the image's embedded profile into sRGB; None without a usable one, or for sRGB."""
    if image.mode == "LAB":
        return _lab_transform()
    profile = image.info.get("icc_profile")
    if not isinstance(profile, bytes) or not 0 < len(profile) <= LARGEST_PROFILE:
        return None
    found = _profile_transform(profile)
    return found[1] if found is not None and image.mode in _MODES_OF_SPACE[found[0]] else None


@lru_cache(maxsize=16)
def _profile_transform(profile: bytes) -> tuple[str, ImageCmsTransform] | None:
    """The profile's color space and the way from there to sRGB."""
    try:
        return _build_transform(profile)
    except Exception:  # noqa: BLE001 - a damaged profile, or a Pillow without color management; the pixels are whole
        return None


def _build_transform(profile: bytes) -> tuple[str, ImageCmsTransform] | None:
    import io

    from PIL import ImageCms

    opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    space = opened.profile.xcolor_space.strip()
    if space not in _TRANSFORM_MODES:
        return None
    transform = ImageCms.buildTransform(
        opened,
        ImageCms.createProfile("sRGB"),
        _TRANSFORM_MODES[space],
        "RGB",
        ImageCms.Intent.RELATIVE_COLORIMETRIC,
        ImageCms.Flags.BLACKPOINTCOMPENSATION | ImageCms.Flags.NOCACHE,
    )
    if space != "CMYK":
        probe = _probe(_TRANSFORM_MODES[space])
        changed = np.asarray(_applied(probe, transform), dtype=int)
        if np.abs(changed - np.asarray(probe.convert("RGB"), dtype=int)).max() <= SAME_COLOR:
            return None
    return space, transform


def _probe(mode: str) -> Image.Image:
    """Colors from all over the space."""
    if mode == "L":
        return Image.fromarray(np.arange(256, dtype=np.uint8)[None])
    steps = np.linspace(0, 255, 9).astype(np.uint8)
    return Image.fromarray(np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(1, -1, 3))


@lru_cache(maxsize=1)
def _lab_transform() -> ImageCmsTransform | None:
    from PIL import ImageCms

    return ImageCms.buildTransform(
        ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), "LAB", "RGB", flags=ImageCms.Flags.NOCACHE
    )


def with_profile(pixels: Pixels, transform: ImageCmsTransform) -> Pixels:
    """(3, height, width) RGB or gray pixels of a profile as sRGB."""
    gray = transform.input_mode == "L"
    image = Image.fromarray(pixels[0] if gray else np.ascontiguousarray(pixels.transpose(1, 2, 0)))
    return np.ascontiguousarray(np.asarray(_applied(image, transform)).transpose(2, 0, 1))


def _applied(image: Image.Image, transform: ImageCmsTransform) -> Image.Image:
    """A new image; Pillow's own function may also return None, as it does when asked to change the image in place."""
    result = Image.new(transform.output_mode, image.size)
    transform.apply(image, result)
    return result
