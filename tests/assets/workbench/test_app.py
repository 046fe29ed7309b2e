"""What the workbench answers, behind its guard, and that the tables follow what people do."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
from bench import Bench
from command_line import tac
from ready_store import ready
from waiting import wait_for

from assets.engine.execute import open_store
from assets.workbench.app import MOST_AT_ONCE
from tac_pipeline.report.pictures import PICTURE_SIZE
from tac_pipeline.store.publication import Publication


def test_actions_reach_the_tables_and_readers_and_are_undone(bench: Bench) -> None:
    before = bench.in_tables()
    first, second, third = [group["id"] for group in bench.store["groups"]]
    members = bench.told(f"/api/group/{first}", count=5)["images"]
    bench.act("rename", id=second, name="<b>boats</b>")
    bench.act("move", images=[image["id"] for image in members[:3]], to=second)
    assert bench.in_tables()["<b>boats</b>"] == 23
    found = bench.act("merge", ids=[second, third])
    assert {(group["id"], group["size"]) for group in found["groups"]} == {(first, 17), (second, 43)}
    assert (found["undo"], found["redo"]) == ("merge", None)
    latest = open_store(bench.desk.project).published_folder

    def readers_have_it() -> bool | None:
        version = Publication(latest).latest()
        return True if version is not None and len(version.clusters) == 2 else None

    wait_for(readers_have_it, what="readers to have it")
    for _ in range(3):
        found = bench.act("undo")
    assert (found["undo"], found["redo"]) == (None, "rename")
    assert bench.in_tables() == before
    bench.act("redo")
    assert bench.in_tables()["<b>boats</b>"] == 20
    # Nothing was learned, and another clustering keeps it.
    result = tac("run", "-s", bench.settings, "--recluster")
    assert result.exit_code == 0, result.output
    assert bench.in_tables()["<b>boats</b>"] == 20


def test_groups_are_made_split_locked_and_set_aside(bench: Bench) -> None:
    first, second, third = [group["id"] for group in bench.store["groups"]]
    images = [image["id"] for image in bench.told(f"/api/group/{first}", count=4)["images"]]
    found = bench.act("make", groups=[{"name": "mine", "images": images}])
    assert [(group["id"], group["size"], group["curated"]) for group in found["groups"] if group["name"] == "mine"] == [
        (3, 4, True)
    ]
    bench.act("lock", id=3, on=True)
    found = bench.act("aside", id=second, on=True)
    assert [group["id"] for group in found["groups"] if group["locked"]] == [3]
    assert [group["id"] for group in found["groups"] if group["aside"]] == [second]
    splits = bench.told(f"/api/group/{third}/splits")["splits"]
    assert [len(parts) for parts in splits] == [2, 3, 4, 5]
    assert all(sum(part["size"] for part in parts) == 20 for parts in splits)
    assert [part["size"] for part in splits[0]] == sorted((part["size"] for part in splits[0]), reverse=True)
    found = bench.act("split", id=third, parts=2, names=[None, "a part"])
    sizes = {group["id"]: group["size"] for group in found["groups"]}
    assert (sizes[third], sizes[4]) == (splits[0][0]["size"], splits[0][1]["size"])
    assert [group["name"] for group in found["groups"] if group["id"] == 4] == ["a part"]
    assert bench.refused("split", id=third, parts=9)[1].startswith("parts must be one of 2, 3, 4, 5; got 9")
    assert "must be the id of a group" in bench.refused("split", id=77, parts=2)[1]
    found = bench.act("undo")
    assert 4 not in {group["id"] for group in found["groups"]}
    # An id that was given is not given again.
    found = bench.act("make", groups=[{"name": None, "images": images[:1]}])
    assert {3, 5} < {group["id"] for group in found["groups"]}
    assert bench.ask("/api/group/77/splits").status_code == 422


def test_images_are_kept_where_they_are_rejected_and_tagged(bench: Bench) -> None:
    first, second, _ = [group["id"] for group in bench.store["groups"]]
    one = bench.told(f"/api/group/{first}")["images"][0]
    other = bench.told(f"/api/group/{second}")["images"][0]
    bench.act("pin", images=[one["id"], other["id"]])
    assert [bench.told("/api/image", id=image["id"])["curated"] for image in (one, other)] == [True, True]
    bench.act("reject", images=[one["id"]], id=first)
    now = bench.told("/api/image", id=one["id"])
    assert (now["group"], now["curated"]) == (one["second"], False)
    found = bench.act("tag", images=[one["id"], other["id"]], tag="print", on=True)
    assert found["tags"] == {"print": 2}
    assert {image["id"] for image in bench.told("/api/tag", tag="print")["images"]} == {one["id"], other["id"]}
    assert bench.told("/api/tag", tag="unknown")["images"] == []
    assert bench.told("/api/image", id=one["id"])["tags"] == ["print"]
    assert "must be a list of image_ids" in bench.refused("pin", images=[])[1]
    assert "there is no image" in bench.refused("pin", images=["nowhere"])[1]
    assert "no action of a page" in bench.refused("file", before={}, after={})[1]
    assert "groups must be a list of new groups" in bench.refused("make", groups="all")[1]


def test_the_corrections_file_and_the_workbench_hear_each_other(
    opened: Callable[[Path], Bench], vector_store: Callable[..., Path]
) -> None:
    ready(vector_store())
    path = vector_store({"corrections": "corrections.yaml"})
    file = path.parent / "corrections.yaml"
    file.write_text("names: {0: boats}\n", encoding="utf-8")
    bench = opened(path)
    bench.act("rename", id=0, name="vessels")
    assert "vessels" in bench.in_tables()
    file.write_text("names: {0: ships}\n", encoding="utf-8")
    # Whoever acts now has not seen that.
    code, said = bench.refused("rename", id=1, name="houses")
    assert (code, "the log has" in said) == (409, True)
    bench.act("rename", id=1, name="houses")
    assert {"ships", "houses"} < set(bench.in_tables())
    for _ in range(2):
        found = bench.act("undo")
    assert "vessels" in bench.in_tables(), "an edit of the file is undone like other actions"
    assert found["undo"] == "rename"


def test_a_workbench_that_ended_too_early_is_caught_up_with(bench: Bench, opened: Callable[[Path], Bench]) -> None:
    first = bench.store["groups"][0]["id"]
    bench.desk.stop()
    bench.desk.act("rename", {"id": first, "name": "late"}, seen=0)
    assert "late" not in bench.in_tables()
    again = opened(bench.settings)
    wait_for(lambda: True if again.store["waiting"] == 0 else None, what="the tables")
    assert "late" in again.in_tables()


def test_two_windows_see_each_other(bench: Bench) -> None:
    seen = bench.store["seen"]
    first = bench.store["groups"][0]["id"]
    bench.act("rename", id=first, name="mine")
    code, sentence = bench.refused("rename", seen=seen, id=first, name="yours")
    assert code == 409
    assert "look at what changed" in sentence
    assert "mine" in bench.in_tables()


def test_what_cannot_be_done_is_refused_and_not_entered(bench: Bench) -> None:
    first, second, third = [group["id"] for group in bench.store["groups"]]
    bench.act("rename", id=first, name="boats")
    for do, what, sentence in (
        ("rename", {"id": second, "name": "Boats"}, "no two clusters may have one name"),
        ("rename", {"id": 99, "name": "x"}, "there is no group 99 any more"),
        ("rename", {"id": second, "name": "x" * 10_000}, "at most"),
        ("merge", {"ids": [first, second, third]}, "at least two groups"),
        ("move", {"images": ["../../etc/passwd"], "to": first}, "there is no image '../../etc/passwd'"),
        ("redo", {}, "nothing to redo"),
        ("paint", {}, "must be one of"),
        (7, {}, "do must be a text"),
    ):
        code, said = bench.refused(do, **what)
        assert (code, sentence in said) == (422, True), said
    for body in (b"[]", b"nonsense", b"7", b"[" * 100_000):
        answer = bench.ask("/api/actions", body=body)
        assert answer.status_code == 422, body[:9]
        assert "must be a JSON object" in answer.json()["error"]
    assert bench.ask("/api/actions", body={}).status_code == 422
    # What the corrections file said, and the one action.
    assert bench.store["seen"] == 2


def test_a_group_comes_in_pages_typical_or_doubtful_first(bench: Bench) -> None:
    group = bench.store["groups"][0]["id"]
    whole = bench.told(f"/api/group/{group}", order="doubtful")
    assert whole["size"] == len(whole["images"]) == 20
    pages = [
        bench.told(f"/api/group/{group}", order="doubtful", start=start, count=7)["images"] for start in (0, 7, 14)
    ]
    assert [image for page in pages for image in page] == whole["images"]
    typical = bench.told(f"/api/group/{group}")["images"]
    assert {image["id"] for image in typical} == {image["id"] for image in whole["images"]}
    view = bench.desk.view().images
    margins = view.filter(pl.col("cluster_id") == group)["margin"]
    first = view.filter(pl.col("image_id") == whole["images"][0]["id"])["margin"].item()
    assert np.isclose(first, margins.min())
    assert len(bench.told(f"/api/group/{group}", count=10**8)["images"]) <= MOST_AT_ONCE
    assert bench.told("/api/group/77")["size"] == 0
    for query in ({"order": "none"}, {"start": "-1"}, {"count": "1e9"}, {"start": "9" * 40}):
        assert bench.ask(f"/api/group/{group}", **query).status_code == 422


def test_vectors_have_no_pictures_and_say_so(bench: Bench) -> None:
    assert not bench.store["hasPictures"]
    image = bench.told(f"/api/group/{bench.store['groups'][0]['id']}")["images"][0]
    assert bench.ask("/api/picture", id=image["id"]).status_code == 404
    assert "vectors" in bench.ask("/api/original", id=image["id"]).json()["error"]


def test_pictures_and_originals_are_those_of_the_store_alone(drawn: Bench, tmp_path: Path) -> None:
    group = drawn.store["groups"][0]["id"]
    image = drawn.told(f"/api/group/{group}")["images"][0]
    small = drawn.ask("/api/picture", id=image["id"], hash=image["hash"])
    assert small.headers["content-type"] == "image/webp"
    assert "max-age" in small.headers["cache-control"]
    kept = list(drawn.desk.thumbnails_folder.rglob("*.webp"))
    assert [path.read_bytes() for path in kept] == [small.content]
    assert PICTURE_SIZE >= 96
    original = drawn.ask("/api/original", id=image["id"])
    path = drawn.settings.parent / "pictures" / image["id"]
    assert original.content == path.read_bytes()
    assert original.headers["content-type"].startswith("image/")
    assert "sandbox" in original.headers["content-security-policy"]
    assert drawn.told("/api/image", id=image["id"])["uri"] == str(path)
    secret = tmp_path / "secret.jpg"
    shutil.copyfile(path, secret)
    for name in (str(secret), "../secret.jpg", f"../../{secret}", "", "/etc/passwd", "..%2fsecret.jpg"):
        for place in ("/api/picture", "/api/original", "/api/image"):
            assert drawn.ask(place, id=name).status_code == 422, name
    for place in ("/static/../app.py", "/static/%2e%2e/app.py", "/static/index.html", "/etc/passwd"):
        assert drawn.ask(place).status_code == 404
    # Gone, and another in its place.
    path.unlink()
    assert drawn.ask("/api/original", id=image["id"]).status_code == 404
    shutil.rmtree(drawn.desk.thumbnails_folder)
    assert drawn.ask("/api/picture", id=image["id"]).status_code == 404
    path.write_text("<script>alert(1)</script>", encoding="utf-8")
    assert drawn.ask("/api/original", id=image["id"]).status_code == 404


def test_the_like_of_some_images_is_proposed(bench: Bench) -> None:
    group = bench.store["groups"][0]["id"]
    picked = [image["id"] for image in bench.told(f"/api/group/{group}", count=5)["images"]]
    told = bench.ask("/api/alike", body={"images": picked}).json()
    found = told["images"]
    # Fewer than the page shows: those after them are the next best.
    assert 10 <= told["proposed"] < len(found) == 55
    assert not {image["id"] for image in found} & set(picked)
    assert [image["group"] for image in found[:10]] == [group] * 10
    for images in ([], "a", [3], ["nobody"]):
        assert bench.ask("/api/alike", body={"images": images}).status_code == 422
    assert bench.store["seen"] == 0


def test_images_are_found_by_words(drawn: Bench) -> None:
    found = drawn.told("/api/search", text="a boat", count=10)
    assert len(found["images"]) == 10
    scores = [image["score"] for image in found["images"]]
    assert scores == sorted(scores, reverse=True)
    assert "a boat" in found["searchedBy"]
    assert drawn.ask("/api/search", text="").status_code == 422


def test_the_page_runs_nothing_but_its_own(bench: Bench) -> None:
    page = bench.ask("/")
    assert "default-src 'none'; script-src 'self'" in page.headers["content-security-policy"]
    assert page.headers["x-frame-options"] == "SAMEORIGIN"
    for name, kind in (
        ("workbench.js", "text/javascript"),
        ("workbench.css", "text/css"),
        ("icon.svg", "image/svg+xml"),
    ):
        answer = bench.ask(f"/static/{name}")
        assert answer.headers["content-type"].startswith(kind)
        assert "http://" not in answer.text.replace("http://www.w3.org", "")


def test_the_guard_is_before_it(bench: Bench) -> None:
    act = {"do": "undo", "what": {}, "seen": 0}
    for code, headers in (
        (401, {"authorization": "Bearer wrong"}),
        (403, {"origin": "https://evil.example"}),
        (403, {"host": "evil.example:4000"}),
        (403, {"sec-fetch-site": "cross-site"}),
        (415, {"content-type": "text/plain"}),
    ):
        answer = bench.ask("/api/actions", body=act, headers=headers)
        assert answer.status_code == code, answer.text
    assert bench.ask("/api/actions", body=b'{"do": "' + b"x" * 6_000_000 + b'"}').status_code == 413
    assert "`tac open`" in bench.ask("/", headers={"authorization": "no"}).text
    assert bench.desk.log.read() == []


def test_a_store_without_a_result_says_what_to_do(vector_store: Callable[..., Path]) -> None:
    result = tac("open", "--no-browser", "-s", vector_store())
    assert result.exit_code == 1
    assert "`tac run` builds it" in result.stderr
