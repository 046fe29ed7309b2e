"""Profiles against a plain version, and names that a person would choose."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference import plain_weights, random_unit_rows

from tac_pipeline.errors import InputError
from tac_pipeline.method.words.names import (
    MIN_CONFIDENCE,
    ClusterName,
    NounProfiles,
    label,
    name_clusters,
    noun_profiles,
)
from tac_pipeline.wordnet import noun_kinds


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


def named(
    profiles: list[list[float]], nouns: list[str], sizes: list[int] | None = None, **settings
) -> list[ClusterName]:
    """Names from profiles as written; the overall one follows from the sizes, ten each if not given."""
    clusters, members = np.array(profiles, np.float32), np.array(sizes or [10] * len(profiles))
    overall = (members @ clusters / members.sum()).astype(np.float32)
    return name_clusters(NounProfiles(clusters, overall), members, noun_kinds(nouns), **settings)


def names(found: list[ClusterName]) -> list[str | None]:
    return [name.name for name in found]


def test_a_noun_that_every_image_retrieves_names_no_cluster() -> None:
    assert names(named([[0.5, 0.4, 0.1], [0.5, 0.1, 0.4]], ["photo", "pizza", "dog"])) == ["pizza", "dog"]


def test_a_rare_noun_of_little_weight_does_not_beat_a_telling_one() -> None:
    # "gargoyle" is nowhere else, but only 2 % of the members' weight.
    found = named([[0.9, 0.02, 0.08], [0.1, 0, 0.9]], ["sushi", "gargoyle", "platter"])[0]
    assert found.name == "sushi"
    assert found.alternatives == ("gargoyle", "platter")
    assert found.weights == pytest.approx((0.9, 0.02, 0.08))


def test_breeds_make_a_dog_in_a_store_of_animals_and_stay_breeds_in_a_store_of_dogs() -> None:
    breeds = ["beagle", "pug", "borzoi", "Siamese cat", "Persian cat"]
    animals = named([[0.4, 0.3, 0.3, 0, 0], [0, 0, 0, 0.5, 0.5]], breeds)
    assert names(animals) == ["dog", "domestic cat"]
    assert set(animals[0].alternatives[:3]) == {"beagle", "pug", "borzoi"}
    dogs = named([[0.9, 0.05, 0.05, 0, 0], [0.05, 0.9, 0.05, 0, 0], [0.05, 0.05, 0.9, 0, 0]], breeds)
    assert names(dogs) == ["beagle", "pug", "borzoi"]


def test_a_wider_kind_that_adds_nothing_does_not_name() -> None:
    """All of the weight of "feline" and of "carnivore" is the cat's."""
    assert names(named([[0.9, 0.1], [0.1, 0.9]], ["cat", "pizza"])) == ["cat", "pizza"]


def test_two_words_for_one_thing_count_as_one() -> None:
    found = named([[0.3, 0.3, 0.4], [0, 0, 1]], ["car", "automobile", "tree"])
    assert found[0].name in ("car", "automobile")
    assert found[0].weights[0] == pytest.approx(0.6)
    assert found[0].alternatives == ("tree",)


def test_no_two_clusters_have_one_name_in_any_case() -> None:
    found = named([[0.9, 0.1, 0], [0.8, 0.2, 0], [0, 0, 1]], ["Moon", "moon", "pizza"])
    assert names(found).count(None) == 1
    said = [label(name, number) for number, name in enumerate(found)]
    assert len({name.lower() for name in said if name}) == 3


@given(seed=st.integers(0, 200), n_clusters=st.integers(2, 12))
def test_names_are_never_repeated_and_confidences_lie_from_0_to_1(seed, n_clusters) -> None:
    generator = np.random.default_rng(seed)
    nouns = ["beagle", "pug", "Siamese cat", "tree", "oak", "car", "bus", "no noun of WordNet's", "<b>bold</b>"]
    profiles = generator.dirichlet([0.1] * len(nouns), size=n_clusters)
    found = named(profiles.tolist(), nouns, generator.integers(1, 50, n_clusters).tolist())
    said = [label(name, number) for number, name in enumerate(found)]
    assert len({str(name).lower() for name in said}) == n_clusters
    for name in found:
        assert 0 <= name.confidence <= 1 + 1e-6
        assert name.name is None or name.confidence >= MIN_CONFIDENCE
        assert len(name.weights) == 1 + len(name.alternatives)
        assert name.name not in name.alternatives


def test_permuting_clusters_permutes_their_names() -> None:
    nouns = ["beagle", "pug", "tree", "car", "bus"]
    profiles = np.random.default_rng(1).dirichlet([0.2] * 5, size=4)
    order = [2, 0, 3, 1]
    assert names(named(profiles[order].tolist(), nouns)) == [
        names(named(profiles.tolist(), nouns))[row] for row in order
    ]


def test_what_no_noun_covers_says_so() -> None:
    """Both clusters retrieve the same nouns equally: nothing distinguishes them."""
    found = named([[0.26, 0.25, 0.25, 0.24], [0.24, 0.25, 0.25, 0.26]], ["key", "cloud", "pizza", "dog"])
    assert names(found) == [None, None]
    assert all(name.confidence < MIN_CONFIDENCE for name in found)
    assert label(found[0], 12) == "unnamed 12 (near: key, pizza)" or label(found[0], 12).startswith(
        "unnamed 12 (near: "
    )


def test_alternatives_are_few_where_the_vocabulary_is_small_alone() -> None:
    assert named([[1.0]], ["cat"])[0] == ClusterName("cat", (), (1.0,), 1.0)
    assert named([[0.9, 0.1], [0.1, 0.9]], ["cat", "pizza"])[0].alternatives == ("pizza",)
    assert len(named([[0.2] * 5], ["key", "cloud", "pizza", "dog", "tree"], alternatives=2)[0].alternatives) == 2
    assert named([[0.6, 0.4]], ["key", "pizza"], alternatives=0)[0].alternatives == ()


def test_one_noun_names_one_cluster() -> None:
    found = named([[1.0], [1.0]], ["cat"])
    assert names(found) == [None, None]
    assert [label(name, number) for number, name in enumerate(found)] == [
        "unnamed 0 (near: cat)",
        "unnamed 1 (near: cat)",
    ]


def test_a_cluster_of_all_images_is_named_by_weight() -> None:
    found = named([[0.1, 0.6, 0.3], [0, 0, 0]], ["key", "pizza", "cloud"], [10, 0])
    assert found[0].name == "pizza"
    assert found[0].alternatives == ("cloud", "key")
    assert found[0].confidence == pytest.approx(0.6)


def test_a_cluster_without_members_has_no_name() -> None:
    found = named([[0, 0], [0.5, 0.5]], ["cat", "dog"], [0, 5])[0]
    assert found == ClusterName(None, (), (), 0.0)
    assert label(found, 0) is None


def test_names_are_spelled_as_wordnet_does_and_strange_nouns_stay_as_they_came() -> None:
    nouns = ["Ice cream", "Jeans", "ram (animal)", "<script>x</script>", "赤い船", "a\\`|b"]
    found = named(np.eye(6).tolist(), nouns)
    assert names(found) == ["ice cream", "jean", "ram", "<script>x</script>", "赤い船", "a\\`|b"]


def test_a_kind_that_may_not_be_said_names_nothing() -> None:
    """No name made from kinds above nouns is offensive."""
    kinds = noun_kinds(["prostitute", "call girl", "streetwalker", "beagle"])
    assert not {"whore", "harlot", "tart"} & {name.lower() for name in kinds.names}


def test_profiles_of_other_nouns_or_clusters_are_refused() -> None:
    profiles = NounProfiles(np.full((1, 2), 0.5, np.float32), np.full(2, 0.5, np.float32))
    with pytest.raises(InputError, match="got 2, 2 and 3"):
        name_clusters(profiles, np.array([1]), noun_kinds(["cat", "dog", "bird"]))
    with pytest.raises(InputError, match="of the 1 clusters; got 2 and 1"):
        name_clusters(profiles, np.array([1, 2]), noun_kinds(["cat", "dog"]))
    with pytest.raises(InputError, match="at least one"):
        name_clusters(
            NounProfiles(np.zeros((1, 0), np.float32), np.zeros(0, np.float32)), np.array([1]), noun_kinds([])
        )


def test_names_follow_the_members() -> None:
    nouns = np.eye(4, dtype=np.float32)
    images = np.repeat(nouns[:3], 5, axis=0)
    assignment = np.repeat([2, 0, 1], 5)
    profiles = noun_profiles(images, nouns, assignment, n_clusters=4, tau=0.05)
    found = name_clusters(profiles, np.array([5, 5, 5, 0]), noun_kinds(["cat", "pizza", "key", "frog"]))
    assert names(found) == ["pizza", "key", "cat", None]


OLD = [[0.5, 0.35, 0.15], [0, 0, 1]]
NOUNS = ["key", "pizza", "cloud"]


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        ("pizza", "pizza"),  # less than the key, and more than half as much
        ("Pizza", "pizza"),
        ("cloud", "key"),  # most of it is elsewhere
        ("dog", "key"),  # no candidate any more
        ("unnamed 0 (near: pizza)", "key"),
        (None, "key"),
    ],
)
def test_an_old_name_stays_unless_clearly_wrong(before, expected) -> None:
    found = named(OLD, NOUNS, before=[before, None])
    assert found[0].name == expected
    assert found[1].name == "cloud"


def test_a_kept_name_is_no_name_for_another_cluster() -> None:
    """The second cluster would be called pizza, if the first were not already."""
    profiles = [[0.45, 0.55, 0], [0.0, 0.6, 0.4]]
    assert names(named(profiles, NOUNS)) != ["pizza", None]
    found = named(profiles, NOUNS, before=["pizza", None])
    assert found[1].name != "pizza" or found[0].name != "pizza"


def test_a_cluster_that_lost_its_members_loses_its_name() -> None:
    assert named([[0, 0, 0], [0, 0, 1]], NOUNS, [0, 5], before=["key", None])[0].name is None


def test_what_people_say_goes_before_everything() -> None:
    found = named(OLD, NOUNS, before=["pizza", None], given={0: "Cloud"})
    assert (found[0].name, found[0].confidence) == ("Cloud", 1.0)
    assert found[0].alternatives == ("key", "pizza")
    assert found[1].name is None  # cloud is taken
    mine = named(OLD, NOUNS, given={1: "red <boats>"})
    assert names(mine) == ["key", "red <boats>"]


def test_an_empty_cluster_may_have_the_name_that_people_gave_it() -> None:
    assert names(named([[0, 0, 0], [0, 0, 1]], NOUNS, [0, 5], given={0: "boats"})) == ["boats", "cloud"]
