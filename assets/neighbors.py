"""Group neighbors: which images learn from each other, by image vector and by text, and how much the text counts."""

import polars as pl
import pyarrow as pa

from assets.engine.step import Inputs, Output, Step, Values, stored_asset
from assets.images import training_set
from assets.text_space import cluster_count, text_counterparts
from assets.ui import previews
from tac_pipeline.arrays import FloatMatrix, IntMatrix
from tac_pipeline.settings.keys import Blend, Neighbors
from tac_pipeline.store.schemas import NEIGHBORS, TEXT_WEIGHT

INDEX_NAME = "index.faiss"


def _resolve_count(inputs: Inputs, neighbors: Neighbors, method: str) -> Values:
    from tac_pipeline.method.values.published import NEIGHBORS as PUBLISHED_COUNT
    from tac_pipeline.method.values.robust import count_neighbors

    n_images = inputs.rows(training_set)
    if method == "robust":
        wanted = count_neighbors(n_images, inputs.fact(cluster_count, "count"), count=neighbors.count)
    else:
        wanted = PUBLISHED_COUNT if neighbors.count is None else neighbors.count
    return {"count": min(wanted, n_images - 1)}


def _write_neighbors(inputs: Inputs, out: Output, rows: FloatMatrix) -> None:
    from tac_pipeline.method.grouping.neighbors import build_index, nearest_neighbors, write_index

    index = build_index(rows)
    found = nearest_neighbors(
        rows, count=inputs.values["count"], index=index, progress=inputs.progress("images")
    )  # (n_images, count)
    ids = inputs.table(training_set, columns=["image_id"])["image_id"]
    lists = pa.FixedSizeListArray.from_arrays(pa.array(found.astype("int32").reshape(-1)), found.shape[1])
    out.write({"image_id": ids.to_arrow(), "neighbors": lists})
    write_index(out.path(INDEX_NAME), index)
    out.fact(count=inputs.values["count"])


@stored_asset(
    group="neighbors",
    schema=NEIGHBORS,
    settings=["neighbors", "method"],
    deps=[training_set],
    value_deps=[cluster_count],
    resolve=_resolve_count,
    kinds=["parquet", "faiss"],
)
def image_neighbors(inputs: Inputs, out: Output, neighbors: Neighbors, method: str) -> None:
    """Each training image's nearest ones by image vector, exact inner product, and the FAISS index (paper step 7)."""
    _write_neighbors(inputs, out, inputs.vectors(training_set))


def _resolve_weight(inputs: Inputs, blend: Blend, method: str, seed: int) -> Values:
    if method != "robust" or blend.text_weight is not None:
        return {"weight": blend.text_weight if method == "robust" else "published"}
    return {"weight": None, "count": inputs.fact(cluster_count, "count"), "seed": seed}


@stored_asset(
    group="neighbors",
    schema=TEXT_WEIGHT,
    settings=["blend", "method", "seed"],
    deps=[training_set, text_counterparts, image_neighbors],
    value_deps=[cluster_count],
    resolve=_resolve_weight,
    kinds=["parquet", "numpy"],
)
def text_weight(inputs: Inputs, out: Output, blend: Blend, method: str, seed: int) -> None:
    """The weight of the text beside the images, chosen without labels: similar images should stay together.

    For every weight the images are clustered by image and text, and we count how often an image's nearest images are
    in its cluster. Text that fits keeps them together; text that does not fit separates them.
    """
    from tac_pipeline.method.values.robust import ASKED_NEIGHBORS
    from tac_pipeline.method.words.text_weight import choose_text_weight, given_text_weight, published_text_weight

    if method != "robust":
        found = published_text_weight()
    elif blend.text_weight is not None:
        found = given_text_weight(blend.text_weight)
    else:
        found = choose_text_weight(
            inputs.vectors(training_set),
            inputs.vectors(text_counterparts),
            neighbor_rows(inputs, image_neighbors)[:, :ASKED_NEIGHBORS],
            n_clusters=inputs.values["count"],
            seed=seed,
            progress=inputs.progress("text weights"),
        )
    trials = pl.DataFrame(
        [(trial.weight, trial.together) for trial in found.trials],
        schema={"weight": pl.Float32, "together": pl.Float32},
        orient="row",
    )
    out.write(trials)
    out.fact(heads=found.heads, training_free=found.training_free, choice=found.sentence)
    out.markdown("the words", found.sentence + (f"\n\n{previews.table(trials)}" if len(trials) else ""))


def neighbor_rows(inputs: Inputs, asset: Step) -> IntMatrix:
    """Each training image's neighbors in an asset, as rows of the training set, int64 (n_images, count)."""
    column = inputs.table(asset, columns=["neighbors"])["neighbors"]
    return column.explode().to_numpy().reshape(len(column), -1).astype("int64")


def text_rows(inputs: Inputs, method: str) -> FloatMatrix:
    """The input of the text head: text counterparts (published method), or image and text joined (robust method)."""
    from tac_pipeline.method.grouping.blend import blend_rows

    texts = inputs.vectors(text_counterparts)
    if method != "robust":
        return texts
    return blend_rows(inputs.vectors(training_set), texts, text_weight=inputs.fact(text_weight, "heads"))


def _resolve_text_neighbors(inputs: Inputs, neighbors: Neighbors, method: str) -> Values:
    values = _resolve_count(inputs, neighbors, method)
    return {**values, "text_weight": inputs.fact(text_weight, "heads") if method == "robust" else "text alone"}


@stored_asset(
    group="neighbors",
    schema=NEIGHBORS,
    settings=["neighbors", "method"],
    deps=[training_set, text_counterparts],
    value_deps=[cluster_count, text_weight],
    resolve=_resolve_text_neighbors,
    kinds=["parquet", "faiss"],
)
def text_neighbors(inputs: Inputs, out: Output, neighbors: Neighbors, method: str) -> None:
    """Each training image's nearest ones by the text head's input, and the FAISS index (paper step 7)."""
    _write_neighbors(inputs, out, text_rows(inputs, method))
