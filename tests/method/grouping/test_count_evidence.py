"""The three signals against a plain version, and rows without groups."""

import numpy as np
import pytest
from reference import random_unit_rows, scattered_groups
from sklearn.metrics import adjusted_rand_score

from tac_pipeline.arrays import unit_rows
from tac_pipeline.method.grouping.count_evidence import gaussian_like, judge_counts, permute_coordinates
from tac_pipeline.method.grouping.ward import ward_tree


def plain_signals(rows: np.ndarray, counts: np.ndarray, seed: int) -> np.ndarray:
    """One draw, image by image: stability, neighbors and silhouette of each number of groups, (3, n_counts)."""
    generator = np.random.default_rng(seed)
    generator.permutation(len(rows))  # the judged rows: here all of them
    halves = np.array_split(generator.permutation(len(rows)), 2)
    near = [
        sorted((j for j in range(len(rows)) if j != i), key=lambda j, i=i: -rows[i] @ rows[j])[:10]
        for i in range(len(rows))
    ]
    found = []
    for count in counts:
        groups, clear = [], []
        for half in halves:
            cut = ward_tree(rows[half], np.ones(len(half), dtype=np.int64)).cut(int(count))
            means = unit_rows(np.stack([rows[half][cut == group].sum(axis=0) for group in range(count)]))
            away = 1 - rows @ means.T
            groups.append(away.argmin(axis=1))
            ranked = np.sort(away, axis=1)
            clear.append(np.mean((ranked[:, 1] - ranked[:, 0]) / ranked[:, 1]))
        kept = [np.mean([[own[i] == own[j] for j in near[i]] for i in range(len(rows))]) for own in groups]
        found.append((adjusted_rand_score(*groups), np.mean(kept), np.mean(clear)))
    return np.array(found).T


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_signals_equal_the_plain_version(seed: int) -> None:
    rows, counts = scattered_groups(4, 15, spread=0.3, dim=8, seed=seed), np.array([2, 3, 5, 9])
    found = judge_counts(rows, counts, draws=1, generator=np.random.default_rng(seed))
    np.testing.assert_allclose(found[0], plain_signals(rows, counts, seed), atol=1e-4)


def test_permuted_coordinates_keep_the_spread_and_lose_the_groups() -> None:
    rows = scattered_groups(8, 100)
    without = permute_coordinates(rows, np.random.default_rng(0))
    np.testing.assert_allclose(np.linalg.norm(without, axis=1), 1, atol=1e-5)
    spread, before = (np.sort(np.linalg.eigvalsh(np.cov(each.T)))[-3:] for each in (without, rows))
    np.testing.assert_allclose(spread, before, rtol=0.35)
    stability = [
        judge_counts(each, np.array([8]), draws=1, generator=np.random.default_rng(1))[0, 0, 0]
        for each in (rows, without)
    ]
    assert stability[0] > 0.99
    assert stability[1] < 0.7


def test_gaussian_rows_have_the_covariance() -> None:
    rows = 0.2 * np.random.default_rng(0).normal(size=(4000, 6)) * np.array([1, 2, 1, 1, 0.5, 1]) + np.array(
        [3, 0, 0, 0, 0, 0]
    )
    rows = unit_rows(rows)
    drawn = gaussian_like(rows, np.random.default_rng(1))
    np.testing.assert_allclose(drawn.mean(axis=0), rows.mean(axis=0), atol=0.01)
    np.testing.assert_allclose(np.cov(drawn.T), np.cov(rows.T), atol=2e-3)


def test_every_draw_is_told() -> None:
    told: list[int] = []
    judge_counts(
        random_unit_rows(30, 4, 0),
        np.array([2]),
        draws=3,
        generator=np.random.default_rng(0),
        done=lambda: told.append(1),
    )
    assert len(told) == 3
