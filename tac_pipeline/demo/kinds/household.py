"""Household things by their parts."""

from __future__ import annotations

import math

from tac_pipeline.demo.canvas import Canvas, around


def chair(c: Canvas) -> None:
    """A seat on four legs with a back of slats or of one board, seen a little from the side."""
    deep, shift = c.between(8, 13), c.between(10, 18)
    top, thick = c.between(-38, -30), c.between(3.2, 5)
    back_left, back_right = -20 + shift * 0.3, 14 + shift * 0.3
    for x in (back_left, back_right):
        c.line([(x, 4), (x, 30)], thick, "second")
        c.line([(x, 4), (x - 2, top)], thick, "main")
    if c.chance(0.5):
        for k in range(3):
            y = top + 4 + 9 * k
            c.line([(back_left, y), (back_right, y)], 3.2, "main")
    else:
        c.rect(back_left - 1, top, back_right - back_left + 2, c.between(18, 26), "main", corner=3)
    c.polygon([(back_left - 1, 2), (back_right + 1, 2), (20, 2 + deep), (-26, 2 + deep)], "third")
    c.rect(-26, 2 + deep, 46, 4, "main")
    for x in (-24, 18):
        c.line([(x, 6 + deep), (x, 40)], thick, "main")


def lamp(c: Canvas) -> None:
    """A shade on a stand with a foot: table lamp, standing lamp or jointed desk lamp."""
    kind = c.pick("table", "table", "standing", "desk")
    if kind == "desk":
        c.ellipse(-8, 36, 20, 5, "second")
        elbow = (c.between(-26, -18), c.between(-4, 4))
        c.line([(-8, 34), elbow, (6, -24)], 3, "dark")
        c.ellipse(elbow[0], elbow[1], 3, color="third")
        with c.moved(8, -24, turn=c.between(-30, -10)):
            c.ellipse(0, 15, 9, 5, "light")
            c.polygon([(-6, -6), (6, -6), (16, 14), (-16, 14)], "main")
        return
    wide, narrow = c.between(22, 28), c.between(10, 15)
    low = -6 if kind == "table" else -16
    c.ellipse(0, 37, c.between(13, 18), 4, "second")
    if kind == "table":
        c.blob(
            [(-4, 36), (-c.between(8, 14), 22), (-5, 8), (-2, -4), (2, -4), (5, 8), (c.between(8, 14), 22), (4, 36)],
            "second",
        )
    else:
        c.line([(0, 36), (0, low)], 3.4, "second")
    c.ellipse(0, low + 2, 5, 5, "light")
    c.polygon([(-narrow, low - 26), (narrow, low - 26), (wide, low), (-wide, low)], "main")
    c.line([(-wide * 0.9, low - 4), (wide * 0.9, low - 4)], 2, "third", mark=True)
    if c.chance(0.4):
        c.line([(wide * 0.5, low), (wide * 0.5, low + 12)], 1, "dark")
        c.ellipse(wide * 0.5, low + 13, 1.8, color="dark")


def cup(c: Canvas) -> None:
    """An open vessel with a handle and steam, on a saucer or not."""
    wide, high = c.between(19, 25), c.between(28, 36)
    top, narrow = 32 - high, c.between(0.6, 1.0)
    if c.chance(0.5):
        c.ellipse(0, 33, wide + 14, 5.5, "second")
    c.ring(wide + 3, top + high * 0.42, high * 0.26, 4.4, "main")
    foot = wide * narrow * 0.75
    c.path(f"M{-wide} {top} Q{-wide} 33 {-foot:.1f} 33 L{foot:.1f} 33 Q{wide} 33 {wide} {top}Z", "main")
    c.ellipse(0, top, wide, 5.5, "third", mark=True)
    if c.chance(0.5):
        c.line([(-wide * 0.9, top + high * 0.5), (wide * 0.9, top + high * 0.5)], 3.5, "light", mark=True)
    for x in (-8, 0, 8)[: c.count(0, 3)]:
        c.line([(x, top - 8), (x + 4, top - 14), (x - 2, top - 20), (x + 3, top - 27)], 1.8, "light", smooth=True)


def clock(c: Canvas) -> None:
    """A round dial with marks and two hands; an alarm clock has bells and feet."""
    radius = c.between(25, 30)
    y = 2.0
    if c.chance(0.5):
        for side in (-1, 1):
            c.line([(side * 14, 24), (side * 22, 38)], 4, "second")
            with c.moved(side * 19, y - radius * 0.86, turn=side * 38):
                c.path("M-10 3 Q0 -15 10 3Z", "second")
        c.line([(0, -radius), (0, -radius - 8)], 3, "dark")
    else:
        y = 0.0
        radius += 6
    c.ellipse(0, y, radius, color="main")
    c.ellipse(0, y, radius * 0.8, color="light", mark=True)
    for k in range(12):
        angle = math.radians(30 * k)
        inner = 0.6 if k % 3 == 0 else 0.68
        x0, y0 = radius * inner * math.cos(angle), radius * inner * math.sin(angle)
        x1, y1 = radius * 0.74 * math.cos(angle), radius * 0.74 * math.sin(angle)
        c.line([(x0, y + y0), (x1, y + y1)], 1.6 if k % 3 == 0 else 1, "dark")
    for long, width, angle in ((0.36, 2.6, c.between(0, 6.28)), (0.58, 1.8, c.between(0, 6.28))):
        c.line([(0, y), (radius * long * math.cos(angle), y + radius * long * math.sin(angle))], width, "dark")
    c.ellipse(0, y, 2, color="third")


def key(c: Canvas) -> None:
    """A bow to hold, a long shaft and a bit with teeth."""
    size = c.between(10, 13)
    with c.moved(0, 0, turn=c.between(-60, 10)):
        shape = c.count(0, 2)
        c.line([(-20, 0), (36, 0)], 5, "main")
        teeth = c.count(2, 3)
        for k in range(teeth):
            c.rect(34 - 8 * k - 3, 1, 5, c.between(8, 14), "main")
        if shape == 0:
            c.ring(-26, 0, size, 5, "main")
        elif shape == 1:
            for x, y in ((-24, -8), (-24, 8), (-34, 0)):
                c.ring(x, y, size * 0.55, 4, "main")
        else:
            c.rect(-40, -size, 26, 2 * size, "main", corner=6)
            c.ellipse(-31, 0, 5, color="light", mark=True)
        c.line([(-12, -5), (-12, 5)], 3, "second")


def scissors(c: Canvas) -> None:
    """Two blades crossed at a screw, each with a ring for a handle."""
    spread, long = c.between(9, 24), c.between(34, 40)
    for side in (-1, 1):
        with c.moved(0, 4, turn=side * spread):
            c.polygon([(-3.4, 4), (3.4, 4), (2.4 * side, -long + 6), (side * -0.5, -long)], "third")
            c.line([(0, 4), (-side * 5, 16)], 4.4, "main")
            c.ellipse(-side * 8, 25, 9, 11, "main", turn=side * 18)
            c.ellipse(-side * 8, 25, 4.8, 6.6, "light", turn=side * 18, mark=True)
    c.ellipse(0, 4, 2.2, color="dark")


def umbrella(c: Canvas) -> None:
    """A scalloped canopy in panels on a stick with a hooked handle."""
    wide, high = c.between(33, 40), c.between(24, 30)
    panels = c.pick(3, 4, 5)
    edge = [-wide + 2 * wide * k / panels for k in range(panels + 1)]
    c.line([(0, -34), (0, 30), (-2, 37), (-8, 38), (-11, 33)], 3, "dark", smooth=True)
    scallops = "".join(
        f" Q{(a + b) / 2:.1f} {-8 + wide / panels * 0.4:.1f} {a:.1f} -2"
        for a, b in zip(edge[-2::-1], edge[:0:-1], strict=True)
    )
    top, bulge = -2 - high, -2 - high * 1.35
    canopy = f"C{-wide * 0.9:.1f} {bulge:.1f} {wide * 0.9:.1f} {bulge:.1f} {wide:.1f} -2"
    c.path(f"M{-wide:.1f} -2 {canopy}{scallops}Z", "main")
    for k in range(1, panels):
        c.line([(0, top), (edge[k] * 0.7, top + high * 0.45), (edge[k], -3)], 1.6, "second", smooth=True, mark=True)
    c.line([(0, top), (0, top - 6)], 2, "dark")


def teapot(c: Canvas) -> None:
    """A round belly with a spout, a looped handle and a lid with a knob."""
    wide, high = c.between(21, 25), c.between(17, 21)
    c.ring(-wide - 2, 6, 10, 4.4, "second")
    outer = f"M{wide * 0.6} 18 Q{wide + 8} 12 {wide + 9} -4 L{wide + 16} -9"
    c.path(f"{outer} L{wide + 15} 2 Q{wide + 12} 20 {wide * 0.5} 25Z", "second")
    c.ellipse(0, 10, wide, high, "main")
    c.rect(-11, 10 + high - 4, 22, 6, "second", corner=2)
    c.path(f"M-13 {12 - high} Q0 {-4 - high} 13 {12 - high}Z", "third")
    c.ellipse(0, -high + 0.5, 3.6, color="second")
    if c.chance(0.5):
        for x, y in around(0, 10, wide * 0.55, high * 0.5, 0, 300, 6):
            c.ellipse(x, y, 2.6, color="light", mark=True)
    else:
        c.arc(0, 10, wide * 0.92, 5, 10, 170, 2, "light", mark=True)
