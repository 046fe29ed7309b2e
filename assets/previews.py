"""What a person sees of an artifact in the UI: small Markdown tables and plots."""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from tac_pipeline.tables import LOSS_HISTORY

PICTURE_DPI = 90
INK, ACCENT = "#334155", "#4f46e5"


def table(frame: pl.DataFrame) -> str:
    """A frame as a Markdown table; text is escaped, so that no file name or noun becomes markup."""
    head = "| " + " | ".join(frame.columns) + " |\n|" + " --- |" * len(frame.columns)
    lines = ["| " + " | ".join(_cell(value) for value in row) + " |" for row in frame.iter_rows()]
    return "\n".join([head, *lines])


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        return ", ".join(_cell(part) for part in value)
    text = str(value).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return "".join(f"\\{char}" if char in "\\`*_{}[]()#!|" else char for char in " ".join(text.split()))


def history_table(history: Sequence[Any]) -> pl.DataFrame:
    """The loss history of a training as the table loss_history."""
    names = [column.name for column in LOSS_HISTORY.columns]
    return pl.DataFrame({name: [getattr(epoch, name) for epoch in history] for name in names})


def loss_picture(history: pl.DataFrame) -> bytes:
    """The loss and its parts by epoch, as PNG."""
    figure, axes = _figure()
    epochs = history["epoch"].to_numpy()
    for name, color in (("distillation", "#0891b2"), ("confidence", "#d97706"), ("total", ACCENT)):
        axes.plot(epochs, history[name].to_numpy(), label=name, color=color, marker="." if len(epochs) < 40 else None)
    axes.set_xlabel("epoch")
    axes.legend(frameon=False)
    return _png(figure)


def sizes_picture(assignment: np.ndarray, n_clusters: int) -> bytes:
    """How many images each cluster has, largest first, as PNG."""
    sizes = np.sort(np.bincount(assignment, minlength=n_clusters))[::-1]
    figure, axes = _figure()
    axes.bar(np.arange(1, len(sizes) + 1), sizes, color=ACCENT, width=0.9)
    axes.axhline(sizes.mean(), color=INK, linewidth=1, linestyle=":", label="even split")
    axes.set_xlabel("cluster, largest first")
    axes.set_ylabel("images")
    axes.legend(frameon=False)
    return _png(figure)


def _figure() -> tuple[Any, Any]:
    # The object interface: pyplot keeps figures in module state and may look for a screen.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 3.2), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(colors=INK)
    return figure, axes


def _png(figure: Any) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=PICTURE_DPI)
    return buffer.getvalue()
