"""What a kind is drawn with: parts in a square, in SVG, painted by a style.

A kind's function says where its parts are; this module knows nothing of any kind. Coordinates run from -50 to 50 with y
downwards; a kind fills about -40 to 40. All chance comes from the canvas, so that a picture follows from its seed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from tac_pipeline.demo.palette import Palette
from tac_pipeline.demo.styles import Style

Point = tuple[float, float]


class Canvas:
    """Parts of one picture, in the order in which they cover each other.

    Parameters
    ----------
    rng : numpy.random.Generator
        Where all chance comes from.
    style : Style
        How parts are painted.
    palette : Palette
        The colors that the names main, second, third, dark and light stand for.
    wobble : float
        How far a hand strays from a point, in units of the canvas.
    """

    def __init__(self, rng: np.random.Generator, style: Style, palette: Palette, wobble: float = 0.0) -> None:
        self.style = style
        self.palette = palette
        self._rng = rng
        self._wobble = wobble
        self._elements: list[str] = []

    @property
    def svg(self) -> str:
        """The elements drawn so far."""
        return "".join(self._elements)

    def between(self, low: float, high: float) -> float:
        """A number from a range."""
        return float(self._rng.uniform(low, high))

    def count(self, low: int, high: int) -> int:
        """A whole number from low to high, both included."""
        return int(self._rng.integers(low, high + 1))

    def chance(self, share: float) -> bool:
        """True in that share of cases."""
        return bool(self._rng.random() < share)

    def pick(self, *options: Any) -> Any:
        """One of the options."""
        return options[int(self._rng.integers(len(options)))]

    @contextmanager
    def moved(
        self, x: float = 0, y: float = 0, *, turn: float = 0, scale: float = 1, stretch: float = 1, slant: float = 0
    ) -> Iterator[None]:
        """Parts drawn within are moved to (x, y), turned by degrees, scaled; stretch is width against height."""
        steps = f"translate({x:.2f} {y:.2f}) rotate({turn:.1f}) skewX({slant:.1f})"
        self._elements.append(f'<g transform="{steps} scale({scale * stretch:.3f} {abs(scale):.3f})">')
        yield
        self._elements.append("</g>")

    def ellipse(
        self,
        x: float,
        y: float,
        rx: float,
        ry: float | None = None,
        color: str = "main",
        *,
        turn: float = 0,
        mark: bool = False,
    ) -> None:
        """An ellipse about (x, y); a circle without ry. A mark lies on another part and is cut out of silhouettes."""
        turned = f' transform="rotate({turn:.1f} {x:.2f} {y:.2f})"' if turn else ""
        self._part(
            f'<ellipse cx="{x:.2f}" cy="{y:.2f}" rx="{rx:.2f}" ry="{rx if ry is None else ry:.2f}"{turned}', color, mark
        )

    def rect(
        self,
        x: float,
        y: float,
        width: float,
        height: float,
        color: str = "main",
        *,
        corner: float = 0,
        mark: bool = False,
    ) -> None:
        """A rectangle from its upper left corner, its own corners rounded."""
        self._part(
            f'<rect x="{x:.2f}" y="{y:.2f}" width="{width:.2f}" height="{height:.2f}" rx="{corner:.2f}"', color, mark
        )

    def polygon(self, points: Sequence[Point], color: str = "main", *, mark: bool = False) -> None:
        """A shape with straight sides."""
        d = "M" + "L".join(f"{x:.2f} {y:.2f}" for x, y in self._strayed(points)) + "Z"
        self._part(f'<path d="{d}"', color, mark)

    def blob(self, points: Sequence[Point], color: str = "main", *, mark: bool = False) -> None:
        """A shape with one smooth closed outline through the points."""
        self._part(f'<path d="{_smooth(self._strayed(points), closed=True)}"', color, mark)

    def path(self, d: str, color: str = "main", *, mark: bool = False) -> None:
        """A closed shape in SVG's own path language."""
        self._part(f'<path d="{d}"', color, mark)

    def line(
        self,
        points: Sequence[Point],
        width: float = 2,
        color: str = "dark",
        *,
        smooth: bool = False,
        mark: bool = False,
    ) -> None:
        """An open line of some width with round ends; smooth lines run through the points as one curve."""
        strayed = self._strayed(points)
        d = _smooth(strayed, closed=False) if smooth else "M" + "L".join(f"{x:.2f} {y:.2f}" for x, y in strayed)
        for paint in self.style.strokes(self.palette[color], width, mark):
            self._elements.append(f'<path d="{d}" {paint}/>')

    def ring(self, x: float, y: float, radius: float, width: float, color: str = "main", *, mark: bool = False) -> None:
        """A circle as a line of some width."""
        for paint in self.style.strokes(self.palette[color], width, mark):
            self._elements.append(f'<circle cx="{x:.2f}" cy="{y:.2f}" r="{radius:.2f}" {paint}/>')

    def arc(
        self,
        x: float,
        y: float,
        rx: float,
        ry: float,
        start: float,
        end: float,
        width: float = 2,
        color: str = "dark",
        *,
        mark: bool = False,
    ) -> None:
        """Part of an ellipse's outline as a line; degrees run clockwise from the right."""
        self.line(around(x, y, rx, ry, start, end, 12), width, color, smooth=True, mark=mark)

    def eye(self, x: float, y: float, size: float = 2.2) -> None:
        """An eye: of one piece, or a pupil in white."""
        if self.chance(0.5):
            self.ellipse(x, y, size * 1.3, size * 1.4, "light", mark=True)
            self.ellipse(x + self.between(-0.3, 0.3) * size, y, size * 0.65, color="dark")
        else:
            self.ellipse(x, y, size * 0.8, color="dark", mark=True)

    def _part(self, shape: str, color: str, mark: bool) -> None:
        self._elements.append(f"{shape} {self.style.fill(self.palette[color], mark)}/>")

    def _strayed(self, points: Sequence[Point]) -> list[Point]:
        if not self._wobble:
            return list(points)
        steps = self._rng.normal(0, self._wobble, (len(points), 2))
        return [(x + float(dx), y + float(dy)) for (x, y), (dx, dy) in zip(points, steps, strict=True)]


def around(
    x: float, y: float, rx: float, ry: float, start: float = 0, end: float = 360, n_points: int = 12
) -> list[Point]:
    """Points on an ellipse from one angle to another, in degrees clockwise from the right, both ends included."""
    angles = np.radians(np.linspace(start, end, n_points))
    return [(x + rx * math.cos(a), y + ry * math.sin(a)) for a in angles]


def star(x: float, y: float, outer: float, inner: float, n_points: int, turn: float = -90) -> list[Point]:
    """The corners of a star, its first point upwards."""
    step = 180 / n_points
    corners = [(turn + k * step, outer if k % 2 == 0 else inner) for k in range(2 * n_points)]
    return [(x + r * math.cos(math.radians(a)), y + r * math.sin(math.radians(a))) for a, r in corners]


def _smooth(points: Sequence[Point], *, closed: bool) -> str:
    """Catmull-Rom through the points, as SVG's cubic curves."""
    n = len(points)
    last = n if closed else n - 1

    def at(k: int) -> Point:
        return points[k % n] if closed else points[min(max(k, 0), n - 1)]

    d = [f"M{points[0][0]:.2f} {points[0][1]:.2f}"]
    for k in range(last):
        (x0, y0), (x1, y1), (x2, y2), (x3, y3) = at(k - 1), at(k), at(k + 1), at(k + 2)
        d.append(
            f"C{x1 + (x2 - x0) / 6:.2f} {y1 + (y2 - y0) / 6:.2f} {x2 - (x3 - x1) / 6:.2f} {y2 - (y3 - y1) / 6:.2f} "
            f"{x2:.2f} {y2:.2f}"
        )
    return "".join(d) + ("Z" if closed else "")
