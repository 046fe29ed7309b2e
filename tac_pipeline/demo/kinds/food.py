"""Food by its parts."""

from __future__ import annotations

import math

from tac_pipeline.demo.canvas import Canvas


def apple(c: Canvas) -> None:
    """A round fruit dented at stem and bottom, with a stem and a leaf; sometimes with a bite taken."""
    wide, high = c.between(26, 31), c.between(25, 30)
    c.line([(0, -16), (1, -26), (c.between(2, 8), -36)], 3, "dark", smooth=True)
    c.blob(
        [
            (0, -18),
            (wide * 0.5, -23),
            (wide, -6),
            (wide * 0.82, high * 0.6),
            (wide * 0.35, high + 6),
            (0, high + 1),
            (-wide * 0.35, high + 6),
            (-wide * 0.82, high * 0.6),
            (-wide, -6),
            (-wide * 0.5, -23),
        ]
    )
    if c.chance(0.85):
        side = c.pick(-1, 1)
        c.path(f"M2 -24 Q{side * 10} -40 {side * 24} -34 Q{side * 16} -22 2 -24Z", "second")
    if c.chance(0.3):
        c.ellipse(wide * 1.02, 2, 9, 10, "light", mark=True)
    c.path(
        f"M{-wide * 0.7} 0 Q{-wide * 0.7} -12 {-wide * 0.35} -15 Q{-wide * 0.55} -8 {-wide * 0.55} 0Z",
        "light",
        mark=True,
    )


def banana(c: Canvas) -> None:
    """One curved fruit with dark ends, or a bunch joined at the stem."""
    n = c.pick(1, 1, 2, 3)
    for k in range(n):
        with c.moved(0, 0, turn=(k - (n - 1) / 2) * 22):
            deep = c.between(28, 36)
            c.path(f"M-34 -14 Q-28 {deep} 24 20 Q34 16 36 4 Q30 8 22 8 Q-14 12 -27 -16Z", "main")
            c.line([(-29, -6), (-14, 15), (24, 14)], 1.4, "second", smooth=True, mark=True)
            c.polygon([(-35, -14), (-34, -23), (-29, -24), (-26, -15)], "dark")
            c.ellipse(35, 5, 2.5, 3.5, "dark", turn=30)


def carrot(c: Canvas) -> None:
    """A long tapering root with rings and a tuft of leaves."""
    wide = c.between(9, 13)
    for turn in (-32, -14, 4, 20, 36):
        with c.moved(0, -16, turn=turn + c.between(-6, 6)):
            c.line([(0, 0), (0, -12), (0, -c.between(18, 24))], 2.4, "second")
            for y in (-10, -16):
                c.ellipse(0, y, 3.6, 5, "second")
    c.blob([(-wide, -16), (0, -20), (wide, -16), (wide * 0.7, 8), (2, 40), (-2, 40), (-wide * 0.7, 8)], "main")
    for k in range(5):
        y = -10 + 8 * k
        reach = wide * (1 - (y + 18) / 62)
        side = (-1, 1)[k % 2]
        c.line([(side * reach, y), (side * reach * 0.2, y + 1.5)], 1.5, "dark", mark=True)


def ice_cream(c: Canvas) -> None:
    """Scoops on a waffle cone, with a cherry or sauce at times."""
    half, foot = c.between(13, 16), c.between(38, 41)
    c.polygon([(-half, 2), (half, 2), (0, foot)], "second")
    for k in range(1, 4):
        t = k / 4
        c.line([(-half + 2 * half * t, 3), (half * t, foot - (foot - 2) * t)], 1, "dark", mark=True)
        c.line([(half - 2 * half * t, 3), (-half * t, foot - (foot - 2) * t)], 1, "dark", mark=True)
    scoops = c.count(1, 3)
    places = {1: [(0, -8, 17)], 2: [(0, -3, 15), (0, -21, 13)], 3: [(-8, -3, 12), (8, -3, 12), (0, -18, 12)]}[scoops]
    for k, (x, y, size) in enumerate(places):
        c.ellipse(x, y, size, size * 0.95, ("main", "third", "light")[k])
    c.line([(-half, 3), (-half * 0.5, 6), (0, 4), (half * 0.5, 7), (half, 3)], 4, "main", smooth=True)
    x, y, size = places[-1]
    if c.chance(0.5):
        c.ellipse(x, y - size - 2, 3.8, color="third")
        c.line([(x, y - size - 5), (x + 5, y - size - 11)], 1.2, "dark")
    for _ in range(c.count(0, 6)):
        angle, far = c.between(0, 6.28), c.between(0, size * 0.7)
        c.line(
            [
                (x + far * math.cos(angle), y + far * math.sin(angle)),
                (x + far * math.cos(angle) + 2.5, y + far * math.sin(angle) + 1),
            ],
            1.3,
            "dark",
            mark=True,
        )


def cake(c: Canvas) -> None:
    """Layers with dripping icing and candles on a plate; or a wedge cut from one."""
    if c.chance(0.3):
        tall = c.between(20, 26)
        c.polygon([(-34, 6), (20, -10), (32, 6)], "main")
        c.polygon([(-34, 6), (32, 6), (32, 6 + tall), (-34, 6 + tall)], "light")
        for y in (0.35, 0.7):
            c.line([(-34, 6 + tall * y), (32, 6 + tall * y)], 3, "second", mark=True)
        c.line([(-34, 6), (32, 6)], 4, "main")
        c.ellipse(4, -7, 6, color="third")
        return
    tiers = c.count(1, 2)
    c.ellipse(0, 34, 40, 5, "light")
    wide, y = 32.0, 34.0
    for k in range(tiers):
        high = c.between(22, 28) if tiers == 1 else c.between(15, 18)
        y -= high
        c.rect(-wide, y, 2 * wide, high, "second", corner=2)
        drips = [(-wide, y - 2), (wide, y - 2), (wide, y + 5)]
        n_drips = 5 if k else 7
        for j in range(n_drips):
            x = wide - (j + 0.5) * 2 * wide / n_drips
            drips += [(x, y + c.between(8, 12)), (x - wide / n_drips, y + 5)]
        c.polygon(drips, "main")
        wide *= 0.62
    n_candles = c.count(1, 5)
    room = wide / 0.62 * 0.75
    for k in range(n_candles):
        x = 0 if n_candles == 1 else -room + 2 * room * k / (n_candles - 1)
        c.rect(x - 1.5, y - 14, 3, 12, "third")
        c.ellipse(x, y - 17.5, 1.9, 3.4, "light")


def pear(c: Canvas) -> None:
    """A fruit narrow above and wide below, with a stem and a leaf."""
    wide, neck = c.between(20, 25), c.between(8, 11)
    lean = c.between(-4, 4)
    c.line([(lean, -28), (lean + 2, -34), (lean + c.between(2, 7), -41)], 2.8, "dark", smooth=True)
    c.blob(
        [
            (lean, -31),
            (lean + neck, -24),
            (neck + 4, -6),
            (wide, 14),
            (wide * 0.6, 34),
            (0, 37),
            (-wide * 0.6, 34),
            (-wide, 14),
            (-neck - 4, -6),
            (lean - neck, -24),
        ]
    )
    if c.chance(0.7):
        c.path(f"M{lean + 2} -33 Q{lean + 12} -44 {lean + 23} -38 Q{lean + 14} -28 {lean + 2} -33Z", "second")
    c.ellipse(-wide * 0.5, 14, 3, 8, "light", turn=15, mark=True)
    c.ellipse(0, 35, 2.4, 1.4, "dark")
