"""Matching against every possible matching, centers for clusters without known images, and the lineage of every id."""

from itertools import combinations, permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference import random_soft, random_unit_rows

from tac_pipeline.errors import InputError
from tac_pipeline.method.clusters.cluster_matching import (
    NONE,
    Change,
    Clustering,
    ClusterMatch,
    assignment_centers,
    likeliest,
    match_clusters,
    trace_lineage,
)

Pairs = frozenset[tuple[int, int]]


def clustering(known, n_clusters: int, *, sizes=None, centers=None) -> Clustering:
    known = np.array(known, dtype=np.int64)
    sizes = np.bincount(known, minlength=n_clusters) if sizes is None else np.array(sizes)
    return Clustering(known, sizes, random_unit_rows(n_clusters, 4, 0) if centers is None else centers)


def both_sides(shared, *, old_sizes=None, new_sizes=None, old_centers=None, new_centers=None):
    """Two clusterings of as many known images as a table (n_old, n_new) says."""
    table = np.array(shared)
    was, now = (np.repeat(side.ravel(), table.ravel()) for side in np.indices(table.shape))
    old = clustering(was, table.shape[0], sizes=old_sizes, centers=old_centers)
    return old, clustering(now, table.shape[1], sizes=new_sizes, centers=new_centers)


def random_sides(n_old: int, n_new: int, n_images: int, seed: int) -> tuple[Clustering, Clustering]:
    generator = np.random.default_rng(seed)
    return tuple(clustering(generator.integers(count, size=n_images), count) for count in (n_old, n_new))


def pairs(match: ClusterMatch) -> Pairs:
    return frozenset((int(was), now) for now, was in enumerate(match.old_of) if was != NONE)


def best_matchings(old: Clustering, new: Clustering) -> set[Pairs]:
    """Among one-to-one matchings of pairs that share half of one of them, those that keep the most images."""
    n_old, n_new = len(old.sizes), len(new.sizes)
    together = list(zip(old.known.tolist(), new.known.tolist(), strict=True))
    count = {(was, now): together.count((was, now)) for was in range(n_old) for now in range(n_new)}
    of_old = {was: sum(count[was, now] for now in range(n_new)) for was in range(n_old)}
    of_new = {now: sum(count[was, now] for was in range(n_old)) for now in range(n_new)}
    allowed = {pair for pair, n in count.items() if n and (2 * n >= of_old[pair[0]] or 2 * n >= of_new[pair[1]])}
    few = min(n_old, n_new)
    every = {
        frozenset(zip(olds, news, strict=True)) & allowed
        for olds in combinations(range(n_old), few)
        for news in permutations(range(n_new), few)
    }
    most = max(sum(count[pair] for pair in matching) for matching in every)
    return {matching for matching in every if sum(count[pair] for pair in matching) == most}


sides = {
    "n_old": st.integers(1, 4),
    "n_new": st.integers(1, 4),
    "n_images": st.integers(0, 14),
    "seed": st.integers(0, 999),
}


@given(**sides)
def test_no_other_matching_keeps_more_images(n_old, n_new, n_images, seed) -> None:
    old, new = random_sides(n_old, n_new, n_images, seed)
    match = match_clusters(old, new, same_space=False)
    assert pairs(match) in best_matchings(old, new)
    for was in range(n_old):
        for now in range(n_new):
            assert match.shared[was, now] == np.sum((old.known == was) & (new.known == now))


@given(**sides, same_space=st.booleans())
def test_every_cluster_is_matched_at_most_once(n_old, n_new, n_images, seed, same_space) -> None:
    old, new = random_sides(n_old, n_new, n_images, seed)
    match = match_clusters(old, new, same_space=same_space)
    taken = match.old_of[match.old_of != NONE].tolist()
    assert len(taken) == len(set(taken))
    assert match.new_of.tolist() == [dict(pairs(match)).get(was, NONE) for was in range(n_old)]


@given(**sides)
def test_permuting_the_new_columns_permutes_the_answer(n_old, n_new, n_images, seed) -> None:
    old, new = random_sides(n_old, n_new, n_images, seed)
    place = np.random.default_rng(seed + 1).permutation(n_new)
    permuted = match_clusters(old, clustering(place[new.known], n_new), same_space=False)
    origin = np.argsort(place)
    back = frozenset((was, int(origin[now])) for was, now in pairs(permuted))
    best = best_matchings(old, new)
    assert back in best
    if len(best) == 1:
        assert back == pairs(match_clusters(old, new, same_space=False))


@given(n_clusters=st.integers(1, 6), n_images=st.integers(0, 30), seed=st.integers(0, 99), same_space=st.booleans())
def test_a_clustering_matched_against_itself_keeps_everything(n_clusters, n_images, seed, same_space) -> None:
    side, _ = random_sides(n_clusters, 1, n_images, seed)
    match = match_clusters(side, side, same_space=same_space)
    # Without its encoder's centers a cluster without images cannot be matched.
    expected = [cluster if same_space or side.sizes[cluster] else NONE for cluster in range(n_clusters)]
    assert match.old_of.tolist() == expected
    changes = trace_lineage(match, side, side, np.arange(n_clusters), np.arange(n_clusters))
    assert {change.event for change in changes if side.sizes[change.cluster_id]} <= {"kept"}


@given(n_old=st.integers(1, 6), n_new=st.integers(1, 6), seed=st.integers(0, 99))
def test_without_known_images_the_nearest_of_each_other_are_matched(n_old, n_new, seed) -> None:
    old = clustering([], n_old, sizes=[5] * n_old, centers=random_unit_rows(n_old, 4, seed))
    new = clustering([], n_new, sizes=[7] * n_new, centers=random_unit_rows(n_new, 4, seed + 1))
    cosine = {(o, n): float(old.centers[o] @ new.centers[n]) for o in range(n_old) for n in range(n_new)}
    expected = {
        (o, n)
        for o, n in cosine
        if all(cosine[o, n] >= cosine[o, other] for other in range(n_new))
        and all(cosine[o, n] >= cosine[other, n] for other in range(n_old))
        and all(cosine[o, n] > old.centers[o] @ old.centers[other] for other in range(n_old) if other != o)
        and all(cosine[o, n] > new.centers[n] @ new.centers[other] for other in range(n_new) if other != n)
    }
    assert pairs(match_clusters(old, new, same_space=True)) == expected
    assert pairs(match_clusters(old, new, same_space=False)) == frozenset()


# The first old cluster's known images are scattered, the last new one has none; their centers are the same.
SCATTERED = [[1, 1, 1, 0], [9, 0, 0, 0], [0, 9, 0, 0], [0, 0, 9, 0]]


@pytest.mark.parametrize(("size", "expected"), [(30, NONE), (31, 0)])
def test_centers_speak_only_where_less_than_a_tenth_is_known(size, expected) -> None:
    axes = np.eye(4, dtype=np.float32)
    new_centers = np.roll(axes, -1, axis=0)  # the last is the first old one's
    old, new = both_sides(
        SCATTERED, old_sizes=[size, 9, 9, 9], new_sizes=[10, 10, 10, 50], old_centers=axes, new_centers=new_centers
    )
    assert match_clusters(old, new, same_space=True).old_of.tolist() == [1, 2, 3, expected]
    assert match_clusters(old, new, same_space=False).old_of.tolist() == [1, 2, 3, NONE]


def test_a_new_cluster_of_known_images_is_not_told_by_its_center() -> None:
    axes = np.eye(4, dtype=np.float32)
    turned = np.array(SCATTERED).T
    for size, expected in ((30, NONE), (31, 3)):
        old, new = both_sides(
            turned,
            old_sizes=[10, 10, 10, 50],
            new_sizes=[size, 9, 9, 9],
            old_centers=axes,
            new_centers=np.roll(axes, 1, axis=0),
        )
        assert match_clusters(old, new, same_space=True).old_of.tolist() == [expected, 0, 1, 2]


def test_few_shared_images_outweigh_the_nearest_center() -> None:
    axes = np.eye(2, dtype=np.float32)
    old, new = both_sides(
        [[1, 0], [0, 1]], old_sizes=[99, 99], new_sizes=[99, 99], old_centers=axes, new_centers=axes[::-1].copy()
    )
    assert match_clusters(old, new, same_space=True).old_of.tolist() == [0, 1]


def test_centers_of_two_encoders_may_differ_in_width_and_those_of_one_may_not() -> None:
    old, new = both_sides([[3]], old_centers=random_unit_rows(1, 4, 0), new_centers=random_unit_rows(1, 5, 0))
    assert match_clusters(old, new, same_space=False).old_of.tolist() == [0]
    with pytest.raises(InputError, match="the old centers and the new centers must have the same width; got 4 and 5"):
        match_clusters(old, new, same_space=True)


def test_sides_that_know_other_images_are_refused() -> None:
    with pytest.raises(InputError, match="the old one has 2, the new one 3"):
        match_clusters(clustering([0, 1], 2), clustering([0, 1, 1], 2), same_space=False)
    with pytest.raises(InputError, match=r"the new clusters must lie in 0\.\.0"):
        match_clusters(clustering([0, 1], 2), clustering([0, 1], 2, sizes=[2]), same_space=False)


def lineage(shared, old_ids, new_ids, **sizes) -> list[Change]:
    old, new = both_sides(shared, **sizes)
    match = match_clusters(old, new, same_space=False)
    return trace_lineage(match, old, new, np.array(old_ids), np.array(new_ids))


@pytest.mark.parametrize(("after", "event"), [(10, "kept"), (11, "kept"), (12, "grown"), (4, "kept")])
def test_kept_or_grown_hangs_on_a_tenth_more_images(after, event) -> None:
    changes = lineage([[4]], [7], [7], old_sizes=[10], new_sizes=[after])
    assert changes == [Change(7, event, None, 4, 10, after)]


def test_the_smaller_part_of_a_cluster_that_fell_apart_is_split_from_it() -> None:
    assert lineage([[6, 4]], [3], [3, 8]) == [Change(3, "kept", None, 6, 10, 6), Change(8, "split", 3, 4, 0, 4)]


def test_the_smaller_of_two_that_became_one_is_merged_into_the_other() -> None:
    assert lineage([[4], [6]], [3, 5], [5]) == [Change(3, "merged", 5, 4, 4, 0), Change(5, "grown", None, 6, 6, 10)]


def test_what_shares_nothing_is_born_or_retired() -> None:
    changes = lineage([[5, 0], [0, 0]], [3, 4], [3, 9], old_sizes=[5, 6], new_sizes=[5, 7])
    assert changes == [
        Change(3, "kept", None, 5, 5, 5),
        Change(4, "retired", None, 0, 6, 0),
        Change(9, "born", None, 0, 0, 7),
    ]


def test_scattered_over_many_is_neither_split_nor_merged() -> None:
    scattered = [row[:3] for row in SCATTERED]
    assert Change(0, "retired", None, 0, 3, 0) in lineage(scattered, [0, 1, 2, 3], [1, 2, 3])
    assert Change(4, "born", None, 0, 0, 3) in lineage(np.array(scattered).T, [1, 2, 3], [4, 1, 2, 3])


@given(**sides)
def test_every_id_has_one_event(n_old, n_new, n_images, seed) -> None:
    old, new = random_sides(n_old, n_new, n_images, seed)
    match = match_clusters(old, new, same_space=True)
    old_ids = np.arange(n_old) + 10
    new_ids = np.where(match.old_of == NONE, np.arange(n_new) + 50, match.old_of + 10)
    ids = [change.cluster_id for change in trace_lineage(match, old, new, old_ids, new_ids)]
    assert ids == sorted({*old_ids.tolist(), *new_ids.tolist()})


@given(n_images=st.integers(1, 20), n_clusters=st.integers(1, 5), seed=st.integers(0, 99))
def test_centers_are_the_unit_means_of_the_members(n_images, n_clusters, seed) -> None:
    vectors, soft = random_unit_rows(n_images, 6, seed), random_soft(n_images, n_clusters, seed).detach().numpy()
    found = assignment_centers(vectors, likeliest(np.array_split(soft, min(n_images, 3))))
    assert (found.dtype, found.shape) == (np.float32, (n_clusters, 6))
    for cluster in range(n_clusters):
        members = [vectors[image] for image in range(n_images) if soft[image].argmax() == cluster]
        mean = np.mean(members, axis=0) if members else vectors[soft[:, cluster].argmax()]
        np.testing.assert_allclose(found[cluster], mean / np.linalg.norm(mean), atol=1e-5)


def test_an_empty_column_lies_where_the_image_lies_that_leans_to_it_most() -> None:
    vectors = np.eye(3, dtype=np.float32)
    soft = np.array([[0.6, 0.4], [0.9, 0.1], [0.7, 0.3]], dtype=np.float32)
    found = assignment_centers(vectors, likeliest(soft[:, None]))  # image by image
    np.testing.assert_allclose(found, [[3**-0.5] * 3, [1, 0, 0]], atol=1e-6)


def test_what_is_fixed_is_matched_whatever_it_shares() -> None:
    old, new = both_sides([[9, 1], [1, 9]])
    assert pairs(match_clusters(old, new, same_space=True)) == {(0, 0), (1, 1)}
    assert pairs(match_clusters(old, new, same_space=True, fixed={0: 1})) == {(1, 0)}
    assert pairs(match_clusters(old, new, same_space=True, fixed={0: 1, 1: 0})) == {(0, 1), (1, 0)}
