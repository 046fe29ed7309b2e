"""Fixtures that many tests share: a small store of vectors with known groups, and the reference data."""

import gc
import os

# Before numpy and torch are imported: on matrices this small their threads wait for each other longer than they work.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from alert_server import alert_server  # noqa: F401 - a fixture
from filelock import FileLock
from hypothesis import settings
from ready_books import use_ready_books
from ready_plots import use_one_picture
from ready_store import Shelf
from ruamel.yaml import YAML
from s3_server import s3, s3_url  # noqa: F401 - fixtures
from small_store import GROUPS, PICTURE_SETTINGS, REPOSITORY, copied, grouped_vectors, write_nouns, write_vectors

# As `tac` does: a look for garbage walks over all that torch and Dagster have made.
gc.set_threshold(50_000)

# The same examples on every run, and none judged by the clock.
settings.register_profile("steady", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("steady")


@pytest.fixture(autouse=True, scope="session")
def no_waiting_for_the_disk() -> Iterator[None]:
    """No test cuts the power: flushed or not, they read the same; a store is some 250 flushes, which workers share."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", os.fstat)
        yield


@pytest.fixture(autouse=True)
def databases_are_copied() -> Iterator[None]:
    """No test waits for Dagster to make its databases again."""
    with pytest.MonkeyPatch.context() as patch:
        use_ready_books(patch)
        yield


@pytest.fixture(autouse=True)
def plots_are_drawn_once(request: pytest.FixtureRequest) -> Iterator[None]:
    """A run plots for the UI what nobody looks at here: figures are made, and turned into pixels in tests/assets/ui."""
    with pytest.MonkeyPatch.context() as patch:
        if request.path.parent.name != "ui":
            use_one_picture(patch)
        yield


@pytest.fixture(autouse=True, scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the processes that run tests side by side make for each other."""
    base = tmp_path_factory.getbasetemp()
    Shelf.folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "shared"
    Shelf.folder.mkdir(exist_ok=True)
    return Shelf.folder


@pytest.fixture(scope="session")
def reference_data() -> Path:
    """The folder of real CLIP vectors and photographs; tests that need it skip when it is absent."""
    folder = Path(os.environ.get("TAC_REFERENCE_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no reference data at {folder} (set TAC_REFERENCE_DATA)")
    return folder


@pytest.fixture(autouse=True)
def no_copies_where_code_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test that has replaced code must see it run, and must leave no store that others would take for theirs."""
    Shelf.allowed = lambda: not (monkeypatch._setattr or monkeypatch._setitem)


@pytest.fixture(autouse=True)
def own_environment() -> Iterator[None]:
    """No test reads the settings or the Dagster instance of the user who runs it."""
    # Not the test's own `monkeypatch`, which tells what a test replaces.
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("TAC_SETTINGS", raising=False)
        patch.delenv("DAGSTER_HOME", raising=False)
        yield


# Tests that wait for crons, in parallel with the rest (see Makefile); then the files that take longest.
FIRST = (
    "test_automation_stopped.py",
    "test_automation.py",
    "test_docs_notebooks.py",
    "test_docs_blocks.py",
    "test_wheel.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes long begins first, so that no process is alone with it at the end."""
    items.sort(key=lambda item: FIRST.index(item.path.name) if item.path.name in FIRST else len(FIRST))


SettingsWriter = Callable[..., Path]


@pytest.fixture
def vector_store(tmp_path: Path) -> SettingsWriter:
    """Writes the settings of a small store of vectors, with dotted keys changed as asked, and returns their path."""
    vectors, truth = grouped_vectors()
    ids = [f"image-{number:03d}" for number in range(len(vectors))]
    write_vectors(tmp_path / "images.parquet", ids, vectors, [f"group {group}" for group in truth])
    write_nouns(tmp_path / "nouns.parquet")
    tree: dict[str, Any] = {
        "store": "small",
        "images": {"source": "images.parquet", "labels": "column"},
        "nouns": {"source": "nouns.parquet"},
        "clusters": {"count": GROUPS},
        "semantic_centers": {"images_per_center": 10},
        "neighbors": {"count": 5},
        "heads": {"epochs": 60, "batch_size": 30, "members": 2},
    }

    def write(changes: dict[str, Any] | None = None, *, name: str = "tac.yaml") -> Path:
        for key, value in (changes or {}).items():
            place = tree
            *sections, last = key.split(".")
            for section in sections:
                place = place.setdefault(section, {})
            place[last] = value
        with (tmp_path / name).open("w", encoding="utf-8") as file:
            YAML().dump(tree, file)
        return tmp_path / name

    return write


@pytest.fixture(scope="session")
def pictures(shared_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The settings of a small store of drawn pictures that was run and published; tests do not change it."""
    made = shared_folder / "pictures" / "tac.yaml"
    with FileLock(shared_folder / "pictures.lock"):
        if not made.exists():
            _run_pictures(made)
    return copied(made, tmp_path_factory.mktemp("pictures") / "store")


def _run_pictures(path: Path) -> None:
    from plain_runs import run_store

    from tac_pipeline.demo.picture_store import draw_store

    folder, settings = path.parent, path.with_name("new.yaml")
    draw_store(folder / "pictures", 120, size=96, workers=1)
    nouns = ["boat", "sailboat", "cat", "house", "apple", "airplane", "犬"]
    (folder / "nouns.txt").write_text("\n".join(nouns), encoding="utf-8")
    settings.write_text(PICTURE_SETTINGS, encoding="utf-8")
    run_store(settings)
    settings.rename(path)
