"""What the benchmark of trust counts, on made-up vectors."""

import numpy as np
import pytest
from reference import random_unit_rows

from benchmarks.reference_data import ReferenceTable
from benchmarks.rivals import Store
from benchmarks.trust import kept_ids, measure
from tac_pipeline.arrays import unit_rows
from tac_pipeline.estimator import TextAidedClustering


@pytest.fixture
def store() -> Store:
    centers = random_unit_rows(3, 16, 0)
    labels = np.repeat(np.arange(3), 30)
    images = unit_rows(centers[labels] + 0.1 * np.random.default_rng(0).normal(size=(90, 16)))
    return Store(ReferenceTable("made", images, labels), list("abc"), centers, TextAidedClustering(3))


def test_groups_that_are_plain_to_see_are_sure_right_and_stable(store: Store) -> None:
    found = measure(store, "robust", (0, 1))
    assert found.between_seeds == found.of_part == 1
    assert all(run.sure_right == 1 for run in found.reliability)
    assert np.isnan(measure(store, "robust", (0,)).between_seeds)


def test_images_that_leave_their_cluster_lose_their_id(store: Store) -> None:
    before = np.repeat(np.arange(3), 30)
    after = np.repeat([7, 4, 1], 30)
    assert kept_ids(store, before, after) == 1
    after[:6] = 4
    assert kept_ids(store, before, after) == pytest.approx(84 / 90)
