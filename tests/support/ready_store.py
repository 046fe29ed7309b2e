"""A small store of vectors that was made already: once for each settings file, then copied, for tests of what follows.

Whoever replaces code for a test must see it run. So tests that ask for `monkeypatch` themselves get no copies, and make
none (conftest.py).
"""

import atexit
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from command_line import tac

from tac_pipeline.digest import digest, file_sha256

copies_are_allowed = True
_made: dict[str, tuple[Path, Any]] = {}


def ready(settings: Path) -> Path:
    """Bring a store to where `tac run` brings it, and return its settings' path."""

    def run() -> None:
        result = tac("run", "-s", settings)
        assert result.exit_code == 0, result.output

    made_once("run", settings, run)
    return settings


def made_once(how: str, settings: Path, make: Callable[[], Any]) -> Any:
    """What `make` returns: from a copy of the data folder that it left for equal settings and tables, if there is one.

    Nothing in a data folder of vectors knows where it is.
    """
    folder, data = settings.parent, settings.parent / "data"
    beside = sorted(path for path in folder.glob("*") if path.is_file())
    if not copies_are_allowed or not (folder / "images.parquet").is_file() or any(data.glob("*/*/current.json")):
        return make()
    key = digest([how, settings.name, *([path.name, file_sha256(path)] for path in beside)])
    if key in _made:
        kept, returned = _made[key]
        shutil.copytree(kept / "data", data, symlinks=True, dirs_exist_ok=True)
        return returned
    returned = make()
    kept = Path(tempfile.mkdtemp(prefix="ready-"))
    atexit.register(shutil.rmtree, kept, ignore_errors=True)
    shutil.copytree(data, kept / "data", symlinks=True)
    _made[key] = kept, returned
    return returned
