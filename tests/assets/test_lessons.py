"""The next learning goes on from the groups as people corrected them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from assets_helpers import table
from plain_runs import run_store
from ready_store import ready

from assets.engine.execute import open_store
from assets.lookups.status import all_status
from tac_pipeline.settings.project import load_project
from tac_pipeline.store.keeping.action_log import ActionLog

Writer = Callable[..., Path]


def facts(path: Path, name: str = "lessons") -> dict[str, Any]:
    found: dict[str, Any] = open_store(load_project(path)).require_current(name).artifact.facts
    return found


def content(path: Path, name: str) -> str:
    return open_store(load_project(path)).require_current(name).artifact.content


def act(path: Path, do: str, **what: Any) -> None:
    log = ActionLog(open_store(load_project(path)).ledger_folder)
    log.append(do, what, who="ada", seen=len(log.read()))


def sizes(path: Path) -> dict[int, int]:
    return dict(table(path, "clusters").select("cluster_id", "size").iter_rows())


@pytest.fixture
def store(vector_store: Writer) -> Path:
    return ready(vector_store())


def members(path: Path, group: int) -> list[str]:
    found: list[str] = table(path, "assignments").filter(pl.col("cluster_id") == group)["image_id"].to_list()
    return found


def test_a_correction_starts_no_learning_and_another_clustering_learns_from_it(store: Path) -> None:
    heads = content(store, "cluster_heads")
    moved = members(store, 0)[:4]
    act(store, "make", groups=[{"id": 3, "name": "mine", "images": moved}])
    run_store(store)
    assert (sizes(store), content(store, "cluster_heads")) == ({0: 16, 1: 20, 2: 20, 3: 4}, heads)
    assert facts(store, "cluster_count")["count"] == 3
    status = {one.step.name: one for one in all_status(load_project(store))}
    assert "learns from it" in status["lessons"].why
    run_store(store, recluster=True)
    assert facts(store, "cluster_count")["count"] == 4
    assert (facts(store)["fixed"], facts(store)["moved"]) == (4, 4)
    assert set(sizes(store)) == {0, 1, 2, 3}
    assert set(moved) <= set(members(store, 3))
    named = dict(table(store, "clusters").select("cluster_id", "name").iter_rows())
    assert named[3] == "mine"
    # The column of the new group has its id.
    assert table(store, "cluster_ids").sort("column")["cluster_id"].to_list() == [0, 1, 2, 3]
    taught = {name: content(store, name) for name in ("lessons", "training_free_clusters", "cluster_heads")}
    run_store(store, recluster=True)
    assert {name: content(store, name) for name in taught} == taught, "the same corrections teach the same"


def test_what_is_taken_back_is_learned_as_if_it_had_never_been(store: Path) -> None:
    before = {name: content(store, name) for name in ("training_free_clusters", "cluster_heads")}
    act(store, "merge", ids=[1, 2])
    run_store(store, recluster=True)
    assert set(sizes(store)) == {0, 1}
    assert facts(store)["merged"] == 1
    act(store, "undo")
    run_store(store, recluster=True)
    assert {name: content(store, name) for name in before} == before
    assert sorted(sizes(store).values()) == [20, 20, 20]


def test_another_number_of_groups_is_looked_for_anew(store: Path, vector_store: Writer) -> None:
    act(store, "move", images=members(store, 0)[:2], to=1)
    run_store(store, recluster=True)
    assert facts(store)["moved"] == 2
    path = vector_store({"clusters.count": 4})
    run_store(path)
    assert facts(path, "cluster_count")["count"] == 4
    assert open_store(load_project(path)).require_current("lessons").artifact.rows == 0
    # The correction is carried out all the same.
    assert table(path, "assignments").filter("curated").height == 2
    run_store(path, recluster=True)
    assert facts(path)["fixed"] == 2


def test_learning_from_corrections_can_be_switched_off(store: Path, vector_store: Writer) -> None:
    heads = content(store, "cluster_heads")
    act(store, "move", images=members(store, 0)[:2], to=1)
    path = vector_store({"learn_from_corrections": False})
    run_store(path, recluster=True)
    assert content(path, "cluster_heads") == heads
    assert table(path, "assignments").filter("curated").height == 2


def test_learning_takes_no_image_from_a_locked_group(store: Path) -> None:
    own, strangers = members(store, 0), members(store, 1)[:2]
    act(store, "move", images=strangers, to=0)
    act(store, "lock", id=0, on=True)
    run_store(store)
    held = members(store, 0)
    assert held == sorted(own + strangers)
    # Without its pins it would lose them: the lock keeps what the group had when others were learned.
    run_store(store, recluster=True)
    act(store, "undo")
    act(store, "move", images=strangers, to=None)
    act(store, "lock", id=0, on=True)
    run_store(store)
    assert members(store, 0) == held
    act(store, "lock", id=0, on=False)
    run_store(store)
    assert members(store, 0) == sorted(own)


def test_an_image_that_is_not_of_its_group_goes_to_the_next_best(store: Path) -> None:
    image = members(store, 0)[0]
    rows = table(store, "assignments")
    second = rows.filter(image_id=image)["runner_up"][0]
    act(store, "reject", images=[image], id=0)
    run_store(store)
    assert members(store, second).count(image) == 1
    assert (
        table(store, "assignments")
        .drop("confidence")
        .filter(pl.col("image_id") != image)
        .equals(rows.drop("confidence").filter(pl.col("image_id") != image))
    )
    act(store, "reject", images=[image], id=second)
    run_store(store)
    [third] = {0, 1, 2} - {0, second}
    assert members(store, third).count(image) == 1
    run_store(store, recluster=True)
    assert members(store, third).count(image) == 1
    # Of some group it must be.
    act(store, "reject", images=[image], id=third)
    run_store(store, recluster=True)
    assert table(store, "assignments")["cluster_id"].null_count() == 0
    act(store, "move", images=[image], to=0)
    run_store(store)
    assert members(store, 0).count(image) == 1


def test_groups_made_by_hand_come_and_go(store: Path) -> None:
    before = sizes(store)
    act(store, "make", groups=[{"id": 3, "name": None, "images": members(store, 0)[:5]}])
    act(store, "merge", ids=[3, 1])
    run_store(store)
    assert sizes(store) == {0: 15, 2: 20, 3: 25}
    act(store, "undo")
    act(store, "merge", ids=[0, 3])
    run_store(store)
    assert sizes(store) == before
    act(store, "undo")
    act(store, "undo")
    run_store(store)
    assert sizes(store) == before
    # No id is given twice.
    act(store, "make", groups=[{"id": 4, "name": None, "images": members(store, 0)[:5]}])
    run_store(store)
    run_store(store, recluster=True)
    assert set(sizes(store)) == {0, 1, 2, 4}
    assert facts(store, "cluster_ids")["next_id"] == 5


def test_groups_of_a_corrections_file(store: Path, vector_store: Writer) -> None:
    image, other = members(store, 0)[:2]
    text = f"pins: {{{image}: 3}}\ngroups: [3]\nnot_in: {{{other}: [0]}}\nlocked: [1]\naside: [2]\n"
    path = vector_store({"corrections": "corrections.yaml"})
    (path.parent / "corrections.yaml").write_text(text, encoding="utf-8")
    run_store(path)
    assert sizes(path)[3] == 1
    assert other not in members(path, 0)
    run_store(path, recluster=True)
    assert image in members(path, 3)
