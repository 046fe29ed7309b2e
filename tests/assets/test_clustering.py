"""The cluster ids of a store and what is kept for them: an id that readers know never means another cluster later."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from assets_helpers import materialize

from assets import results
from assets.engine.execute import execute, open_store
from assets.orchestration.publishing import publish, rollback
from assets.people import corrections as corrected
from tac_pipeline.digest import digest
from tac_pipeline.errors import ArtifactDamaged
from tac_pipeline.settings.project import load_project
from tac_pipeline.store.artifacts import Store
from tac_pipeline.store.publication import Publication

Writer = Callable[..., Path]


@pytest.fixture
def path(vector_store: Writer) -> Path:
    """A small store that learned three clusters and then five, both published."""
    for count in (3, 5):
        learn(vector_store, count)
    return vector_store()


def learn(write: Writer, count: int, *, seed: int = 0) -> Path:
    path = write({"clusters.count": count, "seed": seed})
    materialize(path)
    publish(load_project(path), by_hand=True)
    return path


def store_of(path: Path) -> Store:
    return open_store(load_project(path))


def ids_of(path: Path) -> set[int]:
    artifact = store_of(path).require_current("clusters").artifact
    return set(pl.read_parquet(artifact.file("clusters.parquet"))["cluster_id"])


def test_a_ledger_that_is_gone_stops_the_next_learning_and_nothing_else(path: Path, vector_store: Writer) -> None:
    shutil.rmtree(store_of(path).ledger_folder)
    materialize(path)
    path = vector_store({"seed": 1})
    with pytest.raises(ArtifactDamaged, match=r"must hold the entry 2, which .* it holds \[\]\. .*/published to"):
        materialize(path)


def test_the_remedy_numbers_clusters_anew(path: Path, vector_store: Writer) -> None:
    folder = store_of(path).folder
    for name in ("ledger", "cluster_ids", "published"):
        shutil.rmtree(folder / name)
    assert ids_of(learn(vector_store, 3, seed=1)) == {0, 1, 2}
    learn(vector_store, 3, seed=2)


def test_an_old_copy_of_the_ledger_gives_no_id_that_readers_know(path: Path, vector_store: Writer) -> None:
    store = store_of(path)
    known = ids_of(path)
    rollback(load_project(path), 1)
    # The same as after restoring a backup from before the second learning; a new disk lost the kept versions.
    shutil.rmtree(store.ledger_folder / "000002")
    shutil.rmtree(store.folder / "cluster_ids")
    assert max(known) >= 3
    relearned = ids_of(learn(vector_store, 5, seed=1))
    assert not {id_ for id_ in relearned if id_ > 2} & known
    assert len(relearned) == 5


def test_going_back_tells_of_abandoned_ids_in_the_changes(path: Path, vector_store: Writer) -> None:
    """As the page of published tables promises: no row in clusters and lineage, but every image that left these ids."""
    publication = Publication(store_of(path).published_folder)
    abandoned = publication.versions()[-1]
    learn(vector_store, 3)
    newest = publication.versions()[-1]
    assert (newest.number, newest.entry, set(newest.table("lineage")["entry"])) == (3, 1, {1})
    gone = set(abandoned.clusters["cluster_id"]) - set(newest.table("lineage")["cluster_id"])
    assert gone
    was_there = abandoned.assignments.filter(pl.col("cluster_id").is_in(gone))["image_id"]
    left = newest.table("changes").filter(pl.col("old_cluster_id").is_in(gone))["image_id"]
    assert sorted(left) == sorted(was_there)


def test_raised_code_reads_every_shard_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = load_project(path)
    before = execute(results.assignments, project).artifact.facts
    monkeypatch.setattr(results, "assignments", replace(results.assignments, code_version="raised"))
    after = execute(results.assignments, project).artifact.facts
    assert (before["images_computed"], after["images_computed"]) == (60, 60)
    assert before["key"] != after["key"]


@pytest.mark.parametrize("name", ["cluster_ids", "corrections"])
def test_raised_code_of_the_centers_does_so_too(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    groups = np.arange(3)
    before = corrected._assigned_key("heads", groups)
    assert before == digest(["heads", [0, 1, 2], "3"]), "what earlier versions assigned is found again"
    monkeypatch.setattr(corrected, name, replace(getattr(corrected, name), code_version="raised"))
    assert corrected._assigned_key("heads", groups) != before


def test_ids_that_were_never_published_are_not_given_again_either(vector_store: Writer) -> None:
    path = vector_store({"clusters.count": 3})
    materialize(path)
    publish(load_project(path), by_hand=True)
    materialize(vector_store({"clusters.count": 5}))
    known = ids_of(path)
    shutil.rmtree(store_of(path).ledger_folder / "000002")
    relearned = ids_of(learn(vector_store, 5, seed=1))
    assert not {id_ for id_ in relearned if id_ > 2} & known
