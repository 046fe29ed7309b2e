"""The table: a settings key edited, and exactly these assets are stale."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from assets_helpers import materialize
from staleness import (
    CENTERS_DOWN,
    COUNT_DOWN,
    COUNTERPARTS_DOWN,
    CRITERION_DOWN,
    EMBEDDINGS_DOWN,
    HEADS_DOWN,
    METHOD_DOWN,
    NEIGHBORS_DOWN,
    NOUN_EMBEDDINGS_DOWN,
    RESULTS,
    SHORTLIST_DOWN,
    TRAINING_SET_DOWN,
    WEIGHT_DOWN,
)

from assets.graph import STEPS, find
from assets.lookups.status import State, all_status
from tac_pipeline.settings.keys import settings_keys
from tac_pipeline.settings.project import load_project

# key: (another value, the assets that it makes stale)
STALE: dict[str, tuple[Any, set[str]]] = {
    "store": ("other", set()),
    # They are about other artifacts.
    "groupings": ({"second": {"seed": 3}}, set()),
    "images.source": ("others.parquet", {"image_manifest", "image_labels", "image_splits", *EMBEDDINGS_DOWN}),
    "images.labels": ("none", {"image_labels", "evaluation"}),
    "training_set.split": ("train", {"image_splits", *TRAINING_SET_DOWN}),
    "training_set.sampling": ("balanced", TRAINING_SET_DOWN),
    "evaluation.split": ("test", {"image_splits", "evaluation"}),
    "images.max_pixels": (1_000, EMBEDDINGS_DOWN),
    "images.max_bytes": (1_000, EMBEDDINGS_DOWN),
    "images.compare": ("content", set()),
    "images.max_loss": (0.1, set()),
    # The listing shows what they change.
    "images.exclude": (["*_thumb.jpg"], set()),
    "images.follow_links": (True, set()),
    "images.timeout": (5.0, set()),
    "images.concurrent_reads": (8, set()),
    "encoder.model": ("ViT-B-16-quickgelu", {"criterion", *EMBEDDINGS_DOWN, *NOUN_EMBEDDINGS_DOWN}),
    "encoder.pretrained": ("random", {"criterion", *EMBEDDINGS_DOWN, *NOUN_EMBEDDINGS_DOWN}),
    "encoder.preset": (None, set()),
    "encoder.precision": ("int8", EMBEDDINGS_DOWN),
    "encoder.resize": (256, EMBEDDINGS_DOWN),
    "encoder.second.model": ("vit_small", {"criterion", *EMBEDDINGS_DOWN, *NOUN_EMBEDDINGS_DOWN}),
    "encoder.second.pretrained": ("random", {"criterion", *EMBEDDINGS_DOWN, *NOUN_EMBEDDINGS_DOWN}),
    "encoder.second.weight": (0.3, {"criterion", *EMBEDDINGS_DOWN, *NOUN_EMBEDDINGS_DOWN}),
    "encoder.batch_size": (3, set()),
    "encoder.device": ("cpu", set()),
    "nouns.source": ("other_nouns.parquet", {"candidate_nouns", *NOUN_EMBEDDINGS_DOWN}),
    "nouns.templates": (["a {}"], {"criterion", *SHORTLIST_DOWN}),
    "nouns.exclude_offensive": (False, {"candidate_nouns", *NOUN_EMBEDDINGS_DOWN}),
    "nouns.language": ("deu", {"clusters", "cluster_tree", "evaluation", "report"}),
    "nouns.language_data": ("words.tab", {"clusters", "cluster_tree", "evaluation", "report"}),
    "training_set.max_images": (50, TRAINING_SET_DOWN),
    "clusters.count": (4, {"lessons", *COUNT_DOWN}),
    "clusters.min": (3, {"lessons", *COUNT_DOWN}),
    "clusters.max": (9, {"lessons", *COUNT_DOWN}),
    "group_by": (["red thing 0", "blue thing 1"], {"criterion", "lessons", *CRITERION_DOWN}),
    "known.file": ("known.csv", {"known_labels", *TRAINING_SET_DOWN}),
    "known.folder": ("labeled", {"known_labels", *TRAINING_SET_DOWN}),
    "known.column": ("kind", {"known_labels", *TRAINING_SET_DOWN}),
    "semantic_centers.images_per_center": (12, CENTERS_DOWN),
    "semantic_centers.count": (4, CENTERS_DOWN),
    "vocabulary.nouns_per_center": (2, SHORTLIST_DOWN),
    "vocabulary.shortlist": (30, SHORTLIST_DOWN),
    "retrieval.tau": (0.02, COUNTERPARTS_DOWN),
    "blend.text_weight": (0.5, WEIGHT_DOWN),
    "neighbors.count": (4, NEIGHBORS_DOWN),
    "heads.members": (3, HEADS_DOWN),
    "heads.epochs": (3, HEADS_DOWN),
    "heads.batch_size": (20, HEADS_DOWN),
    "heads.temperature": (1.0, HEADS_DOWN),
    "heads.balance_weight": (4.0, HEADS_DOWN),
    "heads.learning_rate": (0.002, HEADS_DOWN),
    "method": ("published", {"lessons", *METHOD_DOWN}),
    "names.tau": (0.01, {"clusters", "cluster_tree", "evaluation", "report"}),
    "review.border_margin": (0.3, {"review", "report"}),
    "review.outlier_deviations": (2.5, {"review", "report"}),
    "review.duplicate_similarity": (0.99, {"review", "report"}),
    "report.images_per_cluster": (6, {"report"}),
    "report.map_images": (50, {"report"}),
    "schedule.observe": ("0 * * * *", set()),
    "schedule.recluster": (None, set()),
    "schedule.timezone": ("Europe/Berlin", set()),
    "schedule.refresh": (False, set()),
    "compute.engine": ("ray", set()),
    "compute.address": ("head:6379", set()),
    "compute.workers": (2, set()),
    "compute.gpus_per_worker": (0.5, set()),
    "corrections": ("corrections.yaml", RESULTS),
    "learn_from_corrections": (False, {"lessons"}),
    "publication.mode": ("manual", set()),
    "publication.to": ("shared", set()),
    "publication.options": ({"anon": False}, set()),
    "publication.grace_hours": (1.0, set()),
    "publication.timeout": (5.0, set()),
    "publish": ("manual", set()),
    "alerts.webhook": ("env:HOOK", set()),
    "alerts.slack": ("env:HOOK", set()),
    "alerts.command": (["true"], set()),
    "alerts.email.to": (["ops@example.org"], set()),
    "alerts.email.sender": ("tac@example.org", set()),
    "alerts.email.server": ("mail.example.org:587", set()),
    "alerts.email.user": ("tac", set()),
    "alerts.email.password": ("env:PASSWORD", set()),
    "alerts.causes": (["failed"], set()),
    "alerts.unreadable": (0.2, set()),
    "alerts.timeout": (5.0, set()),
    "seed": (1, TRAINING_SET_DOWN),
    "data": ("elsewhere", set()),
    "history_days": (7, set()),
    "keep_versions": (2, set()),
    "keep_days": (30, set()),
}


def test_the_table_names_every_key() -> None:
    assert set(STALE) == {key.name for key in settings_keys()}


@pytest.mark.parametrize("key", STALE)
def test_a_key_changes_the_versions_of_exactly_these_assets(key: str, vector_store: Callable[..., Path]) -> None:
    before = load_project(vector_store()).settings
    value, stale = STALE[key]
    after = load_project(vector_store({key: value})).settings
    assert {step.name for step in STEPS if step.version(before) != step.version(after)} == stale


def test_execution_keys_make_nothing_stale() -> None:
    execution = [key.name for key in settings_keys() if key.affects == "execution"]
    assert {name for key in execution for name in STALE[key][1]} == set()


def test_status_tells_the_same_before_and_after_a_run(vector_store: Callable[..., Path]) -> None:
    """With the artifacts on disk: after an edit exactly the table's assets are not fresh; after a run all are."""
    path = vector_store()
    assert {entry.state for entry in all_status(load_project(path))} == {State.MISSING}
    materialize(path)
    assert not_fresh(path) == {}
    for key, value in (("retrieval.tau", 0.02), ("neighbors.count", 4), ("clusters.count", 4), ("seed", 1)):
        path = vector_store({key: value})
        assert set(not_fresh(path)) == STALE[key][1]
        materialize(path)
        assert not_fresh(path) == {}


def test_status_says_why_and_what_can_be_reused(vector_store: Callable[..., Path]) -> None:
    path = vector_store()
    materialize(path)
    path = vector_store({"retrieval.tau": 0.02})
    found = not_fresh(path)
    assert found["text_counterparts"] == (State.STALE, "retrieval.tau: None -> 0.02")
    assert found["text_neighbors"] == (State.STALE, "waits for text_counterparts, text_weight")
    materialize(path)
    path = vector_store({"retrieval.tau": None})
    found = not_fresh(path)
    assert {state for state, _ in found.values()} == {State.REUSABLE}
    assert found["text_counterparts"][1] == "retrieval.tau: 0.02 -> None"


def test_a_written_default_is_reusable(vector_store: Callable[..., Path]) -> None:
    """null and the value that it means are two ways to write one recipe."""
    path = vector_store({"heads.epochs": None})
    materialize(path)
    found = not_fresh(vector_store({"heads.epochs": 50}))
    assert set(found) == HEADS_DOWN
    assert {state for state, _ in found.values()} == {State.REUSABLE}


def not_fresh(path: Path) -> dict[str, tuple[State, str]]:
    return {
        entry.step.name: (entry.state, entry.why)
        for entry in all_status(load_project(path))
        if entry.state != State.FRESH
    }


def test_status_says_that_the_code_of_an_asset_has_changed(vector_store: Callable[..., Path], monkeypatch) -> None:
    path = vector_store()
    materialize(path)
    raised = replace(find("clusters"), code_version="raised")
    steps = [raised if step.name == raised.name else step for step in STEPS]
    monkeypatch.setattr("assets.lookups.status.STEPS", steps)
    whys = {entry.step.name: (entry.state, entry.why) for entry in all_status(load_project(path))}
    assert whys["clusters"] == (State.STALE, "the code that makes it has changed")
    assert whys["assignments"] == (State.FRESH, "")
