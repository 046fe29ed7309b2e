"""Group clustering: what people's corrections say to the next learning."""

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from assets.engine.seen import seen_vectors
from assets.engine.step import Inputs, Output, Step, Values, stored_asset
from assets.images import training_set
from assets.people.written import require_corrections
from tac_pipeline.digest import digest
from tac_pipeline.errors import TacError
from tac_pipeline.method import load_method
from tac_pipeline.results.corrections.written import Corrections
from tac_pipeline.results.in_force import entry_in_force
from tac_pipeline.settings.keys import result_slice
from tac_pipeline.settings.project import Project
from tac_pipeline.store.artifacts import Artifact, Current, Store, open_store
from tac_pipeline.store.ledger import Entry, Ledger, known_images, short_digests
from tac_pipeline.store.parquet import vectors_of
from tac_pipeline.store.schemas import (
    ASSIGNMENTS,
    BARRED,
    CLUSTER_CENTERS,
    LEDGER_IMAGES,
    LESSON_GROUPS,
    LESSONS,
    LOCKED,
)

if TYPE_CHECKING:
    from tac_pipeline.method.clusters.teaching import Lessons
    from tac_pipeline.results.corrections.lessons import LessonTables

# The asset whose inputs say whether the groups in force were learned from lessons.
TAUGHT = "training_free_clusters"
# What other groups are asked for with: then the groups before are no start.
ASKED = ("clusters", "group_by", "known", "method")


def load_lessons(inputs: Inputs, asset: Step) -> "Lessons | None":
    """How the method reads lessons; None where people said nothing that it could learn from."""
    from tac_pipeline.results.corrections.lessons import lessons_of

    artifact = inputs.artifacts.get(asset.name)
    if artifact is None or not artifact.rows:
        return None
    return lessons_of(artifact.frame(LESSONS), artifact.frame(LESSON_GROUPS), artifact.frame(BARRED))


def taught_ids(inputs: Inputs) -> dict[int, int]:
    """The cluster id of each column that was learned from lessons; empty where there are none."""
    from tac_pipeline.results.corrections.lessons import kept_ids

    found = load_lessons(inputs, lessons)
    return {} if found is None else kept_ids(found, inputs.artifact(lessons).frame(LESSON_GROUPS))


def _lag(inputs: Inputs, artifact: Artifact) -> str:
    """Whether people have corrected something since the groups were learned."""
    try:
        now = require_corrections(inputs.project).digest
    except TacError:
        # The step that reads them says what is wrong.
        return ""
    same = artifact.record["values"]["corrections"] == now
    return "" if same else "people have corrected groups since; `tac run --recluster` learns from it"


def _resolve_lessons(inputs: Inputs, **_: Any) -> Values:
    earlier = open_store(inputs.project).whole_current(lessons.name)
    if earlier is not None and not inputs.anew and _still_holds(inputs, earlier):
        values: Values = earlier.artifact.record["values"]
        return values
    written = require_corrections(inputs.project)
    found, why = _find(inputs, written)
    inputs.carry["lessons"] = found, why
    tables = () if found is None else (found.rows, found.groups, found.barred, found.locked)
    return {
        "lessons": digest([[list(row) for row in table.iter_rows()] for table in tables]) if tables else None,
        "asked": result_slice(inputs.project.settings, ASKED),
        "corrections": written.digest,
    }


def _still_holds(inputs: Inputs, earlier: Current) -> bool:
    """Whether nobody has asked for something else: only those who learn again are taught by newer corrections."""
    same = earlier.artifact.record["inputs"] == inputs.contents(lessons)
    return same and earlier.version == lessons.version(inputs.project.settings)


def _find(inputs: Inputs, written: Corrections) -> "tuple[LessonTables | None, str]":
    """The lessons, or why there are none, in words."""
    project, store = inputs.project, open_store(inputs.project)
    settings = project.settings
    entry = _entry_in_force(store)
    if not settings.learn_from_corrections:
        return None, "learn_from_corrections is off"
    if entry is None:
        return None, "nothing was learned before"
    if not load_method(settings.method).takes_lessons or settings.known.asked:
        return None, "this method, or learning with known classes, does not learn from corrections"
    earlier = store.current(lessons.name)
    if not inputs.anew and earlier is None and not _was_taught(store, None):
        return None, "nobody has asked to learn again since corrections teach"
    if _asks_otherwise(project, store):
        return None, "other groups are asked for than those that were corrected"
    return _from_corrections(inputs, written, entry, None if earlier is None else earlier.artifact)


def _entry_in_force(store: Store) -> Entry | None:
    number = entry_in_force(store)
    return next((one for one in Ledger(store.ledger_folder).entries() if one.number == number), None)


def _was_taught(store: Store, content: str | None) -> bool:
    """Whether the groups there are were learned from lessons, or from these."""
    current = store.current(TAUGHT)
    taught_by = None if current is None else current.artifact.record["inputs"].get(lessons.name)
    return taught_by is not None and content in (None, taught_by)


def _asks_otherwise(project: Project, store: Store) -> bool:
    """Whether the settings ask for other groups than when somebody last asked to learn."""
    asked = result_slice(project.settings, ASKED)
    earlier, count = store.current(lessons.name), store.current("cluster_count")
    if earlier is not None:
        return bool(earlier.artifact.record["values"]["asked"] != asked)
    written = {} if count is None else count.written
    return any(written[key] != value for key, value in asked.items() if key in written)


def _from_corrections(
    inputs: Inputs, written: Corrections, entry: Entry, earlier: Artifact | None
) -> "tuple[LessonTables | None, str]":
    from tac_pipeline.results.corrections.applied import apply_corrections
    from tac_pipeline.results.corrections.following import find_heirs, last_entries
    from tac_pipeline.results.corrections.lessons import KNOWN_SHARE, find_lessons
    from tac_pipeline.results.corrections.merging import require_two_clusters

    store = open_store(inputs.project)
    ledger, carried = Ledger(store.ledger_folder), None
    if earlier is not None and earlier.rows and _was_taught(store, earlier.content):
        carried = earlier.frame(LESSONS)
        entry = next(one for one in ledger.entries() if one.number == earlier.facts["entry"])
    inputs.carry["entry"] = entry.number
    ids = entry.ids["cluster_id"].to_list()
    last = last_entries(ledger, written.ids.difference(ids, written.made))
    applied = apply_corrections(written, ids, find_heirs(ledger, entry.number, last))
    require_two_clusters(ids, applied.merged_into, path=inputs.project.corrections_file)
    before, share = _groups_before(inputs, store, entry, carried)
    if share < KNOWN_SHARE:
        return None, f"{share:.0%} of the images are known from when the groups were corrected; they are found anew"
    found = find_lessons(before, ids, applied, _locked(store, applied.locked))
    return found, "people have corrected nothing that could be learned from" if found is None else ""


def _groups_before(
    inputs: Inputs, store: Store, entry: Entry, carried: pl.DataFrame | None
) -> tuple[pl.DataFrame, float]:
    """The training images with the group that each was in when it was corrected; and how many are known from then.

    Those that are newer are where they were put since, or at the nearest center.
    """
    from tac_pipeline.results.corrections.lessons import groups_before_pins

    images = inputs.table(training_set, columns=["image_id", "content_hash"])
    if carried is None:
        known = images.with_columns(cluster_id=_of_the_entry(entry, images))
    else:
        own = carried.select("image_id", "content_hash", "cluster_id")
        known = images.join(own, on=["image_id", "content_hash"], how="left", maintain_order="left")
    share = 1 - known["cluster_id"].null_count() / max(len(known), 1)
    assigned, ids = store.whole_current("assignments"), entry.ids["cluster_id"]
    if assigned is not None:
        now = groups_before_pins(assigned.artifact.frame(ASSIGNMENTS)).filter(pl.col("cluster_id").is_in(ids.implode()))
        known = known.join(now.rename({"cluster_id": "now"}), on="image_id", how="left", maintain_order="left")
        known = known.with_columns(cluster_id=pl.coalesce("cluster_id", "now")).drop("now")
    left = np.flatnonzero(known["cluster_id"].is_null())
    if len(left):
        table = entry.table("centers", CLUSTER_CENTERS)
        nearest = (seen_vectors(inputs, training_set)[left] @ vectors_of(table).T).argmax(axis=1)
        ids = table.column("cluster_id").to_numpy()[nearest]
        known = known.with_columns(known["cluster_id"].scatter(left.tolist(), pl.Series(ids, dtype=pl.Int32)))
    return known.select("image_id", "content_hash", pl.col("cluster_id").cast(pl.Int32)), share


def _of_the_entry(entry: Entry, images: pl.DataFrame) -> pl.Series:
    """The ids that the ledger has of training images; null for others."""
    after = short_digests(images["image_id"], images["content_hash"]).with_columns(column=pl.int_range(len(images)))
    found = known_images(pl.DataFrame(entry.table("images", LEDGER_IMAGES)), after)
    rows = pl.DataFrame({"column": pl.int_range(len(images), eager=True)})
    return rows.join(found, on="column", how="left", maintain_order="left")["cluster_id"]


def _locked(store: Store, ids: set[int]) -> pl.DataFrame:
    """The images that are in locked groups now."""
    assigned = store.whole_current("assignments") if ids else None
    if assigned is None:
        return pl.DataFrame(schema={"image_id": pl.String, "cluster_id": pl.Int32})
    table = assigned.artifact.frame(ASSIGNMENTS, columns=["image_id", "cluster_id"])
    return table.filter(pl.col("cluster_id").is_in(list(ids)))


@stored_asset(
    group="clustering",
    schema=LESSONS,
    settings=["learn_from_corrections", *ASKED],
    deps=[training_set],
    resolve=_resolve_lessons,
    load=load_lessons,
    ignores_growth=True,
    lag=_lag,
)
def lessons(inputs: Inputs, out: Output, **_: Any) -> None:
    """What people's corrections say to learning: the groups before, and where they put which of the training images.

    Empty where nobody corrected anything; learning is then as it would be without this step. A correction never
    starts a learning.
    """
    found, why = inputs.carry["lessons"]
    out.fact(entry=inputs.carry.get("entry"))
    if found is None:
        out.write({"image_id": [], "content_hash": [], "cluster_id": [], "fixed": []})
        out.markdown("what is learned from", f"Nothing: {why}.")
        return
    out.write(found.rows)
    out.write_other(LESSON_GROUPS, found.groups)
    out.write_other(BARRED, found.barred)
    out.write_other(LOCKED, found.locked)
    fixed = found.rows.drop_nulls("fixed")
    moved = fixed.filter(pl.col("fixed") != pl.col("cluster_id"))
    facts = {
        "fixed": len(fixed),
        "moved": len(moved),
        "barred": len(found.barred),
        "merged": found.groups["merged_into"].count(),
        "locked_images": len(found.locked),
    }
    out.fact(**facts)
    told = ", ".join(f"{name.replace('_', ' ')} {count:,}" for name, count in facts.items())
    out.markdown("what is learned from", f"Training images, and groups: {told}.")
