"""Each loss against its plain version, gradients included, and at the edge of what floats can hold."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from reference import plain_balance, plain_confidence, plain_distillation, random_soft
from torch import Tensor

from tac_pipeline.method.heads.losses import balance, confidence_loss, distillation_loss, total_loss

SIZES = {"n_rows": st.integers(2, 8), "n_clusters": st.integers(2, 5), "seed": st.integers(0, 99)}


def require_equal_with_gradients(fast: Tensor, plain: Tensor, inputs: list[Tensor]) -> None:
    torch.testing.assert_close(fast, plain)
    for quick, slow in zip(torch.autograd.grad(fast, inputs), torch.autograd.grad(plain, inputs), strict=True):
        torch.testing.assert_close(quick, slow)


@given(temperature=st.sampled_from([0.5, 1.0, 5.0]), **SIZES)
def test_distillation(n_rows, n_clusters, seed, temperature) -> None:
    a, b = random_soft(n_rows, n_clusters, seed), random_soft(n_rows, n_clusters, seed + 1)
    require_equal_with_gradients(
        distillation_loss(a, b, temperature=temperature), plain_distillation(a, b, temperature), [a, b]
    )


@given(**SIZES)
def test_confidence(n_rows, n_clusters, seed) -> None:
    p, q = random_soft(n_rows, n_clusters, seed), random_soft(n_rows, n_clusters, seed + 1)
    require_equal_with_gradients(confidence_loss(p, q), plain_confidence(p, q), [p, q])


@given(**SIZES)
def test_balance(n_rows, n_clusters, seed) -> None:
    p, q = random_soft(n_rows, n_clusters, seed), random_soft(n_rows, n_clusters, seed + 1)
    require_equal_with_gradients(balance(p, q), plain_balance(p, q), [p, q])


@given(**SIZES)
def test_total(n_rows, n_clusters, seed) -> None:
    p, q, p_neighbor, q_neighbor = (random_soft(n_rows, n_clusters, seed + place) for place in range(4))
    losses = total_loss(p, q, p_neighbor, q_neighbor, temperature=0.5, balance_weight=5.0)
    distillation = plain_distillation(p, q_neighbor, 0.5) + plain_distillation(q, p_neighbor, 0.5)
    plain = distillation + plain_confidence(p, q) - 5 * plain_balance(p, q)
    torch.testing.assert_close(losses.distillation, distillation)
    torch.testing.assert_close(losses.confidence, plain_confidence(p, q))
    torch.testing.assert_close(losses.balance, plain_balance(p, q))
    require_equal_with_gradients(losses.total, plain, [p, q, p_neighbor, q_neighbor])


def test_distillation_is_least_where_the_columns_agree() -> None:
    one_hot = torch.eye(4).repeat(3, 1)
    agreeing = distillation_loss(one_hot, one_hot, temperature=0.5)
    assert agreeing < distillation_loss(one_hot, one_hot.roll(1, dims=1), temperature=0.5)
    # Each partner has cosine 1, the six others 0.
    assert agreeing.item() == pytest.approx(float(torch.log(torch.exp(torch.tensor(2.0)) + 6) - 2))


def test_balance_is_most_where_clusters_are_equally_large() -> None:
    even = torch.full((6, 3), 1 / 3)
    assert balance(even, even).item() == pytest.approx(2 * float(torch.log(torch.tensor(3.0))))
    alone = torch.eye(3)[[0] * 6]
    assert balance(alone, alone).item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("scale", [50.0, 300.0, 1e4])
def test_sure_heads_of_different_minds_stay_finite(scale) -> None:
    # At these logits float32's softmax is exactly 0 or 1, and columns 2 and 3 are all zeros.
    own = torch.tensor([0, 0, 1, 1])
    logits = [(scale * torch.eye(4)[order]).requires_grad_() for order in (own, 1 - own, own, 1 - own)]
    p, q, p_neighbor, q_neighbor = (torch.softmax(logit, dim=1) for logit in logits)
    losses = total_loss(p, q, p_neighbor, q_neighbor, temperature=0.5, balance_weight=5.0)
    losses.total.backward()
    assert torch.isfinite(losses.total)
    assert losses.confidence > 40
    assert all(torch.isfinite(logit.grad).all() for logit in logits)
