"""Finding the number of clusters: the finest level of a tree of groups that rows without groups would not show.

What must stay out: labels, and criteria that are only compared with this one (benchmarks/count_criteria.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tac_pipeline.arrays import FloatMatrix, IntVector, row_chunks
from tac_pipeline.errors import InputError
from tac_pipeline.method.grouping.count_evidence import (
    JUDGED,
    SIGNALS,
    FloatVector,
    gaussian_like,
    judge_counts,
    permute_coordinates,
)
from tac_pipeline.method.grouping.whitening import whiten_by_total

# More images are sampled down.
MAX_IMAGES = 16_000
# Near-duplicates, such as clips of one video, come back as groups of their own. From this cosine they count once.
SAME_IMAGE = 0.999
WHITENING_POWER = 0.3
# Each tried K is about this many times the one before: 51 of them from 2 to 600.
GRID_STEP = 1.12
# The user's bounds never change the numbers that are tried, so that they never change what is found. A half shows no
# group with fewer than five of its images, and no more groups than 0.6 of its 1,000 micro-clusters.
MOST_GROUPS, IMAGES_PER_GROUP = 600, 10
# With fewer different images the halves show nothing: the number is 2, unless the images are copies of a few.
FEWEST_IMAGES = 2 * IMAGES_PER_GROUP
# A few groups lie along few directions, and permuted coordinates keep what each direction shows. So up to this number,
# Gaussian rows are a second null. It decides only when the best K shows less than this evidence (of at most 3), and
# a few groups show as much, up to two standard errors; or when no K shows anything: noise has at most 0.05.
NOTHING = 0.1
FEW, BEYOND_FEW, FEW_ERRORS = 5, 0.6, 2
FEW_DRAWS = 4
# 3 to 5 then need this much more evidence than 2: pairs of real classes have at most 0.28 more, separated groups 0.6.
BEYOND_TWO = 0.4
# A coarse level is one with groups that come back: this adjusted Rand index.
COARSE_STABILITY = 0.9


@dataclass(frozen=True)
class CountEstimate:
    """The number of clusters, and why.

    Attributes
    ----------
    count : int
        K.
    unbounded : int
        The number without bounds.
    coarse : int or None
        The largest tried number within the bounds, at most half of `count`, with groups that come back in another half
        of the images; None if there is none.
    counts : int64 (n_counts,), ascending
        The tried numbers.
    stability : float64 (n_counts,)
        The adjusted Rand index of groups of two halves.
    gaps : float64 (3, n_counts)
        How far each of count_evidence.SIGNALS is above its value in rows without groups: permuted coordinates, or
        Gaussian rows for 2, and up to FEW where these decide.
    evidence : float64 (n_counts,)
        The sum of the gaps.
    error : float
        The standard error of `evidence` over the draws, one for all numbers.
    images : int
        Images that were judged, near-duplicates once.
    """

    count: int
    unbounded: int
    coarse: int | None
    counts: IntVector
    stability: FloatVector
    gaps: npt.NDArray[np.float64]
    evidence: FloatVector
    error: float
    images: int

    def at_level(self, level: str) -> int:
        """K at a level: `coarse` where there is a coarse one, else `count`."""
        return self.coarse if level == "coarse" and self.coarse is not None else self.count


def estimate_cluster_count(
    image_embeddings: FloatMatrix,
    *,
    fewest: int,
    most: int,
    seed: int,
    progress: Callable[[int, int], None] | None = None,
) -> CountEstimate:
    """Find the number of clusters without labels: the finest level whose groups are more than chance.

    The images are divided into random halves, a Ward tree of each is cut into every K of a geometric grid, and three
    signals judge each cut (see judge_counts). All of them depend on K even without any group, so each is compared with
    its value in rows that have the same principal directions and no groups. The sum of the three gaps is the evidence.
    From the best K, K rises while its evidence is within one standard error of the best: half of the images show fewer
    groups than all. docs/decisions/0070-the-number-of-clusters.md has the figures, and what failed.

    The order of the images never matters. Memory: five float32 copies of at most 16,000 images (32 MB each at 512
    dimensions) and about 100 MB.

    Parameters
    ----------
    image_embeddings : float32 (n_images, dim), unit rows
        At most 16,000 of them, drawn at random, are used; near-duplicates (cosine of 0.999) count once.
    fewest, most : int
        2 <= fewest <= most, fewest at most n_images.
    seed : int >= 0
    progress : callable, optional
        Told how many of the draws are done.

    Raises
    ------
    InputError
        The bounds are not such.
    """
    if not 2 <= fewest <= min(most, len(image_embeddings)):
        raise InputError(
            "the bounds of the number of clusters must be 2 <= min <= max, min at most the number of images; "
            f"got {fewest}, {most} and {len(image_embeddings)} images"
        )
    generator = np.random.default_rng(seed)
    rows = _sample(image_embeddings, generator)
    distinct = rows[distinct_rows(rows, similarity=SAME_IMAGE)]
    if len(distinct) < FEWEST_IMAGES:
        copies = len(distinct) * IMAGES_PER_GROUP <= len(rows)
        unbounded = max(2, len(distinct)) if copies else 2
        nothing = np.zeros((1, len(SIGNALS), 1))
        counts, real, null, few = np.array([unbounded]), nothing, nothing[0], nothing[0]
    else:
        whitened = whiten_by_total(distinct, power=WHITENING_POWER).apply(distinct)
        counts = count_grid(2, max(3, min(MOST_GROUPS, len(distinct) // IMAGES_PER_GROUP)), step=GRID_STEP)
        real, null, few = _signals_and_nulls(whitened, counts, generator, progress)
    return _decide(counts, real, null, few, fewest=fewest, most=min(most, len(image_embeddings)), images=len(distinct))


def _sample(rows: FloatMatrix, generator: np.random.Generator) -> FloatMatrix:
    """At most MAX_IMAGES rows; which, and in which order, depends on what they hold and not on their order."""
    whole = np.ascontiguousarray(rows).view(np.dtype((np.void, rows.itemsize * rows.shape[1]))).ravel()
    order = np.argsort(whole, kind="stable")
    if len(order) > MAX_IMAGES:
        order = order[np.sort(generator.permutation(len(order))[:MAX_IMAGES])]
    return rows[order]


def distinct_rows(rows: FloatMatrix, *, similarity: float, chunk_rows: int = 1024) -> IntVector:
    """The rows without a near-duplicate before them, int64, ascending.

    Parameters
    ----------
    rows : float32 (n_rows, dim), unit rows
    similarity : float
        The cosine from which two rows are near-duplicates.
    chunk_rows : int
        Bounds memory, and never changes the result.
    """
    kept = np.ones(len(rows), dtype=bool)
    for chunk in row_chunks(len(rows), chunk_rows):
        cosine = rows[chunk] @ rows[: chunk.stop].T
        cosine[:, chunk] = np.tril(cosine[:, chunk], -1)
        kept[chunk] = cosine.max(axis=1) < similarity
    return np.flatnonzero(kept)


def _signals_and_nulls(
    rows: FloatMatrix, counts: IntVector, generator: np.random.Generator, progress: Callable[[int, int], None] | None
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """The signals of the rows, (draws, 3, n_counts), of permuted ones, (3, n_counts), of Gaussian ones, (3, n_few)."""
    draws, nulls, null_draws = _schedule(len(rows))
    total, finished = draws + nulls * null_draws + FEW_DRAWS, 0

    def done() -> None:
        nonlocal finished
        finished += 1
        if progress is not None:
            progress(finished, total)

    real = judge_counts(rows, counts, draws=draws, generator=generator, done=done)
    null = np.zeros(real.shape[1:])
    for _ in range(nulls):
        without = permute_coordinates(rows, generator)
        null += judge_counts(without, counts, draws=null_draws, generator=generator, done=done).mean(axis=0) / nulls
    blob = gaussian_like(rows[generator.permutation(len(rows))[:JUDGED]], generator)
    few = judge_counts(blob, counts[counts <= FEW], draws=FEW_DRAWS, generator=generator, done=done).mean(axis=0)
    return real, null, few


def _schedule(n_images: int) -> tuple[int, int, int]:
    """Draws of the images, nulls, and draws of each null: few images need more of them, and cost less."""
    if n_images < 1500:
        return 16, 4, 2
    if n_images < 4000:
        return 6, 2, 2
    return (4 if n_images <= 8000 else 2), 1, 1


def _decide(
    counts: IntVector,
    real: npt.NDArray[np.float64],
    null: npt.NDArray[np.float64],
    few: npt.NDArray[np.float64],
    *,
    fewest: int,
    most: int,
    images: int,
) -> CountEstimate:
    """Choose from the signals of all draws and their nulls."""
    gaps = real.mean(axis=0) - null
    by_draw = real.sum(axis=1)
    error = float(np.sqrt((by_draw.var(axis=0, ddof=1) / len(by_draw)).mean())) if len(by_draw) > 1 else 0.0
    gaps_of_few = real.mean(axis=0)[:, : few.shape[1]] - few
    gaps[:, :1] = gaps_of_few[:, :1]  # 2 has no other null
    if few_decide(gaps.sum(axis=0), gaps_of_few.sum(axis=0), error=error):
        gaps[:, : few.shape[1]] = gaps_of_few
        unbounded = number_of_few(counts, gaps_of_few.sum(axis=0))
    else:
        unbounded = finest_of_the_best(counts, gaps.sum(axis=0), error=error)
    evidence = gaps.sum(axis=0)
    stability = real[:, 0].mean(axis=0)
    count = int(np.clip(unbounded, fewest, most))
    lasting = counts[(counts >= fewest) & (counts <= count / 2) & (stability >= COARSE_STABILITY)]
    coarse = int(lasting[-1]) if len(lasting) else None
    return CountEstimate(count, unbounded, coarse, counts, stability, gaps, evidence, error=error, images=images)


def few_decide(evidence: FloatVector, of_few: FloatVector, *, error: float) -> bool:
    """Whether the number is among the smallest ones, judged by their own null.

    Parameters
    ----------
    evidence : float64 (n_counts,)
        Of the numbers from 2.
    of_few : float64 (n_few,)
        Of the first of them, above Gaussian rows.
    error : float
        The standard error of both.
    """
    best = float(evidence[1:].max(initial=-np.inf))
    as_much = float(of_few.max()) + FEW_ERRORS * error >= best
    return best < NOTHING or (best < BEYOND_FEW and as_much)


def number_of_few(counts: IntVector, of_few: FloatVector) -> int:
    """2, or the number with the most evidence if it shows clearly more than 2 does; arguments as in few_decide."""
    best = int(of_few.argmax())
    return int(counts[best if of_few[best] >= of_few[0] + BEYOND_TWO else 0])


def finest_of_the_best(counts: IntVector, evidence: FloatVector, *, error: float) -> int:
    """From the number of 3 or more with the most evidence upwards, while it is within one standard error of the most.

    Parameters
    ----------
    counts : int64 (n_counts,), ascending from 2
    evidence : float64 (n_counts,)
    error : float
        Its standard error.
    """
    place = 1 + int(evidence[1:].argmax())
    best = float(evidence[place])
    while place + 1 < len(counts) and evidence[place + 1] >= best - error:
        place += 1
    return int(counts[place])


def count_grid(fewest: int, most: int, *, step: float) -> IntVector:
    """The numbers of clusters to try: geometric from fewest to most, both included, int64 ascending.

    Parameters
    ----------
    fewest, most : int
        1 <= fewest <= most.
    step : float > 1
        Each number is about this many times the one before.

    Raises
    ------
    InputError
        The bounds are not such.
    """
    if not 1 <= fewest <= most:
        raise InputError(f"the bounds of the number of clusters must be 1 <= min <= max; got {fewest} and {most}")
    n_steps = max(1, round(np.log(most / fewest) / np.log(step)))
    found: IntVector = np.unique(np.round(np.geomspace(fewest, most, n_steps + 1)).astype(np.int64))
    return found
