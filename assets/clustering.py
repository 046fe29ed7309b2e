"""Group clustering: the baseline, the training-free result, the heads, and the lasting ids."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from assets.engine.by_method import compute_piece
from assets.engine.execute import open_store
from assets.engine.seen import CRITERION, seen_vectors
from assets.engine.step import Inputs, Output, Step, Values, stored_asset
from assets.images import WITH_KNOWN, known_classes, known_labels, training_set
from assets.neighbors import image_neighbors, text_neighbors, text_weight
from assets.nouns import noun_embeddings
from assets.people.lessons import lessons, taught_ids
from assets.people.written import lowest_free_id
from assets.text_space import cluster_count, criterion, noun_shortlist, text_counterparts
from assets.ui import previews
from tac_pipeline.arrays import FloatMatrix, IntVector
from tac_pipeline.digest import digest
from tac_pipeline.results.in_force import entry_in_force, names_to_keep, next_id_elsewhere
from tac_pipeline.store.artifacts import Store
from tac_pipeline.store.keeping.action_log import ActionLog
from tac_pipeline.store.schemas import (
    CLUSTER_ASSIGNMENT,
    CLUSTER_CENTERS,
    CLUSTER_IDS,
    LINEAGE,
    LOSS_HISTORY,
)

if TYPE_CHECKING:
    from tac_pipeline.store.ledger import Entry, Ledger

HEADS_NAME = "heads.safetensors"


def _load_clusters(inputs: Inputs, asset: Step) -> IntVector:
    """The cluster of each training image, int64 (n_images,)."""
    return inputs.table(asset)["cluster"].to_numpy().astype("int64")


def _write_assignment(inputs: Inputs, out: Output, asset: Step) -> None:
    found, n_clusters = compute_piece(asset, inputs), inputs.values["count"]
    ids = inputs.table(training_set, columns=["image_id"])["image_id"]
    out.write({"image_id": ids.to_arrow(), "cluster": found.assignment})
    out.fact(objective=found.objective, n_clusters=n_clusters)
    out.picture("cluster sizes", previews.sizes_picture(np.bincount(found.assignment, minlength=n_clusters)))


@stored_asset(
    group="clustering",
    schema=CLUSTER_ASSIGNMENT,
    settings=["method", "seed", "encoder.device"],
    deps=[training_set],
    deps_when={"group_by": [criterion]},
    value_deps=[cluster_count],
    by_method=True,
    load=_load_clusters,
    kinds=["parquet", "numpy"],
)
def image_kmeans(inputs: Inputs, out: Output, **_: Any) -> None:
    """The baseline: spherical k-means with K on only the image vectors."""
    _write_assignment(inputs, out, image_kmeans)


@stored_asset(
    group="clustering",
    schema=CLUSTER_ASSIGNMENT,
    settings=["method", "seed", "encoder.device"],
    deps=[training_set, text_counterparts, noun_shortlist, image_neighbors],
    deps_when={**WITH_KNOWN, "group_by": [criterion]},
    deps_if_any=[lessons],
    value_deps=[cluster_count, text_weight],
    by_method=True,
    load=_load_clusters,
    kinds=["parquet", "numpy"],
)
def training_free_clusters(inputs: Inputs, out: Output, **_: Any) -> None:
    """Groups by image vector and text counterpart, without training (paper step 6)."""
    _write_assignment(inputs, out, training_free_clusters)


@stored_asset(
    group="clustering",
    schema=LOSS_HISTORY,
    settings=["heads", "method", "seed", "encoder.device"],
    deps=[training_set, text_counterparts, image_neighbors, text_neighbors, image_kmeans, training_free_clusters],
    deps_when={**WITH_KNOWN, "group_by": [criterion]},
    value_deps=[cluster_count, text_weight],
    by_method=True,
    code_version="3",
    kinds=["pytorch", "parquet"],
)
def cluster_heads(inputs: Inputs, out: Output, **_: Any) -> None:
    """The image head and the text head, trained by cross-modal distillation (paper steps 8 and 9); the loss history.

    The robust method trains none: its heads are the centers of the training-free groups, and there is no history.
    """
    from tac_pipeline.method.heads.cluster_head import save_heads

    learned = compute_piece(cluster_heads, inputs)
    out.fact(**learned.facts)
    if learned.sentence:
        out.markdown("what came of it", learned.sentence)
    save_heads(out.path(HEADS_NAME), learned.image_head, learned.text_head)
    history = previews.history_table(learned.history)
    out.write(history)
    out.fact(
        n_clusters=inputs.values["count"],
        encoder=inputs.encoder(training_set),
    )
    if len(history):
        out.fact(final_loss=history["total"][-1])
        out.picture("loss curve", previews.loss_picture(history))


def _resolve_ids(inputs: Inputs) -> Values:
    # Earlier versions applied merges here. Without merges this was the value, and their artifacts are used again.
    return {"merge": []}


@stored_asset(
    group="clustering",
    schema=CLUSTER_IDS,
    deps=[cluster_heads, training_set],
    deps_when={**WITH_KNOWN, "group_by": [criterion]},
    deps_if_any=[lessons],
    resolve=_resolve_ids,
    code_version="3",
)
def cluster_ids(inputs: Inputs, out: Output) -> None:
    """The lasting cluster id of each column of the image head, from the store's ledger, and the history of every id.

    Heads that the ledger knows keep their ids. New heads are matched to the ids that are published, or that were
    current: a cluster that continues keeps its id, and no id is ever given twice.
    """
    from tac_pipeline.method.clusters.cluster_matching import assignment_centers, likeliest
    from tac_pipeline.store.ledger import Ledger

    store = open_store(inputs.project)
    ledger = Ledger(store.ledger_folder)
    found = likeliest(soft_columns(inputs))
    key = digest([inputs.artifact(cluster_heads).content, inputs.artifact(training_set).content])
    centers = assignment_centers(seen_vectors(inputs, training_set), found)
    log = ActionLog(store.ledger_folder)
    # No group is made by hand between the look at the ids of such groups and the entry.
    with log.standing_still():
        floor = max(next_id_elsewhere(store), lowest_free_id(inputs.project, log.read()))
        entry = ledger.find(key) or _enter(inputs, ledger, key, centers, found.columns, floor)
    history = ledger.history(entry)
    out.write(entry.ids)
    centers_by_id = {"cluster_id": entry.ids["cluster_id"], "embedding": centers}
    out.write_other(CLUSTER_CENTERS, centers_by_id, encoder=_space(inputs))
    out.write_other(LINEAGE, history)
    latest = history.filter(pl.col("entry") == entry.number)
    counts = dict(latest["event"].value_counts().iter_rows())
    out.fact(
        entry=entry.number,
        key=key,
        next_id=max([floor, *(known.next_id for known in ledger.entries())]),
        n_clusters=len(entry.ids),
        otherwise=entry.otherwise,
        **{event: counts.get(event, 0) for event in EVENTS},
    )
    moved = latest.filter(pl.col("event") != "kept").drop("entry")
    out.markdown("what changed", previews.table(moved.head(60)) if len(moved) else "Every cluster kept its id.")


def _enter(inputs: Inputs, ledger: "Ledger", key: str, centers: FloatMatrix, columns: IntVector, floor: int) -> "Entry":
    from tac_pipeline.store.ledger import Learned

    store = open_store(inputs.project)
    known = inputs.table(training_set, columns=["image_id", "content_hash"])
    learned = Learned(
        key,
        known["image_id"],
        known["content_hash"],
        columns,
        centers,
        _space(inputs),
        _roots(inputs, store),
        known_names(inputs),
        taught_ids(inputs),
    )
    return ledger.enter(learned, in_force=entry_in_force(store), names=names_to_keep(store), lowest_new_id=floor)


def known_names(inputs: Inputs) -> tuple[str, ...]:
    """The names of the known classes, which are the first columns; none in most stores."""
    return known_classes(inputs).names if known_labels.name in inputs.artifacts else ()


def soft_columns(inputs: Inputs) -> Iterator[FloatMatrix]:
    """The soft assignment of some training images after the other, in their order, float32 (any, n_columns)."""
    from tac_pipeline.method.heads.cluster_head import load_heads, soft_parts

    head = load_heads(inputs.path(cluster_heads, HEADS_NAME)).image_head
    return soft_parts(head, seen_vectors(inputs, training_set))


def _space(inputs: Inputs) -> str:
    """What centers must have in common to be compared: the encoder of the images, and the criterion if there is one."""
    encoder = inputs.encoder(training_set)
    if CRITERION not in inputs.artifacts:
        return encoder
    # Its words and prompts: the center moves a little with each learning.
    return f"{encoder} by {digest(inputs.artifact(criterion).record['values'])}"


def _roots(inputs: Inputs, store: Store) -> str:
    """A digest of what learning starts from: the settings and the code, the training images, and the nouns."""
    nouns = store.current(noun_embeddings.name)
    version = cluster_heads.version(inputs.project.settings)
    return digest([version, inputs.artifact(training_set).content, None if nouns is None else nouns.artifact.content])


EVENTS = ("kept", "grown", "split", "merged", "born", "retired")
