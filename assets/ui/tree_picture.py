"""The tree of clusters as a picture: branches in the colors of the top level, and readable names."""

from typing import Any

import polars as pl

from tac_pipeline.figures import FAINT, INK, png, write

# More lines than these are not legible in one picture: the lowest branches are then drawn as one line each.
MAX_LINES = 60
LINE_INCHES = 0.19
COLORS = (
    "#4f46e5",
    "#0891b2",
    "#d97706",
    "#be185d",
    "#15803d",
    "#7c3aed",
    "#b91c1c",
    "#0369a1",
    "#a16207",
    "#0f766e",
    "#9333ea",
    "#c2410c",
    "#4d7c0f",
    "#1d4ed8",
    "#a21caf",
)


def tree_picture(nodes: pl.DataFrame) -> bytes:
    """The table cluster_tree as a dendrogram from the root at the left to the clusters at the right, as PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = {row["node"]: row for row in nodes.iter_rows(named=True)}
    children = _shown_children(rows)
    color = _colors(rows)
    places = _places(children, max(rows))
    n_lines = sum(node not in children for node in places)
    figure = Figure(figsize=(10.5, 0.6 + LINE_INCHES * max(n_lines, 4)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    highest = max(row["height"] for row in rows.values()) or 1.0
    for node, place in places.items():
        height = rows[node]["height"] if node in children else 0.0
        parent = rows[node]["parent"]
        if parent is not None:
            axes.plot([rows[parent]["height"], height], [place, place], color=color.get(node, FAINT), linewidth=1.3)
        if node in children:
            ends = [places[child] for child in children[node]]
            axes.plot([height, height], ends, color=color.get(node, FAINT), linewidth=1.3)
            if rows[node]["top_level"]:
                _write(axes, rows[node]["name"], height + 0.008 * highest, place, color[node], bold=True)
        else:
            _write(axes, _line_name(rows[node]), -0.01 * highest, place, color.get(node, INK))
    axes.set_xlim(highest * 1.03, -0.45 * highest)
    axes.set_ylim(n_lines - 0.4, -0.6)
    axes.set_axis_off()
    return png(figure)


def _write(axes: Any, text: str, x: float, y: float, color: str, *, bold: bool = False) -> None:
    """Write a name beside its node: to the right of a line's end, or on a branch."""
    if bold:
        write(axes, text, x, y, color=color, va="center", ha="right", fontsize=8.5, fontweight="bold")
    else:
        write(axes, text, x, y, color=color, va="center", ha="left", fontsize=8.5, bbox=None)


def _line_name(row: dict[str, Any]) -> str:
    """A cluster with its size, or a branch with the number of its clusters."""
    if row["cluster_id"] is None:
        return f"{row['name']} · {row['n_clusters']} clusters, {row['size']:,}"
    return f"{row['name']}  {row['size']:,}"


def _shown_children(rows: dict[int, dict[str, Any]]) -> dict[int, list[int]]:
    """The children of every inner node that is drawn as a branch: the highest ones, as many as fit."""
    found: dict[int, list[int]] = {}
    for node, row in rows.items():
        if row["parent"] is not None:
            found.setdefault(row["parent"], []).append(node)
    # Inner nodes are numbered by height: the last are the highest.
    return {node: found[node] for node in sorted(found)[-(MAX_LINES - 1) :]}


def _places(children: dict[int, list[int]], root: int) -> dict[int, float]:
    """The vertical place of every drawn node: lines from 0 down, a branch in the middle of its two children."""
    places: dict[int, float] = {}
    order, stack = [], [root]
    while stack:
        node = stack.pop()
        order.append(node)
        stack.extend(reversed(children.get(node, [])))
    for line, node in enumerate(node for node in order if node not in children):
        places[node] = float(line)
    for node in reversed([node for node in order if node in children]):
        places[node] = sum(places[child] for child in children[node]) / 2
    return places


def _colors(rows: dict[int, dict[str, Any]]) -> dict[int, str]:
    """A color for every top-level node and every node below one."""
    top = [node for node, row in rows.items() if row["top_level"]]
    found = {node: COLORS[number % len(COLORS)] for number, node in enumerate(top)}
    # Parents have larger numbers than their children.
    for node in sorted(rows, reverse=True):
        parent = rows[node]["parent"]
        if node not in found and parent in found:
            found[node] = found[parent]
    return found
