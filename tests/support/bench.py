"""A workbench with its worker, and a browser before it that is only requests."""

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
from command_line import tac
from waiting import wait_for

from assets.serving.guard import App, Guard, Rules
from assets.workbench.app import Workbench
from assets.workbench.bounds import LARGER_BODIES
from assets.workbench.desk import Desk
from tac_pipeline.settings.project import load_project

HOST, KEY = "127.0.0.1:4000", "the-owners-key"
RULES = Rules(frozenset({"127.0.0.1"}), 4000, key=KEY, token="the-token", command="tac open")


class Bench:
    """A workbench with its worker, and a browser before it."""

    def __init__(self, settings: Path) -> None:
        self.settings, self.desk = settings, Desk(load_project(settings))
        self.app: App = Guard(Workbench(self.desk, at_home=True).app(), RULES, larger=LARGER_BODIES)

    def ask(
        self, path: str, *, body: Any = None, headers: dict[str, str] | None = None, **query: Any
    ) -> httpx.Response:
        """An answer; with a body it is a POST."""

        async def go() -> httpx.Response:
            transport = httpx.ASGITransport(app=self.app)  # type: ignore[arg-type]
            async with httpx.AsyncClient(transport=transport, base_url=f"http://{HOST}") as client:
                sent = {"authorization": "Bearer the-token", **(headers or {})}
                if body is None:
                    return await client.get(path, params=query, headers=sent)
                sent = {"content-type": "application/json", **sent}
                return await client.post(
                    path, content=body if isinstance(body, bytes) else json.dumps(body), headers=sent
                )

        return asyncio.run(go())

    def told(self, path: str, **query: Any) -> Any:
        answer = self.ask(path, **query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    @property
    def store(self) -> dict[str, Any]:
        found: dict[str, Any] = self.told("/api/store")
        return found

    def act(self, do: str, **what: Any) -> dict[str, Any]:
        """Act, and wait until the tables follow; the store then."""
        answer = self.ask("/api/actions", body={"do": do, "what": what, "seen": self.store["seen"]})
        assert answer.status_code == 200, answer.text
        return wait_for(lambda: found if (found := self.store)["waiting"] == 0 else None, what="the tables")

    def refused(self, do: Any, seen: Any = None, **what: Any) -> tuple[int, str]:
        body = {"do": do, "what": what, "seen": self.store["seen"] if seen is None else seen}
        answer = self.ask("/api/actions", body=body)
        return answer.status_code, answer.json()["error"]

    def in_tables(self) -> dict[str, int]:
        """The groups by name with their sizes, as `tac clusters` has them."""
        rows = json.loads(tac("clusters", "-s", self.settings, "--json").stdout)
        return {row["name"]: row["size"] for row in rows}
