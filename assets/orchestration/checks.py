"""Asset checks: results that are worth a look. What must stay out: what must hold (validated before it is current)."""

from collections.abc import Callable
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Any

import polars as pl

from assets.clustering import cluster_heads, cluster_ids
from assets.engine.execute import open_store
from assets.engine.step import Step
from assets.images import image_embeddings, training_set
from assets.results import assigned_learned, assignments, clusters
from assets.text_space import noun_vocabulary
from tac_pipeline.results.drift import OUTLIER_QUANTILE, measure_drift
from tac_pipeline.settings.project import Project
from tac_pipeline.store.artifacts import Artifact, Store
from tac_pipeline.store.publication import Publication
from tac_pipeline.store.schemas import ASSIGNMENTS, CLUSTERS, LOSS_HISTORY, TRAINING_WEIGHTS

if TYPE_CHECKING:
    import dagster as dg

UNREADABLE_SHARE = 0.01
# More than this means that a network is down, not that some files are bad.
BLOCKING_UNREADABLE_SHARE = 0.2
# With nearly all images in one cluster the result is not a clustering.
COLLAPSED_SHARE = 0.9
# A cluster this many times its even share has probably swallowed others.
GIANT_FACTOR = 5.0
CENTERS_WITHOUT_NOUN_SHARE = 0.5
# The largest share of the loss's whole fall that may come in the last tenth of the epochs.
UNFINISHED_FALL = 0.05
MIN_NEW = 30
DRIFTED_OUTLIER_SHARE = 0.1
DRIFTED_CONFIDENCE = 0.1


@dataclass(frozen=True)
class Finding:
    """The outcome of a check: whether it passed, a sentence, the numbers behind it, and whether to publish."""

    passed: bool
    sentence: str
    numbers: dict[str, Any]
    # Readers should not get this result: it is not published automatically.
    blocks: bool = False


Look = Callable[[Artifact, Store], Finding]


def unreadable_images(artifact: Artifact, _: Store) -> Finding:
    """Check that few images are unreadable."""
    unreadable, readable = artifact.facts["unreadable"], artifact.facts["readable"]
    share = unreadable / max(unreadable + readable, 1)
    sentence = f"{unreadable:,} of {unreadable + readable:,} images cannot be read ({share:.2%})."
    if share > UNREADABLE_SHARE:
        sentence += " The column `error` of image_embeddings says why."
    numbers = {"unreadable": unreadable, "share": share}
    return Finding(share <= UNREADABLE_SHARE, sentence, numbers, blocks=share > BLOCKING_UNREADABLE_SHARE)


def cluster_sizes(artifact: Artifact, _: Store) -> Finding:
    """Check that no cluster is empty and none is too large."""
    table = artifact.frame(CLUSTERS)
    bound = min(GIANT_FACTOR / max(len(table), 1), 0.9)
    empty, giants = table.filter(pl.col("size") == 0), table.filter(pl.col("share") > bound)
    parts = []
    if len(empty):
        parts.append(f"{len(empty)} of {len(table)} clusters are empty: clusters.count may be too large.")
    if len(giants):
        named = ", ".join(
            f"{row['cluster_id']} ({row['name'] or 'unnamed'}, {row['share']:.0%})" for row in giants.to_dicts()[:5]
        )
        parts.append(f"Clusters far above their even share: {named}.")
    sentence = " ".join(parts) or f"All {len(table)} clusters have images, none is a giant."
    collapsed = len(table) > 2 and float(table.select(pl.max("share")).item() or 0) > COLLAPSED_SHARE
    return Finding(not parts, sentence, {"empty": len(empty), "giants": len(giants)}, blocks=collapsed)


def centers_without_noun(artifact: Artifact, _: Store) -> Finding:
    """Check that most semantic centers own a noun."""
    bare, total = artifact.facts["centers_without_noun"], artifact.facts["n_centers"]
    share = bare / max(total, 1)
    sentence = f"{bare} of {total} semantic centers own no noun ({share:.0%})."
    if share > CENTERS_WITHOUT_NOUN_SHARE:
        sentence += " The nouns do not cover these images well: the text may hurt; compare image_kmeans in evaluation."
    return Finding(share <= CENTERS_WITHOUT_NOUN_SHARE, sentence, {"without_noun": bare, "share": share})


def heads_converged(artifact: Artifact, _: Store) -> Finding:
    """Check that the loss had stopped falling when training ended."""
    totals: list[float] = artifact.frame(LOSS_HISTORY)["total"].cast(pl.Float64).to_list()
    if not totals:
        return Finding(True, "Nothing was trained: the heads are the centers of the groups.", {})
    if len(totals) < 2:
        return Finding(False, "One epoch cannot show whether the loss falls: raise heads.epochs.", {})
    tail = max(len(totals) // 10, 1)
    fall = totals[0] - fmean(totals[-tail:])
    last = fmean(totals[-2 * tail : -tail]) - fmean(totals[-tail:]) if len(totals) >= 2 * tail else fall
    share = last / fall if fall > 0 else float("inf")
    if fall <= 0:
        sentence = f"The loss did not fall in {len(totals)} epochs: lower heads.learning_rate."
    elif share > UNFINISHED_FALL:
        sentence = f"The last tenth of {len(totals)} epochs still brought {share:.0%} of the fall: raise heads.epochs."
    else:
        sentence = f"The loss stopped falling: the last tenth of {len(totals)} epochs brought {share:.1%} of the fall."
    numbers = {"fall": fall, "last_tenth": last}
    return Finding(fall > 0 and share <= UNFINISHED_FALL, sentence, numbers, blocks=fall <= 0)


def drift(artifact: Artifact, store: Store) -> Finding:
    """Check that images that are newer than the groups fit into them as well as the training images do."""
    from tac_pipeline.store.segments.reading import segments

    learned = store.require_current(training_set.name).artifact
    known = assigned_learned(artifact, learned, store)
    weighted = TRAINING_WEIGHTS.file_name in learned.record["files"]
    if weighted:
        known = known.join(learned.frame(TRAINING_WEIGHTS), on="image_id")
    found = measure_drift(segments(artifact, ASSIGNMENTS), known, store.derived)
    if found.new and not found.known:
        sentence = (
            "None of the images that the groups were learned from is in the store any more. A re-clustering is worth "
            "it (`tac run --recluster`, the job recluster)."
        )
        return Finding(False, sentence, {"new images": found.new})
    if found.new < MIN_NEW:
        sentence = f"{found.new:,} images came that the groups were not learned from: too few to tell a drift."
        return Finding(True, sentence, {"new images": found.new})
    sentence = (
        f"{found.new:,} images ({found.new_share:.0%} of the store) are not among those that the groups were learned "
        f"from. {found.outlier_share:.1%} of them are farther from their cluster than all but {OUTLIER_QUANTILE:.0%} "
        f"of its training images; their mean confidence is {found.new_confidence:.2f}, the training images' "
        f"{found.known_confidence:.2f}."
    )
    if weighted:
        sentence += " A training image counts as the images that it was drawn for."
    reasons = []
    if found.outlier_share > DRIFTED_OUTLIER_SHARE:
        reasons.append("many of them fit no cluster")
    if found.known_confidence - found.new_confidence > DRIFTED_CONFIDENCE:
        reasons.append("the clusters are unsure of them")
    if reasons:
        sentence += f" A re-clustering is worth it: {' and '.join(reasons)} (`tac run --recluster`, the job recluster)."
    numbers = {
        "new images": found.new,
        "share of new": found.new_share,
        "share of outliers": found.outlier_share,
        "confidence of new": found.new_confidence,
        "confidence of known": found.known_confidence,
    }
    return Finding(not reasons, sentence, numbers)


def learned_as_before(artifact: Artifact, store: Store) -> Finding:
    """Check that what was lost and learned again came out as it was."""
    before, entry = artifact.facts.get("otherwise"), artifact.facts.get("entry")
    if before is None:
        return Finding(True, "Nothing that was learned was lost and came out otherwise.", {})
    latest = Publication(store.published_folder).latest()
    sentence = (
        f"The groups were learned again from the same images, nouns and settings as those of ledger entry {before}, "
        "because something that was learned then was lost, and they came out otherwise. Look at `tac diff`."
    )
    # Readers who have them already keep getting new images.
    known = latest is not None and latest.entry == entry
    return Finding(known, sentence, {"ledger entry": entry, "earlier entry": before}, blocks=not known)


CHECKS: tuple[tuple[Step, Look], ...] = (
    (image_embeddings, unreadable_images),
    (noun_vocabulary, centers_without_noun),
    (cluster_heads, heads_converged),
    (cluster_ids, learned_as_before),
    (assignments, drift),
    (clusters, cluster_sizes),
)


def build_checks(project: Project) -> "list[dg.AssetChecksDefinition]":
    """The checks of a store; each one warns, and a blocking one stops a result from being published automatically."""
    return [_build_check(step, look, project) for step, look in CHECKS if project.owner_of(step.name) is project]


def _build_check(step: Step, look: Look, project: Project) -> "dg.AssetChecksDefinition":
    def find() -> Finding:
        store = open_store(project)
        return look(store.require_current(step.name).artifact, store)

    return build_check(step.name, look.__name__, look.__doc__, find, project)


def build_check(
    asset: str, name: str, description: str | None, find: Callable[[], Finding], project: Project
) -> "dg.AssetChecksDefinition":
    """The Dagster check of an asset that shows a finding."""
    # Not at the top: `tac status` asks what a check finds, and needs no Dagster for it.
    import dagster as dg

    from assets.orchestration.metadata import asset_key, refusals
    from assets.orchestration.run_liveness import LIFE_RESOURCE

    @dg.asset_check(
        asset=asset_key(asset, project),
        name=name,
        description=description,
        # After every new version of its asset, made by any run.
        automation_condition=dg.AutomationCondition.eager(),
        required_resource_keys={LIFE_RESOURCE},
    )
    def check() -> dg.AssetCheckResult:
        with refusals(project):
            finding = find()
        return dg.AssetCheckResult(
            passed=finding.passed,
            severity=dg.AssetCheckSeverity.ERROR if finding.blocks else dg.AssetCheckSeverity.WARN,
            description=finding.sentence,
            metadata=finding.numbers,
        )

    return check
