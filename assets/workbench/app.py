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

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from assets.engine.execute import open_store
from assets.report import PAGE_NAME, report
from assets.workbench.bounds import PICTURE_PATH
from assets.workbench.desk import Desk
from assets.workbench.looking import Looking, most_picture_bytes
from assets.workbench.map_answers import Gathered, MapAnswers
from assets.workbench.pictures import Pictures
from assets.workbench.rows import image_ids, number_of, shown_rows
from assets.workbench.taking import Taking
from tac_pipeline.digest import digest
from tac_pipeline.errors import InputError, TacError
from tac_pipeline.failures import tell
from tac_pipeline.report.page import PAGE_FOLDER, page_script, page_style
from tac_pipeline.store.keeping.action_log import Overtaken

OWN_FOLDER = Path(__file__).parent / "page"
SCRIPTS = (
    PAGE_FOLDER / "dom.js",
    PAGE_FOLDER / "theme.js",
    PAGE_FOLDER / "branches.js",
    *(OWN_FOLDER / name for name in ("server.js", "grid.js", "viewer.js", "wall.js", "groups.js", "group.js")),
    *(OWN_FOLDER / name for name in ("finding.js", "taking.js", "actions.js", "split.js")),
    *(OWN_FOLDER / name for name in ("map_points.js", "map_pixels.js", "map_chart.js", "map.js", "main.js")),
)
STYLES = (PAGE_FOLDER / "page.css", OWN_FOLDER / "workbench.css")
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
# The page of a result has its scripts inside, and its own policy for them. Nothing of it reaches what is served beside.
PAGE_POLICY = "sandbox allow-scripts allow-popups allow-downloads; frame-ancestors 'none'"
MOST_AT_ONCE = 2_000
# Pictures of a part that a split proposes.
SHOWN_OF_PART = 6
ORDERS = ("typical", "doubtful")


class Workbench:
    """The answers about one desk.

    With `read_only`, actions are refused. Only with `at_home`, at an address of this machine alone, a folder may be
    shown.
    """

    def __init__(self, desk: Desk, *, read_only: bool = False, at_home: bool = False) -> None:
        self.desk, self._read_only = desk, read_only
        self._pictures = Pictures(desk)
        self._looking = Looking(desk, self._pictures, at_home=at_home)
        self._taking = Taking(desk, self._pictures)
        self._map, self._gathered = MapAnswers(desk), Gathered()
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
                Route("/report", self._answered(self._report)),
                Route("/static/{name}", self._static),
                # Some browsers ask for it whatever the page says.
                Route("/favicon.ico", lambda _: RedirectResponse("static/icon.svg")),
                Route("/api/store", self._answered(self._store)),
                Route("/api/group/{group:int}", self._answered(self._group)),
                Route("/api/group/{group:int}/ids", self._answered(self._ids)),
                Route("/api/group/{group:int}/splits", self._answered(self._splits)),
                Route("/api/tag", self._answered(self._tag)),
                Route("/api/search", self._answered(self._search)),
                Route("/api/wall", self._answered(self._looking.wall)),
                Route("/api/tree", self._answered(self._looking.tree)),
                Route("/api/near", self._answered(self._looking.near)),
                Route("/api/image", self._answered(self._looking.image)),
                Route("/api/picture", self._answered(self._picture)),
                Route("/api/original", self._answered(self._original)),
                Route("/api/map", self._answered(self._map.facts)),
                Route("/api/map/block/{block}", self._answered(self._map.block)),
                Route("/api/map/image", self._answered(self._map.image)),
                Route("/api/map/chosen", self._posted(self._map.chosen), methods=["POST"]),
                Route("/api/map/where", self._posted(self._map.where), methods=["POST"]),
                Route("/api/list", self._posted(self._gathered.add), methods=["POST"]),
                Route("/api/taken/{ticket}", self._answered(self._taking.download)),
                Route("/api/alike", self._posted(self._alike), methods=["POST"]),
                Route("/api/words", self._posted(self._looking.words), methods=["POST"]),
                Route("/api/show", self._posted(self._looking.show), methods=["POST"]),
                Route("/api/takings", self._posted(self._taking.ask), methods=["POST"]),
                Route(PICTURE_PATH, self._posted(self._looking.by_picture), methods=["POST"]),
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

    def _report(self, _: Mapping[str, str], __: Mapping[str, Any]) -> Response:
        """The page of the result, as the asset `report` made it last."""
        made = open_store(self.desk.project).require_current(report.name).artifact
        return FileResponse(
            made.file(PAGE_NAME), headers={"content-security-policy": PAGE_POLICY, "cache-control": "no-cache"}
        )

    async def _static(self, request: Request) -> Response:
        found = self._files.get(request.path_params["name"])
        if found is None:
            return JSONResponse({"error": "there is no such file"}, status_code=404)
        return Response(found[1], media_type=found[0], headers={"cache-control": "no-cache"})

    def _store(self, query: Mapping[str, str], __: Mapping[str, Any]) -> Response:
        # Before the tables: what is told to be in them is.
        standing, view = self.desk.standing(), self.desk.view()
        history = standing.history
        groups = [
            {**group, "locked": group["id"] in standing.locked, "aside": group["id"] in standing.aside}
            for group in view.groups
        ]
        known = digest([view.key, sorted(standing.locked), sorted(standing.aside)])
        return JSONResponse(
            {
                "store": self.desk.project.settings.store,
                "images": len(view.images),
                "unreadable": int(view.images["cluster_id"].is_null().sum()),
                "hasPictures": self._pictures.reader is not None,
                "mostPictureBytes": most_picture_bytes(self.desk),
                # A page asks every few seconds, and has the groups that it knows.
                "groups": None if query.get("known") == known else groups,
                "known": known,
                "tags": {tag: len(images) for tag, images in standing.tags.items()},
                "result": hashlib.sha256("".join(view.key).encode()).hexdigest()[:16],
                "seen": standing.seen,
                "waiting": standing.waiting,
                "problem": standing.problem,
                "heldUp": standing.held_up,
                "undo": history.done[-1].do if history.done else None,
                "redo": history.undone[-1].do if history.undone else None,
            }
        )

    def _group(self, query: Mapping[str, str], path: Mapping[str, Any]) -> Response:
        order = query.get("order", ORDERS[0])
        if order not in ORDERS:
            raise InputError(f"order must be one of {', '.join(ORDERS)}; got {order!r}")
        start, count = number_of(query, "start", 0), min(number_of(query, "count", 200), MOST_AT_ONCE)
        size, rows = self.desk.members(
            path["group"], order=order, start=start, count=count, distinct="distinct" in query
        )
        return JSONResponse({"size": size, "start": start, "images": shown_rows(rows)})

    def _ids(self, query: Mapping[str, str], path: Mapping[str, Any]) -> Response:
        """All images of a group by their ids alone: a group may have a hundred thousand."""
        _, rows = self.desk.members(path["group"], order=ORDERS[0], start=0, count=None, distinct="distinct" in query)
        return JSONResponse({"ids": rows["image_id"].to_list()})

    def _splits(self, _: Mapping[str, str], path: Mapping[str, Any]) -> Response:
        proposed = self.desk.split(path["group"])
        shown = [[{"size": len(part), "typical": part[:SHOWN_OF_PART]} for part in parts] for parts in proposed]
        return JSONResponse({"splits": shown})

    def _tag(self, query: Mapping[str, str], _: Mapping[str, Any]) -> Response:
        return JSONResponse({"images": shown_rows(self.desk.tagged(query.get("tag", "")))})

    def _search(self, query: Mapping[str, str], _: Mapping[str, Any]) -> Response:
        searched_by, rows = self.desk.search(query.get("text", ""), count=number_of(query, "count", 200))
        return JSONResponse({"searchedBy": searched_by, "images": shown_rows(rows)})

    def _picture(self, query: Mapping[str, str], _: Mapping[str, Any]) -> Response:
        row = self.desk.image(query.get("id", ""))
        picture = self._pictures.small(row)
        if picture is None:
            return JSONResponse({"error": "this image is gone, has changed, or cannot be read"}, status_code=404)
        # The address names the image's bytes: another image has another one.
        same = picture.is_hashed and query.get("hash") == row["content_hash"][:16]
        kept = {"cache-control": f"private, max-age={86_400 if same else 60}"}
        return Response(picture.data, media_type="image/webp", headers=kept)

    def _original(self, query: Mapping[str, str], _: Mapping[str, Any]) -> Response:
        row = self.desk.image(query.get("id", ""))
        try:
            found = self._pictures.original(row)
        except (OSError, ValueError) as error:
            return JSONResponse({"error": f"{row['uri']} cannot be read: {error}"}, status_code=404)
        if found is None:
            return self._picture(query, {})
        kind, data = found
        return Response(data, media_type=kind, headers={"content-security-policy": "default-src 'none'; sandbox"})

    def _posted(self, look: Callable[[dict[str, Any]], Response]) -> Callable[..., Any]:
        """An answer to a JSON object."""

        async def endpoint(request: Request) -> Response:
            def told(body: bytes) -> Response:
                return look(self._gathered.filled(_object(body)))

            return await run_in_threadpool(self._told, told, await request.body())

        return endpoint

    def _alike(self, asked: dict[str, Any]) -> Response:
        found = self.desk.alike(image_ids(asked))
        return JSONResponse({"images": shown_rows(found), "proposed": int(found["proposed"].sum())})

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
        # JSON can name half of a character, which no file and no table can hold.
        if b"\\u" in body:
            json.dumps(asked, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise InputError("what is posted must be a JSON object of whole characters") from error
    if not isinstance(asked, dict):
        raise InputError("what is posted must be a JSON object")
    return asked
