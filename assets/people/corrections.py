"""Group results: what people corrected, for the groups that there are now."""

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from assets.clustering import cluster_heads, cluster_ids, known_names, soft_columns
from assets.engine.seen import seen_vectors
from assets.engine.step import Inputs, Output, Values, stored_asset
from assets.images import WITH_KNOWN, known_labels, training_set
from assets.people.lessons import lessons
from assets.people.written import CORRECTIONS_FILE, require_corrections
from assets.text_space import criterion
from assets.ui import previews
from tac_pipeline.arrays import FloatMatrix, IntVector, unit_rows
from tac_pipeline.digest import digest
from tac_pipeline.errors import ArtifactDamaged
from tac_pipeline.results.corrections.merging import groups_of, require_two_clusters
from tac_pipeline.results.corrections.merging import head_groups as head_groups
from tac_pipeline.store.artifacts import Artifact, open_store
from tac_pipeline.store.parquet import vectors_of
from tac_pipeline.store.schemas import BARRED, CLUSTER_CENTERS, CORRECTIONS, LINEAGE, LOCKED, PINS

if TYPE_CHECKING:
    from tac_pipeline.results.corrections.applied import Applied


def _resolve_corrections(inputs: Inputs, corrections: str | None) -> Values:
    from tac_pipeline.results.corrections.following import last_entries
    from tac_pipeline.store.keeping.check import ledger_gap
    from tac_pipeline.store.ledger import Ledger

    found = require_corrections(inputs.project)
    ids = inputs.table(cluster_ids, columns=["cluster_id"])["cluster_id"].to_list()
    require_two_clusters(ids, found.merged_into, path=inputs.project.corrections_file)
    gone, store = found.ids.difference(ids, found.made), open_store(inputs.project)
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
    deps_if_any=[lessons],
    columns_from={
        "cluster_id": [(cluster_ids, "cluster_id")],
    },
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
    from tac_pipeline.results.corrections.merging import lineage_by_hand
    from tac_pipeline.store.ledger import Ledger

    written, last = inputs.carry["corrections"]
    entry, known = inputs.fact(cluster_ids, "entry"), inputs.table(cluster_ids).sort("column")
    ids = known["cluster_id"].to_list()
    heirs = find_heirs(Ledger(open_store(inputs.project).ledger_folder), entry, last)
    applied = apply_corrections(written, ids, heirs)
    require_two_clusters(ids, applied.merged_into, path=inputs.project.corrections_file)
    kept, groups = groups_of(ids, applied.merged_into)
    shown, names = [kept[group] for group in groups], known_names(inputs)
    called = names_of_classes(names, ids, shown, applied.names)
    out.write(_corrected_ids(known, shown, applied, called))
    examples = inputs.table(known_labels) if names else None
    pins = with_examples(applied.pins, examples, dict(zip(names, shown, strict=False)))
    pins = _with_locked(inputs, pins, applied)
    out.write_other(PINS, pins)
    if len(applied.barred):
        out.write_other(BARRED, applied.barred)
    centers = _centers(inputs, groups)
    if applied.made:
        # Only then: it reads the vectors of the training set, and most corrections need none.
        centers = np.concatenate([centers, _centers_by_hand(inputs, applied)])
    out.write_other(
        CLUSTER_CENTERS,
        {"cluster_id": [*kept, *applied.made], "embedding": centers},
        encoder=inputs.encoder(training_set),
    )
    history = inputs.artifact(cluster_ids).frame(LINEAGE)
    sizes = {id_: int((applied.pins["cluster_id"] == id_).sum()) for id_ in applied.made}
    out.write_other(LINEAGE, lineage_by_hand(history, entry=entry, merged_into=applied.merged_into, made=sizes))
    out.fact(
        entry=entry,
        columns=len(known),
        barred=len(applied.barred),
        assigned_key=_assigned_key(inputs.fact(cluster_ids, "key"), groups),
        n_clusters=len(kept) + len(applied.made),
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
    # Behind the columns of the head.
    by_hand = range(len(known), len(known) + len(applied.made))
    shown = [*shown, *applied.made]
    return pl.DataFrame(
        {
            "column": [*known["column"], *by_hand],
            "cluster_id": shown,
            "kept_name": [earlier.get(id_) for id_ in shown],
            "given_name": [called.get(id_) for id_ in shown],
            "curated": [id_ in applied.curated or id_ in applied.made for id_ in shown],
        },
        schema_overrides={"column": pl.Int32, "cluster_id": pl.Int32, "kept_name": pl.String, "given_name": pl.String},
    )


def _centers(inputs: Inputs, groups: IntVector) -> FloatMatrix:
    """The centers of the groups of columns: those of the ledger's clusters, unless some are merged."""
    from tac_pipeline.method.clusters.cluster_matching import assignment_centers, likeliest
    from tac_pipeline.results.corrections.merging import sum_groups

    if len(set(groups.tolist())) == len(groups):
        return vectors_of(inputs.artifact(cluster_ids).table(CLUSTER_CENTERS))
    merged = likeliest(sum_groups(soft, groups) for soft in soft_columns(inputs))
    return assignment_centers(seen_vectors(inputs, training_set), merged)


def _centers_by_hand(inputs: Inputs, applied: "Applied") -> FloatMatrix:
    """The centers of groups made by hand: the unit mean of their training images, or of all if they have none."""
    ids = inputs.table(training_set, columns=["image_id"]).with_row_index("row")
    vectors = seen_vectors(inputs, training_set)
    found = np.empty((len(applied.made), vectors.shape[1]), dtype=np.float32)
    for place, id_ in enumerate(applied.made):
        rows = ids.join(applied.pins.filter(pl.col("cluster_id") == id_), on="image_id", how="semi")["row"].to_numpy()
        found[place] = vectors[rows].mean(axis=0) if len(rows) else vectors.mean(axis=0)
    return unit_rows(found)


def _with_locked(inputs: Inputs, pins: pl.DataFrame, applied: "Applied") -> pl.DataFrame:
    """Pins, and the images that groups had when they were locked and other groups were learned."""
    artifact = inputs.artifacts.get(lessons.name)
    if artifact is None or not artifact.rows or not applied.locked:
        return pins
    held = artifact.frame(LOCKED).filter(pl.col("cluster_id").is_in(list(applied.locked)))
    more = held.join(pins, on="image_id", how="anti").join(applied.barred, on=["image_id", "cluster_id"], how="anti")
    return pl.concat([pins, more.select(pins.columns)]).sort("image_id")


def every_group(artifact: Artifact) -> list[int]:
    """The ids of all groups: those of columns in their order, then those made by hand."""
    return list(dict.fromkeys(artifact.frame(CORRECTIONS).sort("column")["cluster_id"]))
