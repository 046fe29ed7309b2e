"""Medoids: the members nearest to their cluster's center."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tac_pipeline.arrays import unit_rows
from tac_pipeline.method.clusters.medoids import medoids


def plain(rows: np.ndarray, assignment: np.ndarray, cluster: int, count: int) -> list[int]:
    members = [row for row in range(len(rows)) if assignment[row] == cluster]
    if not members:
        return []
    center = sum(rows[row].astype(np.float64) for row in members)
    return sorted(members, key=lambda row: (-float(rows[row] @ center), row))[:count]


@given(seed=st.integers(0, 99), count=st.integers(1, 6), n_clusters=st.integers(1, 5))
def test_it_is_the_plain_version(seed: int, count: int, n_clusters: int) -> None:
    generator = np.random.default_rng(seed)
    rows = unit_rows(generator.normal(size=(20, 6)))
    assignment = generator.integers(0, n_clusters, 20)
    found = medoids(rows, assignment, n_clusters=n_clusters, count=count)
    assert found == [plain(rows, assignment, cluster, count) for cluster in range(n_clusters)]


def test_an_empty_cluster_has_none_and_equals_come_in_row_order() -> None:
    rows = np.ones((4, 3), dtype=np.float32) / np.sqrt(3, dtype=np.float32)
    assert medoids(rows, np.array([2, 0, 2, 2]), n_clusters=3, count=2) == [[1], [], [0, 2]]
