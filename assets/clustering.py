"""Group clustering: the baseline, the training-free result, the cluster heads, and the lasting cluster ids."""

from typing import Any

import polars as pl

from assets.engine.by_method import compute_piece
from assets.engine.execute import open_store
from assets.engine.step import Inputs, Output, Step, Values, stored_asset
from assets.images import training_set
from assets.neighbors import image_neighbors, text_neighbors, text_weight
from assets.nouns import noun_embeddings
from assets.text_space import cluster_count, noun_shortlist, text_counterparts
from assets.ui import previews
from tac_pipeline.arrays import IntVector
from tac_pipeline.errors import InputError
from tac_pipeline.results.corrections import Corrections, load_corrections
from tac_pipeline.results.in_force import entry_in_force, names_to_keep, next_id_elsewhere
from tac_pipeline.store.artifacts import Store
from tac_pipeline.store.schemas import CLUSTER_ASSIGNMENT, CLUSTER_CENTERS, CLUSTER_IDS, LINEAGE, LOSS_HISTORY

HEADS_NAME = "heads.safetensors"


def _load_clusters(inputs: Inputs, asset: Step) -> IntVector:
    """The cluster of each training image, int64 (n_images,)."""
    return inputs.table(asset)["cluster"].to_numpy().astype("int64")


def _write_assignment(inputs: Inputs, out: Output, asset: Step) -> None:
    found, n_clusters = compute_piece(asset, inputs), inputs.values["count"]
    ids = inputs.table(training_set, columns=["image_id"])["image_id"]
    out.write({"image_id": ids.to_arrow(), "cluster": found.assignment})
    out.fact(objective=found.objective, n_clusters=n_clusters)
    out.picture("cluster sizes", previews.sizes_picture(found.assignment, n_clusters))


@stored_asset(
    group="clustering",
    schema=CLUSTER_ASSIGNMENT,
    settings=["method", "seed"],
    deps=[training_set],
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
    settings=["method", "seed"],
    deps=[training_set, text_counterparts, noun_shortlist, image_neighbors],
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


def corrections_of(inputs: Inputs) -> Corrections:
    """The corrections file, read once per step; only the applied corrections enter recipes."""
    if "corrections" not in inputs.carry:
        inputs.carry["corrections"] = load_corrections(inputs.project.corrections_file)
    found: Corrections = inputs.carry["corrections"]
    return found


def _resolve_ids(inputs: Inputs, corrections: str | None) -> Values:
    return {"merge": [list(pair) for pair in sorted(corrections_of(inputs).merged_into.items())]}


@stored_asset(
    group="clustering",
    schema=CLUSTER_IDS,
    settings=["corrections"],
    deps=[cluster_heads, training_set],
    resolve=_resolve_ids,
    code_version="3",
)
def cluster_ids(inputs: Inputs, out: Output, corrections: str | None) -> None:
    """The lasting cluster id of each column of the image head, from the store's ledger, and the history of every id.

    Heads that the ledger knows keep their ids. New heads are matched to the ids that are published, or that were
    current: a cluster that continues keeps its id, and no id is ever given twice. Ids that people merged (`merge` in
    the corrections file) are shown as the first of them; the ledger itself still has the others.
    """
    from tac_pipeline.digest import digest
    from tac_pipeline.method.clusters.cluster_matching import assignment_centers
    from tac_pipeline.method.heads.cluster_head import load_heads, soft_assignment
    from tac_pipeline.results.corrections import groups_of, merge_lineage, require_known, sum_groups
    from tac_pipeline.store.ledger import Learned, Ledger

    store, corrected = open_store(inputs.project), corrections_of(inputs)
    ledger = Ledger(store.ledger_folder)
    vectors, encoder = inputs.vectors(training_set), inputs.encoder(training_set)
    soft = soft_assignment(load_heads(inputs.path(cluster_heads, HEADS_NAME)).image_head, vectors)
    key = digest([inputs.artifact(cluster_heads).content, inputs.artifact(training_set).content])
    entry, floor = ledger.find(key), next_id_elsewhere(store)
    if entry is None:
        known = inputs.table(training_set, columns=["image_id", "content_hash"])
        centers = assignment_centers(vectors, soft)
        columns = soft.argmax(axis=1)
        roots = _roots(inputs, store)
        learned = Learned(key, known["image_id"], known["content_hash"], columns, centers, encoder, roots)
        entry = ledger.enter(learned, in_force=entry_in_force(store), names=names_to_keep(store), lowest_new_id=floor)
    next_id = max([floor, *(known.next_id for known in ledger.entries())])
    require_known(corrected, next_id=next_id, path=inputs.project.corrections_file)
    kept, groups = groups_of(entry.ids["cluster_id"].to_list(), corrected.merged_into)
    if len(kept) < 2:
        raise InputError(
            f"merge must leave at least two clusters; {inputs.project.corrections_file} makes all of "
            f"{len(groups)} one. Remove a merge from it."
        )
    ids = _merged_ids(entry.ids, kept, groups)
    history = merge_lineage(ledger.history(entry), entry=entry.number, merged_into=corrected.merged_into)
    out.write(ids)
    out.write_other(
        CLUSTER_CENTERS,
        {"cluster_id": kept, "embedding": assignment_centers(vectors, sum_groups(soft, groups))},
        encoder=encoder,
    )
    out.write_other(LINEAGE, history)
    latest = history.filter(pl.col("entry") == entry.number)
    counts = dict(latest["event"].value_counts().iter_rows())
    # Earlier assignments by these heads are found by this key: merged columns are assigned as one, and the centers,
    # which decide the similarity of images, are computed here.
    assigned_key = digest([key, groups.tolist(), cluster_ids.code_version])
    out.fact(
        entry=entry.number,
        key=key,
        assigned_key=assigned_key,
        next_id=next_id,
        n_clusters=len(kept),
        merged_by_hand=len(ids) - len(kept),
        otherwise=entry.otherwise,
        **{event: counts.get(event, 0) for event in EVENTS},
    )
    moved = latest.filter(pl.col("event") != "kept").drop("entry")
    out.markdown("what changed", previews.table(moved.head(60)) if len(moved) else "Every cluster kept its id.")


def _roots(inputs: Inputs, store: Store) -> str:
    """A digest of what learning starts from: the settings and the code, the training images, and the nouns."""
    from tac_pipeline.digest import digest

    nouns = store.current(noun_embeddings.name)
    version = cluster_heads.version(inputs.project.settings)
    return digest([version, inputs.artifact(training_set).content, None if nouns is None else nouns.artifact.content])


def _merged_ids(ids: pl.DataFrame, kept: list[int], groups: IntVector) -> pl.DataFrame:
    """The ledger's ids, with merged ids replaced by the ones that stay, and their names."""
    names = dict(ids.select("cluster_id", "kept_name").iter_rows())
    shown = [kept[group] for group in groups]
    return ids.with_columns(
        cluster_id=pl.Series(shown, dtype=pl.Int32),
        kept_name=pl.Series([names.get(id_) for id_ in shown], dtype=pl.String),
    )


EVENTS = ("kept", "grown", "split", "merged", "born", "retired")
