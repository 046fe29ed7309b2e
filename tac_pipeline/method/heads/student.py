"""An image head that learns the joined result of several heads, and one that gives exactly the clusters of k-means."""

from __future__ import annotations

import torch
from torch import nn

from tac_pipeline.arrays import FloatMatrix, IntVector, unit_rows
from tac_pipeline.errors import InputError
from tac_pipeline.method.heads.cluster_head import ClusterHead, build_head
from tac_pipeline.method.heads.training import batches, drafted
from tac_pipeline.method.values.published import ADAM_BETAS
from tac_pipeline.tensors import group_sums, tensor_of


def distill_head(
    image_embeddings: FloatMatrix,
    soft: FloatMatrix,
    *,
    steps: int,
    batch_size: int,
    learning_rate: float,
    seed: int,
    device: str,
) -> ClusterHead:
    """An image head that learns a soft assignment by cross entropy, at least `steps` steps in whole epochs.

    Parameters
    ----------
    image_embeddings : float32 (n_images, dim), unit rows
    soft : float32 (n_images, n_clusters), rows sum to 1
    steps, batch_size : int
        The batch is cut to n_images.
    learning_rate : float > 0
        Falls to 0 along half a cosine.
    seed : int >= 0
    device : str

    Returns
    -------
    ClusterHead, on the CPU and in evaluation mode
    """
    if len(image_embeddings) != len(soft) or len(soft) < 2:
        raise InputError(f"soft must have a row for each of two or more images; got {len(soft)}")
    generator = torch.Generator().manual_seed(seed)
    head = build_head(image_embeddings.shape[1], soft.shape[1], generator=generator).to(device).train()
    rows, targets = drafted(image_embeddings, device), tensor_of(soft).to(device)
    optimizer = torch.optim.Adam(head.parameters(), lr=learning_rate, betas=ADAM_BETAS)
    per_epoch = len(soft) // min(batch_size, len(soft))
    epochs = -(-steps // per_epoch)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * per_epoch)
    for _ in range(epochs):
        for batch in batches(len(soft), batch_size, generator):
            chosen = batch.to(device)
            loss = nn.functional.cross_entropy(head.logits(rows[chosen]), targets[chosen])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
    head.settle(tensor_of(image_embeddings).to(device))
    return head.cpu().eval()


def kmeans_head(image_embeddings: FloatMatrix, assignment: IntVector, *, n_clusters: int) -> ClusterHead:
    """K-means as a head: its likeliest column is the cluster with the nearest center.

    The hidden layer passes the vector through (each number raised by 1, so that ReLU leaves it), and the output layer
    holds the centers.

    Parameters
    ----------
    image_embeddings : float32 (n_images, dim), unit rows
    assignment : int64 (n_images,)
        A cluster of n_clusters for each; its center is the unit mean of its images.
    """
    dim = image_embeddings.shape[1]
    centers = torch.from_numpy(unit_rows(group_sums(image_embeddings, assignment, n_groups=n_clusters)))
    head = ClusterHead(dim, n_clusters)
    with torch.no_grad():
        head.hidden.weight.copy_(torch.eye(dim))
        # The root undoes BatchNorm's epsilon.
        head.norm.weight.fill_((1 + head.norm.eps) ** 0.5)
        head.norm.bias.fill_(1.0)
        head.output.weight.copy_(centers)
        head.output.bias.copy_(-centers.sum(dim=1))
    return head.eval()
