"""Commands that look: `tac status`, `tac path`, `tac diff`, `tac changes`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tac_pipeline.cli.shared import (
    SettingsOption,
    app,
    current_table,
    error_printer,
    misuse,
    opened_project,
    print_intake,
    printer,
    version_number,
)
from tac_pipeline.errors import ArtifactMissing
from tac_pipeline.progress import duration
from tac_pipeline.settings.keys import Settings
from tac_pipeline.settings.project import Project

if TYPE_CHECKING:
    import polars as pl


@app.command()
def status(settings: SettingsOption = None) -> None:
    """Show which assets are fresh, stale but reusable, stale, or missing, why, and how long they took last time."""
    with opened_project(settings) as project:
        console = printer()
        print_intake(console, project, now=False)
        print_status(console, project)


# What settings files of version 0.1 held, and the packaged one did.
OLD_TAU = 0.005


def print_status(console: Console, project: Project, *, only_stale: bool = False) -> None:
    """The state of every asset, what a run would compute, and what readers have."""
    from assets.lookups.status import State, all_status
    from assets.orchestration.publishing import publication_in_words

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
    # Before the first run all lines would be the same.
    if table.row_count and not (only_stale and all(entry.current is None for entry in found)):
        console.print(table)
    due = [entry for entry in found if entry.state in (State.STALE, State.MISSING)]
    took = [entry.current.artifact.record["seconds"] for entry in due if entry.current]
    reusable = sum(entry.state == State.REUSABLE for entry in found)
    again = f", which took {duration(sum(took))} last time" if took else ""
    parts = [f"computes {_assets(len(due))}{again}"] if due else []
    parts += [f"finds {_assets(reusable)} again"] if reusable else []
    sentence = f"a run {' and '.join(parts)}" if parts else "everything is fresh: a run has nothing to do"
    console.print(sentence, soft_wrap=True)
    console.print(publication_in_words(project), soft_wrap=True)
    if carries_old_tau(project.settings):
        console.print(
            f"retrieval.tau: {OLD_TAU:g} was the default of version 0.1, and is taken as set by you: take the line out "
            f"of {project.path.name} to have tau follow the encoder",
            soft_wrap=True,
        )


def carries_old_tau(settings: Settings) -> bool:
    """Whether a settings file still holds what used to be the default, for the method that has a rule now."""
    return settings.method == "robust" and settings.retrieval.tau == OLD_TAU


def _assets(count: int) -> str:
    return f"{count} asset" if count == 1 else f"{count} assets"


@app.command()
def path(
    asset: Annotated[str, typer.Argument(help="An asset's name, such as assignments, or published.")],
    settings: SettingsOption = None,
) -> None:
    """Print the folder of an asset's current artifact, or of the version that readers have."""
    with opened_project(settings) as project:
        from assets.engine.execute import open_store
        from assets.graph import find
        from assets.orchestration.publishing import PUBLISHED
        from tac_pipeline.store.publication import Publication

        store = open_store(project)
        if asset == PUBLISHED:
            latest = Publication(store.published_folder).latest()
            if latest is None:
                raise ArtifactMissing("nothing is published yet (`tac run` or `tac publish`)")
            typer.echo(latest.folder)
            return
        with misuse("ASSET"):
            name = find(asset).name
        artifact = store.require_current(name).artifact
        damage = artifact.damage()
        if damage:
            error_printer().print(f"[yellow]warning:[/] {escape(damage)}")
        typer.echo(artifact.folder)


@app.command()
def diff(
    old: Annotated[
        str | None, typer.Argument(help="A published version, such as 6, or current; by default the latest.")
    ] = None,
    new: Annotated[
        str | None, typer.Argument(help="Another version, or latest; by default current, the current result.")
    ] = None,
    settings: SettingsOption = None,
) -> None:
    """Compare two versions of the assignments: how many images moved, and which clusters changed by that."""
    with opened_project(settings) as project:
        from tac_pipeline.store.comparison import compare_assignments

        console = printer()
        with misuse("VERSION"):
            before, after = _side(project, old or "latest"), _side(project, new or "current")
        found = compare_assignments(before.assignments, after.assignments)
        console.print(f"from {before.title} to {after.title}:")
        console.print(
            f"{found.moved:,} of {found.known:,} images ({found.moved_share:.1%}) moved to another cluster, "
            f"{found.came:,} are new, {found.gone:,} are gone"
        )
        if found.clusters.is_empty():
            return
        names = before.names | after.names
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
    with opened_project(settings) as project:
        from assets.engine.execute import open_store
        from tac_pipeline.store.publication import Publication

        typer.echo(Publication(open_store(project).published_folder).changes(since=since).write_csv(), nl=False)


@dataclass(frozen=True)
class _Side:
    """One side of a comparison: its assignments, the names of its cluster ids, and its title."""

    assignments: pl.DataFrame
    names: dict[int, str | None]
    title: str


def _side(project: Project, version: str) -> _Side:
    """The version that the user named: a number, latest, or current."""
    from assets.engine.execute import open_store
    from assets.results import assignments, clusters
    from tac_pipeline.results.in_force import names_in_force
    from tac_pipeline.store.publication import Publication

    store = open_store(project)
    publication = Publication(store.published_folder)
    if version == "current":
        names: dict[int, str | None] = dict(names_in_force(store))
        if store.current(clusters.name) is not None:
            names |= _names(current_table(project, clusters))
        return _Side(current_table(project, assignments), names, "the current result")
    found = publication.latest() if version == "latest" else publication.find(version_number(version))
    if found is None:
        raise ArtifactMissing("nothing is published yet: there is no version to compare with (`tac publish`)")
    return _Side(found.assignments, _names(found.clusters), f"published version {found.number}")


def _names(clusters: pl.DataFrame) -> dict[int, str | None]:
    return dict(clusters.select("cluster_id", "name").iter_rows())
