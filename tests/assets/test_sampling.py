"""A balanced training set: rare kinds are in it, and it hardly changes while the store grows."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from assets_helpers import materialize, table
from small_store import DIM, write_vectors

from assets.engine.execute import execute, open_store
from assets.graph import ancestors, find
from assets.orchestration import checks
from tac_pipeline.method import balanced_sample
from tac_pipeline.settings.project import load_project
from tac_pipeline.store.artifact import Artifact
from tac_pipeline.store.schemas import TRAINING_CELLS, TRAINING_WEIGHTS

Writer = Callable[..., Path]
BALANCED = {"training_set.max_images": 60, "training_set.sampling": "balanced"}
GROWING = ["image_manifest", "image_embeddings"]
COMMON, RARE = 300, 8


def write(path: Path, common: int = COMMON, rare: int = RARE) -> None:
    """Many images around two centers, and a few around a third; the first ones do not hang on how many there are."""
    generator = np.random.default_rng(0)
    rows = 0.1 * generator.normal(size=(common + 100, DIM))
    kinds = np.arange(common) % 2
    rows = np.concatenate([rows[100:] + np.eye(DIM)[kinds], rows[:rare] + np.eye(DIM)[2]])
    ids = [*(f"common-{number:03d}" for number in range(common)), *(f"rare-{number:03d}" for number in range(rare))]
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    write_vectors(path.parent / "images.parquet", ids, rows.astype(np.float32))


@pytest.fixture
def tailed(vector_store: Writer, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """A store whose balanced sample has three cells."""
    monkeypatch.setattr(balanced_sample, "IMAGES_PER_CELL", 20)

    def prepared(changes: dict[str, Any]) -> Path:
        path = vector_store({"images.labels": "none", **changes})
        write(path)
        materialize(path, GROWING)
        return path

    return prepared


def learn(path: Path, *, anew: bool = True) -> Artifact:
    return execute(find("training_set"), load_project(path), anew=anew).artifact


def rare(path: Path) -> int:
    return int(table(path, "training_set")["image_id"].str.starts_with("rare").sum())


def test_a_rare_kind_is_learned_from_as_a_whole(tailed: Callable[..., Path]) -> None:
    path = tailed({"training_set.max_images": 60})
    plain = learn(path)
    assert rare(path) < RARE / 2
    assert set(plain.record["files"]) == {"training_set.parquet"}
    assert plain.record["values"] == {"images": 60, "seed": 0}
    settings = path.read_text().replace("max_images: 60", "max_images: 60\n  sampling: balanced")
    path.write_text(settings)
    balanced = learn(path)
    assert (rare(path), balanced.rows) == (RARE, 60)
    cells = balanced.frame(TRAINING_CELLS)
    assert cells["images"].sum() == COMMON + RARE
    assert cells["drawn"].sum() == 60
    assert balanced.facts["cells"] == len(cells) == 3
    assert balanced.facts["most_of_a_cell"] == cells["drawn"].max() == 26
    weights = dict(balanced.frame(TRAINING_WEIGHTS).iter_rows())
    assert sum(weights.values()) == pytest.approx(COMMON + RARE, rel=1e-5)
    assert {weight for image_id, weight in weights.items() if image_id.startswith("rare")} == {1}


def test_one_new_image_changes_at_most_one_and_nothing_new_changes_nothing(tailed: Callable[..., Path]) -> None:
    path = tailed(BALANCED)
    first, images = learn(path), set(table(path, "training_set")["image_id"])
    assert learn(path).recipe == first.recipe, "the same images"
    write(path, rare=RARE + 1)
    materialize(path, GROWING)
    second = learn(path)
    now = set(table(path, "training_set")["image_id"])
    assert now - images == {f"rare-{RARE:03d}"}
    assert len(images - now) == 1
    assert second.record["values"]["cells"]
    assert second.frame(TRAINING_CELLS)["embedding"].equals(first.frame(TRAINING_CELLS)["embedding"])
    assert second.facts["cells_found_in"] == COMMON + RARE
    assert learn(path).recipe == second.recipe
    write(path, common=COMMON + 40)
    materialize(path, GROWING)
    third = learn(path)
    assert "cells" not in third.record["values"], "found again: a tenth more images"
    assert third.facts["cells_found_in"] == COMMON + 40 + RARE


def test_one_that_was_lost_is_made_again_with_its_cells_and_weights(tailed: Callable[..., Path]) -> None:
    path = tailed(BALANCED)
    first = learn(path)
    before = {schema: first.frame(schema) for schema in (TRAINING_CELLS, TRAINING_WEIGHTS)}
    write(path, rare=RARE + 2)
    materialize(path, GROWING)
    (first.folder / "training_set.parquet").unlink()
    again = learn(path, anew=False)
    assert (again.recipe, again.content, again.facts) == (first.recipe, first.content, first.facts)
    assert all(again.frame(schema).equals(frame) for schema, frame in before.items())
    assert open_store(load_project(path)).whole_current("training_set") is not None


def test_a_split_is_balanced_by_itself_and_examples_come_first(tailed: Callable[..., Path]) -> None:
    path = tailed({**BALANCED, "training_set.split": "train", "known.column": "kind"})
    images = pl.read_parquet(path.parent / "images.parquet")
    number = pl.col("image_id").str.slice(-3).cast(pl.Int32)
    images = images.with_columns(
        split=pl.when(number % 4 == 0).then(pl.lit("test")).otherwise(pl.lit("train")),
        kind=pl.when(pl.col("image_id").is_in(["common-101", "common-103"])).then(pl.lit("odd")),
    )
    images.write_parquet(path.parent / "images.parquet")
    materialize(path, [*GROWING, "image_splits", "known_labels"])
    cells = learn(path).frame(TRAINING_CELLS)
    learned = table(path, "training_set").filter(number % 4 == 0)
    assert learned.is_empty()
    assert cells["images"].sum() == (COMMON + RARE) * 3 / 4
    assert {"common-101", "common-103"} < set(table(path, "training_set")["image_id"])


def test_a_store_that_fits_is_learned_from_as_it_is(tailed: Callable[..., Path]) -> None:
    path = tailed({"training_set.sampling": "balanced"})
    made = learn(path)
    assert (made.rows, made.record["values"]) == (COMMON + RARE, {"images": "all"})
    assert set(made.record["files"]) == {"training_set.parquet"}


def test_the_whole_store_is_assigned_and_its_drift_goes_by_weights(
    vector_store: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = vector_store({**BALANCED, "training_set.max_images": 40})
    made = materialize(path, [step.name for step in ancestors([find("assignments")], load_project(path).settings)])
    store, assignments = open_store(load_project(path)), made["assignments"].artifact
    assert table(path, "assignments")["cluster_id"].null_count() == 0
    monkeypatch.setattr(checks, "MIN_NEW", 20)
    found = checks.drift(assignments, store)
    assert found.numbers["new images"] == 20
    assert "A training image counts as the images that it was drawn for." in found.sentence
    weights = made["training_set"].artifact.frame(TRAINING_WEIGHTS)
    known = table(path, "assignments").join(weights, on="image_id")
    wanted = np.average(known["confidence"], weights=known["weight"])
    assert found.numbers["confidence of known"] == pytest.approx(wanted, abs=1e-6)
    assert found.numbers["confidence of known"] != pytest.approx(known["confidence"].mean(), abs=1e-9)
