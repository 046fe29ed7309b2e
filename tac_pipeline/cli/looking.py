"""Commands that look: `tac status`, `tac path`, `tac diff`, `tac changes`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tac_pipeline.cli.shared import SettingsOption, app, misuse, refusals
from tac_pipeline.errors import InputError
from tac_pipeline.progress import duration
from tac_pipeline.settings import Project, find_settings, load_project

if TYPE_CHECKING:
    import polars as pl

    from tac_pipeline.publication import Publication
    from tac_pipeline.store import Store


@app.command()
def status(settings: SettingsOption = None) -> None:
    """Show which assets are fresh, stale but reusable, stale, or missing, why, and how long they took last time."""
    with refusals():
        print_status(Console(highlight=False), load_project(find_settings(settings)))


def print_status(console: Console, project: Project, *, only_stale: bool = False) -> None:
    """How every asset stands, what a run would compute, and what readers have."""
    from assets.publishing import publication_in_words
    from assets.status import State, all_status

    colors = {State.FRESH: "green", State.REUSABLE: "cyan", State.STALE: "yellow", State.MISSING: "red"}
    table = Table("asset", "state", "rows", "last took", "why", box=None, pad_edge=False)
    found = all_status(project)
    for entry in found:
        if only_stale and entry.state == State.FRESH:
            continue
        artifact = entry.current.artifact if entry.current else None
        table.add_row(
            entry.step.name,
            f"[{colors[entry.state]}]{entry.state}[/]",
            f"{artifact.rows:,}" if artifact and artifact.rows is not None else "",
            duration(artifact.record["seconds"]) if artifact else "",
            escape(entry.why),
        )
    if table.row_count:
        console.print(table)
    due = [entry for entry in found if entry.state in (State.STALE, State.MISSING)]
    took = [entry.current.artifact.record["seconds"] for entry in due if entry.current]
    reusable = sum(entry.state == State.REUSABLE for entry in found)
    again = f", which took {duration(sum(took))} last time" if took else ""
    console.print(
        f"a run computes {len(due)} assets{again}, finds {reusable} again"
        if due or reusable
        else "everything is fresh: a run has nothing to do"
    )
    console.print(publication_in_words(project), soft_wrap=True)


@app.command()
def path(
    asset: Annotated[str, typer.Argument(help="An asset's name, such as assignments.")],
    settings: SettingsOption = None,
) -> None:
    """Print the folder of an asset's current artifact."""
    with refusals():
        project = load_project(find_settings(settings))
        from assets.graph import find
        from assets.step import open_store

        with misuse("ASSET"):
            name = find(asset).name
        artifact = open_store(project).require_current(name).artifact
        damage = artifact.damage()
        if damage:
            Console(stderr=True, highlight=False).print(f"[yellow]warning:[/] {escape(damage)}")
        typer.echo(artifact.folder)


@app.command()
def diff(
    old: Annotated[str | None, typer.Argument(help="A published version, such as 6; by default the latest.")] = None,
    new: Annotated[str | None, typer.Argument(help="Another one; by default the result as it stands.")] = None,
    settings: SettingsOption = None,
) -> None:
    """Compare two versions of the assignments: how many images moved, and which clusters changed by that."""
    with refusals():
        project = load_project(find_settings(settings))
        from assets.step import open_store
        from tac_pipeline.comparison import compare_assignments
        from tac_pipeline.publication import Publication

        store = open_store(project)
        publication = Publication(store.published_folder)
        console = Console(highlight=False)
        with misuse("VERSION"):
            (before, old_name), (after, new_name) = (
                _assignments(publication, store, old or "latest"),
                _assignments(publication, store, new or "current"),
            )
        found = compare_assignments(before, after)
        console.print(f"from {old_name} to {new_name}:")
        console.print(
            f"{found.moved:,} of {found.known:,} images ({found.moved_share:.1%}) moved to another cluster, "
            f"{found.came:,} came, {found.gone:,} went"
        )
        if found.clusters.is_empty():
            return
        names = _cluster_names(project)
        table = Table("id", "name", "images before", "after", "stayed", "came", "left", box=None, pad_edge=False)
        for row in found.clusters.iter_rows(named=True):
            sizes = [f"{row[name]:,}" for name in ("old_size", "new_size", "stayed", "came", "left")]
            table.add_row(str(row["cluster_id"]), escape(names.get(row["cluster_id"]) or ""), *sizes)
        console.print()
        console.print(table)


@app.command()
def changes(
    since: Annotated[int, typer.Option(min=0, help="Changes after this published version; 0 for all.")],
    settings: SettingsOption = None,
) -> None:
    """Print the change feed as CSV: image_id, old_cluster_id, new_cluster_id, version."""
    with refusals():
        project = load_project(find_settings(settings))
        from assets.step import open_store
        from tac_pipeline.publication import Publication

        typer.echo(Publication(open_store(project).published_folder).changes(since=since).write_csv(), nl=False)


def _assignments(publication: Publication, store: Store, version: str) -> tuple[pl.DataFrame, str]:
    """The assignments of a version that somebody named: a number, latest, or current; and what to call it."""
    import polars as pl

    from tac_pipeline.tables import ASSIGNMENTS, read_table

    if version == "current":
        artifact = store.require_current("assignments").artifact
        table = read_table(artifact.file("assignments.parquet"), ASSIGNMENTS)
        return pl.DataFrame(pl.from_arrow(table)), "the result as it stands"
    if version == "latest":
        latest = publication.latest()
        if latest is None:
            raise InputError("nothing is published yet: there is no version to compare with (`tac publish`)")
        return latest.assignments, f"published version {latest.number}"
    if not version.removeprefix("v").isdigit():
        raise InputError(f"a version must be a number, latest or current; got {version!r}")
    found = publication.find(int(version.removeprefix("v")))
    return found.assignments, f"published version {found.number}"


def _cluster_names(project: Project) -> dict[int, str | None]:
    """The names of the ids: of the result as it stands, else as they were published."""
    from assets.clustering import names_in_force
    from assets.results import clusters
    from assets.step import open_store
    from tac_pipeline.cli.shared import current_table

    current = current_table(project, clusters)
    return {**names_in_force(open_store(project)), **dict(current.select("cluster_id", "name").iter_rows())}
