"""What is missing or hides a part of the project is told with the line that helps."""

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest

from tac_pipeline.errors import MissingDependency, TacError
from tac_pipeline.first_run import installed
from tac_pipeline.first_run.installed import package_notes, require_faiss, require_own_assets

find_spec = importlib.util.find_spec


def test_an_absent_faiss_is_refused_with_the_line_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    require_faiss()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "faiss" else find_spec(name))
    with pytest.raises(MissingDependency, match=r"pip install 'tac-pipeline\[cpu\]', or .*\[gpu\]' on a machine"):
        require_faiss()


def distribution(name: str) -> Any:
    return type("Distribution", (), {"metadata": {"Name": name}})()


def test_two_builds_of_faiss_and_another_owner_of_assets_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installed, "packages_distributions", lambda: {"assets": ["tac_pipeline"]})
    monkeypatch.setattr(installed, "distributions", lambda: [distribution("faiss-cpu"), distribution("numpy")])
    assert package_notes() == []
    monkeypatch.setattr(installed, "distributions", lambda: [distribution("faiss-cpu"), distribution("faiss-gpu")])
    monkeypatch.setattr(installed, "packages_distributions", lambda: {"assets": ["tac-pipeline", "my-game"]})
    twice, shared = package_notes()
    assert "pip uninstall -y faiss-cpu faiss-gpu, then pip install 'tac-pipeline[cpu]'" in twice
    assert shared.startswith("my-game also installs a module named assets")


@pytest.mark.parametrize("form", ["assets/__init__.py", "assets.py", "assets/notes.txt"])
def test_another_module_named_assets_is_named(form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require_own_assets()
    (tmp_path / form).parent.mkdir(exist_ok=True)
    (tmp_path / form).write_text("")
    for name in [name for name in sys.modules if name == "assets" or name.startswith("assets.")]:
        monkeypatch.delitem(sys.modules, name)
    # A folder without __init__.py comes after every module of that name, and hides nothing.
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    importlib.invalidate_caches()
    if form.endswith(".txt"):
        require_own_assets()
        return
    with pytest.raises(TacError, match=rf"{tmp_path}.* comes before it on Python's path"):
        require_own_assets()
