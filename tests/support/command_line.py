"""Runs `tac` in this process, for tests of the command line."""

import re
from pathlib import Path

from typer.testing import CliRunner, Result

from assets.graph import STEPS, descendants, find
from tac_pipeline.cli import app

ALL = len(STEPS)


def below(name: str) -> set[str]:
    """An asset and everything that hangs on it."""
    return {step.name for step in descendants([find(name)])}


def tac(*arguments: str | Path) -> Result:
    """What a command prints, and how it ends; lines are broken at 200 columns."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "200"})


def done(result: Result, word: str) -> set[str]:
    """The steps that a run's lines call computed, or reused."""
    return set(re.findall(rf"^  {word} +(\w+)", result.stdout, flags=re.MULTILINE))


def told(result: Result) -> str:
    """What a command refuses, on one line."""
    assert "Traceback" not in result.output, result.output
    return " ".join(result.stderr.replace("│", " ").split())
