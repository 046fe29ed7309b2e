"""The parts that all commands share: the app, the settings option, and how errors are printed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text
from typer.core import TyperGroup

from tac_pipeline.cli.terminal import stopping
from tac_pipeline.errors import InputError, TacError
from tac_pipeline.failures import TRACES_NAME, tell
from tac_pipeline.first_run.installed import require_own_assets
from tac_pipeline.settings.project import SETTINGS_VARIABLE, Project, find_settings, load_project

if TYPE_CHECKING:
    import polars as pl

# What a misused command raises: click's, or since typer brings its own, that one.
_MISUSE: type[Exception] = typer.BadParameter.__mro__[2]
# Where this command keeps the trace of an error.
_traces: dict[str, Path] = {}
# What a command leaves behind when it is stopped; others just stop.
_KEPT = {
    name: f": what was finished is kept, and `tac {name}` goes on from there" for name in ("run", "demo", "report")
}
_KEPT["ui"] = ": the UI is down"
_KEPT["draw"] = ": no picture was added"


class StoppableGroup(TyperGroup):
    """Ends every command with one sentence, whatever comes: Ctrl-C, SIGTERM, or an error from any depth."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except (_MISUSE, typer.Exit, typer.Abort, BrokenPipeError):
            raise
        except Exception as error:
            if ctx.params.get("debug"):
                raise
            complain(tell(error, _traces.get("folder")))
            raise typer.Exit(FAILED) from error
        except KeyboardInterrupt:
            console = error_printer()
            # Over the ^C that the terminal showed.
            console.file.write("\r" if console.is_terminal else "")
            console.print(f"stopped{_KEPT.get(ctx.invoked_subcommand, '')}")
            raise typer.Exit(stopping.exit_code()) from None


app = typer.Typer(
    name="tac",
    cls=StoppableGroup,
    help="Finds the groups in an image store, without labels, and names them.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


def _tell_version(wanted: bool) -> None:
    if wanted:
        from tac_pipeline import __version__

        typer.echo(f"tac {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_tell_version, is_eager=True, help="Print the version and stop.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the whole trace of an error.")] = False,
) -> None:
    pass


SettingsOption = Annotated[
    Path | None,
    typer.Option("--settings", "-s", help=f"The settings file; else ${SETTINGS_VARIABLE}, else ./tac.yaml."),
]

GroupingOption = Annotated[
    str | None, typer.Option("--grouping", "-g", help="One of the settings' `groupings`; else the store's own groups.")
]

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]

# Controls (a terminal obeys them), lone surrogates (no terminal can print them), and marks that reverse text.
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")

FAILED = 1
LONGEST_LINE = 100_000
# What the columns id, images and share take beside a group's names.
NUMBER_COLUMNS = 26


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


def current_clusters(project: Project) -> pl.DataFrame:
    """The groups of the current result, the largest first."""
    from assets.results import clusters

    found: pl.DataFrame = current_table(project, clusters)
    return found.sort(["size", "cluster_id"], descending=[True, False])


def print_clusters(console: Console, found: pl.DataFrame, *, most: int | None = None) -> None:
    """The groups with their names and sizes, a line each; at most so many, and how many more there are."""
    table = Table(box=None, pad_edge=False)
    table.add_column("id")
    table.add_column("name", no_wrap=True)
    table.add_column("images", justify="right")
    table.add_column("share", justify="right")
    table.add_column("also", no_wrap=True)
    shown = found.head(most if most is not None else len(found)).to_dicts()
    names = [plain(row["name"]) if row["name"] is not None else "(unnamed)" for row in shown]
    # A window cuts long texts, so that one group stays one line; in a file every line is whole.
    room = LONGEST_LINE
    if console.is_terminal:
        names = [shorten(name, max(console.width * 2 // 5, 12)) for name in names]
        room = console.width - max((cell_len(name) for name in names), default=0) - NUMBER_COLUMNS
    for row, name in zip(shown, names, strict=True):
        also = shorten(plain(", ".join(row["alternatives"])), room)
        style = "[dim]" if row["name"] is None else "[default]"
        figures = (f"{row['size']:,}", f"{row['share']:.1%}")
        table.add_row(str(row["cluster_id"]), f"{style}{escape(name)}[/]", *figures, f"[dim]{escape(also)}[/]")
    print_table(console, table)
    if most is not None and len(found) > most:
        images = found["size"][most:].sum()
        console.print(f"... and {len(found) - most:,} more, with {images:,} images: `tac clusters`", soft_wrap=True)


def shorten(text: str, width: int) -> str:
    """A text that is cut to a width of the terminal; nothing where hardly a word would be left."""
    if width < 6:
        return ""
    cut = Text(text)
    cut.truncate(width, overflow="ellipsis")
    return cut.plain


def print_table(console: Console, table: Table) -> None:
    """Print a table; in a file or a pipe each row is one line, however long its names are."""
    width = console.width
    if not console.is_terminal:
        console.width = LONGEST_LINE
    console.print(table)
    console.width = width


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


@contextmanager
def opened_project(settings: Path | None, grouping: str | None = None) -> Iterator[Project]:
    """The project of a command's settings file, or of a grouping in it; what it or the command refuses is told."""
    with refusals():
        require_own_assets()
        project = load_project(find_settings(settings))
        _traces["folder"] = project.data_folder / TRACES_NAME
        if grouping is not None:
            with misuse("--grouping"):
                project = project.find_grouping(grouping)
        yield project


def print_json(value: Any) -> None:
    """Print a JSON document: ASCII, so that no terminal or locale changes a name."""
    typer.echo(json.dumps(value, indent=1, allow_nan=False))


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
