"""What commands that only look import: each heavy package costs somebody who types `tac status` a second."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from command_line import tac
from small_store import REPOSITORY

HEAVY = ("dagster", "torch", "torchvision", "open_clip", "matplotlib", "sklearn", "scipy", "faiss", "fsspec", "jinja2")
TABLES = ("polars", "pyarrow", "numpy")
# Each command in turn, in one process: what the one before imported would be seen too, so the lightest comes first.
CODE = f"""
import contextlib, io, json, sys
from tac_pipeline.cli import app
found = {{}}
for command in json.loads(sys.argv[1]):
    with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
        app(command)
    found[command[0]] = [name for name in {(*TABLES, "pydantic", *HEAVY)} if name in sys.modules]
print(json.dumps(found))
"""


def test_commands_that_look_import_nothing_heavy(vector_store: Callable[..., Path]) -> None:
    path = vector_store()
    assert tac("run", "-s", path, "--select", "image_manifest").exit_code == 0
    commands = [["--help"], ["path", "image_manifest", "-s", str(path)], ["status", "-s", str(path)]]
    shown = subprocess.run(
        [sys.executable, "-c", CODE, json.dumps(commands)], capture_output=True, text=True, check=True, cwd=REPOSITORY
    )
    assert json.loads(shown.stdout) == {"--help": [], "path": ["pydantic"], "status": [*TABLES, "pydantic"]}
