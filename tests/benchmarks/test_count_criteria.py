"""Nested k-means of the rival criteria: merging against trying all pairs, and the knee on separated groups."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference import random_unit_rows, scattered_groups

from benchmarks.count_criteria import held_out_knee, merge_clusters, nearest_cosine, nested_kmeans
from tac_pipeline.arrays import unit_rows
from tac_pipeline.method.grouping.cluster_count import count_grid


def plain_merge(sums: list[np.ndarray], count: int) -> list[np.ndarray]:
    """Join the pair that loses least, by trying all."""
    while len(sums) > count:
        _, i, j = min(
            (float(np.linalg.norm(a) + np.linalg.norm(b) - np.linalg.norm(a + b)), i, j)
            for i, a in enumerate(sums)
            for j, b in enumerate(sums)
            if i < j
        )
        sums = [total for number, total in enumerate(sums) if number not in (i, j)] + [sums[i] + sums[j]]
    return sums


@given(n_clusters=st.integers(1, 8), count=st.integers(1, 8), seed=st.integers(0, 99))
def test_merging_equals_the_plain_version(n_clusters: int, count: int, seed: int) -> None:
    count = min(count, n_clusters)
    sums = random_unit_rows(n_clusters, 5, seed) * np.random.default_rng(seed).integers(1, 9, size=(n_clusters, 1))
    found = merge_clusters(sums, count)
    expected = unit_rows(np.stack(plain_merge(list(sums.astype(np.float64)), count)))
    assert sorted(map(tuple, found.round(4))) == sorted(map(tuple, expected.round(4)))


def test_nested_fits_are_of_the_numbers_asked_for_and_never_worse_with_more() -> None:
    rows = scattered_groups(6, 30)
    counts = count_grid(2, 20, step=1.15)
    told: list[tuple[int, int]] = []
    fits = nested_kmeans(
        rows, counts, seed=0, max_iterations=20, refinements=10, progress=lambda done, of: told.append((done, of))
    )
    assert list(fits) == counts.tolist()
    assert [len(fit.centers) for fit in fits.values()] == counts.tolist()
    objectives = [fit.objective for fit in fits.values()]
    assert (np.diff(objectives) > -1e-3).all()
    assert told[-1] == (len(counts), len(counts))


@given(chunk_rows=st.integers(1, 12), seed=st.integers(0, 99))
def test_chunking_never_changes_the_cosine(chunk_rows: int, seed: int) -> None:
    rows, centers = random_unit_rows(10, 4, seed), random_unit_rows(3, 4, seed + 1)
    plain = np.mean([max(float(row @ center) for center in centers) for row in rows])
    assert nearest_cosine(rows, centers, chunk_rows=chunk_rows) == pytest.approx(plain, abs=1e-6)


@pytest.mark.parametrize(("n_groups", "per_group"), [(3, 40), (20, 40)])
def test_the_knee_counts_well_separated_groups(n_groups: int, per_group: int) -> None:
    found = held_out_knee(scattered_groups(n_groups, per_group), seed=0)
    assert n_groups / 1.15 <= found <= n_groups * 1.15
