"""What the workbench knows of the map: a place and a group for every image on it, and which images an outline holds.

A page gets places and groups as two blocks of bytes, each under a key that says what is in it. So places, the larger
one, are sent once, and after an action only the groups again. Images are named by their row on the map; their ids stay
here until somebody chooses them. Holds about 12 bytes an image beside the tables of the desk.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from assets.engine.execute import open_store
from assets.engine.step import Inputs
from assets.map import image_map
from assets.workbench.desk import Desk
from assets.workbench.tables import View
from tac_pipeline.errors import ArtifactMissing, InputError
from tac_pipeline.report.colors import color_clusters
from tac_pipeline.report.map_points import MAP_OFFSET, MAP_SCALE, Places, group_places, pack_places, rows_inside

# Of an outline; a page thins out what a hand draws.
MOST_CORNERS = 1_000
# In the block of groups: an image that is in none.
NO_GROUP = 65_535


@dataclass(frozen=True)
class MapView:
    """The map of one result.

    Attributes
    ----------
    view : View
        The tables that it is of.
    rows : uint32 (n_images,)
        The row of each image on the map in the table of the view; increasing.
    x, y : uint16 (n_images,)
    groups : uint16 (n_images,)
        The place of each image's group in `listed`, or NO_GROUP.
    listed : list of dict
        One for each group, by id: id, x, y (None where it has no image on the map), color.
    places_key, groups_key : str
        Digests of the blocks; equal ones are of equal bytes and equal images.
    """

    view: View
    rows: npt.NDArray[np.uint32]
    x: Places
    y: Places
    groups: Places
    listed: list[dict[str, Any]]
    places_key: str
    groups_key: str

    @property
    def facts(self) -> dict[str, Any]:
        """What a page must know before it asks for the blocks."""
        return {
            "count": len(self.rows),
            "scale": MAP_SCALE,
            "offset": MAP_OFFSET,
            "places": self.places_key,
            "marks": self.groups_key,
            "groups": self.listed,
        }

    def images(self, rows: npt.NDArray[np.integer]) -> pl.DataFrame:
        """Rows of the map as rows of the view."""
        return self.view.images.select(pl.all().gather(self.rows[rows]))


@dataclass(frozen=True)
class _Placed:
    """What stays when images only change their groups: their rows and places, with the columns that these are of."""

    content: str
    ids: pl.Series
    hashes: pl.Series
    rows: npt.NDArray[np.uint32]
    places: pl.DataFrame
    x: Places
    y: Places
    key: str

    def is_of(self, view: View, content: str) -> bool:
        """Whether they are those of a view and a map."""
        same = self.content == content and self.ids.equals(view.images["image_id"])
        return same and self.hashes.equals(view.images["content_hash"])


def _place(view: View, places: pl.DataFrame, content: str) -> _Placed:
    images = view.images.select("image_id", "content_hash")
    # Images that changed since the map was made have no place until it is made again.
    found = images.with_row_index("row").join(places, on=["image_id", "content_hash"], maintain_order="left")
    x, y = (pack_places(found[name].to_numpy()) for name in ("x", "y"))
    key = _key(x, y, found["image_id"].hash().to_numpy())
    return _Placed(
        content, images["image_id"], images["content_hash"], found["row"].to_numpy(), found.select("x", "y"), x, y, key
    )


class Mapped:
    """The map of one desk; made again when there is another result."""

    def __init__(self, desk: Desk) -> None:
        self._desk, self._making = desk, threading.Lock()
        self._found: MapView | None = None
        self._placed: _Placed | None = None
        self._colors: dict[int, str] = {}

    def now(self, places_key: str | None = None) -> MapView:
        """The current map.

        Raises
        ------
        ArtifactMissing
            It was not built.
        InputError
            Its places have another key than asked for: rows would be other images.
        """
        with self._making:
            view = self._desk.view()
            current = open_store(self._desk.project).current(image_map.name)
            if current is None:
                raise ArtifactMissing("the map was not built yet: `tac run` builds it")
            content = current.artifact.content
            if self._placed is None or not self._placed.is_of(view, content):
                inputs = Inputs(self._desk.project, {image_map.name: current.artifact})
                places = inputs.table(image_map, columns=["image_id", "content_hash", "x", "y"])
                self._placed, self._found = _place(view, places, content), None
            if self._found is None or self._found.view is not view:
                self._found = self._made(view, self._placed)
            if places_key not in (None, self._found.places_key):
                raise InputError("the map is another one now: look again")
            return self._found

    def _made(self, view: View, placed: _Placed) -> MapView:
        ids = sorted(group["id"] for group in view.groups)[:NO_GROUP]
        position = pl.DataFrame({"cluster_id": ids, "at": range(len(ids))}, schema=_POSITION)
        found = view.images.select("cluster_id")[placed.rows].hstack(placed.places)
        groups = found.join(position, on="cluster_id", how="left", maintain_order="left")["at"]
        marks = groups.fill_null(NO_GROUP).to_numpy().astype("<u2")
        listed = self._listed(view, ids, group_places(found, ids))
        key = _key(marks, np.array(ids), placed.key.encode())
        return MapView(view, placed.rows, placed.x, placed.y, marks, listed, placed.key, key)

    def _listed(self, view: View, ids: Sequence[int], places: npt.NDArray[np.float64]) -> list[dict[str, Any]]:
        if not self._colors.keys() >= set(ids):
            # Only then: a color stays while people correct.
            sizes = {group["id"]: group["size"] for group in view.groups}
            colors = color_clusters(places.astype(np.float32), [sizes[id_] for id_ in ids])
            self._colors = dict(zip(ids, colors, strict=True))
        packed = pack_places(np.nan_to_num(places))
        return [
            {"id": id_, "color": self._colors[id_]} | ({"x": int(x), "y": int(y)} if known else {"x": None, "y": None})
            for id_, (x, y), known in zip(ids, packed, np.isfinite(places[:, 0]), strict=True)
        ]


_POSITION = {"cluster_id": pl.Int32, "at": pl.UInt16}


def inside(found: MapView, outline: Any) -> npt.NDArray[np.int64]:
    """The rows of the images inside an outline, a list of [x, y] in the units of the places.

    Raises
    ------
    InputError
        It is no outline.
    """
    try:
        corners = np.array(outline, dtype=np.float64)
    except (TypeError, ValueError):
        corners = np.empty(0)
    if corners.ndim != 2 or corners.shape[1] != 2 or not 3 <= len(corners) <= MOST_CORNERS:
        raise InputError(f"outline must be a list of 3 to {MOST_CORNERS} corners [x, y]")
    if not (np.abs(corners) < 1e9).all():
        raise InputError("the corners of an outline must be numbers below 1e9")
    return rows_inside(found.x, found.y, corners)


def of_group(found: MapView, id_: Any) -> npt.NDArray[np.int64]:
    """The rows of the images of a group.

    Raises
    ------
    InputError
        There is no such group.
    """
    place = next((place for place, group in enumerate(found.listed) if group["id"] == id_), None)
    if place is None:
        raise InputError(f"there is no group {id_} on the map: look again")
    return np.flatnonzero(found.groups == place)


def of_images(found: MapView, ids: Sequence[str]) -> npt.NDArray[np.int64]:
    """The rows of images, in the order of their ids; -1 for an image that is not on the map."""
    images = pl.DataFrame({"image_id": ids}, schema={"image_id": pl.String})
    known = found.view.images.select("image_id").with_row_index("row")
    rows = images.join(known, on="image_id", how="left", maintain_order="left")["row"].fill_null(2**32 - 1).to_numpy()
    at = np.searchsorted(found.rows, rows)
    hit = at < len(found.rows)
    hit[hit] = found.rows[at[hit]] == rows[hit]
    return np.where(hit, at, -1)


def _key(*parts: npt.NDArray[np.integer] | bytes) -> str:
    found = hashlib.sha256()
    for part in parts:
        found.update(part if isinstance(part, bytes) else np.ascontiguousarray(part).data)
    return found.hexdigest()[:16]
