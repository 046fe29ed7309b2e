"""Confidence without labels: groups that come back, and groups that do not."""

import numpy as np
import pytest
from reference import random_unit_rows
from small_store import grouped_vectors

from tac_pipeline.method.grouping.regrouping import Regrouping, measure_returns
from tac_pipeline.method.grouping.spherical_kmeans import KMeansResult
from tac_pipeline.method.grouping.ward import ward_kmeans

ASKED = {"regrouping": Regrouping(8, 0.6, 3, 1.35, 0.3), "seed": 0}


def test_well_separated_groups_come_back_whole() -> None:
    rows, truth = grouped_vectors(groups=5, per_group=60)
    found = measure_returns(rows, truth, n_groups=5, **ASKED)
    assert found.votes.mean() > 0.99
    assert found.persistence.min() > 0.85


def test_groups_of_rows_without_groups_do_not() -> None:
    rows = random_unit_rows(400, 16, 0)
    groups = ward_kmeans(rows, n_clusters=8, seed=0).assignment
    found = measure_returns(rows, groups, n_groups=8, **ASKED)
    assert found.votes.mean() < 0.6
    assert found.persistence.max() < 0.6


def test_a_group_that_is_two_halves_of_one_is_less_sure_than_whole_ones() -> None:
    rows, truth = grouped_vectors(groups=4, per_group=100)
    halved = np.where((truth == 0) & (np.arange(len(truth)) % 2 == 0), 4, truth)
    found = measure_returns(rows, halved, n_groups=5, **ASKED)
    assert max(found.persistence[[0, 4]]) < min(found.persistence[1:4])


@pytest.mark.parametrize(("n_rows", "n_groups"), [(2, 2), (5, 3)])
def test_few_rows_give_an_answer(n_rows: int, n_groups: int) -> None:
    found = measure_returns(random_unit_rows(n_rows, 8, 0), np.arange(n_rows) % n_groups, n_groups=n_groups, **ASKED)
    assert ((found.votes >= 0) & (found.votes <= 1)).all()
    assert len(found.persistence) == n_groups


def test_every_regrouping_is_told_all_examples(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, _ = grouped_vectors(3)
    examples = np.full(len(rows), -1)
    examples[[0, 1, 20]] = 0, 0, 1
    groups = ward_kmeans(rows, n_clusters=3, seed=0, known=examples).assignment
    told: list[list[int]] = []

    def told_ward_kmeans(rows: np.ndarray, *, known: np.ndarray, **others: int) -> KMeansResult:
        told.append(sorted(known[known >= 0].tolist()))
        return ward_kmeans(rows, known=known, **others)

    monkeypatch.setattr("tac_pipeline.method.grouping.regrouping.ward_kmeans", told_ward_kmeans)
    found = measure_returns(
        rows, groups, n_groups=3, regrouping=Regrouping(4, 0.2, 2, 1.35, 0.3), seed=0, known=examples
    )
    assert told == [[0, 0, 1]] * 6
    assert found.votes.mean() > 0.9
