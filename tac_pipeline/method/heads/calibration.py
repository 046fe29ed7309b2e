"""Calibrating confidence without labels: a head's softmax is sharpened or softened until it is as sure as it should."""

from __future__ import annotations

import numpy as np
import torch

from tac_pipeline.arrays import FloatMatrix, IntMatrix
from tac_pipeline.errors import InputError
from tac_pipeline.method.grouping.consensus import join_neighbors
from tac_pipeline.method.heads.cluster_head import ClusterHead

# Factors between which one is looked for, and halvings of that span, by logarithm: to 1 part in 10,000.
SMALLEST, LARGEST, HALVINGS = 1e-3, 1e3, 18


def neighborhood_confidence(soft: FloatMatrix, neighbors: IntMatrix, *, rounds: int, own: float) -> float:
    """The mean probability of each image's likeliest cluster once its neighbors' votes are joined to its own.

    Parameters
    ----------
    soft : float32 (n_images, n_clusters), rows sum to 1
    neighbors : int64 (n_images, count)
    rounds, own
        As in join_neighbors.
    """
    joined = join_neighbors(soft, neighbors, rounds=rounds, own=own)
    return float(np.take_along_axis(joined, soft.argmax(axis=1)[:, None], axis=1).mean(dtype=np.float64))


def sharpness_for(soft: FloatMatrix, confidence: float) -> float:
    """The factor on the logits under which the mean of the rows' largest probabilities is `confidence`.

    Parameters
    ----------
    soft : float32 (n_images, n_clusters), rows sum to 1
    confidence : float
        Above 1 / n_clusters, at most 1; if no factor reaches it, the nearest is used.
    """
    if not 1 / soft.shape[1] < confidence <= 1:
        raise InputError(f"confidence must be above 1 / n_clusters and at most 1; got {confidence}")
    logits = np.log(np.maximum(soft, np.finfo(np.float32).tiny))
    logits -= logits.max(axis=1, keepdims=True)
    low, high = np.log(SMALLEST), np.log(LARGEST)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        # The likeliest column's exponential is 1.
        reached = float((1 / np.exp(np.exp(middle) * logits).sum(axis=1)).mean())
        low, high = (middle, high) if reached < confidence else (low, middle)
    return float(np.exp((low + high) / 2))


def scale_output(head: ClusterHead, factor: float) -> ClusterHead:
    """The head with its logits multiplied by a factor > 0, in place: its choices stay, their probabilities change."""
    with torch.no_grad():
        head.output.weight.mul_(factor)
        head.output.bias.mul_(factor)
    return head
