"""Splitting a group: what the method would make of its images if it had only these, in two to five parts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from tac_pipeline.arrays import FloatMatrix, IntVector, unit_rows
from tac_pipeline.errors import InputError
from tac_pipeline.method.grouping.ward import ward_kmeans
from tac_pipeline.method.grouping.whitening import whiten_by_total
from tac_pipeline.results.alike import WHITENING_POWER, inside_and_others, sample_background
from tac_pipeline.store.shards import gather_vectors
from tac_pipeline.tensors import group_sums

if TYPE_CHECKING:
    from tac_pipeline.method.words.criterion import View

FEWEST_PARTS, MOST_PARTS = 2, 5
# Parts are found among so many images of the group, and the others go to the nearest; bounds time and memory.
MOST_IMAGES = 20_000


def split_images(
    images: pl.Series, view: pl.DataFrame, shards: Path, *, encoder: str, seed: int, seen_by: View | None = None
) -> list[list[list[str]]]:
    """Propose two, three, four and five parts of a group. Holds its vectors.

    Parameters
    ----------
    images : Series of String
        The image_ids of the group.
    view : DataFrame with image_id, error, shard, row (the table image_embeddings)
    shards : Path
        The store's folder of shards.
    encoder : str
        Fingerprint of the encoder behind them.
    seed : int >= 0
    seen_by : View, optional
        Of the criterion that the store is grouped by.

    Returns
    -------
    list of splits
        Each a list of parts, the largest first, each the image_ids of its images, those nearest to its center first.

    Raises
    ------
    InputError
        Fewer than two images of the group can be read.
    """
    own, others = inside_and_others(images, view)
    if len(own) < FEWEST_PARTS:
        raise InputError(f"a group must have at least {FEWEST_PARTS} images to be split; got {len(own)}")
    vectors, around = gather_vectors(own, shards, encoder=encoder), sample_background(others, seed=seed)
    around_vectors = vectors[:0] if around.is_empty() else gather_vectors(around, shards, encoder=encoder)
    if seen_by is not None:
        vectors, around_vectors = seen_by.apply(vectors), seen_by.apply(around_vectors)
    ids = own["image_id"].to_list()
    most = min(MOST_PARTS, len(own))
    splits = split_vectors(vectors, around_vectors, most=most, seed=seed)
    return [[[ids[row] for row in part] for part in parts] for parts in splits]


def split_vectors(vectors: FloatMatrix, around: FloatMatrix, *, most: int, seed: int) -> list[list[IntVector]]:
    """The rows of each part, for each number of parts that leaves none empty.

    Parameters
    ----------
    vectors : float32 (n_images, dim), unit rows
        Of the group.
    around : float32 (n_others, dim), unit rows
        A sample of the other images.
    most : int >= 2
        Parts.
    """
    # With others, so that directions in which all images differ count less.
    rows = whiten_by_total(np.concatenate([around, vectors]), power=WHITENING_POWER).apply(vectors)
    some = rows[:: -(-len(rows) // MOST_IMAGES)]
    found = []
    for count in range(FEWEST_PARTS, most + 1):
        learned = ward_kmeans(some, n_clusters=count, seed=seed)
        parts = (rows @ unit_rows(learned.centers).T).argmax(axis=1)
        centers = unit_rows(group_sums(rows, parts, n_groups=count))
        nearness = np.einsum("ij,ij->i", rows, centers[parts])
        members = [np.flatnonzero(parts == part) for part in range(count)]
        if all(len(part) for part in members):
            ranked = [part[np.argsort(-nearness[part], kind="stable")] for part in members]
            found.append(sorted(ranked, key=len, reverse=True))
    return found
