"""Workbenches with their workers, stopped at the end of a test."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from bench import Bench
from ready_store import ready
from small_store import copied


@pytest.fixture
def opened() -> Iterator[Callable[[Path], Bench]]:
    """Opens the workbench of a settings file."""
    benches = []

    def start(settings: Path) -> Bench:
        benches.append(Bench(settings))
        benches[-1].desk.start()
        return benches[-1]

    yield start
    for bench in benches:
        bench.desk.stop()


@pytest.fixture
def bench(opened: Callable[[Path], Bench], vector_store: Callable[..., Path]) -> Bench:
    """The workbench of sixty vectors in three groups."""
    return opened(ready(vector_store()))


@pytest.fixture
def drawn(opened: Callable[[Path], Bench], pictures: Path, tmp_path: Path) -> Bench:
    """The workbench of a store of drawn pictures."""
    return opened(copied(pictures, tmp_path / "drawn"))
