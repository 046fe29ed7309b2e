"""Scores of the result against true labels, where a store has them; nothing else reads labels."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import polars as pl

from assets.clustering import cluster_ids, image_kmeans, training_free_clusters
from assets.engine.step import Inputs, Output, stored_asset
from assets.images import image_labels, image_splits, label_tables, training_set
from assets.results import assignments, clusters
from assets.ui import previews
from tac_pipeline.settings.keys import Evaluation
from tac_pipeline.store.schemas import EVALUATION

if TYPE_CHECKING:
    from tac_pipeline.method.clusters.evaluation import Scores


# Of more classes, the picture would show dots.
MOST_CLASSES = 1_000
# The scores of a row, as Scores has them.
SCORES = ("nmi", "acc", "ari", "ami", "homogeneity", "completeness", "many_to_one", "recall")


@stored_asset(
    group="results",
    schema=EVALUATION,
    settings=["evaluation"],
    deps=[image_labels, image_kmeans, training_free_clusters, assignments, clusters, training_set],
    deps_when={"evaluation.split": (image_splits,)},
    as_of=cluster_ids,
    kinds=["parquet", "scikitlearn"],
    part="growth",
    code_version="2",
)
def evaluation(inputs: Inputs, out: Output, evaluation: Evaluation) -> None:
    """NMI, ACC, ARI and more of k-means on images, training-free and trained, if there are labels; else nothing."""
    table = _scores(inputs, evaluation)
    out.write(table)
    if table.is_empty():
        out.markdown("scores", "No labels: set `images.labels` to `folder` or `column` to have the result scored.")
        return
    out.markdown("scores", previews.table(table))
    # Numbers to follow in the UI are those of the first labels on the first split.
    first = table.filter(pl.col("labels") == table["labels"][0], pl.col("split").eq_missing(table["split"][0]))
    for row in first.to_dicts():
        place = "" if row["rows"] == "training_set" else "_store"
        out.fact(**{f"{row['result']}{place}_{name}": row[name] for name in ("nmi", "acc", "ari")})
    placed = inputs.table(assignments).drop_nulls("cluster_id").join(inputs.table(image_labels), on="image_id")
    if len(placed):
        _tell_reliability(placed, out)
        _show_confusion(placed, inputs, out, table["split"][0])


def _tell_reliability(placed: pl.DataFrame, out: Output) -> None:
    """What a confidence of 0.9 means in this store, and the picture of all confidences beside the labels."""
    from tac_pipeline.method.clusters.reliability import measure_reliability

    found = measure_reliability(
        placed["label"].to_list(), placed["cluster_id"].to_numpy(), placed["confidence"].to_numpy()
    )
    out.picture("reliability", previews.reliability_picture(found))
    out.fact(sure=found.sure, calibration_error=found.calibration_error)
    if found.sure > 0:
        out.fact(sure_and_right=found.sure_right, sure_and_of_the_commonest_class=found.sure_pure)


def _show_confusion(placed: pl.DataFrame, inputs: Inputs, out: Output, split: str | None) -> None:
    """Which classes are in which groups, by their names: of the first labels, and of the first split."""
    from tac_pipeline.method.clusters.evaluation import confuse
    from tac_pipeline.report.confusion import confusion_picture

    if split is not None:
        placed = placed.join(inputs.table(image_splits).filter(pl.col("split") == split), on="image_id", how="semi")
    if placed.is_empty() or placed["label"].n_unique() > MOST_CLASSES:
        return
    names = dict(inputs.table(clusters).select("cluster_id", "name").iter_rows())
    found = confuse(placed["label"].to_list(), placed["cluster_id"].to_numpy())
    out.picture("confusion", confusion_picture(found, names=names))


def _scores(inputs: Inputs, evaluation: Evaluation) -> pl.DataFrame:
    """The table `evaluation`: a row for each result that has labeled images, by labels and split."""
    from tac_pipeline.method.clusters.evaluation import score

    rows, results = [], _results(inputs)
    labeled = label_tables(inputs.artifact(image_labels), inputs.project.settings.images)
    for split, images in _parts(inputs, evaluation):
        for labels, table in labeled.items():
            truth = table if images is None else table.join(images, on="image_id", how="semi")
            for result, where, assigned in results:
                scored = assigned.drop_nulls().join(truth, on="image_id")
                if len(scored):
                    found = score(scored["label"].to_list(), scored["cluster"].to_numpy())
                    rows.append(_row(result, where, split, labels, found))
    types = {column.name: pl.String if column.name in _TEXTS else pl.Float64 for column in EVALUATION.columns}
    return pl.DataFrame(rows, schema=types | dict.fromkeys(("labeled_images", "classes", "clusters"), pl.Int64))


_TEXTS = ("result", "rows", "split", "labels")


def _row(result: str, where: str, split: str | None, labels: str, found: "Scores") -> dict[str, object]:
    return {
        "result": result,
        "rows": where,
        "split": split,
        "labels": labels,
        "labeled_images": found.rows,
        "classes": found.classes,
        "clusters": found.clusters,
        **{name: getattr(found, name) for name in SCORES},
    }


def _parts(inputs: Inputs, evaluation: Evaluation) -> Iterator[tuple[str | None, pl.DataFrame | None]]:
    """The splits to score, each with its images; or all images."""
    if not evaluation.splits:
        yield None, None
        return
    splits = inputs.table(image_splits)
    for split in evaluation.splits:
        yield split, splits.filter(pl.col("split") == split)


def _results(inputs: Inputs) -> list[tuple[str, str, pl.DataFrame]]:
    """Each result, where it holds, and its columns image_id, cluster."""
    trained = inputs.table(assignments).select("image_id", pl.col("cluster_id").alias("cluster"))
    learned = inputs.table(training_set, columns=["image_id"])
    return [
        ("image_kmeans", "training_set", inputs.table(image_kmeans)),
        ("training_free", "training_set", inputs.table(training_free_clusters)),
        ("trained", "training_set", trained.join(learned, on="image_id", how="semi")),
        ("trained", "whole_store", trained),
    ]
