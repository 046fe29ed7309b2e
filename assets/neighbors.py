"""Group neighbors: who learns from whom, by image vector and by text counterpart."""

from collections.abc import Callable

import pyarrow as pa

from assets.images import training_set
from assets.step import Inputs, Output, Step, Values, step
from assets.text_space import text_counterparts
from tac_pipeline.settings import Neighbors
from tac_pipeline.tables import NEIGHBORS

INDEX_NAME = "index.faiss"


def _clamped(vectors_from: Step) -> Callable[..., Values]:
    def resolve(inputs: Inputs, neighbors: Neighbors) -> Values:
        return {"count": min(neighbors.count, inputs.rows(vectors_from) - 1)}

    return resolve


def _write_neighbors(inputs: Inputs, out: Output, vectors_from: Step) -> None:
    from tac_pipeline.method.neighbors import build_index, nearest_neighbors, write_index

    vectors = inputs.vectors(vectors_from)
    index = build_index(vectors)
    found = nearest_neighbors(
        vectors, count=inputs.values["count"], index=index, progress=inputs.progress("images")
    )  # (n_images, count)
    ids = inputs.table(vectors_from, columns=["image_id"])["image_id"]
    rows = pa.FixedSizeListArray.from_arrays(pa.array(found.astype("int32").reshape(-1)), found.shape[1])
    out.write({"image_id": ids.to_arrow(), "neighbors": rows})
    write_index(out.path(INDEX_NAME), index)
    out.fact(count=inputs.values["count"])


@step(
    group="neighbors",
    schema=NEIGHBORS,
    reads=["neighbors"],
    deps=[training_set],
    resolve=_clamped(training_set),
    kinds=["parquet", "faiss"],
)
def image_neighbors(inputs: Inputs, out: Output, neighbors: Neighbors) -> None:
    """The nearest training images of each by image vector, exact inner product, and the FAISS index (paper step 7)."""
    _write_neighbors(inputs, out, training_set)


@step(
    group="neighbors",
    schema=NEIGHBORS,
    reads=["neighbors"],
    deps=[text_counterparts],
    resolve=_clamped(text_counterparts),
    kinds=["parquet", "faiss"],
)
def text_neighbors(inputs: Inputs, out: Output, neighbors: Neighbors) -> None:
    """The nearest training images of each by text counterpart, and the FAISS index (paper step 7)."""
    _write_neighbors(inputs, out, text_counterparts)
