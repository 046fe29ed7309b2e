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
    # Each look at a name parses the file of metadata again.
    found = {str(each.name).lower(): each for each in distributions()}
    return [*_faiss_notes(found), *_shared_module_notes(name for name, each in found.items() if _has_own_module(each))]


def _has_own_module(found: Distribution) -> bool:
    """Whether a distribution installs the module; packages_distributions() takes 0.3 s, as it parses every path."""
    files = found.read_text("RECORD") or ""
    return OWN_MODULE in (found.read_text("top_level.txt") or "").split() or f"\n{OWN_MODULE}/" in f"\n{files}"


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
