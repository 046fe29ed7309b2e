"""What lies behind and about the thing drawn: grounds, and small things of no kind."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from tac_pipeline.demo.canvas import Canvas, around, star
from tac_pipeline.demo.palette import Palette, mixed, some_color

# Grounds reach beyond the canvas, because the whole picture may be turned.
_EDGE = 75.0


def ground_svg(name: str, rng: np.random.Generator, palette: Palette) -> str:
    """The SVG of a ground by its name, over the whole canvas."""
    base = palette["ground"]
    return _rect(base) + _GROUNDS[name](rng, base)


def scatter(canvas: Canvas, n_things: int) -> None:
    """Small things of no kind, anywhere."""
    for _ in range(n_things):
        x, y = canvas.between(-46, 46), canvas.between(-46, 46)
        size, color = canvas.between(1.5, 4.5), canvas.pick("main", "second", "third", "dark", "light")
        with canvas.moved(x, y, turn=canvas.between(0, 360)):
            shape = canvas.count(0, 6)
            if shape == 0:
                canvas.ellipse(0, 0, size, size * canvas.between(0.5, 1), color)
            elif shape == 1:
                canvas.rect(-size, -size, 2 * size, size * canvas.between(1, 2), color)
            elif shape == 2:
                canvas.polygon([(-size, size), (size, size), (0, -size)], color)
            elif shape == 3:
                canvas.line([(-size, 0), (0, -size), (size, 0), (2 * size, -size)], 1.6, color, smooth=True)
            elif shape == 4:
                canvas.line([(-size, 0), (size, 0)], 1.6, color)
                canvas.line([(0, -size), (0, size)], 1.6, color)
            elif shape == 5:
                canvas.ring(0, 0, size, 1.4, color)
            else:
                canvas.polygon(star(0, 0, size, size * 0.45, 4), color)


def _rect(fill: str, extra: str = "") -> str:
    return f'<rect x="{-_EDGE}" y="{-_EDGE}" width="{2 * _EDGE}" height="{2 * _EDGE}" fill="{fill}"{extra}/>'


def _near(rng: np.random.Generator, base: str) -> str:
    """A color like the ground's, so that what is drawn on it still stands out."""
    return mixed(base, some_color(rng), float(rng.uniform(0.15, 0.4)))


def _plain(rng: np.random.Generator, base: str) -> str:
    return ""


def _graded(rng: np.random.Generator, base: str) -> str:
    angle = rng.uniform(0, 360)
    return (
        f'<linearGradient id="ground" gradientTransform="rotate({angle:.0f} .5 .5)"><stop stop-color="{base}"/>'
        f'<stop offset="1" stop-color="{mixed(base, some_color(rng), 0.45)}"/></linearGradient>' + _rect("url(#ground)")
    )


def _horizon(rng: np.random.Generator, base: str) -> str:
    y = rng.uniform(2, 32)
    hills = "".join(
        f"Q{x - 12.5} {y + rng.uniform(-9, 9):.1f} {x} {y + rng.uniform(-4, 4):.1f}" for x in range(-50, 76, 25)
    )
    return f'<path d="M-75 {y:.1f}{hills}L75 75L-75 75Z" fill="{_near(rng, base)}"/>'


def _pattern(rng: np.random.Generator, size: float, inside: str) -> str:
    turn = rng.uniform(0, 180)
    return (
        f'<pattern id="ground" width="{size:.1f}" height="{size:.1f}" patternUnits="userSpaceOnUse" '
        f'patternTransform="rotate({turn:.0f})">{inside}</pattern>' + _rect("url(#ground)")
    )


def _striped(rng: np.random.Generator, base: str) -> str:
    size = rng.uniform(6, 22)
    inside = f'<rect width="{size:.1f}" height="{size * rng.uniform(0.2, 0.6):.1f}" fill="{_near(rng, base)}"/>'
    return _pattern(rng, size, inside)


def _dotted(rng: np.random.Generator, base: str) -> str:
    size = rng.uniform(7, 18)
    half, radius = size / 2, size * rng.uniform(0.15, 0.35)
    inside = f'<circle cx="{half:.1f}" cy="{half:.1f}" r="{radius:.1f}" fill="{_near(rng, base)}"/>'
    return _pattern(rng, size, inside)


def _checked(rng: np.random.Generator, base: str) -> str:
    size = rng.uniform(10, 28)
    half, color = size / 2, _near(rng, base)
    square = f'width="{half:.1f}" height="{half:.1f}" fill="{color}"'
    return _pattern(rng, size, f'<rect {square}/><rect x="{half:.1f}" y="{half:.1f}" {square}/>')


def _blotched(rng: np.random.Generator, base: str) -> str:
    found = []
    for _ in range(int(rng.integers(4, 12))):
        x, y = rng.uniform(-50, 50, 2)
        rx, ry = rng.uniform(5, 20, 2)
        corners = [(a + rng.normal(0, 3), b + rng.normal(0, 3)) for a, b in around(x, y, rx, ry, 0, 315, 8)]
        d = "M" + "L".join(f"{a:.1f} {b:.1f}" for a, b in corners) + "Z"
        found.append(f'<path d="{d}" fill="{_near(rng, base)}"/>')
    return "".join(found)


def _grainy(rng: np.random.Generator, base: str) -> str:
    red, green, blue = (int(_near(rng, base)[k : k + 2], 16) / 255 for k in (1, 3, 5))
    return (
        '<filter id="grain" x="0" y="0" width="100%" height="100%"><feTurbulence type="fractalNoise" '
        f'baseFrequency="{rng.uniform(0.03, 0.3):.3f}" numOctaves="2" seed="{int(rng.integers(10_000))}"/>'
        f'<feColorMatrix type="matrix" values="0 0 0 0 {red:.2f}  0 0 0 0 {green:.2f}  0 0 0 0 {blue:.2f}  '
        '0 0 0 4 -1.6"/></filter>' + _rect("#000000", ' filter="url(#grain)"')
    )


def _scribbled(rng: np.random.Generator, base: str) -> str:
    found = []
    for _ in range(int(rng.integers(3, 9))):
        angle, x, y = rng.uniform(0, math.pi), *rng.uniform(-45, 45, 2)
        dx, dy = 30 * math.cos(angle), 30 * math.sin(angle)
        bend = rng.uniform(-20, 20, 4)
        path = (
            f"M{x - dx:.1f} {y - dy:.1f}C{x + bend[0]:.1f} {y + bend[1]:.1f} {x + bend[2]:.1f} {y + bend[3]:.1f} "
            f"{x + dx:.1f} {y + dy:.1f}"
        )
        color, width = _near(rng, base), rng.uniform(1, 4)
        found.append(f'<path d="{path}" fill="none" stroke="{color}" stroke-width="{width:.1f}"/>')
    return "".join(found)


_GROUNDS: Mapping[str, Callable[[np.random.Generator, str], str]] = {
    "plain": _plain,
    "graded": _graded,
    "hilly": _horizon,
    "striped": _striped,
    "dotted": _dotted,
    "checked": _checked,
    "blotched": _blotched,
    "grainy": _grainy,
    "scribbled": _scribbled,
}
GROUND_NAMES = tuple(_GROUNDS)
