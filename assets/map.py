"""Group map: a place on a plane for every image."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from assets.engine.execute import open_store
from assets.engine.step import Inputs, Output, Values, stored_asset
from assets.images import image_embeddings, sample_images, training_set
from tac_pipeline.arrow import require_same_encoder
from tac_pipeline.store.schemas import IMAGE_MAP, MAP_LAYOUT
from tac_pipeline.store.segments.reading import Segment, rows_beside, segments

if TYPE_CHECKING:
    from tac_pipeline.arrays import FloatMatrix
    from tac_pipeline.method.grouping.neighbors import Index
    from tac_pipeline.store.shards import ShardPart


def _resolve_layout(inputs: Inputs, seed: int) -> Values:
    from tac_pipeline.results.map_layout import LARGEST_SAMPLE

    return {"images": min(LARGEST_SAMPLE, inputs.rows(training_set)), "seed": seed}


@stored_asset(
    group="neighbors",
    schema=MAP_LAYOUT,
    settings=["seed"],
    deps=[training_set],
    resolve=_resolve_layout,
    kinds=["parquet", "scikitlearn"],
)
def map_layout(inputs: Inputs, out: Output, seed: int) -> None:
    """Positions of a sample of the training images on a plane; similar images are near each other (t-SNE)."""
    from tac_pipeline.results.map_layout import lay_out

    known = inputs.table(training_set, columns=["image_id"]).with_row_index("row")
    chosen = sample_images(known, max_images=inputs.values["images"], seed=seed)
    vectors = inputs.vectors_at(training_set, chosen["row"].to_numpy())
    positions = lay_out(vectors, seed=seed)
    out.write(
        {"image_id": chosen["image_id"], "x": positions[:, 0], "y": positions[:, 1], "embedding": vectors},
        encoder=inputs.encoder(training_set),
    )


@stored_asset(
    group="results",
    schema=IMAGE_MAP,
    deps=[image_embeddings, map_layout],
    part="growth",
)
def image_map(inputs: Inputs, out: Output) -> None:
    """The position of every readable image on the map; images that are already on it keep their place."""
    before, images = _placed_before(inputs), ["image_id", "content_hash"]
    new_images, layout = 0, cache(partial(_read_layout, inputs))

    def places(part: Segment) -> pl.DataFrame:
        nonlocal new_images
        view = part.frame([*images, "error", "shard", "row"]).filter(pl.col("error").is_null())
        # In the view's order, and without images that are gone.
        known = view.join(
            rows_beside(before, part) if before else _NOWHERE, on=images, how="left", maintain_order="left"
        )
        new = known.filter(pl.col("x").is_null())
        new_images += len(new)
        table = known.select(*images, "x", "y")
        return table.update(_placed(inputs, new.select(view.columns), layout), on=images) if len(new) else table

    of_layout = inputs.artifact(map_layout).content
    out.write_each(inputs.segments(image_embeddings), places, key=lambda _: of_layout)
    out.fact(images_placed=new_images)


_NOWHERE = pl.DataFrame(schema={"image_id": pl.String, "content_hash": pl.String, "x": pl.Float32, "y": pl.Float32})


def _placed_before(inputs: Inputs) -> list[Segment]:
    """The segments of the current map, if it has the same layout."""
    current = open_store(inputs.project).whole_current(image_map.name)
    layout = inputs.artifact(map_layout).content
    if current is None or current.artifact.record["inputs"].get(map_layout.name) != layout:
        return []
    return segments(current.artifact, IMAGE_MAP)


def _placed(inputs: Inputs, view: pl.DataFrame, layout: Callable[[], "Layout"]) -> pl.DataFrame:
    """Positions of some images of the store, one shard after the other."""
    from tac_pipeline.store.shards import map_shards

    encoder = inputs.fact(image_embeddings, "encoder")
    require_same_encoder(encoder, inputs.encoder(map_layout))
    found = map_shards(
        partial(_places, layout=layout()),
        view,
        open_store(inputs.project).shards_folder,
        encoder=encoder,
        progress=inputs.progress("images"),
    )
    return pl.concat([_no_places(view), *(_with_places(part.rows, places) for part, places in found)])


@dataclass(frozen=True)
class Layout:
    """The images that are on the map: an index of their vectors, and their positions, float32 (n_sample, 2)."""

    index: "Index"
    positions: "FloatMatrix"


def _read_layout(inputs: Inputs) -> Layout:
    from tac_pipeline.results.map_layout import placing_index

    positions = inputs.table(map_layout, columns=["x", "y"]).to_numpy()
    return Layout(placing_index(inputs.vectors(map_layout), n_images=inputs.rows(image_embeddings)), positions)


def _places(part: "ShardPart", *, layout: Layout) -> "FloatMatrix":
    from tac_pipeline.results.map_layout import place

    return place(part.read_vectors(), layout.index, layout.positions)


def _no_places(view: pl.DataFrame) -> pl.DataFrame:
    return _with_places(view.clear(), np.empty((0, 2), dtype=np.float32))


def _with_places(rows: pl.DataFrame, places: "FloatMatrix") -> pl.DataFrame:
    x, y = (pl.Series(column, dtype=pl.Float32) for column in places.T)
    return rows.select("image_id", "content_hash").with_columns(x=x, y=y)
