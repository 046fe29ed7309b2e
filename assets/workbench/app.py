"""What the workbench answers: its page, the groups, their images, searches, and actions.

Images are named by their image_id and looked up in the store's own manifest: no path ever comes from a request.
Mutations are POSTs with JSON, behind the guard (assets/serving/guard.py).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import polars as pl
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from assets.images import open_project_source
from assets.workbench.desk import Desk
from tac_pipeline.errors import InputError, TacError
from tac_pipeline.failures import tell
from tac_pipeline.report.page import PAGE_FOLDER, page_script, page_style
from tac_pipeline.report.pictures import Wanted
from tac_pipeline.report.thumbnails import Thumbnails
from tac_pipeline.store.keeping.action_log import Overtaken

OWN_FOLDER = Path(__file__).parent / "page"
SCRIPTS = (
    PAGE_FOLDER / "dom.js",
    PAGE_FOLDER / "theme.js",
    *(
        OWN_FOLDER / name
        for name in ("server.js", "grid.js", "groups.js", "group.js", "actions.js", "split.js", "main.js")
    ),
)
STYLES = (PAGE_FOLDER / "page.css", OWN_FOLDER / "workbench.css")
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
# What a browser shows by itself and cannot be made to run anything; other images are shown as their small picture.
SHOWN_KINDS = {
    b"\xff\xd8\xff": "image/jpeg",
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"GIF87a": "image/gif",
    b"GIF89a": "image/gif",
    b"RIFF": "image/webp",
}
MOST_AT_ONCE = 2_000
# Pictures of a part that a split proposes.
SHOWN_OF_PART = 6
ORDERS = ("typical", "doubtful")


class Workbench:
    """The answers about one desk.

    With `read_only`, actions are refused.
    """

    def __init__(self, desk: Desk, *, read_only: bool = False) -> None:
        self.desk, self._read_only = desk, read_only
        images, folder = desk.project.settings.images, desk.thumbnails_folder
        self._reader = open_project_source(desk.project).reader
        self._limit = images.max_bytes
        self._thumbnails = (
            None
            if self._reader is None
            else Thumbnails(folder, self._reader, max_pixels=images.max_pixels, max_bytes=images.max_bytes)
        )
        self._files = {
            "workbench.js": ("text/javascript", page_script(SCRIPTS)),
            "icon.svg": ("image/svg+xml", (OWN_FOLDER / "icon.svg").read_text(encoding="utf-8")),
            "workbench.css": ("text/css", "\n".join(page_style(path) for path in STYLES)),
        }

    def app(self) -> Starlette:
        """The application, without the guard."""
        return Starlette(
            routes=[
                Route("/", self._page),
                Route("/static/{name}", self._static),
                # Some browsers ask for it whatever the page says.
                Route("/favicon.ico", lambda _: RedirectResponse("static/icon.svg")),
                Route("/api/store", self._answered(self._store)),
                Route("/api/group/{group:int}", self._answered(self._group)),
                Route("/api/tag", self._answered(self._tag)),
                Route("/api/search", self._answered(self._search)),
                Route("/api/image", self._answered(self._image)),
                Route("/api/picture", self._answered(self._picture)),
                Route("/api/original", self._answered(self._original)),
                Route("/api/group/{group:int}/splits", self._answered(self._splits)),
                Route("/api/alike", self._posted(self._alike), methods=["POST"]),
                Route("/api/actions", self._posted(self._acted), methods=["POST"]),
            ]
        )

    def _answered(self, look: Callable[[Mapping[str, str], Mapping[str, Any]], Response]) -> Callable[..., Any]:
        """An answer that is looked up on a thread; what is refused is told in a sentence."""

        async def endpoint(request: Request) -> Response:
            return await run_in_threadpool(self._told, look, request.query_params, request.path_params)

        return endpoint

    def _told(self, look: Callable[..., Response], *arguments: Any) -> Response:
        try:
            return look(*arguments)
        except Overtaken as error:
            return JSONResponse({"error": str(error)}, status_code=409)
        except TacError as error:
            return JSONResponse({"error": str(error)}, status_code=422)
        except Exception as error:  # noqa: BLE001 - a page cannot show a stack
            told = tell(error, self.desk.traces)
            return JSONResponse({"error": told}, status_code=500)

    async def _page(self, _: Request) -> Response:
        text = (OWN_FOLDER / "index.html").read_text(encoding="utf-8")
        return Response(text, media_type="text/html", headers={"content-security-policy": POLICY})

    async def _static(self, request: Request) -> Response:
        found = self._files.get(request.path_params["name"])
        if found is None:
            return JSONResponse({"error": "there is no such file"}, status_code=404)
        return Response(found[1], media_type=found[0], headers={"cache-control": "no-cache"})

    def _store(self, _: Mapping[str, str], __: Mapping[str, Any]) -> Response:
        # Before the tables: what is told to be in them is.
        standing, view = self.desk.standing(), self.desk.view()
        history = standing.history
        return JSONResponse(
            {
                "store": self.desk.project.settings.store,
                "images": len(view.images),
                "unreadable": int(view.images["cluster_id"].is_null().sum()),
                "hasPictures": self._thumbnails is not None,
                "groups": [
                    {**group, "locked": group["id"] in standing.locked, "aside": group["id"] in standing.aside}
                    for group in view.groups
                ],
                "tags": {tag: len(images) for tag, images in standing.tags.items()},
                "result": hashlib.sha256("".join(view.key).encode()).hexdigest()[:16],
                "seen": standing.seen,
                "waiting": standing.waiting,
                "problem": standing.problem,
                "undo": history.done[-1].do if history.done else None,
                "redo": history.undone[-1].do if history.undone else None,
            }
        )

    def _group(self, query: Mapping[str, str], path: Mapping[str, Any]) -> Response:
        order = query.get("order", ORDERS[0])
        if order not in ORDERS:
            raise InputError(f"order must be one of {', '.join(ORDERS)}; got {order!r}")
        start, count = _number(query, "start", 0), min(_number(query, "count", 200), MOST_AT_ONCE)
        size, rows = self.desk.members(path["group"], order=order, start=start, count=count)
        return JSONResponse({"size": size, "start": start, "images": _shown(rows)})

    def _splits(self, _: Mapping[str, str], path: Mapping[str, Any]) -> Response:
        proposed = self.desk.split(path["group"])
        shown = [[{"size": len(part), "typical": part[:SHOWN_OF_PART]} for part in parts] for parts in proposed]
        return JSONResponse({"splits": shown})

    def _tag(self, query: Mapping[str, str], _: Mapping[str, Any]) -> Response:
        return JSONResponse({"images": _shown(self.desk.tagged(query.get("tag", "")))})

    def _search(self, query: Mapping[str, str], _: Mapping[str, Any]) -> Response:
        searched_by, rows = self.desk.search(query.get("text", ""), count=_number(query, "count", 200))
        return JSONResponse({"searchedBy": searched_by, "images": _shown(rows)})

    def _image(self, query: Mapping[str, str], _: Mapping[str, Any]) -> Response:
        row = self.desk.image(query.get("id", ""))
        return JSONResponse(
            {**_shown(pl.DataFrame([row]))[0], "uri": row["uri"], "tags": self.desk.tags_of(row["image_id"])}
        )

    def _picture(self, query: Mapping[str, str], _: Mapping[str, Any]) -> Response:
        row = self.desk.image(query.get("id", ""))
        wanted = Wanted(row["uri"], row["content_hash"], row["width"], row["height"])
        picture = None if self._thumbnails is None else self._thumbnails.picture(wanted)
        if picture is None:
            return JSONResponse({"error": "this image is gone, has changed, or cannot be read"}, status_code=404)
        # The address names the image's bytes: another image has another one.
        kept = {"cache-control": "private, max-age=86400"} if query.get("hash") == row["content_hash"][:16] else {}
        return Response(picture, media_type="image/webp", headers=kept)

    def _original(self, query: Mapping[str, str], _: Mapping[str, Any]) -> Response:
        row = self.desk.image(query.get("id", ""))
        if self._reader is None:
            return JSONResponse({"error": "this store has vectors and no image files"}, status_code=404)
        try:
            data = self._reader.read(row["uri"], limit=self._limit)
        except (OSError, ValueError) as error:
            return JSONResponse({"error": f"{row['uri']} cannot be read: {error}"}, status_code=404)
        kind = next((kind for start, kind in SHOWN_KINDS.items() if data.startswith(start)), None)
        if kind is None or (kind == "image/webp" and data[8:12] != b"WEBP"):
            return self._picture(query, {})
        return Response(data, media_type=kind, headers={"content-security-policy": "default-src 'none'; sandbox"})

    def _posted(self, look: Callable[[dict[str, Any]], Response]) -> Callable[..., Any]:
        """An answer to a JSON object."""

        async def endpoint(request: Request) -> Response:
            return await run_in_threadpool(self._told, lambda body: look(_object(body)), await request.body())

        return endpoint

    def _alike(self, asked: dict[str, Any]) -> Response:
        picked = asked.get("images")
        if not isinstance(picked, list) or not picked or not all(isinstance(image, str) for image in picked):
            raise InputError("images must be a list of image_ids, at least one")
        return JSONResponse({"images": _shown(self.desk.alike(picked))})

    def _acted(self, asked: dict[str, Any]) -> Response:
        if self._read_only:
            raise InputError("this workbench was started to be looked at only (--read-only)")
        do, what, seen = asked.get("do"), asked.get("what", {}), asked.get("seen")
        if not isinstance(do, str) or not isinstance(what, dict) or type(seen) is not int:
            raise InputError("do must be a text, what an object, and seen a whole number")
        action = self.desk.act(do, what, seen=seen)
        return JSONResponse({"number": action.number})


def _object(body: bytes) -> dict[str, Any]:
    try:
        asked = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise InputError("what is posted must be a JSON object") from error
    if not isinstance(asked, dict):
        raise InputError("what is posted must be a JSON object")
    return asked


def _number(query: Mapping[str, str], name: str, default: int) -> int:
    text = query.get(name, str(default))
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise InputError(f"{name} must be a whole number; got {text!r}")
    return int(text)


def _shown(rows: pl.DataFrame) -> list[dict[str, Any]]:
    """Rows as the page has them: short names, and no digits that float32 leaves."""
    found = rows.select(
        pl.col("image_id").alias("id"),
        pl.col("content_hash").str.slice(0, 16).alias("hash"),
        pl.col("cluster_id").alias("group"),
        pl.col("confidence").cast(pl.Float64).round(3),
        pl.col("runner_up").alias("second"),
        "curated",
        *([pl.col("score").cast(pl.Float64).round(3)] if "score" in rows.columns else []),
    )
    return found.to_dicts()
