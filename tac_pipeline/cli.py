"""The command line: `tac demo`, `tac draw`, `tac run`, `tac status`, `tac path`, `tac ui`.

The only module of the library that imports assets, and that inside its functions. Exit codes: 0 all went well, 1 a
step or the settings failed, 2 the command was misused.
"""

from __future__ import annotations

import os
import sys
import time
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.status import Status as Spinner
from rich.table import Table

from tac_pipeline.demo import PICTURE_SIZE
from tac_pipeline.errors import InputError, SettingsError, TacError, TacWarning
from tac_pipeline.progress import RateLog, duration
from tac_pipeline.settings import SETTINGS_VARIABLE, Project, find_settings, load_project

if TYPE_CHECKING:
    from assets.run import Progress
    from assets.step import Step

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

FAILED = 1
INTERRUPTED = 130


def main() -> None:
    """Entry point of the console script."""
    shown = warnings.showwarning

    def show(message: Warning | str, category: type[Warning], *place: Any, **rest: Any) -> None:
        if issubclass(category, TacWarning):
            Console(stderr=True, highlight=False, soft_wrap=True).print(f"[yellow]warning:[/] {escape(str(message))}")
        else:
            shown(message, category, *place, **rest)

    # What this project warns of is meant for people, not for whoever reads its source.
    warnings.showwarning = show
    app()


@app.command()
def demo(
    settings: SettingsOption = None,
    pictures: Annotated[int, typer.Option(min=100, help="How many drawn pictures the store should hold.")] = 3000,
) -> None:
    """Draw a picture store where images.source points, group it, name the groups, and say how right that was."""
    with _refusals():
        project = load_project(find_settings(settings))
        from assets.graph import find
        from assets.status import State, all_status
        from tac_pipeline.encoders import encoder_fingerprint

        # Damaged weights are told before anything is drawn.
        encoder = project.settings.encoder
        encoder_fingerprint(project.resolve_file(encoder.model), project.resolve_file(encoder.pretrained))
        console = Console(highlight=False)
        started = time.monotonic()
        _draw(console, _demo_folder(project), pictures, PICTURE_SIZE)
        nouns = [find(name) for name in ("candidate_nouns", "noun_embeddings")]
        states = {entry.step.name: entry.state for entry in all_status(project)}
        if any(states[step.name] is not State.FRESH for step in nouns):
            _materialize(console, project, nouns)
        console.print(f"set-up: {duration(time.monotonic() - started)}")
        _grow(console, project, recluster=False)
        console.print()
        console.print("Look at it:      make ui, then open http://127.0.0.1:3000")
        console.print(
            f"Your own images: in {escape(project.path.name)} point images.source at them, set encoder: "
            "{model: ViT-B-32-quickgelu, pretrained: openai}, then make run",
            soft_wrap=True,
        )


@app.command()
def draw(
    folder: Annotated[Path, typer.Argument(help="Where the pictures go: a new folder, or one to draw on in.")],
    pictures: Annotated[int, typer.Option(min=1, help="How many it should hold.")] = 3000,
    size: Annotated[int, typer.Option(min=16, max=1024, help="Side of a picture in pixels.")] = PICTURE_SIZE,
) -> None:
    """Draw a store of pictures with known kinds, as large as you like: what the demo groups, and scale tests need."""
    with _refusals():
        _draw(Console(highlight=False), folder, pictures, size)


@app.command()
def run(
    settings: SettingsOption = None,
    select: Annotated[
        str | None,
        typer.Option(help="Only these assets, comma-separated: NAME, NAME+ (and all below), +NAME (and all above)."),
    ] = None,
    recluster: Annotated[
        bool, typer.Option("--recluster", help="Learn the groups anew from the images that the store holds now.")
    ] = False,
) -> None:
    """Materialize the assets in this process: grow the store, and learn where that is missing or outdated."""
    if select is not None and recluster:
        raise typer.BadParameter("--select names the assets itself: leave out --recluster")
    with _refusals():
        project = load_project(find_settings(settings))
        console = Console(highlight=False)
        if select is None:
            _grow(console, project, recluster=recluster)
            return
        from assets.graph import select as select_steps

        with _misuse("--select"):
            steps = select_steps(select)
        _materialize(console, project, steps)


@app.command()
def status(settings: SettingsOption = None) -> None:
    """Show which assets are fresh, stale but reusable, stale, or missing, and why."""
    with _refusals():
        project = load_project(find_settings(settings))
        from assets.status import State, all_status

        colors = {State.FRESH: "green", State.REUSABLE: "cyan", State.STALE: "yellow", State.MISSING: "red"}
        table = Table("asset", "state", "rows", "last took", "why", box=None, pad_edge=False)
        for entry in all_status(project):
            artifact = entry.current.artifact if entry.current else None
            table.add_row(
                entry.step.name,
                f"[{colors[entry.state]}]{entry.state}[/]",
                f"{artifact.rows:,}" if artifact and artifact.rows is not None else "",
                duration(artifact.record["seconds"]) if artifact else "",
                escape(entry.why),
            )
        Console(highlight=False).print(table)


@app.command()
def path(
    asset: Annotated[str, typer.Argument(help="An asset's name, such as assignments.")],
    settings: SettingsOption = None,
) -> None:
    """Print the folder of an asset's current artifact."""
    with _refusals():
        project = load_project(find_settings(settings))
        from assets.graph import find
        from assets.step import open_store

        with _misuse("ASSET"):
            name = find(asset).name
        artifact = open_store(project).require_current(name).artifact
        damage = artifact.damage()
        if damage:
            Console(stderr=True, highlight=False).print(f"[yellow]warning:[/] {escape(damage)}")
        typer.echo(artifact.folder)


@app.command()
def ui(
    settings: SettingsOption = None,
    host: Annotated[str, typer.Option(help="Address to listen on; the UI has no login.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 3000,
) -> None:
    """Open the Dagster UI, with its daemon, on the store that the settings describe."""
    with _refusals():
        project = load_project(find_settings(settings))
        from assets.run import prepare_home, write_workspace

        prepare_home(project)
        workspace = write_workspace(project)
    typer.echo(f"Dagster UI on http://{host}:{port} (store {project.settings.store}; stop it with Ctrl-C)")
    # Dagster recommends another command, which wants its own project layout.
    quiet = ["-W", "ignore:Function `dev_command` is superseded"]
    command = [sys.executable, *quiet, "-m", "dagster", "dev", "-w", str(workspace), "-h", host, "-p", str(port)]
    os.execv(command[0], command)


class _StepLines:
    """A line per step as it ends, and a spinner with the last word of the one that runs."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._spinner: Spinner = console.status("starting")
        self.computed = self.reused = 0
        self.seconds = 0.0

    def __enter__(self) -> _StepLines:
        self._spinner.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._spinner.stop()

    def __call__(self, told: Progress) -> None:
        if told.event == "started":
            self._spinner.update(told.step)
        elif told.event == "said":
            self._spinner.update(f"{told.step}: {escape(told.text)}")
            if not self._console.is_terminal:
                self._console.print(f"    {escape(told.text)}", soft_wrap=True)
        elif told.event == "failed":
            self._console.print(f"  [red]failed[/]    {told.step}")
            _complain(told.text)
        else:
            self._done(told)

    def _done(self, told: Progress) -> None:
        self.computed += told.event == "computed"
        self.reused += told.event == "reused"
        self.seconds += told.seconds
        color = "green" if told.event == "computed" else "dim"
        rows = f"{told.rows:,} rows" if told.rows is not None else ""
        self._console.print(f"  [{color}]{told.event:<9}[/] {told.step:<24}{duration(told.seconds):>8}  {rows}")


def _grow(console: Console, project: Project, *, recluster: bool) -> None:
    """Whatever the store wants, and the clusters as they then are."""
    from assets.status import steps_to_run

    _materialize(console, project, steps_to_run(project, recluster=recluster))
    _print_clusters(console, project)


def _materialize(console: Console, project: Project, steps: Iterable[Step]) -> None:
    from assets.run import run_steps

    console.print(f"store [bold]{project.settings.store}[/] in {escape(str(project.store_folder))}")
    started = time.monotonic()
    with _StepLines(console) as lines:
        succeeded = run_steps(project, steps, listener=lines)
    if not succeeded:
        raise typer.Exit(FAILED)
    console.print(
        f"{lines.computed} computed, {lines.reused} reused in {duration(lines.seconds)} of step time "
        f"({duration(time.monotonic() - started)} in all)"
    )


def _demo_folder(project: Project) -> Path:
    """Where the demo's pictures are to lie."""
    source = project.resolve(project.settings.images.source)
    if "://" in source or project.settings.images.labels != "folder":
        raise SettingsError(
            f"{project.path}: the demo needs images.source to be a local folder and images.labels to be `folder`, so "
            f"that the pictures' kinds are known; they are {project.settings.images.source} and "
            f"{project.settings.images.labels}. Take the tac.yaml that the project came with: tac demo -s FILE"
        )
    return Path(source)


def _draw(console: Console, folder: Path, n_pictures: int, size: int) -> None:
    from tac_pipeline.demo.picture_store import draw_store

    started = time.monotonic()
    with console.status(f"drawing pictures to {escape(str(folder))}") as spinner:

        def say(text: str) -> None:
            spinner.update(escape(text))
            if not console.is_terminal:
                console.print(f"    {escape(text)}", soft_wrap=True)

        drawn = draw_store(folder, n_pictures, size=size, progress=RateLog(say, "pictures", every=5.0))
    if drawn:
        console.print(f"{drawn:,} pictures drawn to {escape(str(folder))} in {duration(time.monotonic() - started)}")


def _print_clusters(console: Console, project: Project) -> None:
    import polars as pl

    from assets.results import clusters, evaluation

    found = _current_table(project, clusters).sort("size", descending=True)
    table = Table("id", "name", "images", "share", "also", box=None, pad_edge=False)
    for row in found.iter_rows(named=True):
        name = escape(row["name"]) if row["name"] is not None else "[dim](unnamed)[/]"
        also = escape(", ".join(row["alternatives"]))
        table.add_row(str(row["cluster_id"]), name, f"{row['size']:,}", f"{row['share']:.1%}", f"[dim]{also}[/]")
    console.print()
    console.print(table)
    scores = _current_table(project, evaluation)
    if scores.is_empty():
        return
    table = Table("against the labels, in %", "rows", "images", "NMI", "ACC", "ARI", box=None, pad_edge=False)
    for row in scores.with_columns(pl.col("nmi", "acc", "ari") * 100).iter_rows(named=True):
        figures = [f"{row[name]:.1f}" for name in ("nmi", "acc", "ari")]
        table.add_row(row["result"], row["rows"], f"{row['labeled_images']:,}", *figures)
    console.print()
    console.print(table)


def _current_table(project: Project, step: Any) -> Any:
    """The main table of an asset's current artifact, as a polars DataFrame."""
    from assets.step import Inputs, open_store

    artifact = open_store(project).require_current(step.name).artifact
    return Inputs(project, {step.name: artifact}).table(step)


@contextmanager
def _misuse(argument: str) -> Iterator[None]:
    """A name that does not exist is a misuse of the command, told as such."""
    try:
        yield
    except InputError as error:
        raise typer.BadParameter(str(error), param_hint=argument) from error


@contextmanager
def _refusals() -> Iterator[None]:
    """What this project refuses on purpose is printed without a stack trace and ends with its exit code."""
    try:
        yield
    except TacError as error:
        _complain(str(error))
        raise typer.Exit(FAILED) from error
    except KeyboardInterrupt as error:
        _complain("interrupted; what was finished is kept, and the next run goes on from there")
        raise typer.Exit(INTERRUPTED) from error


def _complain(text: str) -> None:
    # Not markup, not wrapped: paths and messages must stay as they are.
    Console(stderr=True, highlight=False, soft_wrap=True).print(f"[bold red]error:[/] {escape(text)}")


if __name__ == "__main__":
    main()
