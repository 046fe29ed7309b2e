"""What `tac run` does to a store, without Dagster and its history: for tests of what a run leaves, in half the time."""

from pathlib import Path

from assets.engine.execute import execute
from assets.graph import find
from assets.lookups.readiness import plan_all
from tac_pipeline.settings.project import load_project


def run_store(settings: Path, *, recluster: bool = False) -> None:
    """`tac run` and `tac run --recluster`, for a store with its groupings."""
    from assets.orchestration.publishing import publish  # which brings Dagster

    for project, plan in plan_all(load_project(settings), recluster=recluster):
        for step in plan.steps:
            execute(step, project, anew=recluster)
        publish(project, by_hand=False)


def run_step(settings: Path, name: str) -> None:
    """`tac run --select NAME`."""
    execute(find(name), load_project(settings))
