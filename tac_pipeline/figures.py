"""What every drawn figure shares: its colors, its fonts, names in it, and its bytes. matplotlib is imported on use."""

from __future__ import annotations

import functools
import io
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

PICTURE_DPI = 90
INK, ACCENT, FAINT = "#334155", "#4f46e5", "#94a3b8"
LONGEST_NAME = 44
STRIP_GAP = 6  # pixels
MAP_INCHES, MAP_NAMES = (7.0, 5.0), 25
# Fonts with Chinese, Japanese and Korean letters, by their names on Debian, Windows and macOS.
WIDE_FONTS = (
    "Noto Sans CJK",
    "WenQuanYi",
    "Droid Sans Fallback",
    "Microsoft YaHei",
    "Malgun Gothic",
    "PingFang",
    "Hiragino Sans",
    "Arial Unicode MS",
)


def map_picture(points: pl.DataFrame, clusters: Sequence[Mapping[str, Any]]) -> bytes:
    """The map of the store as PNG: a dot for each image in its cluster's color, the largest clusters by name.

    Parameters
    ----------
    points : DataFrame with x, y, cluster_id
    clusters : sequence of mappings with id, name, color, x, y (None where it has no image)
        The largest first; only clusters named here are drawn.
    """
    figure, [axes] = new_figure(1, size=MAP_INCHES)
    colors = pl.DataFrame(
        [(each["id"], each["color"]) for each in clusters],
        schema={"cluster_id": pl.Int32, "color": pl.String},
        orient="row",
    )
    dots = points.join(colors, on="cluster_id")
    size = min(24.0, max(1.0, 20_000 / max(len(dots), 1)))
    axes.scatter(dots["x"], dots["y"], c=dots["color"].to_list(), s=size, linewidths=0, alpha=0.7)
    for each in [each for each in clusters if each["x"] is not None][:MAP_NAMES]:
        # Above the middle, because the label of a small cluster would hide its dots.
        write(
            axes,
            label(each),
            each["x"],
            each["y"],
            color=INK,
            above=6,
            ha="center",
            va="bottom",
            fontsize=8,
            in_layout=False,
        )
    axes.set_aspect("equal")
    axes.set_axis_off()
    return png(figure)


def strips_picture(strips: Sequence[tuple[str, bytes]]) -> bytes:
    """Strips of pictures below each other as PNG, each with its name at the left.

    Parameters
    ----------
    strips : sequence of (name, encoded picture), all of one height
    """
    import numpy as np
    from PIL import Image

    pictures = [np.asarray(Image.open(io.BytesIO(data)).convert("RGB")) for _, data in strips]
    height, width = pictures[0].shape[0], max(picture.shape[1] for picture in pictures)
    sheet = np.full((len(strips) * (height + STRIP_GAP), width, 3), 255, dtype=np.uint8)
    for place, picture in enumerate(pictures):
        top = place * (height + STRIP_GAP)
        sheet[top : top + height, : picture.shape[1]] = picture
    names_width = 0.085 * max(len(shortened(name)) for name, _ in strips)
    figure, [axes] = new_figure(1, size=(width / PICTURE_DPI + names_width + 0.3, sheet.shape[0] / PICTURE_DPI + 0.3))
    axes.imshow(sheet, interpolation="nearest")
    middles = [place * (height + STRIP_GAP) + height / 2 for place in range(len(strips))]
    write_labels(axes.yaxis, [name for name, _ in strips], at=middles)
    write_labels(axes.xaxis, None)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    return png(figure)


def label(cluster: Mapping[str, Any]) -> str:
    """The label of a cluster in a picture: its name, or its id if it has none."""
    return cluster["name"] or f"cluster {cluster['id']}"


def write(axes: Any, text: str, x: float, y: float, *, above: float = 0, **look: Any) -> None:
    """A name in a picture, some points above its place, cut when it is long, on white so that nothing below it shows
    through.
    """
    box = {"facecolor": "white", "edgecolor": "none", "pad": 0.8, "alpha": 0.8}
    axes.annotate(
        shortened(text),
        (x, y),
        xytext=(0, above),
        textcoords="offset points",
        zorder=3,
        family=_fonts(),
        annotation_clip=False,
        **{"bbox": box, **look},
    )


def write_labels(axis: Any, names: Sequence[str] | None, *, at: Sequence[float] | None = None, **look: Any) -> None:
    """Names along an axis, one at each place, or at each whole number from 0; None for no marks at all."""
    if names is None:
        axis.set_ticks([])
        return
    axis.set_ticks(
        range(len(names)) if at is None else at,
        [shortened(name) for name in names],
        family=_fonts(),
        fontsize=8,
        **look,
    )


def shortened(text: str) -> str:
    """A name as matplotlib writes it: cut when it is long, and without formulas."""
    short = text if len(text) <= LONGEST_NAME else f"{text[: LONGEST_NAME - 1]}…"
    # A dollar sign would begin a formula.
    return short.replace("$", r"\$")


@functools.cache
def _fonts() -> list[str]:
    """matplotlib's own font, then the fonts of this machine with the letters that it lacks."""
    from matplotlib.font_manager import get_font_names

    return ["DejaVu Sans", *(name for name in sorted(get_font_names()) if name.startswith(WIDE_FONTS))]


def new_figure(n_panels: int, *, size: tuple[float, float] = (7.0, 3.0)) -> tuple[Any, list[Any]]:
    """A figure with panels side by side, size in inches, without the frame's upper and right line."""
    # The object interface: pyplot keeps figures in module state and may look for a screen.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    panels = list(figure.subplots(1, n_panels, squeeze=False)[0])
    for axes in panels:
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(colors=INK)
    return figure, panels


def png(figure: Any) -> bytes:
    """A figure as PNG."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # One for every letter that no font on this machine has: the picture shows a box, as the README says.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        # The same bytes as savefig, which draws everything twice.
        figure.set_dpi(PICTURE_DPI)
        figure.canvas.print_png(buffer)
    return buffer.getvalue()
