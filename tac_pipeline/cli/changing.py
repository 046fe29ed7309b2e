"""Commands about what people decide: `tac set`, `tac publish`, `tac rollback`, `tac publications`, `tac alerts`."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tac_pipeline.cli.shared import (
    FAILED,
    GroupingOption,
    JsonOption,
    SettingsOption,
    app,
    complain,
    error_printer,
    misuse,
    opened_project,
    plain,
    print_json,
    print_table,
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


@app.command()
def publications(as_json: JsonOption = False, settings: SettingsOption = None, grouping: GroupingOption = None) -> None:
    """List the published versions, the newest first: what is kept of each here, and at publication.to."""
    with opened_project(settings, grouping) as project:
        from assets.lookups.published import list_publications

        found = list_publications(project)
        if as_json:
            print_json(found.as_json())
            return
        console = printer()
        table = Table("version", "published", "here", *(["there"] if found.place else []), "", box=None, pad_edge=False)
        for row in found.rows:
            repeats = f"repeats version {row.repeats}" if row.repeats else ""
            there = [row.there or ""] if found.place else []
            table.add_row(str(row.version), f"{row.made:%Y-%m-%d %H:%M}", row.here, *there, repeats)
        print_table(console, table)
        if found.place:
            console.print(f"there: {escape(found.place)}", soft_wrap=True)
        if found.problem:
            error_printer().print(f"[yellow]warning:[/] {escape(found.problem)}")


@app.command()
def alerts(
    test: Annotated[bool, typer.Option("--test", help="Tell everybody that this is a test.")] = False,
    settings: SettingsOption = None,
) -> None:
    """Show what is up with the store, since when, and who was told of it."""
    with opened_project(settings) as project:
        from assets.orchestration.telling.alerts import open_causes, send_test

        console = printer()
        if test:
            answers = send_test(project)
            for channel, why in answers.items():
                console.print(f"alerts.{channel}: {'sent' if why is None else escape(f'not sent, {why}')}")
            if any(answers.values()):
                raise typer.Exit(FAILED)
            return
        found = open_causes(project)
        table = Table("store", "cause", "since", "told", "", box=None, pad_edge=False)
        for cause in found:
            since = f"{datetime.fromtimestamp(cause.since):%Y-%m-%d %H:%M}"
            table.add_row(
                cause.store, cause.kind, since, ", ".join(cause.told) or "nobody", escape(plain(cause.sentence))
            )
        if found:
            print_table(console, table)
        else:
            named = "nothing is up" if project.settings.alerts.asked else "`alerts` names nobody to tell"
            console.print(named)
