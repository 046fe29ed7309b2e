"""What a long command shows: on a terminal, in a narrow one, in a pipe and in a notebook."""

import io
import re

import polars as pl
import pytest
from rich.console import Console

from tac_pipeline.cli.shared import print_clusters
from tac_pipeline.cli.terminal import stopping
from tac_pipeline.cli.terminal.display import Display, can_redraw
from tac_pipeline.progress import Pace

ESCAPE = "\x1b"


def terminal(width: int = 80) -> Console:
    return Console(file=io.StringIO(), force_terminal=True, width=width, height=24, highlight=False, _environ={})


def pipe() -> Console:
    return Console(file=io.StringIO(), width=80, highlight=False, _environ={})


def printed(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.fixture(autouse=True)
def no_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JPY_PARENT_PID", raising=False)


def rendered(display: Display, console: Console) -> str:
    """The line that lives, without colors, as it would be drawn now."""
    with console.capture() as captured:
        console.print(display._line())
    return re.sub(r"\x1b\[[\d;]*m", "", captured.get())


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_the_line_that_lives_is_one_line_of_any_window(width: int) -> None:
    console = terminal(width)
    display = Display(console, steps=27)
    display.begin("noun_embeddings")
    display.measure(Pace("nouns", 12_288, 117_377, 1_050.0))
    [line] = rendered(display, console).splitlines()
    assert len(line) < width
    assert "1/27 noun_embeddings" in line
    assert width < 60 or "10%  about 2 min left" in line
    assert width < 80 or "12,288 of" in line


def test_a_text_with_brackets_is_shown_as_it_is() -> None:
    console = terminal()
    display = Display(console)
    display.begin("image_embeddings")
    display.say("[red]a[/] folder/[b].jpg")
    assert "[red]a[/] folder/[b].jpg" in rendered(display, console)


def test_who_presses_ctrl_c_is_told_that_it_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    console = terminal()
    display = Display(console)
    monkeypatch.setattr(stopping, "asked", lambda: True)
    assert "stopping; Ctrl-C once more ends at once" in rendered(display, console)


def test_a_pipe_gets_plain_lines_and_quick_steps_one_each() -> None:
    console = pipe()
    with Display(console, steps=2, patience=60) as display:
        display.begin("quick")
        display.end("  computed  quick")
        display.begin("slow")
        display.say("64 of 117,377 nouns")
        display.measure(Pace("nouns", 64, 117_377, None))
        display.end("  computed  slow")
    assert printed(console).splitlines() == [
        "  computed  quick",
        "  began     slow",
        "    64 of 117,377 nouns",
        "  computed  slow",
    ]


def test_a_step_that_takes_long_in_a_pipe_says_that_it_began() -> None:
    console = pipe()
    with Display(console, patience=0.0) as display:
        display.begin("slow")
        assert display._timer is None or display._timer.join(5) is None
        display.end("  computed  slow")
    assert printed(console).splitlines() == ["  began     slow", "  computed  slow"]


def test_a_terminal_is_left_with_the_finished_lines_alone() -> None:
    console = terminal()
    with Display(console, steps=1) as display:
        display.begin("image_embeddings")
        display.end("  computed  image_embeddings")
    text = printed(console)
    assert text.count("computed  image_embeddings") == 1
    # The cursor is back, and the line that lived is gone.
    assert f"{ESCAPE}[?25h" in text
    assert text.endswith(f"{ESCAPE}[2K")


def test_a_notebook_a_dumb_terminal_and_a_pipe_are_not_redrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    assert can_redraw(terminal())
    assert not can_redraw(pipe())
    assert not can_redraw(Console(file=io.StringIO(), force_terminal=True, _environ={"TERM": "dumb"}))
    monkeypatch.setenv("JPY_PARENT_PID", "1")
    assert not can_redraw(terminal())


@pytest.mark.parametrize("width", [50, 60, 80])
def test_a_group_is_one_line_of_a_window_with_its_size(width: int) -> None:
    found = pl.DataFrame(
        {
            "cluster_id": [3, 12],
            "name": ["unnamed 39 (near: ciliary body, counterpoise, [stone] face)", None],
            "size": [123_456, 7],
            "share": [0.9, 0.1],
            "alternatives": [["storm cloud", "cloud nine", "cloud cover", "dust cloud"], []],
        }
    )
    console = terminal(width)
    print_clusters(console, found)
    lines = re.sub(r"\x1b\[[\d;]*m", "", printed(console)).splitlines()
    assert len(lines) == 3
    assert "123,456" in lines[1] and "90.0%" in lines[1]
    plain_lines = pipe()
    print_clusters(plain_lines, found, most=1)
    assert "[stone] face)" in printed(plain_lines) and "dust cloud" in printed(plain_lines)
    assert "... and 1 more, with 7 images: `tac clusters`" in printed(plain_lines)
