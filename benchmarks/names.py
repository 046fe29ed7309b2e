"""Are the names right? The rule names clusters; WordNet judges the names by the true kind of most of their images.

    python -m benchmarks.names [--stores food10 demo] [--seeds 0 1 2] [--settings tac.yaml] [--show] [--json FILE]

For each store and seed, the training-free and the trained clusters are named twice: by the old rule (only the best
noun, decision 0012) and by the rule now (decision 0060). A name is right if it is the kind's own noun, a synonym or a
direct hypernym of it; one step below (garbage truck for trucks) is counted separately. The stores are the drawn demo
(`tac demo` makes it), where the drawing code says the true meanings, and real CLIP vectors with classes of known names.
Imagenette is left out: it has only photographs, and the project contains no encoder for photographs.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table
from sklearn.base import clone

from benchmarks.naming import RIGHT, Naming, TrueKind, class_kinds, distinct_share, judge, right_share, true_kind
from benchmarks.reference_data import read_nouns, read_table, reference_folder
from tac_pipeline.arrays import FloatMatrix, IntVector
from tac_pipeline.estimator import TextAidedClustering
from tac_pipeline.method import load_method
from tac_pipeline.method.words.names import ClusterName, NounProfiles, label, name_clusters, noun_profiles
from tac_pipeline.settings.project import Project, load_project
from tac_pipeline.wordnet import noun_kinds, open_wordnet

TABLES = ("food10", "cifar10_500", "oxford_pets")
DEMO = "demo"
SEEDS = (0, 1, 2)
RULES = ("before", "now")
BANDS = (0.25, 0.5, 0.75, 1.01)


@dataclass(frozen=True)
class Store:
    """Vectors with true kinds, the candidate nouns, and the method with this store's values."""

    name: str
    image_embeddings: FloatMatrix
    labels: list[str]
    kinds: Mapping[str, TrueKind]
    nouns: list[str]
    noun_embeddings: FloatMatrix
    method: TextAidedClustering


@dataclass(frozen=True)
class Outcome:
    """The names of one clustering by one rule, and the confidence of each (only for the rule now)."""

    store: str
    seed: int
    result: str
    rule: str
    namings: list[Naming]
    confidence: dict[int, float]

    @property
    def named(self) -> list[Naming]:
        """The clusters with a name."""
        return [naming for naming in self.namings if not naming.name.startswith("unnamed ")]


def reference_store(table: str) -> Store:
    """A table of real CLIP vectors."""
    folder = reference_folder()
    found = read_table(folder, table)
    kinds = class_kinds(folder.parent, table)
    nouns, vectors = read_nouns(folder)
    return Store(
        table,
        found.image_embeddings,
        [kinds[row].noun for row in found.labels],
        {kind.noun: kind for kind in kinds},
        nouns,
        vectors,
        TextAidedClustering(found.n_clusters),
    )


def demo_store(project: Project, console: Console) -> Store:
    """The drawn demo, materialized if it is not yet."""
    from assets.images import image_labels, training_set
    from assets.nouns import noun_embeddings
    from benchmarks.demo import artifact_of, estimator, materialize, table_of
    from tac_pipeline.demo.kinds import KINDS

    materialize(project, console)
    learned, candidates = artifact_of(project, training_set), artifact_of(project, noun_embeddings)
    labels = learned.table(training_set, columns=["image_id"]).join(
        table_of(project, image_labels), on="image_id", how="left", maintain_order="left"
    )
    wordnet = open_wordnet()
    return Store(
        DEMO,
        learned.vectors(training_set),
        labels["label"].to_list(),
        {name: true_kind(name, kind.synset, wordnet) for name, kind in KINDS.items()},
        candidates.table(noun_embeddings, columns=["noun"])["noun"].to_list(),
        candidates.vectors(noun_embeddings),
        estimator(project),
    )


def names_before(profiles: NounProfiles, nouns: Sequence[str]) -> list[str | None]:
    """The rule of decision 0012: for each cluster the noun with the highest score."""
    tiny = np.finfo(np.float32).tiny
    scores = profiles.clusters * np.log(np.maximum(profiles.clusters, tiny) / np.maximum(profiles.overall, tiny))
    return [
        nouns[best] if weights.any() else None
        for best, weights in zip(scores.argmax(axis=1), profiles.clusters, strict=True)
    ]


def names_now(profiles: NounProfiles, nouns: Sequence[str], sizes: IntVector) -> list[ClusterName]:
    """The rule of decision 0060."""
    return name_clusters(profiles, sizes, noun_kinds(nouns))


def outcomes(store: Store, seed: int) -> Iterator[Outcome]:
    """Both results of a seed, named by both rules."""
    fitted = (
        clone(store.method)
        .set_params(random_state=seed)
        .fit(store.image_embeddings, nouns=store.nouns, noun_embeddings=store.noun_embeddings)
    )
    vectors = store.noun_embeddings[fitted.vocabulary_rows_]
    tau = load_method(fitted.method).naming_tau
    for result, assignment in (("training-free", fitted.training_free_labels_), ("trained", fitted.labels_)):
        profiles = noun_profiles(store.image_embeddings, vectors, assignment, n_clusters=fitted.n_clusters, tau=tau)
        sizes = np.bincount(assignment, minlength=fitted.n_clusters)
        before = dict(enumerate(names_before(profiles, fitted.noun_vocabulary_)))
        yield Outcome(store.name, seed, result, "before", judge(before, assignment, store.labels, store.kinds), {})
        found = names_now(profiles, fitted.noun_vocabulary_, sizes)
        now = {row: label(name, row) for row, name in enumerate(found)}
        yield Outcome(
            store.name,
            seed,
            result,
            "now",
            judge(now, assignment, store.labels, store.kinds),
            {row: name.confidence for row, name in enumerate(found)},
        )


def show(found: Sequence[Outcome]) -> Table:
    """One row for each store, result and rule: means over seeds, in %."""
    shown = Table(
        "store",
        "result",
        "rule",
        "right",
        "a step below",
        "distinct",
        "unnamed",
        "right of the named",
        title="names, in % of clusters, means over seeds",
        title_justify="left",
        box=None,
    )
    for store, result, rule in dict.fromkeys((row.store, row.result, row.rule) for row in found):
        rows = [row for row in found if (row.store, row.result, row.rule) == (store, result, rule)]
        namings = [row.namings for row in rows]
        below = [sum(naming.relation == "hyponym" for naming in names) / len(names) for names in namings]
        shares = [
            [right_share(names) for names in namings],
            below,
            [distinct_share(names) for names in namings],
            [1 - len(row.named) / len(row.namings) for row in rows],
            [right_share(row.named) for row in rows if row.named],
        ]
        shown.add_row(store, result, rule, *(f"{100 * np.mean(share):.1f}" for share in shares))
    return shown


def show_confidence(found: Sequence[Outcome]) -> Table:
    """The share of right names by their confidence, over all seeds and results."""
    shown = Table(
        "store",
        *(f"to {min(band, 1):.2f}" for band in BANDS),
        title="right, by confidence (names)",
        title_justify="left",
        box=None,
    )
    for store in dict.fromkeys(row.store for row in found):
        pairs = [
            (row.confidence[naming.cluster_id], naming.relation in RIGHT)
            for row in found
            if row.store == store and row.rule == "now"
            for naming in row.namings
        ]
        cells, least = [], -1.0
        for band in BANDS:
            inside = [right for confidence, right in pairs if least < confidence < band]
            cells.append(f"{100 * np.mean(inside):.0f}% ({len(inside)})" if inside else "-")
            least = np.nextafter(band, 0)
        shown.add_row(store, *cells)
    return shown


def show_names(row: Outcome) -> Table:
    """Every cluster of one clustering."""
    shown = Table(
        "id",
        "name",
        "sure",
        "images",
        "most are",
        "share",
        "the name is",
        title=f"{row.store}, {row.result}, seed {row.seed}",
        title_justify="left",
        box=None,
    )
    for naming in row.namings:
        shown.add_row(
            str(naming.cluster_id),
            naming.name,
            f"{row.confidence[naming.cluster_id]:.2f}",
            f"{naming.size:,}",
            naming.kind,
            f"{naming.purity:.0%}",
            naming.relation,
        )
    return shown


def main(arguments: Sequence[str] | None = None) -> int:
    """Print all figures; 1 if the rule now gives a name twice."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.names", description=__doc__.splitlines()[0])
    parser.add_argument("--stores", nargs="+", choices=(*TABLES, DEMO), default=(*TABLES, DEMO), metavar="NAME")
    parser.add_argument("--seeds", nargs="+", type=int, default=SEEDS, metavar="N")
    parser.add_argument("--settings", type=Path, default=Path("tac.yaml"), metavar="FILE", help="of the demo")
    parser.add_argument("--show", action="store_true", help="every name, of the first seed")
    parser.add_argument("--json", type=Path, metavar="FILE", help="every name")
    asked = parser.parse_args(arguments)
    console = Console(width=150)
    found: list[Outcome] = []
    for name in asked.stores:
        store = demo_store(load_project(asked.settings), console) if name == DEMO else reference_store(name)
        for seed in asked.seeds:
            found += outcomes(store, seed)
    console.print(show(found))
    console.print()
    console.print(show_confidence(found))
    for row in found:
        if asked.show and row.rule == "now" and row.seed == asked.seeds[0]:
            console.print()
            console.print(show_names(row))
    if asked.json is not None:
        asked.json.write_text(json.dumps([asdict(row) for row in found], indent=2) + "\n", encoding="utf-8")
    return int(any(row.rule == "now" and distinct_share(row.namings) < 1 for row in found))


if __name__ == "__main__":
    sys.exit(main())
