"""The workspace that `tac ui` opens: the code locations of the stores that it is asked for.

A location has the same name, and the same repositories, as in the workspace.yaml that `tac init --dagster` writes:
Dagster remembers by them which schedules are on and what was requested.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from assets.orchestration.instance import HOME_VARIABLE, dagster_home
from assets.orchestration.locations.project_files import MANY, MANY_LOCATION, ONE, is_ours
from tac_pipeline.errors import SettingsError
from tac_pipeline.files import write_atomically
from tac_pipeline.settings.project import Project

_ONE = "from assets.orchestration.build import build_definitions\n\ndefs = build_definitions({!r})\n"
_MANY = "from assets.orchestration.locations.folder import stores_in\n\n__getattr__, __dir__ = stores_in({!r})\n"


def require_one_home(projects: Sequence[Project]) -> None:
    """Refuse stores that one UI cannot open together.

    Raises
    ------
    SettingsError
        Two stores have one name, or stores of several data folders would need several instances.
    """
    names = [project.settings.store for project in projects]
    if len(set(names)) < len(names):
        raise SettingsError(f"stores that are opened together must have different names; got {', '.join(names)}")
    homes = {dagster_home(project) for project in projects}
    if len(homes) > 1:
        raise SettingsError(
            f"stores that are opened together must share one data folder, so that they share one Dagster instance; got "
            f"{', '.join(sorted(str(home.parent) for home in homes))}. Set the same `data`, or set {HOME_VARIABLE}."
        )


def write_workspace(projects: Sequence[Project], *, folder: Path | None = None) -> Path:
    """A workspace with one code location for the store of each settings file, or one for a folder of them all.

    Raises
    ------
    SettingsError
        They cannot be opened together (require_one_home).
    """
    require_one_home(projects)
    home = dagster_home(projects[0])
    if folder is None:
        names = "-".join(project.settings.store for project in projects)
        locations = [_location_of(project, home) for project in projects]
    else:
        names, locations = MANY_LOCATION, [_location_of_all(folder, home)]
    workspace = home / "locations" / f"{names}.yaml"
    # JSON is YAML too, and quotes any character of a path.
    write_atomically(workspace, json.dumps({"load_from": locations}))
    return workspace


def _location_of(project: Project, home: Path) -> dict[str, Any]:
    own = project.path.with_name(ONE)
    if not is_ours(own) or json.dumps(project.path.name) not in own.read_text(encoding="utf-8"):
        own = home / "locations" / f"{project.settings.store}.py"
        write_atomically(own, _ONE.format(str(project.path)))
    return {"python_file": {"relative_path": str(own), "location_name": project.settings.store}}


def _location_of_all(folder: Path, home: Path) -> dict[str, Any]:
    own = folder / MANY
    if not is_ours(own):
        own = home / "locations" / MANY
        write_atomically(own, _MANY.format(str(folder)))
    return {"python_file": {"relative_path": str(own), "location_name": MANY_LOCATION}}
