"""The robust method's constants, and its numbers for N images and K clusters.

Each was chosen on real vectors with every table left out once (docs/EXPERIMENTS.md). What must stay out: values that a
user sets (tac_pipeline/settings/) and code that reads vectors.
"""

from __future__ import annotations

from tac_pipeline.method.values.published import TrainingSchedule

# The text weights to try, the smallest first.
TEXT_WEIGHTS = (0.35, 0.7, 1.0)
# How many nearest images are compared with an image's cluster.
ASKED_NEIGHBORS = 10
# The share of together-kept images (compared with k-means on only the images) that a text weight must keep: for the
# heads, which see the image anyway, and for k-means on the blended rows, which the text moves more.
KEPT_BY_HEADS = 0.85
KEPT_BY_KMEANS = 0.93
# Text with the same weight as the images harms k-means more than it helps, even when it fits.
HEAVIEST_FOR_KMEANS = 0.7
# The search needs the order of the weights, not the best optimum of each.
WEIGHT_RESTARTS = 3

# The weight of the blended rows when the heads' results, with weight 1, are joined.
ROWS_WEIGHT = 1.0
# Random starts of the k-means that joins them, and the share of an even cluster's size below which a cluster may be a
# splinter: k-means on the joined results can use one cluster for two odd images while two real groups share another.
# Then how often splinters are repaired, with the restarts of each cut.
JOINING_RESTARTS = 5
SMALLEST_SHARE = 0.25
MENDING_ROUNDS = 10
HALVING_RESTARTS = 3

# Confidence where there are no two heads to compare: rounds in which an image's vote is joined with its neighbors', and
# the share that is its own.
VOTING_ROUNDS = 3
OWN_VOTE = 0.5

# The head that learns the joined result: fast enough that 300 steps suffice for narrow vectors too. Their heads have
# fewer weights; at a fifth of this rate, the head of 128 numbers had not yet learned the smallest clusters.
STUDENT_STEPS = 300
STUDENT_LEARNING_RATE = 5e-3
STUDENT_BATCH = 1024


def robust_schedule(
    n_images: int,
    n_clusters: int,
    *,
    epochs: int | None = None,
    batch_size: int | None = None,
    temperature: float | None = None,
) -> TrainingSchedule:
    """The schedule of one head; None means the robust method's value at these numbers.

    Large sets need fewer epochs for as many steps, small ones smaller batches; a batch holds several images of every
    cluster. More clusters need a softer choice among them.
    """
    chosen = TrainingSchedule(
        epochs=min(50, max(20, round(500_000 / n_images))),
        batch_size=min(n_images, max(1024, 4 * n_clusters), max(100, 2 * n_clusters, n_images // 4)),
        temperature=0.5 if n_clusters < 50 else 1.0 if n_clusters <= 150 else 2.0,
    )
    return TrainingSchedule(
        epochs=chosen.epochs if epochs is None else epochs,
        batch_size=chosen.batch_size if batch_size is None else batch_size,
        temperature=chosen.temperature if temperature is None else temperature,
    )


def count_neighbors(n_images: int, n_clusters: int, *, count: int | None = None) -> int:
    """How many neighbors teach an image: the given count, else a quarter of an even cluster, from 3 to 50."""
    return min(50, max(3, round(n_images / (4 * n_clusters)))) if count is None else count


def count_members(n_images: int, *, members: int | None = None) -> int:
    """How many heads are joined: more for small sets, because there seeds differ most and training costs least."""
    return min(6, max(2, round(6_000 / n_images))) if members is None else members
