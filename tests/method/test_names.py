"""Profiles against a plain version, and names that a person would choose."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tac_pipeline.errors import InputError
from tac_pipeline.method.names import ClusterName, keep_name, name_clusters, noun_profiles
from tests.reference import plain_weights, random_unit_rows


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


def named(profiles: list[list[float]], overall: list[float], nouns: list[str], **settings: int) -> list[ClusterName]:
    return name_clusters(np.array(profiles, np.float32), np.array(overall, np.float32), nouns, **settings)


def test_a_noun_that_every_image_retrieves_names_no_cluster() -> None:
    profiles = [[0.5, 0.4, 0.1], [0.5, 0.1, 0.4]]
    found = named(profiles, [0.5, 0.25, 0.25], ["photo", "cat", "dog"])
    assert [name.name for name in found] == ["cat", "dog"]


def test_a_rare_noun_of_little_weight_does_not_beat_a_telling_one() -> None:
    # "gargoyle" is ten times as frequent here as elsewhere, but only 2 % of the members' weight.
    found = named([[0.9, 0.02, 0.08]], [0.1, 0.002, 0.898], ["sushi", "gargoyle", "platter"])
    assert found[0].name == "sushi"
    assert found[0].alternatives == ("gargoyle", "platter")
    assert found[0].weights == pytest.approx((0.9, 0.02, 0.08))


def test_alternatives_are_few_where_the_vocabulary_is_small_alone() -> None:
    assert named([[1.0]], [1.0], ["cat"])[0] == ClusterName("cat", (), (1.0,))
    assert named([[0.995, 0.005]], [0.5, 0.5], ["cat", "dog"])[0].alternatives == ("dog",)
    assert len(named([[0.2] * 5], [0.2] * 5, list("abcde"), alternatives=2)[0].alternatives) == 2
    assert named([[0.6, 0.4]], [0.5, 0.5], ["cat", "dog"], alternatives=0)[0] == ClusterName(
        "cat", (), (pytest.approx(0.6),)
    )


def test_a_cluster_of_all_images_is_named_by_weight() -> None:
    found = named([[0.1, 0.6, 0.3], [0, 0, 0]], [0.1, 0.6, 0.3], ["cat", "dog", "bird"])
    assert found[0].name == "dog"
    assert found[0].alternatives == ("bird", "cat")


def test_a_cluster_without_members_has_no_name() -> None:
    assert named([[0, 0]], [0.5, 0.5], ["cat", "dog"])[0] == ClusterName(None, (), ())


def test_profiles_of_other_nouns_are_refused() -> None:
    with pytest.raises(InputError, match="got 2, 2 and 3"):
        named([[0.5, 0.5]], [0.5, 0.5], ["cat", "dog", "bird"])


def test_names_follow_the_members() -> None:
    nouns = np.eye(4, dtype=np.float32)
    images = np.repeat(nouns[:3], 5, axis=0)
    assignment = np.repeat([2, 0, 1], 5)
    profiles = noun_profiles(images, nouns, assignment, n_clusters=4, tau=0.05)
    found = name_clusters(profiles.clusters, profiles.overall, ["cat", "dog", "bird", "frog"])
    assert [name.name for name in found] == ["dog", "bird", "cat", None]


CENTER = np.array([1, 0], np.float32)
FOUND = ClusterName("cat", ("dog", "bird"), (0.5, 0.3, 0.2))


def at_cosine(**cosines: float) -> dict[str, np.ndarray]:
    """A unit vector for each noun, so far from the center."""
    return {noun: np.array([cosine, (1 - cosine**2) ** 0.5], np.float32) for noun, cosine in cosines.items()}


def test_an_old_name_among_the_nouns_found_goes_first() -> None:
    vectors = at_cosine(cat=0.9, dog=0.8, bird=0.1)
    assert keep_name(FOUND, "bird", CENTER, vectors) == ClusterName("bird", ("cat", "dog"), (0.2, 0.5, 0.3))
    assert keep_name(FOUND, "dog", CENTER, vectors) == ClusterName("dog", ("cat", "bird"), (0.3, 0.5, 0.2))
    assert keep_name(FOUND, "cat", CENTER, vectors) == FOUND


@pytest.mark.parametrize(("cosine", "stays"), [(0.9, True), (0.61, True), (0.6, False), (-0.5, False)])
def test_another_old_name_stays_where_it_is_nearer_than_the_farthest_noun_found(cosine, stays) -> None:
    vectors = at_cosine(cat=0.9, dog=0.8, bird=0.6, pet=cosine)
    kept = ClusterName("pet", ("cat", "dog"), (0.0, 0.5, 0.3))
    assert keep_name(FOUND, "pet", CENTER, vectors) == (kept if stays else FOUND)


def test_an_old_name_stays_without_alternatives_too() -> None:
    found = ClusterName("cat", (), (0.9,))
    assert keep_name(found, "pet", CENTER, at_cosine(cat=0.5, pet=0.6)) == ClusterName("pet", (), (0.0,))
    assert keep_name(found, "pet", CENTER, at_cosine(cat=0.5, pet=0.4)) == found


def test_a_noun_that_is_no_candidate_any_more_names_nothing() -> None:
    assert keep_name(FOUND, "dog", CENTER, at_cosine(cat=0.9, bird=0.1)) == FOUND
    assert keep_name(FOUND, "pet", CENTER, at_cosine(cat=0.9, dog=0.8, bird=0.6)) == FOUND
    assert keep_name(FOUND, "pet", CENTER, at_cosine(pet=0.9)) == FOUND


def test_a_cluster_that_lost_its_members_loses_its_name() -> None:
    nothing = ClusterName(None, (), ())
    assert keep_name(nothing, "cat", CENTER, at_cosine(cat=0.9)) == nothing
