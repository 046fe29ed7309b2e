"""Points of the map as pages have them: places in 16 bits, the places of the groups, and what is inside an outline."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from tac_pipeline.arrays import row_chunks

# Positions are kept in 16 bits, with the map's unit square in the middle and room for places outside it.
MAP_SCALE, MAP_OFFSET = 32_768, 16_384
LARGEST_PLACE = 65_535

Places = npt.NDArray[np.uint16]


def pack_places(values: npt.NDArray[np.floating]) -> Places:
    """Coordinates of image_map, float (n_images,), as little-endian uint16: MAP_SCALE x value + MAP_OFFSET."""
    packed: Places = np.clip(values * MAP_SCALE + MAP_OFFSET, 0, LARGEST_PLACE).round().astype("<u2")
    return packed


def group_places(images: pl.DataFrame, ids: Sequence[int]) -> npt.NDArray[np.float64]:
    """Each group's place on the map, the median of its images.

    Parameters
    ----------
    images : DataFrame with cluster_id, x, y
    ids : sequence of int
        The groups, in the order of the answer.

    Returns
    -------
    float64 (n_groups, 2), NaN for a group without images
    """
    medians = images.group_by("cluster_id").agg(pl.col("x").median(), pl.col("y").median())
    position = {id_: row for row, id_ in enumerate(ids)}
    places = np.full((len(position), 2), np.nan)
    for id_, x, y in medians.drop_nulls().iter_rows():
        if id_ in position:
            places[position[id_]] = x, y
    return places


def rows_inside(
    x: Places, y: Places, outline: npt.NDArray[np.float64], *, chunk_rows: int = 65_536
) -> npt.NDArray[np.int64]:
    """The points inside an outline, by the even-odd rule.

    Parameters
    ----------
    x, y : uint16 (n_images,)
    outline : float64 (n_corners, 2)
        Its corners in the same units; the last is joined to the first.
    chunk_rows : int
        Bounds memory; never changes the result.

    Returns
    -------
    int64 (n_inside,), increasing
    """
    low, high = outline.min(axis=0), outline.max(axis=0)
    near = np.flatnonzero((x >= low[0]) & (x <= high[0]) & (y >= low[1]) & (y <= high[1]))
    found = [near[:0]]
    for chunk in row_chunks(len(near), chunk_rows):
        rows = near[chunk]
        across, up = x[rows].astype(np.float64), y[rows].astype(np.float64)
        inside = np.zeros(len(rows), dtype=bool)
        for (x0, y0), (x1, y1) in zip(np.roll(outline, 1, axis=0), outline, strict=True):
            if y0 == y1:
                continue
            crossed = (y0 > up) != (y1 > up)
            inside ^= crossed & (across < (x1 - x0) * (up - y0) / (y1 - y0) + x0)
        found.append(rows[inside])
    return np.concatenate(found)
