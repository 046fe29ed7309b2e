"""Commands that keep a store for years: `tac check`, `tac backup`, `tac restore`, `tac prune`."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape

from tac_pipeline.cli.shared import (
    FAILED,
    GroupingOption,
    JsonOption,
    SettingsOption,
    app,
    error_printer,
    opened_project,
    plain,
    print_json,
    printer,
)
from tac_pipeline.errors import StoreError, first_few

if TYPE_CHECKING:
    from assets.lookups.keeping import Checked
    from tac_pipeline.settings.project import Project

# Findings of one kind that are printed; --json has all.
SHOWN_FINDINGS = 50


@app.command()
def check(
    mend: Annotated[
        bool, typer.Option("--repair", help="Take away damaged files that the next run makes again, and leftovers.")
    ] = False,
    as_json: JsonOption = False,
    settings: SettingsOption = None,
    grouping: GroupingOption = None,
) -> None:
    """Compare every file of the store with what was written; exit code 1 when something is damaged."""
    with opened_project(settings, grouping) as project:
        from assets.lookups.keeping import built_parts
        from assets.lookups.keeping import check as check_project

        console, errors = printer(), error_printer()
        with errors.status("") if errors.is_terminal else nullcontext() as line:

            def show(done: int, total: int) -> None:
                if line is not None:
                    line.update(f"{done / 1e6:,.0f} of {total / 1e6:,.0f} MB compared")

            first, *others = [
                check_project(one, mend=mend, progress=show, log=errors.print) for one in built_parts(project)
            ]
            found = sum(others, first)
        if as_json:
            print_json(_as_json(found))
        else:
            _print(console, found)
        if found.report.damaged:
            raise typer.Exit(FAILED)


def _as_json(found: Checked) -> dict[str, object]:
    report = found.report
    return {
        "files": report.files,
        "bytes": report.bytes,
        "without_digest": report.without_digest,
        "findings": [
            {"path": str(finding.path), "problem": finding.problem, "then": str(finding.loss), "damage": finding.damage}
            for finding in report.findings
        ],
        "repaired": [str(path) for path in found.repaired],
    }


def _print(console: Console, found: Checked) -> None:
    from assets.lookups.keeping import advice

    report = found.report
    for finding in report.findings[:SHOWN_FINDINGS]:
        console.print(f"{finding.loss}: {escape(plain(finding.problem))}", soft_wrap=True)
    if len(report.findings) > SHOWN_FINDINGS:
        console.print(f"... and {len(report.findings) - SHOWN_FINDINGS:,} more: `tac check --json`")
    for path in found.repaired:
        console.print(f"taken away: {escape(plain(str(path)))}", soft_wrap=True)
    damaged = len(report.damaged)
    state = "nothing is damaged" if not damaged else f"{damaged:,} damaged"
    console.print(f"{report.files:,} files, {report.bytes / 1e6:,.1f} MB compared: {state}", soft_wrap=True)
    if report.without_digest:
        console.print(
            f"{report.without_digest:,} files are older than checksums: they can be read, and no more is known"
        )
    for sentence in advice(report):
        console.print(escape(sentence), soft_wrap=True)


@app.command()
def backup(
    destination: Annotated[Path, typer.Argument(metavar="DEST", help="A new folder, or a new file that ends in .tar.")],
    settings: SettingsOption = None,
    grouping: GroupingOption = None,
) -> None:
    """Copy what cannot be computed again: the ledger, what is published, the settings and corrections files."""
    with opened_project(settings, grouping) as project:
        from assets.lookups.keeping import backup as back_up
        from assets.lookups.keeping import beside, built_parts

        left_out: list[str] = []
        console = printer()
        for one in built_parts(project):
            place = destination if one is project else beside(destination, one)
            made = back_up(one, place, log=console.print)
            left_out += made.left_out
            console.print(
                f"{made.files:,} files ({made.bytes / 1e6:,.1f} MB) are in {escape(str(made.path))}: the ledger up to "
                f"entry {made.entries}, what is published up to version {made.version}",
                soft_wrap=True,
            )
        if left_out:
            raise StoreError(
                f"{len(left_out)} damaged files of older published versions are not in it: "
                f"{first_few(left_out, 3)}. An older backup may have them: `tac restore SOURCE` puts back what is "
                "damaged, and nothing else"
            )


@app.command()
def restore(
    source: Annotated[Path, typer.Argument(metavar="SOURCE", help="What `tac backup` made.")],
    force: Annotated[
        bool, typer.Option("--force", help="Also over a ledger or published versions that are newer.")
    ] = False,
    settings: SettingsOption = None,
    grouping: GroupingOption = None,
) -> None:
    """Put a backup back; what was there is kept aside. In a store that is newer, only damaged files are put back."""
    with opened_project(settings, grouping) as project:
        from assets.lookups.keeping import beside

        console = printer()
        _restore_one(console, project, source, force=force)
        for one in project.parts[1:]:
            place = beside(source.absolute(), one)
            if place.exists():
                console.print(f"grouping [bold]{escape(one.grouping)}[/], from {escape(str(place))}", soft_wrap=True)
                _restore_one(console, one, place, force=force)
            else:
                console.print(f"{escape(str(place))} is not there: the grouping {escape(one.grouping)} stays as it is")


def _restore_one(console: Console, project: Project, source: Path, *, force: bool) -> None:
    from assets.lookups.keeping import restore as put_back

    made, before = put_back(project, source, force=force, log=console.print)
    if made.mended:
        console.print(
            f"the store is newer than this backup, so only its {len(made.mended)} damaged files were put back: "
            f"{escape(first_few(made.mended, 3))}",
            soft_wrap=True,
        )
        return
    console.print(
        f"{made.files:,} files were verified and restored: the ledger up to entry {made.entries}, what is "
        f"published up to version {made.version}",
        soft_wrap=True,
    )
    if before is not None:
        console.print(f"what was there before is in {escape(str(before))}", soft_wrap=True)


@app.command()
def prune(settings: SettingsOption = None) -> None:
    """Remove old runs from Dagster's history now; the last run of each asset stays. `history_days` says what is old."""
    with opened_project(settings) as project:
        from assets.orchestration.in_process import prune_now

        printer().print(prune_now(project), soft_wrap=True)
