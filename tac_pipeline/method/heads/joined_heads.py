"""The robust method's cluster heads: several are trained from several seeds and joined; one head learns the result.

What must stay out: the method's numbers (values/robust.py), and each step itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import astuple, dataclass

import numpy as np

from tac_pipeline.arrays import FloatMatrix, IntMatrix, IntVector
from tac_pipeline.method.grouping.consensus import agreement, join_members
from tac_pipeline.method.heads.calibration import neighborhood_confidence, scale_output, sharpness_for
from tac_pipeline.method.heads.cluster_head import ClusterHead, soft_assignment
from tac_pipeline.method.heads.linear_head import center_head
from tac_pipeline.method.heads.student import distill_head
from tac_pipeline.method.heads.training import EpochLosses, TrainedHeads, train_blended_heads
from tac_pipeline.method.values.published import TrainingSchedule
from tac_pipeline.method.values.trained import (
    ASKED_NEIGHBORS,
    JOINING_RESTARTS,
    KEPT_BY_HEADS,
    OWN_VOTE,
    ROWS_WEIGHT,
    SMALLEST_SHARE,
    STUDENT_BATCH,
    STUDENT_LEARNING_RATE,
    STUDENT_STEPS,
    VOTING_ROUNDS,
)
from tac_pipeline.method.words.text_weight import share_together


@dataclass(frozen=True)
class JoinedHeads(TrainedHeads):
    """The head that assigns, the text head of the first seed, and the mean losses over the seeds.

    Attributes
    ----------
    agreement : float
        How often two seeds give an image the same cluster.
    together, together_kmeans : float
        How often an image and a near image share a cluster, in the joined result and by k-means on the images.
    fell_back : bool
        Whether the image head is k-means on the images, because the joined result separated neighbors.
    """

    agreement: float
    together: float
    together_kmeans: float
    fell_back: bool

    @property
    def facts(self) -> dict[str, float | bool]:
        """Small numbers that are worth keeping."""
        return {"agreement": self.agreement, "together": self.together, "fell_back": self.fell_back}

    @property
    def sentence(self) -> str:
        """The outcome in words."""
        kept = f"images share their cluster with {self.together:.0%} of their nearest"
        if self.fell_back:
            return (
                f"k-means on the images is the answer: by what the heads learned {kept}, by k-means with "
                f"{self.together_kmeans:.0%}"
            )
        return (
            f"heads from several seeds were joined: two of them agree on {self.agreement:.0%} of the images, and "
            f"{kept} ({self.together_kmeans:.0%} by k-means on the images)"
        )


def learn_joined_heads(
    image_embeddings: FloatMatrix,
    blended_rows: FloatMatrix,
    image_neighbors: IntMatrix,
    blended_neighbors: IntMatrix,
    *,
    kmeans: IntVector,
    n_clusters: int,
    members: int,
    schedule: TrainingSchedule,
    balance_weight: float,
    learning_rate: float,
    seed: int,
    device: str = "cpu",
    progress: Callable[[int, int], None] | None = None,
) -> JoinedHeads:
    """Train heads from several seeds, join their results, and train one head on the joined result.

    Parameters
    ----------
    image_embeddings : float32 (n_images, dim), unit rows
    blended_rows : float32 (n_images, dim or 2 dim), unit rows, in the same order
        The input of the text heads.
    image_neighbors, blended_neighbors : int64 (n_images, count)
        Rows of the same matrices.
    kmeans : int64 (n_images,)
        The clusters of k-means on the images: the fallback when the learned result separates images that look alike.
    members : int >= 1
        The number of trained heads, each with its own seed.
    schedule, balance_weight, learning_rate
        For each of the heads.
    seed : int >= 0
        For all of them together.
    device : str
    progress : callable, optional
        Told how many epochs of all are done.

    Raises
    ------
    InputError, TacError
        As train_blended_heads.
    """
    softs: list[FloatMatrix] = []
    histories: list[tuple[EpochLosses, ...]] = []
    text_heads: list[ClusterHead] = []
    for number, own_seed in enumerate(member_seeds(seed, members)):
        trained = train_blended_heads(
            image_embeddings,
            blended_rows,
            image_neighbors,
            blended_neighbors,
            n_clusters=n_clusters,
            schedule=schedule,
            balance_weight=balance_weight,
            learning_rate=learning_rate,
            seed=own_seed,
            device=device,
            progress=_part(progress, number, members),
        )
        softs.append(soft_assignment(trained.image_head, image_embeddings))
        histories.append(trained.history)
        text_heads.append(trained.text_head)
    joined = join_members(
        softs,
        blended_rows,
        rows_weight=ROWS_WEIGHT,
        restarts=JOINING_RESTARTS,
        smallest_share=SMALLEST_SHARE,
        seed=seed,
    )
    asked = image_neighbors[:, :ASKED_NEIGHBORS]
    together, together_kmeans = share_together(asked, joined.argmax(axis=1)), share_together(asked, kmeans)
    fell_back = together < KEPT_BY_HEADS * together_kmeans
    if fell_back:
        image_head = center_head(image_embeddings, kmeans, n_clusters=n_clusters)
    else:
        image_head = distill_head(
            image_embeddings,
            joined,
            steps=STUDENT_STEPS,
            batch_size=STUDENT_BATCH,
            learning_rate=STUDENT_LEARNING_RATE,
            seed=seed,
            device=device,
        )
    agreed = agreement(softs)
    if members == 1 or fell_back:
        sure = neighborhood_confidence(joined, image_neighbors, rounds=VOTING_ROUNDS, own=OWN_VOTE)
    else:
        # How often two heads from two seeds agree is about how often one is right (docs/EXPERIMENTS.md).
        sure = min(agreed, 1 - 1 / len(image_embeddings))
    _calibrate(image_head, image_embeddings, sure)
    return JoinedHeads(
        image_head, text_heads[0], _mean_history(histories), agreed, together, together_kmeans, fell_back
    )


def member_seeds(seed: int, members: int) -> list[int]:
    """A seed for each head; two neighboring values of `seed` share no head's seed."""
    return [int(own) for own in np.random.default_rng([seed, members]).integers(2**31, size=members)]


def _calibrate(image_head: ClusterHead, image_embeddings: FloatMatrix, sure: float) -> None:
    """Make the head's mean confidence as high as it should be."""
    soft = soft_assignment(image_head, image_embeddings)
    # With a target of at most 1 / n_clusters there is nothing to sharpen.
    if sure > 1 / soft.shape[1]:
        scale_output(image_head, sharpness_for(soft, sure))


def _mean_history(histories: list[tuple[EpochLosses, ...]]) -> tuple[EpochLosses, ...]:
    """The means over the heads for each epoch."""
    return tuple(
        EpochLosses(epochs[0].epoch, *np.mean([list(astuple(epoch))[1:] for epoch in epochs], axis=0).tolist())
        for epochs in zip(*histories, strict=True)
    )


def _part(progress: Callable[[int, int], None] | None, number: int, members: int) -> Callable[[int, int], None] | None:
    """The progress of one head as a part of all heads."""
    if progress is None:
        return None
    return lambda done, epochs: progress(number * epochs + done, members * epochs)
