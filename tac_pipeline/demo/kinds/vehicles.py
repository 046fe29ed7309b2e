"""Vehicles by their parts."""

from __future__ import annotations

import math

from tac_pipeline.demo.canvas import Canvas


def _wheel(c: Canvas, x: float, y: float, radius: float, *, spokes: int = 0) -> None:
    c.ellipse(x, y, radius, color="dark")
    c.ellipse(x, y, radius * 0.55, color="light", mark=True)
    for k in range(spokes):
        angle = math.pi * k / spokes
        dx, dy = radius * 0.8 * math.cos(angle), radius * 0.8 * math.sin(angle)
        c.line([(x - dx, y - dy), (x + dx, y + dy)], 1.2, "third", mark=True)


def car(c: Canvas) -> None:
    """A cabin with windows on a body with two wheels, from the side; or from the front."""
    if c.chance(0.25):
        wide = c.between(24, 28)
        for side in (-1, 1):
            c.rect(side * wide * 0.72 - 4, 18, 8, 14, "dark", corner=2)
        c.path(f"M{-wide * 0.75} 0 L{-wide * 0.5} -22 L{wide * 0.5} -22 L{wide * 0.75} 0Z", "main")
        c.path(f"M{-wide * 0.6} -2 L{-wide * 0.42} -18 L{wide * 0.42} -18 L{wide * 0.6} -2Z", "light", mark=True)
        c.rect(-wide, -2, 2 * wide, 24, "main", corner=6)
        for side in (-1, 1):
            c.ellipse(side * wide * 0.7, 6, 4.5, color="light", mark=True)
        c.rect(-10, 4, 20, 6, "dark", corner=2, mark=True)
        c.rect(-wide, 16, 2 * wide, 5, "second", corner=2)
        return
    roof, back, front = c.between(-24, -14), c.between(-24, -14), c.between(10, 20)
    c.path(f"M{back - 6} 2 L{back} {roof} L{front - 7} {roof} L{front + 8} 2Z", "main")
    c.path(f"M{back - 1} 0 L{back + 3} {roof + 4} L-3 {roof + 4} L-3 0Z", "light", mark=True)
    c.path(f"M1 0 L1 {roof + 4} L{front - 8} {roof + 4} L{front + 2} 0Z", "light", mark=True)
    c.blob([(-37, 6), (-34, 0), (0, -1), (26, 1), (37, 6), (38, 18), (30, 20), (-30, 20), (-38, 18)])
    c.line([(-2, 4), (-2, 17)], 1.2, "dark", mark=True)
    c.ellipse(35, 9, 2.8, color="light", mark=True)
    size = c.between(7, 10)
    for x in (-21, 22):
        _wheel(c, x, 20, size)


def bus(c: Canvas) -> None:
    """A long box with a row of windows and a door."""
    high, long = c.between(34, 42), c.between(36, 40)
    top = 20 - high
    c.rect(-long, top, 2 * long, high, "main", corner=4)
    decks = 2 if high > 39 else 1
    n_windows = c.count(4, 6)
    step = (2 * long - 18) / n_windows
    for deck in range(decks):
        for k in range(n_windows):
            c.rect(-long + 4 + k * step, top + 5 + deck * 15, step - 3, 10, "light", corner=1, mark=True)
    c.rect(long - 12, top + 8, 8, high - 12, "second", corner=1, mark=True)
    c.rect(-long, 8, 2 * long - 13, 4, "third", mark=True)
    for x in (-long * 0.55, long * 0.45):
        _wheel(c, x, 20, c.between(6.5, 8.5))


def locomotive(c: Canvas) -> None:
    """A boiler with a chimney, a cab, wheels with a rod, and smoke."""
    puffs = c.count(0, 3)
    for k in range(puffs):
        c.ellipse(16 - 11 * k, -33 - 2.5 * k, 5 + 1.6 * k, 4.5 + k, "light")
    c.polygon([(16, -8), (14, -26), (26, -26), (24, -8)], "second")
    c.rect(12, -29, 16, 4, "dark", corner=1)
    c.ellipse(2, -9, 6, 7, "second")
    c.rect(-12, -10, 46, c.between(20, 24), "main", corner=6)
    c.ellipse(34, 1, 4, 9, "third")
    c.rect(-36, -24, 24, 36, "main", corner=1)
    c.rect(-39, -28, 30, 5, "second", corner=2)
    c.rect(-31, -18, 14, 13, "light", corner=1, mark=True)
    for x in (2, 14):
        c.line([(x, -9), (x, 10)], 1.6, "third", mark=True)
    c.rect(-37, 11, 72, 6, "dark", corner=1)
    c.polygon([(34, 12), (44, 28), (30, 28)], "second")
    big = c.between(9, 11)
    for x in (-25, -4):
        _wheel(c, x, 21, big, spokes=3)
    _wheel(c, 16, 24, 6.5)
    _wheel(c, 28, 24, 6.5)
    c.line([(-25, 22), (16, 23)], 2, "third", mark=True)


def bicycle(c: Canvas) -> None:
    """Two spoked wheels in a frame of tubes with a saddle and handlebars."""
    radius, width = c.between(14, 17), c.between(1.8, 2.8)
    for x in (-22, 22):
        c.ring(x, 14, radius, width, "dark")
        for k in range(5):
            angle = math.pi * k / 5
            dx, dy = radius * math.cos(angle), radius * math.sin(angle)
            c.line([(x - dx, 14 - dy), (x + dx, 14 + dy)], 0.6, "dark")
        c.ellipse(x, 14, 2, color="dark")
    seat, bars = (-9.0, -12.0), (14.0, -13.0)
    for points in (
        [(-22, 14), (0, 14), bars, seat, (0, 14)],
        [(-22, 14), seat],
        [(22, 14), bars, (12, -23)],
        [seat, (-11, -20)],
    ):
        c.line(points, width + 0.8, "main")
    c.ellipse(-11, -21, 8, 3, "second")
    c.line([(12, -23), (20, -25), (c.between(20, 24), c.between(-20, -16))], width, "second", smooth=True)
    c.ring(0, 14, 4, 1.6, "third")
    c.line([(0, 14), (5, 22), (9, 22)], 1.6, "dark")


def sailboat(c: Canvas) -> None:
    """A hull with a mast and two sails, on waves or not."""
    mast = c.between(-4, 4)
    top = c.between(-40, -34)
    c.line([(mast, 18), (mast, top)], 2.5, "dark")
    belly = c.between(0, 8)
    c.path(f"M{mast + 2} {top + 2} Q{mast + 22 + belly} -8 {mast + 30} 10 L{mast + 2} 10Z", "main")
    if c.chance(0.8):
        c.path(f"M{mast - 2} {top + 8} Q{mast - 12} -6 {mast - 26} 10 L{mast - 2} 10Z", "third")
    if c.chance(0.5):
        c.polygon([(mast, top), (mast - 10, top + 3), (mast, top + 6)], "second")
    deep = c.between(30, 36)
    c.path(f"M-36 17 L38 17 Q32 {deep} 22 {deep} L-24 {deep} Q-32 {deep - 2} -36 17Z", "second")
    c.line([(-31, 22), (33, 22)], 1.6, "light", mark=True)
    if c.chance(0.6):
        c.line(
            [(-42, 38), (-30, 34), (-18, 38), (-6, 34), (6, 38), (18, 34), (30, 38), (42, 34)],
            2.4,
            "light",
            smooth=True,
        )


def airplane(c: Canvas) -> None:
    """A fuselage with swept wings and a tail, from the side or from above."""
    if c.chance(0.5):
        sweep, wide = c.between(6, 18), c.between(4.5, 6.5)
        c.polygon([(-6, -3), (-4, 3), (-40, 4 + sweep), (-40, -1 + sweep)], "second")
        c.polygon([(6, -3), (4, 3), (40, 4 + sweep), (40, -1 + sweep)], "second")
        for side in (-1, 1):
            c.polygon([(0, 27), (side * 15, 33), (side * 15, 37), (0, 35)], "second")
            c.ellipse(side * 18, 4 + sweep * 0.4, 2.6, 5.5, "third")
        c.blob([(0, -40), (wide, -28), (wide, 10), (2, 38), (-2, 38), (-wide, 10), (-wide, -28)])
        c.ellipse(0, -30, 2.6, 3.4, "light", mark=True)
        return
    c.polygon([(-28, -2), (-40, -24), (-30, -24), (-14, -2)], "second")
    c.polygon([(-2, -2), (-16, -20), (-9, -20), (14, -2)], "third")
    c.blob([(-38, -4), (-10, -8), (26, -8), (40, 1), (30, 7), (-8, 8), (-30, 2)])
    c.polygon([(4, 2), (-22, c.between(20, 28)), (-12, c.between(20, 28)), (18, 2)], "second")
    c.polygon([(-30, -2), (-42, 5), (-36, 5), (-22, -1)], "second")
    for k in range(c.count(3, 6)):
        c.ellipse(-16 + 7 * k, -3, 1.8, color="light", mark=True)
    c.path("M29 -6 Q36 -5 38 -1 L30 -1Z", "light", mark=True)


def tractor(c: Canvas) -> None:
    """A large rear wheel and a small front one, a cab, a hood and an exhaust pipe."""
    c.line([(20, -4), (20, c.between(-26, -18))], 3, "dark")
    c.rect(0, -6, c.between(30, 34), 18, "main", corner=3)
    for k in range(3):
        c.line([(22 + 3 * k, -2), (22 + 3 * k, 8)], 1.2, "dark", mark=True)
    top = c.between(-36, -30)
    c.path(f"M-26 8 L-22 {top} L4 {top} L6 8Z", "main")
    c.path(f"M-20 -4 L-18 {top + 5} L0 {top + 5} L2 -4Z", "light", mark=True)
    c.rect(-27, top - 4, 36, 5, "second", corner=2)
    c.ellipse(-18, 15, 20, color="dark")
    c.ellipse(-18, 15, 11, color="second", mark=True)
    c.ellipse(-18, 15, 3.5, color="dark")
    small = c.between(9, 11)
    c.ellipse(26, 34 - small, small, color="dark")
    c.ellipse(26, 34 - small, small * 0.5, color="second", mark=True)
