"""The command that opens the UI: `tac ui`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from tac_pipeline.cli.shared import app, refusals
from tac_pipeline.settings.project import SETTINGS_VARIABLE, find_settings, load_project


@app.command()
def ui(
    settings: Annotated[
        list[Path] | None,
        typer.Option(
            "--settings",
            "-s",
            help=f"The settings file; else ${SETTINGS_VARIABLE}, else ./tac.yaml. Several for several stores.",
        ),
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on; the UI has no login.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 3000,
) -> None:
    """Start the Dagster UI and its daemon for the store of the settings file, or for several stores."""
    with refusals():
        projects = [load_project(find_settings(path)) for path in (settings if settings else (None,))]
        from assets.orchestration.instance import prepare_home, write_workspace
        from assets.orchestration.webserver import note_address

        workspace = write_workspace(projects)
        note_address(prepare_home(projects[0]), host, port)
    names = ", ".join(project.settings.store for project in projects)
    typer.echo(f"Dagster UI on http://{host}:{port} (store {names}; stop it with Ctrl-C)")
    # Dagster recommends another command, which needs its own project layout.
    quiet = ["-W", "ignore:Function `dev_command` is superseded"]
    command = [sys.executable, *quiet, "-m", "dagster", "dev", "-w", str(workspace), "-h", host, "-p", str(port)]
    os.execv(command[0], command)
