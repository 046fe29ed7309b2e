"""A method as named pieces, and the walk that computes what is asked for."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from reference import random_unit_rows

from assets.engine.by_method import KEYS
from assets.graph import STEPS
from tac_pipeline.method import METHODS, load_method
from tac_pipeline.method.grouping import neighbors, spherical_kmeans, ward
from tac_pipeline.method.grouping.lloyd import two_levels
from tac_pipeline.method.paper import PAPER
from tac_pipeline.method.recipe import CHOICES, Method, Piece, Walk
from tac_pipeline.method.words.noun_shortlist import CandidateVectors
from tac_pipeline.method.words.text_counterparts import Counterparts
from tac_pipeline.settings.keys import settings_keys

IMAGES, NOUNS = random_unit_rows(40, 16, 0), random_unit_rows(30, 16, 1)
CHOSEN = dict.fromkeys(CHOICES) | {
    "images_per_center": 10,
    "nouns_per_center": 2,
    "tau": 0.05,
    "epochs": 2,
    "batch_size": 20,
    "balance_weight": 5.0,
    "learning_rate": 1e-3,
    "seed": 0,
    "device": "cpu",
}


def walk(method: Method, *, count: int = 3, **choices) -> Walk:
    given = {"training_set": IMAGES, "noun_shortlist": CandidateVectors.whole(NOUNS), "cluster_count": count}
    return Walk(method, given=given, choices=CHOSEN | choices)


def test_a_piece_is_computed_once_and_only_when_it_is_asked_for() -> None:
    calls = []

    def count(known, values):
        calls.append(values)
        return PAPER.semantic_centers.compute(known, values)

    found = walk(replace(PAPER, semantic_centers=replace(PAPER.semantic_centers, compute=count)))
    assert calls == []
    assert not found.has("noun_vocabulary")
    assert found.result("text_counterparts").rows.shape == IMAGES.shape
    found.result("noun_vocabulary")
    assert len(calls) == 1
    assert found.has("noun_vocabulary")
    assert not found.has("cluster_heads")


def test_what_a_piece_passes_on_is_a_part_of_its_outcome() -> None:
    found = walk(PAPER)
    chosen = found.outcome("noun_vocabulary").rows
    np.testing.assert_array_equal(found.result("noun_vocabulary"), NOUNS[chosen])
    np.testing.assert_array_equal(found.result("image_kmeans"), found.outcome("image_kmeans").assignment)


@pytest.mark.parametrize("name", METHODS)
def test_a_method_is_called_as_the_settings_call_it_and_runs_to_its_end(name: str) -> None:
    method = load_method(name)
    assert method.name == name
    assert walk(method, members=1).result("cluster_heads").image_head is not None


@pytest.mark.parametrize("name", ["published", "robust"])
def test_k_means_runs_where_the_device_says(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str]] = []

    def on_the_cpu(compute, *, device: str, what: str):
        asked.append((what, device))
        return compute("cpu")

    for room in (spherical_kmeans, neighbors):
        monkeypatch.setattr(room, "or_on_the_cpu", on_the_cpu)
    found = walk(load_method(name), device="cuda:1")
    for piece in ("semantic_centers", "image_kmeans", "training_free_clusters"):
        before = len(asked)
        found.outcome(piece)
        assert ("k-means", "cuda:1") in asked[before:], piece
    if name == "robust":
        assert ("the search for neighbors", "cuda:1") in asked


@pytest.mark.parametrize("name", METHODS)
def test_many_clusters_are_found_on_two_levels_and_the_recipe_says_so(name: str, monkeypatch) -> None:
    asked: list[int] = []

    def on_two_levels(rows, *, n_clusters: int, **given):
        asked.append(n_clusters)
        return two_levels.cluster_in_two_levels(rows, n_clusters=n_clusters, **given)

    for room in (spherical_kmeans, ward):
        monkeypatch.setattr(room, "cluster_in_two_levels", on_two_levels)
    pieces = ("semantic_centers", "image_kmeans", "training_free_clusters", "cluster_heads")
    # Nine semantic centers and three clusters; only the clusters decide.
    monkeypatch.setattr(two_levels, "MANY_CLUSTERS", 3)
    few, many = walk(load_method(name), members=1), walk(load_method(name), members=1, count=4)
    for piece in pieces:
        values = load_method(name).piece(piece).values
        assert "levels" not in values(few), piece
        few.outcome(piece)
        assert asked == [], piece
    for piece in pieces if name == "robust" else pieces[:3]:
        values = load_method(name).piece(piece).values
        assert values(many)["levels"] == 2, piece
        before = len(asked)
        many.outcome(piece)
        assert len(asked) > before, piece


def test_a_third_method_needs_its_pieces_alone() -> None:
    def first_noun(known, _):
        rows = np.repeat(known.result("noun_vocabulary")[:1], len(known.result("training_set")), axis=0)
        return Counterparts(rows, 1.0)

    odd = replace(PAPER, name="odd", text_counterparts=Piece(first_noun))
    assert len(np.unique(walk(odd).result("text_counterparts").rows, axis=0)) == 1


def test_every_stored_piece_has_its_asset_and_every_choice_its_settings_key() -> None:
    stored = {step.name for step in STEPS if step.by_method}
    assert stored == set(Method.piece_names()) - {"text_rows"}
    assert set(KEYS) == set(CHOICES)
    assert set(KEYS.values()) <= {key.name for key in settings_keys()}


def test_an_asset_whose_piece_differs_between_methods_reads_the_method() -> None:
    """Otherwise a change of method would leave it fresh."""
    for step in STEPS:
        if step.by_method and "method" not in step.settings:
            pieces = [load_method(name).piece(step.name) for name in METHODS]
            assert all(piece == pieces[0] for piece in pieces), step.name


@pytest.mark.parametrize("name", METHODS)
def test_asking_for_a_method_does_not_import_torch(name: str) -> None:
    """`tac status` asks for the values of every piece, and must not wait for what only training needs."""
    code = (
        f"import sys; from tac_pipeline.method import load_method; load_method({name!r}); print('torch' in sys.modules)"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown.strip() == "False"
