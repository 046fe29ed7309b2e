"""The ways to paint: what becomes of a part's color, and which filters lie on the whole.

Colors come in and SVG attributes go out; what must stay out is any knowledge of kinds and backgrounds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from tac_pipeline.demo.palette import Palette, is_dark, mixed

# Wider lines are bodies (a snake, a handle): drawn styles give them an outline of their own.
WIDEST_PLAIN_LINE = 3.0


@dataclass
class Style:
    """How one picture is painted; made anew for each, because gradients are collected on the way.

    Attributes
    ----------
    name : str
        One of STYLE_NAMES.
    ink : str
        #rrggbb of outlines, and of all parts of a silhouette.
    paper : str
        #rrggbb that silhouettes are cut out to, and that outlined parts are filled with.
    pen : float
        Width of outlines, in units of the canvas.
    filter_svg : str
        The definition of the filter called "hand" that lies on the whole, "" for none.
    """

    name: str
    ink: str
    paper: str
    pen: float
    filter_svg: str = ""
    gradients: dict[str, str] = field(default_factory=dict)

    def fill(self, color: str, mark: bool) -> str:
        """SVG attributes of a part."""
        return _FILLS[self.name](self, color, mark)

    def strokes(self, color: str, width: float, mark: bool) -> list[str]:
        """SVG attributes of a line, for each time that it is drawn, undermost first."""
        if self.name in ("outline", "chalk", "woodcut"):
            if width <= WIDEST_PLAIN_LINE:
                return [_stroke(self.ink, max(self.pen, width * 0.6))]
            inner = self.paper if self.name == "outline" else mixed(self.paper, color, 0.45)
            return [_stroke(self.ink, width + self.pen), _stroke(inner, width - self.pen)]
        if self.name == "silhouette":
            return [_stroke(self.paper if mark else self.ink, width)]
        if self.name == "shaded":
            return [_stroke(mixed(color, "#000000", 0.35), width), _stroke(mixed(color, "#ffffff", 0.12), width * 0.6)]
        return [_stroke(color, width)]

    @property
    def definitions(self) -> str:
        """What the parts refer to."""
        return "".join(self.gradients.values()) + self.filter_svg


def _stroke(color: str, width: float) -> str:
    return (
        f'fill="none" stroke="{color}" stroke-width="{max(width, 0.4):.2f}" stroke-linecap="round" '
        'stroke-linejoin="round"'
    )


def _outlined(fill: str, ink: str, pen: float, opacity: float = 1) -> str:
    seen = f' fill-opacity="{opacity:.2f}"' if opacity < 1 else ""
    return f'fill="{fill}"{seen} stroke="{ink}" stroke-width="{pen:.2f}" stroke-linejoin="round"'


def _flat(style: Style, color: str, mark: bool) -> str:
    return f'fill="{color}"'


def _outline(style: Style, color: str, mark: bool) -> str:
    return _outlined(style.paper, style.ink, style.pen * (0.7 if mark else 1))


def _crayon(style: Style, color: str, mark: bool) -> str:
    return _outlined(color, mixed(color, "#000000", 0.3), style.pen, 0.8)


def _shaded(style: Style, color: str, mark: bool) -> str:
    name = f"shade-{color[1:]}"
    if name not in style.gradients:
        stops = [(0, mixed(color, "#ffffff", 0.55)), (0.45, color), (1, mixed(color, "#000000", 0.6))]
        style.gradients[name] = (
            f'<radialGradient id="{name}" cx="0.35" cy="0.3" r="0.85">'
            + "".join(f'<stop offset="{at}" stop-color="{stop}"/>' for at, stop in stops)
            + "</radialGradient>"
        )
    return f'fill="url(#{name})"'


def _silhouette(style: Style, color: str, mark: bool) -> str:
    return f'fill="{style.paper if mark else style.ink}"'


def _chalk(style: Style, color: str, mark: bool) -> str:
    return _outlined(mixed(style.paper, color, 0.35), style.ink, style.pen)


def _woodcut(style: Style, color: str, mark: bool) -> str:
    name = f"cut-{color[1:]}"
    if name not in style.gradients:
        # Darker colors are cut less: more ink is left.
        left = 2.1 - 1.3 * sum(int(color[k : k + 2], 16) for k in (1, 3, 5)) / 765
        style.gradients[name] = (
            f'<pattern id="{name}" width="2.6" height="2.6" patternUnits="userSpaceOnUse" '
            f'patternTransform="rotate({35 + sum(map(ord, color)) % 110})">'
            f'<rect width="2.6" height="2.6" fill="{style.paper}"/><rect width="2.6" height="{left:.2f}" '
            f'fill="{style.ink}"/></pattern>'
        )
    return _outlined(f"url(#{name})", style.ink, style.pen * (0.7 if mark else 1))


_FILLS: Mapping[str, Callable[[Style, str, bool], str]] = {
    "flat": _flat,
    "outline": _outline,
    "crayon": _crayon,
    "shaded": _shaded,
    "silhouette": _silhouette,
    "chalk": _chalk,
    "woodcut": _woodcut,
}
STYLE_NAMES = tuple(_FILLS)


def make_style(name: str, rng: np.random.Generator, palette: Palette) -> Style:
    """The style of that name with this picture's ink, pen and roughness."""
    ground = palette["ground"]
    ink, away = (palette["light"], "#000000") if is_dark(ground) else (palette["dark"], "#ffffff")
    paper, pen, rough = ground, float(rng.uniform(1.2, 2.6)), 0.0
    if name == "outline":
        paper, rough = mixed(ground, away, float(rng.uniform(0.2, 0.8))), float(rng.uniform(0, 2.5))
    elif name == "crayon":
        pen, rough = float(rng.uniform(1.5, 3.0)), float(rng.uniform(2.5, 5))
    elif name == "silhouette" and rng.random() < 0.3:
        ink = palette["main"]
    elif name == "chalk":
        ink, rough = mixed(palette["light"], palette["main"], float(rng.uniform(0, 0.4))), float(rng.uniform(1.5, 4))
    elif name == "woodcut":
        paper = mixed(ground, away, 0.5)
    if name == "shaded":
        return Style(name, ink, paper, pen, _shadow(rng))
    return Style(name, ink, paper, pen, _hand(rng, rough, worn=name in ("crayon", "chalk")) if rough else "")


def _shadow(rng: np.random.Generator) -> str:
    """A filter that lets the whole throw a soft shadow."""
    away, soft = rng.uniform(1, 4, 2), rng.uniform(1, 3)
    return (
        '<filter id="hand" x="-20%" y="-20%" width="140%" height="140%">'
        f'<feDropShadow dx="{away[0]:.1f}" dy="{away[1]:.1f}" stdDeviation="{soft:.1f}" flood-opacity="0.5"/></filter>'
    )


def _hand(rng: np.random.Generator, rough: float, *, worn: bool) -> str:
    """A filter that shakes lines and, for crayon and chalk, lets the ground's grain through."""
    seed = int(rng.integers(1, 10_000))
    shaken = (
        f'<feTurbulence type="fractalNoise" baseFrequency="{rng.uniform(0.04, 0.1):.3f}" numOctaves="2" seed="{seed}" '
        'result="shake"/><feDisplacementMap in="SourceGraphic" in2="shake" '
        f'scale="{rough:.2f}" xChannelSelector="R" yChannelSelector="G" result="drawn"/>'
    )
    grain = ""
    if worn:
        grain = (
            f'<feTurbulence type="fractalNoise" baseFrequency="{rng.uniform(0.35, 0.7):.3f}" numOctaves="1" '
            f'seed="{seed + 1}"/><feColorMatrix type="matrix" '
            f'values="0 0 0 0 0  0 0 0 0 0  0 0 0 0 0  0 0 0 -5 {rng.uniform(3.5, 4.2):.2f}"/>'
            '<feComposite in="drawn" operator="in"/>'
        )
    return f'<filter id="hand" x="-20%" y="-20%" width="140%" height="140%">{shaken}{grain}</filter>'
