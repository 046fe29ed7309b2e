"""The robust method's constants, and how much of everything it takes at N images and K clusters.

Each was chosen on real vectors with every table left out once (docs/EXPERIMENTS.md). What must stay out: values that a
user sets (tac_pipeline/settings.py) and anything that looks at vectors.
"""

from __future__ import annotations

from tac_pipeline.method.values.published import TrainingSchedule

# Text weights that are tried, the lightest first.
TEXT_WEIGHTS = (0.35, 0.7, 1.0)
# Nearest images that are asked whether they share an image's cluster.
ASKED_NEIGHBORS = 10
# Of what k-means on the images alone keeps together, the share that a text weight must keep: for the heads, which see
# the image anyhow, and for k-means on the blended rows, which the text moves more.
KEPT_BY_HEADS = 0.85
KEPT_BY_KMEANS = 0.93
# Words as heavy as the images cost k-means more than they give it, even where they fit.
HEAVIEST_FOR_KMEANS = 0.7
# The search needs the order of the weights, not the best optimum of each.
WEIGHT_RESTARTS = 3

# What the blended rows count beside the heads' 1 where their answers are joined.
ROWS_WEIGHT = 1.0
# Random starts of the k-means that joins them, and the part of an even cluster below which one may be a splinter:
# k-means on the joined answers can spend a cluster on two odd images and let two real groups share another. How often
# splinters are mended, with the restarts of each cut.
JOINING_RESTARTS = 5
SMALLEST_SHARE = 0.25
MENDING_ROUNDS = 10
HALVING_RESTARTS = 3

# Confidence where there are no two heads to compare: rounds in which an image's vote is joined with its neighbors', and
# the share that is its own.
VOTING_ROUNDS = 3
OWN_VOTE = 0.5

# The head that learns the joined answer: so fast that 300 steps are enough for narrow vectors too, whose heads have
# fewer weights; at a fifth of it, the head of 128 numbers had not yet learned the smallest clusters.
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
    """The schedule of one head; None stands for the robust method's value at these numbers.

    Large sets need fewer epochs for as many steps, small ones smaller batches; a batch holds several images of every
    cluster. More clusters want a softer choice among them.
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
    """How many neighbors teach an image: a quarter of an even cluster, from 3 to 50; the count itself where given."""
    return min(50, max(3, round(n_images / (4 * n_clusters)))) if count is None else count


def count_members(n_images: int, *, members: int | None = None) -> int:
    """How many heads are joined: more where a set is small, for there seeds differ most and training costs least."""
    return min(6, max(2, round(6_000 / n_images))) if members is None else members
