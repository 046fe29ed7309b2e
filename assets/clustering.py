"""Group clustering: the baseline, the training-free result, the cluster heads, and the lasting cluster ids."""

from assets import previews
from assets.images import training_set
from assets.neighbors import image_neighbors, text_neighbors
from assets.step import Inputs, Output, Step, Values, step
from assets.text_space import cluster_count, text_counterparts
from tac_pipeline.method.arrays import IntMatrix, IntVector
from tac_pipeline.settings import EncoderSettings, HeadSettings
from tac_pipeline.tables import CLUSTER_ASSIGNMENT, CLUSTER_IDS, LOSS_HISTORY

HEADS_NAME = "heads.safetensors"


def _resolve_kmeans(inputs: Inputs, seed: int) -> Values:
    from tac_pipeline.method.published import KMEANS_ITERATIONS, TRAINING_FREE_RESTARTS

    return {
        "count": inputs.fact(cluster_count, "count"),
        "seed": seed,
        "restarts": TRAINING_FREE_RESTARTS,
        "iterations": KMEANS_ITERATIONS,
    }


def _write_assignment(inputs: Inputs, out: Output, assignment: IntVector, objective: float, n_clusters: int) -> None:
    ids = inputs.table(training_set, columns=["image_id"])["image_id"]
    out.write({"image_id": ids.to_arrow(), "cluster": assignment})
    out.fact(objective=objective, n_clusters=n_clusters)
    out.picture("cluster sizes", previews.sizes_picture(assignment, n_clusters))


@step(
    group="clustering",
    schema=CLUSTER_ASSIGNMENT,
    reads=["seed"],
    deps=[training_set],
    by_value=[cluster_count],
    resolve=_resolve_kmeans,
    kinds=["parquet", "numpy"],
)
def image_kmeans(inputs: Inputs, out: Output, seed: int) -> None:
    """The baseline: spherical k-means with K on the image vectors alone."""
    from tac_pipeline.method.training_free import image_kmeans as cluster_images

    found = cluster_images(
        inputs.vectors(training_set),
        n_clusters=inputs.values["count"],
        restarts=inputs.values["restarts"],
        seed=seed,
        progress=inputs.progress("restarts"),
    )
    _write_assignment(inputs, out, found.assignment, found.objective, inputs.values["count"])


@step(
    group="clustering",
    schema=CLUSTER_ASSIGNMENT,
    reads=["seed"],
    deps=[training_set, text_counterparts],
    by_value=[cluster_count],
    resolve=_resolve_kmeans,
    kinds=["parquet", "numpy"],
)
def training_free_clusters(inputs: Inputs, out: Output, seed: int) -> None:
    """Spherical k-means with K on image vector and text counterpart side by side (paper step 6)."""
    from tac_pipeline.method.training_free import training_free_clusters as cluster_both

    found = cluster_both(
        inputs.vectors(training_set),
        inputs.vectors(text_counterparts),
        n_clusters=inputs.values["count"],
        restarts=inputs.values["restarts"],
        seed=seed,
        progress=inputs.progress("restarts"),
    )
    _write_assignment(inputs, out, found.assignment, found.objective, inputs.values["count"])


def _resolve_heads(
    inputs: Inputs, heads: HeadSettings, method: str, seed: int, encoder: EncoderSettings
) -> Values:  # fmt: skip
    from tac_pipeline.method.published import training_schedule

    n_clusters = inputs.fact(cluster_count, "count")
    schedule = training_schedule(
        n_clusters, epochs=heads.epochs, batch_size=heads.batch_size, temperature=heads.temperature
    )
    return {
        "method": method,
        "count": n_clusters,
        "epochs": schedule.epochs,
        "batch_size": min(schedule.batch_size, inputs.rows(training_set)),
        "temperature": schedule.temperature,
        "balance_weight": heads.balance_weight,
        "learning_rate": heads.learning_rate,
        "seed": seed,
    }


@step(
    group="clustering",
    schema=LOSS_HISTORY,
    reads=["heads", "method", "seed", "encoder.device"],
    deps=[training_set, text_counterparts, image_neighbors, text_neighbors],
    by_value=[cluster_count],
    resolve=_resolve_heads,
    kinds=["pytorch", "parquet"],
)
def cluster_heads(
    inputs: Inputs, out: Output, heads: HeadSettings, method: str, seed: int, encoder: EncoderSettings
) -> None:
    """The image head and the text head, trained by cross-modal distillation (paper steps 8 and 9); the loss history."""
    from tac_pipeline.devices import choose_device
    from tac_pipeline.method.heads import save_heads
    from tac_pipeline.method.published import TrainingSchedule
    from tac_pipeline.method.training import train_cluster_heads

    values = inputs.values
    trained = train_cluster_heads(
        inputs.vectors(training_set),
        inputs.vectors(text_counterparts),
        _neighbor_rows(inputs, image_neighbors),
        _neighbor_rows(inputs, text_neighbors),
        n_clusters=values["count"],
        schedule=TrainingSchedule(values["epochs"], values["batch_size"], values["temperature"]),
        balance_weight=heads.balance_weight,
        learning_rate=heads.learning_rate,
        seed=seed,
        device=choose_device(encoder.device),
        progress=inputs.progress("epochs"),
    )
    save_heads(out.path(HEADS_NAME), trained.image_head, trained.text_head)
    history = previews.history_table(trained.history)
    out.write(history)
    out.fact(n_clusters=values["count"], encoder=inputs.encoder(training_set), final_loss=history["total"][-1])
    out.picture("loss curve", previews.loss_picture(history))


def _neighbor_rows(inputs: Inputs, asset: Step) -> IntMatrix:
    column = inputs.table(asset, columns=["neighbors"])["neighbors"]
    return column.explode().to_numpy().reshape(len(column), -1).astype("int64")


@step(
    group="clustering",
    schema=CLUSTER_IDS,
    deps=[cluster_heads, training_set],
)
def cluster_ids(inputs: Inputs, out: Output) -> None:
    """Which lasting cluster id each column of the image head stands for."""
    columns = list(range(inputs.fact(cluster_heads, "n_clusters")))
    out.write({"column": columns, "cluster_id": columns})
