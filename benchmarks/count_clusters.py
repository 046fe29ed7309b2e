"""How many clusters does each criterion find, against the number of true classes?

    python -m benchmarks.count_clusters [--tables food10 demo] [--settings tac.yaml] [--seed 0] [--rules] [--json FILE]

It uses the real tables of vectors, and the demo's pictures if `tac demo` has been run. Labels are used only for the
comparison. Every criterion gets the same grid of K and the same k-means fits. "k-means at best" is not a criterion: it
is the K at which k-means agrees most with the labels, by adjusted Rand index. Seconds are for the criterion itself;
those with a + also need the fits of all rows, those with * the fits of two halves. Then the chosen rule and the rule
before it look at the images of two random classes, twelve times. --rules leaves the other criteria out. The exit code
is 1 if the chosen criterion misses a table by a factor of two.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table
from sklearn.metrics import adjusted_rand_score

from benchmarks import count_criteria
from benchmarks.parity import REFERENCE
from benchmarks.reference_data import read_nouns, read_table, reference_folder
from tac_pipeline.arrays import FloatMatrix, unit_rows
from tac_pipeline.errors import TacError
from tac_pipeline.method.grouping.cluster_count import count_grid, estimate_cluster_count
from tac_pipeline.method.grouping.spherical_kmeans import spherical_kmeans
from tac_pipeline.method.words.noun_vocabulary import choose_noun_vocabulary
from tac_pipeline.method.words.text_counterparts import retrieve_text_counterparts

DEMO = "demo"
CHOSEN, BEFORE, BEST = "trees of halves (chosen)", "held-out knee (before)", "k-means at best"
FEWEST, MOST, GRID_STEP = 2, 200, 1.15
PAIRS, PAIR_SEED = 12, 123
# Of the provisional vocabulary for text counterparts, before any K is known.
IMAGES_PER_CENTER, MAX_CENTERS = 10, 300
TAU = 0.005
WORST_FACTOR = 2.0

Found = dict[str, tuple[int, float]]


def text_counterparts(rows: FloatMatrix, nouns: FloatMatrix, *, seed: int) -> FloatMatrix:
    """Text counterparts from a vocabulary that hangs on no K."""
    n_centers = max(2, min(MAX_CENTERS, len(rows) // IMAGES_PER_CENTER))
    centers = spherical_kmeans(rows, n_clusters=n_centers, restarts=1, max_iterations=20, seed=seed).centers
    chosen = choose_noun_vocabulary(nouns, centers, nouns_per_center=5)
    return retrieve_text_counterparts(rows, nouns[chosen.rows], tau=TAU)


def count_by_rules(rows: FloatMatrix, *, seed: int) -> Found:
    """The K and the seconds of the chosen rule and of the rule before it."""
    found: Found = {}
    start = time.process_time()
    count = estimate_cluster_count(rows, fewest=FEWEST, most=max(FEWEST, min(MOST, len(rows))), seed=seed).count
    found[CHOSEN] = (count, time.process_time() - start)
    start = time.process_time()
    count = count_criteria.held_out_knee(rows, seed=seed)
    found[BEFORE] = (count, time.process_time() - start)
    return found


def count_pairs(tables: dict[str, tuple[FloatMatrix, Sequence[str]]], *, seed: int) -> Table:
    """What both rules find in the images of two random classes; the tables take turns."""
    generator = np.random.default_rng(PAIR_SEED)
    shown = Table("two classes of", "images", CHOSEN, BEFORE, box=None, pad_edge=False)
    names = list(tables)
    for turn in range(PAIRS):
        rows, labels = tables[names[turn % len(names)]]
        classes = generator.choice(np.unique(labels), 2, replace=False)
        pair = rows[np.isin(np.asarray(labels), classes)]
        found = count_by_rules(pair, seed=seed)
        title = f"{names[turn % len(names)]}: {classes[0]}, {classes[1]}"
        shown.add_row(title, str(len(pair)), str(found[CHOSEN][0]), str(found[BEFORE][0]))
    return shown


def count_by_every_criterion(rows: FloatMatrix, labels: Sequence[str], nouns: FloatMatrix, *, seed: int) -> Found:
    """The K and the seconds of every criterion."""
    found = count_by_rules(rows, seed=seed)

    def timed(name: str, criterion: Callable[[], int]) -> None:
        start = time.process_time()
        found[name] = (criterion(), time.process_time() - start)

    counts = count_grid(FEWEST, min(MOST, len(rows) // 6), step=GRID_STEP)

    def fit(vectors: FloatMatrix) -> count_criteria.Fits:
        return count_criteria.nested_kmeans(vectors, counts, seed=seed, max_iterations=20, refinements=10)

    start = time.process_time()
    fits = fit(rows)
    seconds = time.process_time() - start
    halves = count_criteria.fit_halves(rows, counts, seed=seed)
    texts = text_counterparts(rows, nouns, seed=seed)
    both = unit_rows(np.hstack([rows, texts]))
    text_fits, both_fits = fit(texts), fit(both)
    timed("silhouette +", lambda: count_criteria.silhouette(rows, fits, seed=seed))
    timed("silhouette, image and text +", lambda: count_criteria.silhouette(both, both_fits, seed=seed))
    timed("von Mises-Fisher BIC +", lambda: count_criteria.von_mises_fisher_bic(rows, fits))
    timed("Davies-Bouldin +", lambda: count_criteria.davies_bouldin(rows, fits))
    timed("Calinski-Harabasz +", lambda: count_criteria.calinski_harabasz(rows, fits))
    timed("stability of halves *", lambda: count_criteria.stability(halves))
    timed("prediction strength *", lambda: count_criteria.prediction_strength(halves))
    timed("image-text agreement +", lambda: count_criteria.image_text_agreement(fits, text_fits))
    timed("density modes", lambda: count_criteria.density_modes(rows))
    timed("density modes, image and text", lambda: count_criteria.density_modes(both))
    best = max(fits, key=lambda count: float(adjusted_rand_score(labels, fits[count].assignment)))
    found[BEST] = (best, seconds)
    return found


def read_demo(settings: Path) -> tuple[FloatMatrix, list[str], FloatMatrix]:
    """The demo's image vectors, true kinds and noun vectors."""
    from assets.images import image_labels, training_set
    from assets.nouns import noun_embeddings
    from benchmarks.demo import artifact_of, table_of
    from tac_pipeline.settings.project import load_project

    project = load_project(settings)
    learned = artifact_of(project, training_set)
    images = learned.table(training_set, columns=["image_id"])
    labels = images.join(table_of(project, image_labels), on="image_id", how="left", maintain_order="left")["label"]
    nouns = artifact_of(project, noun_embeddings).vectors(noun_embeddings)
    return learned.vectors(training_set), labels.to_list(), nouns


def show(found: dict[str, Found], true: dict[str, int]) -> Table:
    """A row per criterion, the nearest first: its K for every table, its mean miss in powers of two, its seconds."""
    shown = Table("criterion", *found, "mean miss", "seconds", box=None, pad_edge=False)
    shown.add_row("true", *(str(true[name]) for name in found), "", "")
    criteria = next(iter(found.values()))

    def miss(criterion: str) -> float:
        return float(np.mean([abs(np.log2(found[name][criterion][0] / true[name])) for name in found]))

    for criterion in sorted(criteria, key=miss):
        seconds = sum(found[name][criterion][1] for name in found)
        cells = (str(found[name][criterion][0]) for name in found)
        shown.add_row(criterion, *cells, f"x{2 ** miss(criterion):.2f}", f"{seconds:.1f}")
    return shown


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; 0 if the chosen criterion is within a factor of two everywhere."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.count_clusters", description=__doc__.splitlines()[0])
    parser.add_argument("--tables", nargs="+", choices=[*REFERENCE, DEMO], default=[*REFERENCE, DEMO], metavar="NAME")
    parser.add_argument("--settings", type=Path, default=Path("tac.yaml"), metavar="FILE", help="of the demo")
    parser.add_argument("--seed", type=int, default=0, metavar="N")
    parser.add_argument("--rules", action="store_true", help="only the chosen rule and the rule before it")
    parser.add_argument("--json", type=Path, metavar="FILE", help="all figures")
    asked = parser.parse_args(arguments)
    console, folder = Console(width=150), reference_folder()
    _, known_nouns = read_nouns(folder)
    found: dict[str, Found] = {}
    true: dict[str, int] = {}
    tables: dict[str, tuple[FloatMatrix, Sequence[str]]] = {}
    for name in asked.tables:
        if name == DEMO:
            try:
                rows, labels, nouns = read_demo(asked.settings)
            except TacError as error:
                console.print(f"demo left out: {error}. `tac demo` makes it.", style="yellow")
                continue
        else:
            table = read_table(folder, name)
            rows, labels, nouns = table.image_embeddings, table.labels.astype(str).tolist(), known_nouns
        true[name] = len(set(labels))
        tables[name] = (rows, labels)
        if asked.rules:
            found[name] = count_by_rules(rows, seed=asked.seed)
        else:
            found[name] = count_by_every_criterion(rows, labels, nouns, seed=asked.seed)
        console.print(f"{name}: true {true[name]}, " + ", ".join(f"{key} {k}" for key, (k, _) in found[name].items()))
    console.print(show(found, true))
    console.print("mean miss: the geometric mean of the factor between K and the truth; seconds of CPU, all tables")
    console.print(count_pairs(tables, seed=asked.seed))
    if asked.json is not None:
        asked.json.write_text(json.dumps({"true": true, "found": found}, indent=2) + "\n", encoding="utf-8")
    worst = max(abs(np.log2(found[name][CHOSEN][0] / true[name])) for name in found)
    return 0 if 2**worst <= WORST_FACTOR else 1


if __name__ == "__main__":
    sys.exit(main())
