"""What happens to people at the workbench when something goes wrong: nothing is lost, and they are told."""

import json
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import pytest
from bench import Bench
from filelock import FileLock
from ready_store import ready
from small_store import copied
from waiting import PATIENCE, wait_for

from assets.engine.execute import open_store


def post(bench: Bench, do: str, **what: object) -> None:
    """Act, and do not wait for the tables."""
    answer = bench.ask("/api/actions", body={"do": do, "what": what, "seen": bench.store["seen"]})
    assert answer.status_code == 200, answer.text


def test_while_a_run_goes_on_an_action_is_kept_and_a_workbench_can_end(bench: Bench) -> None:
    first = bench.store["groups"][0]["id"]
    bench.act("rename", id=first, name="before")
    # As another process holds it: locks of one process are one.
    other = FileLock(open_store(bench.desk.project).folder / ".lock", is_singleton=False)
    with other:
        post(bench, "rename", id=first, name="meanwhile")
        found = wait_for(lambda: store if (store := bench.store)["heldUp"] else None, what="the lock")
        assert (found["waiting"], found["problem"], found["undo"]) == (1, None, "rename")
        assert "before" in bench.in_tables()
        # It would wait for ever if it waited for the lock.
        bench.desk.stop()
    again = Bench(bench.settings)
    again.desk.start()
    wait_for(lambda: True if again.store["waiting"] == 0 else None, what="the tables")
    assert not again.store["heldUp"]
    again.desk.stop()
    assert "meanwhile" in again.in_tables()


def test_a_problem_of_earlier_actions_is_not_told_of_a_later_one(bench: Bench) -> None:
    first = bench.store["groups"][0]["id"]
    going, tried = threading.Event(), []

    def fail(steps: object) -> None:
        tried.append(steps)
        if len(tried) > 1:
            going.wait(PATIENCE)
        raise OSError("the disk is away")

    bench.act("rename", id=first, name="one")
    # No monkeypatch: with it the store would be made again.
    with patch.object(bench.desk, "_run", fail):
        post(bench, "rename", id=first, name="two")
        found = wait_for(lambda: store if (store := bench.store)["problem"] else None, what="the problem")
        assert "the disk is away" in found["problem"]
        assert found["waiting"] == 1
        post(bench, "rename", id=first, name="three")
        found = bench.store
        assert (found["problem"], found["waiting"]) == (None, 2)
        going.set()


def test_two_groups_that_were_learned_are_left(bench: Bench) -> None:
    ids = [group["id"] for group in bench.store["groups"]]
    images = [image["id"] for image in bench.told(f"/api/group/{ids[0]}", count=4)["images"]]
    bench.act("make", groups=[{"name": "mine", "images": images}])
    code, said = bench.refused("merge", ids=ids)
    assert (code, "at least two groups that were learned" in said) == (422, True), said
    found = bench.act("merge", ids=[3, ids[0]])
    assert (len(found["groups"]), found["problem"]) == (3, None)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/actions", {"do": "rename", "what": {"id": 0, "name": "\ud800"}, "seen": 0}),
        ("/api/actions", {"do": "rename", "what": {"id": 0, "name": "x", "images": 7}, "seen": 0}),
        ("/api/list", {"images": ["a"], "list": [1]}),
        ("/api/takings", {"form": ["zip"], "images": ["a"]}),
        ("/api/words", {"images": ["\udfff"]}),
    ],
)
def test_nonsense_is_refused_in_one_sentence(bench: Bench, path: str, body: dict[str, object]) -> None:
    answer = bench.ask(path, body=json.dumps(body).encode())
    assert answer.status_code == 422, answer.text
    # No more than what the corrections file said.
    assert {action.do for action in bench.desk.log.read()} <= {"file"}
    assert not bench.desk.traces.exists()


def test_pairs_of_surrogates_are_letters(bench: Bench) -> None:
    first = bench.store["groups"][0]["id"]
    body = json.dumps({"do": "rename", "what": {"id": first, "name": "🐈 אבג"}, "seen": 0}).encode()
    assert b"\\ud83d" in body
    assert bench.ask("/api/actions", body=body).status_code == 200
    assert bench.desk.log.read()[-1].what["name"] == "🐈 אבג"


def test_a_workbench_that_was_there_before_the_first_result_shows_it(vector_store: Callable[..., Path]) -> None:
    early = Bench(vector_store())
    early.desk.start()
    answer = early.ask("/api/store")
    assert (answer.status_code, "nothing was built yet" in answer.text) == (422, True)
    wait_for(lambda: None if early.desk._wake.is_set() else True, what="the first look")
    ready(early.settings)
    found = early.store
    assert (len(found["groups"]), found["waiting"], found["problem"]) == (3, 0, None)
    assert early.act("rename", id=0, name="boats")["undo"] == "rename"
    early.desk.stop()


def test_a_new_group_has_its_images_in_parts(bench: Bench) -> None:
    images = [image["id"] for image in bench.told(f"/api/group/{bench.store['groups'][0]['id']}", count=6)["images"]]
    told = bench.ask("/api/list", body={"images": images[:4]}).json()
    told = bench.ask("/api/list", body={"images": images[4:], **told}).json()
    found = bench.act("make", name="mine", images=told)
    assert [group["size"] for group in found["groups"] if group["name"] == "mine"] == [6]
    assert "must be a list of image_ids" in bench.refused("make", name="none")[1]


def test_what_took_the_place_of_an_original_is_not_shown(pictures: Path, tmp_path: Path) -> None:
    drawn = Bench(copied(pictures, tmp_path / "drawn"))
    group = drawn.store["groups"][0]["id"]
    one, other = drawn.told(f"/api/group/{group}", count=2)["images"]
    path, secret = drawn.settings.parent / "pictures" / one["id"], tmp_path / "secret.jpg"
    shutil.copyfile(drawn.settings.parent / "pictures" / other["id"], secret)
    path.unlink()
    path.symlink_to(secret)
    answer = drawn.ask("/api/original", id=one["id"])
    assert (answer.status_code, "has changed since it was grouped" in answer.text) == (404, True)
    assert drawn.ask("/api/original", id=other["id"]).status_code == 200
