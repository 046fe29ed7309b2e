"""A criterion's view of images: against a plain reference version, and what it must never depend on."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tac_pipeline.arrays import unit_rows
from tac_pipeline.errors import InputError
from tac_pipeline.method.values.criteria import criteria, criterion_words, repeated_words
from tac_pipeline.method.words.criterion import View, find_view

DIM = 8


def random_rows(n: int, seed: int, *, dim: int = DIM) -> np.ndarray:
    return unit_rows(np.random.default_rng(seed).normal(size=(n, dim)).astype(np.float32))


def plain_projection(images: np.ndarray, words: np.ndarray, center: np.ndarray) -> np.ndarray:
    """Least squares on the differences of the words, image by image; in full width."""
    differences = (words[1:] - words[0]).T.astype(np.float64)
    found = []
    for image in images.astype(np.float64):
        shares, *_ = np.linalg.lstsq(differences, image - center, rcond=None)
        inside = differences @ shares
        found.append(inside / np.linalg.norm(inside))
    return np.array(found)


@given(seed=st.integers(0, 99), n_words=st.integers(2, 6))
def test_images_are_projected_on_the_differences_of_the_words(seed: int, n_words: int) -> None:
    images, words = random_rows(20, seed), random_rows(n_words, seed + 1000)
    found = find_view(images, words)
    assert len(found.view.directions) == n_words - 1
    center = found.view.center @ found.view.directions
    seen = found.view.apply(images)
    assert seen.shape == (20, n_words - 1)
    np.testing.assert_allclose(np.linalg.norm(seen, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(seen @ found.view.directions, plain_projection(images, words, center), atol=1e-3)
    of_words = plain_projection(words, words, words.mean(axis=0))
    np.testing.assert_allclose(found.words @ found.view.directions, of_words, atol=1e-3)


@given(seed=st.integers(0, 99))
def test_what_the_words_share_and_what_they_do_not_span_never_counts(seed: int) -> None:
    """Images may be anywhere along it, as those of a real encoder are elsewhere than its texts."""
    images, words = random_rows(30, seed), random_rows(3, seed + 1000)
    found = find_view(images, words)
    generator = np.random.default_rng(seed + 2000)
    away = generator.normal(size=DIM)
    away -= found.view.directions.T @ (found.view.directions @ away)
    moved = (images + generator.normal(size=(30, 1)) * away).astype(np.float32)
    np.testing.assert_allclose(found.view.apply(moved), found.view.apply(images), atol=1e-3)


def test_the_center_is_that_of_the_words_and_not_of_the_images() -> None:
    """Nine in ten images are on one side: seen from their mean, some of these would be on the other."""
    generator = np.random.default_rng(0)
    side = np.repeat([0.5, -0.5], [90, 10])
    images = np.zeros((100, 4), dtype=np.float32)
    images[:, 0] = 0.1 + side + 0.12 * generator.normal(size=100)
    images[:, 1] = 1
    words = np.eye(4, dtype=np.float32)[[0, 0]]
    words[1, 0] = -1
    found = find_view(unit_rows(images), words)
    nearest = (found.view.apply(unit_rows(images)) @ found.words.T).argmax(axis=1)
    assert (nearest == (side < 0)).all()
    by_mean = View(np.eye(4, dtype=np.float32)[:1], unit_rows(images)[:, 0].mean()[None])
    assert (np.sign(by_mean.apply(unit_rows(images))[:, 0]) != np.sign(side)).any()


def test_words_that_no_image_is_near_do_not_move_the_center() -> None:
    images, words = random_rows(400, 1), random_rows(3, 2)
    images[:, :] = unit_rows(words[np.arange(400) % 2] + 0.1 * images)
    two, three = find_view(images, words[:2]), find_view(images, words)
    nearest = three.view.apply(images) @ three.words.T
    assert set(nearest.argmax(axis=1)) == {0, 1}
    place = three.view.center @ three.view.directions @ two.view.directions.T
    np.testing.assert_allclose(place, two.view.center, atol=0.02)


def test_an_image_at_the_center_is_still_a_unit_row() -> None:
    view = View(np.eye(3, dtype=np.float32)[:2], np.array([0.6, 0.0], dtype=np.float32))
    seen = view.apply(np.array([[0.6, 0.0, 0.8], [1.0, 0.0, 0.0]], dtype=np.float32))
    np.testing.assert_allclose(seen, [[1, 0], [1, 0]])


def test_two_words_with_one_more_that_adds_nothing_span_one_direction() -> None:
    words = unit_rows(np.array([[1, 0, 1], [-1, 0, 1]], dtype=np.float32))
    words = np.concatenate([words, words.mean(axis=0)[None]])
    assert len(find_view(random_rows(9, 0, dim=3), words).view.directions) == 1


@pytest.mark.parametrize(
    ("images", "words", "message"),
    [
        (random_rows(5, 0), random_rows(1, 1), "at least 2 words and one image; got 1 words and 5 images"),
        (random_rows(5, 0)[:0], random_rows(3, 1), "got 3 words and 0 images"),
        (random_rows(5, 0), np.repeat(random_rows(1, 1), 3, axis=0), "all of them have the same vector"),
        (random_rows(5, 0), random_rows(3, 1, dim=4), "the words"),
    ],
    ids=["one word", "no image", "equal words", "another width"],
)
def test_what_cannot_be_a_criterion_is_refused(images: np.ndarray, words: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        find_view(images, words)


def test_images_of_another_width_are_refused() -> None:
    view = find_view(random_rows(5, 0), random_rows(3, 1)).view
    with pytest.raises(InputError, match="the criterion"):
        view.apply(random_rows(2, 0, dim=4))


def test_the_sets_that_ship_are_whole() -> None:
    assert list(criteria()) == ["style", "place", "color", "material", "action", "mood", "time of day"]
    for name, words in criteria().items():
        assert 20 <= len(words) <= 60, name
        assert repeated_words(words) == [], name
        assert [word for word in words if word != " ".join(word.split())] == [], name


def test_words_come_from_a_set_or_from_a_person() -> None:
    assert criterion_words("color")[:2] == ("red", "orange")
    assert criterion_words(["cat", "dog"]) == ("cat", "dog")
    assert repeated_words(["Cat", "dog", "cat", "CAT", "Dog", "ox"]) == ["Cat", "dog"]
