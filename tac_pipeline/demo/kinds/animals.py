"""Animals by their parts."""

from __future__ import annotations

import math

from tac_pipeline.demo.canvas import Canvas, around


def cat(c: Canvas) -> None:
    """A face with pointed ears and whiskers, or a sitting cat with a tail."""
    if c.chance(0.5):
        with c.moved(0, 4, scale=1.15):
            _cat_head(c, c.between(20, 25), c.between(17, 21))
        return
    wide = c.between(13, 17)
    c.line([(wide - 3, 32), (wide + 16, 30), (wide + 18, 14), (wide + 12, c.between(2, 8))], 5, "main", smooth=True)
    c.blob([(-wide, 36), (-wide * 0.8, 6), (0, -4), (wide * 0.8, 6), (wide, 36), (0, 39)], "main")
    for side in (-1, 1):
        c.ellipse(side * wide * 0.45, 36, 5.5, 3.5, "main")
        c.line([(side * 3.5, 14), (side * 4, 33)], 1.5, "dark", mark=True)
    with c.moved(0, -14, scale=0.85):
        _cat_head(c, 18, 15.5)


def _cat_head(c: Canvas, rx: float, ry: float) -> None:
    tall = c.between(1.0, 1.3)
    for side in (-1, 1):
        c.polygon([(side * rx * 0.95, -ry * 0.3), (side * rx * 0.8, -ry * 1.5 * tall), (side * rx * 0.2, -ry * 0.8)])
        c.polygon(
            [(side * rx * 0.8, -ry * 0.6), (side * rx * 0.74, -ry * 1.2 * tall), (side * rx * 0.42, -ry * 0.8)],
            "second",
            mark=True,
        )
    c.ellipse(0, 0, rx, ry, "main")
    for side in (-1, 1):
        c.eye(side * rx * 0.42, -ry * 0.15, 3)
        for k in range(3):
            c.line([(side * rx * 0.35, ry * 0.4), (side * rx * 1.35, ry * (0.15 + 0.25 * k))], 1, "dark", mark=k == 1)
    c.polygon([(-3, ry * 0.25), (3, ry * 0.25), (0, ry * 0.45)], "third", mark=True)
    c.arc(-3, ry * 0.48, 3, 3, 0, 150, 1.2, mark=True)
    c.arc(3, ry * 0.48, 3, 3, 30, 180, 1.2, mark=True)


def rabbit(c: Canvas) -> None:
    """Two long ears over a round head; a face, or a sitting rabbit from the side."""
    long = c.between(24, 32)
    if c.chance(0.5):
        for side in (-1, 1):
            lean = side * c.between(4, 16)
            with c.moved(side * 8, -4, turn=lean):
                c.ellipse(0, -long * 0.6, 6, long * 0.62, "main")
                c.ellipse(0, -long * 0.6, 3, long * 0.42, "second", mark=True)
        c.ellipse(0, 14, 21, 19, "main")
        for side in (-1, 1):
            c.eye(side * 8, 9, 2.8)
            c.ellipse(side * 5, 20, 6, 4.5, "light", mark=True)
        c.rect(-2.5, 23, 5, 6, "light", mark=True)
        c.ellipse(0, 16, 3, 2, "third", mark=True)
        return
    c.ellipse(-27, 20, 7, color="second")
    c.ellipse(-8, 18, 21, c.between(15, 19), "main")
    c.ellipse(-12, 30, 13, 6, "main")
    c.ellipse(12, 32, 5, 4, "main")
    for turn in (c.between(-22, -8), c.between(2, 14)):
        with c.moved(15, -8, turn=turn):
            c.ellipse(0, -long * 0.55, 4.5, long * 0.6, "main")
            c.ellipse(0, -long * 0.55, 2, long * 0.4, "second", mark=True)
    c.ellipse(18, 0, 12, 10.5, "main")
    c.eye(22, -3, 2.2)
    c.ellipse(29, 2, 2, 1.6, "third")


def elephant(c: Canvas) -> None:
    """A heavy body on four legs with a large ear, a tusk and a trunk; or its face."""
    if c.chance(0.3):
        flap = c.between(15, 19)
        for side in (-1, 1):
            c.ellipse(side * 24, -8, flap, 20, "main", turn=side * 12)
            c.ellipse(side * 24, -8, flap * 0.65, 14, "second", turn=side * 12, mark=True)
        c.ellipse(0, -6, 19, 20, "main")
        sway = c.between(-10, 10)
        c.line([(0, 4), (0, 20), (sway * 0.5, 32), (sway, 38)], 10, "main", smooth=True)
        for side in (-1, 1):
            c.eye(side * 8, -10, 2.4)
            c.path(f"M{side * 7} 9 Q{side * 9} 24 {side * 18} 24 Q{side * 13} 18 {side * 12} 8Z", "light")
        return
    c.line([(-29, -4), (-36, 6), (-35, 14)], 2, "main", smooth=True)
    short = c.between(15, 20)
    for x in (-24, -12, 4, 14):
        c.rect(x, 8, 9, 8 + short, "main", corner=2.5)
        c.rect(x, 12 + short, 9, 4, "second", corner=2)
    c.ellipse(-5, 0, 27, c.between(17, 20), "main")
    c.ellipse(23, -12, 14, 13, "main")
    lift = c.between(-18, 16)
    c.line([(32, -12), (39, 2), (37 + c.between(-4, 2), 14 + lift * 0.4), (40, 20 + lift)], 7, "main", smooth=True)
    c.path("M31 -3 Q38 6 45 2 Q37 1 34 -6Z", "light")
    c.ellipse(13, -11, 10, c.between(11, 14), "second", turn=10)
    c.eye(28, -16, 1.9)


def fish(c: Canvas) -> None:
    """A body with a forked tail, fins, a gill and an eye."""
    long, high = c.between(22, 29), c.between(12, 20)
    tail = c.between(9, 15)
    c.polygon([(-long + 5, 0), (-long - tail, -tail), (-long - tail * 0.55, 0), (-long - tail, tail)], "second")
    c.polygon([(-8, -high * 0.8), (2, -high - c.between(6, 11)), (11, -high * 0.75)], "second")
    c.polygon([(-6, high * 0.8), (-2, high + c.between(4, 8)), (6, high * 0.8)], "second")
    c.blob(
        [
            (-long, 0),
            (-long * 0.3, -high),
            (long * 0.5, -high * 0.8),
            (long + 3, 0),
            (long * 0.5, high * 0.8),
            (-long * 0.3, high),
        ]
    )
    pattern = c.count(0, 2)
    if pattern == 1:
        for k in range(3):
            x = -long * 0.5 + k * long * 0.35
            c.line([(x, -high * 0.65), (x + 2, 0), (x, high * 0.65)], 2.5, "third", smooth=True, mark=True)
    elif pattern == 2:
        for k in range(6):
            x, y = -long * 0.5 + (k // 2) * 9, (-1, 1)[k % 2] * high * 0.3
            c.arc(x, y, 4, 4, -70, 70, 1.2, "dark", mark=True)
    c.arc(long * 0.35, 0, 5, high * 0.6, -70, 70, 1.5, "dark", mark=True)
    c.polygon([(0, 2), (-9, 9), (-2, 9)], "third", mark=True)
    c.eye(long * 0.68, -high * 0.25, 2.6)


def snake(c: Canvas) -> None:
    """A long winding body with a head and a forked tongue; or coiled."""
    thick = c.between(6, 9)
    if c.chance(0.35):
        for k in range(3):
            c.ellipse(0, 26 - 9 * k, 30 - 6 * k, 9 - k, ("main", "second", "main")[k])
        body = [(10.0, 6.0), (14.0, -8.0), (2.0, -18.0), (4.0, -28.0)]
        head = (6.0, -30.0, -20.0)
    else:
        waves, high = c.pick(1.5, 2, 2.5), c.between(9, 16)
        body = [(-36 + 6 * k, high * math.sin(k / 11 * waves * 2 * math.pi)) for k in range(12)]
        head = (33.0, body[-1][1], c.between(-25, 15))
    c.line(body, thick, "main", smooth=True)
    for k in range(1, len(body) - 1):
        c.ellipse(*body[k], thick * 0.24, color="second", mark=True)
    with c.moved(head[0], head[1], turn=head[2]):
        c.line([(6, 0), (14, 0), (18, -3)], 1.2, "third")
        c.line([(14, 0), (18, 3)], 1.2, "third")
        c.ellipse(2, 0, 8, thick * 0.72, "main")
        c.eye(4, -2, 1.7)


def turtle(c: Canvas) -> None:
    """A domed shell with plates over four feet, from the side or from above."""
    if c.chance(0.55):
        for x in (-17, 13):
            c.ellipse(x, 20, 6, 8, "second", turn=c.between(-25, 25))
        c.polygon([(-24, 14), (-36, 19), (-24, 19)], "second")
        c.line([(20, 12), (30, c.between(-2, 8))], 8, "second")
        head = c.between(-6, 4)
        c.ellipse(33, head, 8, 6.5, "second")
        c.eye(36, head - 1.5, 1.7)
        high = c.between(20, 28)
        c.path(f"M-28 16 C-26 {16 - high * 1.3} 24 {16 - high * 1.3} 26 16Z", "main")
        for x in (-12, 0, 12):
            c.ellipse(x, 16 - high * (0.55 if x else 0.68), 5, 4.5, "third", mark=True)
        c.rect(-29, 13, 56, 5, "third", corner=2)
        return
    for x, y, turn in ((-20, -18, 40), (20, -18, -40), (-20, 20, -40), (20, 20, 40)):
        c.ellipse(x, y, 6, 10, "second", turn=turn)
    c.polygon([(-3, 26), (0, 38), (3, 26)], "second")
    c.ellipse(0, -31, 7, 9, "second")
    for side in (-1, 1):
        c.ellipse(side * 3, -35, 1.3, color="dark", mark=True)
    c.ellipse(0, 0, c.between(21, 25), 26, "main")
    c.polygon(around(0, 0, 9, 10, 0, 300, 6), "third", mark=True)
    for angle in range(30, 390, 60):
        dx, dy = math.cos(math.radians(angle)), math.sin(math.radians(angle))
        c.line([(9 * dx, 10 * dy), (22 * dx, 25 * dy)], 1.5, "dark", mark=True)


def butterfly(c: Canvas) -> None:
    """Four spotted wings on a thin body with feelers."""
    upper, lower, lean = c.between(20, 26), c.between(13, 18), c.between(20, 38)
    for side in (-1, 1):
        c.ellipse(side * 15, 14, lower * 0.8, lower, "second", turn=side * -lean)
        c.ellipse(side * 18, -11, upper * 0.75, upper, "main", turn=side * lean)
        c.ellipse(side * 20, -14, 6, 7, "third", turn=side * lean, mark=True)
        c.ellipse(side * 15, 16, 4, color="light", mark=True)
        c.line([(0, -14), (side * 5, -28), (side * 11, -34)], 1.4, "dark", smooth=True)
        c.ellipse(side * 11, -34, 1.8, color="dark")
    c.ellipse(0, 4, 3, 20, "dark")
    c.ellipse(0, -16, 4, color="dark")


def snail(c: Canvas) -> None:
    """A spiral shell on a long foot with two stalked eyes."""
    c.blob(
        [(-36, 30), (-20, 24), (10, 24), (20, 8), (28, c.between(-6, 0)), (36, 4), (32, 22), (26, 31), (0, 33)],
        "second",
    )
    for x in (28, 34):
        top = c.between(-26, -18)
        c.line([(x, 2), (x + c.between(-2, 5), top)], 2, "second")
        c.ellipse(x + 2, top, 2.6, color="dark")
    radius = c.between(19, 23)
    c.ellipse(-4, 5, radius, radius * 0.95, "main")
    turns = c.between(2.2, 3)
    spiral = [
        (
            -4 + radius * 0.9 * (1 - t) * math.cos(turns * 2 * math.pi * t + 1),
            5 + radius * 0.86 * (1 - t) * math.sin(turns * 2 * math.pi * t + 1),
        )
        for t in [k / 26 for k in range(26)]
    ]
    c.line(spiral, 2.4, "third", smooth=True, mark=True)
    c.arc(31, 10, 4, 3, 20, 140, 1.2, mark=True)


def duck(c: Canvas) -> None:
    """A boat-shaped body with a raised tail, a round head and a flat bill, on water or on feet."""
    if c.chance(0.5):
        for x in (-6, 6):
            c.line([(x, 20), (x, 34)], 2.2, "second")
            c.polygon([(x - 3, 36), (x, 32), (x + 8, 36)], "second")
    c.blob([(-36, c.between(-10, -4)), (-24, 4), (0, 0), (18, -4), (22, 10), (10, 23), (-16, 23), (-30, 12)])
    c.line([(15, 6), (17, -12)], 11, "main")
    head = c.between(-22, -17)
    c.ellipse(18, head, 11, 10, "main")
    c.blob([(26, head - 2), (40, head + 1), (41, head + 4), (27, head + 6)], "second")
    c.eye(21, head - 3, 2)
    c.blob([(-22, 4), (-4, 3), (8, 8), (-2, 16), (-16, 14)], "third", mark=True)
    if c.chance(0.4):
        c.line([(-38, 24), (-24, 21), (-8, 25), (8, 21), (24, 25), (38, 21)], 2, "light", smooth=True)
