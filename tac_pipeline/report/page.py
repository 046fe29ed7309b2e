"""Writing the page's file from template, style, scripts and data.

Text from file names, nouns and errors never becomes markup or code: the template escapes it, data is in blocks that no
browser runs, the scripts build the page from text nodes, and the page's own policy allows only its script and its
style, by their digests, and no network.
"""

from __future__ import annotations

import base64
import datetime
import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup

from tac_pipeline.digest import digest, file_sha256
from tac_pipeline.report.contents import Contents

PAGE_FOLDER = Path(__file__).parent / "page"
TEMPLATE = "page.html.j2"
# In this order, because each uses those above it.
SCRIPTS = (
    "dom.js",
    "data.js",
    "theme.js",
    "images.js",
    "clusters.js",
    "cluster.js",
    "map.js",
    "lists.js",
    "branches.js",
    "tree.js",
    "main.js",
)
# Inside a script element these would end it or open a comment; the last two end a line in old JavaScript.
_ESCAPES = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}


def write_page(path: Path, contents: Contents) -> None:
    """Write the page with these contents as one HTML file."""
    script, style = page_script(), page_style()
    stream = template(PAGE_FOLDER, TEMPLATE).stream(
        summary=contents.summary,
        made=datetime.datetime.fromtimestamp(contents.summary["madeAt"]).strftime("%Y-%m-%d %H:%M"),
        style=Markup(style),
        script=Markup(script),
        style_digest=policy_digest(style),
        script_digest=policy_digest(script),
        blocks=_blocks(contents),
    )
    with path.open("w", encoding="utf-8", newline="\n") as file:
        # One block at a time: a page holds thousands of pictures.
        file.writelines(stream)


def template(folder: Path, name: str) -> Template:
    """A template whose values are escaped."""
    environment = Environment(
        loader=FileSystemLoader(folder), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    return environment.get_template(name)


def page_script(paths: Iterable[Path] | None = None) -> str:
    """Scripts as one, which leaves no names behind; by default those of the page."""
    paths = (PAGE_FOLDER / name for name in SCRIPTS) if paths is None else paths
    script = "\n".join(path.read_text(encoding="utf-8") for path in paths)
    # Line ends are part of the digest, and browsers read every line end as \n.
    return f'"use strict";\n(() => {{\n{script}}})();\n'.replace("\r\n", "\n")


def page_style(path: Path = PAGE_FOLDER / "page.css") -> str:
    """A style sheet, by default that of the page."""
    return path.read_text(encoding="utf-8").replace("\r\n", "\n")


def page_digest() -> str:
    """A digest of the template, style and scripts: when one of them changes, the page must be made again."""
    return digest({path.name: file_sha256(path) for path in sorted(PAGE_FOLDER.iterdir()) if path.is_file()})


def _blocks(contents: Contents) -> Iterator[dict[str, Any]]:
    yield {"id": "summary", "json": embedded_json(contents.summary)}
    yield {"id": "map-points", "json": embedded_json(contents.map)}
    yield {"id": "map-ids", "json": embedded_json(contents.map_ids)}
    for number, pack in enumerate(contents.packs):
        yield {"id": f"pack-{number}", "json": embedded_json(pack)}
    yield {"id": "duplicates", "json": embedded_json(contents.duplicates)}


def embedded_json(value: Any) -> Markup:
    """JSON that is safe inside a script element, with any texts in it."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for character, escape in _ESCAPES.items():
        text = text.replace(character, escape)
    return Markup(text)


def policy_digest(text: str) -> str:
    """The name by which a page's policy allows a script or a style."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
