"""The confusion table of an evaluation with the names of classes and clusters: as a table, and as a picture."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from tac_pipeline.figures import INK, new_figure, png, write_labels
from tac_pipeline.method.clusters.evaluation import Confusion

# Of more classes or clusters, the picture has no names, which nobody could read.
MAX_NAMES = 60
# Smallest and largest side in inches, and what a name adds to them.
LEAST_INCHES, MOST_INCHES, INCHES_EACH = 3.0, 12.0, 0.19
# A cell has its number written in it where there are at most so many of each.
MAX_NUMBERS = 20


def confusion_table(found: Confusion, *, names: Mapping[Any, str | None] | None = None) -> pl.DataFrame:
    """The cells that have rows.

    Parameters
    ----------
    found : Confusion
    names : mapping of cluster to name, optional
        A cluster without one is called by its number.

    Returns
    -------
    DataFrame with class (str), cluster (str, its number), name (str), rows (int64), share (float64, of the class's
    rows), matched (bool, the cluster is the class's partner): by class, its largest cells first
    """
    rows, columns = np.nonzero(found.counts)
    counts = found.counts[rows, columns]
    called = _cluster_names(found, names)
    return pl.DataFrame(
        {
            "class": [str(found.classes[row]) for row in rows],
            "cluster": [str(found.clusters[column]) for column in columns],
            "name": [called[column] for column in columns],
            "rows": counts,
            "share": counts / found.counts.sum(axis=1)[rows],
            "matched": found.partners[rows] == columns,
        }
    ).sort("class", "rows", descending=[False, True], maintain_order=True)


def confusion_picture(found: Confusion, *, names: Mapping[Any, str | None] | None = None) -> bytes:
    """The share of each class's rows in each cluster as PNG, the partners of the best matching on the diagonal.

    Parameters
    ----------
    found : Confusion
    names : mapping of cluster to name, optional
        A cluster without one is called by its number.
    """
    order = found.order
    shares = (found.counts / found.counts.sum(axis=1, keepdims=True))[:, order]
    # Classes that have a partner first, as the columns are.
    rows = np.argsort(found.partners < 0, kind="stable")
    shares = shares[rows]
    height, width = (min(MOST_INCHES, LEAST_INCHES + INCHES_EACH * size) for size in shares.shape)
    figure, [axes] = new_figure(1, size=(width + 1.0, height))
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto", interpolation="nearest")
    called = _cluster_names(found, names)
    write_labels(axes.yaxis, [str(found.classes[row]) for row in rows] if len(rows) <= MAX_NAMES else None)
    write_labels(
        axes.xaxis, [called[column] for column in order] if len(order) <= MAX_NAMES else None, rotation=45, ha="right"
    )
    axes.set_xlabel("cluster")
    axes.set_ylabel("class")
    if max(shares.shape) <= MAX_NUMBERS:
        for (row, column), share in np.ndenumerate(shares):
            if share >= 0.005:
                color = "white" if share > 0.6 else INK
                axes.text(column, row, f"{share:.0%}", ha="center", va="center", fontsize=7, color=color)
    return png(figure)


def _cluster_names(found: Confusion, names: Mapping[Any, str | None] | None) -> list[str]:
    """What each column is called."""
    given = names or {}
    return [given.get(cluster) or f"cluster {cluster}" for cluster in found.clusters.tolist()]
