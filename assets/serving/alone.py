"""Serving the workbench alone in this process, until somebody stops it."""

import signal
from collections.abc import Callable
from contextlib import suppress
from socket import socket

import uvicorn

from assets.serving.config import CLOSING_SECONDS
from assets.serving.guard import App
from assets.workbench.desk import Desk


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket] | None = None) -> None:
        """Begin to answer, and say so."""
        await super().startup(sockets)
        self._on_ready()


def serve(app: App, listener: socket, desk: Desk, *, on_ready: Callable[[], None]) -> None:
    """Answer at a socket that listens, and carry out actions meanwhile; Ctrl-C and SIGTERM end it.

    The step that is going on then ends first. What is left is done when the workbench is opened again, or by the next
    run.
    """
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,  # the address of a first visit has the token in it
        timeout_graceful_shutdown=CLOSING_SECONDS,
        lifespan="off",
        server_header=False,
    )
    desk.start()
    before = signal.getsignal(signal.SIGINT)
    try:
        # uvicorn raises the signal again when it has ended.
        with suppress(KeyboardInterrupt):
            _Server(config, on_ready).run(sockets=[listener])
    finally:
        signal.signal(signal.SIGINT, before)
        desk.stop()
