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
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
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
from tac_pipeline.sources.pixels.color import NEVER_RGB, color_transform, strips, to_rgb, with_profile
from tac_pipeline.sources.pixels.depth import (
    FEW_HIGH,
    SAMPLED,
    DeepColor,
    Scale,
    choose_scale,
    is_deep,
    joined,
    low_bytes_mode,
)
from tac_pipeline.sources.pixels.headers import (
    LARGEST_MEMORY,
    jpeg_2000_steps,
    jpeg_xl_size,
    may_be_tga,
    memory_to_decode,
)
from tac_pipeline.sources.pixels.repair import (
    Repaired,
    looks_half_empty,
    png_significant_bits,
    repaired_jpeg,
    repaired_png,
)

Pixels = npt.NDArray[np.uint8]
ResizeMode = Literal["shortest", "squash"]
Interpolation = Literal["bicubic", "bilinear"]

# Part of every encoder's fingerprint: raise it when the pixels of any image change by more than rounding. It stayed
# when other formats, profiles and depths became readable, so that no store is encoded again: images that a store
# holds keep their vectors, and only those that come later are decoded as now.
DECODING_VERSION = 1

# Pillow resizes columns first in images taller than twice their width; torch never does: pixels differ by up to 20.
LONGEST_FOR_TORCH = 2.0
# Above this ratio of the sides only the part inside the crop is resized: 1 x 20,000 would grow to 3 GB.
LONGEST_RESIZED_WHOLE = 20.0

# Larger images are decoded at a smaller scale, or averaged in strips, before they are resized.
LARGE_PIXELS = 64_000_000
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
class _Frame:
    """How an image becomes a square: resized to width x height, then cut from (left, top)."""

    size: int
    width: int
    height: int
    left: int
    top: int


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
        _refuse_large(jpeg_xl_size(data), target.max_pixels)
    with _opened(name, data) as image:
        _refuse_large(image.size, target.max_pixels)
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
    square = _square(pixels, _frame(wide, high, target.size, target.resize_mode), target.interpolation)
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
    image, largest = _raw_pnm(image) if name == "PNM" else (image, None)
    tiles = list(getattr(image, "tile", ()))
    image.load()
    size = (width, height) if decoded > 1 else image.size
    depth: Scale | DeepColor | None = None
    if is_deep(image):
        depth = _scale(name, image, data, largest)
    elif image.mode in ("RGB", "RGBA"):
        depth = _deep_color(name, image, data, tiles, largest)
    scale = depth.scale if isinstance(depth, DeepColor) else depth
    return to_rgb(image, factor=max(1, factor // decoded), depth=depth), size, scale.note if scale else None


def _reduction(size: tuple[int, int], side: int) -> int:
    """How many pixels become one in each direction, before the resize."""
    if size[0] * size[1] <= LARGE_PIXELS:
        return 1
    return max(1, min(size) // (KEPT_SIDES * side))


def _scale(name: str, image: Image.Image, data: bytes, largest: float | None) -> Scale:
    step = _sampling_step(image)
    parts = [np.asarray(strip)[::step, ::step].copy() for strip in strips(image, multiple=step)]
    return choose_scale(parts, image, largest=largest or _png_largest(name, data))


def _sampling_step(image: Image.Image) -> int:
    return max(1, int((image.width * image.height / SAMPLED) ** 0.5))


def _png_largest(name: str, data: bytes) -> float | None:
    bits = png_significant_bits(data) if name == "PNG" else None
    return 2.0**bits - 1 if bits else None


def _deep_color(
    name: str, image: Image.Image, data: bytes, tiles: list[Any], largest: float | None
) -> DeepColor | None:
    """What completes an image of high bytes that hold next to nothing; None where they hold the picture."""
    modes = {tile[3] if isinstance(tile[3], str) else tile[3][0] for tile in tiles if tile[3]}
    mode = low_bytes_mode(modes.pop()) if len(modes) == 1 else None
    if mode is None:
        return None
    highest = [high for _, high in image.getextrema()]  # type: ignore[misc]
    if max(highest[:3]) >= FEW_HIGH:
        return None
    _refuse_memory(9 * image.width * image.height)
    low = _opened(name, data)
    low.tile = [  # type: ignore[attr-defined]
        _with_args(tile, mode if isinstance(tile[3], str) else (mode, *tile[3][1:])) for tile in tiles
    ]
    low.load()
    step = _sampling_step(image)
    parts, top = [], 0
    for strip in strips(image, multiple=step):
        values = joined(strip, low.crop((0, top, strip.width, top + strip.height)))
        parts.append(values[::step, ::step, :3].copy())
        top += strip.height
    scale = choose_scale(parts, image, largest=largest or _png_largest(name, data), kind="16-bit")
    return DeepColor(low, scale, scaled_alpha=len(highest) == 4 and highest[3] < FEW_HIGH)


def _raw_pnm(image: Image.Image) -> tuple[Image.Image, float | None]:
    """A PNM whose largest value is not that of 8 or 16 bits, set to be read as it is; and that largest value.

    Pillow divides each value in Python: 20 seconds for 12 megapixels.
    """
    tile = image.tile[0]  # type: ignore[attr-defined]
    if tile[0] != "ppm":
        return image, None
    rawmode, largest = tile[3]
    deep = largest > 255
    raw = "I;16B" if image.mode == "I" else f"{rawmode};16B" if deep else rawmode
    image.tile = [("raw", tile[1], tile[2], (raw, 0, 1))]  # type: ignore[attr-defined]
    if deep:
        return image, float(largest)
    image.load()
    return image.point([min(255, round(v / largest * 255)) for v in range(256)] * len(image.getbands())), None


def _with_args(tile: Any, args: Any) -> Any:
    """A tile of Pillow's with other arguments for its decoder; a plain tuple before Pillow 11."""
    return tile._replace(args=args) if hasattr(tile, "_replace") else (*tile[:3], args)


def _rows_by_pillow(target: _Target) -> Callable[[bytes], Pixels]:
    """Decodes a JPEG without turning it, at a smaller scale when it is large."""

    def decode(data: bytes) -> Pixels:
        with _opened("JPEG", data) as image:
            factor = _reduction(image.size, target.size)
            if factor > 1:
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


def _frame(width: int, height: int, size: int, mode: ResizeMode) -> _Frame:
    """The square of torchvision's Resize(size) and CenterCrop(size), rounded as they round."""
    if mode == "squash":
        return _Frame(size, size, size, 0, 0)
    shorter = min(width, height)
    wide, high = int(size * width / shorter), int(size * height / shorter)
    return _Frame(size, wide, high, round((wide - size) / 2), round((high - size) / 2))


def _square(pixels: Pixels, frame: _Frame, interpolation: Interpolation) -> Pixels:
    """Resize and crop (height, width, 3) to (3, size, size)."""
    height, width = pixels.shape[:2]
    if (width, height) != (frame.width, frame.height):
        if max(width, height) > LONGEST_FOR_TORCH * min(width, height):
            return _square_by_pillow(Image.fromarray(pixels), frame, interpolation)
        pixels = _resized_by_torch(pixels, frame, interpolation)
    rows, columns = slice(frame.top, frame.top + frame.size), slice(frame.left, frame.left + frame.size)
    return np.ascontiguousarray(pixels[rows, columns].transpose(2, 0, 1))


def _resized_by_torch(pixels: Pixels, frame: _Frame, interpolation: Interpolation) -> Pixels:
    """Resize with torch's integer kernel: on uint8 twice as fast as Pillow's, and equal up to rounding."""
    import torch
    from torch.nn.functional import interpolate

    batch = torch.from_numpy(pixels).permute(2, 0, 1)[None]
    resized = interpolate(batch, (frame.height, frame.width), mode=interpolation, antialias=True)
    # Converted to numpy at once: a copy in torch would start more threads in every thread of the caller.
    array: Pixels = resized[0].permute(1, 2, 0).numpy()
    return array


def _square_by_pillow(image: Image.Image, frame: _Frame, interpolation: Interpolation) -> Pixels:
    resample = Image.Resampling[interpolation.upper()]
    right, bottom = frame.left + frame.size, frame.top + frame.size
    if max(frame.width, frame.height) > LONGEST_RESIZED_WHOLE * frame.size:
        across, down = image.width / frame.width, image.height / frame.height
        box = (frame.left * across, frame.top * down, right * across, bottom * down)
        image = image.resize((frame.size, frame.size), resample, box=box)
    else:
        image = image.resize((frame.width, frame.height), resample).crop((frame.left, frame.top, right, bottom))
    return np.ascontiguousarray(np.asarray(image).transpose(2, 0, 1))
