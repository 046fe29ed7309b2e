"""Looking and taking along, in a real Chromium."""

import base64
import zipfile
from pathlib import Path

import pytest
from chromium import find_chromium
from small_store import copied
from workbench_page import READY, page_of, tac_open

pytestmark = pytest.mark.browser
# As a browser does when somebody drops a file or pastes one.
BRING = """([event, name, text]) => {
  const held = new DataTransfer();
  held.items.add(new File([Uint8Array.from(atob(text), (char) => char.charCodeAt(0))], name));
  const both = { bubbles: true, cancelable: true };
  const made = event === "drop" ? new DragEvent("drop", { ...both, dataTransfer: held })
    : new ClipboardEvent("paste", { ...both, clipboardData: held });
  document.body.dispatchEvent(made);
}"""


def test_the_wall_is_filtered_and_images_are_found_and_taken(pictures: Path, tmp_path: Path) -> None:
    find_chromium()
    settings = copied(pictures, tmp_path / "drawn")
    with tac_open(settings) as link, page_of(link) as page:
        sizes = [int(text.split()[0]) for text in page.locator(".card-facts").all_inner_texts()]
        # The filters.
        page.fill("#least", str(max(sizes)))
        page.locator(".lead h2", has_text="1 group of").wait_for()
        page.select_option("#label", index=1)
        page.get_by_role("button", name="Clear filters").click()
        page.locator(".lead h2", has_text=f"{len(sizes)} groups").wait_for()
        page.get_by_role("button", name="Tree").click()
        page.locator(".branch").first.wait_for()
        assert page.locator(".leaf").count() == len(sizes)
        page.get_by_role("button", name="Cards").click()
        # The keys of the wall.
        page.locator("a.card").first.focus()
        page.keyboard.press("ArrowRight")
        page.keyboard.press("Space")
        assert page.locator("#selection").inner_text().startswith("1 group chosen")
        page.keyboard.press("Escape")
        page.keyboard.press("Enter")
        page.locator(".grid .tile img").first.wait_for()
        # A whole group as a zip.
        page.get_by_role("button", name="Choose all").click()
        bar = page.locator("#selection", has_text="images chosen")
        bar.wait_for()
        many = int(bar.inner_text().split()[0])
        page.keyboard.press("e")
        with page.expect_download() as coming:
            page.get_by_role("button", name="The images").click()
        with zipfile.ZipFile(coming.value.path()) as archive:
            assert len([name for name in archive.namelist() if "/" in name]) == many > 1
        page.keyboard.press("Escape")
        # What is near one image, and a picture of one's own.
        page.locator(".grid .tile").nth(1).click()
        page.get_by_role("button", name="More like this").click()
        page.locator("h2", has_text="More like this").wait_for()
        chips = page.locator(".by-group .chip")
        assert chips.first.inner_text().startswith("All")
        chips.nth(1).click()
        assert page.locator(".by-group .chip[aria-pressed=true]").count() == 1
        mine = min((settings.parent / "pictures").rglob("*.*g"))
        page.set_input_files("#picture-file", mine)
        page.wait_for_selector(f"{READY} h2:has-text('By a picture')")
        assert page.locator(".grid .tile .score").first.inner_text() == "1.00"
        assert page.locator("canvas.sought").count() == 1
        for event in ("drop", "paste"):
            page.goto(page.url.partition("#")[0] + "#/groups")
            page.locator("a.card").first.wait_for()
            page.evaluate(BRING, [event, f"{event}.png", base64.b64encode(mine.read_bytes()).decode()])
            page.locator(".found .note", has_text=f"nearest to the picture {event}.png").wait_for()
