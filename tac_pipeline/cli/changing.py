"""Commands that change something by hand: `tac set`, `tac publish`, `tac rollback`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape

from tac_pipeline.cli.shared import (
    FAILED,
    GroupingOption,
    SettingsOption,
    app,
    complain,
    misuse,
    opened_project,
    printer,
    refusals,
    version_number,
)
from tac_pipeline.settings.project import find_settings, load_project

if TYPE_CHECKING:
    from assets.orchestration.publishing import Decision


def _complete_key(incomplete: str) -> list[str]:
    """What Tab offers: settings keys, with the equals sign that follows."""
    from tac_pipeline.settings.keys import settings_keys

    return [f"{key.name}=" for key in settings_keys() if key.name.startswith(incomplete)]


@app.command(name="set")
def set_(
    assignments: Annotated[
        list[str],
        typer.Argument(metavar="KEY=VALUE...", help="Such as retrieval.tau=0.01.", autocompletion=_complete_key),
    ],
    settings: SettingsOption = None,
) -> None:
    """Edit the settings file, keep its comments, reload it in a running UI, and say what would run again."""
    with refusals():
        path = find_settings(settings)
        from functools import partial

        from assets.lookups.status import family_status
        from assets.orchestration.instance import dagster_home
        from assets.orchestration.manual_jobs import require_usable
        from assets.orchestration.webserver import reload_location
        from tac_pipeline.cli.looking import print_status
        from tac_pipeline.settings.editing import edit_settings, read_assignments

        console = printer()
        changes = read_assignments(assignments)
        edits = edit_settings(path, changes, accept=partial(require_usable, changes))
        for edit in edits:
            console.print(escape(edit.sentence), soft_wrap=True)
        project = load_project(path)
        if any(edit.old != edit.new for edit in edits):
            answer = reload_location(dagster_home(project), project.settings.store) or "no running UI was found"
            console.print(escape(answer), soft_wrap=True)
        print_status(console, family_status(project), only_stale=True)


@app.command()
def publish(settings: SettingsOption = None, grouping: GroupingOption = None) -> None:
    """Let readers have the current result, whatever the checks say; ends what a rollback held."""
    with opened_project(settings, grouping) as project:
        from assets.orchestration.publishing import publish as publish_result
        from assets.orchestration.publishing import tell_dagster

        console = printer()
        decision = publish_result(project, by_hand=True, log=console.print)
        console.print(escape(decision.sentence), soft_wrap=True)
        tell_dagster(project, decision, log=console.print)
        _end_elsewhere(console, decision)


@app.command()
def rollback(
    version: Annotated[str | None, typer.Argument(help="A published version; by default the one before.")] = None,
    settings: SettingsOption = None,
    grouping: GroupingOption = None,
) -> None:
    """Let readers have an older version again, under a new number, and hold there until somebody publishes."""
    with opened_project(settings, grouping) as project:
        from assets.orchestration.publishing import rollback as roll_back
        from assets.orchestration.publishing import tell_dagster

        console = printer()
        with misuse("VERSION"):
            number = None if version is None else version_number(version)
        decision = roll_back(project, number, log=console.print)
        console.print(escape(decision.sentence), soft_wrap=True)
        tell_dagster(project, decision, log=console.print)
        _end_elsewhere(console, decision)


def _end_elsewhere(console: Console, decision: Decision) -> None:
    """Say what readers of another place have now; the command fails where they do not have what is published here."""
    if decision.elsewhere is None:
        return
    if decision.elsewhere.failed:
        complain(decision.elsewhere.sentence)
        raise typer.Exit(FAILED)
    if decision.elsewhere.sentence:
        console.print(escape(decision.elsewhere.sentence), soft_wrap=True)
