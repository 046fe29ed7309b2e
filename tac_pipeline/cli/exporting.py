"""The command that writes a result for other programs: `tac export`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from tac_pipeline.cli.shared import GroupingOption, SettingsOption, app, error_printer, opened_project, plain, printer
from tac_pipeline.export.formats import FOLDERS, WITH_VECTORS, Format, Link
from tac_pipeline.progress import RateLog

if TYPE_CHECKING:
    from tac_pipeline.export.result import Exported

SHOWN_FAILURES = 10


@app.command()
def export(
    destination: Annotated[Path, typer.Argument(metavar="DEST", help=f"A file, or for {FOLDERS} a folder.")],
    form: Annotated[Format, typer.Option("--format", "-f", help="What it should look like.")],
    current: Annotated[
        bool, typer.Option("--current", help="The current result instead of the published one.")
    ] = False,
    link: Annotated[
        Link | None, typer.Option(help="Links instead of copies, for images that are plain local files.")
    ] = None,
    vectors: Annotated[bool, typer.Option("--vectors", help=f"With each image's vector ({WITH_VECTORS}).")] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a file, or a folder of an earlier export.")
    ] = False,
    settings: SettingsOption = None,
    grouping: GroupingOption = None,
) -> None:
    """Write the images with their clusters for other programs: a table, image folders, FiftyOne, Embedding Atlas."""
    with opened_project(settings, grouping) as project:
        from assets.lookups.exporting import places_to_spare, result_to_export
        from tac_pipeline.export.destination import export_to

        console = printer()
        atlas = form is Format.EMBEDDING_ATLAS
        result = result_to_export(project, current=current, with_map=atlas, with_vectors=atlas and vectors)
        with console.status("exporting") as spinner:
            progress = RateLog(lambda text: spinner.update(escape(text)), "images", every=1.0)
            done = export_to(
                destination,
                result,
                form,
                overwrite=overwrite,
                link=link,
                vectors=vectors,
                forbidden=places_to_spare(project),
                progress=progress,
            )
        version = result.facts["published_version"]
        what = "the current result" if version is None else f"published version {version}"
        sentence = f"{done.images:,} images of {what} are in {plain(str(destination))}"
        console.print(escape(sentence), soft_wrap=True)
        _tell_failures(done)


def _tell_failures(done: Exported) -> None:
    if not done.failed:
        return
    console = error_printer()
    console.print(f"[yellow]warning:[/] {len(done.failed):,} images are left out:")
    for image_id, error in done.failed[:SHOWN_FAILURES]:
        console.print(f"  {escape(plain(f'{image_id}: {error}'))}")
    if len(done.failed) > SHOWN_FAILURES:
        console.print(f"  and {len(done.failed) - SHOWN_FAILURES:,} more")
