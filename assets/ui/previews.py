"""Previews of artifacts for the UI: small Markdown tables and plots."""

import base64
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from tac_pipeline.figures import ACCENT, FAINT, INK, new_figure, png
from tac_pipeline.store.schemas import LOSS_HISTORY

if TYPE_CHECKING:
    from tac_pipeline.method.clusters.reliability import Reliability

# Dagster's UI shows Markdown with fewer characters directly, and longer text behind a link.
INLINE_CHARACTERS = 1000
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

    figure, panels = new_figure(2)
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
    figure, panels = new_figure(2)
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
    figure, [shares, counts] = new_figure(2, size=(7.0, 3.6))
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


def sizes_picture(counts: np.ndarray) -> bytes:
    """How many images each cluster has, largest first, as PNG; counts is int (n_clusters,)."""
    sizes = np.sort(counts)[::-1]
    figure, [axes] = new_figure(1)
    # Bars as one shape, with gaps of no height: thousands of shapes would take seconds.
    bars, edges = np.stack([sizes, np.zeros_like(sizes)], axis=1).reshape(-1), np.arange(1, len(sizes) + 1)
    edges = np.stack([edges - 0.45, edges + 0.45], axis=1).reshape(-1)
    axes.stairs(bars[:-1], edges, fill=True, color=ACCENT)
    axes.axhline(sizes.mean(), color=INK, linewidth=1, linestyle=":", label="even split")
    axes.set_xlabel("cluster, largest first")
    axes.set_ylabel("images")
    axes.legend(frameon=False)
    return png(figure)
