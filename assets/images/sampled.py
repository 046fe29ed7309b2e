"""Drawing the training set from a store that has more images than it may have."""

import hashlib
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from assets.engine.execute import open_store
from assets.engine.step import Inputs, Output, Values
from assets.images.embedded import image_embeddings
from tac_pipeline.arrow import encoder_of
from tac_pipeline.store.artifact import Artifact
from tac_pipeline.store.artifacts import content_of
from tac_pipeline.store.digests import describe_files
from tac_pipeline.store.parquet import vectors_of
from tac_pipeline.store.schemas import TRAINING_CELLS, TRAINING_SET, TRAINING_WEIGHTS

if TYPE_CHECKING:
    from tac_pipeline.arrays import FloatMatrix, IntVector
    from tac_pipeline.method.balanced_sample import Cells
    from tac_pipeline.store.shards import ShardPart

# The cells of the learning before are taken again until the store has this share more images, or fewer.
CELLS_LAST = 0.1
BALANCED = "balanced"
_KNOWN_CELLS = "known cells"


def sample_images(view: pl.DataFrame, *, max_images: int, seed: int, always: pl.Series | None = None) -> pl.DataFrame:
    """The max_images rows with the lowest seeded hash: a uniform sample that changes one by one as the store grows.

    The image_ids in `always`, of which there are at most so many, come before all others.
    """

    order = view["image_id"].map_elements(partial(_hash, seed), return_dtype=pl.Binary)
    if always is not None:
        order = pl.select(
            pl.when(view["image_id"].is_in(always.implode())).then(pl.lit(b"")).otherwise(order)
        ).to_series()
    return (
        view.with_columns(order.alias("priority")).bottom_k(max_images, by="priority").drop("priority").sort("image_id")
    )


def _hash(seed: int, image_id: str) -> bytes:
    return hashlib.blake2b(image_id.encode(), key=str(seed).encode(), digest_size=16).digest()


@dataclass(frozen=True)
class Balanced:
    """A balanced sample.

    Attributes
    ----------
    view : DataFrame
        The drawn rows, by image_id.
    weights : float32 (n_drawn,)
        How many images of the store each of them is one of: those of its cell by those that were drawn from it.
    centers : float32 (n_cells, dim), unit rows
    images, drawn : int64 (n_cells,)
        How many images each cell has, and how many of them were drawn.
    """

    view: pl.DataFrame
    weights: "FloatMatrix"
    centers: "FloatMatrix"
    images: "IntVector"
    drawn: "IntVector"

    def write_beside(self, out: Output, inputs: Inputs) -> None:
        """Write the cells and the weights beside the training set, which is written already."""
        # Equal images are an equal training set, also when cells that gave none of them have grown.
        out.content = content_of(describe_files(out.folder.iterdir()))
        known: Artifact | None = inputs.carry.get(_KNOWN_CELLS)
        readable, encoder = inputs.fact(image_embeddings, "readable"), inputs.fact(image_embeddings, "encoder")
        cells = {"cell": np.arange(len(self.centers), dtype=np.int32), "embedding": self.centers}
        out.write_other(TRAINING_CELLS, {**cells, "images": self.images, "drawn": self.drawn}, encoder=encoder)
        out.write_other(TRAINING_WEIGHTS, {"image_id": self.view["image_id"], "weight": self.weights})
        out.fact(
            cells=len(self.centers),
            cells_whole=int((self.images == self.drawn).sum()),
            most_of_a_cell=int(self.drawn.max()),
            # Cells that are taken again and again would never be found again in a store that grows slowly.
            cells_found_in=readable if known is None else known.facts["cells_found_in"],
        )


def sample_evenly(
    view: pl.DataFrame, inputs: Inputs, *, max_images: int, seed: int, always: pl.Series | None = None
) -> Balanced:
    """The balanced sample of max_images rows: the same hash as of sample_images, cell by cell.

    One pass over the shards. Held at once beside the view are one shard, 45 bytes an image, and before that a first
    sample of vectors while the cells are found.

    Parameters
    ----------
    view : DataFrame with image_id, error, shard, row
        More than max_images readable rows, by image_id.
    always : Series of image_id, optional
        At most max_images, which are drawn before all others.
    """
    from tac_pipeline.method.balanced_sample import FIRST_SAMPLE, count_cells, draw_evenly, find_cells
    from tac_pipeline.store.shards import gather_vectors

    shards, encoder = open_store(inputs.project).shards_folder, inputs.fact(image_embeddings, "encoder")
    hashes = (int.from_bytes(_hash(seed, image_id)[:8], "big") for image_id in view["image_id"])
    order = np.fromiter(hashes, dtype=np.uint64, count=len(view))
    known: Artifact | None = inputs.carry.get(_KNOWN_CELLS)
    if known is not None:
        centers = vectors_of(known.table(TRAINING_CELLS, columns=["embedding"]))
    else:
        first = np.sort(np.argsort(order, kind="stable")[:FIRST_SAMPLE])
        vectors = gather_vectors(view[first], shards, encoder=encoder)
        centers = find_cells(vectors, n_cells=count_cells(max_images, len(vectors)), seed=seed)
        del vectors
    cells = _cells_of_images(view, inputs, centers)
    asked = None if always is None else view["image_id"].is_in(always.implode()).to_numpy()
    chosen = draw_evenly(cells, order, count=max_images, first=asked)
    images, drawn = (np.bincount(found, minlength=len(centers)) for found in (cells, cells[chosen]))
    weights = (images / np.maximum(drawn, 1)).astype(np.float32)[cells[chosen]]
    return Balanced(view[chosen], weights, centers, images, drawn)


def _cells_of_images(view: pl.DataFrame, inputs: Inputs, centers: "FloatMatrix") -> "Cells":
    """The cell of every row of a view, one shard after the other."""
    from tac_pipeline.store.shards import map_shards

    shards, encoder = open_store(inputs.project).shards_folder, inputs.fact(image_embeddings, "encoder")
    places = view.select("shard", "row").with_row_index("position")
    cells = np.empty(len(view), dtype=np.int32)
    function = partial(_cells_of_shard, centers=centers)
    for part, found in map_shards(function, places, shards, encoder=encoder, progress=inputs.progress("images")):
        cells[part.rows["position"].to_numpy()] = found
    return cells


def _cells_of_shard(part: "ShardPart", *, centers: "FloatMatrix") -> "Cells":
    from tac_pipeline.method.balanced_sample import nearest_cells

    return nearest_cells(part.read_vectors(), centers)


def resolve_balance(inputs: Inputs, drawn: Values) -> Values:
    """What a balanced sample depends on beside `drawn`: its cells, where those of the learning before are taken again.

    Cells stay while the store hardly changes, so that learning again after a few new images has nearly the same
    training set. They are found again when a setting of the sample changes, or the encoder, or the number of images by
    more than CELLS_LAST.
    """
    values: dict[str, Any] = {**drawn, "sampling": BALANCED}
    current = open_store(inputs.project).whole_current(TRAINING_SET.name)
    if current is None or TRAINING_CELLS.file_name not in current.artifact.record["files"]:
        return values
    before = current.artifact
    of_before, inputs_before = before.record["values"], before.record["inputs"]
    if {**of_before, **values} != of_before or not _lasts(before, inputs):
        return values
    inputs.carry[_KNOWN_CELLS] = before
    if inputs_before == {name: inputs.artifacts[name].content for name in inputs_before if name in inputs.artifacts}:
        return dict(of_before)
    return values | {"cells": before.record["files"][TRAINING_CELLS.file_name]["sha256"]}


def _lasts(before: Artifact, inputs: Inputs) -> bool:
    found, now = before.facts.get("cells_found_in"), inputs.fact(image_embeddings, "readable")
    if found is None or abs(now - found) > CELLS_LAST * found:
        return False
    encoder: str = inputs.fact(image_embeddings, "encoder")
    return encoder == encoder_of(before.table(TRAINING_CELLS, columns=["embedding"]))
