"""The head that learns the joined result, and k-means as a head."""

import numpy as np
import pytest
import torch
from reference import random_unit_rows

from tac_pipeline.arrays import unit_rows
from tac_pipeline.errors import InputError
from tac_pipeline.method.grouping.consensus import one_hot
from tac_pipeline.method.grouping.spherical_kmeans import spherical_kmeans
from tac_pipeline.method.heads.cluster_head import soft_assignment
from tac_pipeline.method.heads.student import distill_head
from tac_pipeline.method.values.trained import STUDENT_BATCH, STUDENT_LEARNING_RATE, STUDENT_STEPS

ASKED = {"steps": 200, "batch_size": 64, "learning_rate": 1e-2, "device": "cpu"}


def test_a_head_learns_the_answer() -> None:
    rows = random_unit_rows(200, 8, 0)
    answer = spherical_kmeans(rows, n_clusters=4, restarts=3, max_iterations=50, seed=0).assignment
    head = distill_head(rows, one_hot(answer, n_clusters=4), seed=0, **ASKED)
    assert (soft_assignment(head, rows).argmax(axis=1) == answer).mean() > 0.97
    assert not head.training


def test_small_clusters_of_narrow_vectors_are_learned() -> None:
    sizes = np.array([3] * 8 + [60] * 37)
    answer = np.repeat(np.arange(len(sizes)), sizes)
    centers = random_unit_rows(len(sizes), 32, 0)
    rows = centers[answer] + 0.1 * np.random.default_rng(1).normal(size=(len(answer), 32))
    rows = unit_rows(rows.astype(np.float32))
    head = distill_head(
        rows,
        one_hot(answer, n_clusters=len(sizes)) * np.float32(0.9) + np.float32(0.1 / len(sizes)),
        steps=STUDENT_STEPS,
        batch_size=STUDENT_BATCH,
        learning_rate=STUDENT_LEARNING_RATE,
        seed=0,
        device="cpu",
    )
    found = soft_assignment(head, rows).argmax(axis=1)
    assert (found == answer)[np.isin(answer, np.arange(8))].mean() > 0.9
    assert (found == answer).mean() > 0.99


def test_the_same_seed_gives_the_same_head() -> None:
    rows, soft = random_unit_rows(40, 6, 0), one_hot(np.arange(40) % 3, n_clusters=3)
    first, second, other = (distill_head(rows, soft, seed=seed, **ASKED).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["output.weight"], other["output.weight"])


def test_rows_and_answers_must_belong_together() -> None:
    with pytest.raises(InputError, match="a row for each"):
        distill_head(random_unit_rows(4, 6, 0), one_hot(np.arange(3), n_clusters=3), seed=0, **ASKED)
