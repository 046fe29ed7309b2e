"""The training set: the images that groups are learned from."""

import polars as pl

from assets.engine.as_it_was import training_set_as_it_was
from assets.engine.execute import open_store
from assets.engine.seen import seen_vectors
from assets.engine.step import AsItWas, Inputs, Output, Values, stored_asset
from assets.images.embedded import image_embeddings, remember_training_set
from assets.images.labeled import WITH_KNOWN, image_splits, known_labels
from assets.images.sampled import BALANCED, resolve_balance, sample_evenly, sample_images
from tac_pipeline.errors import InputError
from tac_pipeline.settings.keys import TrainingSet
from tac_pipeline.store.schemas import TRAINING_SET


def _resolve_training_set(inputs: Inputs, training_set: TrainingSet, seed: int) -> Values:
    if not training_set.splits and inputs.fact(image_embeddings, "readable") <= training_set.max_images:
        return {"images": "all"}
    drawn: Values = {"images": training_set.max_images, "seed": seed}
    if training_set.splits:
        drawn["split"] = training_set.split
    return resolve_balance(inputs, drawn) if training_set.sampling == BALANCED else drawn


def _lost_training_set(inputs: Inputs) -> AsItWas | None:
    return training_set_as_it_was(inputs, training_set)


@stored_asset(
    group="images",
    schema=TRAINING_SET,
    settings=["training_set", "seed"],
    deps=[image_embeddings],
    deps_when={**WITH_KNOWN, "training_set.split": (image_splits,)},
    columns_from={
        "embedding": [(image_embeddings, "shard"), (image_embeddings, "row")],
    },
    resolve=_resolve_training_set,
    ignores_growth=True,
    as_it_was=_lost_training_set,
    cleanup=remember_training_set,
    load=seen_vectors,
)
def training_set(inputs: Inputs, out: Output, training_set: TrainingSet, seed: int) -> None:
    """The images that groups are learned from: all readable ones, or of a split; at most training_set.max_images."""
    from tac_pipeline.embedding.bounded_reads import require_reached
    from tac_pipeline.store.shards import gather_vectors

    seen = inputs.table(image_embeddings)
    require_reached(seen, ", ".join(inputs.project.settings.images.places))
    view = seen.filter(pl.col("error").is_null())
    if view.is_empty():
        raise InputError(
            f"no image of {', '.join(inputs.project.settings.images.places)} can be read; "
            "the errors are in the table of image_embeddings (`tac path image_embeddings`)"
        )
    if training_set.splits:
        view = _of_splits(view, inputs.table(image_splits), training_set.splits)
    balanced = None
    if len(view) > training_set.max_images:
        always = inputs.table(known_labels)["image_id"] if known_labels.name in inputs.artifacts else None
        most = training_set.max_images
        if training_set.sampling == BALANCED:
            balanced = sample_evenly(view, inputs, max_images=most, seed=seed, always=always)
            view = balanced.view
        else:
            view = sample_images(view, max_images=most, seed=seed, always=always)
    encoder = inputs.fact(image_embeddings, "encoder")
    vectors = gather_vectors(view, open_store(inputs.project).shards_folder, encoder=encoder)
    columns = view.select("image_id", "content_hash").to_dict()
    out.write({**columns, "embedding": vectors}, encoder=encoder)
    out.fact(share=len(view) / inputs.fact(image_embeddings, "readable"))
    if balanced is not None:
        balanced.write_beside(out, inputs)


def _of_splits(view: pl.DataFrame, table: pl.DataFrame, splits: list[str]) -> pl.DataFrame:
    within = table.filter(pl.col("split").is_in(splits))
    found = view.join(within, on="image_id", how="semi", maintain_order="left")
    if found.is_empty():
        raise InputError(
            f"training_set.split: no image of {', '.join(splits)} can be read; the errors are in the table of "
            "image_embeddings (`tac path image_embeddings`)"
        )
    return found
