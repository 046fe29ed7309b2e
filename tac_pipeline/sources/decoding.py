"""Decoding image files into the square of pixels that an encoder takes.

Read the header, refuse what is too large, decode, turn upright, make it RGB, resize, crop: the same as open_clip's
evaluation transform, up to rounding. Safe in threads. What must stay out: reading files (folders.py, remote.py),
normalizing (encoders/).
"""

from __future__ import annotations

import contextlib
import io
import warnings
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, UnidentifiedImageError

from tac_pipeline.errors import InputError

Pixels = npt.NDArray[np.uint8]
ResizeMode = Literal["shortest", "squash"]
Interpolation = Literal["bicubic", "bilinear"]

# Part of every encoder's fingerprint: raise it when the pixels of any image change by more than rounding.
DECODING_VERSION = 1

# Named one by one, because Pillow also reads formats that run other programs (EPS) and many that are not photos.
READABLE_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF")

# Pillow resizes columns first in images taller than twice their width; torch never does: pixels differ by up to 20.
LONGEST_FOR_TORCH = 2.0
# Above this ratio of the sides only the part inside the crop is resized: 1 x 20,000 would grow to 3 GB.
LONGEST_RESIZED_WHOLE = 20.0

# Pillow's own limit holds for the whole process and may be lower than max_pixels: decode_image checks instead.
Image.MAX_IMAGE_PIXELS = None
# Pillow warns about odd metadata, which leaves the pixels whole; torchvision warns that its decoders will be removed
# (then Pillow's are used). Filtered for the whole process, because catch_warnings is not safe in threads.
warnings.filterwarnings("ignore", module=r"PIL\.|torchvision\.io\.")


class UnreadableImage(InputError):
    """The bytes are not an image that can be decoded; the message is the reason, short enough for a table's cell.

    Attributes
    ----------
    over_limit : bool
        The image itself may be whole: it may be readable with a higher limit or more memory.
    """

    def __init__(self, reason: str, *, over_limit: bool = False) -> None:
        super().__init__(reason)
        self.over_limit = over_limit


@dataclass(frozen=True)
class DecodedImage:
    """The pixels that an encoder takes, uint8 (3, size, size), and the upright image's own width and height."""

    pixels: Pixels
    width: int
    height: int


@dataclass(frozen=True)
class _Frame:
    """How an image becomes a square: resized to width x height, then cut from (left, top)."""

    size: int
    width: int
    height: int
    left: int
    top: int


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
        A whole file: JPEG, PNG, WebP, GIF (its first frame), BMP, TIFF (its first page), PPM, AVIF.
    size : int
        Side of the square.
    max_pixels : int
        A larger image is refused from its header, before any pixel is decoded.
    resize_mode : {"shortest", "squash"}
        Bring the shorter side to `size` and cut out the center, or bring both sides to `size`.
    interpolation : {"bicubic", "bilinear"}
        Filter of the resize; always antialiased.

    Returns
    -------
    DecodedImage
        Upright (EXIF orientation applied), RGB, transparent parts shown on white.

    Raises
    ------
    UnreadableImage
        The bytes cannot be decoded. No bytes raise any other exception.
    """
    if not data:
        raise UnreadableImage("empty file (0 bytes)")
    try:
        return _decode(data, size, max_pixels, resize_mode, interpolation)
    except UnreadableImage:
        raise
    except MemoryError as error:
        raise UnreadableImage("needs more memory than there is", over_limit=True) from error
    except Exception as error:
        # Every exception, because Pillow's decoders raise nearly every built-in one on damaged bytes.
        raise UnreadableImage(_reason(error)) from error


def _decode(
    data: bytes, size: int, max_pixels: int, resize_mode: ResizeMode, interpolation: Interpolation
) -> DecodedImage:
    with Image.open(io.BytesIO(data), formats=_known_formats()) as image:
        width, height = image.size
        if width * height == 0:
            raise UnreadableImage(f"damaged: {width} x {height} pixels")
        if width * height > max_pixels:
            raise UnreadableImage(f"{width:,} x {height:,} pixels, over max_pixels ({max_pixels:,})", over_limit=True)
        pixels = _decode_jpeg(data) if image.format in ("JPEG", "MPO") and image.mode in ("RGB", "L") else None
        if pixels is None:
            image.load()
            pixels = np.array(_to_rgb(image))
        # Read after the pixels, because Pillow turns TIFF upright itself.
        pixels = _turn_upright(pixels, _orientation(image))
    height, width = pixels.shape[:2]
    return DecodedImage(_square(pixels, _frame(width, height, size, resize_mode), interpolation), width, height)


def _known_formats() -> list[str]:
    # Image.open fails on the name of a format that this Pillow was not built with.
    Image.init()
    return [name for name in READABLE_FORMATS if name in Image.OPEN]


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return f"not an image, or its header is damaged (read are {', '.join(READABLE_FORMATS)})"
    message = " ".join(str(error).split())[:160] or type(error).__name__
    if isinstance(error, EOFError) or "truncated" in message.lower():
        return "truncated: the file ends before its last pixel"
    return f"damaged: {message}"


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


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "F" or image.mode.startswith("I"):
        image = _to_eight_bits(image)
    if image.has_transparency_data:
        # The color under a transparent pixel is arbitrary, often black; a web page would show white.
        on_white = Image.new("RGBA", image.size, "white")
        on_white.alpha_composite(image.convert("RGBA"))
        image = on_white
    return image if image.mode == "RGB" else image.convert("RGB")


def _to_eight_bits(image: Image.Image) -> Image.Image:
    """A grayscale image of 16 or 32 bits as 8 bits; Pillow's own conversion clips at 255 instead."""
    values = np.asarray(image)
    finite = values[np.isfinite(values)]
    if not finite.size:
        raise UnreadableImage("damaged: no pixel holds a finite value")
    low, high = float(finite.min()), float(finite.max())
    if image.mode != "F" and low >= 0 and high < 2**16:
        low, high = 0.0, 2.0**16 - 1
    elif image.mode == "F" and low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    shares = (np.nan_to_num(values.astype(np.float64), nan=low, posinf=high, neginf=low) - low) / max(high - low, 1e-12)
    return Image.fromarray((shares * 255).round().astype(np.uint8))


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
