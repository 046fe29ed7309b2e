"""The process behind `tac ui`: Dagster's web application and the workbenches behind the guard, and its daemon and code
servers around it.

It is handed a socket that listens and the lock of the one owner, and ends with the process that started it.
"""

import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from socket import socket
from traceback import format_exception
from types import TracebackType
from typing import TextIO

import dagster as dg
import uvicorn

from assets.orchestration.dagster_internals import open_code_servers, open_webserver, show_dagsters_log
from assets.orchestration.webserver import UI_VARIABLE, RunningUi, note_ui
from assets.serving.benches import Benches
from assets.serving.config import guarded_config
from assets.serving.guard import OWNER, Guard, Rules
from assets.serving.lifeline import GRACE_SECONDS, end_with_starter
from assets.serving.owner import Bound
from tac_pipeline.failures import in_words

ERROR_LOG = "ui-error.log"


@dataclass(frozen=True)
class Plan:
    """What `tac ui` hands over as JSON: descriptors, and what was asked for.

    Parameters
    ----------
    listener, lock : int
        Descriptors that this process inherited.
    pid : int
        The process of `tac ui`.
    host, home, workspace : str
    stores : dict of str to str
        The name of each store, by the path of its settings file.
    forwarded : list of str
        More Host headers to take (Rules.forwarded).
    read_only : bool
    ask_token : bool
    """

    listener: int
    lock: int
    pid: int
    host: str
    home: str
    workspace: str
    stores: dict[str, str]
    forwarded: list[str]
    read_only: bool
    ask_token: bool


class Server(uvicorn.Server):
    """Tells when it answers, and can be asked why it ended."""

    def __init__(self, config: uvicorn.Config, ui: RunningUi, plan: Plan, benches: Benches) -> None:
        super().__init__(config)
        self._ui, self._plan, self._benches, self.failed = ui, plan, benches, False

    async def startup(self, sockets: list[socket] | None = None) -> None:
        """Begin to answer, and say so."""
        await super().startup(sockets)
        note_ui(Path(self._plan.home), self._ui)
        names = ", ".join(self._plan.stores.values())
        kind = ", read-only" if self._plan.read_only else ""
        _say(f"Dagster UI on {self._ui.link} (store {names}{kind}; stop it with Ctrl-C)", sys.stdout)
        for link in self._benches.links:
            _say(f"workbench on {self._ui.url}{link}", sys.stdout)

    def fail(self, sentence: str) -> None:
        """End because something else did."""
        if not self.should_exit:
            _say(f"error: {sentence}", sys.stderr)
            self.failed = self.should_exit = True


def main(plan: Plan) -> int:
    """Serve until somebody stops it; the exit code."""
    end_with_starter()
    show_dagsters_log()
    # The code servers have it from here, and their runs from them.
    os.environ[UI_VARIABLE] = str(plan.pid)
    bound = Bound(socket(fileno=plan.listener), plan.host)
    forwarded = frozenset(name.lower() for name in plan.forwarded)
    open_to_others = bool(forwarded) or not bound.local
    token = secrets.token_urlsafe(32) if plan.ask_token or open_to_others else None
    rules = Rules(bound.names, bound.port, secrets.token_urlsafe(32), token, bound.any_address, forwarded)
    ui = RunningUi.at(plan.host, bound.port, pid=plan.pid, settings=tuple(plan.stores), key=rules.key, token=token)
    ui = replace(ui, asked={"read_only": plan.read_only, "ask_token": token is not None, "forwarded": plan.forwarded})

    with dg.DagsterInstance.get() as instance, tempfile.TemporaryDirectory() as folder:
        located = Path(folder) / "workspace.yaml"

        def may_act(scope: dict[str, object]) -> bool:
            return not plan.read_only or bool(scope.get(OWNER))

        with (
            open_code_servers(instance, Path(plan.workspace), target=located),
            open_webserver(instance, located, may_act=may_act) as app,
        ):
            benches = Benches(plan.stores, rules, read_only=plan.read_only)
            config = guarded_config(benches.beside(Guard(app, rules)))
            server = Server(config, ui, plan, benches)
            try:
                with _daemon(located, plan, server), suppress(KeyboardInterrupt):
                    server.run([bound.listener])
            finally:
                benches.stop()
    return int(server.failed)


def tell_error(home: Path, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Tell in a sentence what ended this process, and keep the trace in a file: the hook for uncaught errors."""
    if issubclass(kind, KeyboardInterrupt):
        return  # somebody stopped it while it started
    log = home / ERROR_LOG
    with suppress(OSError):
        log.write_text("".join(format_exception(kind, error, trace)), encoding="utf-8")
    _say(f"error: the UI ended: {in_words(error)} What led to it is in {log}", sys.stderr)


def _say(text: str, stream: TextIO) -> None:
    with suppress(OSError):  # nobody reads it any more
        stream.write(f"{text}\n")
        stream.flush()


@contextmanager
def _daemon(workspace: Path, plan: Plan, server: Server) -> Iterator[None]:
    """Dagster's daemon beside the server: neither goes on without the other."""
    daemon = subprocess.Popen(
        [sys.executable, "-m", "assets.serving.daemon", "run", "--workspace", str(workspace)],
        stdin=subprocess.PIPE,
        pass_fds=[plan.lock],
    )

    def watch() -> None:
        code = daemon.wait()
        server.fail(f"the daemon of the UI ended with code {code}; its last lines are above. Start the UI again")

    threading.Thread(target=watch, name="daemon", daemon=True).start()
    try:
        yield
    finally:
        server.should_exit = True
        daemon.terminate()
        try:
            daemon.wait(timeout=GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            daemon.kill()


if __name__ == "__main__":
    # Whoever asks only this process to end gets the same end.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    handed = Plan(**json.loads(sys.argv[1]))
    sys.excepthook = partial(tell_error, Path(handed.home))
    sys.exit(main(handed))
