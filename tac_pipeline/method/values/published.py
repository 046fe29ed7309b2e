"""The published method's constants: numbers that the paper fixes and the settings file does not offer.

What must stay out: values that a user sets (tac_pipeline/settings/) and anything that computes.
"""

from __future__ import annotations

from dataclasses import dataclass

# Steps 3 and 6: spherical k-means.
KMEANS_ITERATIONS = 300
CENTER_RESTARTS = 10
# The image k-means that the results are compared with gets the same number.
TRAINING_FREE_RESTARTS = 20

# Step 5: fits OpenAI's ViT-B/32.
TAU = 0.005

# Step 7: when the settings name no other count.
NEIGHBORS = 50

# Step 8: standard deviation of the normal distribution that the linear weights are drawn from.
INIT_STD = 0.02

# Step 9.
ADAM_BETAS = (0.9, 0.99)
# The paper trains UCF-101 and ImageNet-1K by a longer schedule; we read that as a rule on K.
LARGE_K = 100


@dataclass(frozen=True)
class TrainingSchedule:
    """How long and in which steps the cluster heads are trained."""

    epochs: int
    batch_size: int
    temperature: float


_SMALL_K_SCHEDULE = TrainingSchedule(epochs=20, batch_size=512, temperature=0.5)
_LARGE_K_SCHEDULE = TrainingSchedule(epochs=100, batch_size=8192, temperature=5.0)


def training_schedule(
    n_clusters: int, *, epochs: int | None = None, batch_size: int | None = None, temperature: float | None = None
) -> TrainingSchedule:
    """The schedule of step 9; None means the published value at this number of clusters."""
    published = _LARGE_K_SCHEDULE if n_clusters >= LARGE_K else _SMALL_K_SCHEDULE
    return TrainingSchedule(
        epochs=published.epochs if epochs is None else epochs,
        batch_size=published.batch_size if batch_size is None else batch_size,
        temperature=published.temperature if temperature is None else temperature,
    )
