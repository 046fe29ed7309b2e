"""The sentence about a code location that runs on another Dagster instance than `tac`, or beside another daemon.

Dagster's own commands choose their instance by where they are started. The wrong one has another history, and other
states of schedules and sensors, on the same data folder.
"""

import logging
import multiprocessing
import os
from pathlib import Path

from assets.orchestration.dagster_internals import home_of_loading, using_dagster_dev
from assets.orchestration.instance import HERE_NAME, HOME_VARIABLE, dagster_home
from assets.orchestration.webserver import UI_VARIABLE, find_ui, lives
from tac_pipeline.settings.project import Project

_said: set[str] = set()


def differs(project: Project, home: Path | None) -> str | None:
    """What is wrong with the instance in a folder for the runs of a store, in words; None if nothing is."""
    ours = dagster_home(project)
    if home is None or home.resolve() == ours.resolve():
        return None
    folder = project.path.parent
    start = f"Start Dagster in {folder}" if (folder / HERE_NAME).exists() else "Start Dagster in a folder that has one"
    return (
        f"this code location runs on the Dagster instance in {home.absolute()}, and `tac` uses the one in {ours}: the "
        f"history, and what schedules and sensors remember, are not the same. {start} ({HERE_NAME}, which `tac init "
        f"--dagster` writes), or set {HOME_VARIABLE}={ours}"
    )


def two_daemons(project: Project) -> str | None:
    """What is wrong where `dagster dev` runs beside a `tac ui` of the same instance, in words; None if it does not."""
    if UI_VARIABLE in os.environ or not using_dagster_dev():
        return None
    ui = find_ui(dagster_home(project))
    if ui is None or not lives(ui.pid):
        return None
    return (
        f"`tac ui` (process {ui.pid}, {ui.url}) runs on this Dagster instance too, and two daemons request everything "
        "twice. Stop one of them"
    )


def tell_instance(project: Project) -> str | None:
    """Say once in the log what is wrong with the instance that definitions are loaded under; the sentences."""
    home = home_of_loading()
    # Neither a command nor the process of a run starts a daemon or keeps a history of its own.
    if home is None or multiprocessing.parent_process() is not None:
        return None
    told = [sentence for sentence in (differs(project, home), two_daemons(project)) if sentence is not None]
    for sentence in told:
        if sentence not in _said:
            _said.add(sentence)
            logging.getLogger("dagster").warning("%s", sentence)
    return ". ".join(told) or None
