"""What people take along: chosen images or a whole group, as a list, a table, or a zip of the image files.

What is wanted is posted, and its answer names an address that can be opened for a while: so a browser saves a download
of any size while it comes, and neither side holds it whole.
"""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import polars as pl
from starlette.responses import JSONResponse, Response, StreamingResponse

from assets.workbench.desk import Desk
from assets.workbench.pictures import Pictures
from tac_pipeline.errors import InputError
from tac_pipeline.export.result import ExportResult
from tac_pipeline.export.safe_names import safe_name
from tac_pipeline.export.zipped import stream_zip

# The newest; an older one is asked for again.
KEPT = 16
COLUMNS = ("image_id", "uri", "cluster_id", "cluster_name", "confidence")


@dataclass(frozen=True)
class _Taken:
    """What was asked for: its form, the name of its file, and the images."""

    form: str
    name: str
    ids: pl.Series


class Taking:
    """The exports of one desk."""

    def __init__(self, desk: Desk, pictures: Pictures) -> None:
        self._desk, self._pictures = desk, pictures
        self._kept: OrderedDict[str, _Taken] = OrderedDict()
        self._lock = threading.Lock()

    def ask(self, asked: dict[str, Any]) -> Response:
        """The address of an export of chosen images, or of a group."""
        form = asked.get("form")
        if not isinstance(form, str) or form not in FORMS:
            raise InputError(f"form must be one of {', '.join(FORMS)}; got {form!r}")
        if form == "zip" and self._pictures.reader is None:
            raise InputError("this store has vectors and no image files: take a list or a table")
        ids, what = self._wanted(asked)
        ticket = secrets.token_urlsafe(24)
        name = f"{safe_name(self._desk.project.settings.store)}-{safe_name(what)}{FORMS[form]}"
        with self._lock:
            self._kept[ticket] = _Taken(form, name, ids)
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return JSONResponse({"address": f"/api/taken/{ticket}", "images": len(ids)})

    def _wanted(self, asked: dict[str, Any]) -> tuple[pl.Series, str]:
        group, picked = asked.get("group"), asked.get("images")
        if type(group) is int:
            found = next((one for one in self._desk.view().groups if one["id"] == group), None)
            if found is None:
                raise InputError(f"there is no group {group} any more: look again")
            _, rows = self._desk.members(
                group, order="typical", start=0, count=None, distinct=bool(asked.get("distinct"))
            )
            return rows["image_id"], found["name"] or f"group {group}"
        if not isinstance(picked, list) or not picked or not all(isinstance(one, str) for one in picked):
            raise InputError("images must be a list of image_ids, at least one; or group the id of a group")
        ids = pl.Series("image_id", picked, dtype=pl.String).unique(maintain_order=True)
        unknown = ids.filter(~ids.is_in(self._desk.view().images["image_id"].implode()))
        if len(unknown):
            raise InputError(f"there is no image {unknown[0]!r} in this store")
        return ids, "chosen"

    def download(self, _: Mapping[str, str], path: Mapping[str, Any]) -> Response:
        """What was asked for, as a file."""
        with self._lock:
            taken = self._kept.get(path["ticket"])
        if taken is None:
            return JSONResponse({"error": "this download is over: ask for it again"}, status_code=404)
        result = self._result(taken.ids)
        headers = {
            "content-disposition": f"attachment; filename*=UTF-8''{quote(taken.name)}",
            "cache-control": "no-store",
        }
        if taken.form == "zip":
            parts = stream_zip(result, max_bytes=self._desk.project.settings.images.max_bytes)
            return StreamingResponse(parts, media_type="application/zip", headers=headers)
        kind = "text/csv" if taken.form == "csv" else "text/plain"
        return StreamingResponse(_TEXTS[taken.form](result.images), media_type=kind, headers=headers)

    def _result(self, ids: pl.Series) -> ExportResult:
        """The images as they are grouped now, in the order asked for."""
        view = self._desk.view()
        names = pl.DataFrame(
            {"cluster_id": [one["id"] for one in view.groups], "cluster_name": [one["name"] for one in view.groups]},
            schema={"cluster_id": pl.Int32, "cluster_name": pl.String},
        )
        own = pl.DataFrame({"image_id": ids}).join(view.images, on="image_id", how="left", maintain_order="left")
        images = own.join(names, on="cluster_id", how="left", maintain_order="left").select(COLUMNS)
        facts = {"store": self._desk.project.settings.store, "published_version": None}
        return ExportResult(facts, images, self._pictures.reader)


def _table(images: pl.DataFrame) -> Iterator[bytes]:
    yield images.write_csv(quote_style="non_numeric").encode()


def _list(images: pl.DataFrame) -> Iterator[bytes]:
    """The places of the images, one a line; the id of an image without one."""
    places = images.select(pl.coalesce("uri", "image_id").str.replace_all(r"[\r\n]", " "))
    yield "".join(f"{place}\n" for place in places.to_series()).encode()


_TEXTS = {"csv": _table, "list": _list}
FORMS = {"list": ".txt", "csv": ".csv", "zip": ".zip"}
