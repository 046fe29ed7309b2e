"""The pages of a store and its groupings in one file, a tab each, two of them side by side if one likes.

Each page stays a document of its own, as it was written; the browser gets it when its tab is first shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from tac_pipeline.files import replacing
from tac_pipeline.report.page import embedded_json, page_script, page_style, policy_digest, template

TABS_FOLDER = Path(__file__).parent / "tabs_page"


@dataclass(frozen=True)
class Tab:
    """One page: what its tab says, how many groups it has, and its file."""

    name: str
    groups: int
    page: Path


def write_tabs(path: Path, store: str, tabs: Sequence[Tab]) -> None:
    """Write the pages as one HTML file; holds one of them at a time."""
    script, style = page_script([TABS_FOLDER / "tabs.js"]), page_style(TABS_FOLDER / "tabs.css")
    stream = template(TABS_FOLDER, "tabs.html.j2").stream(
        store=store,
        pages=tabs,
        # One by one, as the template asks for them.
        texts=(embedded_json(tab.page.read_text(encoding="utf-8")) for tab in tabs),
        style=Markup(style),
        script=Markup(script),
        # A page in a frame is under the policy of the file too.
        script_digests=[policy_digest(script), policy_digest(page_script())],
        style_digests=[policy_digest(style), policy_digest(page_style())],
    )
    with replacing(path) as aside, aside.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(stream)
