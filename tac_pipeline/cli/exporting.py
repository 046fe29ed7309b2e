"""The command that writes a result for other programs: `tac export`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape

from tac_pipeline.cli.shared import SettingsOption, app, plain, refusals
from tac_pipeline.export.formats import Format, Link
from tac_pipeline.progress import RateLog
from tac_pipeline.settings.project import find_settings, load_project

if TYPE_CHECKING:
    from tac_pipeline.export.result import Exported

SHOWN_FAILURES = 10


@app.command()
def export(
    destination: Annotated[
        Path, typer.Argument(metavar="DEST", help="A file, or for imagefolder and fiftyone-json a folder.")
    ],
    form: Annotated[Format, typer.Option("--format", "-f", help="The format of the export.")],
    current: Annotated[
        bool, typer.Option("--current", help="The current result instead of the published one.")
    ] = False,
    link: Annotated[
        Link | None, typer.Option(help="Links instead of copies, for images that are plain local files.")
    ] = None,
    vectors: Annotated[bool, typer.Option("--vectors", help="Include each image's vector (embedding-atlas).")] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a file, or a folder of an earlier export.")
    ] = False,
    settings: SettingsOption = None,
) -> None:
    """Write the images with their clusters for other programs: a table, image folders, FiftyOne, Embedding Atlas."""
    with refusals():
        project = load_project(find_settings(settings))
        from assets.lookups.exporting import places_to_spare, result_to_export
        from tac_pipeline.export.destination import export_to

        console = Console(highlight=False)
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
        said = f"{done.images:,} images of {what} are in {plain(str(destination))}"
        console.print(escape(said), soft_wrap=True)
        _tell_failures(done)


def _tell_failures(done: Exported) -> None:
    if not done.failed:
        return
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    console.print(f"[yellow]warning:[/] {len(done.failed):,} images are left out:")
    for image_id, error in done.failed[:SHOWN_FAILURES]:
        console.print(f"  {escape(plain(f'{image_id}: {error}'))}")
    if len(done.failed) > SHOWN_FAILURES:
        console.print(f"  and {len(done.failed) - SHOWN_FAILURES:,} more")
