"""What results read while learning is unfinished: the artifacts that the groups in force were learned from."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from assets_helpers import materialize
from small_store import grouped_vectors, write_vectors

from assets.engine.execute import open_store
from assets.graph import GROWTH, STEPS
from assets.lookups.status import State, all_status
from assets.orchestration.publishing import publish
from tac_pipeline.errors import ArtifactOutdated, InputError
from tac_pipeline.settings.project import load_project
from tac_pipeline.store.artifacts import Artifact, Store

Writer = Callable[..., Path]
GROWING = [step.name for step in GROWTH]
RESULTS = ["assignments", "clusters", "cluster_tree", "evaluation", "review"]


def grow(path: Path, count: int) -> None:
    """Add this many images to the first sixty in the source."""
    vectors, truth = grouped_vectors()
    more, groups = grouped_vectors(3, per_group=40)
    ids = [f"image-{number:03d}" for number in range(60)] + [f"new-{number:03d}" for number in range(count)]
    labels = [f"group {group}" for group in (*truth, *groups[:count])]
    write_vectors(path.parent / "images.parquet", ids, np.concatenate([vectors, more[:count]]), labels)


def fail_to_learn(path: Path) -> None:
    """A learning run that makes its training set current and fails at the heads.

    It replaces code by itself, so that the tests may begin with a copy of a ready store.
    """

    def fail(*_: Any, **__: Any) -> None:
        raise InputError("the training failed")

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("tac_pipeline.method.heads.linear_head.center_head", fail)
        with pytest.raises(InputError, match="the training failed"):
            materialize(path)


def current(store: Store, name: str) -> Artifact:
    return store.require_current(name).artifact


def test_after_a_failed_learning_growth_goes_on_with_the_groups_in_force(vector_store: Writer) -> None:
    path = vector_store({"keep_versions": 2})
    first = {name: outcome.artifact.content for name, outcome in materialize(path).items()}
    store = open_store(load_project(path))
    # More often than versions are kept: versions in use are not pruned.
    for count in (3, 6, 9):
        grow(path, count)
        fail_to_learn(path)
        assert current(store, "training_set").rows == 60 + count
        done = materialize(path, GROWING)
        assert not any(done[name].reused for name in RESULTS)
        for name in RESULTS:
            for above, content in current(store, name).record["inputs"].items():
                growing = above in GROWING
                assert content == (current(store, above).content if growing else first[above]), (name, above)
    placed = pl.read_parquet(current(store, "assignments").file("assignments.parquet"))
    assert len(placed) == 69
    assert placed["cluster_id"].null_count() == 0
    scores = pl.read_parquet(current(store, "evaluation").file("evaluation.parquet"))
    assert scores["labeled_images"].to_list() == [60, 60, 60, 69]
    assert publish(load_project(path), by_hand=False).moved
    states = {entry.step.name: entry.state for entry in all_status(load_project(path))}
    assert states["cluster_heads"] == State.STALE, "that learning is due stays visible"

    materialize(path)
    assert current(store, "cluster_ids").record["inputs"]["training_set"] == current(store, "training_set").content
    assert {entry.state for entry in all_status(load_project(path))} == {State.FRESH}


def test_what_the_groups_in_force_were_learned_from_is_kept_however_few_versions_are(vector_store: Writer) -> None:
    path = vector_store({"keep_versions": 1})
    materialize(path)
    for count in (3, 6):
        grow(path, count)
        fail_to_learn(path)
        assert open_store(load_project(path)).require_current("training_set").artifact.rows == 60 + count
        materialize(path, GROWING)
    # The first run ends the need for the older ones, the second removes them.
    materialize(path)
    materialize(path)
    assert {entry.state for entry in all_status(load_project(path))} == {State.FRESH}
    store = open_store(load_project(path))
    assert [len(store.versions(name)) for name in ("training_set", "text_counterparts", "cluster_ids")] == [1, 1, 1]


def test_without_the_version_that_is_needed_the_way_out_is_a_run(vector_store: Writer) -> None:
    path = vector_store()
    first = materialize(path)["training_set"].artifact
    grow(path, 3)
    fail_to_learn(path)
    shutil.rmtree(first.folder)
    with pytest.raises(ArtifactOutdated) as refused:
        materialize(path, GROWING)
    assert str(refused.value).endswith("learning did not finish. Finish it: `tac run`.")
    materialize(path)
    assert {entry.state for entry in all_status(load_project(path))} == {State.FRESH}


@pytest.mark.parametrize(
    ("edit", "reached"),
    [
        # The training set is read by corrections too, which no new image makes stale.
        ({"seed": 11}, "training_set"),
        ({"clusters.count": 4}, "cluster_heads"),
        ({"semantic_centers.images_per_center": 12}, "noun_vocabulary"),
        ({"method": "published"}, "cluster_heads"),
    ],
)
def test_growth_goes_on_when_edited_settings_have_not_been_learned(
    vector_store: Writer, edit: dict[str, Any], reached: str | None
) -> None:
    """A learning that was stopped before it began, or after one of its steps, holds up no new image."""
    path = vector_store({"keep_versions": 1})
    first = materialize(path)
    path = vector_store(edit)
    names = [step.name for step in STEPS]
    if reached is not None:
        materialize(path, names[: names.index(reached) + 1])
    grow(path, 3)
    with pytest.raises(ArtifactOutdated, match="Build first"):
        materialize(path, GROWING)
    # The steps that a new image makes stale.
    done = materialize(path, [name for name in GROWING if name != "corrections"], in_force=True)
    project = load_project(path)
    assert done["assignments"].artifact.rows == 63
    assert done["assignments"].artifact.record["inputs"]["corrections"] == first["corrections"].artifact.content
    assert publish(project, by_hand=False).moved
    states = {entry.step.name: entry.state for entry in all_status(project)}
    assert State.FRESH not in (states["cluster_ids"], states["assignments"]), "that learning is due stays visible"
    materialize(path)
    assert {entry.state for entry in all_status(project)} == {State.FRESH}
    assert publish(project, by_hand=True).moved
