"""Colors of clusters: a few hues that color-blind people can tell apart, in three lightnesses; neighbors differ."""

from __future__ import annotations

import numpy as np

from tac_pipeline.arrays import FloatMatrix

# Okabe and Ito's hues, with a darker yellow that is visible on white. Each hue unchanged, lighter and darker.
PALETTE = (
    "#0072b2",
    "#e08a00",
    "#009e73",
    "#cc79a7",
    "#d55e00",
    "#56b4e9",
    "#b8a000",
    "#5aa3d0",
    "#f2b65a",
    "#5cc4a3",
    "#dfa6c6",
    "#ee9159",
    "#8fcdf2",
    "#d6c44f",
    "#00507d",
    "#9c6000",
    "#006e50",
    "#944f77",
    "#943f00",
    "#2a7fae",
    "#7d6c00",
)
HUES = 7
# A color of the same hue in another lightness counts half as different as one of another hue.
SAME_COLOR, SAME_HUE = 1.0, 0.5


def color_clusters(centers: FloatMatrix, sizes: list[int]) -> list[str]:
    """A color for each cluster; clusters that are near each other on the map get different colors.

    With more clusters than colors some share one: a color alone never identifies a cluster.

    Parameters
    ----------
    centers : float32 (n_clusters, 2)
        Places on the map; NaN for a cluster without a place.
    sizes : list of int, n_clusters long
        The largest choose first.

    Returns
    -------
    list of str, CSS colors
    """
    order = sorted(range(len(sizes)), key=lambda cluster: -sizes[cluster])
    places = np.where(np.isfinite(centers), centers, 0.5).astype(np.float64)
    likeness = _likeness()
    clash = np.zeros((len(sizes), len(PALETTE)))
    chosen = [0] * len(sizes)
    for cluster in order:
        chosen[cluster] = int(clash[cluster].argmin())
        nearness = 1 / (0.05 + np.linalg.norm(places - places[cluster], axis=1))
        # Squared, so that one neighbor counts for more than many clusters across the map.
        clash += nearness[:, np.newaxis] ** 2 * likeness[chosen[cluster]]
    return [PALETTE[color] for color in chosen]


def _likeness() -> np.ndarray:
    numbers = np.arange(len(PALETTE))
    same_hue = (numbers[:, np.newaxis] - numbers) % HUES == 0
    likeness: np.ndarray = np.where(same_hue, SAME_HUE, 0.0)
    np.fill_diagonal(likeness, SAME_COLOR)
    return likeness
