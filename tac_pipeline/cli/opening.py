"""The command that opens the workbench: `tac open`."""

from __future__ import annotations

import secrets
import webbrowser
from typing import Annotated

import typer

from tac_pipeline.cli.shared import GroupingOption, SettingsOption, app, opened_project

HOST = "127.0.0.1"


@app.command(name="open")
def open_(
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 0,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open it in the browser.")] = True,
    settings: SettingsOption = None,
    grouping: GroupingOption = None,
) -> None:
    """Look at every image by its group, find images by words, and correct names and groups with the mouse."""
    with opened_project(settings, grouping) as project:
        from assets.serving.alone import serve
        from assets.serving.guard import Guard, Rules
        from assets.serving.owner import bind
        from assets.workbench.app import Workbench
        from assets.workbench.desk import Desk
        from assets.workbench.looking import LARGER_BODIES

        desk = Desk(project)
        desk.view()
        bound = bind(HOST, port)
        rules = Rules(bound.names, bound.port, secrets.token_urlsafe(32), secrets.token_urlsafe(32), command="tac open")
        link = f"http://{HOST}:{bound.port}/?token={rules.token}"

        def ready() -> None:
            typer.echo(f"workbench of {project.settings.store} on {link} (stop it with Ctrl-C)")
            if browser:
                webbrowser.open(link)

        with bound.listener:
            guard = Guard(Workbench(desk, at_home=True).app(), rules, larger=LARGER_BODIES)
            serve(guard, bound.listener, desk, on_ready=ready)
