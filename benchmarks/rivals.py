"""Is the product better than other ways of grouping the same vectors, on every set?

    python -m benchmarks.rivals [--tables food10 demo] [--seeds 0 1 2] [--vocabulary real none useless rotated]
                                [--settings tac.yaml] [--json FILE]

Every way gets the same vectors and the number of classes as K (HDBSCAN finds its own K), and is scored on all rows;
labels are used only for the scores. The demo's pictures are a set too, if `tac demo` has been run. The product is
TextAidedClustering; its robust method can also be run without nouns, or with nouns that say nothing of the images. The
exit code is 1 if a goal is missed (benchmarks/rival_goals.py).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table
from sklearn.base import clone

from benchmarks.reference_data import ReferenceTable, read_nouns, read_table, reference_folder
from benchmarks.rival_goals import (
    BASELINE,
    BEFORE,
    METRICS,
    VOCABULARIES,
    Run,
    best_rival,
    choose_nouns,
    covers_all,
    gain,
    mean,
    misses,
    tables_of,
    ways_of,
    worst_set,
)
from benchmarks.rival_ways import GIVEN_K, OWN_K, WHITENED, Space, cpu_timed, warm_up, whitened
from tac_pipeline.arrays import FloatMatrix, IntVector
from tac_pipeline.errors import TacError
from tac_pipeline.estimator import TextAidedClustering
from tac_pipeline.method.clusters.evaluation import score

DEMO = "demo"
SEEDS = (0, 1, 2)


@dataclass(frozen=True)
class Store:
    """A set, the candidate nouns, and the product with the set's values."""

    table: ReferenceTable
    nouns: list[str]
    noun_embeddings: FloatMatrix
    product: TextAidedClustering


def read_demo(settings: Path) -> Store:
    """The demo's current artifacts; nothing is built.

    Raises
    ------
    TacError
        There is no such settings file, or the demo was never run.
    """
    from assets.images import image_labels, training_set
    from assets.nouns import noun_embeddings
    from benchmarks.demo import artifact_of, estimator, table_of
    from tac_pipeline.settings.project import load_project

    project = load_project(settings)
    learned, candidates = artifact_of(project, training_set), artifact_of(project, noun_embeddings)
    labels = learned.table(training_set, columns=["image_id"]).join(
        table_of(project, image_labels), on="image_id", how="left", maintain_order="left"
    )
    table = ReferenceTable(DEMO, learned.vectors(training_set), labels["label"].to_numpy())
    return Store(
        table,
        candidates.table(noun_embeddings, columns=["noun"])["noun"].to_list(),
        candidates.vectors(noun_embeddings),
        estimator(project).set_params(n_clusters=table.n_clusters),
    )


def scored(
    table: ReferenceTable, way: str, assignment: IntVector, seconds: float | None, *, seed: int, **more: object
) -> Run:
    """A run with its scores in %."""
    found = score(table.labels, assignment)
    values = {metric: 100 * getattr(found, metric) for metric in METRICS}
    known = {"vocabulary": "", "given_k": True, "is_product": False} | more
    return Run(table.name, way, seed=seed, n_clusters=len(np.unique(assignment)), seconds=seconds, **values, **known)


def rival_runs(table: ReferenceTable, seeds: Sequence[int]) -> Iterator[Run]:
    """Every rival with every seed; what several of them need is computed once for the set."""
    plain = Space(table.image_embeddings)
    ways = [(name, way, plain, True) for name, way in GIVEN_K.items()]
    ways += [(name, way, plain, False) for name, way in OWN_K.items()]
    moved = whitened(table.image_embeddings)
    ways += [(WHITENED + name, way, moved, True) for name, way in GIVEN_K.items()]
    for name, way, space, given_k in ways:
        for seed in seeds:
            assignment, seconds = space.timed(way, table.n_clusters, seed)
            yield scored(table, name, assignment, seconds, seed=seed, given_k=given_k)


def product_runs(store: Store, seeds: Sequence[int], vocabularies: Sequence[str]) -> Iterator[Run]:
    """The product with every seed: both methods on the real nouns, the robust one on the others."""
    images = store.table.image_embeddings
    asked = [("published", "real")] if "real" in vocabularies else []
    asked += [("robust", vocabulary) for vocabulary in vocabularies]
    for method, vocabulary in asked:
        for seed in seeds:
            weight = {"text_weight": 0.0} if vocabulary == "none" else {}
            nouns, vectors = choose_nouns(vocabulary, images, store.nouns, store.noun_embeddings, seed=seed)
            fitted, seconds = cpu_timed(
                partial(
                    clone(store.product).set_params(method=method, random_state=seed, **weight).fit,
                    images,
                    nouns=nouns,
                    noun_embeddings=vectors,
                )
            )
            add = partial(scored, store.table, seed=seed, vocabulary=vocabulary, is_product=True)
            yield add(f"{method}, training-free", fitted.training_free_labels_, None)
            yield add(f"{method}, trained", fitted.labels_, seconds)


def show_set(runs: Sequence[Run], table: str) -> Table:
    """One set: every way's means over seeds."""
    of_set = [run for run in runs if run.table == table and run.vocabulary in ("", "real")]
    seeds = " ".join(str(seed) for seed in dict.fromkeys(run.seed for run in of_set))
    shown = _table(f"{table}, seeds {seeds}", "way", "NMI", "ACC", "ARI", "CPU s", "own K")
    rival = best_rival(runs, table)[0]
    for way in ways_of(of_set):
        first = next(run for run in of_set if run.way == way)
        own = "" if first.given_k else f"{mean(runs, table, way, metric='n_clusters'):.0f}"
        name = f"{way} (best rival)" if way == rival else way
        shown.add_row(name, *_scores(runs, [table], way), _seconds(of_set, way, first.table), own)
    return shown


def show_all(runs: Sequence[Run]) -> Table:
    """All sets: every way's means over sets, and the set on which it is the farthest behind the best rival."""
    tables = tables_of(runs)
    told = [run for run in runs if run.vocabulary in ("", "real")]
    shown = _table(f"mean of {', '.join(tables)}", "way", "NMI", "ACC", "ARI", "CPU s", "worst set", "to best rival")
    for way in ways_of(told):
        worst, behind = worst_set(runs, way)
        seconds = _seconds(told, way, *tables)
        shown.add_row(way, *_scores(runs, tables, way), seconds, worst, f"{behind:+.1f}")
    return shown


def show_gains(runs: Sequence[Run]) -> Table:
    """The product with each vocabulary: its NMI less that of whitened k-means."""
    tables = tables_of(runs)
    shown = _table(f"points of NMI above {BASELINE}", "vocabulary", "result", *tables, "mean")
    for vocabulary in dict.fromkeys(run.vocabulary for run in runs if run.vocabulary):
        for way in ways_of([run for run in runs if run.vocabulary == vocabulary and run.way.startswith("robust")]):
            gains = [gain(runs, table, way, vocabulary) for table in tables]
            shown.add_row(vocabulary, way, *(f"{value:+.1f}" for value in [*gains, float(np.mean(gains))]))
    return shown


def _table(title: str, *headings: str) -> Table:
    shown = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for heading in headings:
        shown.add_column(
            heading, justify="left" if heading in ("way", "vocabulary", "result", "worst set") else "right"
        )
    return shown


def _scores(runs: Sequence[Run], tables: Sequence[str], way: str) -> list[str]:
    """NMI, ACC and ARI as text: each a mean over sets of means over seeds."""
    return [f"{float(np.mean([mean(runs, table, way, metric=metric) for table in tables])):.1f}" for metric in METRICS]


def _seconds(runs: Sequence[Run], way: str, *tables: str) -> str:
    """CPU seconds of one seed, the sum over sets; nothing for a result that comes with another's fit."""
    known = {
        table: [run.seconds for run in runs if (run.way, run.table) == (way, table) and run.seconds is not None]
        for table in tables
    }
    return "" if not all(known.values()) else f"{sum(float(np.mean(seconds)) for seconds in known.values()):.1f}"


def read_stores(names: Sequence[str], settings: Path, tell: Callable[[str], None]) -> Iterator[Store]:
    """The sets, one after another; a demo that was never run is left out, and that is said."""
    for name in names:
        if name == DEMO:
            try:
                yield read_demo(settings)
            except TacError as error:
                tell(f"demo left out: {error} `tac demo` makes it.")
            continue
        folder = reference_folder()
        table = read_table(folder, name)
        yield Store(table, *read_nouns(folder), TextAidedClustering(table.n_clusters))


def judge(runs: Sequence[Run], vocabularies: Sequence[str], console: Console) -> int:
    """Print what all sets say together; 1 if a goal is missed."""
    console.print(show_all(runs))
    console.print(
        "Means over seeds, in %. CPU seconds are of one seed and one thread, each way with everything that it needs; "
        "those of a training-free result are in the trained one's. To best rival: NMI less that of the best rival "
        "given the same K, on the set with the lowest difference.",
        style="dim",
    )
    console.print(show_gains(runs))
    if "real" not in vocabularies:
        console.print("the goals are not judged: they are for real nouns", style="yellow")
        return 0
    if not covers_all(runs):
        console.print(f"the goal of the mean is not judged: it needs {', '.join(BEFORE)}", style="yellow")
    missed = misses(runs)
    for line in missed:
        console.print(line, style="red")
    return 1 if missed else 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run every way on every chosen set and print them; 1 if a goal is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rivals", description=__doc__.splitlines()[0])
    every = [*BEFORE, DEMO]
    parser.add_argument("--tables", nargs="+", choices=every, default=every, metavar="NAME")
    parser.add_argument("--seeds", nargs="+", type=int, default=SEEDS, metavar="N")
    parser.add_argument("--vocabulary", nargs="+", choices=VOCABULARIES, default=["real"], help="of the product")
    parser.add_argument("--settings", type=Path, default=Path("tac.yaml"), metavar="FILE", help="of the demo")
    parser.add_argument("--json", type=Path, metavar="FILE", help="every run")
    asked = parser.parse_args(arguments)
    console = Console(width=120)
    warm_up()
    runs: list[Run] = []
    for store in read_stores(asked.tables, asked.settings, partial(console.print, style="yellow")):
        for run in chain(rival_runs(store.table, asked.seeds), product_runs(store, asked.seeds, asked.vocabulary)):
            words = f", {run.vocabulary} nouns" if run.vocabulary else ""
            console.print(f"{run.table}, {run.way}{words}, seed {run.seed}: NMI {run.nmi:.1f}", style="dim")
            runs.append(run)
        console.print(show_set(runs, store.table.name))
        console.print()
    if asked.json is not None:
        asked.json.write_text(json.dumps([asdict(run) for run in runs], indent=2) + "\n", encoding="utf-8")
    if not runs:
        console.print("no set was run", style="red")
        return 1
    return judge(runs, asked.vocabulary, console)


if __name__ == "__main__":
    sys.exit(main())
