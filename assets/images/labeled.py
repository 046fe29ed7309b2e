"""What the source, or people, say of images: true labels and splits for evaluation, examples of known classes."""

from typing import TYPE_CHECKING

import polars as pl

from assets.engine.step import Inputs, Output, Step, Values, stored_asset
from assets.images.embedded import image_embeddings
from assets.images.listed import image_manifest, open_project_source, require_as_many_images
from assets.ui import previews
from tac_pipeline.arrays import IntVector
from tac_pipeline.digest import digest
from tac_pipeline.errors import TacError
from tac_pipeline.settings.keys import Evaluation, Images, KnownSettings, TrainingSet
from tac_pipeline.sources.listing import require_splits
from tac_pipeline.store.artifacts import Artifact
from tac_pipeline.store.schemas import (
    FURTHER_LABELS,
    IMAGE_LABELS,
    IMAGE_SPLITS,
    KNOWN_LABELS,
    TRAINING_SET,
)

if TYPE_CHECKING:
    from tac_pipeline.method.clusters.known_classes import KnownClasses


def _resolve_labels(inputs: Inputs, images: Images) -> Values:
    if images.labels == "none":
        return {"labels": "none"}
    source = open_project_source(inputs.project)
    ids = inputs.table(image_manifest, columns=["image_id"])["image_id"].to_list()
    if images.labels == "folder":
        inputs.carry["labels"] = [source.labels(ids, "folder")]
        # Folder names are part of the image ids, so the manifest's content includes them; a column can change alone.
        return {"labels": "folder", "column": None}
    found = [source.labels(ids, "column", column=column) for column in images.label_columns]
    inputs.carry["labels"] = found
    read = [_column_digest(labels) for labels in found]
    return {"labels": images.labels, "column": read[0] if images.labels == "column" else read}


def _column_digest(labels: pl.DataFrame) -> str:
    return digest([labels["image_id"].to_list(), labels["label"].to_list()])


@stored_asset(
    group="images",
    schema=IMAGE_LABELS,
    settings=["images.source", "images.labels"],
    deps=[image_manifest],
    resolve=_resolve_labels,
    part="growth",
)
def image_labels(inputs: Inputs, out: Output, images: Images) -> None:
    """The true label of every image that has one; only evaluation reads it, so labels never affect results."""
    if images.labels == "none":
        out.write({"image_id": [], "label": []})
        return
    labels, *further = inputs.carry["labels"]
    out.write(labels)
    if further:
        named = zip(images.label_columns[1:], further, strict=True)
        parts = [
            table.select("image_id", pl.lit(column).alias("column"), "label").sort("image_id")
            for column, table in named
        ]
        out.write_other(FURTHER_LABELS, pl.concat(parts))
        out.fact(further=images.label_columns[1:])
    counts = labels["label"].value_counts(sort=True)
    out.fact(distinct_labels=len(counts))
    out.markdown("images per label", previews.table(counts.head(20)))


def label_tables(made: Artifact, images: Images) -> dict[str, pl.DataFrame]:
    """The tables (image_id, label) of an image_labels, by the column that they are from, or `folder`."""
    first = images.label_columns[0] if images.label_columns else str(images.labels)
    tables = {first: made.frame(IMAGE_LABELS)}
    if "further" in made.facts:
        further = made.frame(FURTHER_LABELS)
        for column in made.facts["further"]:
            tables[column] = further.filter(pl.col("column") == column).select("image_id", "label")
    return tables


def _resolve_splits(inputs: Inputs, images: Images, training_set: TrainingSet, evaluation: Evaluation) -> Values:
    if not training_set.splits and not evaluation.splits:
        return {}
    ids = inputs.table(image_manifest, columns=["image_id"])["image_id"].to_list()
    key = "training_set.split" if training_set.splits else "evaluation.split"
    splits = open_project_source(inputs.project).labels(ids, "column", column="split", key=key)
    inputs.carry["splits"] = splits.rename({"label": "split"})
    return {"splits": _column_digest(splits)}


@stored_asset(
    group="images",
    schema=IMAGE_SPLITS,
    settings=["images.source", "training_set.split", "evaluation.split"],
    value_deps=[image_manifest],
    resolve=_resolve_splits,
    part="growth",
)
def image_splits(
    inputs: Inputs, out: Output, images: Images, training_set: TrainingSet, evaluation: Evaluation
) -> None:
    """Which split of the data set each image is in, if the settings name one; else an empty table."""
    if "splits" not in inputs.carry:
        out.write({"image_id": [], "split": []})
        return
    table = inputs.carry["splits"]
    # Before anything is encoded.
    require_splits(training_set.splits, table["split"], key="training_set.split")
    counts = require_splits(evaluation.splits, table["split"], key="evaluation.split")
    if training_set.splits:
        require_as_many_images(inputs.project, sum(counts[split] for split in set(training_set.splits)))
    out.write(table)
    out.fact(images_of_splits=counts, without_split=inputs.rows(image_manifest) - len(table))
    out.markdown("images of each split", previews.table(table["split"].value_counts(sort=True)))


KNOWN_KEYS = ("known.file", "known.folder", "known.column")


def _resolve_known(inputs: Inputs, known: KnownSettings) -> Values:
    if not known.asked:
        return {}
    from tac_pipeline.sources.tables.examples import find_examples

    view = inputs.table(image_embeddings, columns=["image_id", "error"])

    def of_column(column: str) -> pl.DataFrame:
        return open_project_source(inputs.project).labels(
            view["image_id"].to_list(), "column", column=column, key="known.column"
        )

    found = find_examples(inputs.project, view, of_column)
    inputs.carry["examples"] = found
    return {"examples": digest([found.table["image_id"].to_list(), found.table["label"].to_list()])}


def _changed_examples(inputs: Inputs, made: Artifact) -> str:
    try:
        now = _resolve_known(inputs, inputs.project.settings.known)
    except TacError as error:
        return f"cannot be read again: {error}"
    same = now == made.record["values"]
    return "" if same else "the examples have changed since; `tac run --recluster` learns from them"


def known_classes(inputs: Inputs) -> "KnownClasses":
    """The known classes among the training images."""
    from tac_pipeline.method.clusters.known_classes import find_classes

    labels = dict(inputs.table(known_labels).iter_rows())
    ids = inputs.artifacts[TRAINING_SET.name].frame(TRAINING_SET, columns=["image_id"])["image_id"]
    return find_classes([labels.get(image_id) for image_id in ids])


def _load_known(inputs: Inputs, asset: Step) -> IntVector:
    return known_classes(inputs).classes


@stored_asset(
    group="images",
    schema=KNOWN_LABELS,
    settings=["known"],
    deps_when=dict.fromkeys(KNOWN_KEYS, (image_embeddings,)),
    resolve=_resolve_known,
    ignores_growth=True,
    lag=_changed_examples,
    load=_load_known,
)
def known_labels(inputs: Inputs, out: Output, known: KnownSettings) -> None:
    """The examples of classes that people know already, if the settings have a section known: learning keeps these.

    They have nothing to do with image_labels, which only evaluation reads.
    """
    if not known.asked:
        out.write({"image_id": [], "label": []})
        return
    examples = inputs.carry["examples"]
    out.write(examples.table)
    counts = examples.table["label"].value_counts(sort=True)
    out.fact(classes=len(counts), not_in_the_store=examples.strangers)
    out.markdown("examples of each class", previews.table(counts.head(100)))
    if examples.strangers:
        inputs.log(f"known: examples that the store has not, or cannot read, are left out: {examples.strangers:,}")


# What else a step reads where classes are known.
WITH_KNOWN = dict.fromkeys(KNOWN_KEYS, (known_labels,))
