"""One drawn picture as a pure function of its kind and its seed.

Style, palette, pose, ground, clutter, blur and noise all follow from the two; nothing is read and nothing is kept.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from tac_pipeline.demo import PICTURE_SIZE
from tac_pipeline.demo.canvas import Canvas
from tac_pipeline.demo.kinds import KINDS
from tac_pipeline.demo.palette import choose_palette, is_dark
from tac_pipeline.demo.scenery import GROUND_NAMES, ground_svg, scatter
from tac_pipeline.demo.styles import STYLE_NAMES, make_style
from tac_pipeline.errors import InputError


@dataclass(frozen=True)
class Picture:
    """A picture and what is in it.

    Attributes
    ----------
    kind, style, color, ground : str
        Names from KINDS, STYLE_NAMES, COLOR_NAMES (of most of the thing, before the style) and GROUND_NAMES.
    dark_ground : bool
        Whether light lines stand out better than dark ones.
    scale : float
        The thing's size, 1 filling most of the picture.
    x, y : float
        Where the thing's middle is, from -50 to 50 with y downwards.
    svg : str
        The drawing before blur and noise, with the viewBox -50 -50 100 100.
    blur : float
        Radius in hundredths of the picture's side.
    noise : float
        Standard deviation of each channel, in levels of 256.
    noise_seed : int
    """

    kind: str
    style: str
    color: str
    ground: str
    dark_ground: bool
    scale: float
    x: float
    y: float
    svg: str
    blur: float
    noise: float
    noise_seed: int

    def pixels(self, size: int = PICTURE_SIZE) -> NDArray[np.uint8]:
        """The picture as uint8 (size, size, 3)."""
        import resvg_py

        drawn = resvg_py.svg_to_bytes(svg_string=self.svg, width=size, height=size, skip_system_fonts=True)
        with Image.open(io.BytesIO(bytes(drawn))) as opened:
            image = opened.convert("RGB")
        if self.blur:
            image = image.filter(ImageFilter.GaussianBlur(self.blur * size / 100))
        pixels = np.asarray(image)
        if self.noise:
            noise = np.random.default_rng(self.noise_seed).normal(0, self.noise, pixels.shape)
            pixels = np.clip(np.rint(pixels + noise), 0, 255).astype(np.uint8)
        return pixels


def draw_picture(
    kind: str, seed: int, *, styles: Sequence[str] = STYLE_NAMES, others: Sequence[str] = tuple(KINDS)
) -> Picture:
    """Draw one picture.

    Parameters
    ----------
    kind : str
        A name of KINDS.
    seed : int
        Not negative. Equal arguments give equal pictures.
    styles : sequence of str, optional
        The names of STYLE_NAMES that the seed chooses from.
    others : sequence of str, optional
        The kinds that small things in a corner may be of.

    Raises
    ------
    InputError
        No such kind or style, or a negative seed.
    """
    if kind not in KINDS:
        raise InputError(f"kind must be one of {', '.join(KINDS)}; got {kind!r}")
    if unknown := [name for name in styles if name not in STYLE_NAMES] or not styles:
        raise InputError(f"styles must be some of {', '.join(STYLE_NAMES)}; got {unknown if styles else 'none'}")
    if seed < 0:
        raise InputError(f"seed must not be negative; got {seed}")
    rng = np.random.default_rng([seed, *kind.encode()])
    style_name = styles[int(rng.integers(len(styles)))]
    palette = choose_palette(rng, dark_ground=style_name == "chalk")
    style = make_style(style_name, rng, palette)
    ground = GROUND_NAMES[int(rng.integers(len(GROUND_NAMES)))]
    canvas = Canvas(rng, style, palette, wobble=float(rng.uniform(0, 0.7)))
    behind = ground_svg(ground, rng, palette)
    scatter(canvas, canvas.count(0, 7))
    elsewhere = [name for name in others if name != kind]
    if canvas.chance(0.2) and elsewhere:
        _small_other(canvas, elsewhere)
    scale = canvas.between(0.68, 1.08)
    room = max(48 - 42 * scale, 2)
    x, y = canvas.between(-room, room), canvas.between(-room, room)
    with canvas.moved(
        x,
        y,
        turn=canvas.between(-14, 14),
        slant=canvas.between(-9, 9),
        scale=scale,
        stretch=canvas.pick(-1, 1) * canvas.between(0.84, 1.2),
    ):
        KINDS[kind].draw(canvas)
    for _ in range(canvas.count(0, 2)):
        # In front, but at the edge: what is drawn stays to be recognized.
        angle = canvas.between(0, 2 * np.pi)
        with canvas.moved(44 * np.cos(angle), 44 * np.sin(angle), scale=0.3):
            scatter(canvas, 1)
    filtered = ' filter="url(#hand)"' if style.filter_svg else ""
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="-50 -50 100 100">'
        f"<defs>{style.definitions}</defs>{behind}<g{filtered}>{canvas.svg}</g></svg>"
    )
    blur = float(rng.uniform(0.2, 1.0)) if rng.random() < 0.35 else 0.0
    noise = float(rng.uniform(2, 18)) if rng.random() < 0.5 else 0.0
    return Picture(
        kind=kind,
        style=style_name,
        color=palette.main_name,
        ground=ground,
        dark_ground=is_dark(palette["ground"]),
        scale=scale,
        x=x,
        y=y,
        svg=svg,
        blur=blur,
        noise=noise,
        noise_seed=int(rng.integers(2**31)),
    )


def _small_other(canvas: Canvas, others: Sequence[str]) -> None:
    """Something of another kind, far off in a corner."""
    corner_x, corner_y = canvas.pick(-1, 1) * canvas.between(34, 42), canvas.pick(-1, 1) * canvas.between(34, 42)
    with canvas.moved(corner_x, corner_y, scale=canvas.between(0.14, 0.2)):
        KINDS[canvas.pick(*others)].draw(canvas)
