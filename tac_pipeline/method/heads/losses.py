"""Step 9: the losses of the two cluster heads.

Every matrix here is a soft assignment: float (n, n_clusters), rows sum to 1. `p` and `q` are the image head's and the
text head's for the same images.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class Losses:
    """The three terms and the total, which is minimized, each a scalar tensor."""

    distillation: Tensor
    confidence: Tensor
    balance: Tensor
    total: Tensor


def distillation_loss(a: Tensor, b: Tensor, *, temperature: float) -> Tensor:
    """Make the same cluster similar in two soft assignments and different clusters different.

    The columns of both are 2 n_clusters vectors over the batch. Each has to pick its partner, the same cluster in the
    other matrix, among all the others by cosine / temperature; the loss is the mean cross entropy of that choice.
    """
    n_clusters = a.shape[1]
    columns = functional.normalize(torch.cat([a, b], dim=1), dim=0).T  # (2 n_clusters, n)
    similarity = columns @ columns.T / temperature
    itself = torch.eye(2 * n_clusters, dtype=torch.bool, device=a.device)
    partner = torch.arange(2 * n_clusters, device=a.device).roll(n_clusters)
    return functional.cross_entropy(similarity.masked_fill(itself, -torch.inf), partner)


def confidence_loss(p: Tensor, q: Tensor) -> Tensor:
    """Minus the mean log probability that both heads choose the same cluster."""
    agreement = (p * q).sum(dim=1)
    # Two sure heads that disagree underflow to 0; at the smallest normal number log and gradient are finite.
    return -agreement.clamp_min(torch.finfo(p.dtype).tiny).log().mean()


def balance(p: Tensor, q: Tensor) -> Tensor:
    """The entropies of both heads' mean assignments, added, in nats: highest when all clusters are equally large."""
    return _entropy(p.mean(dim=0)) + _entropy(q.mean(dim=0))


def _entropy(shares: Tensor) -> Tensor:
    # The gradient of x log x is infinite at 0.
    positive = shares.clamp_min(torch.finfo(shares.dtype).tiny)
    return -(positive * positive.log()).sum()


def total_loss(
    p: Tensor, q: Tensor, p_neighbor: Tensor, q_neighbor: Tensor, *, temperature: float, balance_weight: float
) -> Losses:
    """The training loss: distillation + confidence - balance_weight x balance (paper step 9).

    Parameters
    ----------
    p, q : float (n, n_clusters)
        The heads on a batch of images and on their text counterparts.
    p_neighbor : float (n, n_clusters)
        The image head on one image neighbor of each image.
    q_neighbor : float (n, n_clusters)
        The text head on one text neighbor of each image.
    temperature : float > 0
        Of the distillation.
    balance_weight : float >= 0
    """
    distillation = distillation_loss(p, q_neighbor, temperature=temperature) + distillation_loss(
        q, p_neighbor, temperature=temperature
    )
    confidence = confidence_loss(p, q)
    evenness = balance(p, q)
    return Losses(distillation, confidence, evenness, distillation + confidence - balance_weight * evenness)
