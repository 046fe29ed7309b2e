"""The map's data, and a lasso in a real Chromium whose images are then moved."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from bench import Bench
from chromium import find_chromium
from command_line import tac
from small_store import copied
from workbench_page import READY, chosen_images, draw_outline, page_of, tac_open

from assets.engine.execute import open_store
from assets.workbench.map_answers import Gathered
from assets.workbench.mapped import MOST_CORNERS, NO_GROUP
from tac_pipeline.errors import InputError
from tac_pipeline.report.map_points import MAP_OFFSET, MAP_SCALE, group_places, pack_places, rows_inside

EVERYTHING = [[0, 0], [65_535, 0], [65_535, 65_535], [0, 65_535]]


def block(bench: Bench, name: str, key: str) -> np.ndarray:
    """A block of the map, which a browser keeps."""
    answer = bench.ask(f"/api/map/block/{name}", key=key)
    assert answer.status_code == 200, answer.text
    assert answer.headers["etag"] == f'"{key}"'
    assert "immutable" in answer.headers["cache-control"]
    return np.frombuffer(answer.content, dtype="<u2")


def post(bench: Bench, path: str, body: Any) -> Any:
    """What is told to something posted."""
    return bench.told(path, body=body)


def chosen(bench: Bench, **what: Any) -> Any:
    """The images that an outline or a group has."""
    return post(bench, "/api/map/chosen", {"key": bench.told("/api/map")["places"], **what})


def table(bench: Bench, name: str) -> pl.DataFrame:
    return pl.read_parquet(open_store(bench.desk.project).require_current(name).artifact.file(f"{name}.parquet"))


def test_the_map_has_every_image_at_its_place_in_its_group(bench: Bench) -> None:
    facts = bench.told("/api/map")
    x, y = block(bench, "places", facts["places"]).reshape(2, -1)
    marks = block(bench, "marks", facts["marks"])
    expected = table(bench, "image_map").join(table(bench, "assignments"), on="image_id").sort("image_id")
    assert facts["count"] == len(expected) == len(x) == 60
    for packed, name in ((x, "x"), (y, "y")):
        np.testing.assert_allclose((packed.astype(float) - MAP_OFFSET) / MAP_SCALE, expected[name], atol=1e-4)
    ids = np.array([group["id"] for group in facts["groups"]])
    assert ids[marks].tolist() == expected["cluster_id"].to_list()
    # Each group is where its images are, in a color of its own.
    for place, group in enumerate(facts["groups"]):
        assert abs(group["x"] - np.median(x[marks == place])) <= 1
    assert len({group["color"] for group in facts["groups"]}) == 3
    row = bench.told("/api/map/image", key=facts["places"], row=17)
    assert row["id"] == expected["image_id"][17]
    assert post(bench, "/api/map/where", {"key": facts["places"], "images": [row["id"], "nobody"]}) == {
        "rows": [17, -1]
    }


def test_after_an_action_only_the_groups_are_others(bench: Bench) -> None:
    before = bench.told("/api/map")
    first, second, third = [group["id"] for group in before["groups"]]
    inside = chosen(bench, group=first)
    assert len(inside["id"]) == 20
    assert set(inside["group"]) == {first}
    bench.act("move", images=inside["id"][:5], to=second)
    after = bench.told("/api/map")
    assert (after["places"], after["count"]) == (before["places"], before["count"])
    assert after["marks"] != before["marks"]
    marks = block(bench, "marks", after["marks"])
    assert set(marks[inside["rows"][:5]]) == {1}
    # Groups keep their colors, also where there are fewer, and when they come back.
    colors = {group["id"]: group["color"] for group in before["groups"]}
    bench.act("merge", ids=[second, third])
    assert {group["id"]: group["color"] for group in bench.told("/api/map")["groups"]} == {
        id_: colors[id_] for id_ in (first, second)
    }
    for _ in range(2):
        bench.act("undo")
    assert bench.told("/api/map") == before
    # A key that is no more is refused: its rows might be other images.
    for path, query in (
        ("/api/map/block/marks", {"key": after["marks"]}),
        ("/api/map/image", {"key": "other", "row": "0"}),
    ):
        answer = bench.ask(path, **query)
        assert (answer.status_code, "look again" in answer.json()["error"]) == (422, True)


def test_groups_that_a_page_knows_are_not_sent_again(bench: Bench) -> None:
    told = bench.store
    again = bench.told("/api/store", known=told["known"])
    assert again == {**told, "groups": None}
    bench.act("rename", id=told["groups"][0]["id"], name="others")
    assert len(bench.told("/api/store", known=told["known"])["groups"]) == 3


def test_an_outline_holds_what_is_inside_it(bench: Bench) -> None:
    facts = bench.told("/api/map")
    x = block(bench, "places", facts["places"])[:60].astype(int)
    whole = chosen(bench, outline=EVERYTHING)
    assert whole["rows"] == list(range(60))
    assert whole["id"] == sorted(table(bench, "image_map")["image_id"])
    left, top = int(np.median(x)), 0
    half = chosen(bench, outline=[[left + 0.5, top], [65_536, top], [65_536, 65_536], [left + 0.5, 65_536]])
    assert half["rows"] == np.flatnonzero(x > left).tolist()
    assert chosen(bench, outline=[[0, 0], [1, 0], [0, 1]])["id"] == []
    wrong = [[1, 2]], [[0, 0]] * (MOST_CORNERS + 1), [[0, 0], [1, 1], [1]], [["a", 0]] * 3, 7, [[0, float("nan")]] * 3
    for outline in (*wrong, None):
        answer = bench.ask("/api/map/chosen", body={"key": facts["places"], "outline": outline})
        assert answer.status_code == 422, outline
        assert "corners" in answer.json()["error"]
    for body in ({"group": 77}, {"group": "0"}, {}):
        answer = bench.ask("/api/map/chosen", body={"key": facts["places"], **body})
        assert answer.status_code == 422, body
    for row in ("-1", "60", "1e1", "9" * 20, ""):
        assert bench.ask("/api/map/image", key=facts["places"], row=row).status_code == 422, row


def test_points_are_inside_by_the_plain_rule_in_any_chunks() -> None:
    generator = np.random.default_rng(5)
    x, y = generator.integers(0, 60, size=(2, 400)).astype(np.uint16)
    outline = generator.uniform(-5, 65, size=(9, 2))

    def plain(px: float, py: float) -> bool:
        crossings = 0
        for (x0, y0), (x1, y1) in zip(outline, np.roll(outline, -1, axis=0), strict=True):
            if min(y0, y1) <= py < max(y0, y1) and px < x0 + (py - y0) * (x1 - x0) / (y1 - y0):
                crossings += 1
        return crossings % 2 == 1

    expected = [row for row in range(400) if plain(float(x[row]), float(y[row]))]
    assert 20 < len(expected) < 380
    for chunk_rows in (1, 7, 1_000):
        assert rows_inside(x, y, outline, chunk_rows=chunk_rows).tolist() == expected


def test_places_that_do_not_fit_are_at_the_edge() -> None:
    assert pack_places(np.array([0.0, 1.0, -9.0, 9.0])).tolist() == [16_384, 49_152, 0, 65_535]
    images = pl.DataFrame({"cluster_id": [4, 4, 4, None], "x": [0.0, 1.0, 9.0, 5.0], "y": [1.0, 1.0, 2.0, 5.0]})
    np.testing.assert_array_equal(group_places(images, [4, 7]), [[1.0, 1.0], [np.nan, np.nan]])


def test_images_that_changed_or_are_in_no_group_are_not_in_the_way(bench: Bench) -> None:
    """An image without a place is left out; the rows of the others are theirs."""
    view = bench.desk.view()
    lost = view.images["image_id"][3]
    other = pl.when(pl.col("image_id") == lost).then(pl.lit("other bytes")).otherwise("content_hash")
    bench.desk._view = replace(view, images=view.images.with_columns(content_hash=other))
    facts = bench.told("/api/map")
    assert facts["count"] == 59
    whole = chosen(bench, outline=EVERYTHING)
    assert lost not in whole["id"]
    where = post(bench, "/api/map/where", {"key": facts["places"], "images": [lost, *whole["id"]]})
    assert where["rows"] == [-1, *range(59)]
    bench.desk._view = replace(view, images=view.images.with_columns(cluster_id=pl.lit(None, dtype=pl.Int32)))
    facts = bench.told("/api/map")
    assert set(block(bench, "marks", facts["marks"])) == {NO_GROUP}
    assert {group["x"] for group in facts["groups"]} == {None}
    bench.desk._view = replace(view, images=view.images.clear(), groups=[])
    facts = bench.told("/api/map")
    assert (facts["count"], facts["groups"]) == (0, [])
    assert len(block(bench, "places", facts["places"])) == 0


def test_a_store_without_a_map_says_so(bench: Bench) -> None:
    folder = open_store(bench.desk.project).folder / "image_map"
    folder.rename(folder.with_name("gone"))
    answer = bench.ask("/api/map")
    assert (answer.status_code, "`tac run` builds it" in answer.json()["error"]) == (422, True)


def test_many_images_come_in_parts_and_are_one_action(bench: Bench) -> None:
    first, second, *_ = [group["id"] for group in bench.told("/api/map")["groups"]]
    ids = chosen(bench, group=first)["id"]
    begun = post(bench, "/api/list", {"images": ids[:7], "list": None})
    assert post(bench, "/api/list", {"images": ids[7:12], **begun}) == begun
    bench.act("move", images=begun, to=second)
    assert bench.desk.log.read()[-1].what == {"images": ids[:12], "to": second}
    assert len(chosen(bench, group=first)["id"]) == 8
    # A list serves once.
    answer = bench.ask("/api/actions", body={"do": "move", "what": {"images": begun, "to": second}, "seen": 1})
    assert (answer.status_code, "choose them again" in answer.json()["error"]) == (422, True)
    for body in ({"images": []}, {"images": [3]}, {"images": ids, "list": "other"}, {"images": begun}):
        assert bench.ask("/api/list", body=body).status_code == 422, body


def test_lists_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("assets.workbench.map_answers.MOST_GATHERED", 3)
    gathered = Gathered()
    told = json.loads(gathered.add({"images": ["a", "b"]}).body)
    with pytest.raises(InputError, match="at most 3 images"):
        gathered.add({"images": ["c", "d"], **told})
    with pytest.raises(InputError, match="choose them again"):
        gathered.filled({"images": told})
    for _ in range(20):
        told = json.loads(gathered.add({"images": ["a"]}).body) if _ < 3 else told
    assert gathered.filled({"what": {"images": told}}) == {"what": {"images": ["a"]}}


def sizes(settings: Path) -> dict[str, int]:
    """The groups by name, as the tables have them."""
    rows = json.loads(tac("clusters", "-s", settings, "--json").stdout)
    return {row["name"] or f"unnamed {row['cluster_id']}": row["size"] for row in rows}


@pytest.mark.browser
def test_what_an_outline_holds_is_moved(pictures: Path, tmp_path: Path) -> None:
    find_chromium()
    settings = copied(pictures, tmp_path / "drawn")
    with tac_open(settings) as link, page_of(link) as page:
        before = sizes(settings)
        page.get_by_role("link", name="Map").click()
        page.locator(".legend-entry").first.wait_for()
        # Around the left part of the map, by a mouse with Shift.
        many = draw_outline(page, [(0.02, 0.02), (0.45, 0.02), (0.45, 0.98), (0.02, 0.98)])
        assert 10 < many < 110
        page.get_by_role("button", name="Move to…").click()
        smallest = min(before, key=lambda name: before[name])
        page.keyboard.type(smallest)
        page.keyboard.press("Enter")
        page.wait_for_selector(f"{READY} #undo:not([disabled])")
        assert sizes(settings)[smallest] >= many
        # By keys: a whole group, from the list beside the map.
        page.get_by_role("link", name="Map").click()
        page.get_by_role("button", name=f"Choose all of {smallest}", exact=True).focus()
        page.keyboard.press("Enter")
        assert chosen_images(page) >= many
        # An image under the pointer is named, and opens.
        page.locator(".map canvas").focus()
        page.keyboard.press("Enter")
        page.locator("dialog.viewer[open] .stage img").wait_for()
