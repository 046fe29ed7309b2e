"""Runs steps without Dagster, for tests of what they compute and when."""

from pathlib import Path

from assets.engine.execute import Outcome, execute
from assets.graph import STEPS
from tac_pipeline.settings.project import load_project


def materialize(settings_path: Path, names: list[str] | None = None, *, in_force: bool = False) -> dict[str, Outcome]:
    """Execute steps in order, without Dagster."""
    project = load_project(settings_path)
    chosen = [step for step in STEPS if names is None or step.name in names]
    return {step.name: execute(step, project, in_force=in_force) for step in chosen}


def computed(outcomes: dict[str, Outcome]) -> set[str]:
    """The names of the steps that were not reused."""
    return {name for name, outcome in outcomes.items() if not outcome.reused}
