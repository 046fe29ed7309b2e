"""Runs steps without Dagster, for tests of what they compute and when."""

from dataclasses import replace
from pathlib import Path

import polars as pl
from ready_store import made_once

from assets.engine.execute import Outcome, execute, open_store
from assets.engine.step import Inputs
from assets.graph import STEPS, find
from tac_pipeline.settings.project import load_project


def materialize(settings_path: Path, names: list[str] | None = None, *, in_force: bool = False) -> dict[str, Outcome]:
    """Execute steps in order, without Dagster; all steps of a new store of vectors may come from a copy."""
    project = load_project(settings_path)
    chosen = [step for step in STEPS if names is None or step.name in names]

    def make() -> dict[str, Outcome]:
        return {step.name: execute(step, project, in_force=in_force) for step in chosen}

    if names is not None:
        return make()
    made: dict[str, Outcome] = made_once("materialize", settings_path, make)
    return {name: _at(project.data_folder, outcome) for name, outcome in made.items()}


def _at(data: Path, outcome: Outcome) -> Outcome:
    """An outcome with its artifact in another data folder."""
    parts = outcome.artifact.folder.parts[-3:]
    return replace(outcome, artifact=replace(outcome.artifact, folder=data.joinpath(*parts)))


def computed(outcomes: dict[str, Outcome]) -> set[str]:
    """The names of the steps that were not reused."""
    return {name for name, outcome in outcomes.items() if not outcome.reused}


def table(path: Path, name: str) -> pl.DataFrame:
    """The main table of a step that is current in the store of a settings file."""
    project = load_project(path)
    return Inputs(project, {name: open_store(project).require_current(name).artifact}).table(find(name))
