"""An image head that learns the joined result of several heads."""

from __future__ import annotations

import torch
from torch import nn

from tac_pipeline.arrays import FloatMatrix
from tac_pipeline.errors import InputError
from tac_pipeline.method.heads.cluster_head import ClusterHead, build_head
from tac_pipeline.method.heads.training import batches, drafted
from tac_pipeline.method.values.published import ADAM_BETAS
from tac_pipeline.tensors import tensor_of


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
