"""Imports point one way: the rooms, from the ground up, and every import of one by another.

An import inside a function counts like one at the top. The tests parse the source with ast and do not run it.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from small_store import REPOSITORY

# From the ground up. A room may import from rooms above it in this list; rooms of one line do not import each other.
LAYERS = (
    ("tac_pipeline.errors",),
    (
        "tac_pipeline.digest",
        "tac_pipeline.figures",
        "tac_pipeline.files",
        "tac_pipeline.progress",
        "tac_pipeline.arrays",
        "tac_pipeline.tensors",
        "tac_pipeline.version",
    ),
    ("tac_pipeline.arrow", "tac_pipeline.failures"),
    ("tac_pipeline.method.values",),
    ("tac_pipeline.method.grouping.lloyd",),
    ("tac_pipeline.method.grouping", "tac_pipeline.method.clusters"),
    ("tac_pipeline.method.words",),
    ("tac_pipeline.method.heads",),
    ("tac_pipeline.method",),
    ("tac_pipeline.settings",),
    ("tac_pipeline.wordnet", "tac_pipeline.alerts"),
    ("tac_pipeline.sources", "tac_pipeline.demo"),
    ("tac_pipeline.encoders", "tac_pipeline.nouns"),
    ("tac_pipeline.store",),
    ("tac_pipeline.store.keeping",),
    ("tac_pipeline.embedding",),
    ("tac_pipeline.compute",),
    ("tac_pipeline.results", "tac_pipeline.first_run"),
    ("tac_pipeline.report", "tac_pipeline.export"),
    ("tac_pipeline.estimator",),
    ("tac_pipeline.experiments",),
    ("tac_pipeline",),
    ("assets.engine", "assets.ui"),
    ("assets",),
    ("assets.lookups",),
    ("assets.orchestration",),
    ("assets.workbench",),
    ("assets.serving", "assets.stores"),
    ("tac_pipeline.cli",),
)
LEVEL = {room: level for level, rooms in enumerate(LAYERS) for room in rooms}
MAX_FILES = 12


def room_of(module: str) -> str:
    """The longest room name that the module's name begins with."""
    parts = module.split(".")
    names = (".".join(parts[:count]) for count in range(len(parts), 0, -1))
    return next(name for name in names if name in LEVEL)


def modules(root: Path) -> Iterator[tuple[str, Path]]:
    """Every module of both packages and its file."""
    for package in ("tac_pipeline", "assets"):
        for path in sorted((root / package).rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


def imports(path: Path, known: set[str]) -> Iterator[tuple[int, str]]:
    """Line and module of everything of ours that a file imports."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                imported = inner if inner in known else node.module
                if imported in known:
                    yield node.lineno, imported


def upward_imports(root: Path) -> list[str]:
    """Every line that imports from a room that is not below its own, as `file:line imports module`."""
    known = {module for module, _ in modules(root)}
    found = []
    for module, path in modules(root):
        own = room_of(module)
        for line, imported in imports(path, known):
            other = room_of(imported)
            if other != own and LEVEL[other] >= LEVEL[own]:
                found.append(f"{path.relative_to(root)}:{line} imports {imported}, which is not below {own}")
    return found


def circles(root: Path) -> list[str]:
    """Modules that import each other, at the top of the file or inside functions, along any way."""
    known = {module for module, _ in modules(root)}
    edges = {module: {name for _, name in imports(path, known) if name != module} for module, path in modules(root)}
    state: dict[str, int] = {}
    found: list[str] = []

    def visit(module: str, way: tuple[str, ...]) -> None:
        state[module] = 1
        for other in sorted(edges[module]):
            if state.get(other) == 1:
                found.append(" -> ".join((*way[way.index(other) :], other)))
            elif other not in state:
                visit(other, (*way, other))
        state[module] = 2

    for module in edges:
        if module not in state:
            visit(module, (module,))
    return found


def test_no_import_goes_up() -> None:
    assert upward_imports(REPOSITORY) == []


def test_no_modules_import_each_other() -> None:
    assert circles(REPOSITORY) == []


@pytest.mark.parametrize("package", ["tac_pipeline", "assets"])
def test_a_package_has_few_files_of_its_own(package: str) -> None:
    assert len(list((REPOSITORY / package).glob("*.py"))) <= MAX_FILES


def test_every_room_says_what_belongs_in_it() -> None:
    silent = [
        str(path.relative_to(REPOSITORY))
        for module, path in modules(REPOSITORY)
        if path.name == "__init__.py" and not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert silent == []


def test_an_upward_import_and_a_circle_would_be_found(tmp_path: Path) -> None:
    for name in ("tac_pipeline/method/grouping", "tac_pipeline/store"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "tac_pipeline/store/shards.py").write_text("from tac_pipeline.method.grouping import blend\n")
    (tmp_path / "tac_pipeline/method/grouping/blend.py").write_text(
        "def f():\n    from tac_pipeline.store.shards import read\n"
    )
    assert upward_imports(tmp_path) == [
        "tac_pipeline/method/grouping/blend.py:2 imports tac_pipeline.store.shards, "
        "which is not below tac_pipeline.method.grouping"
    ]
    assert circles(tmp_path) == [
        "tac_pipeline.method.grouping.blend -> tac_pipeline.store.shards -> tac_pipeline.method.grouping.blend"
    ]
