"""What is missing or hides a part of the project is told with the line that helps."""

import importlib.util
import sys
from pathlib import Path

import pytest

from tac_pipeline.errors import MissingDependency, TacError
from tac_pipeline.first_run.installed import package_notes, require_faiss, require_own_assets

find_spec = importlib.util.find_spec


def test_an_absent_faiss_is_refused_with_the_line_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    require_faiss()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "faiss" else find_spec(name))
    with pytest.raises(MissingDependency, match=r"pip install 'tac-pipeline\[cpu\]', or .*\[gpu\]' on a machine"):
        require_faiss()


def install(folder: Path, name: str, **files: str) -> None:
    """What pip leaves of a distribution beside its modules."""
    place = folder / f"{name.replace('-', '_')}-1.0.dist-info"
    place.mkdir(parents=True)
    for file, text in {"METADATA": f"Metadata-Version: 2.1\nName: {name}\n", **files}.items():
        (place / file.replace("_txt", ".txt")).write_text(text, encoding="utf-8")


def test_two_builds_of_faiss_and_another_owner_of_assets_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    install(tmp_path, "faiss-cpu", RECORD="faiss/__init__.py,,\n")
    install(tmp_path, "tac_pipeline", RECORD="assets/__init__.py,,\n")
    install(tmp_path, "numpy", RECORD="numpy/__init__.py,,\nnumpy/assets/__init__.py,,\n")
    assert package_notes() == []
    install(tmp_path, "faiss-gpu", top_level_txt="faiss\n")
    install(tmp_path, "my-game", RECORD="my_game/play.py,,\nassets/__init__.py,,\n")
    install(tmp_path, "old-game", top_level_txt="game\nassets\n")
    twice, shared = package_notes()
    assert "pip uninstall -y faiss-cpu faiss-gpu, then pip install 'tac-pipeline[cpu]'" in twice
    assert shared.startswith("my-game, old-game also installs a module named assets")


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
