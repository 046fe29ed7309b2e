"""The Dagster instance that the command line, the UI and the daemon share, and the workspace that the UI opens."""

import json
import os
from collections.abc import Sequence
from pathlib import Path

from assets.orchestration.dagster_internals import make_books
from tac_pipeline.errors import SettingsError, StoreError
from tac_pipeline.files import hold_lock, write_atomically
from tac_pipeline.settings.project import Project

HOME_VARIABLE = "DAGSTER_HOME"
# No telemetry, no sign-up dialog in front of the graph, and runs start soon after the button is pressed.
MARK = "# Written by tac, and kept up to date by it while this line stands."
INSTANCE_SETTINGS = f"""\
{MARK}
telemetry:
  enabled: false
nux:
  enabled: false
run_queue:
  dequeue_interval_seconds: 1
  tag_concurrency_limits:
    # A store's lock lets one run build at a time; the others should not wait in memory.
    - key: tac/store
      value:
        applyLimitPerUniqueValue: true
      limit: 1
    # A source that takes long to list is listed by one run at a time.
    - key: tac/observe
      value:
        applyLimitPerUniqueValue: true
      limit: 1
# A store looks at itself some thousand times a day; what it decided then is kept for a while.
retention:
  schedule:
    purge_after_days: 30
  sensor:
    purge_after_days:
      skipped: 1
      success: 30
      failure: 30
      started: 30
  auto_materialize:
    purge_after_days:
      skipped: 1
      success: 30
      failure: 30
      started: 30
# A killed run is started again once and continues; a failed step is not tried again until something changes.
run_retries:
  enabled: true
  max_retries: 1
  retry_on_asset_or_op_failure: false
"""


def instance_settings(home: Path) -> str:
    """The settings of the instance in a folder, as its dagster.yaml."""
    # What steps print is kept where Dagster keeps it, without a `tail` that a killed run leaves behind.
    logs = {
        "module": "assets.orchestration.dagster_internals",
        "class": "CapturedLogs",
        "config": {"base_dir": str(home / "storage")},
    }
    # JSON is YAML too, and quotes any character of a path.
    return f"{INSTANCE_SETTINGS}compute_logs: {json.dumps(logs)}\n"


def dagster_home(project: Project) -> Path:
    """The Dagster instance that the command line, the UI and the daemon share: $DAGSTER_HOME, else data/.dagster."""
    given = os.environ.get(HOME_VARIABLE)
    return Path(given).expanduser().absolute() if given else project.data_folder / ".dagster"


def prepare_home(project: Project) -> Path:
    """The instance's folder, created with telemetry off if it is new, and set in this process's environment.

    Its databases are made here, by one process at a time.

    Raises
    ------
    StoreError
        The folder cannot be written.
    """
    home = dagster_home(project)
    settings = home / "dagster.yaml"
    try:
        home.mkdir(parents=True, exist_ok=True)
        if not settings.exists() or settings.read_text(encoding="utf-8").startswith(MARK):
            write_atomically(settings, instance_settings(home))
        with hold_lock(home, lambda _: None):
            make_books(home)
    except OSError as error:
        raise StoreError(f"cannot write to {home}: {error.strerror}. Set `data` to a folder that can be.") from error
    os.environ[HOME_VARIABLE] = str(home)
    return home


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


def write_workspace(projects: Sequence[Project]) -> Path:
    """A workspace for `tac ui`, with one code location for the store of each settings file.

    Raises
    ------
    SettingsError
        They cannot be opened together (require_one_home).
    """
    require_one_home(projects)
    names = [project.settings.store for project in projects]
    folder, locations = dagster_home(projects[0]) / "locations", []
    for project in projects:
        path = folder / f"{project.settings.store}.py"
        lines = ["from assets.orchestration.build import build_definitions", ""]
        write_atomically(path, "\n".join([*lines, f"defs = build_definitions({str(project.path)!r})"]) + "\n")
        locations.append({"python_file": {"relative_path": str(path), "location_name": project.settings.store}})
    workspace = folder / f"{'-'.join(names)}.yaml"
    # JSON is YAML too, and quotes any character of a path.
    write_atomically(workspace, json.dumps({"load_from": locations}))
    return workspace
