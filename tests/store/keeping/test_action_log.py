"""The log of what people did: nothing that was acknowledged is lost, and nothing else is in it."""

import json
import multiprocessing
import threading
from pathlib import Path

import pytest

from tac_pipeline.errors import ArtifactDamaged, InputError
from tac_pipeline.store.keeping.action_log import Action, ActionLog, Overtaken


def fill(log: ActionLog, *names: str) -> list[Action]:
    return [log.append("rename", {"id": 1, "name": name}, who="ada", seen=len(log.read())) for name in names]


def test_actions_are_read_as_they_were_done(tmp_path: Path) -> None:
    log = ActionLog(tmp_path)
    assert log.read() == []
    done = fill(log, "red boats", "犬 🐕", "a\nline")
    assert log.read() == done
    assert [action.number for action in done] == [1, 2, 3]
    assert len(log.path.read_text(encoding="utf-8").splitlines()) == 3


def test_who_has_not_seen_the_last_action_is_told_and_enters_nothing(tmp_path: Path) -> None:
    log = ActionLog(tmp_path)
    fill(log, "one", "two")
    with pytest.raises(Overtaken, match="2 actions, and not 1, the last one by ada"):
        log.append("undo", {}, who="bob", seen=1)
    with pytest.raises(Overtaken, match="2 actions, and not 7, and act again"):
        log.append("undo", {}, who="bob", seen=7)
    assert len(log.read()) == 2


def test_what_is_refused_is_not_entered(tmp_path: Path) -> None:
    log = ActionLog(tmp_path)

    def refuse(actions: object) -> None:
        raise InputError("not this")

    with pytest.raises(InputError, match="not this"):
        log.append("undo", {}, who="bob", seen=0, accept=refuse)
    assert log.read() == []


@pytest.mark.parametrize("left", [1, 20, -1])
def test_a_last_line_that_was_cut_is_passed_over_and_written_over(tmp_path: Path, left: int) -> None:
    log = ActionLog(tmp_path)
    kept = fill(log, "one", "a much longer name than the one that takes its place")
    data = log.path.read_bytes()
    first = data.index(b"\n") + 1
    log.path.write_bytes(data[:first] + data[first:][:left])
    assert log.read() == kept[:1]
    fill(log, "two")
    assert [action.what["name"] for action in log.read()] == ["one", "two"]


@pytest.mark.parametrize("damage", [b"0", b"{", b"\x00"])
def test_damage_before_the_last_line_is_told(tmp_path: Path, damage: bytes) -> None:
    log = ActionLog(tmp_path)
    fill(log, "one", "two")
    data = log.path.read_bytes()
    log.path.write_bytes(data[:40] + damage + data[41:])
    with pytest.raises(ArtifactDamaged, match=r"line 1, is not what was written.*tac restore"):
        log.read()


def test_a_line_that_was_taken_out_is_told(tmp_path: Path) -> None:
    log = ActionLog(tmp_path)
    fill(log, "one", "two", "three")
    lines = log.path.read_bytes().splitlines(keepends=True)
    log.path.write_bytes(lines[0] + lines[2])
    with pytest.raises(ArtifactDamaged, match="line 2"):
        log.read()


def test_a_line_is_json_that_people_can_read(tmp_path: Path) -> None:
    log = ActionLog(tmp_path)
    fill(log, "boats")
    found = json.loads(log.path.read_text(encoding="utf-8"))
    assert found["who"] == "ada"
    assert found["what"] == {"id": 1, "name": "boats"}


def act_often(folder: Path, who: str) -> None:
    log = ActionLog(folder)
    done = 0
    while done < 5:
        try:
            log.append("undo", {}, who=who, seen=len(log.read()))
            done += 1
        except Overtaken:
            continue


def test_two_threads_lose_nothing(tmp_path: Path) -> None:
    threads = [threading.Thread(target=act_often, args=(tmp_path, who)) for who in ("ada", "bob", "cy", "dee")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ActionLog(tmp_path).read()) == 20


def test_two_processes_lose_nothing(tmp_path: Path) -> None:
    context = multiprocessing.get_context("forkserver")
    workers = [context.Process(target=act_often, args=(tmp_path, who)) for who in ("ada", "bob")]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    found = ActionLog(tmp_path).read()
    assert sorted(action.who for action in found) == ["ada"] * 5 + ["bob"] * 5
