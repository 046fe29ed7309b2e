"""Commands that look: `tac status`, `tac clusters`, `tac path`, `tac diff`, `tac changes`."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tac_pipeline.cli.shared import (
    GroupingOption,
    JsonOption,
    SettingsOption,
    app,
    current_clusters,
    current_table,
    error_printer,
    misuse,
    opened_project,
    plain,
    print_clusters,
    print_intake,
    print_json,
    printer,
    version_number,
)
from tac_pipeline.errors import ArtifactMissing, InputError, TacError
from tac_pipeline.progress import duration
from tac_pipeline.settings.project import Project, find_settings, load_project

if TYPE_CHECKING:
    import polars as pl

    from assets.lookups.status import Status
    from tac_pipeline.settings.keys import Settings


@app.command()
def status(as_json: JsonOption = False, settings: SettingsOption = None, grouping: GroupingOption = None) -> None:
    """Show which assets are fresh, stale but reusable, stale, or missing, why, and how long they took last time."""
    with opened_project(settings, grouping) as project:
        from assets.lookups.status import family_status

        found = family_status(project)
        if as_json:
            first, *others = [_status(one, statuses) for one, statuses in found]
            print_json({**first, "groupings": others} if grouping is None else first)
            return
        console = printer()
        print_intake(console, project, now=False)
        print_status(console, found)


# What settings files of version 0.1 held, and the packaged one did.
OLD_TAU = 0.005


def print_status(
    console: Console, found: Sequence[tuple[Project, Sequence[Status]]], *, only_stale: bool = False
) -> None:
    """The state of every asset of the store, what is not fresh of its groupings, and what readers have of each."""
    for project, statuses in found:
        if project.grouping and len(found) > 1:
            console.print()
            console.print(f"grouping [bold]{escape(project.grouping)}[/]")
        only_some = only_stale or (bool(project.grouping) and len(found) > 1)
        _print_one_status(console, project, statuses, only_stale=only_some)
    if not only_stale:
        for folder in found[0][0].forgotten_groupings:
            console.print(
                f"{escape(str(folder))} holds a grouping that the settings no longer name; delete it if nobody reads "
                "it",
                soft_wrap=True,
            )


def _print_one_status(console: Console, project: Project, found: Sequence[Status], *, only_stale: bool) -> None:
    from assets.engine.execute import open_store
    from assets.lookups.status import State
    from assets.orchestration.publishing import publication_in_words
    from tac_pipeline.store.keeping.check import ledger_gap

    colors = {State.FRESH: "green", State.REUSABLE: "cyan", State.STALE: "yellow", State.MISSING: "red"}
    table = Table("asset", "state", "rows", "last took", "why", box=None, pad_edge=False)
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
    gap = ledger_gap(open_store(project))
    if gap is not None:
        console.print(f"[red]damaged:[/] {escape(gap)}: `tac restore SOURCE`", soft_wrap=True)
    if carries_old_tau(project.settings):
        console.print(
            f"retrieval.tau: {OLD_TAU:g} was the default of version 0.1, and is taken as set by you: take the line out "
            f"of {project.path.name} to have tau follow the encoder",
            soft_wrap=True,
        )


def _status(project: Project, found: Sequence[Status]) -> dict[str, Any]:
    """What `tac status` shows, for programs."""
    from assets.engine.execute import open_store
    from assets.lookups.intake import intake_of
    from assets.orchestration.publishing import publication_in_words
    from tac_pipeline.store.publishing.elsewhere import known_elsewhere

    there = known_elsewhere(project, open_store(project))
    assets: list[dict[str, Any]] = []
    for entry in found:
        artifact = entry.current.artifact if entry.current else None
        assets.append(
            {
                "asset": entry.step.name,
                "state": str(entry.state),
                "rows": artifact.rows if artifact else None,
                "seconds": artifact.record["seconds"] if artifact else None,
                "why": entry.why,
            }
        )
    intake = intake_of(project)
    return {
        "store": project.settings.store,
        "folder": str(project.store_folder),
        "images": None
        if intake is None
        else {
            "read": intake.read,
            "unreadable": intake.unreadable,
            "passed_over": sum(intake.passed_over.values()),
            "problems": len(intake.problems),
        },
        "assets": assets,
        "readers": publication_in_words(project),
        "readers_elsewhere": None
        if there is None
        else {"place": there.to, "version": there.version, "failed": there.failed},
    }


def carries_old_tau(settings: Settings) -> bool:
    """Whether a settings file still holds what used to be the default, for the method that has a rule now."""
    return settings.method == "robust" and settings.retrieval.tau == OLD_TAU


def _assets(count: int) -> str:
    return f"{count} asset" if count == 1 else f"{count} assets"


def _complete_asset(incomplete: str) -> list[str]:
    """What Tab offers: assets that were materialized, from the names of their folders."""
    found: list[str] = []
    # A completion that prints an error is worse than none.
    with suppress(TacError, OSError):
        from tac_pipeline.store.artifacts import CURRENT_NAME, PUBLISHED_NAME

        for folder in load_project(find_settings()).store_folder.iterdir():
            if folder.name == PUBLISHED_NAME or (folder / CURRENT_NAME).exists():
                found.append(folder.name)
    return sorted(name for name in found if name.startswith(incomplete))


def _complete_group(incomplete: str) -> list[str]:
    """What Tab offers: names of the current groups, or ids once a digit is there."""
    found: list[str] = []
    with suppress(TacError, OSError):
        table = current_clusters(load_project(find_settings()))
        column = "cluster_id" if incomplete[:1].isdigit() else "name"
        found = [str(value) for value in table[column] if value is not None]
    return [name for name in found if name.casefold().startswith(incomplete.casefold())]


@app.command()
def clusters(
    group: Annotated[
        str | None,
        typer.Argument(
            metavar="ID|NAME", help="Tell all of this group; else list them.", autocompletion=_complete_group
        ),
    ] = None,
    as_json: JsonOption = False,
    settings: SettingsOption = None,
    grouping: GroupingOption = None,
) -> None:
    """List the groups of the current result, the largest first, or tell all of one: by its id or its name."""
    with opened_project(settings, grouping) as project:
        found = current_clusters(project)
        if group is not None:
            with misuse("GROUP"):
                row = _chosen(found.to_dicts(), group)
            if as_json:
                print_json(_rounded(row))
            else:
                _print_cluster(printer(), row)
        elif as_json:
            columns = ["cluster_id", "name", "size", "share", "alternatives"]
            print_json([_rounded(row) for row in found.select(columns).to_dicts()])
        else:
            print_clusters(printer(), found)


def _chosen(rows: list[dict[str, Any]], group: str) -> dict[str, Any]:
    """The row of a group by its id or its name, in upper or lower case."""
    wanted = group.casefold()
    for row in rows:
        if wanted in (str(row["cluster_id"]), (row["name"] or "").casefold()):
            return row
    near = difflib.get_close_matches(wanted, [(row["name"] or "").casefold() for row in rows], n=1)
    hint = f"did you mean {near[0]}?" if near else "`tac clusters` lists them"
    raise InputError(f"there is no group {group!r}; {hint}")


def _rounded(row: dict[str, Any]) -> dict[str, Any]:
    """A row without the digits that float32 leaves."""
    return {name: float(f"{value:.6g}") if isinstance(value, float) else value for name, value in row.items()}


def _print_cluster(console: Console, row: dict[str, Any]) -> None:
    table = Table(box=None, pad_edge=False, show_header=False)
    confidence = "" if row["confidence"] is None else f"{row['confidence']:.2f}"
    told = {
        "id": str(row["cluster_id"]),
        "name": f"{row['name'] or 'unnamed'} (confidence {row['name_confidence']:.2f})",
        "also": ", ".join(row["alternatives"]),
        "images": f"{row['size']:,} ({row['share']:.1%} of the store)",
        "confidence": confidence,
        "curated": "by people" if row["curated"] else "",
        "lineage": row["lineage"],
        "typical": "\n".join(row["medoids"]),
    }
    for name, value in told.items():
        if value:
            table.add_row(name, "\n".join(escape(plain(line)) for line in value.split("\n")))
    console.print(table)


@app.command()
def path(
    asset: Annotated[
        str,
        typer.Argument(help="An asset's name, such as assignments, or published.", autocompletion=_complete_asset),
    ],
    settings: SettingsOption = None,
    grouping: GroupingOption = None,
) -> None:
    """Print the folder of an asset's current artifact, or of the version that readers have."""
    with opened_project(settings, grouping) as project:
        from tac_pipeline.store.artifacts import PUBLISHED_NAME, open_store

        store = open_store(project)
        if asset == PUBLISHED_NAME:
            from tac_pipeline.store.publication import Publication

            latest = Publication(store.published_folder).latest()
            if latest is None:
                raise ArtifactMissing("nothing is published yet (`tac run` or `tac publish`)")
            typer.echo(latest.folder)
            return
        # What is there needs no graph, which takes a second to import.
        found = store.current(asset) if asset.isidentifier() else None
        if found is None:
            from assets.graph import find

            with misuse("ASSET"):
                found = store.require_current(find(asset).name)
        artifact = found.artifact
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
    grouping: GroupingOption = None,
) -> None:
    """Compare two versions of the assignments: how many images moved, and which clusters changed by that."""
    with opened_project(settings, grouping) as project:
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
    grouping: GroupingOption = None,
) -> None:
    """Print the change feed as CSV: image_id, old_cluster_id, new_cluster_id, version."""
    with opened_project(settings, grouping) as project:
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
