"""The commands for researchers: `tac experiment`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from tac_pipeline.cli.shared import app, error_printer, plain, refusals

if TYPE_CHECKING:
    from tac_pipeline.experiments.plan import Experiment

experiment = typer.Typer(help="Compare ways of grouping on sets with labels.", no_args_is_help=True)
app.add_typer(experiment, name="experiment")


@experiment.command()
def run(
    plan: Annotated[
        Path, typer.Argument(metavar="FILE", help="The file of the experiment; or paper, more: presets of known sets.")
    ],
    data: Annotated[Path, typer.Option(help="The folder that its paths start at.")] = Path(),
    out: Annotated[Path, typer.Option(help="The folder of the results; what is there is not run again.")] = Path(
        "experiments"
    ),
    seeds: Annotated[int | None, typer.Option(min=1, max=100, help="Instead of those in the file.")] = None,
    model: Annotated[str | None, typer.Option(help="An open_clip model, its config file, or tac-small.")] = None,
    pretrained: Annotated[str | None, typer.Option(help="The model's weights: a tag, a file, or random.")] = None,
    only: Annotated[list[str] | None, typer.Option(help="One of its sets by name; may be repeated.")] = None,
) -> None:
    """Run what has not been run: one table as Markdown, CSV and LaTeX, beside published figures."""
    with refusals():
        from tac_pipeline.experiments.plan import load_experiment
        from tac_pipeline.experiments.running import run_experiment
        from tac_pipeline.experiments.tables import FORMATS, as_markdown, notes_of, rows_of

        found, console = _chosen(load_experiment(plan), model, pretrained, only), error_printer()
        folder = out / found.name
        outcome = run_experiment(found, data, folder, seeds=seeds, say=lambda line: console.print(escape(line)))
        rows, notes = rows_of(found, outcome.results), notes_of(outcome)
        folder.mkdir(parents=True, exist_ok=True)
        for ending, written in FORMATS.items():
            (folder / f"table.{ending}").write_text(written(rows, notes), encoding="utf-8")
        typer.echo(as_markdown(rows, notes), nl=False)
        for sentence in outcome.missing:
            console.print(f"[yellow]not run:[/] {escape(plain(sentence))}", soft_wrap=True)
        if not rows:
            raise typer.Exit(1)


@experiment.command()
def sets() -> None:
    """The known data sets: their short names for `tac init --preset`, their places, and where they can be had."""
    from tac_pipeline.experiments.plan import preset_sets

    for name, one in preset_sets().items():
        classes = f"{one.classes} classes" if one.classes else ""
        typer.echo(f"{name:<15}{classes:<14}{one.places[0]:<24}{one.page or ''}".rstrip())


def _chosen(found: Experiment, model: str | None, pretrained: str | None, only: list[str] | None) -> Experiment:
    """The experiment with another encoder, or with some of its sets."""
    from tac_pipeline.cli.starting import encoder_keys
    from tac_pipeline.errors import InputError
    from tac_pipeline.first_run.settings_text import short_name
    from tac_pipeline.settings.keys import EncoderSettings

    changes: dict[str, object] = {}
    if (model, pretrained) != (None, None):
        named = encoder_keys(model, pretrained, None)
        changes["encoder"] = EncoderSettings.model_validate({**found.encoder.model_dump(exclude_unset=True), **named})
    if only:
        wanted = {short_name(name) for name in only}
        there = {short_name(one.name) for one in found.sets}
        if wanted - there:
            raise InputError(f"--only must name sets of the experiment: {', '.join(sorted(there))}; got {only}")
        changes["sets"] = [one for one in found.sets if short_name(one.name) in wanted]
    return found.model_copy(update=changes)
