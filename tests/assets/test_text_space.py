"""The number of groups: given, or found without a look at the labels, with its evidence."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from assets_helpers import computed, materialize
from small_store import GROUPS, grouped_vectors

from assets.engine.execute import open_store
from tac_pipeline.errors import InputError
from tac_pipeline.method.grouping import cluster_count
from tac_pipeline.settings.project import load_project

ABOVE = ["image_manifest", "image_labels", "image_embeddings", "training_set", "cluster_count"]


def current(path: Path, asset: str):
    return open_store(load_project(path)).require_current(asset).artifact


def test_the_number_is_found_and_its_evidence_kept(vector_store: Callable[..., Path]) -> None:
    path = vector_store({"clusters.count": "auto"})
    materialize(path, ABOVE)
    artifact = current(path, "cluster_count")
    assert artifact.facts["count"] == GROUPS
    assert artifact.facts["found"] is True
    evidence = pl.read_parquet(artifact.file("count_evidence.parquet"))
    assert evidence.sort("evidence")["count"][-1] == artifact.facts["without_bounds"] == GROUPS
    assert artifact.facts["images_looked_at"] == len(grouped_vectors()[0])
    assert "coarse" not in artifact.facts
    assert artifact.file("criterion_by_K.png").read_bytes().startswith(b"\x89PNG")


def test_labels_never_touch_the_number(vector_store: Callable[..., Path]) -> None:
    path = vector_store({"clusters.count": "auto"})
    materialize(path, ABOVE)
    path = vector_store({"images.labels": "none"})
    assert computed(materialize(path, ABOVE)) == {"image_labels"}


def test_a_number_found_and_the_same_number_given_lead_to_the_same_groups(vector_store: Callable[..., Path]) -> None:
    materialize(vector_store({"clusters.count": "auto"}))
    done = computed(materialize(vector_store({"clusters.count": GROUPS})))
    assert done == {"lessons", "cluster_count"}


def test_a_given_number_hangs_on_nothing_else(vector_store: Callable[..., Path]) -> None:
    materialize(vector_store(), ABOVE)
    done = computed(materialize(vector_store({"clusters.min": 3, "clusters.max": 9, "seed": 1}), ABOVE))
    assert "cluster_count" not in done - {"training_set"}


@pytest.mark.parametrize(("bounds", "count"), [({"clusters.min": 5}, 5), ({"clusters.max": 2}, 2)])
def test_the_bounds_hold(vector_store: Callable[..., Path], bounds: dict[str, int], count: int) -> None:
    path = vector_store({"clusters.count": "auto", **bounds})
    materialize(path, ABOVE)
    facts = current(path, "cluster_count").facts
    assert (facts["count"], facts["without_bounds"]) == (count, GROUPS)


def test_fine_is_another_word_for_auto(vector_store: Callable[..., Path]) -> None:
    materialize(vector_store({"clusters.count": "auto"}), ABOVE)
    assert computed(materialize(vector_store({"clusters.count": "fine"}), ABOVE)) == set()


def test_coarse_without_a_coarse_level_is_fine_and_says_so(vector_store: Callable[..., Path]) -> None:
    materialize(vector_store({"clusters.count": "auto"}), ABOVE)
    path = vector_store({"clusters.count": "coarse"})
    assert computed(materialize(path, ABOVE)) == {"cluster_count"}
    artifact = current(path, "cluster_count")
    assert artifact.facts["count"] == GROUPS
    assert "There is no coarse level" in artifact.record["notes"]["coarse"]["markdown"]


def test_coarse_takes_the_coarse_level(vector_store: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    estimate = cluster_count.estimate_cluster_count
    monkeypatch.setattr(
        cluster_count, "estimate_cluster_count", lambda *rows, **more: replace(estimate(*rows, **more), coarse=2)
    )
    path = vector_store({"clusters.count": "coarse"})
    materialize(path, ABOVE)
    facts = current(path, "cluster_count").facts
    assert (facts["count"], facts["coarse"], facts["without_bounds"]) == (2, 2, GROUPS)


def test_more_groups_than_images_are_refused(vector_store: Callable[..., Path]) -> None:
    with pytest.raises(
        InputError, match=r"clusters\.min must be at most .* got 61 and 60 images\. Lower clusters\.min"
    ):
        materialize(vector_store({"clusters.count": "auto", "clusters.min": 61}), ABOVE)
