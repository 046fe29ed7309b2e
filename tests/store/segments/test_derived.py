"""What is computed of segments is kept while runs ask for it, and goes when they no longer do."""

import os
import time
from pathlib import Path

import polars as pl
import pytest

from tac_pipeline.store.schemas import HASH_KEYS
from tac_pipeline.store.segments.derived import UNUSED_DAYS, UNUSED_RUNS, Derived
from tac_pipeline.store.segments.reading import HeldRows

DAY = 24 * 3600.0


@pytest.fixture
def derived(tmp_path: Path) -> Derived:
    return Derived(tmp_path / ".derived")


def ask(derived: Derived, name: str) -> list[str]:
    """Ask for what is computed of a segment; returns for which it was computed now."""
    made = []

    def make(rows: object) -> pl.DataFrame:
        made.append(name)
        return pl.DataFrame({"key": [1]})

    derived.of(HeldRows(pl.DataFrame(), name, alone=False), HASH_KEYS, make)
    return made


def run(derived: Derived, *names: str, ago: float = 0.0) -> list[str]:
    """A run that asks for these, so many seconds ago, and ends; returns what it computed."""
    made = [name for each in names for name in ask(derived, each)]
    for path in tables(derived) if ago else ():
        os.utime(path, (time.time() - ago,) * 2)
    derived.forget_unused()
    time.sleep(0.01)  # the clock of files is coarser
    return made


def tables(derived: Derived) -> list[Path]:
    return sorted(derived._folder.glob("*.parquet"))


def test_what_a_run_asked_for_is_there_for_the_next(derived: Derived) -> None:
    assert run(derived, "a", "b") == ["a", "b"]
    assert run(derived, "a", "b") == []


def test_each_new_segment_replaces_the_one_before_after_some_runs(derived: Derived) -> None:
    for number in range(30):
        assert run(derived, "stays", f"changes {number}") == (["stays"] if not number else []) + [f"changes {number}"]
    assert UNUSED_RUNS <= len(tables(derived)) <= UNUSED_RUNS + 2


def test_runs_in_which_nothing_is_new_take_nothing_away(derived: Derived) -> None:
    run(derived, "a")
    for _ in range(UNUSED_RUNS * 2):
        run(derived)
    assert run(derived, "a") == []


def test_what_was_asked_for_long_ago_goes_however_few_runs_there_were(derived: Derived) -> None:
    run(derived, "a", ago=(UNUSED_DAYS + 1) * DAY)
    assert tables(derived) == []


def test_a_damaged_record_of_runs_is_begun_again(derived: Derived) -> None:
    run(derived, "a")
    (derived._folder / "runs.json").write_text("[1, null")
    assert run(derived, "a") == []
    assert run(derived, "a") == []
