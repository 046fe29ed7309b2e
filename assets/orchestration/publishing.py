"""Publishing a result only when it is good enough: the gate in front of store/publication.py.

Automatically (`publication.mode: auto`) a result is published when all blocking checks pass and nobody holds it back.
By hand (`tac publish`, the job `publish`) it is published without these conditions. What readers have here is then
brought to where `publication.to` says (store/publishing/).

Dagster is imported only where it is told something: `tac status` asks what readers have, and answers at once.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import polars as pl

from assets.clustering import cluster_ids
from assets.engine.execute import open_store
from assets.engine.step import Log
from assets.lookups.as_of import forget_unreachable
from assets.orchestration.checks import CHECKS, Finding
from assets.orchestration.telling.summary import Summary, summarize
from assets.people.corrections import corrections
from assets.results import assignments, clusters
from tac_pipeline.digest import digest
from tac_pipeline.errors import ArtifactDamaged, ArtifactMissing, ArtifactOutdated, TacError
from tac_pipeline.settings.project import Project
from tac_pipeline.store.artifacts import Artifact, Store
from tac_pipeline.store.comparison import Comparison
from tac_pipeline.store.publication import Publication, Tables, Version
from tac_pipeline.store.publishing.elsewhere import Carried, bring_elsewhere, known_elsewhere
from tac_pipeline.store.schemas import LINEAGE, PUBLISHED_ASSIGNMENTS

if TYPE_CHECKING:
    import dagster as dg

    from tac_pipeline.store.segments.sums import AssignedSegment

PUBLISHED = "published"
# What a version records, so that a result is known again; corrections decide both of the latter.
_SOURCES = (cluster_ids, assignments, clusters)
# What a result is made of.
PARTS = (cluster_ids, corrections, assignments, clusters)
# If more than this share of known images would change their cluster, somebody should look first.
MAX_MOVED = 0.5


@dataclass(frozen=True)
class Reason:
    """Why a result is not published automatically, in words; and whether people chose that, or the result is odd."""

    sentence: str
    chosen: bool = False


@dataclass(frozen=True)
class Decision:
    """The decision on a result: the version that readers have now, whether it is this result, and if not, why.

    `elsewhere` is what came of bringing that version to publication.to, and `summary` what the store holds now.
    """

    version: Version | None
    moved: bool
    sentence: str
    comparison: Comparison | None = None
    reason: Reason | None = None
    findings: Mapping[str, Finding] | None = None
    elsewhere: Carried | None = None
    summary: Summary | None = None

    @property
    def told(self) -> str:
        """All of it in words."""
        more = "" if self.elsewhere is None else self.elsewhere.sentence
        return f"{self.sentence}; {more}" if more else self.sentence


def publish(project: Project, *, by_hand: bool, log: Log = lambda _: None) -> Decision:
    """Publish the current result: by hand always, else if settings, holds and checks allow it.

    Raises
    ------
    ArtifactMissing, ArtifactOutdated, ArtifactDamaged
        There is no result to publish in which all parts are whole and made from each other.
    """
    store = open_store(project)
    with store.lock(on_wait=log):
        return _completed(_publish_here(project, store, by_hand=by_hand, log=log), project, store, log)


def _completed(decision: Decision, project: Project, store: Store, log: Log) -> Decision:
    """The decision, carried out elsewhere too, and kept for those who are told; the end of a run."""
    forget_unreachable(project)
    elsewhere = bring_elsewhere(store, project, log=log)
    reason = None if decision.reason is None or decision.reason.chosen else decision.reason.sentence
    failed = elsewhere.sentence if elsewhere is not None and elsewhere.failed else None
    summary = summarize(project, store, held=reason, upload=failed, findings=decision.findings)
    return replace(decision, elsewhere=elsewhere, summary=summary)


def _publish_here(project: Project, store: Store, *, by_hand: bool, log: Log) -> Decision:
    """Publish the current result in the data folder, or say why not; with the lock held."""
    artifacts = _result(store)
    publication = Publication(store.published_folder)
    latest, source = publication.latest(), {step.name: artifacts[step.name].content for step in _SOURCES}
    repaired = "" if latest is None else repair_latest(publication, latest, store, log)
    if latest is not None and latest.source == source:
        ended = ""
        if by_hand and publication.held():
            publication.release()
            ended = "; what held it is ended"
        return Decision(latest, True, f"version {latest.number} is this result already{ended}{repaired}")
    tables = _tables(artifacts, store)
    comparison = publication.compare(tables["assignments"])
    look = cache(partial(find_all, store, artifacts))
    reason = None if by_hand else _why_not(project, look, publication, comparison)
    findings = look() if look.cache_info().currsize else None
    if reason is not None:
        have = "nothing is published yet" if latest is None else f"readers keep version {latest.number}"
        return Decision(latest, False, f"{have}: {reason.sentence}", comparison, reason, findings)
    entry = artifacts[cluster_ids.name].facts["entry"]
    version = publication.publish(tables, source=source, entry=entry, compared=comparison)
    publication.prune(keep=project.settings.keep_versions, keep_days=project.settings.keep_days)
    return Decision(version, True, f"version {version.number} is published", comparison, findings=findings)


def repair_latest(publication: Publication, latest: Version, store: Store, log: Log) -> str:
    """Write what is damaged of the version that readers have again, and say so; an empty text where nothing is.

    Raises
    ------
    ArtifactDamaged
        What it was made from is not kept.
    """
    problems = latest.damaged(by_digest=True)
    if not problems:
        return ""
    log(f"{'; '.join(problems.values())}. It is made again from what it was made from")
    kept = _made_from(latest, store)
    if len(kept) == len(PARTS):
        tables = _tables(kept, store)
    elif (older := _repeated(publication, latest)) is not None:
        tables = {"assignments": older.assigned, **{name: older.table(name) for name in ("clusters", "lineage")}}
    elif set(problems) == {"changes"}:
        tables = {"assignments": latest.assigned}
    else:
        gone = ", ".join(step.name for step in PARTS if step.name not in kept)
        raise ArtifactDamaged(
            f"{'; '.join(problems.values())}. It was made from a version of {gone} that is no longer kept. "
            f"Restore {publication.folder} from a backup (`tac restore`), or delete it and publish again (`tac "
            "publish`): versions are then numbered from 1."
        )
    names = publication.repair(latest, tables)
    return f"; its damaged {' and '.join(names)} {'was' if len(names) == 1 else 'were'} written again"


def _made_from(version: Version, store: Store) -> dict[str, Artifact]:
    """What is still kept of the artifacts that a version was made from, by name."""
    contents = dict(version.source)
    assigned = store.find_content(assignments.name, contents.get(assignments.name, ""))
    if assigned is not None:
        # The version does not name it, because the assignments do.
        contents[corrections.name] = assigned.record["inputs"].get(corrections.name, "")
    found = {step.name: store.find_content(step.name, contents.get(step.name, "")) for step in PARTS}
    return {name: artifact for name, artifact in found.items() if artifact is not None}


def _repeated(publication: Publication, latest: Version) -> Version | None:
    """The whole older version that a rollback repeats."""
    if latest.rolled_back_to is None:
        return None
    older = publication.find(latest.rolled_back_to)
    return None if older.damaged(by_digest=True) else older


def rollback(project: Project, number: int | None, *, log: Log = lambda _: None) -> Decision:
    """Publish an older version again, and hold there until somebody publishes.

    Raises
    ------
    ArtifactMissing, StoreError
        There is no such version, or readers already have it.
    """
    store = open_store(project)
    with store.lock(on_wait=log):
        version = Publication(store.published_folder).rollback(number)
        sentence = (
            f"version {version.number} repeats version {version.rolled_back_to}; nothing is published automatically "
            "until somebody publishes (`tac publish`, the job publish)"
        )
        return _completed(Decision(version, False, sentence), project, store, log)


def _why_not(
    project: Project, look: Callable[[], Mapping[str, Finding]], publication: Publication, comparison: Comparison
) -> Reason | None:
    """The reason why a result is not published automatically; None if there is none."""
    if project.settings.publishes == "manual":
        return Reason("publish is manual; `tac publish` publishes this result", chosen=True)
    held = publication.held()
    if held:
        return Reason(f"{held}; `tac publish` publishes this result and ends that", chosen=True)
    found = [finding for finding in look().values() if finding.blocks]
    if found:
        return Reason(f"{' '.join(finding.sentence for finding in found)} `tac publish` publishes it anyway.")
    gone, was = comparison.gone, comparison.gone + comparison.known
    if gone > project.settings.images.max_loss * was:
        return Reason(
            f"{gone:,} of the {was:,} images that readers know would be gone, a larger share than images.max_loss "
            f"({project.settings.images.max_loss:g}) allows. If this is intended, `tac publish` publishes it; "
            "if not, see whether images.source is right and no other settings file names this store."
        )
    if comparison.moved_share > MAX_MOVED:
        return Reason(
            f"{comparison.moved:,} of {comparison.known:,} images ({comparison.moved_share:.0%}) would change their "
            "cluster. Look at `tac diff`; `tac publish` publishes it anyway."
        )
    return None


def find_all(store: Store, artifacts: Mapping[str, Artifact]) -> dict[str, Finding]:
    """The findings of the checks on the assets that a result was made from, as they are now, by the checks' names."""
    found = {}
    for step, look in CHECKS:
        current = store.current(step.name)
        if current is not None:
            found[look.__name__] = look(artifacts.get(step.name, current.artifact), store)
    return found


def _result(store: Store) -> dict[str, Artifact]:
    """The current ids, corrections, assignments and clusters, whole and made from each other."""
    missing = [step.name for step in PARTS if store.current(step.name) is None]
    if missing:
        raise ArtifactMissing(
            f"there is no result to publish yet in {store.folder}: {', '.join(missing)} must be materialized first "
            "(`tac run`)."
        )
    artifacts = {step.name: store.require_current(step.name).artifact for step in PARTS}
    for name, artifact in artifacts.items():
        damage = artifact.damage()
        if damage:
            raise ArtifactDamaged(f"{damage}. Materialize {name} again: `tac run --select {name}`.")
        for above, content in artifact.record["inputs"].items():
            if above in artifacts and artifacts[above].content != content:
                raise ArtifactOutdated(
                    f"{name} was made from another version of {above}: there is no whole result to publish. "
                    f"Build {name} first: `tac run`."
                )
    return artifacts


@dataclass(frozen=True)
class _Named:
    """Rows of assignments as they are published: with the names of their clusters."""

    rows: "AssignedSegment"
    names: pl.DataFrame
    names_digest: str

    @property
    def alone(self) -> bool:
        return self.rows.part.alone

    @property
    def digest(self) -> str:
        return digest([self.rows.part.digest, self.names_digest])

    @property
    def assigned(self) -> str:
        return self.rows.assigned

    def frame(self) -> pl.DataFrame:
        named = self.rows.frame().join(self.names, on="cluster_id", how="left", maintain_order="left")
        return named.select(column.name for column in PUBLISHED_ASSIGNMENTS.columns)

    def sizes(self) -> pl.DataFrame:
        return self.rows.sizes()


def _tables(artifacts: Mapping[str, Artifact], store: Store) -> Tables:
    """The published tables of a result, by the names in publication.TABLES."""
    found = artifacts[clusters.name].frame(clusters.schema)
    return {
        "assignments": _named(artifacts, store),
        "clusters": found,
        "lineage": artifacts[corrections.name].frame(LINEAGE),
    }


def _named(artifacts: Mapping[str, Artifact], store: Store) -> list[_Named]:
    """The assignments of a result as they are published."""
    from tac_pipeline.store.segments.reading import segments
    from tac_pipeline.store.segments.sums import AssignedSegment

    found = artifacts[clusters.name].frame(clusters.schema, columns=["cluster_id", "name"])
    names = found.select("cluster_id", cluster_name="name").sort("cluster_id")
    named = digest(names.rows())
    parts = segments(artifacts[assignments.name], assignments.schema)
    return [_Named(AssignedSegment(part, store.derived), names, named) for part in parts]


def readers_are_current(project: Project) -> Finding:
    """Whether readers have the current result."""
    store = open_store(project)
    latest = Publication(store.published_folder).latest()
    current = {step.name: found.artifact.content for step in _SOURCES if (found := store.current(step.name))}
    passed = latest is not None and latest.source == current
    sentence = publication_in_words(project)
    passed = passed and latest is not None and not latest.damaged()
    there = known_elsewhere(project, store)
    passed = passed and (there is None or not there.lacks(latest))
    return Finding(
        passed,
        f"{sentence[0].upper()}{sentence[1:]}.".replace("..", "."),
        {"version": 0 if latest is None else latest.number},
    )


def publication_in_words(project: Project) -> str:
    """What readers have, here and elsewhere, whether it is the current result, and if not, why."""
    store = open_store(project)
    latest, there = Publication(store.published_folder).latest(), known_elsewhere(project, store)
    here = _here_in_words(project, store)
    return here if there is None else f"{here}; {there.in_words(latest)}"


def _here_in_words(project: Project, store: Store) -> str:
    publication = Publication(store.published_folder)
    latest, held = publication.latest(), publication.held()
    have = "nothing is published yet" if latest is None else f"readers have version {latest.number} of {_day(latest)}"
    if latest is not None and (damaged := latest.damaged()):
        have = f"{have}, which is damaged: {'; '.join(damaged.values())}. `tac run` writes it again"
    current = {step.name: found.artifact.content for step in _SOURCES if (found := store.current(step.name))}
    if latest is not None and current == latest.source:
        edited = "; the settings have changed since (`tac run`)" if _edited(project, store) else ""
        return f"{have}{f'; {held} (`tac publish` ends that)' if held else ''}{edited}"
    another = "" if latest is None else "; the current result is another one (`tac diff`)"
    try:
        artifacts = _result(store)
        comparison = publication.compare(_named(artifacts, store))
        why = _why_not(project, partial(find_all, store, artifacts), publication, comparison)
        reason = None if why is None else why.sentence
    except TacError:
        # There is no whole result; the states of the assets show why.
        reason = held
    return f"{have}{another}{f': {reason}' if reason else ''}"


def _edited(project: Project, store: Store) -> bool:
    """Whether the settings have changed since the result, or an input of it, was made."""
    return any(store.require_current(step.name).version != step.version(project.settings) for step in PARTS)


def _day(version: Version) -> str:
    day = f"{datetime.fromtimestamp(version.made_at):%Y-%m-%d %H:%M}"
    return f"{day}, which repeats version {version.rolled_back_to}" if version.rolled_back_to else day


def decision_event(project: Project, decision: Decision) -> "dg.AssetMaterialization":
    """An event for Dagster about a manual change: the asset `published` shows it, and assets downstream follow."""
    import dagster as dg

    from assets.orchestration.dagster_internals import data_version_tags
    from assets.orchestration.metadata import asset_key

    number = decision.version.number if decision.version else 0
    return dg.AssetMaterialization(
        asset_key(PUBLISHED, project),
        metadata=decision_metadata(decision),
        tags=data_version_tags(str(number)),
    )


def tell_dagster(project: Project, decision: Decision, *, log: Log = lambda _: None) -> None:
    """Record in Dagster what was done on the command line, and tell those that `alerts` names what is over by that."""
    import dagster as dg

    from assets.orchestration.instance import prepare_home
    from assets.orchestration.telling.alerts import look_and_tell

    prepare_home(project)
    with dg.DagsterInstance.get() as instance:
        instance.report_runless_asset_event(decision_event(project, decision))
        look_and_tell(project, instance, log=log)


def decision_metadata(decision: Decision) -> dict[str, Any]:
    """What the UI shows about a decision; numbers are plotted over time."""
    import dagster as dg

    from assets.ui import previews

    shown: dict[str, Any] = {"decision": decision.told, "is this result": decision.moved}
    if decision.elsewhere is not None:
        shown |= {"readers elsewhere": decision.elsewhere.known.to, "did not get there": decision.elsewhere.failed}
    if decision.summary is not None:
        shown |= decision.summary.numbers
    if decision.version is not None:
        shown |= {
            "version": decision.version.number,
            "path": dg.MetadataValue.path(str(decision.version.folder)),
            "published": dg.MetadataValue.timestamp(decision.version.made_at),
        }
    if decision.comparison is not None:
        found = decision.comparison
        shown |= {"images moved": found.moved, "images that came": found.came, "images that went": found.gone}
        if len(found.clusters):
            shown["clusters that differ"] = dg.MetadataValue.md(
                previews.shorten(previews.table(found.clusters.head(20)))
            )
    return shown
