"""Plants by their parts."""

from __future__ import annotations

import math

from tac_pipeline.demo.canvas import Canvas, around


def tree(c: Canvas) -> None:
    """A trunk under a round crown of leaves, or under the tiers of a fir."""
    wide = c.between(4, 7)
    if c.chance(0.35):
        c.rect(-wide * 0.8, 20, wide * 1.6, 18, "second")
        tiers = c.count(3, 4)
        for k in range(tiers):
            y, half = 24 - 15 * k, 27 - 5.5 * k
            c.polygon([(-half, y), (half, y), (0, y - 26)], "main")
        return
    c.polygon([(-wide, 38), (-wide * 0.6, 4), (wide * 0.6, 4), (wide, 38)], "second")
    c.line([(0, 12), (-12, -4)], 3, "second")
    c.line([(0, 8), (12, -6)], 3, "second")
    if c.chance(0.5):
        c.blob([(x + c.between(-3, 3), y + c.between(-3, 3)) for x, y in around(0, -13, 27, 22, 0, 324, 10)], "main")
    else:
        for x, y in ((-15, -6), (15, -6), (0, -2), (-10, -22), (10, -22), (0, -14)):
            c.ellipse(x, y, c.between(12, 15), color="main")
    for _ in range(c.count(0, 6)):
        angle, far = c.between(0, 6.28), c.between(4, 18)
        c.ellipse(far * math.cos(angle), -13 + far * 0.8 * math.sin(angle), 2.4, color="third", mark=True)


def flower(c: Canvas) -> None:
    """Petals about a round center on a stem with leaves."""
    petals = c.count(5, 9)
    bend = c.between(-6, 6)
    c.line([(0, -10), (bend, 14), (0, 40)], 2.6, "second", smooth=True)
    for side in (-1, 1):
        if c.chance(0.8):
            y = c.between(14, 28)
            foot = f"{bend * 0.7:.1f} {y + 5}"
            c.path(f"M{foot} Q{side * 8} {y - 9} {side * 21} {y - 5} Q{side * 14} {y + 7} {foot}Z", "second")
    long, wide, start = c.between(10, 12.5), 2 * math.pi * 11 / petals * 0.58, c.between(0, 60)
    for k in range(petals):
        with c.moved(0, -14, turn=start + 360 * k / petals):
            c.ellipse(13, 0, long, min(wide, 8), "main")
    c.ellipse(0, -14, c.between(6, 8), color="third", mark=True)


def cactus(c: Canvas) -> None:
    """A ribbed column with raised arms and thorns, in a pot or on the ground."""
    potted = c.chance(0.5)
    foot = 18 if potted else 36
    thick = c.between(13, 17)
    left, right = c.between(-12, 2), c.between(-8, 8)
    c.line([(0, left + 14), (-20, left + 14), (-20, left - 4)], thick * 0.6, "main", smooth=False)
    if c.chance(0.8):
        c.line([(0, right + 10), (20, right + 10), (20, right - 12)], thick * 0.6, "main")
    c.rect(-thick / 2, -36, thick, foot + 36, "main", corner=thick / 2)
    for x in (-thick * 0.2, thick * 0.2):
        c.line([(x, -30), (x, foot - 4)], 1, "dark", mark=True)
    for k in range(5):
        y = -28 + k * 10
        for side in (-1, 1):
            c.line([(side * thick / 2, y), (side * (thick / 2 + 3.5), y - 2)], 1, "dark")
    if c.chance(0.4):
        c.ellipse(0, -37, 4.5, color="third")
    if potted:
        c.polygon([(-16, 20), (16, 20), (12, 38), (-12, 38)], "second")
        c.rect(-18, 16, 36, 6, "second", corner=1)
    else:
        c.ellipse(0, 37, 30, 4, "second")


def mushroom(c: Canvas) -> None:
    """A spotted cap on a thick stem."""
    wide, high = c.between(26, 34), c.between(22, 32)
    stem = c.between(7, 11)
    c.path(
        f"M{-stem * 0.8} -2 Q{-stem * 0.6} 18 {-stem * 1.2} 36 Q0 40 {stem * 1.2} 36 Q{stem * 0.6} 18 {stem * 0.8} -2Z",
        "light",
    )
    if c.chance(0.5):
        c.ellipse(0, 10, stem * 1.3, 3.5, "second")
    c.path(f"M{-wide} 2 C{-wide} {-high * 1.3} {wide} {-high * 1.3} {wide} 2 Q0 {c.between(6, 12)} {-wide} 2Z", "main")
    for x, y, size in ((-0.5, -0.2, 4), (0.45, -0.3, 4.5), (0, -0.65, 5), (-0.05, -0.15, 3), (0.72, -0.02, 3)):
        c.ellipse(x * wide, y * high, size * c.between(0.8, 1.2), color="third", mark=True)


def palm(c: Canvas) -> None:
    """A bent ringed trunk with a tuft of long fronds."""
    bend = c.between(-16, 16)
    trunk = [(0.0, 40.0), (bend * 0.3, 20.0), (bend * 0.75, 0.0), (bend, -16.0)]
    c.line(trunk, 6, "second", smooth=True)
    for k in range(5):
        y = 34 - 10 * k
        x = bend * (1 - ((y + 16) / 56) ** 0.7)
        c.line([(x - 3, y), (x + 3, y)], 1.2, "dark", mark=True)
    for angle in (-170, -145, -110, -70, -35, -10, 20, 160):
        turn = math.radians(angle + c.between(-8, 8))
        long = c.between(22, 28)
        tip_x, tip_y = bend + long * math.cos(turn), -17 + long * math.sin(turn) * 0.8 + 9
        side_x, side_y = bend + long * 0.55 * math.cos(turn), -17 + long * 0.55 * math.sin(turn)
        foot, tip = f"{bend:.1f} -17", f"{tip_x:.1f} {tip_y:.1f}"
        c.path(f"M{foot} Q{side_x:.1f} {side_y - 7:.1f} {tip} Q{side_x:.1f} {side_y + 4:.1f} {foot}Z", "main")
    if c.chance(0.5):
        for x in (-4, 3):
            c.ellipse(bend + x, -13, 3.6, color="third")
