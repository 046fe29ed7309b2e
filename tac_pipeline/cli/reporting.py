"""The command that opens the page: `tac report`."""

from __future__ import annotations

import webbrowser
from typing import Annotated

import typer

from tac_pipeline.cli.shared import SettingsOption, app, error_printer, opened_project


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
