"""Commands that build: `tac demo`, `tac draw`, `tac run`."""

from __future__ import annotations

import shlex
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tac_pipeline.cli.shared import (
    FAILED,
    GroupingOption,
    SettingsOption,
    app,
    complain,
    current_clusters,
    current_table,
    misuse,
    opened_project,
    print_clusters,
    print_intake,
    printer,
    refusals,
)
from tac_pipeline.cli.starting import place_demo_settings
from tac_pipeline.cli.terminal import stopping
from tac_pipeline.cli.terminal.display import NAME_WIDTH, Display
from tac_pipeline.demo import PICTURE_SIZE
from tac_pipeline.errors import SettingsError, TacError
from tac_pipeline.progress import RateLog, duration
from tac_pipeline.settings.project import Project, find_settings

if TYPE_CHECKING:
    from assets.engine.step import Step
    from assets.orchestration.in_process import Progress

# Groups that a run prints at its end; `tac clusters` prints all.
SHOWN_GROUPS = 20


@app.command()
def demo(
    settings: SettingsOption = None,
    pictures: Annotated[int, typer.Option(min=100, help="How many drawn pictures the store should hold.")] = 1500,
) -> None:
    """Draw a picture store where images.source points, group it, name the groups, and say how right that was."""
    with refusals():
        settings = settings or place_demo_settings()
    with opened_project(settings) as project:
        from tac_pipeline.encoders import encoder_fingerprint

        # Damaged weights are told before anything is drawn.
        encoder = project.settings.encoder
        encoder_fingerprint(project.resolve_file(encoder.model), project.resolve_file(encoder.pretrained))
        console = printer()
        started = time.monotonic()
        _draw(console, _demo_folder(project), pictures, PICTURE_SIZE)
        console.print(f"set-up: {duration(time.monotonic() - started)}")
        _grow(console, project, recluster=False)
        console.print()
        console.print("Look at it:      tac open, or tac report, or tac ui", soft_wrap=True)
        console.print("Your own images: tac init FOLDER --settings mine.yaml", soft_wrap=True)


@app.command()
def draw(
    folder: Annotated[Path, typer.Argument(help="The folder of the pictures: a new one, or one to continue.")],
    pictures: Annotated[int, typer.Option(min=1, help="How many pictures it should hold.")] = 3000,
    size: Annotated[int, typer.Option(min=16, max=1024, help="Side of a picture in pixels.")] = PICTURE_SIZE,
) -> None:
    """Draw a store of pictures with known kinds, of any size: for the demo and for scale tests."""
    with refusals():
        _draw(printer(), folder, pictures, size)


@app.command()
def run(
    settings: SettingsOption = None,
    grouping: GroupingOption = None,
    select: Annotated[
        str | None,
        typer.Option(help="Only these assets, comma-separated: NAME, NAME+ (and downstream), +NAME (and upstream)."),
    ] = None,
    recluster: Annotated[
        bool, typer.Option("--recluster", help="Learn the groups again from the images that the store holds now.")
    ] = False,
    full: Annotated[
        bool,
        typer.Option(
            "--full",
            help="List every file, also in folders that have not changed: with images.compare: folders, a file that "
            "was overwritten in place is found by this alone.",
        ),
    ] = False,
    as_of: Annotated[
        str | None,
        typer.Option(
            help="Change nothing: put the groups of an earlier time, 2026-10-01 or 2026-10-01T18:30, in a folder of "
            "their own, from the versions that are kept. A date means its end.",
        ),
    ] = None,
    relearn: Annotated[
        bool,
        typer.Option(
            "--relearn",
            help="With --as-of: learn the groups of then again from the images of then, even where they are kept.",
        ),
    ] = False,
) -> None:
    """Materialize the assets in this process: add new images, and learn what is missing or outdated."""
    if select is not None and recluster:
        raise typer.BadParameter("--select names the assets itself: leave out --recluster")
    if as_of is not None and (select is not None or recluster or full):
        raise typer.BadParameter("--as-of changes nothing in the store: leave out --select, --recluster and --full")
    if relearn and as_of is None:
        raise typer.BadParameter("--relearn goes with --as-of; to learn from the images of now: --recluster")
    with opened_project(settings, grouping) as project:
        console = printer()
        if as_of is not None:
            _print_as_of(console, project, as_of, relearn=relearn)
            return
        if full:
            from assets.images import forget_folders

            forget_folders(project)
        if select is None:
            _grow(console, project, recluster=recluster)
            return
        from assets.graph import select as select_steps
        from assets.graph import steps_of

        with misuse("--select"):
            steps = select_steps(select, project.settings)
        materialize(console, [(project, [step for step in steps if step in steps_of(project)])])


def _print_as_of(console: Console, project: Project, as_of: str, *, relearn: bool) -> None:
    """Put the groups of an earlier time in a folder of their own, and say where."""
    from assets.lookups.as_of import GROUPS, RESULT_NAME, groups_as_of, parse_time, written

    with misuse("--as-of"):
        at = parse_time(as_of)
    for one in project.parts:
        console.print(f"store [bold]{one.settings.store}[/] as of {written(at)}")
        found = groups_as_of(one, at, relearn=relearn, log=lambda text: console.print(f"  {escape(text)}"))
        had = "nothing was published then" if found.published is None else f"readers had version {found.published}"
        images, groups = (f"{found.versions[name].rows or 0:,}" for name in GROUPS)
        how = "learned again from the images of then" if found.again else "read from what is kept"
        console.print(f"{images} images in {groups} groups, {how}; {had}", soft_wrap=True)
        if found.equal is not None:
            told = "[green]equal assignments[/]" if found.equal else "[yellow]other assignments[/]"
            console.print(f"{told}: compared with those that are kept", soft_wrap=True)
        if found.otherwise:
            console.print(
                f"[yellow]not as then:[/] {', '.join(found.otherwise)}: the code, or a file that the settings name, "
                f"has changed since, first for {found.otherwise[0]}",
                soft_wrap=True,
            )
        for name in GROUPS:
            console.print(f"{name}: {escape(str(found.versions[name].folder))}", soft_wrap=True)
        console.print(f"settings and versions of then: {escape(str(found.folder / RESULT_NAME))}", soft_wrap=True)
        if found.gone:
            console.print(f"[yellow]no longer kept:[/] {', '.join(found.gone)}", soft_wrap=True)


class _StepLines:
    """Tells a display what the steps of a run report, and counts them."""

    def __init__(self, display: Display, width: int) -> None:
        self._display, self._width = display, width
        self.computed = self.reused = 0
        self.names: set[str] = set()
        self.seconds = 0.0
        # A version did not reach its readers elsewhere.
        self.unsent = False

    def __call__(self, progress: Progress) -> None:
        if progress.event == "started":
            self._display.begin(progress.step)
        elif progress.event == "said":
            self._display.say(progress.text)
        elif progress.event in ("published", "held", "unsent"):
            color = "green" if progress.event == "published" else "yellow"
            self.unsent = self.unsent or progress.event == "unsent"
            self._display.end(f"  [{color}]{escape(progress.text)}[/]", whole=True)
        elif progress.event == "failed":
            self._display.end(f"  [red]failed[/]    {progress.step}")
            complain(progress.text)
        else:
            self._done(progress)

    def _done(self, progress: Progress) -> None:
        self.computed += progress.event == "computed"
        if progress.event == "computed":
            self.names.add(progress.step)
        self.reused += progress.event == "reused"
        self.seconds += progress.seconds
        color = "green" if progress.event == "computed" else "dim"
        rows = f"{progress.rows:,} rows" if progress.rows is not None else ""
        self._display.end(
            f"  [{color}]{progress.event:<9}[/] {progress.step:<{self._width}}{duration(progress.seconds):>8}  {rows}"
        )


def _grow(console: Console, project: Project, *, recluster: bool) -> None:
    """Run everything that the store needs, and print the clusters."""
    from assets.lookups.readiness import plan_all
    from assets.orchestration.telling.alerts import note_start, tell_refusal

    try:
        plans = plan_all(project, recluster=recluster)
    except TacError as error:
        tell_refusal(project, str(error), log=lambda text: console.print(escape(text), soft_wrap=True))
        raise
    note_start(project, log=lambda text: console.print(escape(text), soft_wrap=True))
    for note in dict.fromkeys(note for _, plan in plans for note in plan.notes):
        console.print(f"[yellow]note:[/] {escape(note)}", soft_wrap=True)
    parts = [(one, plan.steps) for one, plan in plans]
    lines = materialize(console, parts, publish=True, anew=recluster)
    for one, _ in plans:
        console.print()
        if one is not project:
            console.print(f"grouping [bold]{escape(one.grouping)}[/]")
        print_clusters(console, current_clusters(one), most=SHOWN_GROUPS)
        if one is project:
            # The labels say what a store shows, not what another grouping of it asks for.
            console.print()
            _print_scores(console, one)
    print_intake(console, project, now="image_embeddings" in lines.names)
    _print_next(console, project)
    if lines.unsent:
        complain("what is published here did not reach all of its readers: see the yellow line above, or `tac status`")
        raise typer.Exit(FAILED)


def materialize(
    console: Console,
    parts: Sequence[tuple[Project, Sequence[Step]]],
    *,
    publish: bool = False,
    anew: bool = False,
) -> _StepLines:
    """Run steps of a store and its groupings, and print a line for each; ends the command when one fails.

    Returns what the steps reported, such as the names of those that were computed.
    """
    from assets.orchestration.in_process import run_parts

    for project, _ in parts:
        console.print(f"store [bold]{project.settings.store}[/] in {escape(str(project.store_folder))}")
    started = time.monotonic()
    with Display(console, steps=sum(len(steps) + publish for _, steps in parts)) as display:
        lines = _StepLines(
            display, max(NAME_WIDTH + len(f"{project.grouping}: ") * bool(project.grouping) for project, _ in parts)
        )
        succeeded = run_parts(parts, listener=lines, publish=publish, anew=anew)
    if stopping.asked():
        raise KeyboardInterrupt  # it came between two steps, where Dagster keeps it to itself
    if not succeeded:
        raise typer.Exit(FAILED)
    console.print(
        f"{lines.computed} computed, {lines.reused} reused in {duration(lines.seconds)} of step time "
        f"({duration(time.monotonic() - started)} in all)"
    )
    return lines


def _demo_folder(project: Project) -> Path:
    """The folder for the demo's pictures."""
    places = project.settings.images.places
    source = project.resolve(places[0])
    if len(places) > 1 or "://" in source or project.settings.images.labels != "folder":
        raise SettingsError(
            f"{project.path}: the demo needs images.source to be a local folder and images.labels to be `folder`, so "
            f"that the pictures' kinds are known; they are {', '.join(places)} and "
            f"{project.settings.images.labels}. Use the tac.yaml that comes with the project: tac demo -s FILE"
        )
    return Path(source)


def _draw(console: Console, folder: Path, n_pictures: int, size: int) -> None:
    from tac_pipeline.demo.picture_store import draw_store

    started = time.monotonic()
    with Display(console) as display:
        display.begin("drawing pictures")
        drawn = draw_store(folder, n_pictures, size=size, progress=RateLog(display.say, "pictures"))
    if drawn:
        console.print(f"{drawn:,} pictures drawn to {escape(str(folder))} in {duration(time.monotonic() - started)}")


def _print_scores(console: Console, project: Project) -> None:
    """How right the groups are, where the store has true labels."""
    import polars as pl

    from assets.evaluation import evaluation

    scores = current_table(project, evaluation)
    if scores.is_empty():
        return
    # Where there is one truth, and all images are scored, neither needs a column.
    told = [name for name in ("labels", "split") if scores[name].n_unique() > 1 or name == "split"]
    told = [name for name in told if scores[name].null_count() < len(scores)]
    figures = ("nmi", "acc", "ari")
    table = Table(
        "in %" if told else "against the labels, in %",
        "rows",
        *told,
        "images",
        *map(str.upper, figures),
        box=None,
        pad_edge=False,
    )
    for row in scores.with_columns(pl.col(figures) * 100).iter_rows(named=True):
        shown = [f"{row[name]:.1f}" for name in figures]
        table.add_row(row["result"], row["rows"], *(row[name] for name in told), f"{row['labeled_images']:,}", *shown)
    console.print(table)
    console.print()


def _print_next(console: Console, project: Project) -> None:
    """The one command that goes on from here."""
    try:
        found_without = find_settings() == project.path
    except SettingsError:
        found_without = False
    option = "" if found_without else f" -s {shlex.quote(str(project.path))}"
    console.print(f"next: [bold]tac report{escape(option)}[/] shows the groups with their pictures", soft_wrap=True)
