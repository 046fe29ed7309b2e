"""The command line: `tac demo`, `draw`, `run`, `status`, `search`, `assign`, `set`, `diff` and the others (README.md).

The only package of the library that imports assets, and only inside its functions. Exit codes: 0 all went well, 1 a
step or the settings failed, 2 the command was misused.
"""

from __future__ import annotations

import warnings
from typing import Any

from rich.markup import escape

from tac_pipeline.cli import (  # noqa: F401 - each adds its commands to the app
    changing,
    exporting,
    finding,
    looking,
    reporting,
    running,
    serving,
    starting,
)
from tac_pipeline.cli.shared import app, error_printer
from tac_pipeline.errors import TacWarning


def main() -> None:
    """Entry point of the console script."""
    shown = warnings.showwarning

    def show(message: Warning | str, category: type[Warning], *place: Any, **rest: Any) -> None:
        if issubclass(category, TacWarning):
            error_printer().print(f"[yellow]warning:[/] {escape(str(message))}")
        else:
            shown(message, category, *place, **rest)

    # This project's warnings are for users, so they are shown without a line of source code.
    warnings.showwarning = show
    app()
