"""The command for researchers: `tac experiment`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from tac_pipeline.cli.shared import app, error_printer, plain, refusals


@app.command()
def experiment(
    plan: Annotated[Path, typer.Argument(metavar="FILE", help="The file of the experiment.")],
    data: Annotated[Path, typer.Option(help="The folder that its paths start at.")] = Path(),
    out: Annotated[Path, typer.Option(help="The folder of the results; what is there is not run again.")] = Path(
        "experiments"
    ),
    seeds: Annotated[int | None, typer.Option(min=1, max=100, help="Instead of those in the file.")] = None,
) -> None:
    """Compare ways of grouping on sets with labels: one table as Markdown, CSV and LaTeX, beside published figures."""
    with refusals():
        from tac_pipeline.experiments.plan import load_experiment
        from tac_pipeline.experiments.running import run_experiment
        from tac_pipeline.experiments.tables import FORMATS, as_markdown, rows_of

        found, console = load_experiment(plan), error_printer()
        folder = out / found.name
        outcome = run_experiment(found, data, folder, seeds=seeds, say=lambda line: console.print(escape(line)))
        rows = rows_of(found, outcome.results)
        folder.mkdir(parents=True, exist_ok=True)
        for ending, written in FORMATS.items():
            (folder / f"table.{ending}").write_text(written(rows), encoding="utf-8")
        typer.echo(as_markdown(rows), nl=False)
        for sentence in outcome.missing:
            console.print(f"[yellow]not run:[/] {escape(plain(sentence))}")
        if not rows:
            raise typer.Exit(1)
