"""Previews of artifacts for the UI: small Markdown tables and plots."""

import base64
import functools
import io
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from tac_pipeline.store.schemas import LOSS_HISTORY

if TYPE_CHECKING:
    from tac_pipeline.method.clusters.reliability import Reliability

PICTURE_DPI = 90
# Dagster's UI shows Markdown with fewer characters directly, and longer text behind a link.
INLINE_CHARACTERS = 1000
INK, ACCENT, FAINT = "#334155", "#4f46e5", "#94a3b8"
LONGEST_NAME = 44
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
LINES = {"total": ACCENT, "distillation": "#0891b2", "confidence": "#d97706"}


def table(frame: pl.DataFrame) -> str:
    """A frame as a Markdown table; text is escaped, so that no file name or noun becomes markup."""
    # A heading with spaces can wrap, so that more columns fit.
    head = "| " + " | ".join(name.replace("_", " ") for name in frame.columns) + " |"
    rule = "|" + "|".join(" ---: " if dtype.is_numeric() else " --- " for dtype in frame.dtypes) + "|"
    lines = ["| " + " | ".join(_cell(value) for value in row) + " |" for row in frame.iter_rows()]
    return "\n".join([head, rule, *lines])


def shorten(markdown: str) -> str:
    """The first lines of a Markdown table that is too long to be shown directly, and how many were left out."""
    if _length(markdown) < INLINE_CHARACTERS:
        return markdown
    lines = markdown.splitlines()
    kept, room = 0, INLINE_CHARACTERS - len("\n\nand 1000000 more")
    for line in lines:
        room -= _length(line) + 1
        if room <= 0:
            break
        kept += 1
    if kept < 3:  # heading, rule, and not one row
        return markdown
    return "\n".join(lines[:kept]) + f"\n\nand {len(lines) - kept} more"


def _length(text: str) -> int:
    """The number of characters as a browser counts them."""
    return len(text.encode("utf-16-le")) // 2


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.3f}" if value == 0 or abs(value) >= 0.01 else f"{value:.2g}"
    if isinstance(value, list):
        return ", ".join(_cell(part) for part in value)
    text = str(value).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return "".join(f"\\{char}" if char in "\\`*_{}[]()#!|" else char for char in " ".join(text.split()))


def contact_sheet(clusters: pl.DataFrame, strips: Sequence[bytes]) -> str:
    """Clusters with their most typical images as a Markdown table.

    Parameters
    ----------
    clusters : DataFrame with cluster_id, name, size
    strips : sequence of bytes
        A WebP for each of the first clusters; the others are counted below.
    """
    shown = clusters.head(len(strips)).select("cluster_id", "name", images="size")
    head, rule, *rows = table(shown).splitlines()
    pictures = (f"![](data:image/webp;base64,{base64.b64encode(strip).decode()})" for strip in strips)
    lines = [f"{head} most typical |", f"{rule} --- |"]
    lines += [f"{row} {picture} |" for row, picture in zip(rows, pictures, strict=True)]
    if len(strips) < len(clusters):
        lines += ["", f"and {len(clusters) - len(strips):,} smaller clusters"]
    return "\n".join(lines)


def history_table(history: Sequence[Any]) -> pl.DataFrame:
    """The loss history of a training as the table loss_history."""
    names = [column.name for column in LOSS_HISTORY.columns]
    return pl.DataFrame({name: [getattr(epoch, name) for epoch in history] for name in names})


def loss_picture(history: pl.DataFrame) -> bytes:
    """The loss, and its parts on their own scale, by epoch, as PNG."""
    from matplotlib.ticker import MaxNLocator

    figure, panels = _figure(2)
    epochs = history["epoch"].to_numpy()
    dots = "." if len(epochs) < 40 else None
    for axes, names in zip(panels, (["total"], ["distillation", "confidence"]), strict=True):
        for name in names:
            axes.plot(epochs, history[name].to_numpy(), label=name, color=LINES[name], marker=dots)
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.legend(frameon=False)
    return png(figure)


def count_picture(evidence: pl.DataFrame, count: int) -> bytes:
    """The table count_evidence: the evidence and its parts, and how well groups come back, by K, as PNG."""
    figure, panels = _figure(2)
    counts = evidence["count"].to_numpy()
    for name in ("stability_gap", "neighbors_gap", "silhouette_gap"):
        panels[0].plot(counts, evidence[name].to_numpy(), label=name.removesuffix("_gap"), linewidth=1, alpha=0.6)
    for axes, name, title in zip(
        panels, ("evidence", "stability"), ("above vectors without groups", "groups of two halves alike"), strict=True
    ):
        axes.plot(counts, evidence[name].to_numpy(), color=ACCENT, marker=".")
        axes.axvline(count, color=INK, linewidth=1, linestyle=":", label=f"K = {count}")
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter("{x:g}")
        axes.set_xlabel("number of groups")
        axes.set_title(title, fontsize=10, color=INK)
        axes.legend(frameon=False)
    return png(figure)


def reliability_picture(found: "Reliability") -> bytes:
    """What the labels say of images by their confidence, and how many have which confidence, as PNG."""
    figure, [shares, counts] = _figure(2, size=(7.0, 3.6))
    shares.plot([0, 1], [0, 1], color=INK, linewidth=1, linestyle=":", label="as it should be")
    sizes = 4 + 120 * found.images / found.images.max()
    for share, color, name in (
        (found.pure, FAINT, "of their cluster's commonest class"),
        (found.right, ACCENT, "in the cluster of their class"),
    ):
        shares.plot(found.confidence, share, color=color, linewidth=1)
        shares.scatter(found.confidence, share, sizes, color=color, label=name)
    shares.set_xlabel("confidence")
    shares.set_ylabel("share of the images")
    shares.set_ylim(-0.02, 1.05)
    shares.legend(frameon=False, fontsize=8, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    counts.bar(found.confidence, found.images, color=ACCENT, width=0.06)
    counts.set_xlabel("confidence")
    counts.set_ylabel("images")
    for axes in (shares, counts):
        axes.set_xlim(-0.02, 1.05)
    return png(figure)


def sizes_picture(assignment: np.ndarray, n_clusters: int) -> bytes:
    """How many images each cluster has, largest first, as PNG."""
    sizes = np.sort(np.bincount(assignment, minlength=n_clusters))[::-1]
    figure, [axes] = _figure(1)
    # Bars as one shape, with gaps of no height: thousands of shapes would take seconds.
    bars, edges = np.stack([sizes, np.zeros_like(sizes)], axis=1).reshape(-1), np.arange(1, len(sizes) + 1)
    edges = np.stack([edges - 0.45, edges + 0.45], axis=1).reshape(-1)
    axes.stairs(bars[:-1], edges, fill=True, color=ACCENT)
    axes.axhline(sizes.mean(), color=INK, linewidth=1, linestyle=":", label="even split")
    axes.set_xlabel("cluster, largest first")
    axes.set_ylabel("images")
    axes.legend(frameon=False)
    return png(figure)


def map_picture(points: pl.DataFrame, clusters: Sequence[Mapping[str, Any]]) -> bytes:
    """The map of the store as PNG: a dot for each image in its cluster's color, the largest clusters by name.

    Parameters
    ----------
    points : DataFrame with x, y, cluster_id
    clusters : sequence of mappings with id, name, color, x, y (None where it has no image)
        The largest first; only clusters named here are drawn.
    """
    figure, [axes] = _figure(1, size=MAP_INCHES)
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


def label(cluster: Mapping[str, Any]) -> str:
    """The label of a cluster in a picture: its name, or its id if it has none."""
    return cluster["name"] or f"cluster {cluster['id']}"


def write(axes: Any, text: str, x: float, y: float, *, above: float = 0, **look: Any) -> None:
    """A name in a picture, some points above its place, cut when it is long, on white so that nothing below it shows
    through.
    """
    short = text if len(text) <= LONGEST_NAME else f"{text[: LONGEST_NAME - 1]}…"
    box = {"facecolor": "white", "edgecolor": "none", "pad": 0.8, "alpha": 0.8}
    # A dollar sign would begin a formula.
    axes.annotate(
        short.replace("$", r"\$"),
        (x, y),
        xytext=(0, above),
        textcoords="offset points",
        zorder=3,
        family=_fonts(),
        annotation_clip=False,
        **{"bbox": box, **look},
    )


@functools.cache
def _fonts() -> list[str]:
    """matplotlib's own font, then the fonts of this machine with the letters that it lacks."""
    from matplotlib.font_manager import get_font_names

    return ["DejaVu Sans", *(name for name in sorted(get_font_names()) if name.startswith(WIDE_FONTS))]


def _figure(n_panels: int, *, size: tuple[float, float] = (7.0, 3.0)) -> tuple[Any, list[Any]]:
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
