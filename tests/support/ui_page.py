"""The UI's pages in a headless Chromium, as a person uses them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from chromium import PAGE_MS, find_chromium
from ui_server import Ui
from waiting import PATIENCE

from assets.graph import STEPS

if TYPE_CHECKING:
    from playwright.sync_api import Page

# So large that the graph keeps its names: zoomed out further the UI leaves them away.
WINDOW = {"width": 3600, "height": 2800}
# What has this text is a link of a message that goes away after some seconds: its address is kept when it comes.
KEEP_LINK = """text => {
  window.kept = new Promise(done => new MutationObserver(() => {
    const link = [...document.querySelectorAll("a")].find(link => link.textContent === text);
    if (link) done(link.getAttribute("href"));
  }).observe(document.body, { childList: true, subtree: true }));
}"""


@contextmanager
def browser_page(last: Path) -> Iterator[tuple["Page", list[str]]]:
    """A new window, and the errors in its console and its uncaught exceptions; its last look is kept as a picture."""
    from playwright.sync_api import sync_playwright

    complaints: list[str] = []
    with sync_playwright() as playwright:
        # Continuous integration runs as root, where Chromium refuses its sandbox; the pages are this machine's own.
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=["--no-sandbox"])
        window = browser.new_page(viewport=WINDOW)
        window.set_default_timeout(PAGE_MS)
        window.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
        window.on("pageerror", lambda error: complaints.append(str(error)))
        yield window, complaints
        window.screenshot(path=last)
        print(f"the last page: {last}")  # noqa: T201
        browser.close()


def open_graph(page: "Page", ui: Ui) -> None:
    """From the first page to the graph, with every group unfolded."""
    page.goto(ui.url)
    page.locator("a[href='/asset-groups']").first.click()
    graph = page.locator("svg")
    for group in {step.group.replace(" ", "_") for step in STEPS}:
        graph.get_by_text(group, exact=True).wait_for()
    page.locator("button:has([aria-label='settings'])").last.click()
    page.get_by_role("menuitem", name="Expand all groups").click()
    # The whole graph is larger than the window at the smallest zoom; these are in its middle.
    for name in ("corrections", "noun_vocabulary", "cluster_heads", "evaluation"):
        graph.get_by_text(name, exact=True).wait_for()


def run_from_the_graph(page: "Page", ui: Ui) -> None:
    """Press "Materialize all" (what readers get included), follow the toast's link, and wait until it says Success."""
    page.evaluate(KEEP_LINK, "View")
    page.get_by_role("button", name=f"Materialize all ({len(STEPS) + 1})").click()
    # Followed, not clicked: on a busy machine another toast slides over the link.
    page.goto(f"{ui.url}{page.evaluate('window.kept')}")
    ended = page.get_by_text("Success", exact=True).or_(page.get_by_text("Failure", exact=True)).first
    ended.wait_for(timeout=PATIENCE * 1000)
    assert ended.inner_text() == "Success"
