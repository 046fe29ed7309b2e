"""How a guarded web server is served: one configuration, whoever starts it."""

import uvicorn

from assets.serving.guard import BODY_BYTES, App

# Pages keep connections open; they are not waited for longer.
CLOSING_SECONDS = 2


def guarded_config(app: App) -> uvicorn.Config:
    """The server of an app behind the guard, which may be in front of Dagster's."""
    return uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,  # the address of a first visit has the token in it
        ws_max_size=BODY_BYTES,
        timeout_graceful_shutdown=CLOSING_SECONDS,
        lifespan="off",
        server_header=False,
        proxy_headers=False,  # anybody can send them
    )
