"""What the parts of benchmarks/gpu.py share: how much is measured, ways in turn, a line of a table."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any

import torch

CUDA = torch.cuda.is_available()
HALVES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    rows: list[int]
    groups: list[int]
    models: tuple[str, ...]
    rounds: int
    cpu_images: int
    gpu_images: int
    nouns: int
    searched: int


def in_turn(ways: dict[str, Callable[[], Any]], rounds: int, *, warm: bool = True) -> dict[str, tuple[float, Any]]:
    """Median seconds of each way, and what it gave at last; the first round only warms up."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    given: dict[str, Any] = {}
    for turn in range(rounds + warm):
        for name, run in ways.items():
            started = time.perf_counter()
            given[name] = run()
            if turn >= warm:
                seconds[name].append(time.perf_counter() - started)
    return {name: (median(seconds[name]), given[name]) for name in ways}


def line(*cells: object) -> None:
    """One line of a table, at once."""
    print(
        "  "
        + "  ".join(
            f"{cell!s:<{44 if not place else 36 if len(str(cell)) > 26 else 26}}" for place, cell in enumerate(cells)
        ),
        flush=True,
    )


def devices() -> list[str]:
    """The devices to compare."""
    return ["cpu", "cuda"] if CUDA else ["cpu"]
