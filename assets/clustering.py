"""Group clustering: the baseline, the training-free result, the heads, the lasting ids, and corrections of them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import polars as pl

from assets.engine.by_method import compute_piece
from assets.engine.execute import open_store
from assets.engine.seen import CRITERION, seen_vectors
from assets.engine.step import Inputs, Output, Step, Values, stored_asset
from assets.images import WITH_KNOWN, known_classes, known_labels, training_set
from assets.neighbors import image_neighbors, text_neighbors, text_weight
from assets.nouns import noun_embeddings
from assets.text_space import cluster_count, criterion, noun_shortlist, text_counterparts
from assets.ui import previews
from tac_pipeline.arrays import FloatMatrix, IntVector
from tac_pipeline.digest import digest, file_sha256
from tac_pipeline.errors import ArtifactDamaged
from tac_pipeline.results.corrections.acting import replay, with_actions
from tac_pipeline.results.corrections.merging import require_two_clusters
from tac_pipeline.results.corrections.written import Corrections, load_corrections, require_known
from tac_pipeline.results.in_force import entry_in_force, names_to_keep, next_id_elsewhere
from tac_pipeline.settings.project import Project
from tac_pipeline.store.artifacts import Store
from tac_pipeline.store.keeping.action_log import Action, ActionLog
from tac_pipeline.store.parquet import vectors_of
from tac_pipeline.store.schemas import (
    CLUSTER_ASSIGNMENT,
    CLUSTER_CENTERS,
    CLUSTER_IDS,
    CORRECTIONS,
    LINEAGE,
    LOSS_HISTORY,
    PINS,
)

if TYPE_CHECKING:
    from tac_pipeline.results.corrections.applied import Applied

HEADS_NAME = "heads.safetensors"
# The file of corrections, which Dagster observes.
CORRECTIONS_FILE = "corrections_file"


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
    resolve=_resolve_ids,
    code_version="3",
)
def cluster_ids(inputs: Inputs, out: Output) -> None:
    """The lasting cluster id of each column of the image head, from the store's ledger, and the history of every id.

    Heads that the ledger knows keep their ids. New heads are matched to the ids that are published, or that were
    current: a cluster that continues keeps its id, and no id is ever given twice.
    """
    from tac_pipeline.method.clusters.cluster_matching import assignment_centers
    from tac_pipeline.store.ledger import Learned, Ledger

    store = open_store(inputs.project)
    ledger = Ledger(store.ledger_folder)
    vectors, encoder, soft = seen_vectors(inputs, training_set), _space(inputs), _soft(inputs)
    key = digest([inputs.artifact(cluster_heads).content, inputs.artifact(training_set).content])
    entry, floor = ledger.find(key), next_id_elsewhere(store)
    centers = assignment_centers(vectors, soft)
    if entry is None:
        known = inputs.table(training_set, columns=["image_id", "content_hash"])
        columns, roots = soft.argmax(axis=1), _roots(inputs, store)
        learned = Learned(
            key,
            known["image_id"],
            known["content_hash"],
            columns,
            centers,
            encoder,
            roots,
            _known_names(inputs),
        )
        entry = ledger.enter(learned, in_force=entry_in_force(store), names=names_to_keep(store), lowest_new_id=floor)
    history = ledger.history(entry)
    out.write(entry.ids)
    out.write_other(CLUSTER_CENTERS, {"cluster_id": entry.ids["cluster_id"], "embedding": centers}, encoder=encoder)
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


def _known_names(inputs: Inputs) -> tuple[str, ...]:
    """The names of the known classes, which are the first columns; none in most stores."""
    return known_classes(inputs).names if known_labels.name in inputs.artifacts else ()


def _soft(inputs: Inputs) -> FloatMatrix:
    """The soft assignment of the training images, float32 (n_images, n_columns)."""
    from tac_pipeline.method.heads.cluster_head import load_heads, soft_assignment

    head = load_heads(inputs.path(cluster_heads, HEADS_NAME)).image_head
    return soft_assignment(head, seen_vectors(inputs, training_set))


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


def corrections_with(project: Project, actions: Sequence[Action]) -> Corrections:
    """The corrections file, and what a log of actions comes to on top; raises as require_corrections."""
    found = load_corrections(project.corrections_file)
    return with_actions(found, replay(actions).done) if actions else found


def require_corrections(project: Project) -> Corrections:
    """The corrections file, and what people did in the workbench on top, checked against every id ever given.

    Raises
    ------
    SettingsError
        The file cannot be read, or says what cannot be.
    InputError
        It names an id that no cluster ever had, or cannot go together with what people did.
    ArtifactDamaged
        The log of what people did.
    """
    found = corrections_with(project, ActionLog(open_store(project).ledger_folder).read())
    end = _end_of_ids(project, highest=max(found.ids)) if found.ids else None
    if end is not None:
        require_known(found, next_id=end, path=project.corrections_file)
    return found


def _end_of_ids(project: Project, *, highest: int) -> int | None:
    """Higher than every id that was given; before there are any, than those to come. None if that is not known."""
    from tac_pipeline.store.ledger import Ledger

    store, wanted = open_store(project), project.settings.clusters.count
    current = store.current(cluster_ids.name)
    end = 0 if current is None else int(current.artifact.facts.get("next_id", 0))
    if highest >= end:
        # People may have gone back to ids from before others were given.
        entries = Ledger(store.ledger_folder).entries()
        end = max([end, next_id_elsewhere(store), *(entry.next_id for entry in entries)])
    return end or (wanted if isinstance(wanted, int) else None)


def observed_corrections(project: Project) -> str:
    """A text that changes when the corrections file must be read again: a digest of its bytes."""
    path = project.corrections_file
    try:
        return "none" if path is None else file_sha256(path)
    except OSError:
        # The step says what is wrong with it.
        return "cannot be read"


def _resolve_corrections(inputs: Inputs, corrections: str | None) -> Values:
    from tac_pipeline.results.corrections.following import last_entries
    from tac_pipeline.store.keeping.check import ledger_gap
    from tac_pipeline.store.ledger import Ledger

    found = require_corrections(inputs.project)
    ids = inputs.table(cluster_ids, columns=["cluster_id"])["cluster_id"].to_list()
    require_two_clusters(ids, found.merged_into, path=inputs.project.corrections_file)
    gone, store = found.ids.difference(ids), open_store(inputs.project)
    gap = ledger_gap(store) if gone else None
    if gap is not None:
        # Taken for empty, it would say that the ids never had an image.
        raise ArtifactDamaged(f"{gap}. Restore it from a backup: `tac restore SOURCE`.")
    last = last_entries(Ledger(store.ledger_folder), gone)
    inputs.carry["corrections"] = found, last
    return {"corrections": found.digest, "ids that are gone": [list(pair) for pair in last.items()]}


@stored_asset(
    group="results",
    schema=CORRECTIONS,
    settings=["corrections"],
    deps=[cluster_ids, cluster_heads, training_set],
    deps_when={**WITH_KNOWN, "group_by": [criterion]},
    as_of=cluster_ids,
    resolve=_resolve_corrections,
    observes=CORRECTIONS_FILE,
    part="growth",
)
def corrections(inputs: Inputs, out: Output, corrections: str | None) -> None:
    """What people corrected, for the groups that there are now: ids and names by column, pins, and the ids' history.

    The file is read only here, once in a run; the results read this copy, so that no result mixes two readings.
    Corrections of an id that is gone follow its images.
    """
    from tac_pipeline.results.corrections.applied import apply_corrections
    from tac_pipeline.results.corrections.following import find_heirs
    from tac_pipeline.results.corrections.known import names_of_classes, with_examples
    from tac_pipeline.results.corrections.merging import groups_of, merge_lineage
    from tac_pipeline.store.ledger import Ledger

    written, last = inputs.carry["corrections"]
    entry, known = inputs.fact(cluster_ids, "entry"), inputs.table(cluster_ids).sort("column")
    ids = known["cluster_id"].to_list()
    heirs = find_heirs(Ledger(open_store(inputs.project).ledger_folder), entry, last)
    applied = apply_corrections(written, ids, heirs)
    require_two_clusters(ids, applied.merged_into, path=inputs.project.corrections_file)
    kept, groups = groups_of(ids, applied.merged_into)
    shown, names = [kept[group] for group in groups], _known_names(inputs)
    called = names_of_classes(names, ids, shown, applied.names)
    out.write(_corrected_ids(known, shown, applied, called))
    examples = inputs.table(known_labels) if names else None
    out.write_other(PINS, with_examples(applied.pins, examples, dict(zip(names, shown, strict=False))))
    centers = {"cluster_id": kept, "embedding": _centers(inputs, groups)}
    out.write_other(CLUSTER_CENTERS, centers, encoder=inputs.encoder(training_set))
    history = inputs.artifact(cluster_ids).frame(LINEAGE)
    out.write_other(LINEAGE, merge_lineage(history, entry=entry, merged_into=applied.merged_into))
    out.fact(
        entry=entry,
        assigned_key=_assigned_key(inputs.fact(cluster_ids, "key"), groups),
        n_clusters=len(kept),
        merged_by_hand=len(ids) - len(kept),
        names=len(applied.names),
        pins=len(applied.pins),
        followed=applied.followed,
        unused=applied.unused,
    )
    for sentence in (*applied.followed, *applied.unused):
        inputs.log(f"corrections, {sentence}")
    if applied.followed:
        told = pl.DataFrame({"what": applied.followed})
        out.markdown("corrections that follow their images", previews.table(told))


def _assigned_key(heads: str, groups: IntVector) -> str:
    """What earlier assignments by these heads are found by: merged columns are one, and centers decide similarity."""
    tags = cluster_ids.code_version
    # Before there was this step, that was all; what was assigned then is found again.
    if corrections.code_version != "1":
        tags += f" {corrections.code_version}"
    return digest([heads, groups.tolist(), tags])


def _corrected_ids(known: pl.DataFrame, shown: list[int], applied: "Applied", called: dict[int, str]) -> pl.DataFrame:
    """The table `corrections`: the id, the names and the marks of each column, after merges; `called` has the names."""
    earlier = dict(known.select("cluster_id", "kept_name").iter_rows())
    return pl.DataFrame(
        {
            "column": known["column"],
            "cluster_id": shown,
            "kept_name": [earlier.get(id_) for id_ in shown],
            "given_name": [called.get(id_) for id_ in shown],
            "curated": [id_ in applied.curated for id_ in shown],
        },
        schema_overrides={"cluster_id": pl.Int32, "kept_name": pl.String, "given_name": pl.String},
    )


def _centers(inputs: Inputs, groups: IntVector) -> FloatMatrix:
    """The centers of the groups of columns: those of the ledger's clusters, unless some are merged."""
    from tac_pipeline.method.clusters.cluster_matching import assignment_centers
    from tac_pipeline.results.corrections.merging import sum_groups

    if len(set(groups.tolist())) == len(groups):
        return vectors_of(inputs.artifact(cluster_ids).table(CLUSTER_CENTERS))
    return assignment_centers(seen_vectors(inputs, training_set), sum_groups(_soft(inputs), groups))
