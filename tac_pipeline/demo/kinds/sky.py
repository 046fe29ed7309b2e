"""Sky and weather by their parts."""

from __future__ import annotations

import math

from tac_pipeline.demo.canvas import Canvas, around
from tac_pipeline.demo.canvas import star as star_corners


def moon(c: Canvas) -> None:
    """A crescent, at times with craters or a face."""
    radius = c.between(28, 34)
    hollow = c.between(0.3, 0.68)
    c.path(
        f"M6 {-radius} A{radius} {radius} 0 1 0 6 {radius} A{radius * hollow:.1f} {radius:.1f} 0 0 1 6 {-radius}Z",
        "main",
    )
    if c.chance(0.5):
        for angle in (150, 185, 222):
            x, y = 6 + radius * 0.84 * math.cos(math.radians(angle)), radius * 0.84 * math.sin(math.radians(angle))
            c.ellipse(x, y, c.between(1.8, 3), color="second", mark=True)
    elif c.chance(0.5):
        c.eye(-radius * 0.66, -6, 1.8)
    for _ in range(c.count(0, 2)):
        c.polygon(star_corners(c.between(14, 30), c.between(-26, 26), 4.5, 1.8, 4), "third")


def star(c: Canvas) -> None:
    """A star of five points, at times of six, with a border or a smaller one within."""
    n_points = c.pick(5, 5, 5, 6)
    outer = c.between(31, 38)
    inner = outer * (c.between(0.36, 0.5) if n_points == 5 else c.between(0.5, 0.6))
    c.polygon(star_corners(0, 2, outer, inner, n_points), "main")
    if c.chance(0.4):
        c.polygon(star_corners(0, 2, outer * 0.6, inner * 0.6, n_points), "second", mark=True)
    elif c.chance(0.4):
        for side in (-1, 1):
            c.eye(side * 6, -1, 2.2)
        c.arc(0, 6, 6, 5, 20, 160, 1.6, mark=True)


def cloud(c: Canvas) -> None:
    """Heaped bulges over a flat bottom, at times with drops of rain."""
    wide, high = c.between(30, 36), c.between(15, 22)
    drops = c.count(2, 5) if c.chance(0.4) else 0
    low = 12 if drops else 20
    for k in range(drops):
        x = -wide * 0.6 + 1.2 * wide * k / max(drops - 1, 1)
        c.line([(x + 2, 20), (x - 3, c.between(28, 38))], 2.6, "second")
    left, right = -wide * c.between(0.35, 0.5), wide * c.between(0.3, 0.5)
    side = high * 0.55
    c.path(
        f"M{-wide + side:.1f} {low} A{side:.1f} {side:.1f} 0 0 1 {-wide + side:.1f} {low - 2 * side:.1f} "
        f"A{(left + wide) * 0.75:.1f} {high:.1f} 0 0 1 {left + 4:.1f} {low - high * 1.3:.1f} "
        f"A{(right - left) * 0.55:.1f} {high * 1.05:.1f} 0 0 1 {right:.1f} {low - high * 1.25:.1f} "
        f"A{(wide - right) * 0.7:.1f} {high * 0.7:.1f} 0 0 1 {wide - side:.1f} {low - 2 * side:.1f} "
        f"A{side:.1f} {side:.1f} 0 0 1 {wide - side:.1f} {low}Z",
        "main",
    )
    if c.chance(0.4):
        c.arc(c.between(-4, 4), low - high, 11, 9, 190, 300, 1.8, "light", mark=True)


def rainbow(c: Canvas) -> None:
    """Nested bands in an arch, at times with a cloud at each foot."""
    bands = c.count(4, 6)
    outer, thick = c.between(36, 41), c.between(4, 5)
    flat = c.between(0.8, 1)
    names = ["main", "second", "third", "light", "dark", "main"]
    for k in range(bands):
        radius = outer - thick * k
        c.line([*around(0, 22, radius, radius * flat, 180, 360, 14)], thick, names[k], smooth=True, mark=k % 2 == 1)
    if c.chance(0.5):
        middle = outer - thick * (bands - 1) / 2
        for side in (-1, 1):
            for dx, dy, size in ((-7, 1, 7), (0, -3, 8), (7, 1, 7)):
                c.ellipse(side * middle + dx, 24 + dy, size, color="light")


def snowflake(c: Canvas) -> None:
    """Six arms with side branches about one center."""
    long, width = c.between(31, 38), c.between(2, 3)
    places = sorted((c.between(0.35, 0.55), c.between(0.62, 0.85)))
    branch = c.between(8, 13)
    tips = c.chance(0.3)
    for k in range(6):
        with c.moved(turn=60 * k):
            c.line([(0, 0), (long, 0)], width, "main")
            for place in places:
                x = long * place
                for side in (-1, 1):
                    reach = branch * (1.15 - place * 0.5)
                    c.line([(x, 0), (x + reach * 0.6, side * reach * 0.8)], width * 0.85, "main")
            if tips:
                c.ellipse(long, 0, 2.6, color="main")
    if c.chance(0.5):
        c.polygon(around(0, 0, 7, 7, 0, 300, 6), "main")
