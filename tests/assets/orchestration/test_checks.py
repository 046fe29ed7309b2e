"""The checks: what they say at their bounds, and which of them keep a result from readers."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import polars as pl
import pytest
from assets_helpers import materialize
from small_store import DIM, grouped_vectors, write_vectors

from assets.engine.execute import open_store
from assets.graph import GROWTH, find
from assets.orchestration import checks
from assets.orchestration.checks import CHECKS, Finding
from assets.orchestration.run_liveness import LIFE_RESOURCE, build_sign_of_life
from tac_pipeline.settings.project import load_project
from tac_pipeline.store.artifacts import Artifact, Store
from tac_pipeline.store.parquet import TableSchema, write_table
from tac_pipeline.store.schemas import CLUSTERS, LOSS_HISTORY

Writer = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Artifact]:
    """Makes an artifact of some facts and tables."""

    def build(facts: Mapping[str, Any] | None = None, *tables: tuple[TableSchema, pl.DataFrame]) -> Artifact:
        files = {}
        for schema, table in tables:
            path = tmp_path / f"{schema.name}.parquet"
            write_table(path, schema, table)
            files[path.name] = {"size": path.stat().st_size}
        return Artifact("some", "recipe", tmp_path, {"facts": dict(facts or {}), "files": files})

    return build


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def cluster_table(*sizes: int) -> pl.DataFrame:
    names = [f"noun {number}" if number else None for number in range(len(sizes))]
    shares = [size / max(sum(sizes), 1) for size in sizes]
    return pl.DataFrame({"cluster_id": range(len(sizes)), "name": names, "size": sizes, "share": shares}).with_columns(
        alternatives=pl.lit(["other"]),
        confidence=pl.lit(0.5),
        medoids=pl.lit(["a"]),
        lineage=pl.lit("born"),
        alternative_weights=pl.lit([0.1]),
        name_confidence=pl.lit(0.5),
        curated=pl.lit(False),
    )


def losses(totals: list[float]) -> pl.DataFrame:
    columns = dict.fromkeys(("distillation", "confidence", "balance", "total"), totals)
    return pl.DataFrame({"epoch": range(1, len(totals) + 1), **columns})


@pytest.mark.parametrize(
    ("unreadable", "passed", "blocks"),
    [
        (0, True, False),
        (10, True, False),
        (11, False, False),
        (200, False, False),
        (201, False, True),
        (1000, False, True),
    ],
)
def test_unreadable_images_warn_and_many_block(
    make: Callable[..., Artifact], store: Store, unreadable: int, passed: bool, blocks: bool
) -> None:
    found = checks.unreadable_images(make({"unreadable": unreadable, "readable": 1000 - unreadable}), store)
    assert (found.passed, found.blocks) == (passed, blocks)
    assert f"{unreadable:,} of 1,000 images cannot be read" in found.sentence
    assert ("The column `error`" in found.sentence) == (not passed)


@pytest.mark.parametrize(
    ("sizes", "passed", "blocks", "words"),
    [
        ([10, 12, 11], True, False, "All 3 clusters have images, none is a giant."),
        ([10, 0, 11], False, False, "1 of 3 clusters are empty: clusters.count may be too large."),
        ([91, 5, 4], False, True, "Clusters far above their even share: 0 (unnamed, 91%)."),
        ([5, 91, 4], False, True, "Clusters far above their even share: 1 (noun 1, 91%)."),
        # With two clusters, one may hold nearly all images.
        ([95, 5], False, False, "Clusters far above their even share: 0 (unnamed, 95%)."),
        ([30] + [5] * 14, True, False, "All 15 clusters have images"),
        ([60] + [5] * 14, False, False, "0 (unnamed, 46%)"),
        # A store in which all images are unreadable now.
        ([0, 0, 0], False, False, "3 of 3 clusters are empty"),
        ([7], False, False, "0 (unnamed, 100%)"),
    ],
)
def test_cluster_sizes_warn_and_a_collapse_blocks(
    make: Callable[..., Artifact], store: Store, sizes: list[int], passed: bool, blocks: bool, words: str
) -> None:
    found = checks.cluster_sizes(make({}, (CLUSTERS, cluster_table(*sizes))), store)
    assert (found.passed, found.blocks) == (passed, blocks)
    assert words in found.sentence


@pytest.mark.parametrize(("bare", "passed"), [(0, True), (5, True), (6, False)])
def test_centers_without_a_noun_warn_alone(
    make: Callable[..., Artifact], store: Store, bare: int, passed: bool
) -> None:
    found = checks.centers_without_noun(make({"centers_without_noun": bare, "n_centers": 10}), store)
    assert (found.passed, found.blocks) == (passed, False)
    assert f"{bare} of 10 semantic centers own no noun" in found.sentence


@pytest.mark.parametrize(
    ("totals", "passed", "blocks", "words"),
    [
        ([5.0, 3.0, 2.0, 1.5, 1.2, 1.1, 1.05, 1.02, 1.01, 1.0], True, False, "The loss stopped falling"),
        ([10.0, 9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0], False, False, "still brought 11% of the fall: raise"),
        ([1.0, 1.0, 1.0], False, True, "The loss did not fall in 3 epochs: lower heads.learning_rate."),
        ([1.0, 2.0, 3.0], False, True, "The loss did not fall in 3 epochs"),
        # One epoch shows nothing, and must not stop a result from being published.
        ([1.0], False, False, "One epoch cannot show whether the loss falls: raise heads.epochs."),
        ([2.0, 1.0], False, False, "raise heads.epochs"),
    ],
)
def test_a_loss_that_did_not_fall_blocks(
    make: Callable[..., Artifact], store: Store, totals: list[float], passed: bool, blocks: bool, words: str
) -> None:
    found = checks.heads_converged(make({}, (LOSS_HISTORY, losses(totals))), store)
    assert (found.passed, found.blocks) == (passed, blocks)
    assert words in found.sentence


def grow(path: Path, vectors: np.ndarray, *, keep: int = 60) -> Finding:
    """Add images to the store, assign them, and look for drift."""
    old, _ = grouped_vectors()
    ids = [f"image-{n:03d}" for n in range(keep)] + [f"new-{n:03d}" for n in range(len(vectors))]
    write_vectors(path.parent / "images.parquet", ids, np.concatenate([old[:keep], vectors]), ["x"] * len(ids))
    materialize(path, [step.name for step in GROWTH])
    current = open_store(load_project(path))
    return checks.drift(current.require_current("assignments").artifact, current)


def test_images_like_those_that_were_learned_from_are_no_drift(vector_store: Writer) -> None:
    path = vector_store({"images.max_loss": 1})
    materialize(path)
    few = grow(path, grouped_vectors(5, per_group=9)[0])
    assert few.passed
    assert few.sentence.startswith("27 images came that the groups were not learned from: too few")
    # The same vectors as the training images, under other names.
    many = grow(path, grouped_vectors(0)[0])
    assert many.passed, many.sentence
    assert many.numbers["share of outliers"] <= 0.1
    assert many.numbers["share of new"] == 0.5


def test_images_of_another_kind_are_a_drift_and_block_nothing(vector_store: Writer) -> None:
    path = vector_store({"images.max_loss": 1})
    materialize(path)
    strange = np.eye(DIM, dtype=np.float32)[np.arange(40) % 10 + 5]
    found = grow(path, strange)
    assert (found.passed, found.blocks) == (False, False)
    assert "40 images (40% of the store) are not among those that the groups were learned from" in found.sentence
    assert "A re-clustering is worth it: many of them fit no cluster" in found.sentence
    assert "`tac run --recluster`" in found.sentence
    assert found.numbers["share of outliers"] == 1
    materialize(path)
    assert "0 images came" in grow(path, strange).sentence


def test_a_store_in_which_no_training_image_is_left_wants_a_re_clustering(vector_store: Writer) -> None:
    path = vector_store({"images.max_loss": 1})
    materialize(path)
    found = grow(path, grouped_vectors(5)[0], keep=0)
    assert (found.passed, found.blocks) == (False, False)
    assert found.sentence.startswith("None of the images that the groups were learned from is in the store any more.")


def run_checks(path: Path) -> dg.ExecuteInProcessResult:
    """What Dagster's own run of the checks says."""
    job = dg.define_asset_job("look", selection=dg.AssetSelection.all_asset_checks())
    defs = dg.Definitions(
        asset_checks=checks.build_checks(load_project(path)),
        jobs=[job],
        resources={LIFE_RESOURCE: build_sign_of_life(load_project(path))},
    )
    with dg.DagsterInstance.ephemeral() as instance:
        return defs.resolve_job_def("look").execute_in_process(instance=instance, raise_on_error=False)


def test_dagster_shows_every_check_and_what_blocks_as_an_error(
    vector_store: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = vector_store()
    materialize(path)

    def bad(artifact: Artifact, store: Store) -> Finding:
        """Every check fails."""
        return Finding(False, f"{artifact.asset} is bad.", {"share": 0.5}, blocks=True)

    monkeypatch.setattr(checks, "CHECKS", (*CHECKS, (find("clusters"), bad)))
    found = {entry.check_name: entry for entry in run_checks(path).get_asset_check_evaluations()}
    severities = {name: entry.severity for name, entry in found.items()}
    assert severities == {look.__name__: dg.AssetCheckSeverity.WARN for _, look in CHECKS} | {
        "bad": dg.AssetCheckSeverity.ERROR
    }
    assert (found["bad"].passed, found["bad"].description) == (False, "clusters is bad.")
    assert found["cluster_sizes"].passed
    assert found["cluster_sizes"].description == "All 3 clusters have images, none is a giant."
    assert {entry.asset_key.path[0] for entry in found.values()} == {"small"}


def test_a_check_of_what_is_not_there_fails_with_a_sentence(vector_store: Writer) -> None:
    failures = run_checks(vector_store()).get_step_failure_events()
    texts = [str(event.step_failure_data.user_failure_data.description) for event in failures]
    assert len(texts) == len(CHECKS)
    assert any(text.startswith("clusters has not been materialized in") for text in texts)
