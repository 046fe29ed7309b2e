"""The command line: `tac demo`, `draw`, `run`, `status`, `search`, `assign`, `set`, `diff` and the others (README.md).

The only package of the library that imports assets, and only inside its functions. Exit codes: 0 all went well, 1 a
step or the settings failed, 2 the command was misused, 130 somebody pressed Ctrl-C, 143 SIGTERM.
"""

from __future__ import annotations

import gc
import sys
import warnings
from importlib import import_module
from typing import TYPE_CHECKING, Any, NoReturn

from tac_pipeline.cli.terminal import stopping

if TYPE_CHECKING:
    import typer

    app: typer.Typer

# Each adds its commands to the app, which shows them in this order.
COMMANDS = (
    "starting",
    "running",
    "looking",
    "finding",
    "serving",
    "opening",
    "exporting",
    "changing",
    "keeping",
    "experimenting",
)
# Importing makes hundreds of thousands of objects that stay, and each look for garbage walks over them all.
GC_THRESHOLD = 50_000


def __getattr__(name: str) -> object:
    # Not at the top: Ctrl-C is looked for before anything that takes time is imported.
    if name == "app":
        for module in COMMANDS:
            import_module(f"tac_pipeline.cli.{module}")
        from tac_pipeline.cli.shared import app

        return app
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def main() -> NoReturn:
    """Entry point of the console script; ends the process."""
    gc.set_threshold(GC_THRESHOLD)
    stopping.watch()
    code = 0
    try:
        _show_our_warnings_plainly()
        __getattr__("app")()  # type: ignore[operator]
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except KeyboardInterrupt:
        print("\rstopped" if sys.stderr.isatty() else "stopped", file=sys.stderr)  # noqa: T201 - the console that usually says so may not be there yet
        code = stopping.exit_code()
    stopping.leave(code)


def _show_our_warnings_plainly() -> None:
    """Show this project's warnings, which are for users, without a line of source code."""
    from tac_pipeline.errors import TacWarning

    shown = warnings.showwarning

    def show(message: Warning | str, category: type[Warning], *place: Any, **rest: Any) -> None:
        if issubclass(category, TacWarning):
            from rich.markup import escape

            from tac_pipeline.cli.shared import error_printer

            error_printer().print(f"[yellow]warning:[/] {escape(str(message))}")
        else:
            shown(message, category, *place, **rest)

    warnings.showwarning = show
