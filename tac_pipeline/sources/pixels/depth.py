"""Gray images of more than 8 bits, brought to 8 bits by the values that are in them.

Many files hold 10 or 12 bits in 16, distances in millimeters, or floats with marks for "no value": cut at 8 bits
they would be black or white. What must stay out: color and transparency (color.py).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from tac_pipeline.sources.formats import UnreadableImage

Values = npt.NDArray[Any]

# The largest values of the depths that cameras and scanners have: the smallest that holds a picture's values is its.
TOPS = (255, 1023, 4095, 16383, 65535)
# Values that fill a smaller part of their range are stretched. An 8-bit picture of that range has 32 levels of gray.
FILLED_PART = 1 / 8
# Outside these percentiles lie hot pixels.
PERCENTILES = (0.02, 99.98)
# Values that programs write where there is none. Set aside only where they lie far from all others.
MARKS = (0, -1, -99, -999, -9999, -99999, -32767, -32768, -(2**31), 32767, 65535, 99999, 2**31 - 1, 2**32 - 1)
# Floats beyond this are marks too, such as the lowest float32.
LARGEST_VALUE = 1e30
# With fewer levels beside it, a far value is part of the picture: a mask of 0 and 65,535.
FEWEST_LEVELS = 16

TIFF_BITS, TIFF_WHITE_IS_ZERO, TIFF_LARGEST, TIFF_SAMPLE, TIFF_NO_DATA = 258, 262, 281, 339, 42113


@dataclass(frozen=True)
class Scale:
    """How values become 8 bits: `low` is black and `high` is white.

    Attributes
    ----------
    inverted : bool
        `low` is white.
    no_value : float or None
        The mark that the file itself declares; black, as NaN is.
    unsigned : bool
        The file's 32 bits have no sign; Pillow gives them as if they had one.
    note : str or None
        What was chosen, as a sentence; None when nothing was.
    """

    low: float
    high: float
    inverted: bool = False
    no_value: float | None = None
    unsigned: bool = False
    note: str | None = None

    def apply(self, values: Values) -> npt.NDArray[np.uint8]:
        """Scale values of any number type; uint8 of the same shape."""
        values = (values.view(np.uint32) if self.unsigned else values).astype(np.float64)
        absent = np.isnan(values)
        if self.no_value is not None:
            absent |= values == self.no_value
        # Clipped before the subtraction: the lowest float minus another overflows.
        shares = (np.clip(values, self.low, self.high) - self.low) / max(self.high - self.low, 1e-12)
        if self.inverted:
            shares = 1 - shares
        shares[absent] = 0
        return (shares * 255).round().astype(np.uint8)


def is_deep(image: Image.Image) -> bool:
    """Whether it is gray with more than 8 bits, as Pillow gives it."""
    return image.mode == "F" or image.mode.startswith("I")


def choose_scale(
    parts: Iterable[Values], image: Image.Image, *, largest: float | None = None, kind: str | None = None
) -> Scale:
    """Choose the range of a gray image of more than 8 bits.

    Parameters
    ----------
    parts : arrays of values
        Together the image, or every so many-th value of it.
    image : PIL image
        For what its header tells: its number type, the largest value, the mark for no value.
    largest : float, optional
        The largest value that the file says it may have.
    kind : str, optional
        The number type in words, where the image's mode does not tell it.

    Returns
    -------
    Scale
        From 0 to the largest value of the sensor's depth that holds all values, or to the largest value that is there
        when that is less than half. Only the values' own range where they fill less than FILLED_PART of the depth or
        some are negative. Floats from 0 to 1 and values of all 16 bits keep their range.

    Raises
    ------
    UnreadableImage
        No pixel holds a value.
    """
    values = np.concatenate([np.ravel(part) for part in parts])
    kind = kind or _type(image)
    unsigned = kind.startswith("unsigned") and values.dtype == np.int32
    values = values.view(np.uint32) if unsigned else values
    no_value = _number(image, TIFF_NO_DATA)
    usable = np.isfinite(values) & (np.abs(values.astype(np.float64)) < LARGEST_VALUE)
    if no_value is not None:
        usable &= values != no_value
    there = values[usable].astype(np.float64)
    if not there.size:
        raise UnreadableImage("damaged: no pixel holds a finite value", kind="damaged")
    lowest = there.min()
    there = _without_marks(there)
    low, high = (float(value) for value in np.percentile(there, PERCENTILES, method="nearest"))
    declared = _declared(image, high, kind=kind, largest=largest)
    top = declared or _top(high, kind=kind)
    chosen = (0.0, top)
    flat = low == high
    dim = high < FILLED_PART if top == 1 else high - low < top * FILLED_PART
    if low < 0 or high > top or (dim and not flat):
        chosen = (low, high)
    elif high < top / 2 and top not in (declared, _full_range(kind)) and not flat:
        # The depths are a factor of 4 apart: a picture in the lower half of one is too dark in it.
        chosen = (0.0, high)
    inverted = _number(image, TIFF_WHITE_IS_ZERO) == 0
    absent = 1 - there.size / values.size
    notes = []
    if chosen != (0.0, _full_range(kind)):
        notes.append(f"{kind} values from {_shown(low)} to {_shown(high)} were brought to 8 bits")
    if absent and (notes or not usable.all() or lowest < 0 <= low):
        notes.append(f"{max(absent, 0.001):.1%} of the pixels hold no value".replace("%", " %"))
    return Scale(*chosen, inverted, no_value, unsigned, "; ".join(notes) or None)


def _without_marks(values: Values) -> Values:
    """The values without marks for "no value" at either end, farther from all others than those are wide."""
    levels = np.unique(values)
    first, last = 0, len(levels) - 1
    if last - first > FEWEST_LEVELS and levels[0] in MARKS and levels[1] - levels[0] > levels[last] - levels[1]:
        first = 1
    if (
        last - first > FEWEST_LEVELS
        and levels[last] in MARKS
        and levels[last] - levels[last - 1] > levels[last - 1] - levels[first]
    ):
        last -= 1
        # Far at both ends, the lower mark shows only when the upper one is gone.
        if first == 0 and levels[0] in MARKS and levels[1] - levels[0] > levels[last] - levels[1]:
            first = 1
    inside: Values = values[(values >= levels[first]) & (values <= levels[last])]
    return inside


def _declared(image: Image.Image, high: float, *, kind: str, largest: float | None) -> float | None:
    """The largest value that the file says it may have, where its values keep to that."""
    told = largest or _number(image, TIFF_LARGEST)
    return told if told is not None and 0 < told < _full_range(kind) and high <= told else None


def _top(high: float, *, kind: str) -> float:
    """White, where the values fill enough of the range up to it."""
    if kind == "float" and high <= 1:
        return 1.0
    tops = sorted({*TOPS, _full_range(kind)}) if kind == "signed 16-bit" else TOPS
    return float(next((top for top in tops if high <= top), high))


def _type(image: Image.Image) -> str:
    """The number type of the file in words, such as "16-bit"; Pillow's modes do not tell them apart."""
    if image.mode == "F":
        return "float"
    if image.mode.startswith("I;16"):
        return "16-bit"
    bits, sample = _number(image, TIFF_BITS), _number(image, TIFF_SAMPLE)
    if bits == 16:
        return "signed 16-bit"
    # PNG and PPM of 16 bits come in this mode too, in some versions of Pillow.
    return "unsigned 32-bit" if bits == 32 and sample in (None, 1) else "32-bit" if bits == 32 else "16-bit"


def _full_range(kind: str) -> float:
    return {"float": 1.0, "signed 16-bit": 2.0**15 - 1}.get(kind, 2.0**16 - 1)


def _number(image: Image.Image, tag: int) -> float | None:
    """A number of a TIFF's header."""
    found = getattr(image, "tag_v2", {}).get(tag)
    if isinstance(found, tuple):
        found = found[0] if found else None
    try:
        return float(str(found).strip("\0 ")) if found is not None else None
    except ValueError:
        return None


def _shown(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:,.4g}"
