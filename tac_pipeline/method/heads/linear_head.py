"""Heads that need no training: groups by the nearest center, in the image vectors' space or in a whitened one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from tac_pipeline.arrays import FloatMatrix, IntVector, unit_rows
from tac_pipeline.method.grouping.regrouping import Regrouping, Returns, measure_returns
from tac_pipeline.method.grouping.whitening import Whitening
from tac_pipeline.method.heads.calibration import scale_output, sharpness_for
from tac_pipeline.method.heads.cluster_head import ClusterHead, soft_assignment
from tac_pipeline.method.heads.training import TrainedHeads
from tac_pipeline.tensors import group_sums


def center_head(
    rows: FloatMatrix, assignment: IntVector, *, n_clusters: int, whitening: Whitening | None = None
) -> ClusterHead:
    """The nearest center as a head: its likeliest column is the cluster with the nearest center.

    The length of a row does not change which center has the highest cosine, and a whitening is affine: in the whitened
    space the cosines with the centers are, but for that length, an affine function of the row as it is.

    Parameters
    ----------
    rows : float32 (n_images, dim), unit rows
    assignment : int64 (n_images,)
        A cluster of n_clusters for each; its center is the unit mean of its whitened rows.
    whitening : Whitening, optional
        None leaves the rows as they are.
    """
    seen = rows if whitening is None else whitening.apply(rows)
    centers = unit_rows(group_sums(seen, assignment, n_groups=n_clusters))  # (n_clusters, dim)
    if whitening is None:
        return _affine_head(centers, np.zeros(n_clusters, dtype=np.float32))
    weights = (centers @ whitening.matrix.T).astype(
        np.float32
    )  # (n_clusters, dim): in the space of the rows as they are
    return _affine_head(weights, (-weights @ whitening.mean).astype(np.float32))


def _affine_head(weights: FloatMatrix, bias: FloatMatrix) -> ClusterHead:
    """A head with the logits rows @ weights.T + bias.

    The hidden layer passes the vector through (each number raised by 1, so that ReLU leaves it).
    """
    n_clusters, dim = weights.shape
    head = ClusterHead(dim, n_clusters)
    with torch.no_grad():
        head.hidden.weight.copy_(torch.eye(dim))
        # The root undoes BatchNorm's epsilon.
        head.norm.weight.fill_((1 + head.norm.eps) ** 0.5)
        head.norm.bias.fill_(1.0)
        head.output.weight.copy_(torch.from_numpy(weights))
        head.output.bias.copy_(torch.from_numpy(bias - weights.sum(axis=1)))
    return head.eval()


@dataclass(frozen=True)
class CenterHeads(TrainedHeads):
    """Heads of the nearest center, without a history, and how well their groups come back.

    Attributes
    ----------
    agreement : float
        How often an image returns to its group when parts of the images are grouped again.
    persistence : float
        How whole the groups return, in the mean.
    """

    agreement: float
    persistence: float

    @property
    def facts(self) -> dict[str, float | bool]:
        """Small numbers that are worth keeping."""
        return {"agreement": self.agreement, "persistence": self.persistence}

    @property
    def sentence(self) -> str:
        """How sure the groups are, in words."""
        return (
            f"nothing was trained: the heads are the centers of the groups. Grouped again from parts of the images, "
            f"{self.agreement:.0%} of them return to their group, and a group returns {self.persistence:.0%} whole"
        )


def make_sure(
    head: ClusterHead,
    images: FloatMatrix,
    rows: FloatMatrix,
    *,
    regrouping: Regrouping,
    seed: int,
    known: IntVector | None = None,
    levels: int = 1,
) -> Returns:
    """Make a head as sure of images as they return to their group when they are grouped again, in place.

    Its logits are scaled until its mean confidence is the mean share of returns. No image is surer than its group
    returns whole (the head's ceilings).

    Parameters
    ----------
    head : ClusterHead
        Of the nearest center in the whitened space.
    images : float32 (n_images, dim), unit rows
    rows : float32 (n_images, any), unit rows
        The same images in the space in which groups are found.
    seed : int >= 0
    known : int64 (n_images,), optional
    levels : int, optional
        See measure_returns.
    """
    soft = soft_assignment(head, images)
    n_groups = soft.shape[1]
    groups = soft.argmax(axis=1)
    returns = measure_returns(
        rows, groups, n_groups=n_groups, regrouping=regrouping, seed=seed, known=known, levels=levels
    )
    # No factor brings the mean down to chance or below.
    sure = min(max(float(returns.votes.mean()), 1.01 / n_groups), 1.0)
    scale_output(head, sharpness_for(soft, sure))
    head.ceilings = torch.from_numpy(returns.persistence.astype(np.float32))
    return returns
