"""The training loop against a plain one, and its edges."""

import itertools

import numpy as np
import pytest
import torch
from reference import plain_balance, plain_confidence, plain_distillation, random_unit_rows
from sklearn.metrics import adjusted_rand_score

from tac_pipeline.errors import InputError, TacError
from tac_pipeline.method.grouping.neighbors import nearest_neighbors
from tac_pipeline.method.heads.assignment import assign
from tac_pipeline.method.heads.cluster_head import build_head, soft_assignment
from tac_pipeline.method.heads.training import TrainedHeads, train_cluster_heads
from tac_pipeline.method.values.published import TrainingSchedule

SCHEDULE = TrainingSchedule(epochs=3, batch_size=8, temperature=0.5)


def inputs(n_images: int = 20, dim: int = 6, count: int = 4) -> tuple:
    images, texts = random_unit_rows(n_images, dim, 0), random_unit_rows(n_images, dim, 1)
    return images, texts, nearest_neighbors(images, count=count), nearest_neighbors(texts, count=count)


def train(*arguments: np.ndarray, **changes: object) -> TrainedHeads:
    settings = {
        "n_clusters": 3,
        "schedule": SCHEDULE,
        "balance_weight": 5.0,
        "learning_rate": 1e-3,
        "seed": 0,
    }
    return train_cluster_heads(*(arguments or inputs()), **(settings | changes))


def plain_training(images, texts, image_neighbors, text_neighbors, *, n_clusters, schedule, seed) -> tuple:
    """Step 9 step by step: four separate passes, one row gathered after the other, the plain losses."""
    generator = torch.Generator().manual_seed(seed)
    heads = [build_head(rows.shape[1], n_clusters, generator=generator).train() for rows in (images, texts)]
    parameters = itertools.chain(*(head.parameters() for head in heads))
    optimizer = torch.optim.Adam(parameters, lr=1e-3, betas=(0.9, 0.99))
    totals = []
    for _ in range(schedule.epochs):
        order = torch.randperm(len(images), generator=generator).tolist()
        for start in range(0, len(images) - schedule.batch_size + 1, schedule.batch_size):
            batch = order[start : start + schedule.batch_size]
            soft = []
            for head, rows, table in ((heads[0], images, image_neighbors), (heads[1], texts, text_neighbors)):
                picks = torch.randint(table.shape[1], (len(batch),), generator=generator).tolist()
                neighbors = [table[row, pick] for row, pick in zip(batch, picks, strict=True)]
                soft.append(head(torch.tensor(np.stack([rows[row] for row in batch]))))
                soft.append(head(torch.tensor(np.stack([rows[row] for row in neighbors]))))
            p, p_neighbor, q, q_neighbor = soft
            total = (
                plain_distillation(p, q_neighbor, schedule.temperature)
                + plain_distillation(q, p_neighbor, schedule.temperature)
                + plain_confidence(p, q)
                - 5 * plain_balance(p, q)
            )
            optimizer.zero_grad()
            total.backward()
            optimizer.step()
            totals.append(total.item())
    return heads, totals


def test_it_equals_the_plain_loop() -> None:
    heads, totals = plain_training(*inputs(), n_clusters=3, schedule=SCHEDULE, seed=5)
    trained = train(seed=5)
    steps = 20 // 8
    np.testing.assert_allclose(
        [epoch.total for epoch in trained.history], np.reshape(totals, (-1, steps)).mean(axis=1), rtol=1e-4
    )
    for plain, fast in zip(heads, (trained.image_head, trained.text_head), strict=True):
        for name, tensor in plain.named_parameters():
            torch.testing.assert_close(dict(fast.named_parameters())[name], tensor, rtol=1e-3, atol=1e-4)


def test_separate_groups_are_found() -> None:
    truth = np.repeat(np.arange(3), 30)
    noise = np.random.default_rng(0).normal(size=(2, 90, 16)).astype(np.float32)
    views = [np.eye(16, dtype=np.float32)[truth + shift] + 0.1 * noise[shift] for shift in (0, 1)]
    images, texts = (view / np.linalg.norm(view, axis=1, keepdims=True) for view in views)
    trained = train(
        images,
        texts,
        nearest_neighbors(images, count=10),
        nearest_neighbors(texts, count=10),
        schedule=TrainingSchedule(epochs=40, batch_size=45, temperature=0.5),
        learning_rate=1e-2,
    )
    assert adjusted_rand_score(truth, assign(soft_assignment(trained.image_head, images)).column) == 1
    assert adjusted_rand_score(truth, assign(soft_assignment(trained.text_head, texts)).column) == 1
    assert trained.history[-1].total < trained.history[0].total


def test_the_seed_decides_everything_and_no_global_stream_moves() -> None:
    torch.manual_seed(0)
    state = torch.get_rng_state()
    first = train(seed=1)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(1)
    again, other = train(seed=1), train(seed=2)
    assert first.history == again.history
    assert torch.equal(first.image_head.output.weight, again.image_head.output.weight)
    assert first.history != other.history


def test_the_history_counts_epochs_and_adds_up() -> None:
    told: list[tuple[int, int]] = []
    history = train(balance_weight=2.0, progress=lambda *at: told.append(at)).history
    assert [epoch.epoch for epoch in history] == [1, 2, 3]
    assert told == [(1, 3), (2, 3), (3, 3)]
    for epoch in history:
        assert epoch.total == pytest.approx(epoch.distillation + epoch.confidence - 2 * epoch.balance, abs=1e-4)


@pytest.mark.parametrize(("n_images", "batch_size", "steps"), [(20, 8, 2), (20, 512, 1), (20, 20, 1), (3, 2, 1)])
def test_a_batch_is_cut_to_the_images_and_a_partial_one_waits(n_images, batch_size, steps) -> None:
    trained = train(*inputs(n_images, count=2), schedule=TrainingSchedule(3, batch_size, 0.5))
    # Two passes of each step, the images' own and their neighbors'.
    assert trained.image_head.norm.num_batches_tracked == 3 * steps * 2


def test_few_steps_leave_no_wrong_statistics() -> None:
    images, *others = inputs()
    head = train(images, *others, schedule=TrainingSchedule(1, 20, 0.5)).image_head
    hidden = torch.from_numpy(images) @ head.hidden.weight.T
    torch.testing.assert_close(head.norm.running_var, hidden.var(dim=0), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(head.norm.running_mean, hidden.mean(dim=0), rtol=1e-4, atol=1e-6)


def test_the_heads_come_back_ready_to_assign() -> None:
    trained = train()
    assert not trained.image_head.training
    assert not trained.text_head.training


def test_both_views_may_differ_in_width() -> None:
    images, _, image_neighbors, _ = inputs()
    texts = random_unit_rows(20, 9, 1)
    trained = train(images, texts, image_neighbors, nearest_neighbors(texts, count=4))
    assert trained.text_head.hidden.weight.shape == (9, 9)


def test_a_loss_that_is_not_finite_says_what_to_change() -> None:
    with pytest.raises(TacError, match=r"must stay finite; it became nan in epoch \d.*learning_rate"):
        train(learning_rate=float("inf"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_clusters": 1}, "n_clusters must be at least 2; got 1"),
        ({"schedule": TrainingSchedule(1, 1, 0.5)}, "batch_size must be at least 2"),
        ({"schedule": TrainingSchedule(0, 8, 0.5)}, "at least one epoch"),
        ({"schedule": TrainingSchedule(1, 8, 0.0)}, "temperature above 0"),
    ],
)
def test_impossible_settings_are_refused(changes, message) -> None:
    with pytest.raises(InputError, match=message):
        train(**changes)


def test_impossible_images_are_refused() -> None:
    images, texts, image_neighbors, text_neighbors = inputs()
    with pytest.raises(InputError, match=r"one row per image; got \[19, 20\]"):
        train(images, texts[:-1], image_neighbors, text_neighbors)
    with pytest.raises(InputError, match="at least two images; got 1"):
        train(images[:1], texts[:1], image_neighbors[:1], text_neighbors[:1])
