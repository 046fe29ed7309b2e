"""What the documentation says of the repository: its paths, links and rooms are there, and its pages are current."""

import re
import tomllib
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from small_store import REPOSITORY

from assets.graph import STEPS
from assets.orchestration.publishing import PUBLISHED
from scripts import notebooks, site_pages, write_commands_page, write_settings_page
from tac_pipeline.cli import app
from tac_pipeline.settings.keys import settings_keys

PAGES = [REPOSITORY / f"{name}.md" for name in ("README", "ARCHITECTURE", "CONTRIBUTING", "CHANGELOG")]
PAGES += sorted((REPOSITORY / "docs").rglob("*.md"))
README_WORDS = 1_200
# Folders that a run makes: a path below them is one on the reader's disk.
MADE = ("data", ".venv")
PATH = re.compile(r"[\w.-]+(/[\w.-]+)*/?")
FILE_SUFFIXES = (".py", ".md", ".toml", ".cff", ".js", ".css")
LINK = re.compile(r"\]\(([^)#]+)\)")


def page_name(page: Path) -> str:
    return page.relative_to(REPOSITORY).as_posix()


def named_paths(text: str) -> Iterator[str]:
    """Paths of the repository in backticks: what holds a slash, or ends like one of its files."""
    for code in re.findall(r"`([^`\n]+)`", without_blocks(text)):
        path = PATH.fullmatch(code)
        if path and ("/" in code or code.endswith(FILE_SUFFIXES)) and code.split("/")[0] not in MADE:
            yield code


def without_blocks(text: str) -> str:
    """The text without its fenced blocks, which show what a reader types or gets."""
    return re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)


def drawn_edges(text: str) -> set[tuple[str, str]]:
    """The arrows of the page's mermaid graph, as (asset, asset that reads it)."""
    block = re.search(r"^```mermaid$(.*?)^```$", text, flags=re.DOTALL | re.MULTILINE)
    assert block
    edges: set[tuple[str, str]] = set()
    for line in block[1].splitlines():
        ends = [re.findall(r"(\w+)(?:\(\[\w+\]\))?", end) for end in re.split(r"-->|-\.->", line)]
        for above, below in pairwise(ends):
            edges |= {(one, other) for one in above for other in below}
    return edges


def real_edges() -> set[tuple[str, str]]:
    """The graph's arrows, with the source above the manifest and what readers have below the results."""
    edges = {(above.name, step.name) for step in STEPS for above in (*step.upstream, *step.optional)}
    edges |= {(step.observes, step.name) for step in STEPS if step.observes}
    return edges | {(name, PUBLISHED) for name in ("corrections", "assignments", "clusters", "cluster_ids")}


def reachable(edges: set[tuple[str, str]], start: str) -> set[str]:
    """Every asset below one, along any way."""
    below = {other for one, other in edges if one == start}
    return below.union(*(reachable(edges, other) for other in below))


# Decisions name the files of their time.
@pytest.mark.parametrize("page", [page for page in PAGES if "decisions" not in page.parts], ids=page_name)
def test_every_path_is_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert [path for path in named_paths(text) if not (REPOSITORY / path).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_every_link_leads_somewhere(page: Path) -> None:
    links = LINK.findall(without_blocks(page.read_text(encoding="utf-8")))
    assert [link for link in links if "://" not in link and not (page.parent / link).exists()] == []


def test_a_wrong_path_would_be_found() -> None:
    text = "`tac_pipeline/gone.py`, `gone/`, `gone.py`, `data/demo/x`, `tac run`, `N / K`\n```\n`also/gone.py`\n```\n"
    assert list(named_paths(text)) == ["tac_pipeline/gone.py", "gone/", "gone.py"]


def test_the_architecture_names_every_room() -> None:
    text = (REPOSITORY / "ARCHITECTURE.md").read_text(encoding="utf-8")
    rooms = [
        path.parent.relative_to(REPOSITORY).as_posix() + "/"
        for package in ("tac_pipeline", "assets")
        for path in sorted((REPOSITORY / package).rglob("__init__.py"))
    ]
    assert rooms
    assert [room for room in rooms if f"`{room}`" not in text] == []


def test_the_drawn_graph_is_the_real_one() -> None:
    drawn, real = drawn_edges((REPOSITORY / "ARCHITECTURE.md").read_text(encoding="utf-8")), real_edges()
    assert drawn - real == set()
    assert {(above, below) for above, below in real if below not in reachable(drawn, above)} == set()


@pytest.mark.parametrize("writer", [write_settings_page, write_commands_page], ids=lambda writer: writer.PAGE.name)
def test_a_written_page_is_current(writer: Any) -> None:
    written = writer.PAGE.read_text(encoding="utf-8")
    assert written == writer.write_page(), f"{writer.PAGE.name} is not current; write it: {writer.COMMAND}"


def test_the_settings_page_has_every_key_and_the_commands_page_every_command() -> None:
    page = write_settings_page.write_page()
    assert [key.name for key in settings_keys() if f"| `{key.name}` |" not in page] == []
    commands = [command.name or command.callback.__name__ for command in app.registered_commands if command.callback]
    page = write_commands_page.write_page()
    assert "init" in commands
    assert [name for name in commands if f"\n## tac {name}\n" not in page] == []


@pytest.mark.parametrize("front", ["README.md", "docs/index.md"])
def test_the_front_pages_lead_to_every_page_for_users(front: str) -> None:
    page = REPOSITORY / front
    linked = {(page.parent / link).resolve() for link in LINK.findall(page.read_text(encoding="utf-8"))}
    folders = [REPOSITORY / "docs" / name for name in ("how-to", "reference", "explanation")]
    pages = [REPOSITORY / "docs/tutorial.md", *(page for folder in folders for page in sorted(folder.glob("*.md")))]
    assert [page.name for page in pages if page not in linked] == []


def test_the_readme_is_short() -> None:
    assert len((REPOSITORY / "README.md").read_text(encoding="utf-8").split()) <= README_WORDS


def site_settings() -> dict[str, Any]:
    read: dict[str, Any] = YAML(typ="safe").load(REPOSITORY / "mkdocs.yml")
    return read


def pages_of(nav: Any) -> Iterator[str]:
    """Every page of the site's navigation."""
    if isinstance(nav, str):
        yield nav
    else:
        for entry in nav.values() if isinstance(nav, dict) else nav:
            yield from pages_of(entry)


def test_the_site_has_every_page_once() -> None:
    found = list(pages_of(site_settings()["nav"]))
    docs = REPOSITORY / "docs"
    wanted = {page.relative_to(docs).as_posix() for page in docs.rglob("*.md")} | set(site_pages.PAGES.values())
    wanted |= {site_pages.page_of(notebook) for notebook in notebooks.FOLDER.glob("*.ipynb")}
    assert sorted(found) == sorted(wanted)


def test_links_of_the_repositorys_pages_lead_somewhere_on_the_site() -> None:
    on_site = set(pages_of(site_settings()["nav"]))
    for name in site_pages.PAGES:
        turned = site_pages.turn_links((REPOSITORY / name).read_text(encoding="utf-8"))
        links = [link for link in LINK.findall(without_blocks(turned)) if "://" not in link]
        gone = [link for link in links if link not in on_site and not (REPOSITORY / "docs" / link).is_file()]
        assert gone == []
    text = "[a](docs/x.md#y), [b](tac_pipeline/b.py), [c](CHANGELOG.md), [d](https://example.org)"
    assert site_pages.turn_links(text) == "[a](x.md#y), b, [c](changelog.md), [d](https://example.org)"


def test_make_help_lists_every_target() -> None:
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    phony = re.search(r"^\.PHONY: (.+)$", makefile, flags=re.MULTILINE)
    assert phony
    assert set(re.findall(r"^([a-z-]+):.*##", makefile, flags=re.MULTILINE)) == set(phony[1].split())


def test_every_make_target_that_is_named_is_there() -> None:
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, flags=re.MULTILINE))
    workflow = REPOSITORY / ".github" / "workflows" / "test.yml"
    named = {
        target
        for page in [*PAGES, workflow, REPOSITORY / ".ci" / "run"]
        for target in re.findall(r"(?:`|run: |^\$ |^)make ([a-z-]+)", page.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert {"test", "docs"} <= named
    assert named - targets == set()


def test_the_version_is_one() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    citation = YAML(typ="safe").load(REPOSITORY / "CITATION.cff")
    changelog = (REPOSITORY / "CHANGELOG.md").read_text(encoding="utf-8")
    assert citation["version"] == project["version"]
    assert f"## [{project['version']}]" in changelog
