"""Resizing and cutting out the square that an encoder takes, as torchvision's Resize and CenterCrop do.

What must stay out: decoding, and everything about colors.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image

Pixels = npt.NDArray[np.uint8]
ResizeMode = Literal["shortest", "squash"]
Interpolation = Literal["bicubic", "bilinear"]

# Pillow resizes columns first in images taller than twice their width; torch never does: pixels differ by up to 20.
LONGEST_FOR_TORCH = 2.0
# Above this ratio of the sides only the part inside the crop is resized: 1 x 20,000 would grow to 3 GB.
LONGEST_RESIZED_WHOLE = 20.0


@dataclass(frozen=True)
class Frame:
    """How an image becomes a square: resized to width x height, then cut from (left, top)."""

    size: int
    width: int
    height: int
    left: int
    top: int


def frame_of(width: int, height: int, *, size: int, mode: ResizeMode) -> Frame:
    """The square of torchvision's Resize(size) and CenterCrop(size), rounded as they round."""
    if mode == "squash":
        return Frame(size, size, size, 0, 0)
    shorter = min(width, height)
    wide, high = int(size * width / shorter), int(size * height / shorter)
    return Frame(size, wide, high, round((wide - size) / 2), round((high - size) / 2))


def square_of(pixels: Pixels, frame: Frame, interpolation: Interpolation) -> Pixels:
    """Resize and crop (height, width, 3) to (3, size, size)."""
    height, width = pixels.shape[:2]
    if (width, height) != (frame.width, frame.height):
        if max(width, height) > LONGEST_FOR_TORCH * min(width, height):
            return _square_by_pillow(Image.fromarray(pixels), frame, interpolation)
        pixels = _resized_by_torch(pixels, frame, interpolation)
    rows, columns = slice(frame.top, frame.top + frame.size), slice(frame.left, frame.left + frame.size)
    return np.ascontiguousarray(pixels[rows, columns].transpose(2, 0, 1))


def _resized_by_torch(pixels: Pixels, frame: Frame, interpolation: Interpolation) -> Pixels:
    """Resize with torch's integer kernel: on uint8 twice as fast as Pillow's, and equal up to rounding."""
    import torch
    from torch.nn.functional import interpolate

    batch = torch.from_numpy(pixels).permute(2, 0, 1)[None]
    resized = interpolate(batch, (frame.height, frame.width), mode=interpolation, antialias=True)
    # Converted to numpy at once: a copy in torch would start more threads in every thread of the caller.
    array: Pixels = resized[0].permute(1, 2, 0).numpy()
    return array


def _square_by_pillow(image: Image.Image, frame: Frame, interpolation: Interpolation) -> Pixels:
    resample = Image.Resampling[interpolation.upper()]
    right, bottom = frame.left + frame.size, frame.top + frame.size
    if max(frame.width, frame.height) > LONGEST_RESIZED_WHOLE * frame.size:
        across, down = image.width / frame.width, image.height / frame.height
        box = (frame.left * across, frame.top * down, right * across, bottom * down)
        image = image.resize((frame.size, frame.size), resample, box=box)
    else:
        image = image.resize((frame.width, frame.height), resample).crop((frame.left, frame.top, right, bottom))
    return np.ascontiguousarray(np.asarray(image).transpose(2, 0, 1))
