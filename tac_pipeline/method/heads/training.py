"""Step 9: training of the two cluster heads on each other and on their neighbors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NotRequired, TypedDict, Unpack

import numpy as np
import torch
from torch import Tensor

from tac_pipeline.arrays import FloatMatrix, IntMatrix
from tac_pipeline.errors import InputError, TacError
from tac_pipeline.method.heads.cluster_head import ClusterHead, build_head
from tac_pipeline.method.heads.losses import Losses, total_loss
from tac_pipeline.method.values.published import ADAM_BETAS, TrainingSchedule
from tac_pipeline.tensors import multiplies_bfloat16, or_on_the_cpu, tensor_of


@dataclass(frozen=True)
class EpochLosses:
    """Means over one epoch's steps; total = distillation + confidence - weight x balance."""

    epoch: int
    distillation: float
    confidence: float
    balance: float
    total: float


@dataclass(frozen=True)
class TrainedHeads:
    """Both heads, on the CPU and in evaluation mode, and the losses of every epoch, counted from 1."""

    image_head: ClusterHead
    text_head: ClusterHead
    history: tuple[EpochLosses, ...]

    @property
    def facts(self) -> dict[str, float | bool]:
        """Small numbers that are worth keeping."""
        return {}

    @property
    def sentence(self) -> str:
        """What became of the training, in words; empty where there is nothing to say."""
        return ""


@dataclass(frozen=True)
class _Pairs:
    """One modality's rows and its neighbor table, resident on the device."""

    rows: Tensor  # float32 (n_images, dim)
    neighbors: Tensor  # int64 (n_images, count)

    def taken(self, batch: Tensor, choice: Tensor) -> tuple[Tensor, Tensor]:
        """The batch's rows, and for each the row of the neighbor in this place of its line."""
        return self.rows[batch], self.rows[self.neighbors[batch, choice]]


class AskedTraining(TypedDict):
    """The keyword arguments of train_cluster_heads and train_blended_heads, and what they mean there."""

    n_clusters: int
    schedule: TrainingSchedule
    balance_weight: float
    learning_rate: float
    seed: int
    device: NotRequired[str]
    progress: NotRequired[Callable[[int, int], None] | None]


def train_cluster_heads(
    image_embeddings: FloatMatrix,
    text_counterparts: FloatMatrix,
    image_neighbors: IntMatrix,
    text_neighbors: IntMatrix,
    **asked: Unpack[AskedTraining],
) -> TrainedHeads:
    """Train the image head and the text head on each other (paper step 9).

    Everything random comes from one CPU stream, so that every device sees the same weights and batches. An epoch
    visits whole batches only: the images of the last, partial one wait for the next shuffle. At the end BatchNorm's
    statistics are measured over all images. Beside the arguments this holds a copy of them on the device.

    Parameters
    ----------
    image_embeddings, text_counterparts : float32 (n_images, dim), unit rows, in the same order
    image_neighbors, text_neighbors : int64 (n_images, count)
        Rows of the same matrices.
    n_clusters : int >= 2
    schedule : TrainingSchedule
        Its batch size is cut to n_images.
    balance_weight : float >= 0
    learning_rate : float > 0
    seed : int >= 0
    device : str, optional
        Where torch computes, the CPU by default; results differ between devices by rounding.
    progress : callable, optional
        Told after each epoch how many of them are done.

    Raises
    ------
    InputError
        There are fewer than two images or clusters, the arguments' rows differ in number, or the schedule is
        out of range.
    TacError
        The loss became infinite or NaN.
    """
    return _train_both(
        image_embeddings,
        text_counterparts,
        image_neighbors,
        text_neighbors,
        rows_on=_as_they_are,
        text_width=text_counterparts.shape[1],
        **asked,
    )


def train_blended_heads(
    image_embeddings: FloatMatrix,
    blended_rows: FloatMatrix,
    image_neighbors: IntMatrix,
    blended_neighbors: IntMatrix,
    **asked: Unpack[AskedTraining],
) -> TrainedHeads:
    """Train like train_cluster_heads, with a text head that sees the image beside the text.

    The text head reduces rows of twice the images' width to the images' width. The first layer sees the rows minus
    their mean, which BatchNorm removes anyway, in bfloat16 if this processor multiplies it: this takes half the time,
    and the differences between rows stay precise.

    Parameters
    ----------
    image_embeddings : float32 (n_images, dim), unit rows
    blended_rows : float32 (n_images, dim or 2 dim), unit rows, in the same order
        The result of blend_rows for images and text counterparts.
    image_neighbors, blended_neighbors : int64 (n_images, count)
        Rows of the same matrices.
    n_clusters, schedule, balance_weight, learning_rate, seed, device, progress
        As in train_cluster_heads.

    Raises
    ------
    InputError, TacError
        As train_cluster_heads.
    """
    return _train_both(
        image_embeddings,
        blended_rows,
        image_neighbors,
        blended_neighbors,
        rows_on=drafted,
        text_width=image_embeddings.shape[1],
        **asked,
    )


def _train_both(
    image_embeddings: FloatMatrix,
    text_rows: FloatMatrix,
    image_neighbors: IntMatrix,
    text_neighbors: IntMatrix,
    *,
    rows_on: Callable[[FloatMatrix, str], Tensor],
    text_width: int,
    n_clusters: int,
    schedule: TrainingSchedule,
    balance_weight: float,
    learning_rate: float,
    seed: int,
    device: str = "cpu",
    progress: Callable[[int, int], None] | None = None,
) -> TrainedHeads:
    """Both heads; `rows_on` prepares the rows for the steps, the text head's hidden layer is `text_width` wide."""
    _require_trainable(
        image_embeddings, text_rows, image_neighbors, text_neighbors, n_clusters=n_clusters, schedule=schedule
    )

    def trained_on(place: str) -> TrainedHeads:
        generator = torch.Generator().manual_seed(seed)
        image_head, text_head = (
            build_head(rows.shape[1], n_clusters, generator=generator, width=width).to(place).train()
            for rows, width in ((image_embeddings, image_embeddings.shape[1]), (text_rows, text_width))
        )
        images = _Pairs(rows_on(image_embeddings, place), tensor_of(image_neighbors).to(place))
        texts = _Pairs(rows_on(text_rows, place), tensor_of(text_neighbors).to(place))
        history = _train(
            image_head,
            text_head,
            images,
            texts,
            schedule=schedule,
            balance_weight=balance_weight,
            learning_rate=learning_rate,
            generator=generator,
            progress=progress,
        )
        # BatchNorm's running means start far off. After the few steps of a small set they would still be wrong, and
        # the heads unsure (docs/decisions/0011-settled-batch-statistics.md).
        image_head.settle(_as_they_are(image_embeddings, place))
        text_head.settle(_as_they_are(text_rows, place))
        return TrainedHeads(image_head.cpu().eval(), text_head.cpu().eval(), history)

    return or_on_the_cpu(trained_on, device=device, what="training the heads")


def _as_they_are(rows: FloatMatrix, device: str) -> Tensor:
    """The rows on the device."""
    return tensor_of(rows).to(device)


def drafted(rows: FloatMatrix, device: str) -> Tensor:
    """The rows minus their mean, on the device, bfloat16 if the CPU multiplies it, else float32."""
    whole = _as_they_are(rows, device)
    centered = whole - whole.mean(dim=0)
    return centered.to(torch.bfloat16) if device == "cpu" and multiplies_bfloat16() else centered


def _train(
    image_head: ClusterHead,
    text_head: ClusterHead,
    images: _Pairs,
    texts: _Pairs,
    *,
    schedule: TrainingSchedule,
    balance_weight: float,
    learning_rate: float,
    generator: torch.Generator,
    progress: Callable[[int, int], None] | None,
) -> tuple[EpochLosses, ...]:
    """Adam on the total loss, both heads in place; the losses of every epoch."""
    optimizer = torch.optim.Adam(
        [*image_head.parameters(), *text_head.parameters()], lr=learning_rate, betas=ADAM_BETAS
    )
    history = []
    for epoch in range(1, schedule.epochs + 1):
        steps = []
        for batch, image_choice, text_choice in _epoch_draws(images, texts, schedule.batch_size, generator):
            p, p_neighbor = image_head.forward_pair(*images.taken(batch, image_choice))
            q, q_neighbor = text_head.forward_pair(*texts.taken(batch, text_choice))
            losses = total_loss(
                p, q, p_neighbor, q_neighbor, temperature=schedule.temperature, balance_weight=balance_weight
            )
            optimizer.zero_grad()
            losses.total.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            steps.append(_values(losses))
        history.append(_epoch_means(epoch, steps))
        if progress is not None:
            progress(epoch, schedule.epochs)
    return tuple(history)


def _epoch_draws(images: _Pairs, texts: _Pairs, batch_size: int, generator: torch.Generator) -> Tensor:
    """Each step's images and the places of their drawn neighbors by image and by text, int64 (steps, 3, batch).

    All places are equally likely. They go to the device at once: a GPU would be waited for at each step.
    """
    drawn = [
        torch.stack(
            [batch] + [torch.randint(of.neighbors.shape[1], batch.shape, generator=generator) for of in (images, texts)]
        )
        for batch in batches(len(images.rows), batch_size, generator)
    ]
    return torch.stack(drawn).to(images.rows.device)


def batches(n_images: int, batch_size: int, generator: torch.Generator) -> Iterator[Tensor]:
    """The images in random order, in whole batches of at most n_images."""
    size = min(batch_size, n_images)
    order = torch.randperm(n_images, generator=generator)
    for start in range(0, n_images - size + 1, size):
        yield order[start : start + size]


def _values(losses: Losses) -> Tensor:
    """The four numbers, still on the device: reading each step's would make a GPU wait."""
    return torch.stack([losses.distillation, losses.confidence, losses.balance, losses.total]).detach()


def _epoch_means(epoch: int, steps: list[Tensor]) -> EpochLosses:
    means = EpochLosses(epoch, *torch.stack(steps).mean(dim=0).tolist())
    if not np.isfinite(means.total):
        raise TacError(
            f"the training loss must stay finite; it became {means.total} in epoch {epoch}. "
            "Lower heads.learning_rate or raise heads.temperature."
        )
    return means


def _require_trainable(
    image_embeddings: FloatMatrix,
    text_counterparts: FloatMatrix,
    image_neighbors: IntMatrix,
    text_neighbors: IntMatrix,
    *,
    n_clusters: int,
    schedule: TrainingSchedule,
) -> None:
    counts = {len(rows) for rows in (image_embeddings, text_counterparts, image_neighbors, text_neighbors)}
    if len(counts) > 1:
        raise InputError(f"embeddings, counterparts and neighbors must have one row per image; got {sorted(counts)}")
    if len(image_embeddings) < 2:
        raise InputError(f"training needs at least two images; got {len(image_embeddings)}")
    if n_clusters < 2:
        raise InputError(f"n_clusters must be at least 2; got {n_clusters}")
    if schedule.epochs < 1 or not schedule.temperature > 0:
        raise InputError(f"training needs at least one epoch and a temperature above 0; got {schedule}")
    if schedule.batch_size < 2:
        raise InputError(f"batch_size must be at least 2, or BatchNorm has no variance; got {schedule.batch_size}")
