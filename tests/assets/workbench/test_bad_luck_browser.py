"""Keys and clicks that must not do more, or less, than people mean, in a real Chromium."""

from pathlib import Path

import pytest
from chromium import find_chromium
from small_store import copied
from workbench_page import READY, page_of, tac_open

from assets.engine.execute import open_store
from tac_pipeline.settings.project import load_project
from tac_pipeline.store.keeping.action_log import ActionLog

pytestmark = pytest.mark.browser


PRESSED = """(key) => {
  const pressed = new KeyboardEvent("keydown", { key, ctrlKey: true, bubbles: true, cancelable: true });
  return document.body.dispatchEvent(pressed);
}"""

# How a busy machine answers: what it knew when it was asked, some time later.
ANSWER_LATE = """() => {
  const fetched = window.fetch;
  window.fetch = async (...asked) => {
    const answer = await fetched(...asked);
    const late = { "api/store": 1000, "api/actions": 500 }[String(asked[0]).split("?")[0]] ?? 0;
    await new Promise((done) => setTimeout(done, late));
    return answer;
  };
}"""


def done(settings: Path) -> list[str]:
    """The kinds of actions in the log."""
    return [action.do for action in ActionLog(open_store(load_project(settings)).ledger_folder).read()]


def test_keys_do_what_is_meant_and_nothing_else(pictures: Path, tmp_path: Path) -> None:
    find_chromium()
    settings = copied(pictures, tmp_path / "drawn")
    with tac_open(settings) as link, page_of(link) as page:
        # As if a group had many pages.
        page.route(
            "**/static/workbench.js",
            lambda route: route.fulfill(
                response=(answer := route.fetch()), body=answer.text().replace("const PAGE = 200;", "const PAGE = 3;")
            ),
        )
        page.reload()
        page.locator("a.card").first.click()
        page.locator(".grid .tile img").first.wait_for()
        size = int(page.locator(".cluster-head .note").inner_text().split()[0])
        assert size > 9
        # All between two images are chosen, also those of pages that nobody looked at.
        page.locator("#tile-0 .tick").click()
        page.locator(f"#tile-{size - 1}").click(modifiers=["Shift"])
        page.locator("#selection", has_text=f"{size} images chosen").wait_for()
        # Escape lets go, and nothing is done.
        page.keyboard.press("Escape")
        page.locator("#selection").wait_for(state="hidden")
        assert done(settings) == []
        # From one page to the next in the viewer, none is left out.
        page.locator("#tile-0").click()
        for number in range(1, 8):
            page.locator("dialog.viewer[open] .facts", has_text=f"{number} of {size}").wait_for()
            page.keyboard.press("ArrowRight")
        page.keyboard.press("Escape")
        # Who presses a key four times means all four.
        for name in ("one", "two", "three", "four"):
            page.get_by_role("button", name="Rename").click()
            page.keyboard.type(name)
            page.keyboard.press("Enter")
            page.wait_for_selector(f"{READY} h2:has-text('{name}')")
        # An answer that comes late takes nothing back that was done since it was asked for.
        page.evaluate(ANSWER_LATE)
        for _ in range(4):
            page.keyboard.press("Control+z")
            page.wait_for_timeout(650)
        page.wait_for_selector(f"{READY} #undo[disabled]")
        assert done(settings) == ["file", *["rename"] * 4, *["undo"] * 4]
        # What somebody else does is seen, and a search that somebody leaves is not waited for.
        first = page.request.get(f"{link.partition('?')[0]}api/group/0?count=1").json()["images"][0]["id"]
        page.locator("#store").click()
        page.locator("a.card").first.wait_for()
        # The browser's own keys stay its own.
        assert page.evaluate(PRESSED, "f") is True
        page.fill("#search", "a boat")
        page.press("#search", "Enter")
        page.locator("#store").click()
        body = {"do": "tag", "what": {"images": [first], "tag": "print", "on": True}, "seen": 9}
        assert page.request.post(f"{link.partition('?')[0]}api/actions", data=body).ok
        page.locator(".chips.tags", has_text="print 1").wait_for()
        page.wait_for_selector(READY)
