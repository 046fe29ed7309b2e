"""The workbenches beside Dagster's UI, at /workbench/<store>/: each begins when somebody first looks at it.

A workbench shows images and carries out actions, so it always asks for a token, also where the UI asks for none.
"""

import secrets
import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.concurrency import run_in_threadpool

from assets.serving.answers import answer
from assets.serving.guard import App, Guard, Receive, Rules, Scope, Send
from assets.workbench.bounds import LARGER_BODIES
from tac_pipeline.errors import TacError
from tac_pipeline.settings.project import Project, load_project

if TYPE_CHECKING:
    from assets.workbench.desk import Desk

PREFIX = "/workbench/"


class Benches:
    """The workbenches of the stores of a UI, and of their groupings.

    Parameters
    ----------
    stores : mapping of str to str
        The name of each store, by the path of its settings file.
    rules : Rules
        Those of the UI.
    read_only : bool
    """

    def __init__(self, stores: Mapping[str, str], rules: Rules, *, read_only: bool) -> None:
        self._paths = {store: Path(path) for path, store in stores.items()}
        self.rules = replace(rules, token=rules.token or secrets.token_urlsafe(32))
        self._read_only = read_only
        self._open: dict[str, tuple[App, Desk]] = {}
        self._opening = threading.Lock()

    def beside(self, app: App) -> App:
        """An application that answers what is not a workbench's by another one."""

        async def both(scope: Scope, receive: Receive, send: Send) -> None:
            mine = scope["type"] in ("http", "websocket") and str(scope["path"]).startswith(PREFIX)
            await (self._answer if mine else app)(scope, receive, send)

        return both

    @property
    def links(self) -> list[str]:
        """The path of each store's workbench, with the token."""
        return [f"{PREFIX}{store}/?token={self.rules.token}" for store in self._paths]

    def stop(self) -> None:
        """Let the steps that are going on end."""
        for _, desk in self._open.values():
            desk.stop()

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Nobody without the token learns which stores there are.
        home = f"{PREFIX}{_name_in(scope)}"
        larger = {f"{home}{path}": most for path, most in LARGER_BODIES.items()}
        await Guard(self._found, self.rules, larger=larger)(scope, receive, send)

    async def _found(self, scope: Scope, receive: Receive, send: Send) -> None:
        name = _name_in(scope)
        try:
            app = await run_in_threadpool(self._bench, name)
        except TacError as error:
            await answer(send, 404, str(error))
            return
        await app({**scope, "root_path": f"{scope.get('root_path', '')}{PREFIX}{name}"}, receive, send)

    def _bench(self, name: str) -> App:
        # Not when the UI starts: most visits are to Dagster's pages.
        from assets.workbench.app import Workbench
        from assets.workbench.desk import Desk

        with self._opening:
            if name not in self._open:
                desk = Desk(self._project(name))
                app = Workbench(desk, read_only=self._read_only).app()
                if not self._read_only:
                    desk.start()
                self._open[name] = app, desk
            return self._open[name][0]

    def _project(self, name: str) -> Project:
        """The project of a store, or of one of its groupings: `photos`, `photos.style`."""
        store, _, grouping = name.partition(".")
        if store not in self._paths:
            raise TacError(f"this UI has no store {store!r}")
        project = load_project(self._paths[store])
        return project.find_grouping(grouping) if grouping else project


def _name_in(scope: Scope) -> str:
    """The store's name in the path of a request."""
    return str(scope["path"]).removeprefix(PREFIX).partition("/")[0]
