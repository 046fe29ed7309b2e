"""The command that opens the workbench: `tac open`."""

from __future__ import annotations

import os
import secrets
import webbrowser
from typing import Annotated

import typer
from rich.markup import escape

from tac_pipeline.cli.shared import GroupingOption, SettingsOption, app, error_printer, opened_project


@app.command(name="open")
def open_(
    host: Annotated[
        str, typer.Option(help="Name or address to listen at; whoever has the link can look and act.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 0,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open it in the browser.")] = True,
    settings: SettingsOption = None,
    grouping: GroupingOption = None,
) -> None:
    """Look at every image by its group, find images by words, and correct names and groups with the mouse."""
    with opened_project(settings, grouping) as project:
        from assets.orchestration.webserver import RunningUi
        from assets.serving.alone import serve
        from assets.serving.guard import Guard, Rules
        from assets.serving.owner import bind
        from assets.workbench.app import Workbench
        from assets.workbench.bounds import LARGER_BODIES
        from assets.workbench.desk import Desk

        desk = Desk(project)
        desk.view()
        bound = bind(host, port)
        key, token = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        rules = Rules(bound.names, bound.port, key, token, bound.any_address, command="tac open")
        link = RunningUi.at(host, bound.port, pid=os.getpid(), settings=(), key=key, token=token).link
        if not bound.local:
            error_printer().print(
                f"[red]warning:[/] the workbench listens at {escape(host)}, without encryption. Whoever has its link "
                "can see every image, rename, move and merge"
            )

        def ready() -> None:
            typer.echo(f"workbench of {project.settings.store} on {link} (stop it with Ctrl-C)")
            if browser:
                webbrowser.open(link)

        with bound.listener:
            guard = Guard(Workbench(desk, at_home=True).app(), rules, larger=LARGER_BODIES)
            serve(guard, bound.listener, desk, on_ready=ready)
