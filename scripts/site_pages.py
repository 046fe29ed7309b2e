"""The pages of the site that are no pages of docs/: the repository's own, with their links turned, and the notebooks.

A hook of mkdocs.yml.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from scripts.notebooks import FOLDER, as_markdown, read_notebook

REPOSITORY = Path(__file__).parents[1]
# Name on the site, by name in the repository.
PAGES = {"ARCHITECTURE.md": "architecture.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
GRAPH = "![The graph in the Dagster UI](docs/pictures/ui-lineage.webp)"
NOTEBOOK = re.compile(r"(\]\((?!\w+:)[^)\s]+)\.ipynb\)")
LINK = re.compile(r"\]\((?!\w+:)([^)#\s]+)(#[^)]*)?\)")


def on_files(files: Any, config: Any) -> Any:
    """Add the repository's pages to those of docs/."""
    from mkdocs.structure.files import File

    for name, on_site in PAGES.items():
        text = (REPOSITORY / name).read_text(encoding="utf-8")
        # The site draws no mermaid, which would be fetched from elsewhere; the graph of the UI shows the same.
        text = text.replace("```mermaid", f"{GRAPH}\n\n```")
        files.append(File.generated(config, on_site, content=turn_links(text)))
    for path in sorted(FOLDER.glob("*.ipynb")):
        files.append(File.generated(config, page_of(path), content=as_markdown(read_notebook(path))))
    return files


def page_of(notebook: Path) -> str:
    """The name on the site of a notebook's page."""
    return f"{FOLDER.name}/{notebook.stem}.md"


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Links of docs/ to the repository's pages, as a reader of the repository needs them, lead to the site's."""
    up = "../" * page.file.src_uri.count("/")
    for name, on_site in PAGES.items():
        markdown = markdown.replace(f"]({up}../{name}", f"]({up}{on_site}")
    return re.sub(NOTEBOOK, r"\1.md)", markdown)


def turn_links(text: str) -> str:
    """Links of a page at the top of the repository, for the top of the site; what is not on it becomes plain text."""

    def turned(link: re.Match[str]) -> str:
        target, place = link[1], link[2] or ""
        if target in PAGES:
            return f"]({PAGES[target]}{place})"
        on_site = target.removeprefix("docs/")
        return f"]({on_site}{place})" if target.startswith("docs/") and on_site.endswith((".md", ".webp")) else "]()"

    # A link without a target keeps its words.
    return re.sub(r"\[([^\]]*)\]\(\)", r"\1", LINK.sub(turned, text))
