"""Colors: eleven names that people use, each with a range, and the five colors that paint a picture."""

from __future__ import annotations

import colorsys
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

# Hue in degrees, saturation and lightness in percent: the ranges that people call by this name.
_RANGES: Mapping[str, tuple[tuple[float, float], tuple[float, float], tuple[float, float]]] = {
    "red": ((-8, 8), (65, 95), (38, 55)),
    "orange": ((20, 34), (80, 100), (48, 60)),
    "yellow": ((47, 58), (80, 100), (48, 65)),
    "green": ((90, 150), (40, 80), (30, 50)),
    "blue": ((205, 235), (55, 90), (35, 58)),
    "purple": ((265, 290), (40, 75), (35, 55)),
    "pink": ((320, 345), (65, 95), (68, 82)),
    "brown": ((18, 32), (35, 65), (24, 38)),
    "grey": ((0, 360), (0, 8), (42, 65)),
    "black": ((0, 360), (0, 15), (6, 16)),
    "white": ((0, 360), (0, 25), (92, 99)),
}
COLOR_NAMES = tuple(_RANGES)
# How unlike the background the main color must be, in Euclidean distance of RGB from 0 to 1.
MIN_CONTRAST = 0.42

Rgb = tuple[float, float, float]


@dataclass(frozen=True)
class Palette:
    """The colors of one picture; a kind uses main, second, third, dark or light, never a hue.

    Attributes
    ----------
    main_name : str
        The name that people would give to the main color.
    colors : mapping of str to str
        #rrggbb of each color of the palette, and of the background.
    """

    main_name: str
    colors: Mapping[str, str]

    def __getitem__(self, role: str) -> str:
        return self.colors[role]


def choose_palette(rng: np.random.Generator, *, dark_ground: bool = False) -> Palette:
    """Colors that do not depend on the kind, with a background that differs from the main one."""
    ground = _ground(rng, dark_ground)
    main_name, main = _standing_out(rng, ground, [])
    _, second = _standing_out(rng, ground, [main])
    _, third = _standing_out(rng, ground, [main, second])
    dark = _of_ranges(rng, ((0, 360), (0, 60), (8, 20)))
    light = _of_ranges(rng, ((0, 360), (0, 60), (88, 97)))
    found = {"main": main, "second": second, "third": third, "dark": dark, "light": light, "ground": ground}
    return Palette(main_name, {role: hexadecimal(color) for role, color in found.items()})


def some_color(rng: np.random.Generator) -> str:
    """Any color, #rrggbb."""
    return hexadecimal(_of_ranges(rng, ((0, 360), (15, 90), (25, 85))))


def mixed(color: str, other: str, share: float) -> str:
    """A color mixed with a share of another."""
    mixture = [a + (b - a) * share for a, b in zip(rgb(color), rgb(other), strict=True)]
    return hexadecimal((mixture[0], mixture[1], mixture[2]))


def rgb(color: str) -> Rgb:
    """#rrggbb as numbers from 0 to 1."""
    return int(color[1:3], 16) / 255, int(color[3:5], 16) / 255, int(color[5:7], 16) / 255


def hexadecimal(color: Rgb) -> str:
    """Numbers from 0 to 1 as #rrggbb."""
    return "#" + "".join(f"{round(min(max(c, 0), 1) * 255):02x}" for c in color)


def is_dark(color: str) -> bool:
    """Whether light lines are easier to see on it than dark ones."""
    red, green, blue = rgb(color)
    return 0.3 * red + 0.59 * green + 0.11 * blue < 0.45


def contrast(color: Rgb, other: Rgb) -> float:
    """Euclidean distance of two colors."""
    return float(np.linalg.norm(np.subtract(color, other)))


def _ground(rng: np.random.Generator, dark: bool) -> Rgb:
    if dark:
        return _of_ranges(rng, ((0, 360), (5, 45), (10, 24)))
    lightness = (64, 90) if rng.random() < 0.75 else (38, 60)
    return _of_ranges(rng, ((0, 360), (10, 70), lightness))


def _standing_out(rng: np.random.Generator, ground: Rgb, taken: list[Rgb]) -> tuple[str, Rgb]:
    """A color far from the background and a little from the other colors; the best of several draws."""
    draws = []
    for _ in range(8):
        name = COLOR_NAMES[int(rng.integers(len(COLOR_NAMES)))]
        color = _of_ranges(rng, _RANGES[name])
        away = min([contrast(color, ground) / MIN_CONTRAST, *(contrast(color, other) / 0.35 for other in taken)])
        if away >= 1:
            return name, color
        draws.append((away, name, color))
    _, name, color = max(draws)
    return name, color


def _of_ranges(
    rng: np.random.Generator, ranges: tuple[tuple[float, float], tuple[float, float], tuple[float, float]]
) -> Rgb:
    hue, saturation, lightness = (float(rng.uniform(*limits)) for limits in ranges)
    return colorsys.hls_to_rgb((hue % 360) / 360, lightness / 100, saturation / 100)
