"""Packages beside those that pip brings by itself: which are missing, which hide each other, and the line that helps.

Nothing here imports what it looks for.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from importlib.metadata import Distribution, distributions
from pathlib import Path

from tac_pipeline.errors import MissingDependency, TacError

OWN_MODULE = "assets"
FAISS_MODULE = "faiss"
OWN_DISTRIBUTION = "tac-pipeline"
FAISS_LINE = "pip install 'tac-pipeline[cpu]'"
GPU_LINE = "pip install 'tac-pipeline[gpu]'"


def require_faiss() -> None:
    """Refuse work that would end at the neighbors; raises MissingDependency with the line that installs faiss."""
    if importlib.util.find_spec("faiss") is None:
        raise MissingDependency(
            f"nearest neighbors need faiss, which is not installed: {FAISS_LINE}, or {GPU_LINE} on a machine with "
            "a GPU. Never both: they overwrite each other."
        )


def package_notes() -> list[str]:
    """What is installed wrongly or hides a part of this project, and does not stop the work; a sentence each."""
    owners: dict[str, set[str]] = {OWN_MODULE: set(), FAISS_MODULE: set()}
    for each in distributions():
        for module in _installs(each, owners):
            owners[module].add(str(each.name).lower())
    return [*_faiss_notes(owners[FAISS_MODULE]), *_shared_module_notes(owners[OWN_MODULE])]


def _installs(found: Distribution, modules: Iterable[str]) -> list[str]:
    """Which of some modules a distribution installs.

    Its name is not asked: that parses a file, which takes four times as long as to search the list of its files.
    """
    files = f"\n{found.read_text('RECORD') or ''}"
    listed = (found.read_text("top_level.txt") or "").split()
    return [module for module in modules if module in listed or f"\n{module}/" in files]


def _faiss_notes(names: Iterable[str]) -> list[str]:
    builds = sorted(name for name in names if name.startswith("faiss-"))
    if len(builds) < 2:
        return []
    return [
        f"faiss is installed {len(builds)} times ({', '.join(builds)}), and the builds overwrite each other: "
        f"pip uninstall -y {' '.join(builds)}, then {FAISS_LINE}, or {GPU_LINE}"
    ]


def _shared_module_notes(owners: Iterable[str]) -> list[str]:
    others = sorted(name for name in owners if name.replace("_", "-") != OWN_DISTRIBUTION)
    if not others:
        return []
    return [
        f"{', '.join(others)} also installs a module named {OWN_MODULE}, as {OWN_DISTRIBUTION} does, and one may "
        "overwrite files of the other: give each an environment of its own"
    ]


def require_own_assets() -> None:
    """Refuse to go on when another module on the path hides this project's own; raises TacError that names it."""
    own = Path(__file__).parents[2] / OWN_MODULE / "__init__.py"
    spec = importlib.util.find_spec(OWN_MODULE)
    found = None if spec is None else spec.origin or next(iter(spec.submodule_search_locations or ()), None)
    if found is not None and own.is_file() and Path(found).resolve() == own.resolve():
        return
    if found is None:
        raise TacError(f"{own.parent} must be there: it is a part of {OWN_DISTRIBUTION}. Install it again.")
    raise TacError(
        f"the module {OWN_MODULE} must be the one of {OWN_DISTRIBUTION}, {own.parent}; {found} comes before it on "
        "Python's path. Rename that one, or take its folder out of PYTHONPATH and start `tac` from another folder."
    )
