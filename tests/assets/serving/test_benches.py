"""The workbenches beside Dagster's UI: below its address, behind a token of their own, for looking only if so asked."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from ready_store import ready

from assets.serving.benches import Benches
from assets.serving.guard import App, Receive, Rules, Scope, Send
from tac_pipeline.settings.project import load_project

HOST = "127.0.0.1:4000"
RULES = Rules(frozenset({"127.0.0.1"}), 4000, key="the-owners-key")


async def dagster(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"dagster"})


def ask(app: App, path: str, *, token: str = "", body: Any = None, **query: str) -> httpx.Response:
    async def go() -> httpx.Response:
        transport = httpx.ASGITransport(app=app)  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url=f"http://{HOST}") as client:
            headers = {"authorization": f"Bearer {token}"} if token else {}
            if body is None:
                return await client.get(path, params=query, headers=headers)
            return await client.post(path, json=body, headers=headers)

    return asyncio.run(go())


@pytest.fixture
def benches(vector_store: Callable[..., Path]) -> Iterator[Callable[..., Benches]]:
    opened = []

    def start(settings: Path | None = None, *, read_only: bool = False) -> Benches:
        path = settings or ready(vector_store())
        store = load_project(path).settings.store
        opened.append(Benches({str(path): store}, RULES, read_only=read_only))
        return opened[-1]

    yield start
    for one in opened:
        one.stop()


def test_a_workbench_is_below_the_ui_and_asks_for_a_token(benches: Callable[..., Benches]) -> None:
    found = benches()
    app, token = found.beside(dagster), found.rules.token or ""
    assert ask(app, "/").text == "dagster"
    assert found.links == [f"/workbench/small/?token={token}"]
    for path in ("/workbench/small/", "/workbench/small/api/store", "/workbench/unknown/"):
        assert ask(app, path).status_code == 401, path
    assert "workbench" in ask(app, "/workbench/small/", token=token).text.lower()
    assert ask(app, "/workbench/small/static/workbench.js", token=token).status_code == 200
    told = ask(app, "/workbench/small/api/store", token=token).json()
    assert (told["store"], len(told["groups"])) == ("small", 3)
    page = ask(app, "/workbench/small/report", token=token)
    # A page of its own origin: its scripts cannot ask the UI anything.
    assert page.headers["content-security-policy"].startswith("sandbox allow-scripts ")
    assert "<title>small" in page.text and ask(app, "/workbench/small/report").status_code == 401
    answer = ask(app, "/workbench/unknown/api/store", token=token)
    assert (answer.status_code, "no store 'unknown'" in answer.text) == (404, True)
    acted = ask(
        app,
        "/workbench/small/api/actions",
        token=token,
        body={"do": "aside", "what": {"id": 0, "on": True}, "seen": told["seen"]},
    )
    assert acted.status_code == 200, acted.text


def test_a_ui_to_look_at_has_workbenches_to_look_at(benches: Callable[..., Benches]) -> None:
    found = benches(read_only=True)
    app, token = found.beside(dagster), found.rules.token or ""
    told = ask(app, "/workbench/small/api/store", token=token).json()
    assert len(told["groups"]) == 3
    answer = ask(app, "/workbench/small/api/actions", token=token, body={"do": "undo", "what": {}, "seen": 0})
    assert (answer.status_code, "to be looked at only" in answer.json()["error"]) == (422, True)


def test_settings_that_were_edited_are_read_again(benches: Callable[..., Benches], vector_store: Any) -> None:
    found = benches()
    app, token = found.beside(dagster), found.rules.token or ""
    ask(app, "/workbench/small/api/store", token=token)
    path = vector_store({"images.labels": "nonsense"})
    answer = ask(app, "/workbench/small/api/actions", token=token, body={"do": "undo", "what": {}, "seen": 0})
    assert (answer.status_code, "images.labels" in answer.json()["error"]) == (422, True)
    vector_store({"images.labels": "column", "store": "another"})
    answer = ask(app, "/workbench/small/api/actions", token=token, body={"do": "undo", "what": {}, "seen": 0})
    assert "names another store now" in answer.json()["error"]
    assert path.exists()
