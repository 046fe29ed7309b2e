"""The notebooks run from the first cell to the last, and show what they say that they show, but for figures."""

import json
import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command_line import tac
from doc_blocks import missing_lines

from scripts.notebooks import FOLDER, HOME, as_markdown, read_notebook, run_notebook, texts
from tac_pipeline.demo.picture_store import draw_store

NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
MOST_BYTES = 150_000


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What each notebook draws, drawn once; it then finds its pictures there."""
    folder = tmp_path_factory.mktemp("notebooks") / "drawn"
    draw_store(folder, 360, size=96, workers=1)
    return folder


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Runs a notebook in a folder of its own; `!tac` in this process."""
    monkeypatch.chdir(tmp_path)

    def type_line(line: str) -> str:
        program, *words = shlex.split(line)
        assert program == "tac", f"`{line}` runs in no test"
        result = tac(*words)
        assert result.exit_code == 0, result.output
        return result.stdout

    return lambda notebook: run_notebook(notebook, type_line)


def not_shown(notebook: dict[str, Any], run: dict[str, Any], folder: Path) -> list[str]:
    """The lines that the notebook has and its cells no longer show, in any order: another processor rounds otherwise.

    Rules of tables are as wide as their figures, and are left out.
    """
    places = {HOME: re.escape(str(folder)), "AMD EPYC": ".+"}
    found = []
    for kept, shown in zip(texts(notebook), texts(run), strict=True):
        lines = [line for line in kept if re.search(r"\w", line)]
        printed = "\n".join(shown).replace(HOME, str(folder))
        found += [line for line in lines if missing_lines([line], printed, places)]
    return found


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_shows_what_it_says(
    path: Path, tmp_path: Path, drawn: Path, run: Callable[[dict[str, Any]], dict[str, Any]]
) -> None:
    shutil.copytree(drawn, tmp_path / "drawn")
    notebook = read_notebook(path)
    assert not_shown(notebook, run(notebook), tmp_path) == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_whole_and_small(path: Path) -> None:
    notebook = read_notebook(path)
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    assert len({cell["id"] for cell in notebook["cells"]}) == len(notebook["cells"])
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1)), "run it again: make docs"
    assert path.stat().st_size <= MOST_BYTES
    assert path.read_text(encoding="utf-8") == json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"


def notebook_of(*sources: str) -> dict[str, Any]:
    return {"cells": [{"cell_type": "code", "source": [source], "outputs": []} for source in sources]}


def test_what_a_cell_shows(run: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    ran = run(notebook_of("x = 2", "print(x)\nx + 1", "[x] * 2\nNone", "import polars\npolars.DataFrame({'a': [x]})"))
    assert texts(ran)[:3] == [[], ["2", "3"], []]
    assert "<table" in "".join(ran["cells"][3]["outputs"][0]["data"]["text/html"])
    page = as_markdown(ran)
    assert "```python\nprint(x)\nx + 1\n```" in page and "```text\n3\n```" in page and "<table" in page


@pytest.mark.parametrize(
    ("source", "error"),
    [("1 / 0", ZeroDivisionError), ("!rm -rf x", AssertionError), ("!tac clusters", AssertionError)],
)
def test_a_cell_that_fails_is_found(source: str, error: type, run: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    with pytest.raises(error):
        run(notebook_of("1", source))


def test_a_change_of_what_is_shown_is_found(tmp_path: Path, run: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    kept = run(notebook_of("print('5 groups of cats')"))
    assert not_shown(kept, run(notebook_of("print('7 groups of cats')")), tmp_path) == []
    assert not_shown(kept, run(notebook_of("print('5 groups of dogs')")), tmp_path) == ["5 groups of cats"]
