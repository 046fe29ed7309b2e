"""The nearest center as a head, in the vectors' own space and in a whitened one."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from reference import random_unit_rows

from tac_pipeline.method.grouping.spherical_kmeans import spherical_kmeans
from tac_pipeline.method.grouping.whitening import whiten_by_total
from tac_pipeline.method.heads.cluster_head import load_heads, save_heads, soft_assignment
from tac_pipeline.method.heads.linear_head import center_head


def test_k_means_as_a_head_is_k_means_on_new_images_too(tmp_path) -> None:
    rows, new = random_unit_rows(200, 8, 0), random_unit_rows(300, 8, 1)
    found = spherical_kmeans(rows, n_clusters=5, restarts=3, max_iterations=300, seed=0)
    head = center_head(rows, found.assignment, n_clusters=5)
    sums = np.stack([rows[found.assignment == cluster].sum(axis=0) for cluster in range(5)])
    centers = sums / np.linalg.norm(sums, axis=1, keepdims=True)
    save_heads(tmp_path / "heads.safetensors", head, center_head(rows, found.assignment, n_clusters=5))
    read = load_heads(tmp_path / "heads.safetensors").image_head
    cosine = new @ centers.T
    plain = np.exp(cosine) / np.exp(cosine).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(soft_assignment(read, new), plain, atol=1e-5)


@given(seed=st.integers(0, 30))
def test_in_a_whitened_space_the_nearest_center_is_found_there(seed: int) -> None:
    rows, new = random_unit_rows(150, 8, seed), random_unit_rows(200, 8, seed + 1000)
    groups = np.random.default_rng(seed).integers(0, 4, 150)
    whitening = whiten_by_total(rows, power=0.5)
    head = center_head(rows, groups, n_clusters=4, whitening=whitening)
    moved = whitening.apply(rows)
    centers = np.stack([moved[groups == group].sum(axis=0) for group in range(4)])
    centers /= np.linalg.norm(centers, axis=1, keepdims=True)
    cosine = whitening.apply(new) @ centers.T
    best, second = np.sort(cosine, axis=1)[:, [-1, -2]].T
    clear = best - second > 1e-4
    np.testing.assert_array_equal(soft_assignment(head, new).argmax(axis=1)[clear], cosine.argmax(axis=1)[clear])
