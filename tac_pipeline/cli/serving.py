"""Commands that open something in the browser: `tac report`, `tac ui`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import webbrowser
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from tac_pipeline.cli.shared import SettingsOption, app, error_printer, opened_project, refusals
from tac_pipeline.cli.terminal import stopping
from tac_pipeline.settings.project import SETTINGS_VARIABLE, find_settings, load_project


@app.command()
def report(
    settings: SettingsOption = None,
    open_page: Annotated[bool, typer.Option("--open/--no-open", help="Open it in the browser.")] = True,
) -> None:
    """Write the page of the current result: clusters, map, what is worth a look. Open it, and print its path."""
    with opened_project(settings) as project:
        from assets.engine.execute import open_store
        from assets.lookups.status import State, all_status
        from assets.report import PAGE_NAME
        from assets.report import report as page
        from tac_pipeline.cli.running import materialize

        above = {"map_layout", "image_map", "review", page.name}
        due = [entry.step for entry in all_status(project) if entry.step.name in above and entry.state != State.FRESH]
        if due:
            materialize(error_printer(), project, due)
        path = open_store(project).require_current(page.name).artifact.file(PAGE_NAME)
        typer.echo(path)
        if open_page:
            webbrowser.open(path.as_uri())


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
    code = _serve(command)
    if code:
        raise typer.Exit(code)


def _serve(command: list[str]) -> int:
    """Run the UI and pass on what it prints; its exit code. Ctrl-C stops it, and what it says of that is left out.

    A UI that is stopped under an open page prints tracebacks of the page's last questions.
    """
    # In a group of its own, so that it hears of Ctrl-C from here alone, and once.
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, process_group=0
    ) as server:
        stopping.before_a_sudden_end(lambda: os.killpg(server.pid, signal.SIGKILL))
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.default_int_handler)
        lines = server.stdout or ()
        try:
            for line in lines:
                sys.stdout.buffer.write(line)
                sys.stdout.buffer.flush()
        except KeyboardInterrupt:
            error_printer().print("stopping the UI, which takes some seconds; Ctrl-C once more ends it at once")
            with suppress(ProcessLookupError):
                os.killpg(server.pid, signal.SIGINT)
            for _ in lines:
                pass  # read, so that it is not held up by a full pipe
            raise
    return server.returncode
