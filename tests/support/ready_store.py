"""Small stores that were made already: once for each settings file, then copied, for tests of what follows.

Whoever replaces code for a test must see it run, and must leave no store that others would take for theirs. So there
are no copies once a test has replaced something (conftest.py).
"""

import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from filelock import FileLock
from plain_runs import run_store

from tac_pipeline.digest import digest, file_sha256


class Shelf:
    """Where ready stores are, for all processes that run tests, and whether they are to be used now."""

    folder: Path
    allowed: Callable[[], bool] = lambda: True


def ready(settings: Path) -> Path:
    """Bring a store to where `tac run` brings it, but for Dagster's history, and return its settings' path."""
    made_once("run", settings, lambda: run_store(settings))
    return settings


def made_once(how: str, settings: Path, make: Callable[[], Any]) -> Any:
    """What `make` returns: from a copy of the data folder that it left for equal settings and tables, if there is one.

    Nothing in a data folder of vectors knows where it is.
    """
    folder, data = settings.parent, settings.parent / "data"
    beside = sorted(path for path in folder.glob("*") if path.is_file())
    if not Shelf.allowed() or not (folder / "images.parquet").is_file() or any(data.glob("*/*/current.json")):
        return make()
    kept = Shelf.folder / digest([how, settings.name, *([path.name, file_sha256(path)] for path in beside)])
    returned = kept / "returned"
    with FileLock(f"{kept}.lock"):
        if not returned.is_file():
            made = make()
            shutil.copytree(data, kept / "data", symlinks=True)
            returned.write_bytes(pickle.dumps(made))
            return made
    shutil.copytree(kept / "data", data, symlinks=True, dirs_exist_ok=True)
    return pickle.loads(returned.read_bytes())  # noqa: S301 - written above
