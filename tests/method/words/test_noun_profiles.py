"""Profiles against a plain version."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference import plain_weights, random_unit_rows

from tac_pipeline.errors import InputError
from tac_pipeline.method.words.noun_profiles import noun_profiles


@given(
    n_images=st.integers(1, 20), n_clusters=st.integers(1, 5), chunk_rows=st.integers(1, 25), seed=st.integers(0, 99)
)
def test_profiles_equal_the_plain_version_in_any_chunks(n_images, n_clusters, chunk_rows, seed) -> None:
    images, nouns = random_unit_rows(n_images, 6, seed), random_unit_rows(7, 6, seed + 1)
    assignment = np.random.default_rng(seed).integers(n_clusters, size=n_images)
    found = noun_profiles(images, nouns, assignment, n_clusters=n_clusters, tau=0.1, chunk_rows=chunk_rows)
    weights = plain_weights(images, nouns, 0.1)
    np.testing.assert_allclose(found.overall, weights.mean(axis=0), atol=1e-4)
    for cluster in range(n_clusters):
        members = weights[assignment == cluster]
        expected = members.mean(axis=0) if len(members) else np.zeros(7)
        np.testing.assert_allclose(found.clusters[cluster], expected, atol=1e-4)
    assert found.clusters.shape == (n_clusters, 7)
    assert found.clusters.dtype == found.overall.dtype == np.float32


@pytest.mark.parametrize("assignment", [[0, 1], [0, 1, 3], [0, -1, 1]])
def test_an_assignment_of_other_images_or_clusters_is_refused(assignment) -> None:
    rows = random_unit_rows(3, 4, 0)
    with pytest.raises(InputError, match="the assignment must"):
        noun_profiles(rows, rows, np.array(assignment), n_clusters=3, tau=0.1)
