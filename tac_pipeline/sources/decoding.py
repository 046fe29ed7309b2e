"""Decoding image files into the square of pixels that an encoder takes.

Read the header, refuse what is too large, decode, turn upright, make it RGB, resize, crop, bring to sRGB: the same as
open_clip's evaluation transform, up to rounding. Safe in threads. What must stay out: reading files (folders.py,
remote.py), normalizing (encoders/), which formats there are (formats.py), colors (color.py) and gray of more than
8 bits (depth.py), files without their end (repair.py).
"""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from PIL import ExifTags, Image, TiffImagePlugin, UnidentifiedImageError

from tac_pipeline.sources.formats import (
    BASE_FORMATS,
    EXTRA_FORMATS,
    HEAD_BYTES,
    REMEDY,
    UNREAD_PICTURES,
    UnreadableImage,
    pillow_names,
    sniff,
)
from tac_pipeline.sources.pixels.color import NEVER_RGB, color_transform, to_rgb, with_profile
from tac_pipeline.sources.pixels.deep_color import (
    DeepColor,
    deep_color,
    has_few_high_bytes,
    raw_pnm,
    sampled,
    tiles_of_low_bytes,
)
from tac_pipeline.sources.pixels.depth import Scale, choose_scale, is_deep
from tac_pipeline.sources.pixels.headers import (
    LARGEST_MEMORY,
    jpeg_2000_steps,
    jpeg_xl_size,
    may_be_tga,
    memory_of_jpeg_xl,
    memory_to_decode,
)
from tac_pipeline.sources.pixels.repair import Repaired, looks_half_empty, png_largest, repaired_jpeg, repaired_png
from tac_pipeline.sources.pixels.square import Interpolation, Pixels, ResizeMode, frame_of, square_of

__all__ = [
    "DECODING_VERSION",
    "DecodedImage",
    "Interpolation",
    "Pixels",
    "ResizeMode",
    "UnreadableImage",
    "decode_image",
]


# Part of every encoder's fingerprint: raise it when the pixels of any image change by more than rounding. It stayed
# when other formats, profiles and depths became readable, so that no store is encoded again: images that a store
# holds keep their vectors, and only those that come later are decoded as now.
DECODING_VERSION = 1

# Larger images are decoded at a smaller scale, or averaged in strips, before they are resized.
LARGE_PIXELS = 64_000_000
# No kind of file takes LARGEST_MEMORY for so few pixels: their estimate is not asked for.
SURELY_SMALL = 16_000_000
# How many times the square's side the shorter side keeps then: the resize still does most of the filtering.
KEPT_SIDES = 4

# Pillow's own limit holds for the whole process and may be lower than max_pixels: decode_image checks instead.
Image.MAX_IMAGE_PIXELS = None
# Pillow can convert floats of 64 bits, but its table of kinds of TIFF leaves them out.
TiffImagePlugin.OPEN_INFO.setdefault((b"II", 1, (3,), 1, (64,), ()), ("F", "F;64F"))
# Pillow warns about odd metadata, which leaves the pixels whole; torchvision warns that its decoders will be removed
# (then Pillow's are used). Filtered for the whole process, because catch_warnings is not safe in threads.
warnings.filterwarnings("ignore", module=r"PIL\.|torchvision\.io\.|pillow_jxl\.|pillow_heif\.")


@dataclass(frozen=True)
class DecodedImage:
    """An image as an encoder takes it.

    Attributes
    ----------
    pixels : uint8 (3, size, size)
        RGB, in the colors of sRGB.
    width, height : int
        Of the upright image.
    note : str or None
        A sentence about what was chosen or is missing: the range of deep gray, rows at the end. Mostly None.
    """

    pixels: Pixels
    width: int
    height: int
    note: str | None = None


@dataclass(frozen=True)
class _Target:
    """What decode_image was asked for."""

    size: int
    max_pixels: int
    resize_mode: ResizeMode
    interpolation: Interpolation


def decode_image(
    data: bytes,
    *,
    size: int,
    max_pixels: int,
    resize_mode: ResizeMode = "shortest",
    interpolation: Interpolation = "bicubic",
) -> DecodedImage:
    """Decode an image file into the square that an encoder takes (paper step 1).

    Parameters
    ----------
    data : bytes
        A whole file of a format of formats.py, known by its content; the first frame or page counts.
    size : int
        Side of the square.
    max_pixels : int
        A larger image is refused from its header, before any pixel is decoded. So is one that would take more than
        LARGEST_MEMORY.
    resize_mode : {"shortest", "squash"}
        Bring the shorter side to `size` and cut out the center, or bring both sides to `size`.
    interpolation : {"bicubic", "bilinear"}
        Filter of the resize; always antialiased.

    Returns
    -------
    DecodedImage
        Upright (EXIF orientation applied), RGB in sRGB, transparent parts shown on white.

    Raises
    ------
    UnreadableImage
        The bytes cannot be decoded. No bytes raise any other exception.
    """
    if not data:
        raise UnreadableImage("empty file (0 bytes)", kind="empty")
    target = _Target(size, max_pixels, resize_mode, interpolation)
    try:
        return _decode(data, target)
    except UnreadableImage:
        raise
    except MemoryError as error:
        raise UnreadableImage("needs more memory than there is", kind="over a limit", over_limit=True) from error
    except Exception as error:
        # Every exception, because Pillow's decoders raise nearly every built-in one on damaged bytes.
        raise _refusal(error) from error


def _decode(data: bytes, target: _Target) -> DecodedImage:
    """Decode, and once more without the damage when there is some that leaves the picture whole."""
    name = _format_of(data)
    repair = _REPAIRS.get(name)
    try:
        image, half_empty = _decode_as(name, data, target)
        if not half_empty:
            return image
        repaired = repaired_jpeg(data, _rows_by_pillow(target))
        return image if repaired.note is None else replace(image, note=repaired.note)
    except Exception as error:
        kind = error.kind if isinstance(error, UnreadableImage) else "damaged"
        if repair is None or kind != "damaged" or isinstance(error, MemoryError):
            raise
    # After the except clause, because the error holds on to all that was decoded before it.
    repaired = repair(data, target)
    image, _ = _decode_as(name, repaired.data, target)
    return image if repaired.note is None else replace(image, note=repaired.note)


def _format_of(data: bytes) -> str:
    """The file's format, when it can be decoded here."""
    content = sniff(data[:HEAD_BYTES])
    name = content.name
    if name == "unknown" and may_be_tga(data):
        name = "TGA"
    elif name == "unknown":
        known = ", ".join((*BASE_FORMATS, *EXTRA_FORMATS))
        raise UnreadableImage(f"not an image, or its header is damaged (known are {known})", kind="not an image")
    elif name in UNREAD_PICTURES:
        raise UnreadableImage(f"is {name}, a format that is not read", kind="unsupported")
    elif not content.is_image:
        raise UnreadableImage(f"is {name}, not an image", kind="not an image")
    if not pillow_names(name):
        if content.needs_extra:
            raise UnreadableImage(f"{name}: needs {REMEDY}", kind="needs an extra", over_limit=True)
        raise UnreadableImage(f"{name}: the installed Pillow was built without it", kind="unsupported", over_limit=True)
    return name


def _refusal(error: Exception) -> UnreadableImage:
    message = " ".join(str(error).split())[:160] or type(error).__name__
    if isinstance(error, EOFError) or "truncated" in message.lower():
        return UnreadableImage("truncated: the file ends before its last pixel", kind="truncated")
    return UnreadableImage(f"damaged: {message}", kind="damaged")


# --- from bytes to upright pixels -------------------------------------------------------------------------------------


def _decode_as(name: str, data: bytes, target: _Target) -> tuple[DecodedImage, bool]:
    """The image, and whether it is a JPEG that may lack its lower part."""
    if name == "JPEG XL":
        # Its plugin decodes all pixels at once.
        size = jpeg_xl_size(data)
        _refuse_large(size, target.max_pixels)
        _refuse_memory(memory_of_jpeg_xl(*size))
    with _opened(name, data) as image:
        _refuse_large(image.size, target.max_pixels)
        if name != "JPEG XL" and image.width * image.height > SURELY_SMALL:
            _refuse_memory(memory_to_decode(name, image, data, factor=_reduction(image.size, target.size)))
        color = color_transform(image) if image.mode not in NEVER_RGB else None
        note = None
        pixels = _decode_jpeg(data) if name == "JPEG" and _suits_torch(image) else None
        width, height = image.size
        if pixels is None:
            pixels, size, note = _by_pillow(name, image, data, target)
            width, height = size
        half_empty = name == "JPEG" and looks_half_empty(pixels, data, inks=image.mode not in ("RGB", "L"))
        # Read after the pixels, because Pillow turns TIFF upright itself.
        orientation = 1 if name == "JPEG XL" and not getattr(image, "jpeg", False) else _orientation(image)
        pixels = _turn_upright(pixels, orientation)
        if _TURNS.get(orientation, (False, ()))[0]:
            width, height = height, width
    high, wide = pixels.shape[:2]
    frame = frame_of(wide, high, size=target.size, mode=target.resize_mode)
    square = square_of(pixels, frame, target.interpolation)
    return DecodedImage(square if color is None else with_profile(square, color), width, height, note), half_empty


def _opened(name: str, data: bytes) -> Image.Image:
    try:
        return Image.open(io.BytesIO(data), formats=pillow_names(name))
    except UnidentifiedImageError:
        pass
    # Pillow's message names no reason; that of its reader for the one format does.
    try:
        Image.OPEN[pillow_names(name)[0]][0](io.BytesIO(data), "")
    except Exception as error:
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        if "unknown" in reason or "unsupported" in reason.lower() or isinstance(error, NotImplementedError):
            raise UnreadableImage(f"{name} of a kind that is not read: {reason}", kind="unsupported") from error
        raise UnreadableImage(f"damaged: its header ({reason})", kind="damaged") from error
    raise UnreadableImage("damaged: its header", kind="damaged")


def _refuse_large(size: tuple[int, int], max_pixels: int) -> None:
    width, height = size
    if width * height == 0:
        raise UnreadableImage(f"damaged: {width} x {height} pixels", kind="damaged")
    if width * height > max_pixels:
        raise UnreadableImage(
            f"{width:,} x {height:,} pixels, over max_pixels ({max_pixels:,})", kind="over a limit", over_limit=True
        )


def _refuse_memory(memory: int) -> None:
    if memory > LARGEST_MEMORY:
        raise UnreadableImage(
            f"would take {memory / 1e9:.1f} GB to decode, over the limit of {LARGEST_MEMORY / 1e9:.0f} GB",
            kind="over a limit",
            over_limit=True,
        )


def _suits_torch(image: Image.Image) -> bool:
    return image.mode in ("RGB", "L") and image.width * image.height <= LARGE_PIXELS


def _by_pillow(
    name: str, image: Image.Image, data: bytes, target: _Target
) -> tuple[Pixels, tuple[int, int], str | None]:
    """Pixels (height, width, 3), fewer for a large image; its own width and height; and a note."""
    width, height = image.size
    factor = _reduction(image.size, target.size)
    decoded = 1
    if factor > 1 and name == "JPEG":
        image.draft(None, (-(-width // factor), -(-height // factor)))
        decoded = max(1, round(width / image.width))
    elif name == "JPEG 2000" and (steps := jpeg_2000_steps(image, data, factor=factor)):
        image.reduce = steps  # type: ignore[assignment, method-assign]
        decoded = 2**steps
    largest = png_largest(data) if name == "PNG" else None
    if name == "PNM":
        image, largest = raw_pnm(image)
    tiles = list(getattr(image, "tile", ()))
    image.load()
    size = (width, height) if decoded > 1 else image.size
    depth: Scale | DeepColor | None = None
    if is_deep(image):
        depth = choose_scale(sampled(image), image, largest=largest)
    elif (low_tiles := tiles_of_low_bytes(tiles)) and has_few_high_bytes(image):
        # Both halves at once, and the values that are made of them.
        _refuse_memory(9 * width * height)
        low = _opened(name, data)
        low.tile = low_tiles  # type: ignore[attr-defined]
        low.load()
        depth = deep_color(image, low, largest=largest)
    scale = depth.scale if isinstance(depth, DeepColor) else depth
    return to_rgb(image, factor=max(1, factor // decoded), depth=depth), size, scale.note if scale else None


def _reduction(size: tuple[int, int], side: int) -> int:
    """How many pixels become one in each direction, before the resize."""
    if size[0] * size[1] <= LARGE_PIXELS:
        return 1
    return max(1, min(size) // (KEPT_SIDES * side))


def _rows_by_pillow(target: _Target) -> Callable[[bytes], Pixels]:
    """Decodes a JPEG without turning it, at a smaller scale when it is large: two copies are compared."""

    def decode(data: bytes) -> Pixels:
        with _opened("JPEG", data) as image:
            _refuse_large(image.size, target.max_pixels)
            factor = max(_reduction(image.size, target.size), 2 if image.width * image.height > LARGE_PIXELS / 4 else 1)
            image.draft(None, (-(-image.width // factor), -(-image.height // factor)))
            image.load()
            return np.asarray(image.convert("RGB"))

    return decode


def _repaired_jpeg(data: bytes, target: _Target) -> Repaired:
    return repaired_jpeg(data, _rows_by_pillow(target))


def _repaired_png(data: bytes, target: _Target) -> Repaired:
    return repaired_png(data)


_REPAIRS: dict[str, Callable[[bytes, _Target], Repaired]] = {"JPEG": _repaired_jpeg, "PNG": _repaired_png}


def _decode_jpeg(data: bytes) -> Pixels | None:
    """(height, width, 3) by torchvision, up to twice as fast as Pillow; None when it is absent or refuses."""
    # Pillow decides about damage: it reads files that lack only their end mark, and says what is wrong with others.
    with contextlib.suppress(ImportError, RuntimeError, Warning):
        import torch
        from torchvision.io import ImageReadMode, decode_jpeg

        # A bytearray, because torch warns about tensors over read-only memory.
        decoded = decode_jpeg(torch.frombuffer(bytearray(data), dtype=torch.uint8), mode=ImageReadMode.RGB)
        pixels: Pixels = decoded.permute(1, 2, 0).numpy()
        return pixels
    return None


# EXIF orientation: whether rows and columns are swapped, and then which axes are flipped, to turn the image upright.
_TURNS: dict[int, tuple[bool, tuple[int, ...]]] = {
    2: (False, (1,)),
    3: (False, (0, 1)),
    4: (False, (0,)),
    5: (True, ()),
    6: (True, (1,)),
    7: (True, (0, 1)),
    8: (True, (0,)),
}


def _orientation(image: Image.Image) -> int:
    try:
        found = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # noqa: BLE001 - damaged metadata raises as many kinds, and the pixels may be whole
        return 1
    return found if isinstance(found, int) else 1


def _turn_upright(pixels: Pixels, orientation: int) -> Pixels:
    swapped, flips = _TURNS.get(orientation, (False, ()))
    return np.ascontiguousarray(np.flip(pixels.swapaxes(0, 1) if swapped else pixels, flips))
