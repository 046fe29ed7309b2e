"""A store of drawn pictures for benchmarks: its settings, its growth, and what a run computed or used again."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from assets.engine.step import Step
from assets.orchestration.in_process import Progress, run_job, run_steps
from tac_pipeline.demo.kinds import KINDS
from tac_pipeline.demo.picture_store import picture_bytes, picture_path
from tac_pipeline.settings.project import Project, load_project

# The demo's own settings (tac.yaml).
SETTINGS: dict[str, Any] = {
    "images": {"source": "pictures", "labels": "folder"},
    "encoder": {"model": "tac-small", "pretrained": "drawn"},
    "clusters": {"count": len(KINDS)},
    # No schedules: the benchmark itself starts everything.
    "schedule": {"observe": None, "recluster": None, "refresh": False},
}


@dataclass
class Run:
    """One run: its seconds by the clock, and the outcome of each asset.

    Attributes
    ----------
    steps : dict of asset to (computed | reused, seconds)
    """

    ok: bool = False
    seconds: float = 0.0
    steps: dict[str, tuple[str, float]] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    def hear(self, told: Progress) -> None:
        """Record an event of a run."""
        if told.event in ("computed", "reused"):
            self.steps[told.step] = (told.event, told.seconds)
        elif told.event == "failed":
            self.failures.append(f"{told.step}: {told.text}")

    def named(self, event: str) -> set[str]:
        """The assets that were computed, or reused."""
        return {name for name, (found, _) in self.steps.items() if found == event}

    @property
    def step_seconds(self) -> float:
        """Seconds spent in steps."""
        return sum(seconds for _, seconds in self.steps.values())


def write_settings(folder: Path, *, store: str, changes: Mapping[str, Any] | None = None) -> Project:
    """The settings file of a store of drawn pictures in a folder, with some dotted keys changed, and its project."""
    tree: dict[str, Any] = {"store": store, **copy.deepcopy(SETTINGS)}
    for key, value in (changes or {}).items():
        *sections, last = key.split(".")
        place = tree
        for section in sections:
            place = place.setdefault(section, {})
        place[last] = value
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{store}.yaml"
    with path.open("w", encoding="utf-8") as file:
        YAML().dump(tree, file)
    return load_project(path)


def run(project: Project, what: Iterable[Step] | str) -> Run:
    """Run steps and publish the result; or run a job, by its name."""
    found = Run()
    started = time.monotonic()
    if isinstance(what, str):
        found.ok = run_job(project, what, listener=found.hear)
    else:
        found.ok = run_steps(project, what, listener=found.hear, publish=True)
    found.seconds = time.monotonic() - started
    return found


def replace_pictures(folder: Path, numbers: Iterable[int], *, offset: int) -> None:
    """Replace pictures by other pictures of the same kinds."""
    for n in numbers:
        path = picture_path(n)
        (folder / path).write_bytes(picture_bytes(path.parent.name, n + offset))
