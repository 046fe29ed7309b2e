"""Merges after the fit, by hand and along the tree, and other names."""

import numpy as np
import pytest
from animal_groups import DIM, NOUN_EMBEDDINGS, NOUNS, unit

from tac_pipeline import TextAidedClustering
from tac_pipeline.errors import InputError

GROUPS, PER_GROUP = 5, 20
# The second and third groups are near each other.
DIRECTIONS = np.eye(DIM)[[0, 1, 1, 2, 4]] + 0.5 * np.eye(DIM)[[0, 8, 9, 2, 4]]
IMAGES = unit(
    np.repeat(DIRECTIONS, PER_GROUP, axis=0) + 0.05 * np.random.default_rng(0).normal(size=(GROUPS * PER_GROUP, DIM))
)


@pytest.fixture
def fitted() -> TextAidedClustering:
    return TextAidedClustering(GROUPS).fit(IMAGES, nouns=NOUNS, noun_embeddings=NOUN_EMBEDDINGS)


def of_group(fitted: TextAidedClustering, *groups: int) -> list[int]:
    return [int(fitted.labels_[group * PER_GROUP]) for group in groups]


def test_merged_clusters_add_up(fitted) -> None:
    before, labels, names = fitted.predict_proba(IMAGES), fitted.labels_, fitted.cluster_names_
    first, second = sorted(of_group(fitted, 0, 3))
    assert fitted.merge_clusters([[second, first]]) is fitted
    assert fitted.n_clusters_ == len(fitted.cluster_names_) == 4
    kept = [cluster for cluster in range(GROUPS) if cluster != second]
    wanted = before[:, kept]
    wanted[:, first] += before[:, second]
    np.testing.assert_allclose(fitted.predict_proba(IMAGES), wanted, atol=1e-6)
    moved = np.array([kept.index(first if cluster == second else cluster) for cluster in range(GROUPS)])
    np.testing.assert_array_equal(fitted.labels_, moved[labels])
    np.testing.assert_array_equal(fitted.predict(IMAGES), fitted.labels_)
    assert fitted.cluster_names_[first] in (names[first], names[second])
    members = IMAGES[fitted.labels_ == first].mean(axis=0)
    np.testing.assert_allclose(fitted.cluster_centers_[first], members / np.linalg.norm(members), atol=1e-5)
    assert fitted.predict_confidence(IMAGES).shape == (len(IMAGES),)
    # Merges go on from merges.
    fitted.merge_clusters([[0, 1], [2, 3]])
    np.testing.assert_allclose(fitted.predict_proba(IMAGES).sum(axis=1), 1, atol=1e-5)
    assert fitted.get_feature_names_out().tolist() == ["textaidedclustering0", "textaidedclustering1"]


@pytest.mark.parametrize(
    "groups", [[[0, 5]], [[0, -1]], [[0, 1], [1, 2]], [[0, 1, 2, 3, 4]], [[0, "a"]], [0, 1], "01", [[0, 0]]]
)
def test_merges_that_cannot_be_are_refused(fitted, groups) -> None:
    with pytest.raises(InputError, match="groups must"):
        fitted.merge_clusters(groups)
    assert fitted.n_clusters_ == GROUPS


def test_the_tree_joins_what_is_near(fitted) -> None:
    near, far = of_group(fitted, 1, 2), of_group(fitted, 0, 3, 4)
    assert len({*near, *far}) == GROUPS
    assert fitted.reduce_to(4) is fitted
    found = of_group(fitted, 1, 2)
    assert found[0] == found[1]
    assert len(set(of_group(fitted, 0, 1, 3, 4))) == 4
    assert all(isinstance(name, str) for name in fitted.cluster_names_)
    assert fitted.reduce_to(4).n_clusters_ == 4
    assert fitted.reduce_to(2).n_clusters_ == 2


@pytest.mark.parametrize("k", [1, 6, 2.0, True, "2"])
def test_a_tree_has_no_other_numbers(fitted, k) -> None:
    with pytest.raises(InputError, match="k must be a whole number from 2 to the number of clusters, 5"):
        fitted.reduce_to(k)


def test_images_alone_have_a_tree_without_names() -> None:
    alone = TextAidedClustering(GROUPS).fit(IMAGES).reduce_to(4)
    assert len(set(of_group(alone, 1, 2))) == 1
    assert alone.cluster_names_ == [None] * 4


def test_other_words_name_the_same_clusters(fitted) -> None:
    labels = fitted.labels_
    words = [f"no word {number}" for number in range(len(NOUNS))]
    assert fitted.name_clusters(words, NOUN_EMBEDDINGS) is fitted
    np.testing.assert_array_equal(fitted.labels_, labels)
    assert all(name.split(" (")[0] in words or name.startswith("unnamed") for name in fitted.cluster_names_)
    alone = TextAidedClustering(GROUPS).fit(IMAGES)
    again = fitted.name_clusters(NOUNS, NOUN_EMBEDDINGS).cluster_names_
    assert {name for name in again if name is not None} & set(NOUNS)
    assert alone.name_clusters(NOUNS, NOUN_EMBEDDINGS).cluster_names_[of_group(alone, 0)[0]] in ("cat", "kitten")
    with pytest.raises(InputError, match="must have the same width"):
        fitted.name_clusters(NOUNS, NOUN_EMBEDDINGS[:, :4])


def test_names_that_people_gave_stay() -> None:
    known: list[str | None] = [None] * len(IMAGES)
    known[0] = known[1] = "my pets"
    fitted = TextAidedClustering(GROUPS).fit(IMAGES, nouns=NOUNS, noun_embeddings=NOUN_EMBEDDINGS, known=known)
    assert fitted.name_clusters(NOUNS[::-1], NOUN_EMBEDDINGS[::-1]).cluster_names_[0] == "my pets"
