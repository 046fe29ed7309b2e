"""What tells groups of one name apart."""

import numpy as np
import pytest

from tac_pipeline.method.words.contrasts import tell_apart

WORDS = ["blue", "red", "large", "snake"]


def images_of(*towards: int, seed: int = 0, count: int = 20) -> tuple[np.ndarray, np.ndarray]:
    """Groups of images, each near the first axis and towards another one."""
    generator = np.random.default_rng(seed)
    axes = np.eye(8)
    rows = [axes[0] + 0.5 * axes[axis] + 0.1 * generator.normal(size=8) for axis in towards for _ in range(count)]
    found = np.array(rows, np.float32)
    return found / np.linalg.norm(found, axis=1, keepdims=True), np.repeat(np.arange(len(towards)), count)


def told(images, assignment, alike, allowed=(0, 1, 2, 3)) -> dict[int, str]:
    vectors = np.eye(8, dtype=np.float32)[[1, 2, 3, 0]]
    return tell_apart(
        images,
        assignment,
        alike,
        words=WORDS,
        word_embeddings=vectors,
        mean=np.zeros(8, np.float32),
        allowed=lambda group, name: np.array(allowed, dtype=np.int64),
    )


def test_each_group_gets_the_word_that_it_is_nearer_to() -> None:
    assert told(*images_of(1, 2), {"snake": [0, 1]}) == {0: "blue", 1: "red"}
    assert told(*images_of(1, 2, 3), {"snake": [0, 1, 2]}) == {0: "blue", 1: "red", 2: "large"}


def test_groups_that_do_not_differ_get_no_word() -> None:
    assert told(*images_of(5, 5), {"snake": [0, 1]}) == {}
    assert told(*images_of(5, 6), {"snake": [0, 1]}) == {}


def test_a_word_must_be_allowed_and_no_word_is_the_name_or_said_twice() -> None:
    images, assignment = images_of(1, 2)
    assert told(images, assignment, {"snake": [0, 1]}, allowed=(1, 3)) == {1: "red"}
    assert told(images, assignment, {"Blue": [0, 1]}) == {1: "red"}
    assert told(*images_of(1, 1, 2), {"snake": [0, 1, 2]}).get(2) == "red"


@pytest.mark.parametrize("alike", [{}, {"snake": [0]}, {"snake": [0, 2]}])
def test_there_is_nothing_to_tell_one_group_from(alike) -> None:
    """The third group has no images."""
    assert told(*images_of(1, 2), alike) == {}
