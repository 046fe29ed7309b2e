"""The workbench as a person uses it, in a real Chromium; after each step the tables say what the page says."""

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from chromium import find_chromium
from command_line import tac
from small_store import copied
from waiting import wait_for
from workbench_page import READY, page_of, tac_open

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

pytestmark = pytest.mark.browser


def on_page(page: "Page") -> dict[str, int]:
    """The groups of the wall by name, with their sizes."""
    page.wait_for_selector(READY)
    page.locator("#store").click()
    page.wait_for_selector("ul.cards")
    names = [name.removesuffix("yours") for name in page.locator(".card-name").all_inner_texts()]
    sizes = [int(text.split()[0].replace(",", "")) for text in page.locator(".card-facts").all_inner_texts()]
    return dict(zip(names, sizes, strict=True))


def card(page: "Page", name: str) -> "Locator":
    """The card of a group."""
    return page.locator("a.card", has=page.locator(".card-name", has_text=re.compile(rf"^{re.escape(name)}(yours)?$")))


def in_tables(settings: Path) -> dict[str, int]:
    """The same, as `tac clusters` has it."""
    rows = json.loads(tac("clusters", "-s", settings, "--json").stdout)
    return {row["name"] or f"unnamed {row['cluster_id']}": row["size"] for row in rows}


def agreed(page: "Page", settings: Path) -> dict[str, int]:
    found = on_page(page)
    assert found == in_tables(settings)
    return found


def test_a_store_is_corrected_with_the_mouse_and_stays_so(pictures: Path, tmp_path: Path) -> None:
    find_chromium()
    settings = copied(pictures, tmp_path / "drawn")
    with tac_open(settings) as link, page_of(link) as page:
        before = agreed(page, settings)
        # Move what a search found.
        page.fill("#search", "a boat")
        page.press("#search", "Enter")
        page.wait_for_selector(f"{READY} h2:has-text('a boat')")
        page.locator(".grid .tile img").first.wait_for()
        # To a group that none of them is in.
        titles = [page.locator(".grid .tile").nth(place).get_attribute("title") or "" for place in range(3)]
        homes = {title.split("\n")[1] for title in titles}
        smallest, *_, largest = sorted(before, key=lambda name: (name in homes, before[name]))
        page.locator(".grid .tile").nth(0).hover()
        page.locator(".grid .tile .tick").nth(0).click()
        page.locator(".grid .tile").nth(2).click(modifiers=["Shift"])
        assert page.locator("#selection").inner_text().startswith("3 images chosen")
        page.get_by_role("button", name="Move to…").click()
        page.keyboard.type(smallest)
        page.keyboard.press("Enter")
        page.wait_for_selector(f"{READY} #undo:not([disabled])")
        moved = agreed(page, settings)
        assert moved[smallest] > before[smallest]
        # Rename it.
        card(page, smallest).click()
        page.get_by_role("button", name="Rename").click()
        page.keyboard.type("<i>boats</i> 犬")
        page.keyboard.press("Enter")
        page.wait_for_selector(f"{READY} h2:has-text('boats')")
        assert agreed(page, settings)["<i>boats</i> 犬"] == moved[smallest]
        # Merge two by their cards.
        for name in (largest, "<i>boats</i> 犬"):
            page.get_by_role("checkbox", name=f"Choose {name}", exact=True).click()
        page.get_by_role("button", name="Merge them").click()
        page.wait_for_selector(f"{READY} .lead h2:has-text('{len(before) - 1} groups')")
        # As one they may be surer of an image than each was.
        assert max(agreed(page, settings).values()) >= moved[largest] + moved[smallest]
        # Undo all of it, and redo some.
        for left in (2, 1, 0):
            page.wait_for_selector(READY)
            page.keyboard.press("Control+z")
            page.wait_for_selector(f"{READY} #undo{':not([disabled])' if left else '[disabled]'}")
            wait_for(lambda: on_page(page) == in_tables(settings) or None, seconds=30, what="the tables")
        assert agreed(page, settings) == before
        page.keyboard.press("Control+Shift+z")
        page.wait_for_selector(f"{READY} #undo:not([disabled])")
        assert agreed(page, settings) == moved
    # Another server, and another clustering.
    result = tac("run", "-s", settings, "--recluster")
    assert result.exit_code == 0, result.output
    with tac_open(settings) as link, page_of(link) as page:
        assert agreed(page, settings)[smallest] >= 3
        card(page, smallest).click()
        page.locator(".grid .badge", has_text="yours").first.wait_for()


def test_the_keys_do_what_the_mouse_does(pictures: Path, tmp_path: Path) -> None:
    find_chromium()
    settings = copied(pictures, tmp_path / "drawn")
    with tac_open(settings) as link, page_of(link) as page:
        page.locator("a.card").first.click()
        page.locator(".grid .tile img").first.wait_for()
        page.locator(".grid").focus()
        page.keyboard.press("ArrowRight")
        page.keyboard.press("Space")
        page.keyboard.press("Shift+ArrowRight")
        assert page.locator("#selection").inner_text().startswith("2 images chosen")
        page.get_by_role("button", name="Find the like").click()
        page.wait_for_selector(f"{READY} h2:has-text('Like 2 images')")
        page.go_back()
        page.locator(".grid .tile img").first.wait_for()
        page.locator(".grid").focus()
        for _ in range(2):
            page.keyboard.press("ArrowRight")
        page.keyboard.press("Enter")
        page.locator("dialog.viewer[open] .stage img").wait_for()
        page.keyboard.press("ArrowRight")
        page.locator("dialog.viewer[open] .facts", has_text="4 of").wait_for()
        page.keyboard.press("Escape")
        page.keyboard.press("m")
        page.locator("dialog.modal[open]").wait_for()
        page.keyboard.press("Escape")
        page.keyboard.press("Escape")
        page.locator("#selection").wait_for(state="hidden")
        page.keyboard.press("/")
        assert page.evaluate("document.activeElement.id") == "search"
