"""`tac open` on a store, and its page in a real Chromium."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chromium import PAGE_MS, find_chromium
from ui_server import clean_environment
from waiting import PATIENCE, wait_for

if TYPE_CHECKING:
    from playwright.sync_api import Page

READY = "html:not([data-busy])"


@contextmanager
def tac_open(settings: Path) -> Iterator[str]:
    """`tac open` on a store; the link that it prints."""
    log = settings.parent / "open.log"
    command = [sys.executable, "-m", "tac_pipeline.cli", "open", "--no-browser", "--settings", str(settings)]
    with log.open("wb") as sink:
        process = subprocess.Popen(command, env=clean_environment(), stdout=sink, stderr=subprocess.STDOUT)

    def link() -> str | None:
        assert process.poll() is None, log.read_text()
        found = re.search(r"http://\S+token=\S+", log.read_text())
        return found[0] if found else None

    try:
        yield wait_for(link, what="the workbench")
    finally:
        os.kill(process.pid, signal.SIGINT)
        assert process.wait(timeout=PATIENCE) == 0, log.read_text()


@contextmanager
def page_of(link: str) -> Iterator["Page"]:
    """The page at a link; at the end nothing was complained about, and nothing asked of anybody else."""
    from playwright.sync_api import sync_playwright

    complaints: list[Any] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1300, "height": 900})
        page.set_default_timeout(PAGE_MS)
        page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
        page.on("response", lambda told: complaints.append(told.url) if told.status >= 400 else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda asked: None if asked.url.startswith(link[:21]) else complaints.append(asked.url))
        page.goto(link)
        page.wait_for_selector("a.card")
        assert "token" not in page.url
        yield page
        browser.close()
    assert complaints == []


def draw_outline(page: "Page", corners: Sequence[tuple[float, float]]) -> int:
    """Draw an outline on the map with Shift held, its corners as shares of width and height; how many are chosen."""
    box = page.locator(".map canvas").bounding_box()
    assert box is not None
    places = [(box["x"] + across * box["width"], box["y"] + down * box["height"]) for across, down in corners]
    page.keyboard.down("Shift")
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place)
    page.mouse.up()
    page.keyboard.up("Shift")
    return chosen_images(page)


def chosen_images(page: "Page") -> int:
    """How many images the bar below says are chosen, once it is there."""
    page.locator("#selection").wait_for()
    return int(page.locator("#selection > span").first.inner_text().split()[0].replace(",", ""))
