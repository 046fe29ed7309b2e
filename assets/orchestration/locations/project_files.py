"""The files by which a folder of settings files is a project of Dagster's: what `tac init --dagster` writes.

`dagster dev` reads workspace.yaml and dagster.yaml where it is started, `dg` reads dg.toml and dagster.yaml.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from assets.orchestration.instance import (
    HERE_NAME,
    HOME_NAME,
    MARK_HERE,
    begins,
    dagster_home,
    in_postgres,
    settings_here,
)
from tac_pipeline.errors import SettingsError
from tac_pipeline.files import write_atomically
from tac_pipeline.settings.project import Project

# The module of the code location of one store, and that of all stores of a folder.
ONE, MANY = "definitions.py", "stores.py"
MANY_LOCATION = "stores"
MARK_MODULE = "# Written by `tac init --dagster`, and yours to edit."

_MODULE_OF_ONE = f"""\
{MARK_MODULE}
\"\"\"The store of {{file}}, for Dagster. Who owns it, and when images are expected, are further arguments.\"\"\"

from pathlib import Path

from assets.orchestration.build import build_definitions

defs = build_definitions(Path(__file__).parent / {{file}})
"""
_MODULE_OF_MANY = f"""\
{MARK_MODULE}
\"\"\"The stores of the settings files in this folder, for Dagster. Who owns them is a further argument.\"\"\"

from pathlib import Path

from assets.orchestration.locations.folder import stores_in

# A repository for each settings file, made when it is asked for.
__getattr__, __dir__ = stores_in(Path(__file__).parent)
"""
_WORKSPACE = """\
{mark}
# `tac ui` names this code location in the same way, so that both know the same states of schedules and sensors.
load_from:
  - python_file:
      relative_path: {module}
      location_name: {location}
"""
_DG = """\
{mark}
directory_type = "project"

[project]
root_module = "{stem}"
defs_module = "{stem}"
code_location_target_module = "{stem}"
code_location_name = {location}

[cli.telemetry]
enabled = false
"""


@dataclass(frozen=True)
class Written:
    """The files that were written, and those that were there and are not ours to change."""

    written: list[Path]
    left: list[Path]


def write_project_files(project: Project, *, many: bool) -> Written:
    """Write the four files beside the settings of a store; what people wrote or have taken over is left alone.

    Raises
    ------
    SettingsError
        A file cannot be written.
    """
    folder, home = project.path.parent, project.data_folder / HOME_NAME
    module, location = (MANY, MANY_LOCATION) if many else (ONE, project.settings.store)
    # JSON quotes a name for Python, YAML and TOML.
    filled = {"mark": MARK_HERE, "file": json.dumps(project.path.name), "location": json.dumps(location)}
    texts = {
        HERE_NAME: settings_here(
            home.relative_to(folder) if home.is_relative_to(folder) else home,
            postgres=in_postgres(dagster_home(project)),
        ),
        "workspace.yaml": _WORKSPACE.format(**filled, module=module),
        "dg.toml": _DG.format(**filled, stem=Path(module).stem),
    }
    written, left = [], []
    for name, text in texts.items():
        path = folder / name
        if path.exists() and not begins(path, MARK_HERE):
            left.append(path)
        else:
            _write(path, text)
            written.append(path)
    if not (folder / module).exists():
        _write(folder / module, (_MODULE_OF_MANY if many else _MODULE_OF_ONE).format(**filled))
        written.append(folder / module)
    elif not is_ours(folder / module):
        left.append(folder / module)
    return Written(written, left)


def is_ours(path: Path) -> bool:
    """Whether a module is one of those that are written here; people may have edited it."""
    return path.is_file() and begins(path, MARK_MODULE)


def _write(path: Path, text: str) -> None:
    try:
        write_atomically(path, text)
    except OSError as error:
        raise SettingsError(f"cannot write {path}: {error.strerror}") from error
