"""The notebooks of docs/notebooks/: run, written with what their cells show, and turned into pages of the site.

`python -m scripts.notebooks` (or `make docs`) runs each in a folder of its own and writes what it shows. Cells are
plain Python, or lines of a shell behind `!`; so neither Jupyter nor a kernel is needed to run them, and people open
them in Jupyter as they are.
"""

from __future__ import annotations

import ast
import base64
import contextlib
import io
import json
import re
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[1] / "docs" / "notebooks"
# Pictures are for looking at on a page, and they are kept in the repository.
PICTURE_WIDTH, QUALITY = 720, 60
# Lines of what is printed; of more, the last are kept. And characters of a table in HTML.
MOST_LINES, LAST_LINES, MOST_HTML = 24, 14, 20_000
# What stands for the folder that a notebook was run in.
HOME = "/home/me"


def read_notebook(path: Path) -> dict[str, Any]:
    """A notebook as JSON, in version 4 of the format."""
    notebook: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return notebook


def run_notebook(notebook: dict[str, Any], type_line: Callable[[str], str]) -> dict[str, Any]:
    """The notebook with what its cells show when they run in this folder; a cell that fails raises.

    Parameters
    ----------
    notebook : dict
    type_line : callable
        Runs a line of a shell, and returns what it prints.
    """
    names: dict[str, Any] = {"__name__": "__main__"}
    cells = [dict(cell) for cell in notebook["cells"]]
    for number, cell in enumerate((cell for cell in cells if cell["cell_type"] == "code"), start=1):
        cell["outputs"] = _run_cell("".join(cell["source"]), names, type_line, number)
        cell["execution_count"] = number
    return notebook | {"cells": cells}


def _run_cell(source: str, names: dict[str, Any], type_line: Callable[[str], str], number: int) -> list[dict[str, Any]]:
    printed, shown = io.StringIO(), None
    if source.startswith("!"):
        printed.write("".join(type_line(line.removeprefix("!")) for line in source.splitlines()))
    else:
        tree = ast.parse(source, f"cell {number}")
        last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
        with contextlib.redirect_stdout(printed):
            exec(compile(tree, f"cell {number}", "exec"), names)
            if isinstance(last, ast.Expr):
                shown = eval(compile(ast.Expression(last.value), f"cell {number}", "eval"), names)  # noqa: S307
    outputs: list[dict[str, Any]] = []
    if printed.getvalue():
        lines = [f"{line.rstrip()}\n" for line in printed.getvalue().replace(str(Path.cwd()), HOME).splitlines()]
        lines = lines if len(lines) <= MOST_LINES else ["...\n", *lines[-LAST_LINES:]]
        outputs.append({"name": "stdout", "output_type": "stream", "text": lines})
    if shown is not None:
        data = _data(shown)
        outputs.append({"data": data, "execution_count": number, "metadata": {}, "output_type": "execute_result"})
    return outputs


def _data(shown: Any) -> dict[str, Any]:
    """What Jupyter would show of a value: a picture, a table, or its text."""
    if hasattr(shown, "_repr_png_"):
        from PIL.Image import Image

        assert isinstance(shown, Image)
        picture, buffer = shown.convert("RGB"), io.BytesIO()
        picture.thumbnail((PICTURE_WIDTH, PICTURE_WIDTH * 2))
        picture.save(buffer, "JPEG", quality=QUALITY)
        return {"image/jpeg": base64.b64encode(buffer.getvalue()).decode(), "text/plain": ["a picture"]}
    text = {"text/plain": repr(shown).splitlines(keepends=True)}
    html = shown._repr_html_() if hasattr(shown, "_repr_html_") else None
    return {"text/html": html.splitlines(keepends=True), **text} if html and len(html) < MOST_HTML else text


def texts(notebook: dict[str, Any]) -> list[list[str]]:
    """The lines that each code cell shows as text."""
    found = []
    for cell in (cell for cell in notebook["cells"] if cell["cell_type"] == "code"):
        parts = [one.get("text") or one["data"]["text/plain"] for one in cell["outputs"]]
        found.append([line.rstrip("\n") for part in parts for line in part])
    return found


def as_markdown(notebook: dict[str, Any]) -> str:
    """A page of the site: the text, the code, and what it shows."""
    return "\n".join(map(_cell_markdown, notebook["cells"]))


def _cell_markdown(cell: dict[str, Any]) -> str:
    source = "".join(cell["source"])
    if cell["cell_type"] == "markdown":
        return f"{source}\n"
    if source.startswith("!"):
        shown = re.sub("^!", "$ ", source, flags=re.MULTILINE)
        return _fenced("console", shown) + "".join(map(_output_markdown, cell["outputs"]))
    return _fenced("python", source) + "".join(map(_output_markdown, cell["outputs"]))


def _output_markdown(output: dict[str, Any]) -> str:
    data = output.get("data", {})
    if "image/jpeg" in data:
        return f'<img alt="what the cell shows" src="data:image/jpeg;base64,{data["image/jpeg"]}">\n\n'
    if "text/html" in data:
        # Markdown ends a block of HTML at an empty line.
        return re.sub(r"\n\s*\n", "\n", "".join(data["text/html"])) + "\n\n"
    return _fenced("text", "".join(output.get("text") or data["text/plain"]))


def _fenced(language: str, text: str) -> str:
    return f"```{language}\n{text.rstrip()}\n```\n\n"


def _in_shell(line: str) -> str:
    return subprocess.run(line, shell=True, check=True, capture_output=True, text=True).stdout


def write_notebook(path: Path) -> None:
    """Run a notebook in a folder of its own, and keep what it shows."""
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        run = run_notebook(read_notebook(path), _in_shell)
    path.write_text(json.dumps(run, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    for path in sorted(FOLDER.glob("*.ipynb")):
        write_notebook(path)
        print(path)
