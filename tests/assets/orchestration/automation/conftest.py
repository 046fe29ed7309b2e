"""The store that the automation works on: one for each file of tests."""

from collections.abc import Iterator

import pytest
from automatic import automatic_ui, between_quiet_times
from ui_server import Ui


@pytest.fixture(scope="module")
def ui(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ui]:
    with automatic_ui(tmp_path_factory.mktemp("automation")) as running:
        yield running


@pytest.fixture(autouse=True)
def quiet(ui: Ui, request: pytest.FixtureRequest) -> Iterator[None]:
    yield from between_quiet_times(ui, request)
