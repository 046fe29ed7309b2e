"""Assigning every image of a store, shard by shard; shards that the same heads assigned before are not read again.

A shard's vectors never change, so its assignment by the same heads never changes either: it is kept beside the shards,
found by heads and shard. Memory holds one small row per image and one shard's vectors.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Set
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from tac_pipeline.arrays import FloatMatrix, IntVector
from tac_pipeline.errors import ArtifactDamaged
from tac_pipeline.progress import Progress
from tac_pipeline.store.parquet import place_table, read_frame
from tac_pipeline.store.schemas import SHARD_ASSIGNMENTS
from tac_pipeline.store.shards import ShardPart, map_shards

if TYPE_CHECKING:
    from tac_pipeline.method.heads.cluster_head import ClusterHead
    from tac_pipeline.method.words.criterion import View


@dataclass(frozen=True)
class StoreAssignment:
    """The head's column for every image.

    Attributes
    ----------
    rows : DataFrame
        Columns image_id, column, confidence, runner_up, similarity, margin; null when the image cannot be read.
    computed : int
        Number of images for which vectors were read; the others were assigned before.
    """

    rows: pl.DataFrame
    computed: int


def assign_shards(
    view: pl.DataFrame,
    shards: Path,
    *,
    encoder: str,
    head: Callable[[], ClusterHead],
    centers: FloatMatrix,
    kept: Path,
    groups: IntVector | None = None,
    seen_by: View | None = None,
    progress: Progress | None = None,
) -> StoreAssignment:
    """Assign every image of a view (paper step 10).

    Parameters
    ----------
    view : DataFrame with image_id, error, shard, row (the table image_embeddings)
    shards : Path
        The store's folder of shards.
    encoder : str
        Fingerprint of the encoder behind them.
    head : callable that gives a ClusterHead
        The image head; asked for only where a shard is new, because reading it takes seconds.
    centers : float32 (n_clusters, dim), unit rows
        By column of the head, or by group.
    kept : Path
        Folder of this head's earlier assignments with the same groups; new shards are added to it.
    groups : int64 (n_columns,), optional
        Columns of one group are one cluster with the sum of their probabilities; `column` is then the group.
    seen_by : View, optional
        Of the criterion that the head was learned by.

    Raises
    ------
    ArtifactDamaged
        A shard is gone or damaged, or another encoder made it.
    """
    assign = partial(_assign, head=head, centers=centers, kept=kept, groups=groups, seen_by=seen_by)
    parts, computed = [], 0
    for part, (assigned, new) in map_shards(assign, view, shards, encoder=encoder, progress=progress):
        if new:
            place_table(kept / part.name, SHARD_ASSIGNMENTS, assigned)
            computed += len(part.rows)
        of_rows = assigned[part.rows["row"].to_numpy()]
        parts.append(pl.concat([part.rows.select("image_id"), of_rows], how="horizontal"))
    return StoreAssignment(pl.concat(parts), computed)


def _assign(
    part: ShardPart,
    *,
    head: Callable[[], ClusterHead],
    centers: FloatMatrix,
    kept: Path,
    groups: IntVector | None,
    seen_by: View | None,
) -> tuple[pl.DataFrame, bool]:
    """The assignment of a whole shard, and whether it is new; one that is kept is read instead of the vectors."""
    known = _read_kept(kept / part.name)
    if known is not None:
        return known, False
    rows, vectors = part.read_whole()
    table = assign_vectors(vectors, head(), centers, groups, seen_by=seen_by)
    readable = pl.lit(rows["error"].is_null())
    return table.with_columns(pl.when(readable).then(pl.col(name)).alias(name) for name in table.columns), True


def assign_vectors(
    vectors: FloatMatrix,
    head: ClusterHead,
    centers: FloatMatrix,
    groups: IntVector | None,
    *,
    seen_by: View | None = None,
    among: Callable[[FloatMatrix], FloatMatrix] = lambda soft: soft,
) -> pl.DataFrame:
    """Columns column, confidence, runner_up, similarity for vectors, float32 (n_images, dim); see assign_shards.

    `among` takes the soft assignment, float32 (n_images, n_groups), and gives the one to the groups that are left.
    """
    from tac_pipeline.method.heads.assignment import assign
    from tac_pipeline.method.heads.cluster_head import soft_assignment
    from tac_pipeline.results.corrections.merging import sum_groups

    seen = vectors if seen_by is None else seen_by.apply(vectors)
    soft = soft_assignment(head, seen)
    summed = among(soft if groups is None else sum_groups(soft, groups))
    found = assign(summed, ceilings=group_ceilings(head, groups))
    similarity = np.einsum("nd,nd->n", seen, centers[found.column])
    return pl.DataFrame(
        {
            "column": pl.Series(found.column, dtype=pl.Int32),
            "confidence": pl.Series(found.confidence, dtype=pl.Float32),
            "runner_up": pl.Series(found.runner_up, dtype=pl.Int32),
            "similarity": pl.Series(similarity, dtype=pl.Float32),
            "margin": pl.Series(found.margin, dtype=pl.Float32),
        }
    )


def group_ceilings(head: ClusterHead, groups: IntVector | None) -> FloatMatrix | None:
    """How sure an image can be of each column, or of each group: as sure as of the surest of its columns, float32."""
    if head.ceilings is None or groups is None:
        return None if head.ceilings is None else head.ceilings.numpy()
    highest = np.zeros(int(groups.max()) + 1, dtype=np.float32)
    np.maximum.at(highest, groups, head.ceilings.numpy())
    return highest


def _read_kept(path: Path) -> pl.DataFrame | None:
    if not path.exists():
        return None
    try:
        # By name: an older file that lacks one of the columns counts as missing.
        columns = [column.name for column in SHARD_ASSIGNMENTS.columns]
        return read_frame(path, SHARD_ASSIGNMENTS, columns=columns)
    except ArtifactDamaged:
        return None


def drop_unused(folder: Path, keys: Set[str], shards: Path) -> None:
    """Remove assignments by heads that no kept version uses, and assignments of shards that are gone."""
    for kept in folder.glob("*"):
        if kept.name not in keys:
            shutil.rmtree(kept, ignore_errors=True)
            continue
        for path in kept.glob("*/*.parquet"):
            if not (shards / path.relative_to(kept)).exists():
                path.unlink(missing_ok=True)
