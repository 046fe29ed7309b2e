"""The parts that all commands share: the app, the settings option, and how errors are printed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tac_pipeline.errors import InputError, TacError
from tac_pipeline.first_run.installed import require_own_assets
from tac_pipeline.settings.project import SETTINGS_VARIABLE, Project, find_settings, load_project

app = typer.Typer(
    name="tac",
    help="Finds the groups in an image store, without labels, and names them.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)

SettingsOption = Annotated[
    Path | None,
    typer.Option("--settings", "-s", help=f"The settings file; else ${SETTINGS_VARIABLE}, else ./tac.yaml."),
]

# Controls (a terminal obeys them), lone surrogates (no terminal can print them), and marks that reverse text.
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")

FAILED = 1
INTERRUPTED = 130


def current_table(project: Project, step: Any) -> Any:
    """The main table of an asset's current artifact, as a polars DataFrame."""
    from assets.engine.execute import open_store
    from assets.engine.step import Inputs

    artifact = open_store(project).require_current(step.name).artifact
    return Inputs(project, {step.name: artifact}).table(step)


def print_intake(console: Console, project: Project, *, now: bool) -> None:
    """What became of everything in the source; now says that images were read just now."""
    from assets.lookups.intake import intake_of

    found = intake_of(project)
    if found is None:
        return
    table = Table("images", "", box=None, pad_edge=False, show_header=False)
    for count, told in found.lines(since=None if now else "when the source last changed"):
        table.add_row(count, escape(plain(told)))
    console.print(table)
    console.print()


def version_number(text: str) -> int:
    """The number of a published version as people write it: 6, or v6 and v000006 as its folder is called.

    Raises
    ------
    InputError
        It is not a number.
    """
    digits = text.removeprefix("v")
    if not digits.isdecimal():
        raise InputError(f"a published version must be a number such as 6; got {text!r}")
    return int(digits)


@contextmanager
def misuse(argument: str) -> Iterator[None]:
    """Report a name that does not exist as a misuse of the command."""
    try:
        yield
    except InputError as error:
        raise typer.BadParameter(str(error), param_hint=argument) from error


@contextmanager
def refusals() -> Iterator[None]:
    """Print this project's own errors without a stack trace, and exit with their code."""
    try:
        yield
    except TacError as error:
        complain(str(error))
        raise typer.Exit(FAILED) from error
    except KeyboardInterrupt as error:
        complain("interrupted; finished work is kept, and the next run continues from there")
        raise typer.Exit(INTERRUPTED) from error


@contextmanager
def opened_project(settings: Path | None) -> Iterator[Project]:
    """The project of a command's settings file; what it refuses, and what the command refuses, is told (refusals)."""
    with refusals():
        require_own_assets()
        yield load_project(find_settings(settings))


def printer() -> Console:
    """Where a command prints its answer."""
    return Console(highlight=False)


def error_printer() -> Console:
    """Where a command prints errors, warnings and notes: not wrapped, so that paths and messages stay whole."""
    return Console(stderr=True, highlight=False, soft_wrap=True)


def plain(text: str) -> str:
    """A name that is safe on a terminal: characters that move the cursor, change colors or reverse text are escaped."""
    return _UNPRINTABLE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def complain(text: str) -> None:
    """Print an error."""
    error_printer().print(f"[bold red]error:[/] {escape(text)}")
