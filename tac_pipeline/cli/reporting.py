"""The command that opens the page: `tac report`."""

from __future__ import annotations

import webbrowser
from typing import Annotated

import typer
from rich.console import Console

from tac_pipeline.cli.shared import SettingsOption, app, refusals
from tac_pipeline.settings.project import find_settings, load_project


@app.command()
def report(
    settings: SettingsOption = None,
    open_page: Annotated[bool, typer.Option("--open/--no-open", help="Open it in the browser.")] = True,
) -> None:
    """Write the report page of the current result: clusters, map, images to review. Open it and print its path."""
    with refusals():
        project = load_project(find_settings(settings))
        from assets.engine.execute import open_store
        from assets.lookups.status import State, all_status
        from assets.report import PAGE_NAME
        from assets.report import report as page
        from tac_pipeline.cli.running import materialize

        above = {"map_layout", "image_map", "review", page.name}
        due = [entry.step for entry in all_status(project) if entry.step.name in above and entry.state != State.FRESH]
        if due:
            materialize(Console(stderr=True, highlight=False), project, due)
        path = open_store(project).require_current(page.name).artifact.file(PAGE_NAME)
        typer.echo(path)
        if open_page:
            webbrowser.open(path.as_uri())
