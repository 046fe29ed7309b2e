"""The UI as a person uses it, in a headless Chromium: materialize all, watch the run, read the pages."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from chromium import find_chromium
from ui_server import RUN_SECONDS, Ui, tac_ui, write_store

from assets.graph import STEPS

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

# So large that the graph keeps its names: zoomed out further the UI leaves them away.
WINDOW = {"width": 3600, "height": 2800}
PAGE_MS = 60_000


@pytest.fixture(scope="module")
def ui(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ui]:
    """`tac ui` on a small store in which nothing was materialized yet."""
    find_chromium()
    with tac_ui(write_store(tmp_path_factory.mktemp("store"))) as running:
        yield running


@pytest.fixture
def complaints() -> list[str]:
    """The errors in the browser's console, and uncaught exceptions."""
    return []


@pytest.fixture
def page(ui: Ui, complaints: list[str], tmp_path: Path) -> Iterator["Page"]:
    """A new browser window; when a test fails, the log and the path of a screenshot are shown with it."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # Continuous integration runs as root, where Chromium refuses its sandbox; the pages are this machine's own.
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=["--no-sandbox"])
        window = browser.new_page(viewport=WINDOW)
        window.set_default_timeout(PAGE_MS)
        window.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
        window.on("pageerror", lambda error: complaints.append(str(error)))
        yield window
        window.screenshot(path=tmp_path / "last.png")
        print(f"the last page: {tmp_path / 'last.png'}\n{ui.log.read_text(encoding='utf-8')[-10_000:]}")  # noqa: T201
        browser.close()


def test_materialize_all_watch_the_run_and_read_the_groups(ui: Ui, page: "Page", complaints: list[str]) -> None:
    open_graph(page, ui)
    run_from_the_graph(page, ui)
    assert ui.stale() == {}

    page.goto(f"{ui.url}/assets/small/clusters")
    names = page.locator(".dagster-markdown table")
    for color in ("red", "green", "blue"):
        names.get_by_text(f"{color} thing").first.wait_for()
    assert names.locator("tbody tr").count() == 3
    page.get_by_text("what sets its members apart").first.wait_for()  # the column's meaning
    page.get_by_text("Every group: its name and alternatives").wait_for()  # the asset's description

    page.goto(f"{ui.url}/assets/small/cluster_heads")
    curve = page.locator(".dagster-markdown img[alt='loss curve']")
    # A picture is too long to be shown directly: the UI puts it behind a link.
    page.get_by_text("[Show Markdown]").click()
    curve.wait_for()
    assert curve.evaluate("image => image.decode().then(() => image.naturalWidth)") > 300

    page.goto(f"{ui.url}/assets/small/clusters?view=checks")
    page.get_by_text("All 3 clusters have images, none is a giant.").wait_for()
    assert complaints == []


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
    page.get_by_role("button", name=f"Materialize all ({len(STEPS) + 1})").click()
    # Followed, not clicked: on a busy machine another toast slides over the link.
    page.goto(f"{ui.url}{page.get_by_role('link', name='View', exact=True).get_attribute('href')}")
    ended = page.get_by_text("Success", exact=True).or_(page.get_by_text("Failure", exact=True)).first
    ended.wait_for(timeout=RUN_SECONDS * 1000)
    assert ended.inner_text() == "Success"
