"""Are the names right, and are the sure ones? WordNet judges each by the true kind of most of its cluster's images.

    python -m benchmarks.names [--stores food10 demo] [--seeds 0 1 2] [--settings tac.yaml] [--show] [--json FILE]

For each store and seed the clusters are named twice (docs/decisions/0130): with all candidate nouns, and with the
classes' own nouns taken out, so that only a wider kind or silence can be right. A name is right if it is the kind's
own noun, a synonym, or a hypernym at most two steps above; one step below (garbage truck for trucks) is counted
separately. A name is sure from a confidence of 0.75. The stores are the drawn demo (`tac demo` makes it), where the
drawing code says the true meanings, and real CLIP vectors with classes of known names. Imagenette is left out: it has
only photographs, and the project contains no encoder for photographs.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table
from sklearn.base import clone

from benchmarks.naming import RIGHT, Naming, TrueKind, class_kinds, distinct_share, judge, true_kind
from benchmarks.reference_data import read_nouns, read_table, reference_folder
from tac_pipeline.arrays import FloatMatrix
from tac_pipeline.estimator import TextAidedClustering
from tac_pipeline.method.words.names import TEMPERATURE, label
from tac_pipeline.method.words.noun_shortlist import CandidateVectors
from tac_pipeline.results.naming import name_groups
from tac_pipeline.settings.project import Project, load_project
from tac_pipeline.wordnet import open_wordnet

TABLES = ("food10", "cifar10_500", "oxford_pets")
DEMO = "demo"
SEEDS = (0, 1, 2)
ALL, WITHOUT = "all", "own taken out"
SURE = 0.75
BANDS = (0.25, 0.5, 0.75, 1.01)


@dataclass(frozen=True)
class Store:
    """Vectors with true kinds, the candidate nouns, and the method with this store's values."""

    name: str
    image_embeddings: FloatMatrix
    labels: list[str]
    kinds: Mapping[str, TrueKind]
    nouns: list[str]
    candidates: CandidateVectors
    method: TextAidedClustering

    def without_own_nouns(self) -> Store:
        """The store without the candidates that mean one of its kinds."""
        wordnet = open_wordnet()
        synsets = {kind.synset for kind in self.kinds.values()} - {None}
        words = {kind.noun.lower() for kind in self.kinds.values()}
        words |= {lemma.lower() for synset in synsets if synset for lemma in wordnet.lemmas(synset)}
        kept = [
            row
            for row, noun in enumerate(self.nouns)
            if re.sub(r" \(.*\)$", "", noun).lower() not in words and not synsets.intersection(wordnet.senses(noun)[:1])
        ]
        vectors = CandidateVectors(self.candidates.vectors[kept], self.candidates.mean)
        return replace(self, nouns=[self.nouns[row] for row in kept], candidates=vectors)


@dataclass(frozen=True)
class Outcome:
    """The names of one clustering, and the confidence of each."""

    store: str
    seed: int
    candidates: str
    namings: list[Naming]
    confidence: dict[int, float]

    @property
    def named(self) -> list[Naming]:
        """The clusters with a name."""
        return [naming for naming in self.namings if not naming.name.startswith("unnamed ")]

    @property
    def sure(self) -> list[Naming]:
        """The clusters with a sure name."""
        return [naming for naming in self.named if self.confidence[naming.cluster_id] >= SURE]


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
        CandidateVectors.whole(vectors),
        TextAidedClustering(found.n_clusters),
    )


def demo_store(project: Project, console: Console) -> Store:
    """The drawn demo, materialized if it is not yet, with the nouns of its shortlist."""
    from assets.images import image_labels, training_set
    from assets.text_space import noun_shortlist
    from benchmarks.demo import artifact_of, estimator, materialize, table_of
    from tac_pipeline.demo.kinds import KINDS
    from tac_pipeline.store.parquet import vectors_of
    from tac_pipeline.store.schemas import NOUN_MEAN

    materialize(project, console)
    learned, near = artifact_of(project, training_set), artifact_of(project, noun_shortlist)
    labels = learned.table(training_set, columns=["image_id"]).join(
        table_of(project, image_labels), on="image_id", how="left", maintain_order="left"
    )
    mean = near.artifact(noun_shortlist).table(NOUN_MEAN)
    wordnet = open_wordnet()
    return Store(
        DEMO,
        learned.vectors(training_set),
        labels["label"].to_list(),
        {name: true_kind(name, kind.synset, wordnet) for name, kind in KINDS.items()},
        near.table(noun_shortlist, columns=["noun"])["noun"].to_list(),
        CandidateVectors(near.vectors(noun_shortlist), vectors_of(mean)[0] * mean.column("length")[0].as_py()),
        estimator(project),
    )


def outcomes(store: Store, seed: int) -> Iterator[Outcome]:
    """The clusters of a seed, named with all candidates and without the classes' own nouns."""
    fitted = (
        clone(store.method)
        .set_params(random_state=seed)
        .fit(store.image_embeddings, nouns=store.nouns, noun_embeddings=store.candidates.vectors)
    )
    assignment = fitted.labels_
    for candidates, named in ((ALL, store), (WITHOUT, store.without_own_nouns())):
        found = name_groups(
            named.image_embeddings,
            named.candidates,
            named.nouns,
            assignment,
            n_groups=fitted.n_clusters,
            temperature=TEMPERATURE,
        )
        names = {row: label(name, row) for row, name in enumerate(found)}
        yield Outcome(
            store.name,
            seed,
            candidates,
            judge(names, assignment, store.labels, store.kinds),
            {row: name.confidence for row, name in enumerate(found)},
        )


def right_share(found: Sequence[Naming]) -> float:
    """The share of right names; NaN where there is none."""
    return float(np.mean([naming.relation in RIGHT for naming in found])) if found else float("nan")


def show(found: Sequence[Outcome]) -> Table:
    """One row for each store and its candidates, over all seeds, in % of clusters."""
    shown = Table(
        "store",
        "candidates",
        "right",
        "of these exact",
        "a step below",
        "named",
        "right of the named",
        "sure",
        "right of the sure",
        title="names, in % of clusters, all seeds",
        title_justify="left",
        box=None,
    )
    for store, candidates in dict.fromkeys((row.store, row.candidates) for row in found):
        rows = [row for row in found if (row.store, row.candidates) == (store, candidates)]
        every = [naming for row in rows for naming in row.namings]
        named = [naming for row in rows for naming in row.named]
        sure = [naming for row in rows for naming in row.sure]
        exact = sum(naming.relation in ("kind", "synonym") for naming in every)
        below = sum(naming.relation == "hyponym" for naming in every)
        shares = [
            right_share(every),
            exact / len(every),
            below / len(every),
            len(named) / len(every),
            right_share(named),
            len(sure) / len(every),
        ]
        cells = [f"{100 * share:.1f}" for share in shares]
        shown.add_row(store, candidates, *cells, f"{100 * right_share(sure):.1f} of {len(sure)}")
    return shown


def show_confidence(found: Sequence[Outcome]) -> Table:
    """The share of right names by their confidence, over all seeds."""
    shown = Table(
        "store",
        *(f"to {min(band, 1):.2f}" for band in BANDS),
        title="right, by confidence (names), all candidates",
        title_justify="left",
        box=None,
    )
    for store in dict.fromkeys(row.store for row in found):
        pairs = [
            (row.confidence[naming.cluster_id], naming.relation in RIGHT)
            for row in found
            if row.store == store and row.candidates == ALL
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
        title=f"{row.store}, {row.candidates}, seed {row.seed}",
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
    """Print all figures; 1 if a name is given twice."""
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
        if asked.show and row.seed == asked.seeds[0]:
            console.print()
            console.print(show_names(row))
    if asked.json is not None:
        asked.json.write_text(json.dumps([asdict(row) for row in found], indent=2) + "\n", encoding="utf-8")
    return int(any(distinct_share(row.namings) < 1 for row in found))


if __name__ == "__main__":
    sys.exit(main())
