"""Step 10: from soft assignments to one cluster per image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tac_pipeline.arrays import FloatMatrix, IntVector
from tac_pipeline.errors import InputError


@dataclass(frozen=True)
class Assignment:
    """Each image's cluster.

    Attributes
    ----------
    column : int64 (n_images,)
        The likeliest column of the image head, the first of several equally likely.
    confidence : float32 (n_images,)
        Its probability.
    runner_up : int64 (n_images,)
        The second likeliest column.
    margin : float32 (n_images,)
        (p1 - p2) / (p1 + p2) of the two probabilities: 0 where they are even, 1 where the runner-up has none. Unlike
        p1 - p2 it means the same for 2 clusters and for 200.
    """

    column: IntVector
    confidence: npt.NDArray[np.float32]
    runner_up: IntVector
    margin: npt.NDArray[np.float32]


def assign(soft: FloatMatrix, *, ceilings: npt.NDArray[np.float32] | None = None) -> Assignment:
    """The likeliest and the second likeliest column of each row (paper step 10).

    Parameters
    ----------
    soft : float32 (n_images, n_clusters), rows sum to 1
    ceilings : float32 (n_clusters,), optional
        How sure an image of each column can be at most.

    Raises
    ------
    InputError
        There are fewer than two columns: a single cluster has no runner-up.
    """
    if soft.ndim != 2 or soft.shape[1] < 2:
        raise InputError(f"a soft assignment must have at least two columns; got shape {soft.shape}")
    images = np.arange(len(soft))
    column = soft.argmax(axis=1)
    others = soft.copy()
    others[images, column] = -1  # below any probability
    runner_up = others.argmax(axis=1)
    best, second = soft[images, column], soft[images, runner_up]
    # The best is at least 1 / n_clusters, so the sum is never zero.
    sure = best if ceilings is None else np.minimum(best, ceilings[column])
    return Assignment(column, sure, runner_up, (best - second) / (best + second))
