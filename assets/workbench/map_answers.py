"""What the workbench answers about its map, and how any number of chosen images comes into one action."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from starlette.responses import JSONResponse, Response

from assets.workbench.desk import Desk
from assets.workbench.mapped import Mapped, MapView, inside, of_group, of_images
from assets.workbench.rows import image_ids, shown_rows
from tac_pipeline.errors import InputError

# Nothing that a key names ever changes.
KEPT = "private, max-age=31536000, immutable"
# Of several windows: what is older was left by a page that went away.
MOST_LISTS, MOST_GATHERED = 8, 5_000_000


class MapAnswers:
    """The answers about the map of one desk."""

    def __init__(self, desk: Desk) -> None:
        self._mapped = Mapped(desk)

    def facts(self, _: Mapping[str, str], __: Mapping[str, Any]) -> Response:
        """What the map holds, with the keys of its blocks."""
        return JSONResponse(self._mapped.now().facts)

    def block(self, query: Mapping[str, str], path: Mapping[str, Any]) -> Response:
        """Places (all x, then all y) or groups, little-endian uint16, in the order of the rows."""
        found = self._mapped.now()
        if path["block"] == "places":
            key, data = found.places_key, np.concatenate([found.x, found.y])
        else:
            key, data = found.groups_key, found.groups
        if query.get("key") != key:
            raise InputError("the map is another one now: look again")
        headers = {"cache-control": KEPT, "etag": f'"{key}"'}
        return Response(data.tobytes(), media_type="application/octet-stream", headers=headers)

    def image(self, query: Mapping[str, str], _: Mapping[str, Any]) -> Response:
        """The image of a row."""
        found, row = self._mapped.now(query.get("key", "")), query.get("row", "")
        if not (row.isascii() and row.isdecimal() and len(row) < 10 and int(row) < len(found.rows)):
            raise InputError(f"row must be a whole number below {len(found.rows)}; got {row!r}")
        return JSONResponse(shown_rows(found.images(np.array([int(row)])))[0])

    def chosen(self, asked: dict[str, Any]) -> Response:
        """The images inside an outline or of a group, by column: many of them must not take many times their bytes."""
        found = self._found(asked)
        rows = inside(found, asked["outline"]) if "outline" in asked else of_group(found, asked.get("group"))
        return JSONResponse(_columns(found, rows))

    def where(self, asked: dict[str, Any]) -> Response:
        """The rows of some images, by their ids."""
        return JSONResponse({"rows": of_images(self._found(asked), image_ids(asked)).tolist()})

    def _found(self, asked: dict[str, Any]) -> MapView:
        key = asked.get("key")
        return self._mapped.now(key if isinstance(key, str) else "")


def _columns(found: MapView, rows: npt.NDArray[np.int64]) -> dict[str, Any]:
    images = found.images(rows)
    return {
        "rows": rows.tolist(),
        "id": images["image_id"].to_list(),
        "hash": images["content_hash"].str.slice(0, 16).to_list(),
        "group": images["cluster_id"].to_list(),
        "second": images["runner_up"].to_list(),
    }


class Gathered:
    """Ids of images that a page sends in parts, since a request is bounded, before it acts on all of them."""

    def __init__(self) -> None:
        self._lists: dict[str, list[str]] = {}
        self._lock = threading.Lock()

    def add(self, asked: dict[str, Any]) -> Response:
        """Begin a list, or go on with one; the answer names it."""
        ids, name = image_ids(asked), asked.get("list")
        with self._lock:
            if name is None:
                name = uuid.uuid4().hex
                while len(self._lists) >= MOST_LISTS:
                    del self._lists[next(iter(self._lists))]
                self._lists[name] = []
            if not isinstance(name, str) or name not in self._lists:
                raise InputError("this list of images is not here any more: choose them again")
            if sum(map(len, self._lists.values())) + len(ids) > MOST_GATHERED:
                self._lists.clear()
                raise InputError(f"at most {MOST_GATHERED:,} images can be chosen at once")
            self._lists[name].extend(ids)
        return JSONResponse({"list": name})

    def filled(self, asked: dict[str, Any]) -> dict[str, Any]:
        """What was posted, with the images of the list that it names, once."""
        inner: dict[str, Any] = {
            key: self.filled(value) for key, value in asked.items() if key == "what" and isinstance(value, dict)
        }
        images = asked.get("images")
        if isinstance(images, dict):
            with self._lock:
                found = self._lists.pop(str(images.get("list")), None)
            if found is None:
                raise InputError("this list of images is not here any more: choose them again")
            inner["images"] = found
        return {**asked, **inner} if inner else asked
