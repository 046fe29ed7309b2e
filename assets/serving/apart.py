"""The guarded web server alone, where the daemon and the code locations are processes of their own: a deployment.

`python -m assets.serving.apart --workspace FILE` serves what the workspace points at, on the instance of DAGSTER_HOME.
"""

import argparse
import os
import secrets
import sys

import dagster as dg
import uvicorn

from assets.orchestration.dagster_internals import open_webserver
from assets.serving.config import guarded_config
from assets.serving.guard import Guard, Rules
from assets.serving.owner import bind
from tac_pipeline.errors import TacError, UiError

TOKEN_VARIABLE = "TAC_UI_TOKEN"
LEAST_TOKEN = 16


def parser() -> argparse.ArgumentParser:
    """What it is asked with."""
    found = argparse.ArgumentParser(prog="python -m assets.serving.apart", description=__doc__)
    found.add_argument("--workspace", required=True, help="The workspace.yaml that names the code locations.")
    found.add_argument("--host", default="127.0.0.1")
    found.add_argument("--port", type=int, default=3000)
    found.add_argument("--name", action="append", default=[], help="A name, with its port, that visitors type.")
    found.add_argument("--read-only", action="store_true")
    return found


def token_of(environment: "os._Environ[str] | dict[str, str]") -> str:
    """The token that visitors must show: one that stays, so that a restart does not shut them out.

    Raises
    ------
    UiError
        It is missing or too short.
    """
    token = environment.get(TOKEN_VARIABLE, "")
    if len(token) < LEAST_TOKEN:
        raise UiError(
            f"{TOKEN_VARIABLE} must have {LEAST_TOKEN} characters or more; got {len(token)}. "
            "`openssl rand -hex 24` makes one"
        )
    return token


def main(arguments: list[str]) -> int:
    """Serve until somebody stops it; the exit code."""
    asked = parser().parse_args(arguments)
    try:
        token = token_of(os.environ)
        bound = bind(asked.host, asked.port)
    except TacError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    # No command of a user asks this server with a key of its own.
    rules = Rules(
        bound.names,
        bound.port,
        secrets.token_urlsafe(32),
        token,
        bound.any_address,
        frozenset(name.lower() for name in asked.name),
        command=f"the owner of {TOKEN_VARIABLE}",
    )
    with (
        dg.DagsterInstance.get() as instance,
        open_webserver(instance, asked.workspace, may_act=lambda _: not asked.read_only) as app,
    ):
        uvicorn.Server(guarded_config(Guard(app, rules))).run([bound.listener])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
