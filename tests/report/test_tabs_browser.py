"""Several pages in one file, as a person uses it, in a headless Chromium that has no network, from the disk."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from chromium import PAGE_MS, find_chromium
from made_up import made_up_contents, made_up_tables

from tac_pipeline.report import write_page
from tac_pipeline.report.tabs import Tab, write_tabs

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser
HOSTILE_STORE = "</script><b onload=alert(1)>"


@pytest.fixture
def page(tmp_path: Path) -> Iterator["Page"]:
    """A file with two pages; at the end nothing was complained about, and nothing asked of the network."""
    found, complaints = find_chromium(), []
    from playwright.sync_api import sync_playwright

    tabs = []
    for name, groups in (("photos", 5), ("style", 3)):
        path = tmp_path / f"{name}.html"
        tables = made_up_tables(n_clusters=groups)
        write_page(path, made_up_contents(tables))
        tabs.append(Tab(name, groups, path))
    whole = tmp_path / "a folder & more" / "photos #1.html"
    write_tabs(whole, HOSTILE_STORE, tabs)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        context = browser.new_context(offline=True, color_scheme="light", viewport={"width": 1300, "height": 900})
        opened = context.new_page()
        opened.set_default_timeout(PAGE_MS)

        def complain(text: Any) -> None:
            complaints.append(str(text))

        opened.on("console", lambda said: complain(said.text) if said.type == "error" else None)
        opened.on("pageerror", complain)
        opened.on("dialog", lambda dialog: (complain(dialog.message), dialog.dismiss()))
        opened.on("request", lambda asked: None if asked.url.startswith(("file:", "data:")) else complain(asked.url))
        opened.goto(whole.as_uri())
        yield opened
        browser.close()
    assert complaints == []


def test_each_tab_has_its_page_whose_links_stay_in_it(page: "Page") -> None:
    first, second = page.frame_locator("#frame-0"), page.frame_locator("#frame-1")
    assert first.locator("h2").first.inner_text() == "5 clusters"
    assert not page.locator("#frame-1").is_visible()
    page.get_by_role("tab", name="style").click()
    assert second.locator("h2").first.inner_text() == "3 clusters"
    assert not page.locator("#frame-0").is_visible()
    second.locator("a.card").first.click()
    second.get_by_text("All clusters").wait_for()
    page.keyboard.press("Tab")
    page.get_by_role("tab", name="style").press("ArrowRight")
    assert page.locator("#frame-0").is_visible()
    assert first.locator("h2").first.inner_text() == "5 clusters"
    page.get_by_role("tab", name="style").click()
    assert second.get_by_text("All clusters").is_visible(), "a page stays where it was left"


def test_two_are_side_by_side_in_one_color_scheme(page: "Page") -> None:
    page.get_by_role("button", name="Side by side").click()
    left, right = page.locator("#frame-0").bounding_box(), page.locator("#frame-1").bounding_box()
    assert left is not None
    assert right is not None
    assert left["x"] + left["width"] <= right["x"]
    assert abs(left["width"] - right["width"]) < 3
    page.frame_locator("#frame-0").locator("#theme").click()
    for frame in (page.frame_locator("#frame-0"), page.frame_locator("#frame-1")):
        frame.locator(":root[data-theme=dark]").wait_for()
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    # No room for two.
    page.set_viewport_size({"width": 390, "height": 800})
    assert page.locator("#frame-0").is_visible()
    assert not page.locator("#frame-1").is_visible()
    page.set_viewport_size({"width": 1300, "height": 900})
    page.get_by_role("button", name="Side by side").click()
    assert not page.locator("#frame-1").is_visible()
