"""The robust heads: what they find, when they fall back, and that only vectors reach them."""

import inspect

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from tac_pipeline.method.grouping.blend import blend_rows
from tac_pipeline.method.grouping.neighbors import nearest_neighbors
from tac_pipeline.method.heads import joined_heads
from tac_pipeline.method.heads.calibration import neighborhood_confidence
from tac_pipeline.method.heads.cluster_head import soft_assignment
from tac_pipeline.method.heads.joined_heads import JoinedHeads, learn_joined_heads, member_seeds
from tac_pipeline.method.values.published import TrainingSchedule
from tac_pipeline.method.values.trained import OWN_VOTE, VOTING_ROUNDS

GROUPS, PER_GROUP, DIM = 4, 25, 10
TRUTH = np.repeat(np.arange(GROUPS), PER_GROUP)


def images_and_texts() -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    rows = np.eye(DIM)[TRUTH] + 0.1 * generator.normal(size=(2, len(TRUTH), DIM))
    images, texts = (rows / np.linalg.norm(rows, axis=2, keepdims=True)).astype(np.float32)
    return images, texts


def learn(seed: int = 0, **changes: object) -> JoinedHeads:
    images, texts = images_and_texts()
    rows = blend_rows(images, texts, text_weight=0.7)
    asked = {
        "kmeans": TRUTH,
        "n_clusters": GROUPS,
        "members": 3,
        "schedule": TrainingSchedule(30, 50, 0.5),
        "balance_weight": 5.0,
        "learning_rate": 1e-2,
        "seed": seed,
    }
    return learn_joined_heads(
        images, rows, nearest_neighbors(images, count=6), nearest_neighbors(rows, count=6), **(asked | changes)
    )


@pytest.fixture(scope="module")
def learned() -> JoinedHeads:
    return learn()


def test_the_groups_are_found_and_told(learned) -> None:
    soft = soft_assignment(learned.image_head, images_and_texts()[0])
    assert adjusted_rand_score(TRUTH, soft.argmax(axis=1)) == 1
    assert not learned.fell_back
    assert learned.agreement > 0.9
    assert "heads from several seeds were joined" in learned.sentence
    assert [epoch.epoch for epoch in learned.history] == list(range(1, 31))
    assert learned.text_head.hidden.weight.shape == (DIM, 2 * DIM)


def test_the_head_is_as_sure_as_two_seeds_agree() -> None:
    images, texts = images_and_texts()
    noisy = images + 0.3 * np.random.default_rng(1).normal(size=images.shape)
    images = (noisy / np.linalg.norm(noisy, axis=1, keepdims=True)).astype(np.float32)
    rows = blend_rows(images, texts, text_weight=0.7)
    found = learn_joined_heads(
        images,
        rows,
        nearest_neighbors(images, count=6),
        nearest_neighbors(rows, count=6),
        kmeans=TRUTH,
        n_clusters=GROUPS,
        members=4,
        schedule=TrainingSchedule(20, 50, 0.5),
        balance_weight=5.0,
        learning_rate=1e-2,
        seed=0,
    )
    assert 0.5 < found.agreement < 0.98
    sure = soft_assignment(found.image_head, images).max(axis=1).mean()
    assert sure == pytest.approx(found.agreement, abs=0.01)


def test_one_head_is_as_sure_as_its_neighborhoods() -> None:
    found = learn(members=1)
    images = images_and_texts()[0]
    assert found.agreement == 1
    soft = soft_assignment(found.image_head, images)
    told = neighborhood_confidence(soft, nearest_neighbors(images, count=6), rounds=VOTING_ROUNDS, own=OWN_VOTE)
    assert soft.max(axis=1).mean() == pytest.approx(told, abs=0.05)


def test_heads_that_agree_on_nearly_every_image_are_not_certain(learned) -> None:
    assert learned.agreement > 1 - 1 / len(TRUTH)
    soft = soft_assignment(learned.image_head, images_and_texts()[0])
    assert soft.max(axis=1).mean() == pytest.approx(1 - 1 / len(TRUTH), abs=1e-3)


def test_a_seed_repeats(learned) -> None:
    again = learn()
    images = images_and_texts()[0]
    np.testing.assert_array_equal(
        soft_assignment(again.image_head, images), soft_assignment(learned.image_head, images)
    )
    assert again.history == learned.history


def test_progress_counts_the_epochs_of_all_members() -> None:
    told: list[tuple[int, int]] = []
    learn(members=2, schedule=TrainingSchedule(3, 50, 0.5), progress=lambda *at: told.append(at))
    assert told == [(done, 6) for done in range(1, 7)]


def test_k_means_answers_where_the_heads_tear_neighbors_apart(monkeypatch) -> None:
    shuffled = np.eye(GROUPS, dtype=np.float32)[np.random.default_rng(0).permutation(TRUTH)]
    monkeypatch.setattr(joined_heads, "join_members", lambda *_, **__: shuffled)
    found = learn(members=2)
    assert found.fell_back
    assert found.sentence.startswith("k-means on the images is the answer")
    soft = soft_assignment(found.image_head, images_and_texts()[0])
    np.testing.assert_array_equal(soft.argmax(axis=1), TRUTH)


def test_members_of_two_seeds_share_none() -> None:
    seeds = [own for seed in range(50) for own in member_seeds(seed, 8)]
    assert len(set(seeds)) == len(seeds)


def test_no_label_can_reach_it() -> None:
    taken = set(inspect.signature(learn_joined_heads).parameters)
    assert not {name for name in taken if "label" in name or name == "y" or "truth" in name}
