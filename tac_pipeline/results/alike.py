"""Find the like: the images of a whole store that are like a few that a person picked, as proposals, without learning.

A logistic regression tells the picked images from a sample of the others, in a whitened space. Some of the others are
like the picked ones, and nobody knows which: those that look so are left out of the sample, and it is fitted again.
Held back picked images say how high others should score. What must stay out: what happens to accepted proposals.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from tac_pipeline.arrays import FloatMatrix, FloatVector, require_same_width
from tac_pipeline.errors import InputError
from tac_pipeline.method.grouping.whitening import Whitening, whiten_by_total
from tac_pipeline.store.shards import ShardPart, gather_vectors, map_shards

# Images that stand for the rest of the store. The power of 0.3 to 1 ranks best on one set or another.
BACKGROUND_IMAGES, WHITENING_POWER = 2000, 0.5
FOLDS, MAX_ITERATIONS = 5, 200
# Of the held back picked images, this share scores below the proposals' upper bound (see _cut).
BELOW = 0.25
PROPOSED = 0.5


@dataclass(frozen=True)
class Likeness:
    """How like some picked images another image is.

    Attributes
    ----------
    whitening : Whitening
    weights : float32 (dim,)
    offset : float
        Added to the product of a whitened row and the weights; the cut is in it.
    """

    whitening: Whitening
    weights: FloatVector
    offset: float

    def score(self, rows: FloatMatrix) -> FloatVector:
        """The score of each row, float32 (n_rows,), from 0 to 1; rows with PROPOSED or more are proposals."""
        scores: FloatVector = _share(self.whitening.apply(rows) @ self.weights + self.offset)
        return scores


def learn_likeness(picked: FloatMatrix, background: FloatMatrix) -> Likeness:
    """Learn what picked images have that others do not.

    Parameters
    ----------
    picked : float32 (n_picked, dim), unit rows
        About twenty serve; from one on there is an answer.
    background : float32 (n_background, dim), unit rows
        A sample of the store, best of BACKGROUND_IMAGES, without the picked images. Some may be like these.

    Raises
    ------
    InputError
        A side has no rows, or they differ in width.
    """
    if not len(picked) or not len(background):
        raise InputError(
            f"likeness needs picked images and others; got {len(picked)} picked ones and {len(background)} others"
        )
    require_same_width(picked, background, names=("the picked images", "the background"))
    whitening = whiten_by_total(np.concatenate([background, picked]), power=WHITENING_POWER)
    inside, outside = whitening.apply(picked), whitening.apply(background)
    weights, offset = _fit(inside, outside)
    like = max(0.0, float(np.median(_held_back(inside, outside))))
    others = outside[outside @ weights + offset <= like]
    # Where nearly all are alike, there is nobody to tell them from.
    outside = others if len(others) >= len(picked) else outside
    weights, offset = _fit(inside, outside)
    return Likeness(whitening, weights.astype(np.float32), offset - _cut(_held_back(inside, outside)))


def alike_images(picked: pl.Series, view: pl.DataFrame, shards: Path, *, encoder: str, seed: int) -> pl.DataFrame:
    """Score every image of a store by its likeness to picked ones; one pass over the shards.

    Parameters
    ----------
    picked : Series of String
        The image_ids of the picked images.
    view : DataFrame with image_id, error, shard, row (the table image_embeddings)
    shards : Path
        The store's folder of shards.
    encoder : str
        Fingerprint of the encoder behind them.
    seed : int >= 0
        Of the sample that stands for the rest of the store.

    Returns
    -------
    DataFrame with image_id, score and proposed, best first, equal scores by image_id; without the picked images and
    without those that cannot be read

    Raises
    ------
    InputError
        No picked image is in the store and readable, or there is no other one.
    ArtifactDamaged
        A shard is gone or damaged, or another encoder made it.
    """
    inside, others = inside_and_others(picked, view)
    if inside.is_empty() or others.is_empty():
        raise InputError(
            "likeness needs picked images that can be read, and others; "
            f"got {len(inside)} of {len(picked)} picked ones and {len(others)} others"
        )
    background = sample_background(others, seed=seed)
    likeness = learn_likeness(
        gather_vectors(inside, shards, encoder=encoder), gather_vectors(background, shards, encoder=encoder)
    )
    parts = map_shards(partial(_score_shard, likeness=likeness), others, shards, encoder=encoder)
    scored = pl.concat([found for _, found in parts])
    return scored.with_columns(proposed=pl.col("score") >= PROPOSED).sort("score", "image_id", descending=[True, False])


def inside_and_others(images: pl.Series, view: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The readable rows of a view (the table image_embeddings) that are some images, and all others; no other column
    than image_id, error, shard, row."""
    readable = view.filter(pl.col("error").is_null()).select("image_id", "error", "shard", "row")
    chosen = pl.col("image_id").is_in(images.implode())
    return readable.filter(chosen), readable.filter(~chosen)


def sample_background(others: pl.DataFrame, *, seed: int) -> pl.DataFrame:
    """BACKGROUND_IMAGES rows of a view at most, in its order: in another one, shards would be read again and again."""
    places = np.random.default_rng(seed).choice(len(others), min(BACKGROUND_IMAGES, len(others)), replace=False)
    return others[np.sort(places)]


def _score_shard(part: ShardPart, *, likeness: Likeness) -> pl.DataFrame:
    return part.rows.select("image_id").with_columns(score=pl.Series(likeness.score(part.read_vectors())))


def _fit(inside: FloatMatrix, outside: FloatMatrix) -> tuple[npt.NDArray[np.float64], float]:
    """The weights and the offset of a logistic regression in which both sides weigh alike."""
    from sklearn.linear_model import LogisticRegression

    is_inside = np.repeat([True, False], [len(inside), len(outside)])
    model = LogisticRegression(class_weight="balanced", max_iter=MAX_ITERATIONS)
    model.fit(np.concatenate([inside, outside]), is_inside)
    return model.coef_[0].astype(np.float64), float(model.intercept_[0])


def _held_back(inside: FloatMatrix, outside: FloatMatrix) -> npt.NDArray[np.float64]:
    """What each picked image scores by those of the other folds, float64 (n_picked,); 0 where there is only one."""
    if len(inside) == 1:
        return np.zeros(1)
    fold, found = np.arange(len(inside)) % min(FOLDS, len(inside)), np.empty(len(inside))
    for held in np.unique(fold):
        weights, offset = _fit(inside[fold != held], outside)
        found[fold == held] = inside[fold == held] @ weights + offset
    return found


def _cut(held_back: npt.NDArray[np.float64]) -> float:
    """Half way between even odds and what three in four held back picked images reach.

    Even odds propose too few images of a common kind, because its images are in the background, and too many of a rare
    one. The held back ones alone are too few to trust.
    """
    return float(np.quantile(held_back, BELOW)) / 2


def _share(odds: npt.NDArray[np.floating]) -> FloatVector:
    """The logistic function, without overflow."""
    return (0.5 * (1 + np.tanh(odds / 2))).astype(np.float32)
