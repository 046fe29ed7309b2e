"""Commands that change something by hand: `tac set`, `tac publish`, `tac rollback`."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from tac_pipeline.cli.shared import SettingsOption, app, misuse, refusals, version_number
from tac_pipeline.settings.project import find_settings, load_project


@app.command(name="set")
def set_(
    assignments: Annotated[list[str], typer.Argument(metavar="KEY=VALUE...", help="Such as retrieval.tau=0.01.")],
    settings: SettingsOption = None,
) -> None:
    """Edit the settings file, keep its comments, reload it in a running UI, and say what would run again."""
    with refusals():
        path = find_settings(settings)
        from assets.orchestration.automation import require_schedule
        from assets.orchestration.instance import dagster_home
        from assets.orchestration.webserver import reload_location
        from tac_pipeline.cli.looking import print_status
        from tac_pipeline.settings.editing import edit_settings, read_assignments

        console = Console(highlight=False)
        edits = edit_settings(path, read_assignments(assignments), accept=require_schedule)
        for edit in edits:
            console.print(escape(edit.sentence), soft_wrap=True)
        project = load_project(path)
        if any(edit.old != edit.new for edit in edits):
            answer = reload_location(dagster_home(project), project.settings.store) or "no running UI was found"
            console.print(escape(answer), soft_wrap=True)
        print_status(console, project, only_stale=True)


@app.command()
def publish(settings: SettingsOption = None) -> None:
    """Publish the current result for readers, even if its checks fail. Ends the hold of a rollback."""
    with refusals():
        project = load_project(find_settings(settings))
        from assets.orchestration.publishing import publish as publish_result
        from assets.orchestration.publishing import tell_dagster

        console = Console(highlight=False)
        decision = publish_result(project, by_hand=True, log=console.print)
        console.print(decision.sentence)
        tell_dagster(project, decision)


@app.command()
def rollback(
    version: Annotated[str | None, typer.Argument(help="A published version; by default the one before.")] = None,
    settings: SettingsOption = None,
) -> None:
    """Publish an older version again under a new number, and publish nothing else until somebody does."""
    with refusals():
        project = load_project(find_settings(settings))
        from assets.orchestration.publishing import rollback as roll_back
        from assets.orchestration.publishing import tell_dagster

        console = Console(highlight=False)
        with misuse("VERSION"):
            number = None if version is None else version_number(version)
        decision = roll_back(project, number, log=console.print)
        console.print(decision.sentence, soft_wrap=True)
        tell_dagster(project, decision)
