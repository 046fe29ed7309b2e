"""What a long command shows: finished steps line by line, and below them one line that lives.

In a pipe, a file, CI or a notebook nothing lives: a line when a step ends, when it takes long, and now and then while
it does. No escape codes are printed there.
"""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from tac_pipeline.cli.terminal import stopping
from tac_pipeline.progress import Pace, duration, watching

if TYPE_CHECKING:
    from contextlib import ExitStack
    from types import TracebackType

# A step that takes longer says that it has begun; most do not, and need one line only.
PATIENCE_SECONDS = 3.0
FRAMES_PER_SECOND = 8
# To the line's start, the line away, the cursor back.
RESTORE = "\r\x1b[2K\x1b[?25h"
# Set where a notebook's cell runs the command: it shows a terminal's codes as endless lines.
NOTEBOOKS = ("JPY_PARENT_PID", "COLAB_RELEASE_TAG", "DATABRICKS_RUNTIME_VERSION")
NAME_WIDTH = 22
FREE_COLUMNS = 4


def can_redraw(console: Console) -> bool:
    """Whether lines that were printed can be printed over: only in a real terminal."""
    notebook = console.is_jupyter or any(name in os.environ for name in NOTEBOOKS)
    return console.is_terminal and not console.is_dumb_terminal and not notebook


class Display:
    """Shows the work that is going on; a context in which steps begin, say something, and end.

    Parameters
    ----------
    console : Console
    steps : int
        How many there will be, if that is known.
    """

    def __init__(self, console: Console, *, steps: int = 0, patience: float = PATIENCE_SECONDS) -> None:
        self.console, self._steps, self._patience = console, steps, patience
        self._name, self._number = "", 0
        self._message = Text()
        self._began = time.monotonic()
        self._spinner = Spinner("dots")
        self._live: Live | None = None
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None
        self._contexts: ExitStack | None = None

    def __enter__(self) -> Display:
        from contextlib import ExitStack

        self._contexts = ExitStack()
        self._contexts.enter_context(watching(self.measure))
        if can_redraw(self.console):
            stopping.before_a_sudden_end(lambda: print(RESTORE, end="", file=self.console.file, flush=True))
            self._live = Live(
                get_renderable=self._line,
                console=self.console,
                refresh_per_second=FRAMES_PER_SECOND,
                transient=True,
                redirect_stdout=True,
                redirect_stderr=True,
            )
            self._contexts.enter_context(self._live)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._settle()
        if self._contexts is not None:
            self._contexts.__exit__(kind, error, at)

    def begin(self, name: str) -> None:
        """Something begins, and what came before it is over."""
        self._settle()
        self._name, self._message, self._began = name, Text(), time.monotonic()
        self._number += 1
        if self._live is None and name:
            self._timer = threading.Timer(self._patience, self._say_begun)
            self._timer.daemon = True
            self._timer.start()

    def say(self, text: str) -> None:
        """What the step logs."""
        self._message = Text(text)
        if self._live is None:
            self._say_begun()
            self._print(f"    {escape(text)}")

    def measure(self, pace: Pace) -> None:
        """How far a loop of the step is, told several times a second."""
        left = "" if pace.left is None else f"about {duration(pace.left)} left  "
        self._message = Text.assemble(f"{pace.done / max(pace.total, 1):4.0%}  {left}", (pace.counted, "dim"))

    def end(self, line: str, *, whole: bool = False) -> None:
        """The step is over; the line tells what came of it. In a narrow window it is cut, unless all must be read."""
        self._settle()
        self._name, self._message = "", Text()
        self._print(line, whole=whole)

    def _print(self, line: str, *, whole: bool = False) -> None:
        # A table whose lines are broken is hard to read, but a file keeps them whole.
        if whole:
            self.console.print(line, soft_wrap=self._live is None)
        elif self._live is not None:
            self.console.print(line, no_wrap=True, overflow="ellipsis", crop=True)
        else:
            self.console.print(line, soft_wrap=True)

    def _say_begun(self) -> None:
        if self._settle():
            self._print(f"  began     {self._name}")

    def _settle(self) -> bool:
        """Say no more that the step has begun; whether that was still to be said."""
        with self._lock:
            timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
        return timer is not None

    def _line(self) -> Table:
        """The line that lives: spinner, how many steps, name, seconds, what it says; cut at the window's edge."""
        # Some columns stay free: the ^C that a terminal shows would break a full line in two.
        row = Table.grid(padding=(0, 1))
        row.width = max(self.console.width - FREE_COLUMNS, 20)
        row.add_column(no_wrap=True)
        row.add_column(no_wrap=True, overflow="ellipsis")
        if stopping.asked():
            row.add_row(self._spinner, Text("stopping; Ctrl-C once more ends at once", style="yellow"))
            return row
        count = f"{self._number}/{self._steps} " if self._steps and self._name else ""
        seconds = time.monotonic() - self._began
        shown = Text.assemble((count, "dim"), f"{self._name:<{NAME_WIDTH}}" if self._name else "", "  ")
        if self._name and seconds >= 1:
            shown.append(f"{duration(round(seconds)):>6}  ", "dim")
        shown.append_text(self._message)
        row.add_row(self._spinner, shown)
        return row
