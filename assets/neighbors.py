"""Group neighbors: which images learn from each other, by image vector and by text, and how much the text counts."""

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pyarrow as pa

from assets.engine.by_method import compute_piece
from assets.engine.step import Inputs, Output, Step, stored_asset
from assets.images import training_set
from assets.text_space import cluster_count, criterion, noun_vocabulary, text_counterparts
from assets.ui import previews
from tac_pipeline.arrays import IntMatrix
from tac_pipeline.store.schemas import NEIGHBORS, TEXT_WEIGHT, WHITENING

if TYPE_CHECKING:
    from tac_pipeline.method.grouping.whitening import Whitening
    from tac_pipeline.method.words.text_weight import TextWeight

INDEX_NAME = "index.faiss"


def load_neighbors(inputs: Inputs, asset: Step) -> IntMatrix:
    """Each training image's neighbors in an asset, as rows of the training set, int64 (n_images, count)."""
    column = inputs.table(asset, columns=["neighbors"])["neighbors"]
    return column.explode().to_numpy().reshape(len(column), -1).astype("int64")


def _write_neighbors(inputs: Inputs, out: Output, asset: Step) -> None:
    from tac_pipeline.method.grouping.neighbors import write_index

    found = compute_piece(asset, inputs)
    ids = inputs.table(training_set, columns=["image_id"])["image_id"]
    count = found.table.shape[1]
    flat = pa.array(found.table.astype("int32").reshape(-1))
    lists = pa.FixedSizeListArray.from_arrays(flat, count) if count else [[] for _ in ids]
    out.write({"image_id": ids.to_arrow(), "neighbors": lists})
    if found.index is not None:
        write_index(out.path(INDEX_NAME), found.index)
        out.fact(recall=found.index.recall, search=found.index.sentence)
    out.fact(count=count)


def load_whitening(inputs: Inputs, asset: Step) -> "Whitening | None":
    """The space in which neighbors are found; None where that is the vectors' own."""
    from tac_pipeline.method.grouping.whitening import Whitening

    table = inputs.table(asset)
    if table.is_empty():
        return None
    return Whitening(table["mean"].to_numpy(), np.stack(table["weights"].to_list()).astype(np.float32))


@stored_asset(
    group="neighbors",
    schema=WHITENING,
    settings=["method"],
    deps=[training_set],
    deps_when={"group_by": [criterion]},
    by_method=True,
    load=load_whitening,
    kinds=["parquet", "numpy"],
)
def whitening(inputs: Inputs, out: Output, **_: Any) -> None:
    """The space in which images' neighbors are found: no direction of the vectors drowns the others there.

    Empty in a method that finds them among the vectors as they are.
    """
    found = compute_piece(whitening, inputs)
    if found is None:
        out.write({"direction": [], "mean": [], "weights": []})
        return
    out.write({"direction": list(range(len(found.mean))), "mean": found.mean, "weights": list(found.matrix)})


@stored_asset(
    group="neighbors",
    schema=NEIGHBORS,
    settings=["neighbors", "method"],
    deps=[training_set, whitening],
    deps_when={"group_by": [criterion]},
    value_deps=[cluster_count],
    columns_from={
        "neighbors": [(training_set, "embedding")],
    },
    by_method=True,
    load=load_neighbors,
    kinds=["parquet", "faiss"],
)
def image_neighbors(inputs: Inputs, out: Output, **_: Any) -> None:
    """Each training image's nearest ones by image vector, and the FAISS index (paper step 7)."""
    _write_neighbors(inputs, out, image_neighbors)


def _load_weight(inputs: Inputs, asset: Step) -> "TextWeight":
    from tac_pipeline.method.words.text_weight import TextWeight

    return TextWeight(inputs.fact(asset, "heads"), inputs.fact(asset, "training_free"), (), "")


@stored_asset(
    group="neighbors",
    schema=TEXT_WEIGHT,
    settings=["blend", "method", "seed"],
    deps=[training_set, noun_vocabulary, text_counterparts, image_neighbors],
    deps_when={"group_by": [criterion]},
    value_deps=[cluster_count],
    by_method=True,
    load=_load_weight,
    kinds=["parquet", "numpy"],
)
def text_weight(inputs: Inputs, out: Output, **_: Any) -> None:
    """The weight of the text beside the images, and why; the table holds what was tried."""
    found = compute_piece(text_weight, inputs)
    trials = pl.DataFrame(
        [(trial.weight, trial.together) for trial in found.trials],
        schema={"weight": pl.Float32, "together": pl.Float32},
        orient="row",
    )
    out.write(trials)
    out.fact(heads=found.heads, training_free=found.training_free, choice=found.sentence)
    if found.fit is not None:
        out.fact(words_agree=found.fit.words, turned_nouns_agree=found.fit.turned)
    out.markdown("the words", found.sentence + (f"\n\n{previews.table(trials)}" if len(trials) else ""))


@stored_asset(
    group="neighbors",
    schema=NEIGHBORS,
    settings=["neighbors", "method"],
    deps=[training_set, text_counterparts],
    deps_when={"group_by": [criterion]},
    value_deps=[cluster_count, text_weight],
    columns_from={
        "neighbors": [(text_counterparts, "embedding")],
    },
    by_method=True,
    load=load_neighbors,
    kinds=["parquet", "faiss"],
)
def text_neighbors(inputs: Inputs, out: Output, **_: Any) -> None:
    """Each training image's nearest ones by the text head's input, and the FAISS index (paper step 7).

    Without neighbors in a method that trains no heads.
    """
    _write_neighbors(inputs, out, text_neighbors)
