"""Asset checks: what is worth a look. What must hold is validated before an artifact is swapped in, not here."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import dagster as dg
import polars as pl

from assets.clustering import cluster_heads
from assets.images import image_embeddings
from assets.results import clusters
from assets.step import Step, open_store
from assets.text_space import noun_vocabulary
from tac_pipeline.settings import Project
from tac_pipeline.store import Artifact
from tac_pipeline.tables import CLUSTERS, LOSS_HISTORY, read_table

UNREADABLE_SHARE = 0.01
# A cluster this many times its even share has probably swallowed others.
GIANT_FACTOR = 5.0
CENTERS_WITHOUT_NOUN_SHARE = 0.5
# How much of the whole fall of the loss the last tenth of the epochs may still bring.
UNFINISHED_FALL = 0.05


@dataclass(frozen=True)
class Finding:
    """What a check says: whether all is well, why in a sentence, and the numbers behind it."""

    passed: bool
    sentence: str
    numbers: dict[str, Any]


def unreadable_images(artifact: Artifact) -> Finding:
    """Few images are unreadable."""
    unreadable, readable = artifact.facts["unreadable"], artifact.facts["readable"]
    share = unreadable / max(unreadable + readable, 1)
    sentence = f"{unreadable:,} of {unreadable + readable:,} images cannot be read ({share:.2%})."
    if share > UNREADABLE_SHARE:
        sentence += " The column `error` of image_embeddings says why."
    return Finding(share <= UNREADABLE_SHARE, sentence, {"unreadable": unreadable, "share": share})


def cluster_sizes(artifact: Artifact) -> Finding:
    """No cluster is empty, none is a giant."""
    table = pl.DataFrame(pl.from_arrow(read_table(artifact.file("clusters.parquet"), CLUSTERS)))
    bound = min(GIANT_FACTOR / max(len(table), 1), 0.9)
    empty, giants = table.filter(pl.col("size") == 0), table.filter(pl.col("share") > bound)
    parts = []
    if len(empty):
        parts.append(f"{len(empty)} of {len(table)} clusters are empty: clusters.count may be too large.")
    if len(giants):
        named = ", ".join(f"{row['cluster_id']} ({row['name']}, {row['share']:.0%})" for row in giants.to_dicts()[:5])
        parts.append(f"Clusters far above their even share: {named}.")
    sentence = " ".join(parts) or f"All {len(table)} clusters have images, none is a giant."
    return Finding(not parts, sentence, {"empty": len(empty), "giants": len(giants)})


def centers_without_noun(artifact: Artifact) -> Finding:
    """Most semantic centers own a noun."""
    bare, total = artifact.facts["centers_without_noun"], artifact.facts["n_centers"]
    share = bare / max(total, 1)
    sentence = f"{bare} of {total} semantic centers own no noun ({share:.0%})."
    if share > CENTERS_WITHOUT_NOUN_SHARE:
        sentence += " The nouns do not cover these images well: the text may hurt; compare image_kmeans in evaluation."
    return Finding(share <= CENTERS_WITHOUT_NOUN_SHARE, sentence, {"without_noun": bare, "share": share})


def heads_converged(artifact: Artifact) -> Finding:
    """The loss had come to rest when training ended."""
    table = read_table(artifact.file("loss_history.parquet"), LOSS_HISTORY)
    totals = pl.Series(table.column("total").to_pylist())
    tail = max(len(totals) // 10, 1)
    fall = float(totals[0] - totals[-tail:].mean())
    last = float(totals[-2 * tail : -tail].mean() - totals[-tail:].mean()) if len(totals) >= 2 * tail else fall
    share = last / fall if fall > 0 else float("inf")
    if fall <= 0:
        sentence = f"The loss did not fall in {len(totals)} epochs: lower heads.learning_rate."
    elif share > UNFINISHED_FALL:
        sentence = f"The last tenth of {len(totals)} epochs still brought {share:.0%} of the fall: raise heads.epochs."
    else:
        sentence = f"The loss had come to rest: the last tenth of {len(totals)} epochs brought {share:.1%} of the fall."
    return Finding(fall > 0 and share <= UNFINISHED_FALL, sentence, {"fall": fall, "last_tenth": last})


CHECKS: tuple[tuple[Step, Callable[[Artifact], Finding]], ...] = (
    (image_embeddings, unreadable_images),
    (noun_vocabulary, centers_without_noun),
    (cluster_heads, heads_converged),
    (clusters, cluster_sizes),
)


def build_checks(project: Project) -> list[dg.AssetChecksDefinition]:
    """The checks of a store; none blocks, each warns."""
    return [_build_check(step, look, project) for step, look in CHECKS]


def _build_check(step: Step, look: Callable[[Artifact], Finding], project: Project) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=dg.AssetKey([project.settings.store, step.name]), name=look.__name__, description=look.__doc__
    )
    def check() -> dg.AssetCheckResult:
        finding = look(open_store(project).require_current(step.name).artifact)
        return dg.AssetCheckResult(
            passed=finding.passed,
            severity=dg.AssetCheckSeverity.WARN,
            description=finding.sentence,
            metadata=finding.numbers,
        )

    return check
