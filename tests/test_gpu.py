"""What runs on a card: equal to the CPU but for rounding, and the same each time. Skipped without a CUDA device."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch
from reference import random_unit_rows

from tac_pipeline.arrays import unit_rows
from tac_pipeline.encoders import open_clip_encoder
from tac_pipeline.method.clusters.evaluation import matched_rows
from tac_pipeline.method.grouping.neighbors import nearest_neighbors
from tac_pipeline.method.grouping.spherical_kmeans import refine_centers, spherical_kmeans
from tac_pipeline.method.grouping.ward import ward_kmeans
from tac_pipeline.method.heads.cluster_head import soft_assignment
from tac_pipeline.method.heads.training import train_blended_heads, train_cluster_heads
from tac_pipeline.method.values.published import TrainingSchedule
from tac_pipeline.tensors import group_sums, group_sums_on

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")

MODEL = ("ViT-B-32-quickgelu", "random")


def blobs(n_rows: int, n_groups: int, *, dim: int = 64) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    truth = generator.integers(n_groups, size=n_rows)
    centers = generator.normal(size=(n_groups, dim))
    return unit_rows(centers[truth] + 0.3 * generator.normal(size=(n_rows, dim)) + 2), truth


def test_k_means_finds_the_groups_of_the_cpu_and_the_same_bits_again() -> None:
    rows, truth = blobs(3000, 12)
    asked = {"n_clusters": 12, "restarts": 3, "max_iterations": 50, "seed": 0}
    here, there, again = (spherical_kmeans(rows, device=device, **asked) for device in ("cpu", "cuda", "cuda"))
    assert matched_rows(truth, there.assignment).all()
    assert matched_rows(here.assignment, there.assignment).all()
    assert there.objective == pytest.approx(here.objective, abs=1e-5)
    np.testing.assert_array_equal(there.centers, again.centers)
    np.testing.assert_array_equal(there.assignment, again.assignment)


def test_two_levels_end_where_they_do_on_the_cpu() -> None:
    rows, truth = blobs(6000, 60)
    here, there, again = (
        ward_kmeans(rows, n_clusters=60, seed=0, levels=2, device=device) for device in ("cpu", "cuda", "cuda")
    )
    assert there.objective == pytest.approx(here.objective, abs=1e-4)
    assert matched_rows(truth, there.assignment).mean() > 0.97
    np.testing.assert_array_equal(there.centers, again.centers)


def test_of_equal_centers_the_first_is_taken_and_an_empty_cluster_starts_again() -> None:
    rows, truth = blobs(300, 3)
    starts = rows[[0, 0, int(np.flatnonzero(truth != truth[0])[0])]]
    here, there = (refine_centers(rows, starts, max_iterations=50, device=device) for device in ("cpu", "cuda"))
    np.testing.assert_array_equal(here.assignment, there.assignment)
    assert matched_rows(truth, there.assignment).all()


@pytest.mark.parametrize("many", [1000, 6], ids=["few groups", "many groups"])
def test_sums_of_groups_are_the_same_bits_each_time(many: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tac_pipeline.tensors.MANY_GROUPS", many)
    monkeypatch.setattr("tac_pipeline.tensors.ONES_AT_ONCE", 1000)
    rows, groups = blobs(5000, 7)
    on_card = [torch.from_numpy(rows).cuda(), torch.from_numpy(groups)]
    found = [group_sums_on(*on_card, n_groups=7).cpu().numpy() for _ in range(3)]
    np.testing.assert_allclose(found[0], group_sums(rows, groups, n_groups=7), rtol=1e-4, atol=1e-3)
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


@pytest.mark.parametrize("train", [train_cluster_heads, train_blended_heads])
def test_heads_are_those_of_the_cpu_but_for_rounding_and_the_same_again(train) -> None:
    rows, _ = blobs(600, 5)
    near = np.random.default_rng(0).integers(600, size=(600, 4))
    asked = {"n_clusters": 5, "schedule": TrainingSchedule(3, 100, 0.5), "balance_weight": 5.0, "learning_rate": 1e-3}
    here, there, again = (
        soft_assignment(train(rows, rows, near, near, device=device, seed=0, **asked).image_head, rows)
        for device in ("cpu", "cuda", "cuda")
    )
    assert (here.argmax(axis=1) == there.argmax(axis=1)).mean() > 0.98
    np.testing.assert_array_equal(there, again)


def test_a_store_grows_on_a_card() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (8, 3, 224, 224), dtype=np.uint8)
    here, there = (open_clip_encoder(*MODEL, device=device) for device in ("cpu", "cuda"))
    assert np.einsum("ij,ij->i", here.encode_images(pixels), there.encode_images(pixels)).min() > 0.9999
    texts = ["a photo of a dog", "a very long red house beside the sea", "x", "boats", "a photo of a cat"]
    vectors = [made.encode_texts(texts, batch_size=4) for made in (here, there)]
    assert np.einsum("ij,ij->i", *vectors).min() > 0.9999
    assert here.fingerprint == there.fingerprint


def test_a_full_card_encodes_fewer_at_once_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    made = open_clip_encoder(*MODEL, device="cuda")
    pixels = np.random.default_rng(0).integers(0, 256, (1024, 3, 224, 224), dtype=np.uint8)
    expected = made.encode_images(pixels)
    torch.cuda.empty_cache()
    held = torch.cuda.memory_reserved() / torch.cuda.get_device_properties(0).total_memory
    try:
        torch.cuda.set_per_process_memory_fraction(held + 0.01)
        with caplog.at_level(logging.WARNING):
            found = made.encode_images(pixels)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert "images at once do not fit the memory of cuda that is free: continuing with" in caplog.text
    assert np.einsum("ij,ij->i", found, expected).min() > 0.9999


def test_neighbors_on_a_card_are_those_of_every_pair() -> None:
    rows = random_unit_rows(400, 16, 0)
    some = np.array([3, 30, 399])
    here, there = (nearest_neighbors(rows, count=7, of=some, device=device) for device in ("cpu", "cuda"))
    np.testing.assert_array_equal(here, there)
