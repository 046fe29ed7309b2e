"""What a file of many corrections takes: reading its pins line by line and by YAML's reader, and applying them.

    python -m benchmarks.corrections [--pins 20000] [--rounds 5]

Prints CPU seconds: the median, the least and the most of the rounds, in which the ways take turns. The pins are to an
id that is gone: of half of them the images are in another cluster now, the others are nowhere.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from statistics import median

import polars as pl

from tac_pipeline.results.corrections.applied import apply_corrections, tell_absent
from tac_pipeline.results.corrections.following import Heir
from tac_pipeline.results.corrections.written import Corrections, parse_corrections
from tac_pipeline.settings.reading import read_yaml


def cpu_seconds(work: Callable[[], object]) -> float:
    """The CPU time of a piece of work."""
    started = time.process_time()
    work()
    return time.process_time() - started


def text_of(count: int) -> str:
    """A file with this many pins."""
    return "pins:\n" + "".join(f"  photographs/{number:08d}.jpg: {7 + number % 2}\n" for number in range(count))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pins", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    text = text_of(asked.pins)
    found = parse_corrections(text, name="corrections.yaml")
    images, heirs = pl.Series("image_id", [*found.pins][::2]), {7: Heir(1, 30, 30, 30, 90)}

    def apply() -> None:
        applied = apply_corrections(found, {0, 1, 2}, heirs)
        tell_absent(applied.pins, images)

    ways: dict[str, Callable[[], object]] = {
        "read line by line": lambda: parse_corrections(text, name="corrections.yaml"),
        "read by YAML's reader": lambda: Corrections.model_validate(read_yaml(text, name="corrections.yaml")[1]),
        "digest": lambda: found.digest,
        "apply": apply,
    }
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(asked.rounds):
        for name, work in ways.items():
            taken[name].append(cpu_seconds(work))
    print(f"{asked.pins:,} pins, CPU seconds: median (least to most) of {asked.rounds} rounds")
    for name, seconds in taken.items():
        print(f"{name:24} {median(seconds):8.3f}  ({min(seconds):.3f} to {max(seconds):.3f})")


if __name__ == "__main__":
    main()
