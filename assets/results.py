"""Group results: the group of every image of the store, the groups' names, and their scores against labels."""

from collections.abc import Iterable, Sequence
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from assets.clustering import (
    HEADS_NAME,
    cluster_heads,
    cluster_ids,
)
from assets.engine.execute import open_store
from assets.engine.seen import CRITERION, load_view, seen_vectors
from assets.engine.step import Inputs, Output, Values, stored_asset
from assets.images import image_embeddings, image_manifest, open_project_source, training_set
from assets.nouns import WORDING_KEYS, candidate_nouns, kinds_of, noun_embeddings, prompt_nouns, wording_values
from assets.people.corrections import corrections, every_group, head_groups
from assets.text_space import criterion, load_candidates, noun_shortlist, noun_vocabulary
from assets.ui import previews
from tac_pipeline.arrays import FloatMatrix
from tac_pipeline.arrow import require_same_encoder
from tac_pipeline.digest import digest
from tac_pipeline.errors import ArtifactOutdated, TacError
from tac_pipeline.results.description import describe_clusters, lineage_in_words
from tac_pipeline.results.drift import unchanged
from tac_pipeline.settings.keys import Names
from tac_pipeline.store.artifacts import Artifact, Store
from tac_pipeline.store.parquet import vectors_of
from tac_pipeline.store.schemas import (
    ASSIGNMENTS,
    BARRED,
    CLUSTER_CENTERS,
    CLUSTERS,
    IMAGE_EMBEDDINGS,
    IMAGE_MANIFEST,
    LINEAGE,
    PINS,
    TRAINING_SET,
)
from tac_pipeline.store.segments.reading import Segment, rows_between, rows_with, segments
from tac_pipeline.store.segments.sums import group_sums

if TYPE_CHECKING:
    from tac_pipeline.method.heads.cluster_head import ClusterHead
    from tac_pipeline.method.words.names import ClusterName

MEDOIDS = 9
ALTERNATIVES = 4


def _drop_unused_assignments(store: Store) -> None:
    from tac_pipeline.results.assigning import drop_unused

    kept = {str(version.facts["key"]) for version in store.versions(assignments.name) if "key" in version.facts}
    drop_unused(store.assigned_folder, kept, store.shards_folder)
    store.derived.forget_unused()


@stored_asset(
    group="results",
    schema=ASSIGNMENTS,
    deps=[image_embeddings, cluster_heads, corrections],
    deps_when={"group_by": [criterion]},
    columns_from={
        "cluster_id": [(corrections, "cluster_id")],
        "runner_up": [(corrections, "cluster_id")],
    },
    as_of=cluster_ids,
    kinds=["parquet", "pytorch"],
    code_version="3",
    cleanup=_drop_unused_assignments,
    part="growth",
)
def assignments(inputs: Inputs, out: Output) -> None:
    """One row per image of the whole store: its group, the confidence, and the runner-up (paper step 10).

    Shards that the same heads and the same code assigned before are not read again. Pinned images are in the group
    that people chose.
    """
    from tac_pipeline.results.assigning import assign_shards
    from tac_pipeline.results.corrections.pinning import pin_images, put_elsewhere

    store = open_store(inputs.project)
    view = load_view(inputs)
    by = [] if view is None else [inputs.artifact(criterion).content]
    key = digest([inputs.fact(corrections, "assigned_key"), assignments.code_version, *by])
    encoder = inputs.fact(image_embeddings, "encoder")
    require_same_encoder(encoder, inputs.fact(cluster_heads, "encoder"))
    # Columns that people merged already have the same id.
    ids, groups = head_groups(inputs.artifact(corrections))
    pins = inputs.artifact(corrections).frame(PINS)
    barred = inputs.artifact(corrections).frame(BARRED) if inputs.artifact(corrections).facts.get("barred") else None
    head, centers = cache(partial(_image_head, inputs)), centers_of(inputs, ids)
    computed = 0

    def assign(part: Segment) -> pl.DataFrame:
        nonlocal computed
        found = assign_shards(
            part.frame(["image_id", "error", "shard", "row"]),
            store.shards_folder,
            encoder=encoder,
            head=head,
            centers=centers,
            kept=store.assigned_folder / key,
            groups=groups,
            seen_by=view,
            progress=inputs.progress("images"),
        )
        computed += found.computed
        table = pin_images(_by_lasting_ids(found.rows, ids), pins)
        return table if barred is None else put_elsewhere(table, barred, lambda images: among_others(images, barred))

    among_others = partial(_among_others, inputs)
    said = (pins,) if barred is None else (pins, barred)
    written = out.write_each(
        inputs.segments(image_embeddings),
        assign,
        key=lambda part: [key, ids, [rows_between(table.sort("image_id"), part).rows() for table in said]],
    )
    every = every_group(inputs.artifact(corrections))
    sums = group_sums(written, store.derived)
    placed = sums.drop_nulls("cluster_id")
    out.fact(
        mean_confidence=float(placed["confidence"].sum()) / int(placed["images"].sum()) if len(placed) else None,
        n_clusters=len(every),
        key=key,
        images_computed=computed,
        pinned=int(sums["curated"].sum()),
    )
    places = pl.DataFrame({"cluster_id": every}, schema={"cluster_id": pl.Int32})
    sizes = places.join(sums, on="cluster_id", how="left")["images"].fill_null(0)
    out.picture("cluster sizes", previews.sizes_picture(sizes.to_numpy()))


def _among_others(inputs: Inputs, images: pl.Series, barred: pl.DataFrame) -> pl.DataFrame:
    """Where images go that are not of their group: rows of the table assignments. Holds these images' vectors."""
    from tac_pipeline.results.assigning import assign_vectors
    from tac_pipeline.results.corrections.pinning import without_barred
    from tac_pipeline.store.shards import gather_vectors

    view = rows_with(inputs.segments(image_embeddings), images)
    shards, encoder = open_store(inputs.project).shards_folder, inputs.fact(image_embeddings, "encoder")
    ids, groups = head_groups(inputs.artifact(corrections))
    rows = assign_vectors(
        gather_vectors(view, shards, encoder=encoder),
        _image_head(inputs),
        centers_of(inputs, ids),
        groups,
        seen_by=load_view(inputs),
        among=lambda soft: without_barred(soft, view["image_id"], barred, ids),
    )
    return _by_lasting_ids(rows.with_columns(view["image_id"]), ids)


def _image_head(inputs: Inputs) -> "ClusterHead":
    from tac_pipeline.method.heads.cluster_head import load_heads

    return load_heads(inputs.path(cluster_heads, HEADS_NAME)).image_head


def _by_lasting_ids(rows: pl.DataFrame, ids: Sequence[int]) -> pl.DataFrame:
    """Assignments by cluster id instead of by column of the head; `ids` has the id of each column. By image_id."""
    lasting = pl.DataFrame(
        {"column": range(len(ids)), "cluster_id": ids}, schema={"column": pl.Int32, "cluster_id": pl.Int32}
    )
    runners_up = lasting.rename({"column": "runner_up", "cluster_id": "runner_up_id"})
    return (
        rows.join(lasting, on="column", how="left")
        .join(runners_up, on="runner_up", how="left")
        .select(
            "image_id", "cluster_id", "confidence", pl.col("runner_up_id").alias("runner_up"), "similarity", "margin"
        )
        .sort("image_id")
    )


def still_there(images: pl.DataFrame, artifact: Artifact, store: Store, *, named: str) -> pl.DataFrame:
    """Those of some images that were in the store, with these bytes, when assignments were made; in their order.

    The view of the images is not an input of the readers of this: it would have to be the view that was learned from.

    Parameters
    ----------
    images : DataFrame with image_id, content_hash
    artifact : Artifact
        Of the assignments.
    named : str
        A digest of the images.

    Raises
    ------
    ArtifactOutdated
        The version of image_embeddings that it was made from is no longer kept.
    """
    name, wanted = image_embeddings.name, artifact.record["inputs"][image_embeddings.name]
    version = next((version for version in store.versions(name) if version.content == wanted), None)
    if version is None:
        raise ArtifactOutdated(
            f"{artifact.asset} was made from a version of {name} that is not kept any more. Build {artifact.asset} "
            "first: `tac run`."
        )
    view = store.derived.rows_of_few(
        segments(version, IMAGE_EMBEDDINGS), images["image_id"], ["image_id", "content_hash"], named=named
    )
    return unchanged(images, view)


def learned_members(inputs: Inputs, ids: pl.Series) -> pl.DataFrame:
    """Columns row, image_id, position: the training images that are still in the store, and their position in ids.

    Images that are gone, or have other bytes under the same name, are left out. Sorted by row, the training set's row.
    """
    position = pl.DataFrame({"cluster_id": ids}).with_row_index("position")
    learned = inputs.table(training_set, columns=["image_id", "content_hash"]).with_row_index("row")
    known = assigned_learned(inputs.artifact(assignments), inputs.artifact(training_set), open_store(inputs.project))
    return (
        learned.join(known, on="image_id")
        .join(position, on="cluster_id")
        .sort("row")
        .select("row", "image_id", "position")
    )


def assigned_learned(assigned: Artifact, learned: Artifact, store: Store) -> pl.DataFrame:
    """The assignments of the training images that are still in the store with these bytes.

    Returns
    -------
    DataFrame with image_id, cluster_id, confidence, similarity

    Raises
    ------
    ArtifactOutdated
        See still_there.
    """
    images = learned.frame(TRAINING_SET, columns=["image_id", "content_hash"])
    there = still_there(images, assigned, store, named=learned.content)
    columns = ["image_id", "cluster_id", "confidence", "similarity"]
    parts = segments(assigned, ASSIGNMENTS)
    found = store.derived.rows_of_few(parts, images["image_id"], columns, named=learned.content)
    return there.select("image_id").join(found, on="image_id")


def vocabulary_profiles(inputs: Inputs, ids: pl.Series, *, tau: float) -> FloatMatrix:
    """The weight of each noun of the vocabulary in each group's training images, float32 (len(ids), n_nouns)."""
    from tac_pipeline.method.words.noun_profiles import noun_profiles

    known = learned_members(inputs, ids)
    vectors = seen_vectors(inputs, training_set)[known["row"].to_numpy()]
    members = known["position"].to_numpy().astype(np.int64)
    nouns = inputs.vectors(noun_vocabulary)
    return noun_profiles(vectors, nouns, members, n_clusters=len(ids), tau=tau).clusters


def centers_of(inputs: Inputs, ids: Iterable[int]) -> FloatMatrix:
    """The centers of the clusters in the order of ids."""
    table = inputs.artifact(corrections).table(CLUSTER_CENTERS)
    position = {id_: row for row, id_ in enumerate(table.column("cluster_id").to_pylist())}
    return vectors_of(table)[[position[id_] for id_ in ids]]


def _resolve_clusters(inputs: Inputs, names: Names, **_: Any) -> Values:
    from tac_pipeline.method.words.names import TEMPERATURE

    return {"temperature": TEMPERATURE if names.tau is None else names.tau, **wording_values(inputs)}


@stored_asset(
    group="results",
    schema=CLUSTERS,
    settings=["names", *WORDING_KEYS],
    deps=[assignments, corrections, training_set, noun_embeddings, noun_shortlist],
    deps_when={"group_by": [criterion]},
    value_deps=[candidate_nouns],
    columns_from={
        "cluster_id": [(corrections, "cluster_id")],
        "name": [(noun_shortlist, "noun"), (corrections, "kept_name"), (corrections, "given_name")],
        "alternatives": [(noun_shortlist, "noun")],
        "size": [(assignments, "cluster_id")],
        "share": [(assignments, "cluster_id")],
        "confidence": [(assignments, "confidence")],
        "medoids": [(training_set, "image_id"), (training_set, "embedding")],
    },
    as_of=cluster_ids,
    resolve=_resolve_clusters,
    code_version="5",
    part="growth",
)
def clusters(inputs: Inputs, out: Output, names: Names, **_: Any) -> None:
    """Every group: its name and alternatives, its size, its most typical images, and the history of its id.

    A group that continues keeps its name unless the name is clearly wrong. Corrected groups are marked as curated.
    """
    known_ids = inputs.table(corrections).sort("cluster_id", "column").unique("cluster_id", maintain_order=True)
    ids = known_ids["cluster_id"]
    sums = group_sums(inputs.segments(assignments), open_store(inputs.project).derived)
    known = learned_members(inputs, ids)
    rows, members = known["row"].to_numpy(), known["position"].to_numpy().astype(np.int64)
    vectors = seen_vectors(inputs, training_set)[rows]
    named = _names(inputs, known_ids, vectors, members, temperature=inputs.values["temperature"])
    by_hand = {*known_ids.filter("curated")["cluster_id"], *sums.filter(pl.col("curated") > 0)["cluster_id"]}
    history = inputs.artifact(corrections).frame(LINEAGE)
    lineage = lineage_in_words(history, entry=inputs.fact(corrections, "entry"))
    table = (
        describe_clusters(
            ids, sums, image_ids=known["image_id"].to_list(), vectors=vectors, members=members, n_medoids=MEDOIDS
        )
        .with_columns(*_name_columns(named, ids), ids.is_in(list(by_hand)).alias("curated"))
        .join(lineage, on="cluster_id", how="left", maintain_order="left")
    )
    out.write(table.select(column.name for column in CLUSTERS.columns))
    twins = _twins(named, ids.to_list())
    _tell_unused(inputs, out)
    out.fact(
        n_clusters=len(ids),
        empty=int((table["size"] == 0).sum()),
        largest_share=float(table.select(pl.max("share")).item()),
        curated=int(table["curated"].sum()),
        unnamed=sum(name.name is None for name in named),
        twins=twins,
    )
    if twins:
        out.markdown("groups that were to have the same name", previews.table(_twin_table(twins, table)))
    shown = table.sort("size", descending=True).select(
        "cluster_id", "name", "name_confidence", "size", "share", "alternatives"
    )
    out.markdown("clusters", previews.table(shown.head(100)))
    _draw_sheet(inputs, out, table.sort("size", descending=True))


def _name_columns(names: "Sequence[ClusterName]", ids: pl.Series) -> tuple[pl.Series, ...]:
    """What the table `clusters` holds of the names, in the order of ids."""
    from tac_pipeline.method.words.names import label

    return (
        pl.Series("name", [label(name, id_) for name, id_ in zip(names, ids, strict=True)], pl.String),
        pl.Series("alternatives", [list(name.alternatives) for name in names], pl.List(pl.String)),
        pl.Series("alternative_weights", [list(name.weights[1:]) for name in names], pl.List(pl.Float32)),
        pl.Series("name_confidence", [name.confidence for name in names], pl.Float32),
    )


def _twins(names: "Sequence[ClusterName]", ids: Sequence[int]) -> list[list[int]]:
    """The groups of ids that were to have the same name, each once."""
    sets = {tuple(sorted((id_, *(ids[row] for row in name.twins)))) for name, id_ in zip(names, ids, strict=True)}
    return sorted(list(found) for found in sets if len(found) > 1)


def _twin_table(twins: Sequence[Sequence[int]], found: pl.DataFrame) -> pl.DataFrame:
    names = dict(found.select("cluster_id", "name").iter_rows())
    return pl.DataFrame(
        {
            "names": [", ".join(str(names[id_]) for id_ in ids) for ids in twins],
            "to make them one (corrections)": [f"merge: [[{', '.join(map(str, ids))}]]" for ids in twins],
        }
    )


def _draw_sheet(inputs: Inputs, out: Output, found: pl.DataFrame) -> None:
    """The contact sheet. It never makes anything stale: the images' places and the limits are not inputs here."""
    from tac_pipeline.report.contact_sheet import draw_strips

    manifest = open_store(inputs.project).whole_current(image_manifest.name)
    if manifest is None:
        return
    try:
        reader = open_project_source(inputs.project).reader
    except TacError as error:
        inputs.log(f"no contact sheet: {error}")
        return
    if reader is None:
        return
    wanted = found["medoids"].explode().drop_nulls()
    # Typical images are training images: their places are kept for each segment until others are learned from.
    learned = inputs.table(training_set, columns=["image_id"])["image_id"]
    places = open_store(inputs.project).derived.rows_of_few(
        segments(manifest.artifact, IMAGE_MANIFEST),
        learned,
        ["image_id", "uri"],
        named=inputs.artifact(training_set).content,
    )
    uris = dict(places.filter(pl.col("image_id").is_in(wanted.implode())).iter_rows())
    limits = inputs.project.settings.images
    strips = draw_strips(
        found["medoids"].to_list(), uris, reader, max_pixels=limits.max_pixels, max_bytes=limits.max_bytes
    )
    out.page("contact sheet", previews.contact_sheet(found, strips))


def _names(
    inputs: Inputs, known_ids: pl.DataFrame, vectors: np.ndarray, members: np.ndarray, *, temperature: float
) -> "list[ClusterName]":
    """The names, from all nouns near the groups and the earlier names of the ids; people's names come before both."""
    from tac_pipeline.method.words.noun_shortlist import CandidateVectors
    from tac_pipeline.results.naming import name_groups

    earlier = known_ids["kept_name"].to_list()
    near = load_candidates(inputs, noun_shortlist)
    nouns = inputs.table(noun_shortlist, columns=["noun"])["noun"].to_list()
    more, more_vectors = _nouns_of_names(inputs, {name for name in earlier if name is not None}, nouns)
    return name_groups(
        vectors,
        CandidateVectors(np.concatenate([near.vectors, more_vectors]), near.mean),
        [*nouns, *more],
        members,
        n_groups=len(known_ids),
        temperature=temperature,
        before=earlier,
        given={row: name for row, name in enumerate(known_ids["given_name"]) if name is not None},
        alternatives=ALTERNATIVES,
        kinds_of=lambda words: kinds_of(inputs, words),
    )


def _nouns_of_names(inputs: Inputs, names: set[str], shortlist: list[str]) -> tuple[list[str], FloatMatrix]:
    """The candidate nouns of earlier names that are not on the shortlist now, with their vectors.

    They are needed to compare old names with new ones, because each learning makes a new shortlist.
    """
    from tac_pipeline.method.words.names import without_brackets

    spelled = pl.col("noun").str.replace(r" \([^()]*\)$", "").str.to_lowercase()
    wanted = [text.lower() for name in names for text in (name, without_brackets(name))]
    source = criterion if CRITERION in inputs.artifacts else noun_embeddings
    nouns = inputs.table(source, columns=["noun"]).with_row_index("row")
    found = nouns.filter(spelled.is_in(wanted) & ~pl.col("noun").is_in(shortlist))
    words = found["noun"].to_list()
    templates = inputs.artifact(noun_shortlist).record["values"].get("templates")
    if templates is None:
        return words, inputs.vectors_at(source, found["row"].to_numpy())
    # Only the shortlisted nouns are there in all templates; earlier names mostly wait in the shared table.
    return words, prompt_nouns(inputs, words, templates=templates) if words else inputs.vectors(noun_shortlist)[:0]


def _tell_unused(inputs: Inputs, out: Output) -> None:
    """Report corrections of clusters and images that are not there now."""
    from tac_pipeline.results.corrections.applied import tell_absent

    pins = inputs.artifact(corrections).frame(PINS)
    pinned = rows_with(inputs.segments(assignments), pins["image_id"], ["image_id", "cluster_id"])
    absent = tell_absent(pins, pinned.drop_nulls("cluster_id")["image_id"])
    found = [*inputs.fact(corrections, "unused"), *absent]
    out.fact(unused_corrections=found)
    for sentence in absent:
        inputs.log(f"corrections, {sentence}")
    if found:
        out.markdown("corrections that do nothing now", previews.table(pl.DataFrame({"what": found})))
