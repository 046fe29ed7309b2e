"""Buildings by their parts."""

from __future__ import annotations

import math

from tac_pipeline.demo.canvas import Canvas


def _window(c: Canvas, x: float, y: float, width: float, height: float) -> None:
    c.rect(x, y, width, height, "light", mark=True)
    c.line([(x + width / 2, y), (x + width / 2, y + height)], 1, "dark", mark=False)
    c.line([(x, y + height / 2), (x + width, y + height / 2)], 1, "dark", mark=False)


def house(c: Canvas) -> None:
    """Walls under a pitched roof with a door, windows and a chimney; from the front or with one side seen."""
    wide, high, peak = c.between(24, 31), c.between(24, 32), c.between(-38, -28)
    eaves = 36 - high
    if c.chance(0.75):
        x = c.between(8, 16)
        c.rect(x, peak + 2, 7, 20, "third")
    if c.chance(0.35):
        left, right = -wide - 6, wide + 6
        middle = left + (right - left) * 0.4
        c.rect(left + 3, eaves, middle - left - 3, high, "main")
        c.rect(middle, eaves, right - middle - 3, high, "main")
        c.polygon([(left, eaves + 1), ((left + middle) / 2 + 2, peak), (middle + 2, eaves + 1)], "main")
        c.polygon([((left + middle) / 2, peak), (right - 10, peak), (right, eaves + 2), (middle, eaves + 2)], "second")
        c.rect((left + middle) / 2 - 4, 36 - 17, 9, 17, "third", mark=True)
        _window(c, middle + 6, eaves + 6, 9, 9)
        _window(c, right - 18, eaves + 6, 9, 9)
        return
    c.rect(-wide, eaves, 2 * wide, high, "main")
    c.polygon([(-wide - 6, eaves + 1), (0, peak), (wide + 6, eaves + 1)], "second")
    door = c.between(-6, 6)
    c.rect(door - 5, 36 - 18, 10, 18, "third", mark=True)
    c.ellipse(door + 3, 28, 1, color="dark")
    for x in (-wide + 4, wide - 14):
        if abs(x + 5 - door) > 9:
            _window(c, x, eaves + 5, 10, 10)
    if c.chance(0.4):
        c.ellipse(0, (eaves + peak) / 2 + 2, 4, color="light", mark=True)


def castle(c: Canvas) -> None:
    """A battlemented wall between towers, with a gate, slits and flags."""
    wall, tower, top = c.between(-2, 8), c.between(8, 10), c.between(-26, -18)
    c.rect(-26, wall, 52, 36 - wall, "main")
    for k in range(6):
        c.rect(-25 + 9 * k, wall - 5, 5, 6, "main")
    pointed = c.chance(0.5)
    if c.chance(0.6):
        c.rect(-9, top - 4, 18, 34 - top, "main")
        for k in range(3):
            c.rect(-9 + 6.7 * k, top - 9, 4.6, 6, "main")
        c.rect(-1.5, top + 4, 3, 8, "dark", mark=True)
    for side in (-1, 1):
        x = side * 29
        c.rect(x - tower, top, 2 * tower, 36 - top, "main")
        if pointed:
            c.polygon([(x - tower - 3, top + 1), (x, top - 20), (x + tower + 3, top + 1)], "second")
        else:
            c.rect(x - tower - 2, top - 3, 2 * tower + 4, 5, "main")
            for k in range(3):
                c.rect(x - tower - 2 + k * (2 * tower + 4) * 0.38, top - 8, 5, 6, "main")
        if c.chance(0.6):
            peak = top - (20 if pointed else 8)
            c.line([(x, peak), (x, peak - 10)], 1.4, "dark")
            c.polygon([(x, peak - 10), (x + 9, peak - 7), (x, peak - 4)], "third")
        c.rect(x - 1.8, top + 10, 3.6, 9, "dark", corner=1.6, mark=True)
    c.path("M-8 36 L-8 22 Q0 11 8 22 L8 36Z", "dark", mark=True)
    c.line([(0, 18), (0, 36)], 1, "light")


def lighthouse(c: Canvas) -> None:
    """A tapering striped tower with a lantern room, a dome and beams of light, on rocks."""
    base, top = c.between(10, 13), c.between(5.5, 7.5)

    def half(y: float) -> float:
        return top + (base - top) * (y + 18) / 52

    if c.chance(0.5):
        for side in (-1, 1):
            c.polygon([(side * 6, -25), (side * 42, -36), (side * 42, -16)], "light")
    c.blob([(-30, 38), (-20, 31), (-6, 33), (8, 31), (22, 32), (30, 38), (0, 41)], "third")
    c.polygon([(-base, 34), (-top, -18), (top, -18), (base, 34)], "main")
    stripes = c.count(2, 3)
    for k in range(stripes):
        y, high = -8 + k * 36 / stripes, 18 / stripes
        c.polygon(
            [(-half(y), y), (half(y), y), (half(y + high), y + high), (-half(y + high), y + high)], "second", mark=True
        )
    c.rect(-top - 4, -21, 2 * top + 8, 4, "dark")
    c.rect(-top + 1, -31, 2 * top - 2, 10, "light", mark=True)
    c.line([(0, -31), (0, -21)], 1, "dark")
    c.path(f"M{-top - 1} -30 Q0 -43 {top + 1} -30Z", "second")
    c.rect(-3, 26, 6, 9, "dark", corner=2, mark=True)


def windmill(c: Canvas) -> None:
    """A tapering tower with a cap, a door and four latticed sails."""
    base, top = c.between(14, 18), c.between(8, 10)
    c.polygon([(-base, 38), (-top, -8), (top, -8), (base, 38)], "main")
    c.path(f"M{-top - 2} -7 Q0 {c.between(-28, -20)} {top + 2} -7Z", "second")
    c.rect(-4, 25, 8, 13, "third", corner=3, mark=True)
    c.rect(-3, 6, 6, 7, "light", mark=True)
    turn = c.between(0, 90)
    for k in range(4):
        with c.moved(0, -10, turn=turn + 90 * k):
            c.line([(0, 0), (31, 0)], 1.8, "dark")
            c.rect(9, 0, 22, 8, "light")
            for x in (14, 20, 26):
                c.line([(x, 0), (x, 8)], 0.9, "dark")
            c.line([(9, 4), (31, 4)], 0.9, "dark")
    c.ellipse(0, -10, 2.8, color="dark")


def church(c: Canvas) -> None:
    """A nave beside a steeple with a cross, tall windows and an arched door."""
    steeple, spire = c.between(8, 10), c.between(-34, -28)
    c.rect(-16, 4, 52, 32, "main")
    c.polygon([(-18, 5), (-10, -14), (32, -14), (40, 5)], "second")
    for k in range(3):
        x = 2 + 11 * k
        c.path(f"M{x} 26 L{x} 14 Q{x + 3} 8 {x + 6} 14 L{x + 6} 26Z", "light", mark=True)
    c.rect(-18 - steeple, -12, 2 * steeple, 48, "main")
    c.polygon([(-18 - steeple - 2, -11), (-18, spire), (-18 + steeple + 2, -11)], "second")
    c.line([(-18, spire), (-18, spire - 13)], 2, "dark")
    c.line([(-22, spire - 9), (-14, spire - 9)], 2, "dark")
    c.ellipse(-18, -2, 3.6, color="light", mark=True)
    c.path("M-23 36 L-23 24 Q-18 16 -13 24 L-13 36Z", "third", mark=True)
    if c.chance(0.3):
        for k in range(8):
            angle = math.radians(45 * k)
            c.line([(-18, -2), (-18 + 3.4 * math.cos(angle), -2 + 3.4 * math.sin(angle))], 0.6, "dark")
