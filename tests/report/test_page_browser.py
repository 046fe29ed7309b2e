"""The page as a person uses it, in a headless Chromium that has no network, from the disk."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from chromium import PAGE_MS, find_chromium
from made_up import HOSTILE, made_up_changes, made_up_contents, made_up_tables, made_up_tree

from tac_pipeline.report import ReportTables, write_page

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser

DESKTOP, PHONE = {"width": 1300, "height": 900}, {"width": 390, "height": 800}
Opener = Callable[..., "Page"]


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    found = find_chromium()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture
def complaints() -> list[str]:
    """Errors on the console, exceptions, dialogs (a name that ran), and all network requests."""
    return []


@pytest.fixture
def open_page(browser: "Browser", complaints: list[str], tmp_path: Path) -> Iterator[Opener]:
    contexts = []

    def opened(
        tables: ReportTables, *, view: str = "", scheme: Any = "light", window: Any = DESKTOP, **contents: Any
    ) -> "Page":
        path = tmp_path / "a folder & more" / "report #1.html"
        path.parent.mkdir(exist_ok=True)
        write_page(path, made_up_contents(tables, **contents))
        context = browser.new_context(viewport=window, color_scheme=scheme, offline=True, reduced_motion="reduce")
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PAGE_MS)
        page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: (complaints.append(dialog.message), dialog.dismiss()))
        page.on(
            "request",
            lambda request: None if request.url.startswith(("file:", "data:")) else complaints.append(request.url),
        )
        page.goto(path.as_uri() + view)
        return page

    yield opened
    for context in contexts:
        context.close()


def test_cards_search_filters_and_a_cluster(open_page: Opener, complaints: list[str]) -> None:
    page = open_page(made_up_tables(5, empty=1, names=["apple", "pear", "Ärmel", "plum", "pear", "nothing left"]))
    page.get_by_role("heading", name="6 clusters").wait_for()
    assert page.locator("a.card").count() == 6
    assert page.locator(".card-name", has_text="pear (1)").count() == 1  # two of one name are told apart
    page.get_by_role("button", name="Without images").click()
    assert page.locator(".card-name").all_text_contents() == ["nothing left"]
    page.get_by_role("button", name="All", exact=True).click()

    page.keyboard.press("/")
    page.keyboard.type("armel")
    assert page.locator(".card-name").all_text_contents() == ["Ärmel"]
    page.get_by_role("searchbox").fill("second 3")  # by a noun
    assert page.locator(".card-name").all_text_contents() == ["plum"]
    assert "matches noun 3 sécond" in page.locator(".card-also").inner_text()
    page.get_by_role("searchbox").fill("no such thing")
    page.get_by_text("No cluster fits").wait_for()
    page.keyboard.press("Escape")
    assert page.locator("a.card").count() == 6

    page.get_by_label("Order").select_option("name")
    assert page.locator(".card-name").first.inner_text() == "apple"
    page.locator("a.card", has_text="plum").click()
    page.get_by_role("heading", name="plum").wait_for()
    assert page.locator(".bars li").all_inner_texts()[0].split("\n")[0] == "noun 3 first"
    page.get_by_text("alias 3").wait_for()
    page.get_by_role("heading", name="On the border").wait_for()
    page.locator(".tile").first.click()
    page.locator("dialog[open] .image-id").wait_for()
    assert complaints == []


def test_names_from_right_to_left_stay_in_their_place(open_page: Opener, complaints: list[str]) -> None:
    names = ["כלב (2)", "חתול", "犬", "Äpfel"]
    tables = made_up_tables(4, names=names)
    tables.clusters.replace_column(
        tables.clusters.get_column_index("alternatives"), pl.Series("alternatives", [["חיה", "יונק", "dog"]] * 4)
    )
    page = open_page(tables)
    assert page.locator(".card-name").all_text_contents() == names
    # The first alternative is the leftmost, as in every list of the page.
    left = page.locator(".card-also").first.locator("bdi").evaluate_all("all => all.map(one => one.offsetLeft)")
    assert left == sorted(left) and len(set(left)) == 3
    # Joining letters are not pushed together; others are.
    spacing = "all => all.map(one => getComputedStyle(one).letterSpacing)"
    found = page.locator(".card-name bdi").evaluate_all(spacing)
    assert [space == "normal" for space in found] == [True, True, False, False]
    page.goto(page.url.partition("#")[0] + "#/cluster/0")
    page.get_by_role("heading", name="כלב (2)").wait_for()
    assert page.locator("h2 bdi").evaluate("one => one.matches(':dir(rtl)')")
    assert page.locator(".words bdi").all_text_contents() == ["חיה", "יונק", "dog"]
    assert complaints == []


def test_the_keyboard_reaches_everything(open_page: Opener, complaints: list[str]) -> None:
    page = open_page(made_up_tables(6))
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.locator("a.card").first.focus()
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.getAttribute('href')") == "#/cluster/1"
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="thing 1").wait_for()
    assert page.evaluate("document.activeElement.tagName") == "H2"
    page.keyboard.press("ArrowRight")
    page.get_by_role("heading", name="thing 2").wait_for()
    page.locator(".tile").nth(1).focus()
    page.keyboard.press("Enter")
    shown = page.locator("dialog[open] .image-id")
    first = shown.inner_text()
    page.keyboard.press("ArrowRight")
    assert shown.inner_text() != first
    page.keyboard.press("Escape")
    assert page.locator("dialog[open]").count() == 0
    assert page.evaluate("document.activeElement.className") == "tile"
    page.keyboard.press("Escape")
    page.get_by_role("heading", name="6 clusters").wait_for()
    assert page.evaluate("document.activeElement.getAttribute('href')") == "#/cluster/2"  # where one came from
    assert complaints == []


def test_the_map_zooms_hovers_and_shows_a_cluster(open_page: Opener, complaints: list[str]) -> None:
    page = open_page(made_up_tables(5), view="#/map")
    canvas = page.locator("canvas")
    canvas.wait_for()
    page.wait_for_function("document.querySelector('canvas').width > 100")
    assert len(colors_of(page)) > 5
    before = canvas.screenshot()
    box = canvas.bounding_box()
    assert box is not None
    canvas.focus()
    for key in ("+", "ArrowLeft", "-", "0"):
        page.keyboard.press(key)
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.wheel(0, -600)
    page.wait_for_timeout(200)
    assert canvas.screenshot() != before
    page.get_by_role("button", name="Show all").click()
    page.wait_for_timeout(200)  # the next frame
    x, y = page.evaluate(PLACE_OF_A_POINT)
    page.mouse.move(box["x"] + x, box["y"] + y)
    page.locator(".tip:visible .image-id").wait_for()
    page.mouse.click(box["x"] + x, box["y"] + y)
    page.locator("dialog[open]").wait_for()
    page.keyboard.press("Escape")
    page.locator(".legend-entry", has_text="thing 3").click()
    assert page.locator(".legend-entry[aria-pressed=true]").all_inner_texts()[0].startswith("thing 3")
    assert complaints == []


# The first pixel, seen from the left, that a point has painted; names are drawn gray, and so is nothing else.
PLACE_OF_A_POINT = """() => {
  const canvas = document.querySelector('canvas'), { width, height } = canvas;
  const pixels = canvas.getContext('2d').getImageData(0, 0, width, height).data;
  for (let x = 0; x < width; x++) for (let y = 0; y < height; y++) {
    const [r, g, b, a] = pixels.slice(4 * (y * width + x), 4 * (y * width + x) + 4);
    if (a > 200 && Math.max(r, g, b) - Math.min(r, g, b) > 60) return [x / devicePixelRatio + 2, y / devicePixelRatio];
  }
}"""


def colors_of(page: "Page") -> set[str]:
    found: list[str] = page.evaluate(
        """() => { const c = document.querySelector('canvas');
        const p = c.getContext('2d').getImageData(0, 0, c.width, c.height).data; const found = new Set();
        for (let i = 0; i < p.length; i += 4) if (p[i + 3] > 200) found.add(p[i] + ' ' + p[i + 1] + ' ' + p[i + 2]);
        return [...found]; }"""
    )
    return set(found)


def test_the_tree_is_read_as_few_or_many_and_left_out_where_there_is_none(
    open_page: Opener, complaints: list[str]
) -> None:
    page = open_page(made_up_tables(14, tree=made_up_tree(14)), view="#/tree")
    assert page.locator(".branch").count() == 12
    page.locator("#groups").fill("3")
    assert page.locator(".branch").count() == 3
    assert page.locator(".leaf").count() == 14
    page.locator(".leaf").first.click()
    page.get_by_text("Could also be called").wait_for()
    page = open_page(made_up_tables(3), view="#/tree")
    page.get_by_role("heading", name="3 clusters").wait_for()
    assert page.get_by_role("link", name="Tree").count() == 0
    assert complaints == []


def test_what_is_worth_a_look_what_cannot_be_read_and_what_changed(open_page: Opener, complaints: list[str]) -> None:
    tables = made_up_tables(4)
    page = open_page(made_up_tables(4, changes=made_up_changes(tables)), view="#/review")
    assert page.locator(".group").inner_text().startswith("2 images")
    for heading in ("Near-duplicates", "On the border", "Outliers"):
        page.get_by_role("heading", name=heading).wait_for()
    page.get_by_role("link", name="Not read").click()
    assert page.locator("tbody tr").inner_text().split("\t") == [
        "broken <b>bold</b>.jpg",
        "damaged: <script>alert(3)</script>",
    ]
    page.get_by_role("link", name="Changes").click()
    page.get_by_role("heading", name="Since version 4").wait_for()
    assert page.locator(".figures dd").first.inner_text() == "16"
    page.get_by_text("<i>old</i>").wait_for()
    page = open_page(tables, view="#/changes")
    page.get_by_text("Nothing to compare with").wait_for()
    assert complaints == []


def test_names_never_run(open_page: Opener, complaints: list[str]) -> None:
    tables = made_up_tables(3, names=HOSTILE[:3], ids=HOSTILE, store="<b onclick=alert(4)>store</b>")
    page = open_page(tables)
    assert set(page.locator(".card-name").all_inner_texts()) == {name.replace("\u2028", "") for name in HOSTILE[:3]}
    page.locator("a.card").first.click()
    shown = page.locator(".tile").evaluate_all("tiles => tiles.map(tile => tile.title)")
    # The second has the bytes of the first; only one is shown.
    assert set(HOSTILE) - set(shown) <= set(HOSTILE[:2])
    page.get_by_role("link", name="Map", exact=True).click()
    page.locator("canvas").wait_for()
    page.get_by_role("link", name="Not read").click()
    assert page.locator("main b, main i:not(.dot), header b, body > img").count() == 0
    assert page.evaluate("document.scripts.length") == page.evaluate(
        "document.querySelectorAll('script[type=\"application/json\"]').length + 1"
    )
    assert complaints == []


def test_even_injected_code_would_not_run(open_page: Opener, complaints: list[str]) -> None:
    page = open_page(made_up_tables(2))
    page.evaluate("""() => {
      document.body.insertAdjacentHTML('beforeend', '<img src="x:" onerror="window.ran = 1">');
      const script = document.createElement('script');
      script.textContent = 'window.ran = 2';
      document.body.append(script);
    }""")
    page.wait_for_timeout(200)
    assert page.evaluate("window.ran") is None
    assert any("Content Security Policy" in text for text in complaints)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_in_light_and_dark(open_page: Opener, complaints: list[str], scheme: str) -> None:
    tables = made_up_tables(4, names=["a" * 90], ids=["b" * 200 + ".jpg"], tree=made_up_tree(4))
    page = open_page(
        made_up_tables(
            4, names=["a" * 90], ids=["b" * 200 + ".jpg"], tree=made_up_tree(4), changes=made_up_changes(tables)
        ),
        scheme=scheme,
        window=PHONE,
    )
    for view in ("clusters", "cluster/0", "map", "tree", "review", "unreadable", "changes"):
        page.goto(page.url.split("#")[0] + f"#/{view}")
        page.wait_for_timeout(100)
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], view
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    dark = sum(int(part) for part in paper.removeprefix("rgb(").removesuffix(")").split(",")) < 200
    assert dark == (scheme == "dark")
    page.get_by_role("button", name="Switch to").click()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != paper
    page.wait_for_timeout(500)  # the browser keeps the choice a moment later
    page.reload()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != paper
    assert complaints == []


@pytest.mark.parametrize(("n_clusters", "per_cluster"), [(2, 3), (500, 100)])
def test_few_and_many_clusters(open_page: Opener, complaints: list[str], n_clusters: int, per_cluster: int) -> None:
    page = open_page(made_up_tables(n_clusters, per_cluster))
    page.get_by_role("heading", name=f"{n_clusters} clusters").wait_for()
    assert page.locator("a.card").count() == n_clusters
    page.get_by_role("link", name="Map", exact=True).click()
    page.wait_for_function("document.querySelector('canvas')?.width > 100")
    frame = page.evaluate("""() => new Promise(done => requestAnimationFrame(() => {
      const canvas = document.querySelector('canvas'), began = performance.now();
      for (let i = 0; i < 10; i++) canvas.dispatchEvent(new WheelEvent('wheel', { deltaY: -50, cancelable: true }));
      requestAnimationFrame(() => done(performance.now() - began));
    }))""")
    assert frame < 5_000  # some 30 ms on an idle machine for 50,000 points
    assert complaints == []


def test_a_store_without_pictures(open_page: Opener, complaints: list[str]) -> None:
    page = open_page(made_up_tables(3, pictures=False), pictures=False, view="#/cluster/1")
    page.get_by_role("heading", name="thing 1").wait_for()
    assert page.locator(".tile img").count() == 0
    assert "image-000" in page.locator(".tile").first.inner_text()
    page.get_by_role("link", name="Map", exact=True).click()
    page.locator("canvas").wait_for()
    assert page.get_by_label("Pictures").count() == 0
    assert complaints == []
