"""Plain versions of the method's formulas, in loops and float64, to compare the fast ones with."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor


def random_unit_rows(n_rows: int, dim: int, seed: int) -> np.ndarray:
    """Directions without structure, float32 (n_rows, dim)."""
    rows = np.random.default_rng(seed).normal(size=(n_rows, dim))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def scattered_groups(n_groups: int, per_group: int, *, spread: float = 0.1, dim: int = 32, seed: int = 0) -> np.ndarray:
    """Unit rows around as many random directions, float32 (n_groups * per_group, dim), group after group."""
    generator = np.random.default_rng(seed)
    rows = random_unit_rows(n_groups, dim, seed + 1)[np.repeat(np.arange(n_groups), per_group)]
    rows = rows + spread * generator.normal(size=rows.shape)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def random_soft(n_rows: int, n_clusters: int, seed: int) -> Tensor:
    """A soft assignment, float64 (n_rows, n_clusters), that gradients flow to."""
    logits = torch.randn(n_rows, n_clusters, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return torch.softmax(logits, dim=1).detach().requires_grad_()


def sharp_soft(n_images: int, n_clusters: int, seed: int) -> np.ndarray:
    """A soft assignment that is mostly sure, float32 (n_images, n_clusters)."""
    logits = 3 * np.random.default_rng(seed).normal(size=(n_images, n_clusters))
    exponentials = np.exp(logits)
    return (exponentials / exponentials.sum(axis=1, keepdims=True)).astype(np.float32)


def plain_vocabulary(nouns: np.ndarray, centers: np.ndarray, nouns_per_center: int) -> dict[int, tuple[int, float]]:
    """Chosen noun -> (its center, its confidence), step 4."""
    owned: dict[int, list[tuple[float, int]]] = {}
    for row, noun in enumerate(nouns.astype(np.float64)):
        cosines = [float(noun @ center) for center in centers.astype(np.float64)]
        exponentials = [math.exp(cosine) for cosine in cosines]
        center = cosines.index(max(cosines))
        owned.setdefault(center, []).append((exponentials[center] / sum(exponentials), row))
    chosen = {}
    for center, members in owned.items():
        for confidence, row in sorted(members, key=lambda member: (-member[0], member[1]))[:nouns_per_center]:
            chosen[row] = (center, confidence)
    return chosen


def plain_weights(images: np.ndarray, nouns: np.ndarray, tau: float) -> np.ndarray:
    """Retrieval weights, float64 (n_images, n_nouns), step 5."""
    weights = []
    for image in images.astype(np.float64):
        logits = [float(image @ noun) / tau for noun in nouns.astype(np.float64)]
        exponentials = [math.exp(logit - max(logits)) for logit in logits]
        weights.append([value / sum(exponentials) for value in exponentials])
    return np.array(weights)


def plain_counterparts(images: np.ndarray, nouns: np.ndarray, tau: float) -> np.ndarray:
    """Text counterparts, float64 (n_images, dim), step 5."""
    blended = plain_weights(images, nouns, tau) @ nouns.astype(np.float64)
    return blended / np.linalg.norm(blended, axis=1, keepdims=True)


def plain_neighbor_cosines(rows: np.ndarray, count: int) -> np.ndarray:
    """The cosines of each row's nearest others, best first, float64 (n_rows, count), step 7."""
    exact = rows.astype(np.float64)
    found = []
    for own, row in enumerate(exact):
        cosines = [float(row @ other) for place, other in enumerate(exact) if place != own]
        found.append(sorted(cosines, reverse=True)[:count])
    return np.array(found)


def plain_distillation(a: Tensor, b: Tensor, temperature: float) -> Tensor:
    """Step 9's distill(A, B), one column at a time."""
    n_clusters = a.shape[1]
    columns = [a[:, c] for c in range(n_clusters)] + [b[:, c] for c in range(n_clusters)]
    columns = [column / column.norm() for column in columns]
    terms = []
    for own in range(2 * n_clusters):
        partner = (own + n_clusters) % (2 * n_clusters)
        similarity = [(columns[own] @ columns[other]) / temperature for other in range(2 * n_clusters)]
        others = torch.stack([similarity[other].exp() for other in range(2 * n_clusters) if other != own])
        terms.append(others.sum().log() - similarity[partner])
    return torch.stack(terms).mean()


def plain_confidence(p: Tensor, q: Tensor) -> Tensor:
    """Step 9's confidence, one image at a time."""
    return -torch.stack([(p[row] @ q[row]).log() for row in range(len(p))]).mean()


def plain_balance(p: Tensor, q: Tensor) -> Tensor:
    """Step 9's balance: two entropies in nats."""
    total = torch.zeros((), dtype=p.dtype)
    for soft in (p, q):
        for share in soft.mean(dim=0):
            total = total - share * share.log()
    return total
