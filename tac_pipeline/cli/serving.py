"""Commands that open something in the browser: `tac report`, `tac ui`."""

from __future__ import annotations

import json
import os
import sys
import webbrowser
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from tac_pipeline.cli.shared import (
    GroupingOption,
    SettingsOption,
    app,
    complain,
    current_clusters,
    error_printer,
    opened_project,
    refusals,
)
from tac_pipeline.cli.terminal.group import Stopped, run_group, stops_told
from tac_pipeline.errors import ArtifactMissing, SettingsError, UiError, first_few
from tac_pipeline.settings.project import SETTINGS_VARIABLE, Project, find_settings, load_project

if TYPE_CHECKING:
    from assets.orchestration.webserver import RunningUi


@app.command()
def report(
    settings: SettingsOption = None,
    grouping: GroupingOption = None,
    open_page: Annotated[bool, typer.Option("--open/--no-open", help="Open it in the browser.")] = True,
) -> None:
    """Write the page of the current result: clusters, map, what is worth a look. Open it, and print its path.

    Of a store with groupings it has a tab for each of them; with --grouping it is the page of one.
    """
    with opened_project(settings, grouping) as project:
        pages = _made_pages(project)
        path = pages[0][1] if len(pages) == 1 else _in_tabs(project, pages)
        typer.echo(path)
        if open_page:
            webbrowser.open(path.as_uri())


def _made_pages(project: Project) -> list[tuple[Project, Path]]:
    """The pages of a store and its groupings, or of a grouping alone, made where they are not fresh.

    Raises
    ------
    ArtifactMissing
        It has no groups yet; groupings that have none are left out, and told.
    """
    from assets.clustering import cluster_heads
    from assets.engine.execute import open_store
    from assets.lookups.status import State, family_status
    from assets.report import PAGE_NAME
    from assets.report import report as page
    from tac_pipeline.cli.running import materialize

    # The page shows a result; it does not start the work of hours that makes one.
    built = [one for one in project.parts if open_store(one).current(cluster_heads.name) is not None]
    if project not in built:
        folder = project.store_folder
        raise ArtifactMissing(f"nothing was built yet in {folder}: `tac run` builds it, and then the page")
    for one in project.parts:
        if one not in built:
            error_printer().print(
                f"[yellow]note:[/] the grouping {escape(one.grouping)} has no groups yet: `tac run` builds it"
            )
    above = {"map_layout", "image_map", "review", page.name}
    parts = []
    for one, found in family_status(project):
        due = [entry.step for entry in found if entry.step.name in above and entry.state != State.FRESH]
        parts += [(one, due)] if due and one in built else []
    if parts:
        materialize(error_printer(), parts)
    return [(one, open_store(one).require_current(page.name).artifact.file(PAGE_NAME)) for one in built]


def _in_tabs(project: Project, pages: Sequence[tuple[Project, Path]]) -> Path:
    """One file with all pages."""
    from tac_pipeline.report.tabs import Tab, write_tabs
    from tac_pipeline.store.artifacts import PAGES_NAME

    store = project.settings.store
    path = project.store_folder / PAGES_NAME / f"{store}.html"
    tabs = [Tab(one.grouping or store, len(current_clusters(one)), page) for one, page in pages]
    write_tabs(path, store, tabs)
    return path


@app.command()
def ui(
    settings: Annotated[
        list[Path] | None,
        typer.Option(
            "--settings",
            "-s",
            help=f"The settings file; else ${SETTINGS_VARIABLE}, else ./tac.yaml. Several for several stores.",
        ),
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option("--folder", resolve_path=True, help="Every settings file in a folder, as one code location."),
    ] = None,
    host: Annotated[
        str, typer.Option(help="Name or address to listen at; beyond this machine the UI asks for a token.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 3000,
    read_only: Annotated[bool, typer.Option("--read-only", help="Show everything, start and change nothing.")] = False,
    token: Annotated[bool, typer.Option("--token", help="Ask for a token on this machine too.")] = False,
    name: Annotated[
        list[str] | None,
        typer.Option(
            help="A name, with its port if it has one, by which a proxy or a forwarded port brings visitors; then the "
            "UI asks for a token. Several for several names."
        ),
    ] = None,
) -> None:
    """Start the Dagster UI and its daemon for the store of the settings file, or for several stores.

    One UI runs for a data folder: where it runs already, its address is printed.
    """
    try:
        with refusals(), stops_told():
            if folder is not None and settings:
                raise typer.BadParameter("it names all settings files itself", param_hint="--folder")
            if folder is not None:
                projects = _projects_in(folder)
            else:
                projects = [load_project(find_settings(path)) for path in (settings if settings else (None,))]
            asked = {"read_only": read_only, "ask_token": token, "forwarded": name or []}
            code = _serve(projects, folder, host=host, port=port, asked=asked)
    except Stopped as stop:
        error_printer().print("stopped: the UI is down")
        code = stop.code
    if code:
        raise typer.Exit(code)


def _projects_in(folder: Path) -> list[Project]:
    """The stores of a folder; what is wrong with the settings file of another is told, and stands in none's way.

    Raises
    ------
    SettingsError
        There is no settings file, or none can be used.
    """
    from tac_pipeline.settings.folders import settings_files

    projects, refused = [], []
    for path in settings_files(folder).values():
        try:
            projects.append(load_project(path))
        except SettingsError as error:
            refused.append(error)
    if not projects:
        raise (
            refused[0]
            if refused
            else SettingsError(f"no settings file is in {folder}: `tac init SOURCE --store NAME` writes one there")
        )
    for wrong in refused:
        complain(f"{wrong}. This store is left out until the file is mended and the definitions are reloaded")
    return projects


def _serve(projects: list[Project], folder: Path | None, *, host: str, port: int, asked: dict[str, Any]) -> int:
    """Start the UI and wait for its end; its exit code. Everything that can be refused is, before anything starts."""
    from assets.orchestration.instance import prepare_home
    from assets.orchestration.locations.workspace import require_one_home, write_workspace
    from assets.orchestration.webserver import RunningUi
    from assets.serving.owner import bind, own

    require_one_home(projects)
    home = prepare_home(projects[0])
    lock = own(home, say=error_printer().print)
    if isinstance(lock, RunningUi):
        _tell_running(lock, projects, home, asked)
        return 0
    with bind(host, port).listener as listener:
        plan = {
            "listener": listener.fileno(),
            "lock": lock,
            "pid": os.getpid(),
            "host": host,
            "home": str(home),
            # Not before the home is ours: a UI that runs reads it.
            "workspace": str(write_workspace(projects, folder=folder)),
            "stores": {str(project.path.resolve()): project.settings.store for project in projects},
            **asked,
        }
        command = [sys.executable, "-m", "assets.serving", json.dumps(plan)]
        return run_group(command, pass_fds=[listener.fileno(), lock], on_stop=_say_stopping)


def _tell_running(running: RunningUi, projects: list[Project], home: Path, asked: Mapping[str, Any]) -> None:
    """Print the address of the UI that has the home.

    Raises
    ------
    UiError
        It serves other stores, or was started without what is asked for now.
    """
    wanted = {str(project.path.resolve()) for project in projects}
    if not wanted <= set(running.settings):
        raise UiError(
            f"the UI on {running.url} (process {running.pid}) has {home}, and serves "
            f"{first_few(running.settings, 3)}. Stop it and start one for all stores (`tac ui -s ONE -s OTHER`), "
            "or set DAGSTER_HOME to another folder for this one"
        )
    options = {"read_only": "--read-only", "ask_token": "--token", "forwarded": "--name"}
    lacking = [option for key, option in options.items() if asked[key] and running.asked.get(key) != asked[key]]
    if lacking:
        raise UiError(
            f"a UI runs already on {running.url} (process {running.pid}), and it was started without "
            f"{' and '.join(lacking)}. Stop it and start it again with that"
        )
    typer.echo(f"Dagster UI on {running.link} (it runs already, as process {running.pid})")


def _say_stopping() -> None:
    error_printer().print("stopping the UI, which takes some seconds; Ctrl-C once more ends it at once")
