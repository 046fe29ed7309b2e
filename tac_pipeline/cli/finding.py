"""Commands that find: `tac search`, `tac assign`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
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
    opened_project,
    plain,
    print_json,
    print_table,
    printer,
)

if TYPE_CHECKING:
    import polars as pl


@app.command()
def search(
    text: Annotated[str | None, typer.Argument(help="What the images should show, such as “a red boat”.")] = None,
    image: Annotated[
        str | None, typer.Option(help="Search by a picture instead: its file, or an image_id of the store.")
    ] = None,
    count: Annotated[int, typer.Option(min=1, help="How many images to find.")] = 20,
    as_json: JsonOption = False,
    settings: SettingsOption = None,
    grouping: GroupingOption = None,
) -> None:
    """Find the images of the whole store that are nearest to a text or a picture."""
    if (text is None) == (image is None):
        raise typer.BadParameter("a search takes a text, or a picture with --image, and not both")
    with opened_project(settings, grouping) as project:
        from assets.lookups.finding import search_by_image, search_by_text

        hits = (
            search_by_text(project, text, count=count)
            if text is not None
            else search_by_image(project, str(image), count=count)
        )
        for note in hits.notes:
            error_printer().print(f"[yellow]note:[/] {escape(plain(note))}")
        if as_json:
            print_json({"searched_by": hits.searched_by, "images": hits.images.to_dicts()})
            return
        console = printer()
        console.print(f"nearest to {escape(plain(hits.searched_by))}", soft_wrap=True)
        console.print()
        table = _table("score", "image", "id", "cluster", "confidence")
        for row in hits.images.iter_rows(named=True):
            table.add_row(
                f"{row['score']:.3f}",
                _shown(row["image_id"]),
                *_cluster(row["cluster_id"], row["cluster_name"]),
                "" if row["confidence"] is None else f"{row['confidence']:.2f}",
            )
        print_table(printer(), table)


@app.command()
def assign(
    images: Annotated[list[str], typer.Argument(metavar="IMAGE...", help="Files, folders, tars or URLs of images.")],
    as_json: JsonOption = False,
    settings: SettingsOption = None,
    grouping: GroupingOption = None,
) -> None:
    """Say which cluster new images fall into, without touching the store."""
    with opened_project(settings, grouping) as project:
        from assets.lookups.finding import assign_places

        found = assign_places(project, images)
        unread = found["error"].is_not_null().sum()
        if as_json:
            print_json({"images": found.to_dicts()})
        else:
            _print_assigned(found)
        if unread == len(found):
            complain("none of these images could be read")
            raise typer.Exit(FAILED)


def _print_assigned(found: pl.DataFrame) -> None:
    table = _table("image", "id", "cluster", "confidence", "similarity", "runner-up", "most like", "")
    for row in found.filter(found["error"].is_null()).iter_rows(named=True):
        second = " ".join(part for part in _cluster(row["runner_up"], row["runner_up_name"]) if part)
        table.add_row(
            _shown(row["image"]),
            *_cluster(row["cluster_id"], row["cluster_name"]),
            f"{row['confidence']:.2f}",
            f"{row['similarity']:.2f}",
            second,
            *_most_like(row["nearest"], row["nearest_similarity"]),
        )
    if table.row_count:
        print_table(printer(), table)
    for name, error in found.filter(found["error"].is_not_null()).select("image", "error").iter_rows():
        complain(plain(f"{name}: {error}"))


def _most_like(nearest: str | None, similarity: float | None) -> tuple[str, str]:
    return ("", "") if nearest is None else (_shown(nearest), f"{similarity:.2f}")


def _table(*headings: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in headings:
        # A shortened file name cannot be opened.
        table.add_column(heading, overflow="fold", no_wrap=False)
    return table


def _shown(text: str) -> str:
    return escape(plain(text))


def _cluster(id_: int | None, name: str | None) -> tuple[str, str]:
    if id_ is None:
        return "", ""
    return str(id_), _shown(name) if name is not None else "[dim](unnamed)[/]"
