"""The workbench as a person uses it, in a real Chromium; after each step the tables say what the page says."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from chromium import find_chromium
from command_line import tac
from small_store import copied
from waiting import wait_for
from workbench_page import READY, draw_outline, page_of, tac_open

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

pytestmark = pytest.mark.browser


# The name and the size of each group, by its id.
Groups = dict[int, tuple[str, int]]


def on_page(page: "Page") -> Groups:
    """The groups as the wall has them."""
    page.wait_for_selector(READY)
    page.locator("#store").click()
    page.wait_for_selector("ul.cards")
    ids = [int((card.get_attribute("href") or "").rpartition("/")[2]) for card in page.locator("a.card").all()]
    names = [name.removesuffix("yours") for name in page.locator(".card-name").all_inner_texts()]
    sizes = [int(text.split()[0].replace(",", "")) for text in page.locator(".card-facts").all_inner_texts()]
    return dict(zip(ids, zip(names, sizes, strict=True), strict=True))


def card(page: "Page", group: int) -> "Locator":
    """The card of a group."""
    return page.locator(f'a.card[href="#/group/{group}"]')


def in_tables(settings: Path) -> Groups:
    """The same, as `tac clusters` has it."""
    rows = json.loads(tac("clusters", "-s", settings, "--json").stdout)
    return {row["cluster_id"]: (row["name"] or f"unnamed {row['cluster_id']}", row["size"]) for row in rows}


def agreed(page: "Page", settings: Path) -> Groups:
    """The groups, of which page and tables say the same."""
    found = on_page(page)
    assert found == in_tables(settings)
    return found


def agree_on(expected: Groups, page: "Page", settings: Path) -> None:
    """Wait until the page has these groups; then the tables have them too."""
    wait_for(lambda: on_page(page) == expected or None, what="the page")
    assert agreed(page, settings) == expected


def outline(page: "Page", *, at_least: int) -> int:
    """Draw around the left part of the map, wider and wider, until so many images are chosen; their number."""
    page.get_by_role("link", name="Map").click()
    page.locator(".legend-entry").first.wait_for()
    for width in (0.2, 0.3, 0.4, 0.5, 0.6):
        many = draw_outline(page, [(0.01, 0.01), (width, 0.01), (width, 0.99), (0.01, 0.99)])
        if many >= at_least:
            return many
        page.get_by_role("button", name="Clear").click()
    raise AssertionError(f"there are not {at_least} images on the left")


def correct_a_store(settings: Path) -> None:
    """Search, outline, move, rename, merge, split, undo and redo: the tables say the same each time, and go on so."""
    with tac_open(settings) as link, page_of(link) as page:
        before = agreed(page, settings)
        # What a search finds.
        page.fill("#search", "a boat")
        page.press("#search", "Enter")
        page.wait_for_selector(f"{READY} h2:has-text('a boat')")
        page.locator(".grid .tile img").first.wait_for()
        # What an outline on the map holds, moved to a small group.
        many = outline(page, at_least=30)
        small, other, *_ = sorted(before, key=lambda group: (before[group][1], group))
        page.get_by_role("button", name="Move to…").click()
        page.keyboard.type(before[small][0])
        page.keyboard.press("Enter")
        wait_for(lambda: on_page(page)[small][1] >= many or None, what="the move")
        moved = agreed(page, settings)
        # Rename it.
        card(page, small).click()
        page.get_by_role("button", name="Rename").click()
        page.keyboard.type("<i>boats</i> 犬")
        page.keyboard.press("Enter")
        page.wait_for_selector(f"{READY} h2:has-text('boats')")
        renamed = agreed(page, settings)
        assert renamed[small] == ("<i>boats</i> 犬", moved[small][1])
        # Merge another into it, by their cards.
        for group in (other, small):
            page.get_by_role("checkbox", name=f"Choose {renamed[group][0]}", exact=True).click()
        page.get_by_role("button", name="Merge them").click()
        page.wait_for_selector(f"{READY} .lead h2:has-text('{len(renamed) - 1} group')")
        merged = agreed(page, settings)
        assert set(merged) == set(renamed) - {other}
        # Split the largest in three.
        card(page, max(merged, key=lambda group: merged[group][1])).click()
        page.get_by_role("button", name="Split…").click()
        page.locator("dialog.modal").get_by_text("3 parts").click()
        page.get_by_role("textbox", name="Name of part 2").fill("another part")
        page.get_by_role("button", name="Split into 3").click()
        wait_for(lambda: len(on_page(page)) == len(merged) + 2 or None, what="the split")
        split = agreed(page, settings)
        assert "another part" in [name for name, _ in split.values()]
        assert sum(size for _, size in split.values()) == sum(size for _, size in before.values())
        # Undo three of it, and redo one.
        for expected in (merged, renamed, moved):
            page.keyboard.press("Control+z")
            agree_on(expected, page, settings)
            page.wait_for_selector(READY)
        page.keyboard.press("Control+Shift+z")
        agree_on(renamed, page, settings)
    # Another server, and another clustering, which learns from it.
    with tac_open(settings) as link, page_of(link) as page:
        assert agreed(page, settings) == renamed
    result = tac("run", "-s", settings, "--recluster")
    assert result.exit_code == 0, result.output
    with tac_open(settings) as link, page_of(link) as page:
        name, size = agreed(page, settings)[small]
        assert (name, size >= many) == ("<i>boats</i> 犬", True)
        card(page, small).click()
        page.locator(".grid .badge", has_text="yours").first.wait_for()


def test_a_store_is_corrected_with_the_mouse_and_stays_so(pictures: Path, tmp_path: Path) -> None:
    find_chromium()
    correct_a_store(copied(pictures, tmp_path / "drawn"))


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
        page.get_by_role("button", name="Rename").wait_for()
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
